//! The HTTP api of Atelier: routes, authentication and wire forms. It knows the ports of the domain, no provider and
//! no Redis; `main.rs` passes the adapters in.
//!
//! Rules that hold for every answer: it is JSON, also for an unknown route, a wrong method, a broken body and a panic;
//! its status is one of 200, 201, 204, 400, 401, 403, 404, 429, 500 and 503, because the published clients repeat any other
//! 4xx. The exceptions are streams of events, which are `text/event-stream`, with the 204 that ends them, and the bytes of
//! an asset, with statuses of their own for ranges.

pub mod commands;
mod door;
mod error;
mod extract;
mod keys;
mod large_bodies;
mod observe;
pub mod program;
mod ranges;
mod routes;
mod serve;
mod settings;
mod state;
mod uploads;
mod wire;

pub use commands::commands;
pub use extract::{RawFile, read_body_pieces};
pub use keys::{ApiKeys, ApiKeysError};
pub use large_bodies::LargeBodies;
pub use routes::router;
pub use serve::serve;
pub use settings::ApiSettings;
pub use state::{ApiParts, ApiState};
pub use uploads::Uploads;
