//! The simulator seen by a real HTTP client.

mod control;
mod elevenlabs;
mod fal;
mod faults;
mod media_faults;
mod program;
mod runway;
// The attribute tells clippy that their helpers are tests too.
mod deepgram;
#[cfg(test)]
mod elevenlabs_stt;
#[cfg(test)]
mod fal_inputs;
#[cfg(test)]
mod fal_storage;
#[cfg(test)]
mod fal_webhooks;
#[cfg(test)]
mod luma;
#[cfg(test)]
mod openai;
#[cfg(test)]
mod pika;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod replicate;
#[cfg(test)]
mod replicate_webhooks;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
