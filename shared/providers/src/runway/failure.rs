//! What Runway's errors mean. Facts and their sources are in the provider's file.

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use serde_json::Value;

use crate::exchange::HttpReply;
use crate::settings::RunwayOptions;
use crate::wire::{free_call_error, malformed};

const MODEL_END_WORDS: [&str; 5] = ["retired", "deprecated", "no longer", "end of life", "not available"];

/// The paid call was not accepted, or nobody can tell.
pub(super) fn submit_failure(reply: &HttpReply, options: &RunwayOptions, now: Timestamp) -> ProviderError {
    let message = reason(reply);
    let http_status = reply.head.status;
    let status = http_status.to_string();
    match http_status {
        400..=499 if message.to_ascii_lowercase().contains("enough credits") => {
            ProviderError::Quota { message }
        }
        400 | 404 | 410 | 422 if refuses_model(reply, &message) => ProviderError::ModelRetired { message },
        401 | 403 => ProviderError::Unauthorized { message },
        402 => ProviderError::Quota { message },
        429 => ProviderError::RateLimited { message, retry_after: reply.head.retry_after(Some(now)) },
        408 | 425 | 503 => ProviderError::Unavailable { message, status },
        502 if options.resubmit_on_load_shedding => ProviderError::Unavailable { message, status },
        500..=599 => ProviderError::UnknownOutcome { message: format!("HTTP {http_status}: {message}") },
        400..=499 => ProviderError::Invalid { message, status },
        _ => free_call_error(reply, message),
    }
}

/// An upload was not begun. It costs nothing, so that nothing is uncertain.
pub(super) fn upload_failure(reply: &HttpReply) -> ProviderError {
    let message = reason(reply);
    let status = reply.head.status;
    match status {
        400 | 402 | 403 if lacks_credits(&message) => ProviderError::Quota { message },
        400 | 413 | 415 | 422 => ProviderError::Invalid { message, status: status.to_string() },
        404 | 410 => malformed(status, &message),
        _ => free_call_error(reply, message),
    }
}

fn lacks_credits(message: &str) -> bool {
    message.to_ascii_lowercase().contains("credits")
}

/// Whether the refusal concerns the model. The names sent are all from `MODELS`, so a model that the provider does
/// not know is one that it knows no longer.
fn refuses_model(reply: &HttpReply, message: &str) -> bool {
    let body = reply.json().unwrap_or(Value::Null);
    let is_at_model = |issue: &Value| {
        let place = issue.get("path").and_then(Value::as_array).and_then(|path| path.first());
        place.and_then(Value::as_str) == Some("model")
    };
    let issues = body.get("issues").and_then(Value::as_array);
    let text = message.to_ascii_lowercase();
    issues.is_some_and(|issues| issues.iter().any(is_at_model))
        || (text.contains("model") && MODEL_END_WORDS.iter().any(|word| text.contains(word)))
}

/// The provider's own words: `error`, then `message`, with the issues of a validation.
pub(super) fn reason(reply: &HttpReply) -> String {
    let body = reply.json().unwrap_or(Value::Null);
    let Some(text) = ["error", "message"].iter().find_map(|name| body.get(*name)?.as_str()) else {
        return reply.plain_reason();
    };
    let issues = body.get("issues").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let told = issues.iter().take(3).map(|issue| {
        let place = issue.get("path").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let place: Vec<String> =
            place.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
        format!("{}: {}", place.join("."), issue.get("message").and_then(Value::as_str).unwrap_or("is wrong"))
    });
    std::iter::once(text.to_owned()).chain(told).collect::<Vec<_>>().join("; ")
}
