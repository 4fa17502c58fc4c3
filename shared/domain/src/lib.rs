//! The heart of Atelier: what a job is, which states it may take, and what to do next.
//!
//! Everything here is a value or a pure decision. There is no clock and no network, and no randomness but that of a
//! fresh id: callers pass `now` and jitter in. Adapters implement the traits of [`ports`]; nothing points out of this crate.

pub mod access;
pub mod asset;
pub mod callback;
pub mod catalogue;
pub mod costs;
pub mod credential;
pub mod error;
pub mod events;
pub mod foreign;
pub mod history;
pub mod ids;
pub mod invariant;
pub mod job;
pub mod ledger;
pub mod listing;
pub mod money;
pub mod operation;
pub mod pause;
pub mod policy;
pub mod ports;
pub mod request;
#[cfg(test)]
mod samples;
pub mod seal;
pub mod secret;
pub mod state;
pub mod trace;

/// An instant in UTC. Pure code receives it as `now`; only `main.rs` and the runners read a clock.
pub use jiff::Timestamp;
/// A day in UTC.
pub use jiff::civil::Date;
