//! The rows of the table, each a subcommand.

mod accept;
mod backlog;
mod burst;
mod celery;
mod checks;
mod commands;
mod drain;
mod enqueue;
mod latency;
mod lists;
mod memory;
mod resident;
mod streams;
mod traces;
mod waiting;

use anyhow::Result;

use crate::arguments::{Arguments, Durability};
use crate::report::Figure;

/// Measures one row on one kind of server.
pub type Measure = fn(&Arguments, Durability) -> Result<Vec<Figure>>;

/// Every row, in the order of the table.
pub const ALL: &[(&str, Measure)] = &[
    ("drain", drain::measure),
    ("celery", celery::measure),
    ("enqueue", enqueue::measure),
    ("memory", memory::measure),
    ("commands", commands::measure),
    ("pickup", latency::pickup),
    ("late", latency::late),
    ("burst", burst::measure),
    ("checks", checks::measure),
    ("backlog", backlog::measure),
    ("accept", accept::measure),
    ("list", lists::measure),
    ("streams", streams::measure),
    ("idle-memory", resident::idle),
    ("video", resident::video),
    ("checks-http", waiting::over_http),
    ("traces", traces::measure),
    ("million", waiting::million),
];
