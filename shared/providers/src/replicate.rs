//! Replicate.

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{InputForms, SubmitCall};
use serde::Deserialize;

use crate::exchange::{HttpReply, HttpRequest};
use crate::wire::{Answered, Endpoint, Wire, invalid, malformed};

/// The provider's own host.
pub(crate) const BASE_URL: &str = "https://api.replicate.com";

/// What is particular to Replicate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplicateOptions {}

/// The protocol of Replicate.
pub(crate) struct Replicate {
    _options: ReplicateOptions,
}

impl Replicate {
    pub(crate) fn new(options: ReplicateOptions) -> Self {
        Self { _options: options }
    }
}

impl Wire for Replicate {
    const PROVIDER: Provider = Provider::Replicate;

    fn input_forms(&self, _spec: &JobSpec, _option: Option<&str>) -> InputForms {
        InputForms { takes_url: false, max_bytes: None }
    }

    fn encode_submit(&self, _call: &SubmitCall, _endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        Err(invalid("this provider is not served yet"))
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        _spec: &JobSpec,
        _endpoint: &Endpoint,
        _now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        Err(malformed(reply.head.status, "this provider is not served yet"))
    }
}
