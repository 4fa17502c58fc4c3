//! The media span: one CLIENT span a job, written when the job has ended, from what the job knows of itself.

use std::time::SystemTime;

use atelier_domain::job::Job;
use atelier_domain::money::CostSource;
use atelier_domain::operation::{MediaKind, Operation};
use atelier_domain::state::State;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::scope::Scope;
use super::{ids, names, prompt, propagation};
use crate::settings::CapturePrompts;

/// More assets than this are not named on the span.
const URL_LIMIT: usize = 16;

/// What of a job may be shown, and where its assets are.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) capture: CapturePrompts,
    pub(super) prompt_limit_bytes: usize,
    pub(super) bucket: Option<String>,
}

/// Writes the span below the job's producer, with the id that was promised at admission. A producer that was not
/// sampled has none.
pub(super) fn write(job: &Job, view: &View, scope: &Scope) {
    let trace = &job.body.trace;
    let producer = propagation::remote(trace.producer, trace.tracestate.as_deref());
    if !producer.is_sampled() || producer.trace_id() == TraceId::INVALID {
        return;
    }
    let start = SystemTime::from(job.body.started_at.unwrap_or(job.body.created_at));
    let end = SystemTime::from(job.body.completed_at.unwrap_or(job.changed_at)).max(start);
    let builder = SpanBuilder::from_name(name(job))
        .with_kind(SpanKind::Client)
        .with_start_time(start)
        .with_attributes(attributes(job, view));
    let parent = scope.within(&propagation::below(producer));
    let mut span = ids::with_span_id(SpanId::from(trace.media_span_id), || {
        builder.start_with_context(&scope.tracer, &parent)
    });
    span.set_status(status(job, view));
    span.end_with_timestamp(end);
}

fn name(job: &Job) -> String {
    format!("{} {}", job.body.spec.operation.gen_ai_name(), job.body.spec.model)
}

/// A failure is an error; its description may quote the prompt and is shown only where the prompt is.
fn status(job: &Job, view: &View) -> Status {
    match (job.state, &job.body.error) {
        (State::Failed, Some(error)) => {
            let may_show = prompt::stricter(view.capture, job.body.spec.capture_prompt) == CapturePrompts::On;
            Status::error(if may_show { error.message.clone() } else { error.code.as_str().to_owned() })
        }
        (State::Failed, None) => Status::error(""),
        (
            State::Queued
            | State::Submitting
            | State::Awaiting
            | State::Delivering
            | State::Uncertain
            | State::Succeeded
            | State::Cancelled,
            _,
        ) => Status::Unset,
    }
}

fn attributes(job: &Job, view: &View) -> Vec<KeyValue> {
    let mut list = of_request(job);
    list.extend(of_prompt(job, view));
    list.extend(of_provider(job));
    list.extend(of_outputs(job, view));
    list.extend(of_cost(job));
    list
}

fn of_request(job: &Job) -> Vec<KeyValue> {
    let spec = &job.body.spec;
    let mut list = vec![
        KeyValue::new(names::MEDIA_KIND, job.media_kind().as_str()),
        KeyValue::new(names::MEDIA_OPERATION, spec.operation.as_str()),
        KeyValue::new(names::MEDIA_JOB_ID, job.id.to_string()),
        KeyValue::new(names::MEDIA_JOB_STATUS, job.state.as_str()),
        KeyValue::new(names::MEDIA_ATTEMPT, i64::from(job.body.attempts)),
        KeyValue::new(names::MEDIA_POLL_COUNT, i64::from(job.checks)),
        KeyValue::new(
            names::MEDIA_INPUT_COUNT,
            i64::try_from(usize::from(spec.input.is_some()) + spec.files.len()).unwrap_or(i64::MAX),
        ),
        KeyValue::new(super::WORKSPACE_ID, job.body.workspace_id.to_string()),
        KeyValue::new(names::GEN_AI_OPERATION_NAME, spec.operation.gen_ai_name()),
        KeyValue::new(names::GEN_AI_PROVIDER_NAME, spec.provider.as_str()),
        KeyValue::new(names::GEN_AI_REQUEST_MODEL, spec.model.clone()),
        KeyValue::new(names::GEN_AI_OUTPUT_TYPE, output_type(spec.operation)),
    ];
    if let Some(seed) = spec.config.get("seed").and_then(serde_json::Value::as_i64) {
        list.push(KeyValue::new(names::GEN_AI_REQUEST_SEED, seed));
    }
    list
}

fn of_prompt(job: &Job, view: &View) -> Vec<KeyValue> {
    let Some(text) = &job.body.spec.prompt else { return Vec::new() };
    let characters = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let mut list = vec![KeyValue::new(names::MEDIA_PROMPT_LENGTH, characters)];
    let choice = prompt::stricter(view.capture, job.body.spec.capture_prompt);
    match prompt::shown(text, choice, view.prompt_limit_bytes) {
        prompt::Shown::Nothing => {}
        prompt::Shown::Digest(digest) => list.push(KeyValue::new(names::MEDIA_PROMPT_SHA256, digest)),
        prompt::Shown::Text(text) => list.push(KeyValue::new(names::MEDIA_PROMPT, text)),
    }
    list
}

fn of_provider(job: &Job) -> Vec<KeyValue> {
    let mut list = Vec::new();
    if let Some(remote) = &job.body.remote {
        list.push(KeyValue::new(names::MEDIA_PROVIDER_JOB_ID, remote.id.clone()));
        list.push(KeyValue::new(names::GEN_AI_RESPONSE_ID, remote.id.clone()));
    }
    if let Some(status) = &job.body.provider_status {
        list.push(KeyValue::new(names::MEDIA_PROVIDER_STATUS, status.clone()));
    }
    if let (State::Failed, Some(error)) = (job.state, &job.body.error) {
        list.push(KeyValue::new(names::ERROR_TYPE, error.code.as_str()));
    }
    list
}

fn of_outputs(job: &Job, view: &View) -> Vec<KeyValue> {
    let assets = &job.body.assets;
    let Some(first) = assets.first() else { return Vec::new() };
    let size_bytes: u64 = assets.iter().map(|asset| asset.size_bytes).sum();
    let mut list = vec![
        KeyValue::new(names::MEDIA_OUTPUT_COUNT, i64::try_from(assets.len()).unwrap_or(i64::MAX)),
        KeyValue::new(names::MEDIA_OUTPUT_CONTENT_TYPE, first.content_type.clone()),
        KeyValue::new(names::MEDIA_OUTPUT_SIZE_BYTES, i64::try_from(size_bytes).unwrap_or(i64::MAX)),
    ];
    if let Some(bucket) = &view.bucket {
        let url = |key: &str| format!("s3://{bucket}/{key}");
        list.push(KeyValue::new(names::MEDIA_OUTPUT_URL, url(&first.key)));
        if assets.len() > 1 {
            let urls =
                assets.iter().take(URL_LIMIT).map(|asset| StringValue::from(url(&asset.key))).collect();
            list.push(KeyValue::new(names::MEDIA_OUTPUT_URLS, Value::Array(Array::String(urls))));
        }
    }
    list
}

fn of_cost(job: &Job) -> Vec<KeyValue> {
    let cost = &job.body.cost;
    let source = match cost.source {
        CostSource::Table => "table",
        CostSource::Provider => "provider",
        CostSource::Unknown => "unknown",
    };
    let mut list = vec![
        KeyValue::new(names::MEDIA_COST_ESTIMATED_USD, cost.estimated.as_usd()),
        KeyValue::new(names::MEDIA_COST_SOURCE, source),
    ];
    if let Some(actual) = cost.actual {
        list.push(KeyValue::new(names::MEDIA_COST_ACTUAL_USD, actual.as_usd()));
    }
    if let Some((unit, quantity)) = usage(job) {
        list.push(KeyValue::new(names::MEDIA_USAGE_UNIT, unit));
        list.push(KeyValue::new(names::MEDIA_USAGE_QUANTITY, quantity));
    }
    list
}

/// What a job that succeeded used, where it can be told from the job. How long a transcribed recording was cannot.
fn usage(job: &Job) -> Option<(&'static str, f64)> {
    if job.state != State::Succeeded {
        return None;
    }
    let spec = &job.body.spec;
    match spec.operation {
        Operation::Tts => spec.prompt.as_ref().map(|text| ("character", text.chars().count() as f64)),
        Operation::Stt => None,
        Operation::ImageGen | Operation::ImageEdit => Some(("image", job.body.assets.len() as f64)),
        Operation::VideoGen | Operation::VideoFromImage => {
            let lengths = job.body.assets.iter().filter_map(|asset| asset.media.duration_ms);
            let made_ms: u64 = lengths.sum();
            if made_ms > 0 {
                return Some(("second", made_ms as f64 / 1000.0));
            }
            let duration = spec.config.get("duration")?;
            let text = || duration.as_str().and_then(|text| text.trim_end_matches('s').parse().ok());
            duration.as_f64().or_else(text).map(|seconds| ("second", seconds))
        }
    }
}

fn output_type(operation: Operation) -> &'static str {
    match (operation, operation.media_kind()) {
        (Operation::Stt, _) => "text",
        (_, MediaKind::Speech) => "speech",
        (_, MediaKind::Image) => "image",
        (_, MediaKind::Video) => "video",
    }
}
