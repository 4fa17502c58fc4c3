//! Assets: lists, facts, URLs for their bytes, removal.

use std::collections::{BTreeMap, BTreeSet};

use atelier_domain::Timestamp;
use atelier_domain::asset::Asset;
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::ports::AssetPage;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde_json::json;
use tracing::info;

use crate::error::ApiError;
use crate::extract::{AssetQuery, Caller, PathId, SignedUrlQuery};
use crate::state::ApiState;
use crate::wire;

/// Jobs read at the same time, for the prompts of a list.
const JOBS_AT_ONCE: usize = 16;

/// `GET /api/v1/assets`: the workspace's assets, newest first.
pub(super) async fn list(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    AssetQuery { filter, from, limit, is_void }: AssetQuery,
) -> Result<Response, ApiError> {
    let page = if is_void {
        AssetPage { total: Some(0), ..AssetPage::default() }
    } else {
        state.asset_book.assets(&workspace, &filter, &from, limit).await?
    };
    let prompts = prompts(&state, &workspace, &page.items).await?;
    Ok(Json(wire::assets(&page, &prompts, &from, limit)).into_response())
}

/// `GET /api/v1/assets/{id}`: the facts, with the prompt while the job is still kept.
pub(super) async fn show(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<AssetId>,
) -> Result<Response, ApiError> {
    let asset = find(&state, &workspace, &id).await?;
    let mut prompts = prompts(&state, &workspace, std::slice::from_ref(&asset)).await?;
    let prompt = prompts.pop().flatten();
    Ok(Json(wire::one(wire::asset(&asset, prompt.as_deref()))).into_response())
}

/// `DELETE /api/v1/assets/{id}`: 204. The record goes last, so that a removal that was cut short can be asked for again.
pub(super) async fn remove(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<AssetId>,
) -> Result<StatusCode, ApiError> {
    let asset = find(&state, &workspace, &id).await?;
    let removed = state.assets.remove(&asset.key).await;
    removed.map_err(|cause| ApiError::unavailable("the asset store", &cause))?;
    state.asset_book.forget(&workspace, std::slice::from_ref(&id)).await?;
    info!(asset.id = %id, "asset deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/assets/{id}/signed-url`: whoever holds the URL has the bytes, so that no cache may keep the answer.
pub(super) async fn signed_url(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<AssetId>,
    SignedUrlQuery(ttl): SignedUrlQuery,
) -> Result<Response, ApiError> {
    let asset = find(&state, &workspace, &id).await?;
    // The store signs by the clock of this host, so that is when the URL expires.
    let expires_at = Timestamp::now().checked_add(ttl).unwrap_or(Timestamp::MAX);
    let url = state.assets.signed_url(&asset, ttl).await;
    let url = url.map_err(|cause| ApiError::unavailable("the asset store", &cause))?;
    let data = json!({"url": url, "expires_at": wire::time(expires_at)});
    Ok(([(CACHE_CONTROL, "no-store")], Json(wire::one(data))).into_response())
}

/// The asset, if it is one of this workspace.
pub(super) async fn find(state: &ApiState, workspace: &WorkspaceId, id: &AssetId) -> Result<Asset, ApiError> {
    state.jobs.asset(workspace, id).await?.ok_or_else(ApiError::no_asset)
}

/// The prompt of each asset, where its job is still kept.
async fn prompts(
    state: &ApiState,
    workspace: &WorkspaceId,
    assets: &[Asset],
) -> Result<Vec<Option<String>>, ApiError> {
    let of = |asset: &Asset| asset.made_by.as_ref().map(|made| made.job_id.clone());
    let jobs: BTreeSet<JobId> = assets.iter().filter_map(of).collect();
    let reading = stream::iter(jobs).map(|id| async move {
        let job = state.jobs.job(workspace, &id).await?;
        Ok::<_, ApiError>((id, job.and_then(|job| job.body.spec.prompt)))
    });
    let prompts: BTreeMap<JobId, Option<String>> =
        reading.buffer_unordered(JOBS_AT_ONCE).try_collect().await?;
    Ok(assets.iter().map(|asset| prompts.get(&of(asset)?).cloned().flatten()).collect())
}
