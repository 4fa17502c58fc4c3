//! Deepgram's query strings, and its way to refuse one.

use std::str::FromStr;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::state::State;

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    code: String,
    message: String,
    shape: Shape,
}

/// The bodies in which errors come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `err_code`, `err_msg`.
    Legacy,
    /// `category`, `message`, `details`.
    Modern,
    /// Nothing but the message.
    Text,
}

impl Refusal {
    /// With `err_code` and `err_msg`.
    pub(crate) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), shape: Shape::Legacy }
    }

    /// 400 `Bad Request`.
    pub(crate) fn bad_request(message: &str) -> Self {
        Self::new(400, "Bad Request", format!("Bad Request: {message}"))
    }

    /// 400 `INVALID_QUERY_PARAMETER`.
    pub(crate) fn query(name: &str, message: &str) -> Self {
        let message = format!("Failed to deserialize query parameters: `{name}`: {message}");
        Self::new(400, "INVALID_QUERY_PARAMETER", message)
    }

    /// 400 `INVALID_JSON`, with `category`, `message` and `details`.
    pub(crate) fn json(details: impl Into<String>) -> Self {
        Self { status: 400, code: "INVALID_JSON".to_owned(), message: details.into(), shape: Shape::Modern }
    }

    /// Plain text.
    pub(crate) fn text(status: u16, message: &str) -> Self {
        Self { status, code: String::new(), message: message.to_owned(), shape: Shape::Text }
    }

    pub(crate) fn answer(&self, state: &State) -> Answer {
        let request_id = state.new_id();
        let answer = match self.shape {
            Shape::Text => Answer {
                status: self.status,
                ..Answer::raw("text/plain; charset=utf-8", self.message.clone().into_bytes())
            },
            Shape::Legacy | Shape::Modern => Answer::json(self.status, self.body(&request_id)),
        };
        answer.header("dg-request-id", request_id)
    }

    /// The body as JSON; plain text becomes a string.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let Self { code, message, .. } = self;
        match self.shape {
            Shape::Legacy => json!({"err_code": code, "err_msg": message, "request_id": request_id}),
            Shape::Modern => json!({
                "category": code, "message": "Invalid JSON submitted.", "details": message, "request_id": request_id,
            }),
            Shape::Text => Value::String(message.clone()),
        }
    }
}

/// The parameters of one request.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a>(pub(crate) &'a Call);

impl<'a> Query<'a> {
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.0.query(name)
    }

    /// Every value of a name that may be repeated.
    pub(crate) fn list(self, name: &str) -> Vec<&'a str> {
        self.0.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// `false` when absent.
    pub(crate) fn flag(self, name: &str) -> Result<bool, Refusal> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::query(name, "provided string was not `true` or `false`")),
        }
    }

    pub(crate) fn number<T: FromStr>(self, name: &str) -> Result<Option<T>, Refusal> {
        let read =
            |text: &str| text.parse().map_err(|_| Refusal::query(name, "invalid digit found in string"));
        self.text(name).map(read).transpose()
    }

    /// A whole number, which some clients write with a fraction of nothing (`24000.0`).
    pub(crate) fn whole(self, name: &str) -> Result<Option<u32>, Refusal> {
        let Some(number) = self.number::<f64>(name)? else { return Ok(None) };
        let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        if is_whole {
            Ok(Some(number as u32))
        } else {
            Err(Refusal::query(name, "invalid digit found in string"))
        }
    }

    /// One of some words.
    pub(crate) fn word(self, name: &str, words: &[&str]) -> Result<Option<&'a str>, Refusal> {
        match self.text(name) {
            Some(word) if !words.contains(&word) => {
                let message = format!("unknown variant `{word}`, expected one of {}", words.join(", "));
                Err(Refusal::query(name, &message))
            }
            word => Ok(word),
        }
    }
}
