//! Uncertain jobs: a person who knows more ends the doubt.

use atelier_domain::ids::JobId;
use atelier_domain::policy::{Resolution, Unresolvable};
use atelier_domain::request::{FieldError, parse_resolution};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tracing::info;

use crate::error::ApiError;
use crate::extract::{Caller, JobBody, PathId};
use crate::state::ApiState;
use crate::wire;

/// `POST /api/v1/media/jobs/{id}/resolve`: adopts the provider's id, disproves the call, or gives the job up.
pub(super) async fn resolve(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<JobId>,
    JobBody { value, .. }: JobBody,
) -> Result<Response, ApiError> {
    let resolution = parse_resolution(&value).map_err(|problems| ApiError::fields(&problems))?;
    let before = state.jobs.job(&workspace, &id).await?.ok_or_else(ApiError::no_job)?;
    let provider = before.body.spec.provider;
    if matches!(resolution, Resolution::Adopt { .. }) && !provider.has_jobs() {
        return Err(ApiError::fields(&[FieldError::new(
            "decision",
            format!("is `adopt`, but {provider} answers at once and has no jobs to ask for"),
            "disprove or give_up",
        )]));
    }
    let is_over = !matches!(resolution, Resolution::Adopt { .. } | Resolution::Disprove);
    let decision = state.policy.resolve(before.clone(), resolution, state.now()?).map_err(|reason| {
        let status = match &reason {
            Unresolvable::NotUncertain { state } => *state,
            Unresolvable::Transition(refused) => refused.from,
        };
        ApiError::BadRequest {
            message: format!("{reason}; only uncertain jobs are resolved"),
            details: Some(json!({"job_id": before.id, "status": status})),
        }
    })?;
    let after = decision.job.clone();
    if !state.jobs.decide(&before, decision.job, decision.next).await? {
        return Err(ApiError::BadRequest {
            message: "the job has changed meanwhile; look at it again".to_owned(),
            details: Some(json!({"job_id": before.id})),
        });
    }
    info!(job.id = %after.id, from = %before.state, to = %after.state, "uncertain job resolved");
    if is_over {
        state.telemetry.media(&after);
    }
    Ok(Json(wire::one(wire::job(&after))).into_response())
}
