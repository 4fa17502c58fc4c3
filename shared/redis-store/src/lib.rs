//! Everything Atelier keeps in Redis: records, the ready streams, the due sets, the spool, and the apalis backend that
//! hands out steps. The only crate that names `redis` and `apalis`.
//!
//! [`keys`] lists every key. State, queue and acknowledgement change in one script, so a crash leaves either all of a
//! change or nothing of it. See `shared/docs/architecture.md` and `shared/docs/adr/`.

mod admission;
mod asset_book;
pub mod audit;
mod clock;
mod common_time;
mod confirm;
mod connect;
mod control;
mod costs;
mod documents;
mod ended;
mod events;
pub mod keys;
mod lanes;
mod layout;
mod link;
mod listing;
mod newest;
mod pauses;
pub mod preflight;
mod queue;
pub mod record;
mod script;
mod servers;
mod settings;
mod settle;
mod spool;
mod store;

pub use asset_book::RedisAssetBook;
pub use clock::Clock;
pub use common_time::CommonTime;
pub use connect::{ConnectError, Redis};
pub use control::{ControlOptions, ControlQueue, ControlTask, PushError, Pushed, WAITING_LIMIT, run_control};
pub use costs::RedisCostBook;
pub use documents::RedisDocuments;
pub use events::RedisJobEvents;
pub use pauses::RedisPauses;
pub use queue::runner::{RunnerOptions, run_queue};
pub use settings::{ControlSettings, RedisStoreSettings, RedisTls};
pub use spool::RedisSpool;
pub use store::RedisJobStore;
