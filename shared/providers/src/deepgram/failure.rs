//! What Deepgram's error bodies mean; the table stands in `deepgram.rs`.

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use serde_json::Value;

use crate::exchange::HttpReply;
use crate::wire::{free_call_error, unreadable_acceptance};

const MODEL_END_WORDS: [&str; 4] = ["retired", "deprecated", "no longer", "end of life"];

/// What an error body tells, whichever of its shapes it has: `category`, `message` and `details`, the older `err_code`
/// and `err_msg` (once seen as `error_code`), or plain text.
struct Detail {
    code: Option<String>,
    message: Option<String>,
}

impl Detail {
    fn of(reply: &HttpReply) -> Self {
        let body = reply.json().unwrap_or(Value::Null);
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let code = text("err_code").or_else(|| text("error_code")).or_else(|| text("category"));
        let message = match (text("err_msg"), text("message"), text("details")) {
            (Some(message), _, _) => Some(message.to_owned()),
            (None, Some(message), Some(details)) => Some(format!("{message} {details}")),
            (None, message, details) => message.or(details).map(str::to_owned),
        };
        // A plain text may come as a JSON string.
        let message = message.or_else(|| body.as_str().map(str::to_owned));
        Self { code: code.map(str::to_owned), message }
    }
}

/// Whether a body is one of the provider's errors.
pub(super) fn is_error_body(body: &Value) -> bool {
    ["err_code", "error_code", "err_msg", "category"].iter().any(|name| body.get(name).is_some())
}

/// The answer to a paid call that brought nothing.
pub(super) fn failure(reply: &HttpReply, now: Timestamp) -> ProviderError {
    let http_status = reply.head.status;
    let detail = Detail::of(reply);
    let is_own = detail.code.is_some();
    let status = detail.code.unwrap_or_else(|| http_status.to_string());
    let message = detail.message.unwrap_or_else(|| reply.plain_reason());
    let words = message.to_lowercase();
    match http_status {
        _ if status == "ASR_PAYMENT_REQUIRED" => ProviderError::Quota { message },
        400 if words.contains("model") && MODEL_END_WORDS.iter().any(|end| words.contains(end)) => {
            ProviderError::ModelRetired { message }
        }
        401 | 403 => ProviderError::Unauthorized { message },
        402 => ProviderError::Quota { message },
        408 | 500 | 503 => ProviderError::Unavailable { message, status },
        429 => ProviderError::RateLimited { message, retry_after: reply.head.retry_after(Some(now)) },
        504 if is_own => ProviderError::WorkFailed { message, status, is_retryable: false },
        // Whoever answered here does not know what the server behind it did with the paid call.
        499 | 501..=599 => {
            ProviderError::UnknownOutcome { message: format!("HTTP {http_status}: {message}") }
        }
        400..=498 => ProviderError::Invalid { message, status },
        200..=299 => unreadable_acceptance(reply, "a short text came where media was expected"),
        _ => free_call_error(reply, message),
    }
}
