//! What Luma's errors mean.
//!
//! | answer to a create                                   | meaning                        |
//! |------------------------------------------------------|--------------------------------|
//! | 400, 402 with `credit` or `budget` in the text, 402   | out of money                   |
//! | 400 with a word of moderation                        | the content was refused        |
//! | 400, 404, 422 that says that the model is gone        | the model is retired           |
//! | 400, 413, 422 and other 4xx                          | the request is wrong           |
//! | 401, 403                                             | the key is wrong               |
//! | 429                                                  | rate limited, with its hint    |
//! | 503                                                  | not taken                      |
//! | other 5xx                                            | nobody knows                   |

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use serde_json::Value;

use crate::exchange::HttpReply;
use crate::wire::free_call_error;

const MODERATION_WORDS: [&str; 5] = ["moderat", "policy", "not allowed", "safety", "nsfw"];
const END_WORDS: [&str; 4] = ["no longer", "retired", "deprecated", "not available"];

/// Why a paid call was refused.
pub(super) fn submit_failure(reply: &HttpReply, model: &str, now: Timestamp) -> ProviderError {
    let message = reason(reply);
    let text = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let http_status = reply.head.status;
    let status = http_status.to_string();
    match http_status {
        402 => ProviderError::Quota { message },
        400 if has(&["credit", "budget"]) => ProviderError::Quota { message },
        400 | 404 | 422 if has(&END_WORDS) && (text.contains("model") || text.contains(model)) => {
            ProviderError::ModelRetired { message }
        }
        400 if has(&MODERATION_WORDS) => ProviderError::Rejected { message, status },
        401 | 403 => ProviderError::Unauthorized { message },
        429 => ProviderError::RateLimited { message, retry_after: reply.head.retry_after(Some(now)) },
        408 | 425 | 503 => ProviderError::Unavailable { message, status },
        400..=499 => ProviderError::Invalid { message, status },
        500..=599 => ProviderError::UnknownOutcome { message: format!("HTTP {http_status}: {message}") },
        _ => free_call_error(reply, message),
    }
}

/// Why a check or a cancel got no usable answer.
pub(super) fn free_failure(reply: &HttpReply) -> ProviderError {
    free_call_error(reply, reason(reply))
}

/// Why the work failed: by its code where there is one, else by the words of its text.
pub(super) fn failed_work(code: Option<&str>, text: Option<&str>) -> ProviderError {
    let message = text.or(code).unwrap_or("the generation failed without a reason").to_owned();
    let status = code.unwrap_or("failed").to_owned();
    match code {
        Some("content_moderated") => ProviderError::Rejected { message, status },
        Some("budget_exhausted") => ProviderError::Quota { message },
        Some("image_too_large" | "unsupported_format" | "corrupt_input" | "invalid_request") => {
            ProviderError::Invalid { message, status }
        }
        Some("generation_failed" | "output_not_found" | "rate_limited") => {
            ProviderError::WorkFailed { message, status, is_retryable: true }
        }
        Some(_) => ProviderError::WorkFailed { message, status, is_retryable: false },
        None => {
            let lower = message.to_ascii_lowercase();
            if MODERATION_WORDS.iter().any(|word| lower.contains(word)) {
                return ProviderError::Rejected { message, status };
            }
            // A new try is a new payment, and nothing says that it would fare better.
            ProviderError::WorkFailed { message, status, is_retryable: false }
        }
    }
}

/// `detail` is a text, or a list of faults with their places.
fn reason(reply: &HttpReply) -> String {
    match reply.json().as_ref().and_then(|body| body.get("detail")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(faults)) => faults.iter().take(3).map(fault_text).collect::<Vec<_>>().join("; "),
        Some(_) | None => reply.plain_reason(),
    }
}

/// One fault. Its `input` is left out: it repeats what the caller sent.
fn fault_text(fault: &Value) -> String {
    let text = fault.get("msg").and_then(Value::as_str).unwrap_or("is wrong");
    let place = fault.get("loc").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let place: Vec<&str> = place.iter().filter_map(Value::as_str).filter(|part| *part != "body").collect();
    if place.is_empty() { text.to_owned() } else { format!("{}: {text}", place.join(".")) }
}
