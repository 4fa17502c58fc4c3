//! `GET /api/v1/media/jobs/{id}/timeline`: what happened to a job, step by step.

use atelier_domain::ids::JobId;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use crate::error::ApiError;
use crate::extract::{Caller, PathId};
use crate::state::ApiState;
use crate::wire;

/// The timeline, from the job's record alone.
pub(super) async fn show(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<JobId>,
) -> Result<Response, ApiError> {
    let job = state.jobs.job(&workspace, &id).await?.ok_or_else(ApiError::no_job)?;
    let calls = job.paid_calls();
    Ok(Json(wire::one(wire::timeline::timeline(&job, &calls, state.now()?))).into_response())
}
