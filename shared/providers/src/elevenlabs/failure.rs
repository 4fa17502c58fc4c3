//! What ElevenLabs' error bodies mean. Their four shapes and codes stand in the table of `elevenlabs.rs`.

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use serde_json::Value;

use crate::exchange::HttpReply;
use crate::wire::free_call_error;

const MODERATION_MARKS: &[&str] =
    &["content_against_policy", "content_policy", "policy_violation", "moderation"];
const RETIRED_MARKS: &[&str] = &["model_retired", "model_deprecated", "model_sunset", "model_discontinued"];

/// What an error body tells, whichever of the four shapes it has.
#[derive(Default)]
struct Detail {
    codes: Vec<String>,
    message: Option<String>,
}

impl Detail {
    fn of(reply: &HttpReply) -> Self {
        match reply.json().as_ref().and_then(|body| body.get("detail")) {
            Some(Value::Object(detail)) => Self {
                codes: ["code", "status", "type"]
                    .iter()
                    .filter_map(|name| detail.get(*name)?.as_str())
                    .map(str::to_owned)
                    .collect(),
                message: detail.get("message").and_then(Value::as_str).map(str::to_owned),
            },
            Some(Value::Array(items)) => Self {
                codes: Vec::new(),
                message: Some(items.iter().take(3).map(validation_text).collect::<Vec<_>>().join("; ")),
            },
            Some(Value::String(text)) => Self { codes: Vec::new(), message: Some(text.clone()) },
            Some(_) | None => Self::default(),
        }
    }

    fn has(&self, marks: &[&str]) -> bool {
        self.codes.iter().any(|code| marks.iter().any(|mark| code.contains(mark)))
    }
}

/// One entry of a validation list. Its `input` is left out: it repeats what the caller sent.
fn validation_text(item: &Value) -> String {
    let place = item.get("loc").and_then(Value::as_array).map(|parts| {
        parts
            .iter()
            .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
            .collect::<Vec<_>>()
    });
    let text = item.get("msg").and_then(Value::as_str).unwrap_or("is wrong");
    format!("{}: {text}", place.unwrap_or_default().join("."))
}

/// The answer to a paid call that brought nothing.
pub(super) fn failure(reply: &HttpReply, now: Timestamp) -> ProviderError {
    let http_status = reply.head.status;
    let detail = Detail::of(reply);
    let status = detail.codes.first().cloned().unwrap_or_else(|| http_status.to_string());
    let message = detail.message.clone().unwrap_or_else(|| reply.plain_reason());
    let is_refusal = (400..500).contains(&http_status);
    // The code says more than the HTTP status: quota comes as 401.
    if is_refusal && detail.has(&["quota_exceeded"]) {
        return ProviderError::Quota { message };
    }
    if is_refusal && detail.has(MODERATION_MARKS) {
        return ProviderError::Rejected { message, status };
    }
    if is_refusal && detail.has(RETIRED_MARKS) {
        return ProviderError::ModelRetired { message };
    }
    match http_status {
        401 => ProviderError::Unauthorized { message },
        402 => ProviderError::Quota { message },
        403 if detail.has(&["only_for_", "paid_plan_required"]) => ProviderError::Quota { message },
        403 => ProviderError::Unauthorized { message },
        429 => ProviderError::RateLimited { message, retry_after: reply.head.retry_after(Some(now)) },
        408 | 425 | 500 | 503 => ProviderError::Unavailable { message, status },
        400..=499 => ProviderError::Invalid { message, status },
        // Whoever answered here does not know what the server behind it did with the paid call.
        501..=599 => ProviderError::UnknownOutcome { message: format!("HTTP {http_status}: {message}") },
        _ => free_call_error(reply, message),
    }
}
