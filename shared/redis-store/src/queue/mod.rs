//! Our own apalis backend: hands out steps under leases and takes verdicts.
//!
//! ```text
//! feed (claim scripts) -> reader (slots, recovery) -> backend (apalis) -> verdict layer -> handler
//!                                   leases (renewal)      claim.settle() -> settler (batches)
//! ```

mod backend;
mod claim;
mod drain;
mod due_set;
mod feed;
mod leases;
mod reader;
pub mod runner;
mod verdict;
