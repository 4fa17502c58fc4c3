//! The simulator seen by a real HTTP client.

mod control;
mod elevenlabs;
mod fal;
mod faults;
mod media_faults;
mod program;
mod runway;
// The attribute tells clippy that their helpers are tests too.
#[cfg(test)]
mod openai;
#[cfg(test)]
mod replicate;
#[cfg(test)]
mod replicate_webhooks;
#[cfg(test)]
mod support;
