//! The Media Studio of older published clients: one call that makes one medium, and the list of models.

use atelier_domain::catalogue::Model;
use atelier_domain::ids::{AssetId, JobId};
use atelier_domain::job::Job;
use atelier_domain::money::{MicroUsd, PriceUnit};
use atelier_domain::operation::{MediaKind, Operation, Provider};
use atelier_domain::request::parse_generate;
use atelier_domain::state::State as JobState;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tracing::Instrument as _;

use crate::error::ApiError;
use crate::extract::{Caller, JobBody, StudioQuery};
use crate::observe::RequestTrace;
use crate::routes::jobs;
use crate::state::ApiState;
use crate::wire;

/// What was made. One fact has several names, because the published clients differ.
#[derive(Debug, Serialize)]
struct Generated<'a> {
    /// `completed`, or `pending` with a `job_id` to ask for.
    status: &'static str,
    job_id: &'a JobId,
    asset_id: Option<&'a AssetId>,
    url: Option<String>,
    asset_url: Option<String>,
    text_output: Option<&'a str>,
    content_type: Option<&'a str>,
    media_type: Operation,
    provider: Provider,
    model: &'a str,
    duration_ms: Option<i64>,
    cost: f64,
    metadata: Map<String, Value>,
    execution_id: Option<&'a str>,
    trace_id: String,
}

/// `POST /api/v1/media/generate`: a job, and its result where it comes within `api.max_wait_ms`. Videos are not waited for.
pub(super) async fn generate(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    Extension(trace): Extension<RequestTrace>,
    JobBody { value, files }: JobBody,
) -> Result<Response, ApiError> {
    let value = parse_generate(&value).map_err(|problems| ApiError::fields(&problems))?;
    let now = state.now()?;
    let parsed = jobs::read(&state, &workspace, JobBody { value, files }, None, now).await?;
    let (new, span) = jobs::new_job(&state, workspace.clone(), parsed, &trace, now);
    let job = new.job.clone();
    state.jobs.admit(new).instrument(span.clone()).await?;
    jobs::tell_admitted(&job, &span);
    let wait = match job.media_kind() {
        MediaKind::Speech | MediaKind::Image => state.settings.max_wait(),
        MediaKind::Video => std::time::Duration::ZERO,
    };
    let job = jobs::wait_for(&state, &workspace, &job.id, wait).await?.ok_or_else(ApiError::no_job)?;
    match job.state {
        JobState::Failed | JobState::Cancelled => Err(failed(&job)),
        JobState::Queued
        | JobState::Submitting
        | JobState::Awaiting
        | JobState::Delivering
        | JobState::Uncertain
        | JobState::Succeeded => Ok(Json(wire::one(generated(&state, &job).await?)).into_response()),
    }
}

/// 400 and never 5xx: the clients send a request again after those, and would pay again.
fn failed(job: &Job) -> ApiError {
    let message = job.body.error.as_ref().map_or("the job was cancelled", |error| error.message.as_str());
    ApiError::BadRequest {
        message: message.to_owned(),
        details: Some(json!({
            "job_id": job.id,
            "code": job.body.error.as_ref().map(|error| error.code),
            "status": job.state,
        })),
    }
}

async fn generated<'a>(state: &ApiState, job: &'a Job) -> Result<Generated<'a>, ApiError> {
    let body = &job.body;
    let asset = body.assets.first();
    let url = match asset {
        None => None,
        Some(asset) => {
            let signed = state.assets.signed_url(asset, state.settings.signed_url_ttl()).await;
            Some(signed.map_err(|cause| ApiError::unavailable("the asset store", &cause))?)
        }
    };
    let took = body.started_at.zip(body.completed_at);
    let metadata = asset.map(|asset| {
        let media = &asset.media;
        let facts = json!({
            "width": media.width, "height": media.height, "duration_ms": media.duration_ms, "seed": asset.seed,
        });
        facts.as_object().cloned().unwrap_or_default()
    });
    Ok(Generated {
        status: if job.state == JobState::Succeeded { "completed" } else { "pending" },
        job_id: &job.id,
        asset_id: asset.map(|asset| &asset.id),
        asset_url: url.clone(),
        url,
        text_output: body.text.as_deref(),
        content_type: asset.map(|asset| asset.content_type.as_str()),
        media_type: body.spec.operation,
        provider: body.spec.provider,
        model: &body.spec.model,
        duration_ms: took.map(|(from, to)| to.as_millisecond() - from.as_millisecond()),
        cost: body.cost.actual.unwrap_or(body.cost.estimated).as_usd(),
        metadata: metadata.unwrap_or_default(),
        execution_id: None,
        trace_id: body.trace.trace_id(),
    })
}

/// One model for one operation.
#[derive(Debug, Serialize)]
struct StudioModel<'a> {
    /// Made of provider, model and operation; stable.
    id: String,
    provider: Provider,
    model_id: &'a str,
    name: &'a str,
    display_name: String,
    media_type: Operation,
    category: MediaKind,
    unit_price: Option<f64>,
    unit_type: Option<PriceUnit>,
    is_active: bool,
    is_deprecated: bool,
    deprecated_at: Option<&'a str>,
    capabilities: Value,
    config_schema: Value,
    config: Map<String, Value>,
    created_at: Option<&'a str>,
    updated_at: Option<&'a str>,
}

/// `GET /api/v1/media-models`: the catalogue as the Studio shows it; `provider`, `media_type`, `is_active`.
pub(super) async fn models(
    State(state): State<ApiState>,
    Caller(_): Caller,
    query: StudioQuery,
) -> Result<Response, ApiError> {
    let all = state
        .catalogue
        .models()
        .flat_map(|model| model.operations.iter().map(move |operation| studio_model(model, *operation)));
    let fitting: Vec<StudioModel<'_>> = all
        .filter(|model| query.provider.is_none_or(|provider| model.provider == provider))
        .filter(|model| query.is_active.is_none_or(|is_active| model.is_active == is_active))
        .filter(|model| query.fits(model.media_type))
        .collect();
    let total = fitting.len() as u64;
    let skipped = (query.page.saturating_sub(1) as usize).saturating_mul(query.limit as usize);
    let shown = fitting.into_iter().skip(skipped).take(query.limit as usize).collect();
    Ok(Json(wire::many(shown, total, query.page, query.limit)).into_response())
}

fn studio_model(model: &Model, operation: Operation) -> StudioModel<'_> {
    let defaults =
        model.options.iter().filter_map(|(name, option)| Some((name.clone(), option.default.clone()?)));
    let price = model.price.as_ref();
    StudioModel {
        id: format!("{}:{}:{operation}", model.provider, model.id),
        provider: model.provider,
        model_id: &model.id,
        name: &model.id,
        display_name: format!("{} {}", model.provider, model.id),
        media_type: operation,
        category: operation.media_kind(),
        unit_price: price.map(|price| MicroUsd::as_usd(price.micro_usd)),
        unit_type: price.map(|price| price.unit),
        is_active: model.retired_on.is_none(),
        is_deprecated: model.retired_on.is_some(),
        deprecated_at: None,
        capabilities: json!({"prompt": model.prompt, "input": model.input, "retired_on": model.retired_on}),
        config_schema: json!(model.options),
        config: defaults.collect(),
        created_at: None,
        updated_at: None,
    }
}
