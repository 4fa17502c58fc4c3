//! The simulator seen by a real HTTP client.

#[cfg(test)]
mod control;
#[cfg(test)]
mod deepgram;
#[cfg(test)]
mod elevenlabs;
#[cfg(test)]
mod elevenlabs_stt;
#[cfg(test)]
mod fal;
#[cfg(test)]
mod fal_inputs;
#[cfg(test)]
mod fal_storage;
#[cfg(test)]
mod fal_webhooks;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod luma;
#[cfg(test)]
mod media_faults;
#[cfg(test)]
mod openai;
#[cfg(test)]
mod pika;
#[cfg(test)]
mod program;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod replicate;
#[cfg(test)]
mod replicate_webhooks;
#[cfg(test)]
mod runway;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
