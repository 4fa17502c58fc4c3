//! A JSON body within its limits of size and time.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::error::ApiError;
use crate::state::ApiState;

/// A refused body is read on up to so many times the limit: closing on a caller that still sends would lose the answer.
const DRAINED_LIMITS: usize = 8;

/// A parsed body. All refusals are 400: the published clients repeat a request after 413, 415 or 422.
pub(crate) struct JsonBody(pub Value);

impl FromRequest<ApiState> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let limit = state.settings.body_limit_bytes;
        let announced = number(&parts.headers, CONTENT_LENGTH.as_str());
        let waits_for_consent = parts.headers.contains_key(EXPECT);
        let drained = limit.saturating_mul(DRAINED_LIMITS);
        if announced.is_some_and(|length| length > drained || (length > limit && waits_for_consent)) {
            return Err(too_large(limit));
        }
        let timeout = state.settings.body_timeout();
        let bytes = tokio::time::timeout(timeout, read(body, limit, drained)).await.map_err(|_| {
            ApiError::bad_request(format!("the body did not arrive within {} seconds", timeout.as_secs_f64()))
        })??;
        check_content_type(&parts.headers)?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(ApiError::bad_request("the body is empty; a JSON object was expected"));
        }
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::bad_request(format!("the body is not valid JSON: {error}")))?;
        Ok(Self(value))
    }
}

async fn read(mut body: Body, limit: usize, drained: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut length = 0usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= limit {
            bytes.extend_from_slice(&data);
        } else if length > drained {
            break;
        }
    }
    if length > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::bad_request(format!("the body is larger than the limit of {limit} bytes"))
}

fn number(headers: &HeaderMap, name: &str) -> Option<usize> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// JSON, or nothing said.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = atelier_domain::asset::essence(&String::from_utf8_lossy(value.as_bytes()));
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(ApiError::bad_request("the header `Content-Type` must be application/json"))
}
