//! Which protocol each provider speaks. Whoever makes something of every wire comes here, so that a new provider is one
//! line.

use atelier_domain::operation::Provider;

use crate::deepgram::Deepgram;
use crate::elevenlabs::ElevenLabs;
use crate::fal::Fal;
use crate::luma::Luma;
use crate::pika::Pika;
use crate::replicate::Replicate;
use crate::runway::Runway;
use crate::settings::ProviderSettings;
use crate::stability::Stability;
use crate::wire::Wire;

/// Makes something of a wire, whichever it is.
pub(crate) trait WireUse {
    /// What is made.
    type Made;

    fn with<W: Wire>(self, wire: W) -> Self::Made;
}

/// What is made of the provider's wire under these settings.
pub(crate) fn with_wire<U: WireUse>(provider: Provider, settings: &ProviderSettings, user: U) -> U::Made {
    match provider {
        Provider::ElevenLabs => user.with(ElevenLabs::new(settings.elevenlabs.options.clone())),
        Provider::Deepgram => user.with(Deepgram::new(settings.deepgram.options.clone())),
        Provider::Fal => user.with(Fal::new(settings.fal.options.clone())),
        Provider::Replicate => user.with(Replicate::new(settings.replicate.options.clone())),
        Provider::Stability => user.with(Stability::new(settings.stability.options.clone())),
        Provider::Runway => user.with(Runway::new(settings.runway.options.clone())),
        Provider::Pika => user.with(Pika::new(settings.pika.options.clone())),
        Provider::Luma => user.with(Luma::new(settings.luma.options.clone())),
    }
}
