//! Assets: facts, and URLs for their bytes.

use atelier_domain::Timestamp;
use atelier_domain::asset::Asset;
use atelier_domain::ids::{AssetId, WorkspaceId};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CACHE_CONTROL;
use serde_json::json;

use crate::error::ApiError;
use crate::extract::{Caller, PathId};
use crate::state::ApiState;
use crate::wire;

/// `GET /api/v1/assets/{id}`: the facts, with the prompt while the job is still kept.
pub(super) async fn show(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<AssetId>,
) -> Result<Response, ApiError> {
    let asset = find(&state, &workspace, &id).await?;
    let job = state.jobs.job(&workspace, &asset.job_id).await?;
    let prompt = job.as_ref().and_then(|job| job.body.spec.prompt.as_deref());
    Ok(Json(wire::one(wire::asset(&asset, prompt))).into_response())
}

/// `GET /api/v1/assets/{id}/signed-url`: whoever holds the URL has the bytes, so that no cache may keep the answer.
pub(super) async fn signed_url(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<AssetId>,
) -> Result<Response, ApiError> {
    let asset = find(&state, &workspace, &id).await?;
    let ttl = state.settings.signed_url_ttl();
    // The store signs by the clock of this host, so that is when the URL expires.
    let expires_at = Timestamp::now().checked_add(ttl).unwrap_or(Timestamp::MAX);
    let url = state.assets.signed_url(&asset, ttl).await;
    let url = url.map_err(|cause| ApiError::unavailable("the asset store", &cause))?;
    let data = json!({"url": url, "expires_at": wire::time(expires_at)});
    Ok(([(CACHE_CONTROL, "no-store")], Json(wire::one(data))).into_response())
}

async fn find(state: &ApiState, workspace: &WorkspaceId, id: &AssetId) -> Result<Asset, ApiError> {
    state.jobs.asset(workspace, id).await?.ok_or_else(ApiError::no_asset)
}
