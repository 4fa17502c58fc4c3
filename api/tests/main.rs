//! The HTTP surface, over ports that live in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test"
)]

mod admission;
mod assets;
mod auth;
mod batch;
mod callbacks;
mod content;
mod costs;
mod doubts;
mod fakes;
mod inputs;
mod logs;
mod models;
mod pauses;
mod reading;
mod serving;
mod settings;
mod surface;
mod uploads;
