//! The development stack: api, worker, poller, the provider simulator, an S3 server and a Redis server, all started
//! and stopped together. The demo and the end-to-end tests run on it.

pub mod embedded_s3;
pub mod redis_groups;
pub mod redis_server;
pub mod stack;

pub use stack::{Stack, StackOptions};
