//! The providers: one file each, pure encode and decode, one transport that does HTTP, and the guarded reader of
//! foreign files.
//!
//! A process builds a [`Registry`] from [`ProviderSettings`] and a [`GuardedFetcher`] from [`FetchSettings`]. Both need
//! rustls' crypto provider: `rustls::crypto::ring::default_provider().install_default()` comes first in `main.rs`.

mod client;
mod elevenlabs;
mod exchange;
mod fal;
mod fetch;
mod lookup;
mod media;
mod message;
mod registry;
mod runway;
mod settings;
mod span;
mod transport;
mod wire;

#[cfg(test)]
mod catalogue_tests;
#[cfg(test)]
mod fixture;

pub use exchange::{Body, Expects, Header, HeaderText, HttpReply, HttpRequest, Reply, ReplyHead};
pub use fetch::{FetchSettings, GuardedFetcher};
pub use lookup::{Lookup, PrivateAddress, SystemLookup};
pub use registry::Registry;
pub use settings::{
    ElevenLabsOptions, EndpointSettings, NoOptions, ProviderSettings, RunwayOptions, SetupError,
};
pub use transport::{Transport, TransportError, TransportSettings, TransportSetupError, USER_AGENT};
