//! Who asks. Taken before anything of the body is read.

use std::sync::{Arc, OnceLock};

use atelier_domain::ids::WorkspaceId;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::error::ApiError;
use crate::state::ApiState;

/// The workspace of the caller's key.
pub(crate) struct Caller(pub WorkspaceId);

/// Where the workspace is left for the log line of the request.
#[derive(Clone, Default)]
pub(crate) struct Recognized(pub Arc<OnceLock<WorkspaceId>>);

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let Some(key) = key_of(&parts.headers) else {
            return Err(ApiError::Unauthorized {
                message: "an API key is needed: `X-API-Key: <key>` or `Authorization: Bearer <key>`",
            });
        };
        let Some(workspace) = state.keys.workspace_of(key) else {
            return Err(ApiError::Unauthorized { message: "the API key is not known" });
        };
        if let Some(recognized) = parts.extensions.get::<Recognized>() {
            recognized.0.get_or_init(|| workspace.clone());
        }
        Ok(Self(workspace.clone()))
    }
}

/// `X-API-Key` wins over `Authorization`: it is the header of the published clients.
fn key_of(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bearer = || {
        let (scheme, key) = text(AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    };
    text("x-api-key").or_else(bearer).filter(|key| !key.is_empty())
}
