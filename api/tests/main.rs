//! The HTTP surface, over ports that live in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test"
)]

mod admission;
mod api_keys;
mod assets;
mod auth;
mod batch;
mod callbacks;
mod content;
mod costs;
mod credentials;
mod doubts;
mod events;
mod fakes;
mod feeds;
mod inputs;
mod judge;
mod lists;
mod logs;
mod many;
mod memory_documents;
mod models;
mod pauses;
mod reading;
mod serving;
mod settings;
mod studio;
mod surface;
mod uploads;
