//! Jobs: admission, reading, listing, cancelling.

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::operation::Step;
use atelier_domain::ports::{Admission, CancelOutcome, Idempotency, NewJob, Page, Walked};
use atelier_domain::request::{self, Attachment, FieldError, ParsedRequest, RequestContext};
use atelier_domain::trace::JobTrace;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use tracing::{Instrument as _, Span, info};

use crate::error::ApiError;
use crate::extract::{By, Caller, JobBody, ListQuery, PathId, WaitQuery};
use crate::observe::RequestTrace;
use crate::routes::inputs;
use crate::state::ApiState;
use crate::wire;

/// `POST /api/v1/media/jobs`: 201 with a new job, 200 with the same job for a repeated idempotency key.
pub(super) async fn create(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    Extension(trace): Extension<RequestTrace>,
    headers: HeaderMap,
    body: JobBody,
) -> Result<Response, ApiError> {
    let now = state.now()?;
    // A header that is no text reads as one with a sign that no key may have.
    let header =
        headers.get("idempotency-key").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let parsed = read(&state, &workspace, body, header.as_deref(), now).await?;
    admit(&state, workspace, parsed, &trace, now).await
}

/// `GET /api/v1/media/jobs/{id}`: the job; with `?wait=` as soon as it ends, or as it is when the wait is over.
pub(super) async fn show(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<JobId>,
    WaitQuery(wait): WaitQuery,
) -> Result<Response, ApiError> {
    let job = wait_for(&state, &workspace, &id, wait).await?.ok_or_else(ApiError::no_job)?;
    Ok(Json(wire::one(wire::job(&job))).into_response())
}

/// `GET /api/v1/media/jobs`: the workspace's jobs, newest first.
pub(super) async fn list(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    query: ListQuery,
) -> Result<Response, ApiError> {
    listed(&state, &workspace, &query).await
}

/// The part of a list that was asked for.
pub(super) async fn listed(
    state: &ApiState,
    workspace: &WorkspaceId,
    ListQuery { filter, by }: &ListQuery,
) -> Result<Response, ApiError> {
    match by {
        By::Page => {
            let Page { items, total, next } = state.jobs.jobs(workspace, filter).await?;
            let jobs = items.iter().map(wire::job).collect();
            Ok(Json(wire::page(jobs, total, filter.page, filter.limit, next)).into_response())
        }
        By::Cursor(behind) => {
            let Walked { items, next } = state.jobs.walk(workspace, filter, behind.as_ref()).await?;
            let jobs = items.iter().map(wire::job).collect();
            Ok(Json(wire::walked(jobs, filter.limit, next)).into_response())
        }
    }
}

/// `POST /api/v1/media/jobs/{id}/cancel`: the cancelled job. A body, if there is one, is not read.
pub(super) async fn cancel(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<JobId>,
) -> Result<Response, ApiError> {
    match state.jobs.cancel(&workspace, &id, state.now()?).await? {
        CancelOutcome::Cancelled(job) => {
            info!(job.id = %job.id, "job cancelled by its caller");
            state.telemetry.media(&job);
            Ok(Json(wire::one(wire::job(&job))).into_response())
        }
        CancelOutcome::AlreadyEnded(job) => Err(ApiError::BadRequest {
            message: format!("the job has ended and cannot be cancelled: it is {}", job.state),
            details: Some(json!({"job_id": job.id, "status": job.state})),
        }),
        CancelOutcome::Unknown => Err(ApiError::no_job()),
    }
}

/// Reads a request, and keeps the files that came with it.
pub(super) async fn read(
    state: &ApiState,
    workspace: &WorkspaceId,
    JobBody { value, files }: JobBody,
    idempotency_header: Option<&str>,
    now: Timestamp,
) -> Result<ParsedRequest, ApiError> {
    let looked = inputs::look(state, workspace, files, now).await?;
    let attachments: Vec<Attachment> = looked.iter().map(|file| file.attachment.clone()).collect();
    let context = RequestContext {
        now,
        catalogue: &state.catalogue,
        default_deadline_s: state.settings.default_deadline_s,
        exceptions: &state.exceptions,
        idempotency_header,
        attachments: &attachments,
    };
    let parsed = request::parse(&value, &context).map_err(|problems| ApiError::fields(&problems))?;
    inputs::check_assets(state, workspace, &parsed).await?;
    inputs::check_credential(state, workspace, &parsed).await?;
    inputs::stage(state, looked, workspace, now).await?;
    Ok(parsed)
}

/// The job of a read request, and its PRODUCER span, which is the parent of all that follows.
pub(super) fn new_job(
    state: &ApiState,
    workspace: WorkspaceId,
    parsed: ParsedRequest,
    trace: &RequestTrace,
    now: Timestamp,
) -> (NewJob, Span) {
    let (span, trace) = new_trace(state, trace);
    let ParsedRequest { spec, cost, warnings, idempotency_key, fingerprint, .. } = parsed;
    let id = state.jobs.new_job_id(&workspace, idempotency_key.as_deref());
    let mut job = Job::admitted(id, workspace, spec, cost, trace, now);
    job.body.warnings = warnings;
    let idempotency = idempotency_key.map(|key| Idempotency { key, fingerprint });
    (NewJob { job, idempotency }, span)
}

/// The PRODUCER span of a new job, and the trace that the job carries on.
pub(super) fn new_trace(state: &ApiState, trace: &RequestTrace) -> (Span, JobTrace) {
    let span = state.telemetry.send(Step::Submit);
    let trace = JobTrace {
        producer: state.telemetry.context_of(&span).unwrap_or(trace.context),
        tracestate: trace.tracestate.clone(),
        media_span_id: state.telemetry.fresh_span_id(),
        scheduled_by: None,
    };
    (span, trace)
}

/// The line in the log for a new job.
pub(super) fn tell_admitted(job: &Job, span: &Span) {
    let spec = &job.body.spec;
    span.in_scope(|| {
        info!(job.id = %job.id, media.operation = %spec.operation, provider.id = %spec.provider, "job admitted");
    });
}

/// The refusal of a key that became job `first` with another request; `field` is where the key was to stand.
pub(super) fn key_reused(first: &JobId, field: &str) -> ApiError {
    ApiError::BadRequest {
        message: format!("the idempotency key was used for another request, which became job {first}"),
        details: Some(json!({
            "fields": [FieldError::new(
                field,
                format!("was used for another request, which became job {first}"),
                "a new key for a new request, or the very same request",
            )],
            "job_id": first,
        })),
    }
}

/// Keeps the job.
async fn admit(
    state: &ApiState,
    workspace: WorkspaceId,
    parsed: ParsedRequest,
    trace: &RequestTrace,
    now: Timestamp,
) -> Result<Response, ApiError> {
    let (new, span) = new_job(state, workspace, parsed, trace, now);
    let job = new.job.clone();
    match state.jobs.admit(new).instrument(span.clone()).await? {
        Admission::Created => {
            tell_admitted(&job, &span);
            let location = [(LOCATION, format!("{}/{}", super::JOBS, job.id))];
            Ok((StatusCode::CREATED, location, Json(wire::one(wire::job(&job)))).into_response())
        }
        Admission::Repeated(first) => Ok(Json(wire::one(wire::job(&first))).into_response()),
        Admission::KeyReused(first) => Err(key_reused(&first, "idempotency_key")),
    }
}

/// The job as soon as it ends, or as it is when the wait is over.
pub(super) async fn wait_for(
    state: &ApiState,
    workspace: &WorkspaceId,
    id: &JobId,
    wait: Duration,
) -> Result<Option<Job>, ApiError> {
    if !wait.is_zero() {
        tokio::select! {
            // A process that ends does not keep callers waiting; they ask the next one.
            () = state.draining.cancelled() => {}
            job = state.jobs.wait_for_end(workspace, id, wait) => return Ok(job?),
        }
    }
    Ok(state.jobs.job(workspace, id).await?)
}
