//! Pauses: jobs that are not begun for a while, of a workspace, at a provider, of an operation. What has been paid for
//! goes on, and a job whose time to start ends fails as it would without a pause.

use atelier_domain::Timestamp;
use atelier_domain::ids::WorkspaceId;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::pause::{PAUSE_LIMIT, Pause, PauseFacts};
use atelier_domain::ports::Held;
use atelier_domain::request::{Asker, FieldError, parse_pause};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tracing::info;

use crate::error::ApiError;
use crate::extract::{Caller, JobBody};
use crate::state::ApiState;
use crate::wire;

/// A pause as it is shown. What is null is not narrowed.
#[derive(Debug, Serialize)]
struct PauseView<'a> {
    workspace: Option<&'a WorkspaceId>,
    provider: Option<Provider>,
    operation: Option<Operation>,
    since: Timestamp,
    /// Told to operators only: to others it may be somebody else's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a WorkspaceId>,
    reason: Option<&'a str>,
    /// Jobs that it has held back, of all workspaces; for operators, and for pauses of one's own workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<u64>,
}

/// `GET /api/v1/media/pauses`: the pauses that concern the workspace; to an operator, all.
pub(super) async fn list(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
) -> Result<Response, ApiError> {
    let is_operator = state.settings.is_operator(&workspace);
    let all = state.pauses.pauses().await?;
    let shown: Vec<PauseView<'_>> = all
        .iter()
        .filter(|held| is_operator || held.pause.scope.concerns(&workspace))
        .map(|held| view(held, &workspace, is_operator))
        .collect();
    Ok(Json(wire::one(shown)).into_response())
}

/// `POST /api/v1/media/pauses`: from now on no such job is begun.
pub(super) async fn pause(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    JobBody { value, .. }: JobBody,
) -> Result<Response, ApiError> {
    let is_operator = state.settings.is_operator(&workspace);
    let asker = Asker { workspace: &workspace, is_operator };
    let (scope, reason) = parse_pause(&value, asker).map_err(|problems| ApiError::fields(&problems))?;
    let present = state.pauses.pauses().await?;
    if present.len() >= PAUSE_LIMIT && present.iter().all(|held| held.pause.scope != scope) {
        let problem = FieldError::new(
            "body",
            format!("would be one pause more than {PAUSE_LIMIT}"),
            "fewer and wider pauses; resume some first",
        );
        return Err(ApiError::fields(&[problem]));
    }
    let facts = PauseFacts { since: state.now()?, by: workspace.clone(), reason };
    let pause = Pause { scope, facts };
    state.pauses.pause(&pause).await?;
    info!(pause = %pause.scope, by = %workspace, "paused");
    let held = Held { pause, jobs: 0 };
    let shown = wire::one(view(&held, &workspace, is_operator));
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// `POST /api/v1/media/pauses/resume`: ends the pause of exactly this scope and queues what it has held.
pub(super) async fn resume(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    JobBody { value, .. }: JobBody,
) -> Result<Response, ApiError> {
    let asker = Asker { workspace: &workspace, is_operator: state.settings.is_operator(&workspace) };
    let (scope, _) = parse_pause(&value, asker).map_err(|problems| ApiError::fields(&problems))?;
    let Some(resumed) = state.pauses.resume(&scope).await? else {
        return Err(ApiError::NotFound { message: format!("there is no pause {scope}") });
    };
    info!(pause = %scope, by = %workspace, resumed, "resumed");
    Ok(Json(wire::one(json!({"resumed": resumed}))).into_response())
}

fn view<'a>(held: &'a Held, asker: &WorkspaceId, is_operator: bool) -> PauseView<'a> {
    let Pause { scope, facts } = &held.pause;
    let is_own = scope.workspace.as_ref() == Some(asker);
    PauseView {
        workspace: scope.workspace.as_ref(),
        provider: scope.provider,
        operation: scope.operation,
        since: facts.since,
        by: is_operator.then_some(&facts.by),
        reason: facts.reason.as_deref(),
        held: (is_operator || is_own).then_some(held.jobs),
    }
}
