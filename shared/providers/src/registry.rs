//! The providers of this build.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::foreign::Exceptions;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{
    Callback, CallbackRefusal, CallbackRequest, Callbacks, MediaProvider, Providers,
};

use crate::client::{Client, Judge};
use crate::guarded::Guarded;
use crate::key_check::ProviderKeyCheck;
use crate::lookup::SystemLookup;
use crate::settings::{ProviderSettings, SetupError};
use crate::transport::Transport;
use crate::wire::{Endpoint, Wire};
use crate::wires::{WireUse, with_wire};

/// Every provider. They share one HTTP client, which keeps connections and TLS sessions by host, that is by provider:
/// a client of its own for each would only read the root certificates eight times.
pub struct Registry {
    clients: BTreeMap<Provider, Box<dyn Called>>,
    key_check: ProviderKeyCheck,
}

/// A provider that is called, and that calls.
trait Called: MediaProvider + Judge {}

impl<W: Wire> Called for Client<W> {}

impl Registry {
    /// Sets the providers up; opens no connection. `exceptions` names hosts that files may be uploaded to although they
    /// are not public; it is empty in production. The process must have installed rustls' crypto provider before.
    pub fn new(settings: &ProviderSettings, exceptions: Exceptions) -> Result<Self, SetupError> {
        let endpoints = settings.endpoints()?;
        let limits = settings.transport.limits();
        let foreign = Arc::new(Guarded::new(limits, exceptions, Arc::new(SystemLookup))?);
        let transport = Transport::new(&settings.transport)?;
        let clients = endpoints.into_iter().map(|(provider, endpoint)| {
            let parts = ClientParts { endpoint, transport: transport.clone(), foreign: Arc::clone(&foreign) };
            (provider, with_wire(provider, settings, parts))
        });
        let clients = clients.collect();
        Ok(Self { clients, key_check: ProviderKeyCheck::new(settings.clone(), transport) })
    }

    /// Asks the same providers about keys, over the same HTTP client.
    pub fn key_check(&self) -> ProviderKeyCheck {
        self.key_check.clone()
    }
}

/// What a client has besides its wire.
struct ClientParts {
    endpoint: Endpoint,
    transport: Transport,
    foreign: Arc<Guarded>,
}

impl WireUse for ClientParts {
    type Made = Box<dyn Called>;

    fn with<W: Wire>(self, wire: W) -> Self::Made {
        Box::new(Client::new(wire, self.endpoint, self.transport, self.foreign))
    }
}

impl Providers for Registry {
    fn get(&self, provider: Provider) -> Option<&dyn MediaProvider> {
        self.clients.get(&provider).map(|client| -> &dyn MediaProvider { client.as_ref() })
    }
}

#[async_trait]
impl Callbacks for Registry {
    async fn judge(
        &self,
        provider: Provider,
        request: &CallbackRequest,
        now: Timestamp,
    ) -> Result<Callback, CallbackRefusal> {
        match self.clients.get(&provider) {
            Some(client) => client.judge(request, now).await,
            None => Err(CallbackRefusal::NotExpected { provider }),
        }
    }
}
