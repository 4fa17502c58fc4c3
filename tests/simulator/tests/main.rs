//! The simulator seen by a real HTTP client.

mod control;
mod elevenlabs;
mod fal;
mod faults;
mod media_faults;
mod program;
mod runway;
// The attribute tells clippy that the helpers in these are tests too.
#[cfg(test)]
mod openai;
#[cfg(test)]
mod support;
