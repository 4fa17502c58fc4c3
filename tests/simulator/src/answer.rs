//! An answer before it is sent, and the faults that change it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::media::{MediaFile, MediaSpec, Segment};
use crate::state::State;
use crate::webhook::Webhook;

/// The page that stands for a proxy's or a portal's answer.
const HTML_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Something went wrong</title></head>\
    <body><h1>Something went wrong</h1><p>Please try again later.</p></body></html>\n";

/// What a provider's module decided.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Payload,
    /// The work that this request began; it is billed.
    pub(crate) accepted: Option<Accepted>,
    /// What the provider will tell a URL of the caller's each time the work has come so far.
    pub(crate) webhooks: Vec<Webhook>,
    /// How long the work takes that must be done before the answer; `None` = for ever.
    pub(crate) wait: Option<Duration>,
    /// Makes status and body anew when the wait is over, for answers that tell how the work stands then.
    pub(crate) afterwards: Option<Afterwards>,
}

/// Decides after the wait; status and body of what it returns replace those of the answer.
pub(crate) struct Afterwards(Box<dyn FnOnce(&State) -> Answer + Send>);

impl Afterwards {
    pub(crate) fn decide(self, state: &State) -> Answer {
        (self.0)(state)
    }
}

impl fmt::Debug for Afterwards {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Afterwards")
    }
}

/// Work that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) remote_id: String,
}

/// The body.
#[derive(Debug)]
pub(crate) enum Payload {
    Empty,
    Json(Value),
    /// JSON that is sent as `application/problem+json`.
    Problem(Value),
    Media(MediaSpec),
    /// Bytes of another type.
    Raw {
        content_type: &'static str,
        bytes: Bytes,
    },
}

impl Answer {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            payload: Payload::Json(body),
            accepted: None,
            webhooks: Vec::new(),
            wait: Some(Duration::ZERO),
            afterwards: None,
        }
    }

    pub(crate) fn problem(status: u16, body: Value) -> Self {
        Self { payload: Payload::Problem(body), ..Self::json(status, Value::Null) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { payload: Payload::Empty, ..Self::json(status, Value::Null) }
    }

    pub(crate) fn media(spec: MediaSpec) -> Self {
        Self { payload: Payload::Media(spec), ..Self::json(200, Value::Null) }
    }

    pub(crate) fn raw(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self { payload: Payload::Raw { content_type, bytes: bytes.into() }, ..Self::json(200, Value::Null) }
    }

    pub(crate) fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhooks.push(webhook);
        self
    }

    /// Holds the answer back and lets `decide` say then what it is.
    pub(crate) fn after(
        mut self,
        wait: Duration,
        decide: impl FnOnce(&State) -> Answer + Send + 'static,
    ) -> Self {
        self.wait = Some(wait);
        self.afterwards = Some(Afterwards(Box::new(decide)));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn accepted(mut self, remote_id: impl Into<String>) -> Self {
        self.accepted = Some(Accepted { remote_id: remote_id.into() });
        self
    }

    /// Lists every output twice: `output`, `images`, and the flags beside them.
    pub(crate) fn double_outputs(&mut self) {
        let Payload::Json(Value::Object(body)) = &mut self.payload else { return };
        for name in ["output", "images", "has_nsfw_concepts"] {
            if let Some(Value::Array(list)) = body.get_mut(name) {
                list.extend(list.clone());
            }
        }
    }
}

/// An HTML page instead of a body.
pub(crate) fn html_page() -> MediaFile {
    MediaFile { content_type: "text/html; charset=utf-8", segments: vec![Segment::once(HTML_PAGE)] }
}

/// JSON, whole or broken off in the middle.
pub(crate) fn json_file(value: &Value, is_malformed: bool) -> MediaFile {
    text_file("application/json", value, is_malformed)
}

/// A problem, whole or broken off in the middle.
pub(crate) fn problem_file(value: &Value, is_malformed: bool) -> MediaFile {
    text_file("application/problem+json", value, is_malformed)
}

fn text_file(content_type: &'static str, value: &Value, is_malformed: bool) -> MediaFile {
    let mut text = value.to_string().into_bytes();
    if is_malformed {
        text.truncate(text.len().div_ceil(2));
    }
    MediaFile { content_type, segments: vec![Segment::once(Bytes::from(text))] }
}
