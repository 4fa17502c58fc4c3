//! What Replicate's errors mean: of the paid call, of free calls, of a prediction that failed. Facts and their sources
//! are in the provider's file.

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use serde_json::Value;

use super::models;
use crate::exchange::HttpReply;
use crate::wire::free_call_error;

/// What models say of content that they refuse; there is no other sign of it.
const REFUSALS: [&str; 7] = [
    "nsfw",
    "(e005)",
    "flagged as sensitive",
    "flagged as potentially",
    "flagged by",
    "content policy",
    "content moderation",
];
/// What the platform says when it, and not the model, broke the run off.
const INTERRUPTIONS: [&str; 5] = [
    "prediction interrupted",
    "please retry",
    "unexpected error handling prediction",
    "failed health check",
    "try again later",
];

/// The paid call was not accepted.
pub(super) fn submit_failure(reply: &HttpReply, spec: &JobSpec, now: Timestamp) -> ProviderError {
    let problem = Problem::of(reply);
    let http_status = reply.head.status;
    match http_status {
        404 | 410 => problem.without_model(spec),
        422 if problem.names_version => problem.without_model(spec),
        429 => problem.rate_limited(reply, Some(now)),
        408 | 425 | 503 => ProviderError::Unavailable { message: problem.message, status: problem.status },
        // Whether the prediction was made before it broke is not told.
        500..=599 => {
            ProviderError::UnknownOutcome { message: format!("HTTP {http_status}: {}", problem.message) }
        }
        400 | 405..=499 => ProviderError::Invalid { message: problem.message, status: problem.status },
        _ => free_call_error(reply, problem.message),
    }
}

/// A call that costs nothing failed.
pub(super) fn free_failure(reply: &HttpReply) -> ProviderError {
    let problem = Problem::of(reply);
    if reply.head.status == 429 {
        return problem.rate_limited(reply, None);
    }
    free_call_error(reply, problem.message)
}

/// An upload was not taken.
pub(super) fn upload_failure(reply: &HttpReply) -> ProviderError {
    let problem = Problem::of(reply);
    match reply.head.status {
        400 | 413 | 415 | 422 => ProviderError::Invalid { message: problem.message, status: problem.status },
        _ => free_failure(reply),
    }
}

/// A prediction with the status `failed`.
pub(super) fn run_failure(error: Option<&str>) -> ProviderError {
    let message = error.unwrap_or("the prediction failed without a reason").to_owned();
    let lower = message.to_ascii_lowercase();
    let status = code(&message).unwrap_or("failed").to_owned();
    if REFUSALS.iter().any(|sign| lower.contains(sign)) {
        return ProviderError::Rejected { message, status };
    }
    let is_retryable = INTERRUPTIONS.iter().any(|sign| lower.contains(sign));
    ProviderError::WorkFailed { message, status, is_retryable }
}

/// The code in `... (E005)` or `... (code: PA)`.
fn code(message: &str) -> Option<&str> {
    message.split('(').skip(1).filter_map(|rest| rest.split_once(')')).find_map(|(inside, _)| {
        let named = inside.strip_prefix("code: ");
        let is_code = |code: &&str| {
            code.strip_prefix('E').is_some_and(|digits| {
                (3..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        named.or(Some(inside).filter(is_code))
    })
}

/// What an error body tells.
struct Problem {
    message: String,
    /// The first fault of a validation, or the HTTP status.
    status: String,
    names_version: bool,
    retry_after: Option<Duration>,
}

impl Problem {
    fn of(reply: &HttpReply) -> Self {
        let body = reply.json().unwrap_or(Value::Null);
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let message = text("detail").or(text("title")).map_or_else(|| reply.plain_reason(), str::to_owned);
        let fault = body.pointer("/invalid_fields/0/type").and_then(Value::as_str);
        let retry_after = body.get("retry_after").and_then(Value::as_f64);
        Self {
            message,
            status: fault.map_or_else(|| reply.head.status.to_string(), str::to_owned),
            names_version: text("title").is_some_and(|title| title.starts_with("Invalid version")),
            retry_after: retry_after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }

    /// A model that was there once is one that the provider has retired; any other was named wrong.
    fn without_model(self, spec: &JobSpec) -> ProviderError {
        if models::is_known(spec) {
            return ProviderError::ModelRetired { message: self.message };
        }
        ProviderError::Invalid { message: self.message, status: self.status }
    }

    fn rate_limited(self, reply: &HttpReply, now: Option<Timestamp>) -> ProviderError {
        let retry_after = reply.head.retry_after(now).or(self.retry_after);
        ProviderError::RateLimited { message: self.message, retry_after }
    }
}
