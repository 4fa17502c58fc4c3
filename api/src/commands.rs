//! What `atelier-api` does from the command line, beside serving.

mod keys;
pub mod rebuild;
mod vault;
mod words;

use atelier_runtime::Command;

use crate::program::Settings;

/// All commands.
pub fn commands() -> [Command<Settings>; 3] {
    [keys::COMMAND, rebuild::COMMAND, vault::COMMAND]
}
