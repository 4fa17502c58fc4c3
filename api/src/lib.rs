//! The HTTP api of Atelier: routes, authentication and wire forms. It knows the ports of the domain, no provider and
//! no Redis; `main.rs` passes the adapters in.
//!
//! Rules that hold for every answer: it is JSON, also for an unknown route, a wrong method, a broken body and a panic;
//! its status is one of 200, 201, 204, 400, 401, 404, 500 and 503, because the published clients repeat any other 4xx. The
//! bytes of an asset are the exception: they are what they are, and ranges of them have statuses of their own.

pub mod commands;
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

pub use extract::{RawFile, read_body_pieces};
pub use keys::{ApiKeys, ApiKeysError};
pub use large_bodies::LargeBodies;
pub use routes::router;
pub use serve::serve;
pub use settings::ApiSettings;
pub use state::{ApiParts, ApiState};
pub use uploads::Uploads;
