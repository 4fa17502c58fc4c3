//! Pika's unofficial address. Nobody has documented it, so every fact is an assumption, and what comes from there is
//! called so in each message.
//!
//! | fact     | value                                                                  | source              | checked    | kind    |
//! |----------|------------------------------------------------------------------------|---------------------|------------|---------|
//! | submit   | `POST /v1/generate`, Bearer; `promptText`, options beside it; `{id}`   | mediarails, 2026-04 | 2026-11-24 | assumed |
//! | options  | under the catalogue's own names, and `model`                           | none                | 2026-11-24 | assumed |
//! | poll     | `GET /v1/generate/{id}`; `completed`, `failed`, all else is running    | mediarails, 2026-04 | 2026-11-24 | assumed |
//! | result   | `video.url`, an MP4                                                    | mediarails, 2026-04 | 2026-11-24 | assumed |
//! | errors   | 401, 403 key; 402 money; 429 limit; other 4xx wrong; all 5xx unknown outcome | none          | 2026-11-24 | assumed |
//! | images, cancel, callbacks | none                                                  | mediarails, 2026-04 | 2026-11-24 | assumed |

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::Output;
use atelier_domain::operation::Operation;
use atelier_domain::ports::{Checked, SubmitCall};
use http::Method;
use serde_json::Value;

use crate::asked::prompt;
use crate::exchange::{Body, Expects, HttpReply, HttpRequest};
use crate::wire::{
    Accepted, Answered, Endpoint, Look, free_call_error, invalid, is_link, key_header, malformed, taken,
};

pub(super) fn submit(call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
    let spec = &call.spec;
    if spec.operation != Operation::VideoGen {
        let operation = spec.operation;
        return Err(invalid(format!(
            "pika's direct mode does not do `{operation}`; it makes videos from text"
        )));
    }
    let prompt = prompt(spec).ok_or_else(|| invalid("a prompt is needed"))?;
    let mut body = super::options(spec)?;
    body.insert("model".to_owned(), Value::from(spec.model.as_str()));
    body.insert("promptText".to_owned(), Value::from(prompt));
    Ok(HttpRequest {
        method: Method::POST,
        url: endpoint.url(["v1", "generate"]),
        template: Some("/v1/generate"),
        headers: vec![key_header("authorization", "Bearer ", &call.key)?],
        body: Body::Json(Value::Object(body)),
        expects: Expects::Text,
    })
}

pub(super) fn submitted(reply: &HttpReply, now: Timestamp) -> Result<Answered, ProviderError> {
    if !reply.head.is_success() {
        return Err(submit_failure(reply, now));
    }
    let body = reply.json().unwrap_or(Value::Null);
    let remote = taken(reply, body.get("id"), "named no generation", now)?;
    let status = body.get("status").and_then(Value::as_str).map(str::to_owned);
    Ok(Answered::Accepted(Accepted { remote, status }))
}

pub(super) fn ask(look: &Look<'_>, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
    Ok(HttpRequest {
        method: Method::GET,
        url: endpoint.url(["v1", "generate", look.remote.id.as_str()]),
        template: Some("/v1/generate/{id}"),
        headers: vec![key_header("authorization", "Bearer ", look.key)?],
        body: Body::None,
        expects: Expects::Text,
    })
}

pub(super) fn status(reply: &HttpReply) -> Result<Checked, ProviderError> {
    if !reply.head.is_success() {
        return Err(free_call_error(reply, reason(reply)));
    }
    let body = reply.json().unwrap_or(Value::Null);
    let Some(word) = body.get("status").and_then(Value::as_str) else {
        return Err(malformed(reply.head.status, "the unofficial address of pika names no status"));
    };
    match word {
        "completed" => {
            let link = body.pointer("/video/url").and_then(Value::as_str);
            let link = link.filter(|link| is_link(link)).ok_or_else(|| {
                malformed(reply.head.status, "the unofficial address of pika gives a video no http URL")
            })?;
            let outputs = vec![Output::link(link, Some("video/mp4".to_owned()))];
            Ok(Checked::Ready { outputs, status: word.to_owned(), cost: None })
        }
        "failed" => {
            let status = word.to_owned();
            let error = ProviderError::WorkFailed { message: reason(reply), status, is_retryable: false };
            Ok(Checked::Failed { error, cost: None })
        }
        word => Ok(Checked::Working { status: word.to_owned(), progress_percent: None }),
    }
}

fn submit_failure(reply: &HttpReply, now: Timestamp) -> ProviderError {
    let message = reason(reply);
    let status = reply.head.status.to_string();
    match reply.head.status {
        401 | 403 => ProviderError::Unauthorized { message },
        402 => ProviderError::Quota { message },
        429 => ProviderError::RateLimited { message, retry_after: reply.head.retry_after(Some(now)) },
        400..=499 => ProviderError::Invalid { message, status },
        500..=599 => ProviderError::UnknownOutcome { message },
        _ => free_call_error(reply, message),
    }
}

fn reason(reply: &HttpReply) -> String {
    let body = reply.json().unwrap_or(Value::Null);
    let text = ["error", "message", "detail"].iter().find_map(|name| {
        let told = body.get(*name)?;
        told.as_str().or_else(|| told.get("message")?.as_str()).map(str::to_owned)
    });
    format!("the unofficial address of pika said: {}", text.unwrap_or_else(|| reply.plain_reason()))
}
