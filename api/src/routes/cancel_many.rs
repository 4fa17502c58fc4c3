//! `POST /api/v1/media/jobs/cancel`: ends many jobs at once, a bounded number a call.

use atelier_domain::Timestamp;
use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::ports::{CancelOutcome, JobFilter, ListPlace};
use atelier_domain::request::{Cancellation, SELECTION_LIMIT, parse_cancellation};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tracing::info;

use crate::error::ApiError;
use crate::extract::{Caller, JobBody};
use crate::state::ApiState;
use crate::wire;

/// Jobs that are cancelled at the same time.
const AT_ONCE: usize = 32;
/// Jobs read from the store at once.
const READ: u32 = 100;
/// Walks over the list of one call. What they do not reach is left to the next call.
const WALKS: usize = 50;

/// What became of the jobs.
#[derive(Debug, Default, Serialize)]
struct Cancelled {
    /// Those that are cancelled now.
    cancelled: Vec<JobId>,
    /// Those that had ended before.
    already_ended: Vec<JobId>,
    /// Named, but no jobs of this workspace.
    unknown: Vec<JobId>,
    /// Whether there may be more that fit.
    more: bool,
    /// Where the next call goes on; null when there are no more.
    next_cursor: Option<String>,
}

/// 200 with what became of each job. Safe to repeat.
pub(super) async fn cancel(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    JobBody { value, .. }: JobBody,
) -> Result<Response, ApiError> {
    let wanted = parse_cancellation(&value).map_err(|problems| ApiError::fields(&problems))?;
    let now = state.now()?;
    let mut outcome = Cancelled::default();
    match wanted {
        Cancellation::Jobs(ids) => outcome.take(&state, &workspace, ids, now).await?,
        Cancellation::Fitting { filter, behind } => {
            let filter = JobFilter { limit: READ, ..*filter };
            let mut place = behind;
            for _ in 0..WALKS {
                let walked = state.jobs.walk(&workspace, &filter, place.as_ref()).await?;
                let ids = walked.items.into_iter().map(|job| job.id).collect();
                outcome.take(&state, &workspace, ids, now).await?;
                place = walked.next;
                if place.is_none() || outcome.count() + READ as usize > SELECTION_LIMIT {
                    break;
                }
            }
            outcome.more = place.is_some();
            outcome.next_cursor = place.as_ref().map(ListPlace::to_string);
        }
    }
    info!(count = outcome.cancelled.len(), "jobs cancelled by their caller");
    Ok(Json(wire::one(outcome)).into_response())
}

impl Cancelled {
    fn count(&self) -> usize {
        self.cancelled.len() + self.already_ended.len()
    }

    async fn take(
        &mut self,
        state: &ApiState,
        workspace: &WorkspaceId,
        ids: Vec<JobId>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let mut ending = futures::stream::iter(ids)
            .map(|id| async move {
                let outcome = state.jobs.cancel(workspace, &id, now).await;
                outcome.map(|outcome| (id, outcome))
            })
            .buffered(AT_ONCE);
        while let Some((id, outcome)) = ending.try_next().await? {
            match outcome {
                CancelOutcome::Cancelled(job) => {
                    state.telemetry.media(&job);
                    self.cancelled.push(id);
                }
                CancelOutcome::AlreadyEnded(_) => self.already_ended.push(id),
                CancelOutcome::Unknown => self.unknown.push(id),
            }
        }
        Ok(())
    }
}
