//! `GET` and `HEAD /api/v1/assets/{id}/content`: the bytes themselves, whole or in part, streamed from the asset store.

use atelier_domain::asset::Asset;
use atelier_domain::ids::AssetId;
use atelier_domain::ports::OpenedObject;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderName, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tracing::warn;

use super::assets::find;
use crate::error::ApiError;
use crate::extract::{Caller, PathId};
use crate::ranges::{self, Wanted};
use crate::state::ApiState;

/// 200 with the whole, 206 with a part, 304 for who has it, 416 for bytes that it does not have.
pub(super) async fn show(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<AssetId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asset = find(&state, &workspace, &id).await?;
    let etag = format!("\"{}\"", asset.sha256);
    if ranges::has_it(&headers, &etag) {
        return Ok(with_tag(StatusCode::NOT_MODIFIED.into_response(), &etag));
    }
    // A range is a matter of GET alone.
    let wanted = if method == Method::HEAD {
        Wanted::Whole
    } else {
        ranges::wanted(&headers, &etag, asset.size_bytes)
    };
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
        Wanted::Beyond => return Err(ApiError::OutOfRange { size_bytes: asset.size_bytes }),
    };
    let length_bytes = match &range {
        Some(range) => range.end() - range.start() + 1,
        None => asset.size_bytes,
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let opened = state.assets.open(&asset.key, range.clone()).await;
        let opened = opened.map_err(|cause| ApiError::unavailable("the asset store", &cause))?;
        body_of(&asset, opened.ok_or_else(ApiError::no_file)?, length_bytes)?
    };
    let mut response = with_tag((status, body).into_response(), &etag);
    put(&mut response, CONTENT_TYPE, &asset.content_type);
    put(&mut response, CONTENT_LENGTH, &length_bytes.to_string());
    put(&mut response, CONTENT_DISPOSITION, &asset.content_disposition());
    put(&mut response, ACCEPT_RANGES, "bytes");
    put(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if let Some(range) = range {
        let part = format!("bytes {}-{}/{}", range.start(), range.end(), asset.size_bytes);
        put(&mut response, CONTENT_RANGE, &part);
    }
    Ok(response)
}

/// The stream of an object. When it breaks off, the connection does, too: a caller sees that bytes are missing.
fn body_of(asset: &Asset, opened: OpenedObject, length_bytes: u64) -> Result<Body, ApiError> {
    if opened.length_bytes != length_bytes {
        let cause = std::io::Error::other("the object has another length than its record says");
        return Err(ApiError::unavailable("the asset store", &cause));
    }
    let id = asset.id.clone();
    Ok(Body::from_stream(opened.body.map(move |piece| {
        piece.inspect_err(|error| warn!(asset.id = %id, error = %error, "a download broke off"))
    })))
}

/// What never changes under its id may be kept by its caller, and is asked for again: it may have been deleted.
fn with_tag(mut response: Response, etag: &str) -> Response {
    put(&mut response, ETAG, etag);
    put(&mut response, CACHE_CONTROL, "private, no-cache");
    response
}

/// Sets a header; what cannot stand in one is left out.
fn put(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
