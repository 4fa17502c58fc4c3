//! Who asks. Taken before anything of the body is read.

use std::sync::{Arc, OnceLock};

use atelier_domain::ids::WorkspaceId;
use axum::extract::{FromRequestParts, MatchedPath};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::door::Visitor;
use crate::error::ApiError;
use crate::routes::right_of;
use crate::state::ApiState;

/// The workspace of the caller's key, which has the right that the route needs.
pub(crate) struct Caller(pub WorkspaceId);

/// The same, with all that is known of the key.
pub(crate) struct KeyHolder(pub Visitor);

/// Where the workspace is left for the log line of the request.
#[derive(Clone, Default)]
pub(crate) struct Recognized(pub Arc<OnceLock<WorkspaceId>>);

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let KeyHolder(visitor) = KeyHolder::from_request_parts(parts, state).await?;
        Ok(Self(visitor.workspace))
    }
}

impl FromRequestParts<ApiState> for KeyHolder {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let right = right_of(route, &parts.method);
        let visitor = state.visitor(key_of(&parts.headers), right).await?;
        if let Some(recognized) = parts.extensions.get::<Recognized>() {
            recognized.0.get_or_init(|| visitor.workspace.clone());
        }
        Ok(Self(visitor))
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
