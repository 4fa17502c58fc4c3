//! The providers of this build.

use std::sync::Arc;

use atelier_domain::operation::Provider;
use atelier_domain::ports::{MediaProvider, Providers};

use crate::client::Client;
use crate::elevenlabs::ElevenLabs;
use crate::fal::Fal;
use crate::runway::Runway;
use crate::settings::{ProviderSettings, SetupError};
use crate::transport::Transport;

/// Every provider that this build has an adapter for. They share one HTTP client.
pub struct Registry {
    elevenlabs: Client<ElevenLabs>,
    fal: Client<Fal>,
    runway: Client<Runway>,
}

impl Registry {
    /// Sets the providers up; opens no connection. The process must have installed rustls' crypto provider before.
    pub fn new(settings: &ProviderSettings) -> Result<Self, SetupError> {
        let endpoints = settings.endpoints()?;
        let transport = Arc::new(Transport::new(&settings.transport)?);
        let elevenlabs = ElevenLabs::new(settings.elevenlabs.options.clone());
        let runway = Runway::new(settings.runway.options.clone());
        Ok(Self {
            elevenlabs: Client::new(elevenlabs, endpoints.elevenlabs, Arc::clone(&transport)),
            fal: Client::new(Fal, endpoints.fal, Arc::clone(&transport)),
            runway: Client::new(runway, endpoints.runway, transport),
        })
    }
}

impl Providers for Registry {
    fn get(&self, provider: Provider) -> Option<&dyn MediaProvider> {
        match provider {
            Provider::ElevenLabs => Some(&self.elevenlabs),
            Provider::Fal => Some(&self.fal),
            Provider::Runway => Some(&self.runway),
            Provider::Deepgram
            | Provider::Replicate
            | Provider::Stability
            | Provider::Pika
            | Provider::Luma => None,
        }
    }
}
