//! What is told to the URL that a prediction names, and how it is signed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use ring::hmac;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::prediction::{self, Files, View};
use super::timeline::{End, Timeline};
use crate::journal::Provider;
use crate::state::State;
use crate::webhook::{Message, Webhook};

/// Events that a caller may choose.
pub(crate) const EVENTS: [&str; 4] = ["start", "output", "logs", "completed"];
/// Events of a caller who chooses none.
const USUAL_EVENTS: [&str; 2] = ["output", "completed"];
/// The completed event comes last, this much behind the output.
const ORDER: Duration = Duration::from_millis(30);
/// A receiver that does not take it gets it again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Where a prediction reports to.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    events: Vec<String>,
    origin: String,
}

impl Receiver {
    /// The receiver that a body names; its form was checked.
    pub(crate) fn of(body: &Value, origin: &str) -> Option<Self> {
        let url = body.get("webhook")?.as_str()?.to_owned();
        let chosen = body.get("webhook_events_filter").and_then(Value::as_array);
        let events = match chosen {
            Some(events) => events.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => USUAL_EVENTS.map(str::to_owned).to_vec(),
        };
        Some(Self { url, events, origin: origin.to_owned() })
    }

    /// The receiver as a fact of its prediction.
    pub(crate) fn to_json(&self) -> Value {
        json!({"url": self.url, "events": self.events})
    }

    /// The receiver among the facts of a prediction.
    pub(crate) fn from_json(facts: &Value, origin: &str) -> Option<Self> {
        let url = facts.get("url")?.as_str()?.to_owned();
        let events = facts.get("events")?.as_array()?;
        let events = events.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Some(Self { url, events, origin: origin.to_owned() })
    }

    /// The calls of a prediction that runs as it was planned.
    pub(crate) fn planned(&self, id: &str, timeline: &Timeline) -> Vec<Webhook> {
        let mut calls = Vec::new();
        if timeline.is_started() {
            for event in ["start", "logs"] {
                calls.extend(self.call(event, id, timeline.starts, Moment::Planned));
            }
        }
        if let Some(ends) = timeline.ends {
            if timeline.end == End::Succeeded {
                calls.extend(self.call("output", id, ends, Moment::Planned));
            }
            calls.extend(self.call("completed", id, ends + ORDER, Moment::Planned));
        }
        calls
    }

    /// The call of a prediction that was canceled just now.
    pub(crate) fn canceled(&self, id: &str) -> Option<Webhook> {
        self.call("completed", id, Duration::ZERO, Moment::Canceled)
    }

    fn call(&self, event: &'static str, id: &str, after: Duration, moment: Moment) -> Option<Webhook> {
        if !self.events.iter().any(|chosen| chosen == event) {
            return None;
        }
        let (id, origin) = (id.to_owned(), self.origin.clone());
        Some(Webhook {
            provider: Provider::Replicate,
            url: self.url.clone(),
            method: Method::POST,
            after,
            tries: if event == "completed" { TRIES } else { 1 },
            pause: PAUSE,
            make: Arc::new(move |state| message(state, &id, event, &origin, moment)),
        })
    }
}

/// When a call was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// At the start; nothing is told if the prediction was canceled meanwhile.
    Planned,
    Canceled,
}

fn message(state: &State, id: &str, event: &str, origin: &str, moment: Moment) -> Option<Message> {
    let task = state.with_task(id, |task| task.clone())?;
    if task.is_cancelled != (moment == Moment::Canceled) {
        return None;
    }
    let view = match event {
        // Told before the prediction is closed.
        "output" => View::with_output("processing"),
        _ => View::of(&task),
    };
    let body = prediction::body(&task, &view, origin, Files::Links).to_string();
    let message_id = format!("msg_{id}_{event}");
    let timestamp = Timestamp::now().as_second().to_string();
    let signature = sign(&key(state), format!("{message_id}.{timestamp}.{body}").as_bytes());
    Some(Message {
        headers: vec![
            ("webhook-id", message_id),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", format!("v1,{}", STANDARD.encode(signature))),
        ],
        body: body.into(),
    })
}

/// The account's signing secret; it follows from the seed.
pub(crate) fn secret(state: &State) -> String {
    format!("whsec_{}", STANDARD.encode(key(state)))
}

fn key(state: &State) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(b"replicate webhooks");
    hash.update(state.options.seed.to_be_bytes());
    hash.finalize().to_vec()
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;

    #[test]
    fn signatures_agree_with_rfc_4231() {
        let signature = sign(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(signature), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
