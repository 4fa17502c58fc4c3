//! The rows of the table, each a subcommand.

mod commands;
mod drain;
mod enqueue;
mod memory;

use anyhow::Result;

use crate::arguments::{Arguments, Durability};
use crate::report::Figure;

/// Measures one row on one kind of server.
pub type Measure = fn(&Arguments, Durability) -> Result<Vec<Figure>>;

/// Every row, in the order of the table.
pub const ALL: &[(&str, Measure)] = &[
    ("drain", drain::measure),
    ("enqueue", enqueue::measure),
    ("memory", memory::measure),
    ("commands", commands::measure),
];
