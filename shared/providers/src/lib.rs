//! The providers: one file each, pure encode and decode, one transport that does HTTP, and the guarded reader of
//! foreign files.
//!
//! A process builds a [`Registry`] from [`ProviderSettings`] and a [`GuardedFetcher`] from [`FetchSettings`]. Both need
//! rustls' crypto provider: `rustls::crypto::ring::default_provider().install_default()` comes first in `main.rs`.

mod asked;
mod client;
mod deepgram;
mod elevenlabs;
mod exchange;
mod fal;
mod fetch;
mod guarded;
mod key_check;
mod lookup;
mod luma;
mod media;
mod message;
mod pika;
mod protocol;
mod registry;
mod replicate;
mod runway;
mod settings;
mod span;
mod stability;
mod transcript;
mod transport;
mod wire;
mod wires;

#[cfg(test)]
mod catalogue_tests;
#[cfg(test)]
mod fixture;

pub use deepgram::DeepgramOptions;
pub use elevenlabs::ElevenLabsOptions;
pub use exchange::{
    Body, Expects, FormPart, FormValue, Header, HeaderText, HttpReply, HttpRequest, Reply, ReplyHead,
};
pub use fal::FalOptions;
pub use fetch::{FetchSettings, GuardedFetcher};
pub use key_check::ProviderKeyCheck;
pub use lookup::{Lookup, PrivateAddress, SystemLookup};
pub use luma::LumaOptions;
pub use pika::{PikaMode, PikaOptions};
pub use protocol::{Protocol, Reading, Writing, protocol};
pub use registry::Registry;
pub use replicate::ReplicateOptions;
pub use settings::{EndpointSettings, LlmSettings, ProviderSettings, RunwayOptions, SetupError};
pub use stability::StabilityOptions;
pub use transport::{Transport, TransportError, TransportSettings, TransportSetupError, USER_AGENT};
