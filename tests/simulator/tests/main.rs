//! The simulator seen by a real HTTP client.

mod control;
mod elevenlabs;
mod fal;
mod faults;
mod media_faults;
mod program;
mod runway;
// The attribute tells clippy that its helpers are tests too.
#[cfg(test)]
mod luma;
#[cfg(test)]
mod support;
