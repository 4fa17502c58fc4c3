//! The media span: what it says of a job, and when it says the prompt.

use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::job::Job;
use atelier_domain::operation::Operation;
use atelier_domain::ports::Telemetry as _;
use atelier_domain::state::State;
use atelier_runtime::settings::{CapturePrompts, TelemetrySettings};
use atelier_runtime::telemetry::init_for_tests;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};

use crate::support::{Lines, PROMPT, attribute, job, producer, span, succeeded};

/// `printf '%s' "$PROMPT" | sha256sum`
const PROMPT_SHA256: &str = "aea3282a29e681cc5e5afabf3ea0289d67a5a3e56c6fadb32330a5f36787555e";
const MEDIA_SPAN_ID: u64 = 0x00ab_cdef_0123_4567;

fn video() -> Job {
    job(producer(true), MEDIA_SPAN_ID)
}

/// The media span of the job under these settings.
fn written(job: &Job, settings: &TelemetrySettings, bucket: Option<&str>) -> SpanData {
    let exporter = InMemorySpanExporter::default();
    let (guard, _dispatch) =
        init_for_tests("atelier-worker", bucket, settings, exporter.clone(), Lines::default()).unwrap();
    guard.telemetry().media(job);
    let name = format!("{} {}", job.body.spec.operation.gen_ai_name(), job.body.spec.model);
    span(&exporter, &name)
}

fn captured(process: CapturePrompts, job_allows: bool) -> [Option<String>; 3] {
    let mut job = succeeded(video(), 1);
    job.body.spec.capture_prompt = job_allows;
    let span = written(&job, &TelemetrySettings { capture_prompts: process, ..Default::default() }, None);
    if (process, job_allows) != (CapturePrompts::On, true) {
        assert!(!format!("{span:?}").contains(PROMPT), "the prompt leaks: {span:?}");
    }
    ["media.prompt", "media.prompt.sha256", "media.prompt.length"].map(|name| attribute(&span, name))
}

#[test]
fn the_prompt_is_shown_only_where_process_and_job_both_allow_it() {
    let length = || Some("22".to_owned());
    assert_eq!(captured(CapturePrompts::On, true), [Some(PROMPT.to_owned()), None, length()]);
    assert_eq!(captured(CapturePrompts::Hash, true), [None, Some(PROMPT_SHA256.to_owned()), length()]);
    for process in [CapturePrompts::On, CapturePrompts::Hash, CapturePrompts::Off] {
        assert_eq!(captured(process, false), [None, None, length()], "{process:?}");
    }
    assert_eq!(captured(CapturePrompts::Off, true), [None, None, length()]);
}

#[test]
fn a_long_prompt_is_cut_and_marked() {
    let settings = TelemetrySettings { prompt_limit_bytes: 6, ..TelemetrySettings::default() };
    let span = written(&succeeded(video(), 1), &settings, None);
    assert_eq!(attribute(&span, "media.prompt").as_deref(), Some("a very... [cut]"));
    assert_eq!(attribute(&span, "media.prompt.length").as_deref(), Some("22"));
}

#[test]
fn the_media_span_has_the_promised_id_the_true_times_and_all_that_the_job_knows() {
    let job = succeeded(video(), 1);
    let span = written(&job, &TelemetrySettings::default(), Some("media"));
    assert_eq!(span.span_context.span_id(), SpanId::from(MEDIA_SPAN_ID));
    assert_eq!(span.parent_span_id, SpanId::from(producer(true).span_id));
    assert_eq!((span.span_kind.clone(), span.status.clone()), (SpanKind::Client, Status::Unset));
    assert_eq!(span.end_time.duration_since(span.start_time).unwrap().as_secs(), 90);
    let (id, url) = (job.id.to_string(), format!("s3://media/{}", job.body.assets[0].key));
    let wanted = [
        ("media.kind", "video"),
        ("media.operation", "video_from_image"),
        ("media.job.id", &id),
        ("media.job.status", "succeeded"),
        ("media.provider.job_id", "task-1"),
        ("gen_ai.response.id", "task-1"),
        ("media.provider.status", "SUCCEEDED"),
        ("media.attempt", "1"),
        ("media.poll.count", "3"),
        ("media.prompt", PROMPT),
        ("media.input.count", "1"),
        ("media.output.count", "1"),
        ("media.output.url", &url),
        ("media.output.content_type", "video/mp4"),
        ("media.output.size_bytes", "1000"),
        ("media.usage.unit", "second"),
        ("media.usage.quantity", "5"),
        ("media.cost.estimated_usd", "0.25"),
        ("media.cost.actual_usd", "0.24"),
        ("media.cost.source", "provider"),
        ("workspace.id", "acme"),
        ("gen_ai.operation.name", "generate_video"),
        ("gen_ai.provider.name", "runway"),
        ("gen_ai.request.model", "gen4_turbo"),
        ("gen_ai.request.seed", "7"),
        ("gen_ai.output.type", "video"),
    ];
    for (name, value) in wanted {
        assert_eq!(attribute(&span, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(attribute(&span, "error.type"), None);
    let shown = format!("{span:?}");
    assert!(!shown.contains("example.com") && !shown.contains("token=secret"), "an input URL leaks: {shown}");
}

#[test]
fn several_assets_are_named_beside_the_first() {
    let job = succeeded(video(), 3);
    let span = written(&job, &TelemetrySettings::default(), Some("media"));
    assert_eq!(attribute(&span, "media.output.count").as_deref(), Some("3"));
    assert_eq!(attribute(&span, "media.output.size_bytes").as_deref(), Some("3000"));
    let first = format!("s3://media/{}", job.body.assets[0].key);
    assert_eq!(attribute(&span, "media.output.url"), Some(first));
    let urls = attribute(&span, "media.output.urls").unwrap();
    assert_eq!(urls.matches("s3://media/").count(), 3, "{urls}");
}

#[test]
fn a_failure_is_an_error_with_its_class_and_its_text_only_where_the_prompt_may_stand() {
    let mut job = succeeded(video(), 0);
    job.state = State::Failed;
    job.body.error = Some(JobError::new(ErrorCode::Rejected, format!("refused: {PROMPT}")));
    let span = written(&job, &TelemetrySettings::default(), None);
    assert_eq!(span.status, Status::error(format!("refused: {PROMPT}")));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("rejected"));
    assert_eq!(attribute(&span, "media.usage.unit"), None);
    let quiet = TelemetrySettings { capture_prompts: CapturePrompts::Off, ..TelemetrySettings::default() };
    let span = written(&job, &quiet, None);
    assert_eq!(span.status, Status::error("rejected"));
    assert!(!format!("{span:?}").contains(PROMPT));
}

#[test]
fn a_cancelled_job_is_no_error_and_one_that_never_began_starts_at_its_admission() {
    let mut job = video();
    job.state = State::Cancelled;
    job.body.completed_at = Some(job.body.created_at + std::time::Duration::from_secs(1));
    let span = written(&job, &TelemetrySettings::default(), None);
    assert_eq!(span.status, Status::Unset);
    assert_eq!(attribute(&span, "media.job.status").as_deref(), Some("cancelled"));
    assert_eq!(span.end_time.duration_since(span.start_time).unwrap().as_secs(), 1);
}

#[test]
fn usage_is_counted_in_the_unit_of_the_operation() {
    let of = |operation, assets| {
        let mut job = succeeded(video(), assets);
        job.body.spec.operation = operation;
        let span = written(&job, &TelemetrySettings::default(), None);
        ["media.usage.unit", "media.usage.quantity", "gen_ai.output.type"].map(|name| attribute(&span, name))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of(Operation::Tts, 1), [some("character"), some("22"), some("speech")]);
    assert_eq!(of(Operation::ImageGen, 4), [some("image"), some("4"), some("image")]);
    assert_eq!(of(Operation::Stt, 0), [None, None, some("text")]);
}

#[test]
fn a_producer_that_was_not_sampled_gets_no_media_span() {
    let exporter = InMemorySpanExporter::default();
    let settings = TelemetrySettings::default();
    let (guard, _dispatch) =
        init_for_tests("atelier-worker", None, &settings, exporter.clone(), Lines::default()).unwrap();
    guard.telemetry().media(&succeeded(job(producer(false), 1), 1));
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 0);
}
