//! What Stability's errors mean. The table is in the provider's file.

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use serde_json::Value;

use crate::exchange::HttpReply;
use crate::wire::free_call_error;

/// Names of errors that are about what was asked for or made, not about the form of the request.
const REFUSALS: [&str; 3] = ["content_moderation", "public_figure", "invalid_prompts"];

/// The paid call was not served.
pub(super) fn submit_failure(reply: &HttpReply, pause_s: u64, now: Timestamp) -> ProviderError {
    let http_status = reply.head.status;
    let problem = Problem::of(reply);
    if (400..500).contains(&http_status) && problem.is_refusal() {
        return problem.rejected();
    }
    let Problem { name, message } = problem;
    let status = name.clone().unwrap_or_else(|| http_status.to_string());
    match http_status {
        401 | 403 => ProviderError::Unauthorized { message },
        402 => ProviderError::Quota { message },
        404 if name.as_deref() == Some("not_found") => ProviderError::ModelRetired { message },
        410 => ProviderError::ModelRetired { message },
        429 => rate_limited(reply, message, pause_s, Some(now)),
        408 | 425 | 503 => ProviderError::Unavailable { message, status },
        // The provider itself says that it failed, and failed calls are not charged.
        500 if name.is_some() => ProviderError::Unavailable { message, status },
        400..=499 => ProviderError::Invalid { message, status },
        // Whoever answered here does not know what became of the paid call.
        500..=599 => ProviderError::UnknownOutcome { message: format!("HTTP {http_status}: {message}") },
        _ => free_call_error(reply, message),
    }
}

/// The answer of a result when it says that the work was refused.
pub(super) fn result_refusal(reply: &HttpReply) -> Option<ProviderError> {
    let problem = Problem::of(reply);
    let is_refusal = (400..500).contains(&reply.head.status) && problem.is_refusal();
    is_refusal.then(|| problem.rejected())
}

/// A call that costs nothing failed.
pub(super) fn free_failure(reply: &HttpReply, pause_s: u64) -> ProviderError {
    let message = Problem::of(reply).message;
    if reply.head.status == 429 {
        return rate_limited(reply, message, pause_s, None);
    }
    free_call_error(reply, message)
}

fn rate_limited(reply: &HttpReply, message: String, pause_s: u64, now: Option<Timestamp>) -> ProviderError {
    let retry_after = reply.head.retry_after(now).unwrap_or(Duration::from_secs(pause_s));
    ProviderError::RateLimited { message, retry_after: Some(retry_after) }
}

/// What an error body tells.
struct Problem {
    name: Option<String>,
    message: String,
}

impl Problem {
    fn of(reply: &HttpReply) -> Self {
        let body = reply.json().unwrap_or_default();
        let name = body.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        // `v2beta` gives a list, `v1` one text.
        let list = body
            .get("errors")
            .and_then(Value::as_array)
            .map(|errors| errors.iter().filter_map(Value::as_str).take(5).collect::<Vec<_>>().join("; "));
        let text = body.get("message").and_then(Value::as_str).map(str::to_owned);
        let message = list.filter(|text| !text.is_empty()).or(text).or(name.map(str::to_owned));
        Self { name: name.map(str::to_owned), message: message.unwrap_or_else(|| reply.plain_reason()) }
    }

    fn is_refusal(&self) -> bool {
        self.name.as_deref().is_some_and(|name| REFUSALS.contains(&name))
    }

    fn rejected(self) -> ProviderError {
        let status = self.name.unwrap_or_default();
        ProviderError::Rejected { message: self.message, status }
    }
}
