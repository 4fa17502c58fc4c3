//! What every Atelier process needs around its work: settings, tracing and OTLP, health endpoints, an orderly end.

pub mod health;
pub mod process;
pub mod program;
pub mod settings;
pub mod shutdown;
pub mod telemetry;

pub use program::{Command, CommandError, Doing, main_of};
