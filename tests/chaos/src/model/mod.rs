//! A model of the queue's protocol: claims, leases, epochs, verdicts and checks.
//!
//! | file | what |
//! |---|---|
//! | `store` | the scripts of `shared/redis-store/src/scripts` as pure functions on a small value |
//! | `system` | two workers, a poller and a caller who work on that store and may die, stall, or lose an answer at any step |
//! | `explore` | visits every state that the system can reach and holds each to the promises |
//! | `scripts` | the real scripts on a real Redis, to be compared with `store` |
//!
//! The model has no clock: a lease may end at any moment, and whatever is due later may be due now. What holds here
//! does not depend on how long anything takes.

pub mod explore;
pub mod scripts;
pub mod store;
pub mod system;
