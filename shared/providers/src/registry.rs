//! The providers of this build.

use std::sync::Arc;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::foreign::Exceptions;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{
    Callback, CallbackRefusal, CallbackRequest, Callbacks, MediaProvider, Providers,
};

use crate::client::{Client, Judge};
use crate::deepgram::Deepgram;
use crate::elevenlabs::ElevenLabs;
use crate::fal::Fal;
use crate::guarded::Guarded;
use crate::lookup::SystemLookup;
use crate::luma::Luma;
use crate::pika::Pika;
use crate::replicate::Replicate;
use crate::runway::Runway;
use crate::settings::{ProviderSettings, SetupError};
use crate::stability::Stability;
use crate::transport::Transport;

/// Every provider. They share one HTTP client, which keeps connections and TLS sessions by host, that is by provider:
/// a client of its own for each would only read the root certificates eight times.
pub struct Registry {
    elevenlabs: Client<ElevenLabs>,
    deepgram: Client<Deepgram>,
    fal: Client<Fal>,
    replicate: Client<Replicate>,
    stability: Client<Stability>,
    runway: Client<Runway>,
    pika: Client<Pika>,
    luma: Client<Luma>,
}

impl Registry {
    /// Sets the providers up; opens no connection. `exceptions` names hosts that files may be uploaded to although they
    /// are not public; it is empty in production. The process must have installed rustls' crypto provider before.
    pub fn new(settings: &ProviderSettings, exceptions: Exceptions) -> Result<Self, SetupError> {
        let endpoints = settings.endpoints()?;
        let limits = settings.transport.limits();
        let foreign = Arc::new(Guarded::new(limits, exceptions, Arc::new(SystemLookup))?);
        let transport = Transport::new(&settings.transport)?;
        Ok(Self {
            elevenlabs: Client::new(
                ElevenLabs::new(settings.elevenlabs.options.clone()),
                endpoints.elevenlabs,
                transport.clone(),
                Arc::clone(&foreign),
            ),
            deepgram: Client::new(
                Deepgram::new(settings.deepgram.options.clone()),
                endpoints.deepgram,
                transport.clone(),
                Arc::clone(&foreign),
            ),
            fal: Client::new(
                Fal::new(settings.fal.options.clone()),
                endpoints.fal,
                transport.clone(),
                Arc::clone(&foreign),
            ),
            replicate: Client::new(
                Replicate::new(settings.replicate.options.clone()),
                endpoints.replicate,
                transport.clone(),
                Arc::clone(&foreign),
            ),
            stability: Client::new(
                Stability::new(settings.stability.options.clone()),
                endpoints.stability,
                transport.clone(),
                Arc::clone(&foreign),
            ),
            runway: Client::new(
                Runway::new(settings.runway.options.clone()),
                endpoints.runway,
                transport.clone(),
                Arc::clone(&foreign),
            ),
            pika: Client::new(
                Pika::new(settings.pika.options.clone()),
                endpoints.pika,
                transport.clone(),
                Arc::clone(&foreign),
            ),
            luma: Client::new(
                Luma::new(settings.luma.options.clone()),
                endpoints.luma,
                transport.clone(),
                Arc::clone(&foreign),
            ),
        })
    }

    fn judge_of(&self, provider: Provider) -> &dyn Judge {
        match provider {
            Provider::ElevenLabs => &self.elevenlabs,
            Provider::Deepgram => &self.deepgram,
            Provider::Fal => &self.fal,
            Provider::Replicate => &self.replicate,
            Provider::Stability => &self.stability,
            Provider::Runway => &self.runway,
            Provider::Pika => &self.pika,
            Provider::Luma => &self.luma,
        }
    }
}

impl Providers for Registry {
    fn get(&self, provider: Provider) -> Option<&dyn MediaProvider> {
        Some(match provider {
            Provider::ElevenLabs => &self.elevenlabs,
            Provider::Deepgram => &self.deepgram,
            Provider::Fal => &self.fal,
            Provider::Replicate => &self.replicate,
            Provider::Stability => &self.stability,
            Provider::Runway => &self.runway,
            Provider::Pika => &self.pika,
            Provider::Luma => &self.luma,
        })
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
        self.judge_of(provider).judge(request, now).await
    }
}
