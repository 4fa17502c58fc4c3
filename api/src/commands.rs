//! What `atelier-api` does from the command line, beside serving.

mod keys;
mod vault;
mod words;

use atelier_runtime::Command;

use crate::program::Settings;

/// All commands.
pub fn commands() -> [Command<Settings>; 2] {
    [keys::COMMAND, vault::COMMAND]
}
