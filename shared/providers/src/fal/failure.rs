//! What Fal's errors mean: of the paid call, of a completed request, of its gateway. Facts and their sources are in
//! the provider's file.

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::ports::Checked;
use serde_json::Value;

use crate::exchange::HttpReply;
use crate::wire::free_call_error;

/// The paid call was not accepted.
pub(super) fn submit_failure(reply: &HttpReply, now: Timestamp) -> ProviderError {
    let detail = Detail::of(reply);
    let status = detail.code_or(reply.head.status);
    let message = detail.message.clone();
    match reply.head.status {
        422 | 400 if detail.has("content_policy_violation") => ProviderError::Rejected { message, status },
        410 => ProviderError::ModelRetired { message },
        400 | 404 | 422 if says_model_ended(&message) => ProviderError::ModelRetired { message },
        429 => ProviderError::RateLimited { message, retry_after: reply.head.retry_after(Some(now)) },
        // A proxy that lost the answer does not know whether the queue took the request.
        502 | 504 | 520..=599 if !is_fals_own(reply) => {
            ProviderError::UnknownOutcome { message: format!("HTTP {}: {message}", reply.head.status) }
        }
        401 | 403 | 300..=399 => gateway_failure(reply),
        408 | 425 | 500..=599 => ProviderError::Unavailable { message, status },
        400..=499 => ProviderError::Invalid { message, status },
        _ => gateway_failure(reply),
    }
}

/// Whether a refusal is about a model that is gone. No sample is known, so the text has to say both.
fn says_model_ended(message: &str) -> bool {
    let text = message.to_ascii_lowercase();
    ["model", "application", "endpoint"].iter().any(|word| text.contains(word))
        && ["retired", "deprecated", "no longer", "sunset", "discontinued"]
            .iter()
            .any(|word| text.contains(word))
}

/// Errors of Fal's gateway. A locked user is one that ran out of money; the text is the only sign of it.
pub(super) fn gateway_failure(reply: &HttpReply) -> ProviderError {
    let message = Detail::of(reply).message;
    if reply.head.status == 403 && message.to_ascii_lowercase().contains("locked") {
        return ProviderError::Quota { message };
    }
    free_call_error(reply, message)
}

/// Whether Fal itself speaks, not a proxy before it.
fn is_fals_own(reply: &HttpReply) -> bool {
    let has_header = ["x-fal-request-id", "x-fal-error-type", "x-fal-retryable", "x-fal-needs-retry"]
        .iter()
        .any(|name| reply.head.headers.contains_key(*name));
    has_header || reply.json().is_some_and(|body| body.get("detail").is_some())
}

/// The answer for a completed request without a result: the work failed, or only this question did.
pub(super) fn result_failure(reply: &HttpReply) -> Result<Checked, ProviderError> {
    let detail = Detail::of(reply);
    let failed = |error| Ok(Checked::Failed { error, cost: None });
    let work_failed = |is_retryable: bool| {
        let status = detail.code_or(reply.head.status);
        failed(ProviderError::WorkFailed { message: detail.message.clone(), status, is_retryable })
    };
    match reply.head.status {
        422 | 400 if detail.has("content_policy_violation") => failed(ProviderError::Rejected {
            message: detail.message,
            status: "content_policy_violation".to_owned(),
        }),
        400 if detail.message.to_ascii_lowercase().contains("still in progress") => {
            Ok(Checked::Working { status: "COMPLETED".to_owned(), progress_percent: None })
        }
        400 if detail.has("downstream_service_error") => work_failed(retry_advice(reply).unwrap_or(false)),
        400 | 422 => {
            let status = detail.code_or(reply.head.status);
            failed(ProviderError::Invalid { message: detail.message, status })
        }
        // `client_cancelled` and its like: nobody should begin it again.
        499 => work_failed(false),
        500..=599 if is_fals_own(reply) => work_failed(retry_advice(reply).unwrap_or(true)),
        _ => Err(gateway_failure(reply)),
    }
}

/// What the `X-Fal-Retryable` header, or its older form, advises.
fn retry_advice(reply: &HttpReply) -> Option<bool> {
    let word = reply.head.header("x-fal-retryable").or_else(|| reply.head.header("x-fal-needs-retry"))?;
    match word {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// What an error body tells: a list of model errors, or one text with a type.
struct Detail {
    types: Vec<String>,
    message: String,
}

impl Detail {
    fn of(reply: &HttpReply) -> Self {
        let body = reply.json().unwrap_or(Value::Null);
        let word = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut types: Vec<String> = word(&body, "error_type").into_iter().collect();
        types.extend(reply.head.header("x-fal-error-type").map(str::to_owned));
        let message = match body.get("detail") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(items)) => {
                types.extend(items.iter().filter_map(|item| word(item, "type")));
                items.iter().take(3).map(model_error_text).collect::<Vec<_>>().join("; ")
            }
            Some(_) | None => reply.plain_reason(),
        };
        Self { types, message }
    }

    fn has(&self, kind: &str) -> bool {
        self.types.iter().any(|known| known == kind)
    }

    fn code_or(&self, status: u16) -> String {
        self.types.first().cloned().unwrap_or_else(|| status.to_string())
    }
}

/// One model error. Its `input` and `ctx` are left out: they repeat what the caller sent.
fn model_error_text(item: &Value) -> String {
    let text = item.get("msg").and_then(Value::as_str).unwrap_or("is wrong");
    match item.get("loc").and_then(Value::as_array).and_then(|place| place.last()).and_then(Value::as_str) {
        Some(field) if field != "body" => format!("{field}: {text}"),
        Some(_) | None => text.to_owned(),
    }
}
