//! Doing a job again: as a new job, whether a caller names one that has ended or a dead letter is replayed.

use atelier_domain::ids::JobId;
use atelier_domain::job::Job;
use atelier_domain::ports::{Admission, Idempotency, NewJob};
use atelier_domain::state::State as JobState;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::StatusCode;
use http::header::LOCATION;
use serde_json::json;
use tracing::Instrument as _;

use crate::error::ApiError;
use crate::extract::{Caller, PathId};
use crate::observe::RequestTrace;
use crate::routes::jobs::{new_trace, tell_admitted};
use crate::state::ApiState;
use crate::wire;

/// The job that does another one again.
pub(super) enum Again {
    /// It has just been admitted.
    New(Box<Job>),
    /// It was admitted by an earlier request.
    Known(Box<Job>),
}

impl Again {
    pub(super) fn job(&self) -> &Job {
        match self {
            Self::New(job) | Self::Known(job) => job,
        }
    }
}

/// `POST /api/v1/media/jobs/{id}/retry`: 201 with a new job that does what a failed or cancelled one did not do. Safe to
/// repeat: within a day a job is done again once, and a repeated request gets 200 with that job. A body, if there is
/// one, is not read.
pub(super) async fn retry(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    Extension(trace): Extension<RequestTrace>,
    PathId(id): PathId<JobId>,
) -> Result<Response, ApiError> {
    let job = state.jobs.job(&workspace, &id).await?.ok_or_else(ApiError::no_job)?;
    match job.state {
        JobState::Failed | JobState::Cancelled => {}
        JobState::Succeeded => return Err(refused(&job, "it has succeeded; a new request makes it again")),
        JobState::Uncertain => {
            return Err(refused(&job, "its paid call may have arrived; resolve it first, or cancel it"));
        }
        JobState::Queued | JobState::Submitting | JobState::Awaiting | JobState::Delivering => {
            return Err(refused(&job, "it has not ended; cancel it first"));
        }
    }
    match admit_again(&state, &job, &trace).await? {
        Again::New(job) => {
            let location = [(LOCATION, format!("{}/{}", super::JOBS, job.id))];
            Ok((StatusCode::CREATED, location, Json(wire::one(wire::job(&job)))).into_response())
        }
        Again::Known(job) => Ok(Json(wire::one(wire::job(&job))).into_response()),
    }
}

fn refused(job: &Job, why: &str) -> ApiError {
    ApiError::BadRequest {
        message: format!("the job is {} and cannot be retried: {why}", job.state),
        details: Some(json!({"job_id": job.id, "status": job.state})),
    }
}

/// Admits a job that does `first` again, and takes `first` out of the dead letters. A job is done again once a day,
/// however often this is asked for: whatever failed in between is made good by a repeat.
pub(super) async fn admit_again(
    state: &ApiState,
    first: &Job,
    trace: &RequestTrace,
) -> Result<Again, ApiError> {
    let (span, trace) = new_trace(state, trace);
    let workspace = &first.body.workspace_id;
    // No caller can use this key: theirs are printable.
    let idempotency = Idempotency { key: format!("\u{1}replay of {}", first.id), fingerprint: [0; 16] };
    let id = state.jobs.new_job_id(workspace, Some(&idempotency.key));
    let mut job = first.replayed(id, trace, state.now()?);
    if first.body.unknown_since().is_some() {
        job.body.warnings.push(format!(
            "nobody knows whether a paid call of job {} arrived; if it did, the work is paid for twice",
            first.id
        ));
    }
    let new = NewJob { job: job.clone(), idempotency: Some(idempotency) };
    let again = match state.jobs.admit(new).instrument(span.clone()).await? {
        Admission::Created => {
            tell_admitted(&job, &span);
            Again::New(Box::new(job))
        }
        Admission::Repeated(known) => Again::Known(known),
        // The fingerprint is always the same: the job that has the key was forgotten in this moment.
        Admission::KeyReused(_) => return Err(ApiError::job_store_unavailable()),
    };
    state.jobs.strike(workspace, std::slice::from_ref(&first.id)).await?;
    Ok(again)
}
