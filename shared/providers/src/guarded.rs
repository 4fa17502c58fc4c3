//! Two clients for foreign addresses, and the rule which of them may go where (INV-8).

use std::sync::Arc;

use atelier_domain::foreign::{Exceptions, UrlRefusal, check_url};
use url::Url;

use crate::lookup::{Lookup, PrivateAddress};
use crate::transport::{Limits, Reach, Transport, TransportError, TransportSetupError};

/// Sends requests to foreign addresses. Two clients, so that no connection made under an exception serves a guarded
/// request.
pub(crate) struct Guarded {
    guarded: Transport,
    excepted: Transport,
    exceptions: Exceptions,
}

impl Guarded {
    pub(crate) fn new(
        limits: Limits,
        exceptions: Exceptions,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, TransportSetupError> {
        let guarded = Transport::reaching(Reach::Public(Arc::clone(&lookup)), limits)?;
        let excepted = Transport::reaching(Reach::Any(lookup), limits)?;
        Ok(Self { guarded, excepted, exceptions })
    }

    /// The address, if it may be asked.
    pub(crate) fn check(&self, url: &str) -> Result<Url, UrlRefusal> {
        check_url(url, &self.exceptions)
    }

    /// The client for an address that was checked.
    pub(crate) fn for_address(&self, url: &Url) -> &Transport {
        if self.exceptions.covers(url) { &self.excepted } else { &self.guarded }
    }
}

/// Why a foreign address was not asked: refused, or not reached.
pub(crate) fn refusal(error: &TransportError) -> Option<UrlRefusal> {
    match error {
        TransportError::Private(PrivateAddress(address)) => Some(UrlRefusal::Private(*address)),
        TransportError::NotSent { .. } | TransportError::Lost { .. } => None,
    }
}
