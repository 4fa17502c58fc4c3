//! `POST /api/v1/media/jobs/batch`: many jobs in one request, each with its own outcome.

use atelier_domain::Timestamp;
use atelier_domain::ids::WorkspaceId;
use atelier_domain::job::Job;
use atelier_domain::ports::{Admission, NewJob};
use atelier_domain::request::{BatchRequest, FieldError, ParsedRequest, parse_batch};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use futures::StreamExt as _;
use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{BatchBody, Caller, JobBody, take_inline};
use crate::observe::RequestTrace;
use crate::routes::jobs;
use crate::state::ApiState;
use crate::wire::{self, JobView};

/// Requests that wait for the stores at the same time, for the assets they name and the files they bring.
const READ_AT_ONCE: usize = 32;
/// Problems that are told of a batch that is all or nothing.
const PROBLEMS_LIMIT: usize = 50;

/// What became of the requests.
#[derive(Debug, Default, Serialize)]
struct Batch<'a> {
    /// New jobs.
    admitted: usize,
    /// Jobs of an earlier request with the same idempotency key and body.
    repeated: usize,
    /// Requests that became no job.
    refused: usize,
    /// One for each request, in their order.
    results: Vec<Outcome<'a>>,
}

/// `{"job": ...}` or `{"error": ...}`, as for a request that comes alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<'a> {
    Job(Box<JobView<'a>>),
    Error(ErrorBody),
}

/// 200 with one outcome for each request. Refused as a whole are only a wrong envelope, a batch of which the store takes
/// nothing, and one that is all or nothing and has a request that is wrong.
pub(super) async fn create(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    Extension(trace): Extension<RequestTrace>,
    headers: HeaderMap,
    BatchBody(value): BatchBody,
) -> Result<Response, ApiError> {
    if headers.contains_key("idempotency-key") {
        let problem = FieldError::new(
            "Idempotency-Key",
            "is a header, which would mean every job of the batch",
            "`idempotency_key` in each job",
        );
        return Err(ApiError::fields(&[problem]));
    }
    let BatchRequest { jobs: requests, is_all_or_nothing } =
        parse_batch(value).map_err(|problems| ApiError::fields(&problems))?;
    let now = state.now()?;
    let read: Vec<Result<ParsedRequest, ApiError>> = futures::stream::iter(requests.into_iter().enumerate())
        .map(|(place, request)| read_one(&state, &workspace, place, request, now))
        .buffered(READ_AT_ONCE)
        .collect()
        .await;
    let read = if is_all_or_nothing { all_of(read)? } else { read };
    let (mut new, mut spans) = (Vec::with_capacity(read.len()), Vec::with_capacity(read.len()));
    let mut refusals = Vec::with_capacity(read.len());
    for request in read {
        refusals.push(match request {
            Ok(parsed) => {
                let (job, span) = jobs::new_job(&state, workspace.clone(), parsed, &trace, now);
                new.push(job);
                spans.push(span);
                None
            }
            Err(refusal) => Some(refusal),
        });
    }
    let outcomes = admit(&state, &new).await?;
    let mut batch = Batch::default();
    let mut kept = new.iter().zip(&spans).zip(&outcomes);
    for (place, refusal) in refusals.into_iter().enumerate() {
        match refusal.map_or_else(|| kept.next().ok_or(ApiError::Internal), Err) {
            Ok(((new, span), Some(Admission::Created))) => {
                jobs::tell_admitted(&new.job, span);
                batch.admitted += 1;
                batch.add(&new.job);
            }
            Ok((_, Some(Admission::Repeated(first)))) => {
                batch.repeated += 1;
                batch.add(first);
            }
            Ok((_, Some(Admission::KeyReused(first)))) => {
                batch.refuse(jobs::key_reused(first, &format!("{}.idempotency_key", at(place))));
            }
            Ok((_, None)) => batch.refuse(ApiError::job_store_unavailable()),
            Err(refusal) => batch.refuse(refusal),
        }
    }
    Ok(Json(wire::one(batch)).into_response())
}

impl<'a> Batch<'a> {
    fn add(&mut self, job: &'a Job) {
        self.results.push(Outcome::Job(Box::new(wire::job(job))));
    }

    fn refuse(&mut self, refusal: ApiError) {
        self.refused += 1;
        self.results.push(Outcome::Error(refusal.into_body()));
    }
}

/// All requests, or the problems of all that are wrong. The store may still fail in between: then the outcomes say which
/// jobs there are.
fn all_of(
    read: Vec<Result<ParsedRequest, ApiError>>,
) -> Result<Vec<Result<ParsedRequest, ApiError>>, ApiError> {
    let mut problems = Vec::new();
    let mut parsed = Vec::with_capacity(read.len());
    for request in read {
        match request {
            Ok(request) => parsed.push(Ok(request)),
            Err(ApiError::Invalid { problems: found }) => problems.extend(found),
            Err(other) => return Err(other),
        }
    }
    problems.truncate(PROBLEMS_LIMIT);
    if problems.is_empty() { Ok(parsed) } else { Err(ApiError::fields(&problems)) }
}

/// One outcome a job; none for a job that the store did not take. An error when it took nothing at all.
async fn admit(state: &ApiState, new: &[NewJob]) -> Result<Vec<Option<Admission>>, ApiError> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let mut outcomes = Vec::with_capacity(new.len());
    let mut failure = None;
    for outcome in state.jobs.admit_many(new).await {
        match outcome {
            Ok(admission) => outcomes.push(Some(admission)),
            Err(cause) => {
                outcomes.push(None);
                failure.get_or_insert(cause);
            }
        }
    }
    // The cause is told once, however many jobs share it.
    match failure.map(ApiError::from) {
        Some(refusal) if outcomes.iter().all(Option::is_none) => Err(refusal),
        Some(_) | None => Ok(outcomes),
    }
}

/// One request of the batch.
async fn read_one(
    state: &ApiState,
    workspace: &WorkspaceId,
    place: usize,
    mut value: Value,
    now: Timestamp,
) -> Result<ParsedRequest, ApiError> {
    let read = async {
        let files = take_inline(&mut value, state.settings.attachment_limit_bytes)?.files;
        jobs::read(state, workspace, JobBody { value, files }, None, now).await
    };
    read.await.map_err(|refusal| refusal.within(&at(place)))
}

fn at(place: usize) -> String {
    format!("jobs[{place}]")
}
