//! Dead letters: jobs that failed as `exhausted`. They can be listed, done again as new jobs, and purged.

use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::ports::{Among, JobFilter};
use atelier_domain::request::{SELECTION_LIMIT, Selection, parse_selection};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::json;
use tracing::info;

use crate::error::ApiError;
use crate::extract::{Caller, JobBody, ListQuery};
use crate::observe::RequestTrace;
use crate::routes::jobs;
use crate::routes::retry::admit_again;
use crate::state::ApiState;
use crate::wire;

/// Jobs read from the store at once.
const PAGE: u32 = 100;

/// A dead letter and the job that does it again.
#[derive(Debug, Serialize)]
struct Replayed {
    job_id: JobId,
    new_job_id: JobId,
}

/// `GET /api/v1/media/dead-letters`: the workspace's dead letters, newest first.
pub(super) async fn list(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    ListQuery { filter, by }: ListQuery,
) -> Result<Response, ApiError> {
    let filter = JobFilter { among: Among::DeadLetters, states: Vec::new(), ..filter };
    jobs::listed(&state, &workspace, &ListQuery { filter, by }).await
}

/// `POST /api/v1/media/dead-letters/replay`: each selected one becomes a new job and leaves the list. Safe to repeat: a
/// letter becomes one new job, however often it is replayed within a day.
pub(super) async fn replay(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    Extension(trace): Extension<RequestTrace>,
    JobBody { value, .. }: JobBody,
) -> Result<Response, ApiError> {
    let selection = parse_selection(&value).map_err(|problems| ApiError::fields(&problems))?;
    let Selected { letters, missing } = select(&state, &workspace, &selection).await?;
    let mut replayed = Vec::with_capacity(letters.len());
    for letter in &letters {
        let new_job_id = admit_again(&state, letter, &trace).await?.job().id.clone();
        replayed.push(Replayed { job_id: letter.id.clone(), new_job_id });
    }
    info!(count = replayed.len(), "dead letters replayed");
    let remaining = remaining(&state, &workspace, &selection).await?;
    Ok(Json(wire::one(json!({"replayed": replayed, "missing": missing, "remaining": remaining})))
        .into_response())
}

/// `POST /api/v1/media/dead-letters/purge`: forgets the selected ones, records and all.
pub(super) async fn purge(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    JobBody { value, .. }: JobBody,
) -> Result<Response, ApiError> {
    let selection = parse_selection(&value).map_err(|problems| ApiError::fields(&problems))?;
    let Selected { letters, missing } = select(&state, &workspace, &selection).await?;
    let mut purged = Vec::with_capacity(letters.len());
    for letter in letters {
        if state.jobs.forget(&workspace, &letter.id).await? {
            purged.push(letter.id);
        }
    }
    info!(count = purged.len(), "dead letters purged");
    let remaining = remaining(&state, &workspace, &selection).await?;
    Ok(Json(wire::one(json!({"purged": purged, "missing": missing, "remaining": remaining}))).into_response())
}

struct Selected {
    letters: Vec<Job>,
    /// Named, but no dead letters of this workspace.
    missing: Vec<JobId>,
}

/// The selected letters, at most [`SELECTION_LIMIT`].
async fn select(
    state: &ApiState,
    workspace: &WorkspaceId,
    selection: &Selection,
) -> Result<Selected, ApiError> {
    let mut selected = Selected { letters: Vec::new(), missing: Vec::new() };
    match selection {
        Selection::Jobs(ids) => {
            for id in ids {
                match state.jobs.job(workspace, id).await?.filter(Job::is_dead_letter) {
                    Some(job) => selected.letters.push(job),
                    None => selected.missing.push(id.clone()),
                }
            }
        }
        Selection::Fitting { .. } => {
            for page in 1.. {
                let filter = JobFilter { page, limit: PAGE, ..filter_of(selection) };
                let mut items = state.jobs.jobs(workspace, &filter).await?.items;
                items.truncate(SELECTION_LIMIT - selected.letters.len());
                if items.is_empty() {
                    break;
                }
                selected.letters.extend(items);
            }
        }
    }
    Ok(selected)
}

fn filter_of(selection: &Selection) -> JobFilter {
    let filter = JobFilter { among: Among::DeadLetters, page: 1, limit: 1, ..JobFilter::default() };
    match selection {
        Selection::Jobs(_) => filter,
        Selection::Fitting { provider, operation } => {
            JobFilter { provider: *provider, operation: *operation, ..filter }
        }
    }
}

/// How many letters the selection still finds: a filter takes a bounded number at once.
async fn remaining(
    state: &ApiState,
    workspace: &WorkspaceId,
    selection: &Selection,
) -> Result<u64, ApiError> {
    match selection {
        Selection::Jobs(_) => Ok(0),
        Selection::Fitting { .. } => Ok(state.jobs.jobs(workspace, &filter_of(selection)).await?.total),
    }
}
