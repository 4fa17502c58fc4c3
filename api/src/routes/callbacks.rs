//! What providers tell us unasked. A callback shortens a wait, and no more: whatever comes here, polling goes on.

use std::collections::BTreeMap;

use atelier_domain::ids::JobId;
use atelier_domain::job::{Epoch, Job};
use atelier_domain::operation::Provider;
use atelier_domain::ports::{CallbackRefusal, CallbackRequest, Finished, News, keep_finished};
use atelier_domain::state::State as JobState;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use serde_json::json;
use tracing::{info, warn};

use crate::error::ApiError;
use crate::state::ApiState;
use crate::wire;

/// Largest callback: the words of a long recording.
const LIMIT_BYTES: usize = 32 * 1024 * 1024;
/// Marks the spooled bytes of a callback, so that no claim's bytes are ever mixed with them.
const CALLBACK_EPOCH_BIT: u32 = 1 << 31;

/// What a callback did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The next check is due now.
    Hastened,
    /// The result was taken.
    Received,
    /// The job was uncertain, and now waits for this work.
    Adopted,
    /// The job does not wait for it, or it told nothing new.
    Nothing,
}

impl Effect {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hastened => "hastened",
            Self::Received => "received",
            Self::Adopted => "adopted",
            Self::Nothing => "nothing",
        }
    }
}

/// `POST /callbacks/{provider}/{job}/{token}`. An address that is not genuine looks as if there were none.
pub(super) async fn receive(
    State(state): State<ApiState>,
    Path((provider, job, token)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let nothing_here = || ApiError::NotFound { message: "there is no such callback".to_owned() };
    let provider: Provider = provider.parse().map_err(|_| nothing_here())?;
    let id: JobId = job.parse().map_err(|_| nothing_here())?;
    let addresses = state.callbacks.as_ref().ok_or_else(nothing_here)?;
    if !addresses.is_genuine(provider, &id, &token) {
        return Err(nothing_here());
    }
    let reading = tokio::time::timeout(state.settings.body_timeout(), to_bytes(body, LIMIT_BYTES)).await;
    let body =
        reading.map_err(|_| ApiError::bad_request("the body did not arrive in time"))?.map_err(|_| {
            ApiError::bad_request(format!("the body broke off or is larger than {LIMIT_BYTES} bytes"))
        })?;
    let request = CallbackRequest { headers: plain(&headers), body };
    let callback = state.judge.judge(provider, &request, state.now()?).await.map_err(|refusal| {
        warn!(job.id = %id, provider.id = %provider, reason = %refusal, "callback refused");
        match refusal {
            CallbackRefusal::NotExpected { .. } => nothing_here(),
            CallbackRefusal::NotGenuine { .. } => {
                ApiError::Unauthorized { message: "the callback's signature does not fit" }
            }
            CallbackRefusal::Unavailable { .. } => ApiError::Unavailable {
                message: "the callback cannot be judged now; it may be sent again".to_owned(),
                details: None,
            },
        }
    })?;
    let job = state.jobs.job_of_callback(&id).await?.ok_or_else(nothing_here)?;
    let job = match &callback.remote_id {
        Some(remote_id) if is_in_doubt(&job, provider) => {
            let news = &callback.news;
            let adopted = adopt(&state, job, remote_id).await?;
            if matches!(news, News::Progress | News::Ended) {
                return Ok(heard(&id, provider, Effect::Adopted));
            }
            adopted
        }
        Some(_) | None => job,
    };
    let is_awaited = is_awaited(&job, provider, callback.remote_id.as_deref());
    let effect = match callback.news {
        News::Ended if is_awaited && state.jobs.hasten(&id).await? => Effect::Hastened,
        News::Result(finished) if is_awaited => take_result(&state, job, finished).await?,
        News::Result(_) if is_early(&job, provider) => return Err(too_early()),
        News::Progress | News::Ended | News::Result(_) => Effect::Nothing,
    };
    Ok(heard(&id, provider, effect))
}

fn heard(id: &JobId, provider: Provider, effect: Effect) -> Response {
    info!(job.id = %id, provider.id = %provider, effect = effect.as_str(), "callback heard");
    Json(wire::one(json!({"effect": effect.as_str()}))).into_response()
}

/// Whether nobody knew until now what became of the job's paid call.
fn is_in_doubt(job: &Job, provider: Provider) -> bool {
    job.state == JobState::Uncertain && job.body.spec.provider == provider
}

/// The address of the callback was given to one job alone: the work that it names is that of the job's lost call.
async fn adopt(state: &ApiState, job: Job, remote_id: &str) -> Result<Job, ApiError> {
    let evidence = "the provider called back";
    let Ok(decision) = state.policy.adopted(job.clone(), remote_id, evidence, state.now()?) else {
        return Ok(job);
    };
    if state.jobs.decide(&job, decision.job, decision.next).await? {
        // As it is stored, with the epoch that the write gave it.
        return Ok(state.jobs.job_of_callback(&job.id).await?.unwrap_or(job));
    }
    Err(too_early())
}

/// Whether the job still waits for this provider's work of that name.
fn is_awaited(job: &Job, provider: Provider, remote_id: Option<&str>) -> bool {
    let remote = job.body.remote.as_ref().map(|remote| remote.id.as_str());
    job.state == JobState::Awaiting
        && job.body.spec.provider == provider
        && remote_id.is_none_or(|named| remote == Some(named))
}

/// Whether the worker may not have stored yet that the job waits for this provider.
fn is_early(job: &Job, provider: Provider) -> bool {
    job.body.spec.provider == provider && matches!(job.state, JobState::Submitting | JobState::Uncertain)
}

/// A paid result that cannot be asked for must not be lost to a race: the provider sends it again.
fn too_early() -> ApiError {
    ApiError::Unavailable {
        message: "the job does not wait for its result yet; it is to be sent again".to_owned(),
        details: None,
    }
}

/// The result came with the callback and cannot be asked for.
async fn take_result(state: &ApiState, job: Job, finished: Finished) -> Result<Effect, ApiError> {
    let epoch = Epoch(job.epoch.0 | CALLBACK_EPOCH_BIT);
    let kept = keep_finished(state.spool.as_ref(), &job.id, epoch, finished).await;
    let received = kept.map_err(|cause| ApiError::unavailable("the spool", &cause))?;
    let decision = state.policy.received_unasked(job.clone(), received, state.now()?);
    let Ok(decision) = decision else { return Ok(Effect::Nothing) };
    let is_written = state.jobs.decide(&job, decision.job, decision.next).await?;
    // A check came between.
    if is_written { Ok(Effect::Received) } else { Err(too_early()) }
}

fn plain(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}
