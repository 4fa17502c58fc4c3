//! Errors as the caller sees them: `{"error": {"code", "message", "details"?}}`.

use std::error::Error as StdError;
use std::time::Duration;

use atelier_domain::error::chain;
use atelier_domain::ports::StoreUnavailable;
use atelier_domain::request::FieldError;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::error;

/// Problems of a request that the message spells out; `details` has all of them.
const SPELLED_OUT: usize = 3;

const JOB_STORE: &str = "the job store";

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The caller can correct it.
    BadRequest { message: String, details: Option<Value> },
    /// The caller can correct it; these fields are wrong.
    Invalid { problems: Vec<FieldError> },
    /// No key, or an unknown one.
    Unauthorized { message: &'static str },
    /// The key does not have the right.
    Forbidden { message: String },
    /// The key asks too often.
    TooManyRequests { message: String, wait: Duration },
    /// Not there, or not for this workspace; the two look the same.
    NotFound { message: String },
    /// Bytes of a file that it does not have.
    OutOfRange { size_bytes: u64 },
    /// Something behind the api does not answer. Nothing was accepted.
    Unavailable { message: String, details: Option<Value> },
    /// A fault of ours.
    Internal,
}

impl ApiError {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest { message: message.into(), details: None }
    }

    /// A refused request with all its problems.
    pub(crate) fn fields(problems: &[FieldError]) -> Self {
        Self::Invalid { problems: problems.to_vec() }
    }

    /// The same refusal, of a request that stands at `place` of a larger one.
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Self::Invalid { problems } => Self::Invalid {
                problems: problems.into_iter().map(|problem| problem.within(place)).collect(),
            },
            other @ (Self::BadRequest { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::TooManyRequests { .. }
            | Self::NotFound { .. }
            | Self::OutOfRange { .. }
            | Self::Unavailable { .. }
            | Self::Internal) => other,
        }
    }

    /// What stands below `error`.
    pub(crate) fn into_body(self) -> ErrorBody {
        let code = self.code();
        let (message, details) = match self {
            Self::BadRequest { message, details } | Self::Unavailable { message, details } => {
                (message, details)
            }
            Self::Invalid { problems } => (spelled_out(&problems), Some(json!({"fields": problems}))),
            Self::Unauthorized { message } => (message.to_owned(), None),
            Self::Forbidden { message }
            | Self::TooManyRequests { message, .. }
            | Self::NotFound { message } => (message, None),
            Self::OutOfRange { size_bytes } => {
                let message =
                    format!("the file has {size_bytes} bytes, and none in the range that was asked for");
                (message, Some(json!({"size_bytes": size_bytes})))
            }
            Self::Internal => ("a fault of this service; it has been recorded".to_owned(), None),
        };
        ErrorBody { code, message, details }
    }

    pub(crate) fn no_job() -> Self {
        Self::NotFound { message: "there is no such job in this workspace".to_owned() }
    }

    pub(crate) fn no_credential() -> Self {
        Self::NotFound { message: "there is no such credential in this workspace".to_owned() }
    }

    pub(crate) fn no_api_key() -> Self {
        Self::NotFound { message: "there is no such API key in this workspace".to_owned() }
    }

    pub(crate) fn no_asset() -> Self {
        Self::NotFound { message: "there is no such asset in this workspace".to_owned() }
    }

    pub(crate) fn no_file() -> Self {
        Self::NotFound { message: "the file of this asset is gone".to_owned() }
    }

    /// A store that does not answer. Logs the cause, which the caller does not see.
    pub(crate) fn unavailable(what: &'static str, cause: &(dyn StdError + 'static)) -> Self {
        error!(error = chain(cause), store = what, "a store does not answer");
        Self::away(what)
    }

    /// The job store did not take one of several jobs. The cause has been logged.
    pub(crate) fn job_store_unavailable() -> Self {
        Self::away(JOB_STORE)
    }

    fn away(what: &'static str) -> Self {
        Self::Unavailable {
            message: format!("{what} is not available; nothing was accepted or changed"),
            details: None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest { .. } | Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::OutOfRange { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } | Self::Invalid { .. } => "bad_request",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::TooManyRequests { .. } => "rate_limited",
            Self::NotFound { .. } => "not_found",
            Self::OutOfRange { .. } => "range_not_satisfiable",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal => "internal",
        }
    }
}

fn spelled_out(problems: &[FieldError]) -> String {
    let mut spelled: Vec<String> = problems.iter().take(SPELLED_OUT).map(ToString::to_string).collect();
    match problems.len().saturating_sub(SPELLED_OUT) {
        0 => {}
        1 => spelled.push("and 1 more problem, see details".to_owned()),
        more => spelled.push(format!("and {more} more problems, see details")),
    }
    spelled.join("; ")
}

impl From<StoreUnavailable> for ApiError {
    fn from(cause: StoreUnavailable) -> Self {
        Self::unavailable(JOB_STORE, &cause)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let wait = match &self {
            Self::TooManyRequests { wait, .. } => Some(wait.as_secs_f64().ceil().max(1.0)),
            Self::Unavailable { .. } => Some(1.0),
            Self::BadRequest { .. }
            | Self::Invalid { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::OutOfRange { .. }
            | Self::Internal => None,
        };
        let size_bytes = match &self {
            Self::OutOfRange { size_bytes } => Some(*size_bytes),
            _ => None,
        };
        let mut response = (status, Json(Envelope { error: self.into_body() })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = wait {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds as u64));
        }
        if let Some(size_bytes) = size_bytes
            && let Ok(value) = HeaderValue::from_str(&format!("bytes */{size_bytes}"))
        {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
        response
    }
}

#[derive(Serialize)]
struct Envelope {
    error: ErrorBody,
}

/// An error as the caller reads it.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}
