//! A job is one trace: parents, links, kinds and names, over real OTLP in both protocols.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_domain::operation::Step;
use atelier_domain::ports::Telemetry as _;
use atelier_domain::state::State;
use atelier_domain::trace::TraceParent;
use atelier_runtime::settings::{OtlpProtocol, TelemetrySettings};
use atelier_runtime::telemetry::{TelemetryError, TelemetryGuard, init, init_for_tests, prepare};
use mock_collector::{MockServer, Protocol};
use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::trace::InMemorySpanExporter;
use serde_json::Value;

use crate::support::{Lines, attribute, job, producer, span, succeeded};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The contexts of the spans of one job.
struct Way {
    send: TraceParent,
    submit: TraceParent,
    check: TraceParent,
    deliver: TraceParent,
    media_span_id: u64,
    job_id: String,
}

/// What three services do for one job. Runs under the dispatch of `guard`.
fn one_job(guard: &TelemetryGuard, caller: Option<TraceParent>) -> Way {
    let api = guard.telemetry();
    let worker = guard.service("atelier-worker", Some("media")).unwrap();
    let poller = guard.service("atelier-poller", None).unwrap();

    let request = api.request("POST", "/api/v1/media/jobs", caller);
    let (mut job, send) = request.in_scope(|| {
        let span = api.send(Step::Submit);
        let send = api.context_of(&span).unwrap();
        (job(send, api.fresh_span_id()), send)
    });
    request.record("http.response.status_code", 202);
    drop(request);

    let span = worker.step(&job, Step::Submit);
    let submit = worker.context_of(&span).unwrap();
    span.in_scope(|| {
        let call = tracing::info_span!("POST /v1/image_to_video", otel.kind = "client");
        call.in_scope(|| tracing::info!(job.id = %job.id, "accepted"));
    });
    drop(span);
    job.state = State::Awaiting;
    job.body.attempts = 1;
    job.body.trace.scheduled_by = Some(submit);

    let check = poller.context_of(&poller.step(&job, Step::Check)).unwrap();
    job.body.trace.scheduled_by = Some(check);
    let deliver = worker.context_of(&worker.step(&job, Step::Deliver)).unwrap();

    let media_span_id = job.body.trace.media_span_id;
    let job_id = job.id.to_string();
    worker.media(&succeeded(job, 1));
    Way { send, submit, check, deliver, media_span_id, job_id }
}

/// The spans that arrived, by name, as OTLP JSON with their service.
async fn over_otlp(otlp_protocol: OtlpProtocol, protocol: Protocol) -> (Way, BTreeMap<String, Value>) {
    let server = MockServer::builder().protocol(protocol).start().await.unwrap();
    let settings = TelemetrySettings {
        otlp_endpoint: Some(format!("http://{}", server.addr())),
        otlp_protocol: Some(otlp_protocol),
        ..TelemetrySettings::default()
    };
    let way = tokio::task::spawn_blocking(move || {
        let (guard, dispatch) = prepare("atelier-api", None, &settings, Lines::default()).unwrap();
        let caller = Some(CALLER.parse().unwrap());
        let way = tracing::dispatcher::with_default(&dispatch, || one_job(&guard, caller));
        assert!(guard.shutdown(Duration::from_secs(10)), "not all spans were sent");
        way
    });
    let way = way.await.unwrap();
    server.wait_for_spans(7, Duration::from_secs(10)).await.unwrap();
    let spans = server.with_collector(|collector| {
        let spans = collector.spans().iter().map(|span| {
            let mut value = serde_json::to_value(span.span()).unwrap();
            let resource = serde_json::to_value(span.resource_attrs()).unwrap();
            value["service"] = of(&resource, "service.name");
            (value["name"].as_str().unwrap().to_owned(), value)
        });
        spans.collect()
    });
    (way, spans.await)
}

/// An attribute of a list in OTLP JSON.
fn of(attributes: &Value, name: &str) -> Value {
    let list = attributes.as_array().unwrap();
    let found = list.iter().find(|attribute| attribute["key"] == name);
    let value = found.map(|attribute| attribute["value"].clone()).unwrap_or_default();
    value.as_object().and_then(|value| value.values().next().cloned()).unwrap_or_default()
}

fn hex(id: u64) -> String {
    format!("{id:016x}")
}

fn check_the_tree(way: &Way, spans: &BTreeMap<String, Value>) {
    let names: Vec<_> = spans.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "POST /api/v1/media/jobs",
            "POST /v1/image_to_video",
            "generate_video gen4_turbo",
            "process check",
            "process deliver",
            "process submit",
            "send submit",
        ]
    );
    let text = |name: &str, field: &str| spans[name][field].as_str().unwrap_or_default().to_owned();
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    for name in &names {
        assert_eq!(text(name, "traceId"), trace_id, "{name}");
    }
    let request = text("POST /api/v1/media/jobs", "spanId");
    let (media, send, submit) = (hex(way.media_span_id), hex(way.send.span_id), hex(way.submit.span_id));
    assert_eq!(text("generate_video gen4_turbo", "spanId"), media, "the promised id");
    // name, service, kind, parent, links
    let (check, deliver) = (hex(way.check.span_id), hex(way.deliver.span_id));
    let wanted = [
        ("POST /api/v1/media/jobs", "atelier-api", 2, "00f067aa0ba902b7", vec![]),
        ("send submit", "atelier-api", 4, &request, vec![]),
        ("process submit", "atelier-worker", 5, &send, vec![&send]),
        ("POST /v1/image_to_video", "atelier-worker", 3, &submit, vec![]),
        ("generate_video gen4_turbo", "atelier-worker", 3, &send, vec![]),
        ("process check", "atelier-poller", 5, &media, vec![&submit]),
        ("process deliver", "atelier-worker", 5, &media, vec![&check]),
    ];
    for (name, service, kind, parent, links) in wanted {
        let found = &spans[name];
        assert_eq!(found["service"], service, "{name}");
        assert_eq!(found["kind"], kind, "{name}");
        assert_eq!(text(name, "parentSpanId"), *parent, "{name}");
        let found: Vec<_> = found["links"].as_array().unwrap().iter().map(|link| &link["spanId"]).collect();
        assert_eq!(found, links, "{name}");
    }
    assert_eq!(text("process deliver", "spanId"), deliver);
    for name in ["generate_video gen4_turbo", "process submit", "process check", "process deliver"] {
        assert_eq!(of(&spans[name]["attributes"], "media.job.id"), way.job_id.as_str(), "{name}");
        assert_eq!(of(&spans[name]["attributes"], "media.kind"), "video", "{name}");
    }
    assert_eq!(text("process check", "traceState"), "vendor=1");
    let media = &spans["generate_video gen4_turbo"];
    assert_eq!(media["startTimeUnixNano"], "1772359202000000000");
    assert_eq!(media["endTimeUnixNano"], "1772359292000000000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_one_trace_over_grpc() {
    let (way, spans) = over_otlp(OtlpProtocol::Grpc, Protocol::Grpc).await;
    check_the_tree(&way, &spans);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_one_trace_over_http() {
    let (way, spans) = over_otlp(OtlpProtocol::Http, Protocol::HttpBinary).await;
    check_the_tree(&way, &spans);
}

#[tokio::test]
async fn a_flush_may_block_the_only_thread_of_a_runtime() {
    // The receiver lives in a runtime of its own; this test's runtime has one thread, which the flush blocks.
    let receiver =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server =
        receiver.spawn(MockServer::builder().protocol(Protocol::Grpc).start()).await.unwrap().unwrap();
    let settings =
        TelemetrySettings { otlp_endpoint: Some(format!("http://{}", server.addr())), ..Default::default() };
    let (guard, dispatch) = prepare("atelier-api", None, &settings, Lines::default()).unwrap();
    tracing::dispatcher::with_default(&dispatch, || drop(guard.telemetry().request("GET", "/x", None)));
    assert!(guard.shutdown(Duration::from_secs(10)));
    server.wait_for_spans(1, Duration::from_secs(10)).await.unwrap();
    drop(server);
    receiver.shutdown_background();
}

#[test]
fn a_receiver_that_is_away_blocks_nothing_and_a_flush_ends_in_time() {
    let settings = TelemetrySettings {
        // Nobody listens on the discard port.
        otlp_endpoint: Some("http://127.0.0.1:9".to_owned()),
        ..TelemetrySettings::default()
    };
    let (guard, dispatch) = prepare("atelier-api", None, &settings, Lines::default()).unwrap();
    let telemetry = guard.telemetry();
    let began = std::time::Instant::now();
    tracing::dispatcher::with_default(&dispatch, || {
        for _ in 0..20_000 {
            drop(telemetry.request("GET", "/x", None));
        }
    });
    let spent = began.elapsed();
    assert!(spent < Duration::from_secs(10), "20000 spans took {spent:?}");
    let began = std::time::Instant::now();
    assert!(!guard.shutdown(Duration::from_millis(500)));
    assert!(began.elapsed() < Duration::from_secs(5), "the flush took {:?}", began.elapsed());
}

/// Set in the child: the test below is run again there, under the variables of OpenTelemetry.
const CHILD: &str = "ATELIER_TEST_CHILD";

fn child() {
    let settings = TelemetrySettings::default();
    let guard = init("atelier-api", None, &settings).unwrap();
    assert!(matches!(init("atelier-api", None, &settings), Err(TelemetryError::AlreadySet)));
    drop(guard.telemetry().request("GET", "/first", None));
    drop(guard.service("atelier-worker", None).unwrap().request("GET", "/second", None));
    assert!(guard.shutdown(Duration::from_secs(10)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_variables_of_opentelemetry_are_honoured() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let server = MockServer::builder().protocol(Protocol::HttpBinary).start().await.unwrap();
    let endpoint = format!("http://{}", server.addr());
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "spans::the_variables_of_opentelemetry_are_honoured"])
        .env(CHILD, "1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_SERVICE_NAME", "renamed")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
        .env("HOSTNAME", "pod-1")
        .output();
    let child = child.await.unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    server.wait_for_spans(2, Duration::from_secs(10)).await.unwrap();
    server
        .with_collector(|collector| {
            for (span, service) in [("GET /first", "renamed"), ("GET /second", "atelier-worker")] {
                collector
                    .expect_span_with_name(span)
                    .with_resource_attributes([
                        ("service.name", service),
                        ("service.instance.id", "pod-1"),
                        ("deployment.environment.name", "staging"),
                    ])
                    .assert_count(1);
            }
        })
        .await;
}

fn in_memory() -> (TelemetryGuard, tracing::Dispatch, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let settings = TelemetrySettings::default();
    let (guard, dispatch) =
        init_for_tests("atelier-api", Some("media"), &settings, exporter.clone(), Lines::default()).unwrap();
    (guard, dispatch, exporter)
}

#[test]
fn a_caller_who_does_not_sample_is_respected_to_the_last_span() {
    let (guard, dispatch, exporter) = in_memory();
    let caller = Some(producer(false));
    let way = tracing::dispatcher::with_default(&dispatch, || one_job(&guard, caller));
    assert!(!way.send.is_sampled && !way.submit.is_sampled && !way.deliver.is_sampled);
    assert_eq!(way.deliver.trace_id, producer(false).trace_id, "the ids go on");
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 0);
}

#[test]
fn without_a_caller_a_new_trace_begins() {
    let (guard, dispatch, exporter) = in_memory();
    let way = tracing::dispatcher::with_default(&dispatch, || {
        let outer = tracing::info_span!("outer");
        outer.in_scope(|| one_job(&guard, None))
    });
    assert_eq!(span(&exporter, "POST /api/v1/media/jobs").parent_span_id, SpanId::INVALID);
    assert_ne!(way.send.trace_id, producer(true).trace_id);
}

#[test]
fn a_ratio_of_zero_samples_only_what_the_caller_samples() {
    let exporter = InMemorySpanExporter::default();
    let settings = TelemetrySettings { sample_ratio: 0.0, ..TelemetrySettings::default() };
    let (guard, dispatch) =
        init_for_tests("atelier-api", None, &settings, exporter.clone(), Lines::default()).unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        drop(guard.telemetry().request("GET", "/own", None));
        drop(guard.telemetry().request("GET", "/called", Some(producer(true))));
    });
    let names: Vec<_> = exporter.get_finished_spans().unwrap().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /called"]);
}

#[test]
fn without_a_receiver_spans_still_have_ids() {
    let settings = TelemetrySettings::default();
    let (guard, dispatch) = prepare("atelier-api", None, &settings, Lines::default()).unwrap();
    let context = tracing::dispatcher::with_default(&dispatch, || {
        let telemetry = guard.telemetry();
        telemetry.context_of(&telemetry.request("GET", "/x", None))
    });
    assert!(context.is_some_and(|context| context.trace_id != 0 && context.span_id != 0));
    assert_ne!(guard.telemetry().fresh_span_id(), guard.telemetry().fresh_span_id());
}

#[test]
fn without_a_subscriber_there_is_no_context_and_no_harm() {
    let (guard, _dispatch, exporter) = in_memory();
    let telemetry = guard.telemetry();
    let span = telemetry.step(&job(producer(true), 9), Step::Check);
    assert_eq!(telemetry.context_of(&span), None);
    drop(span);
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 0);
}

#[test]
fn a_repeated_submit_links_to_its_producer_and_to_what_scheduled_it() {
    let (guard, dispatch, exporter) = in_memory();
    let mut job = job(producer(true), 9);
    job.body.attempts = 1;
    job.body.trace.scheduled_by = Some(TraceParent { span_id: 77, ..producer(true) });
    tracing::dispatcher::with_default(&dispatch, || drop(guard.telemetry().step(&job, Step::Submit)));
    let found = span(&exporter, "process submit");
    let links: Vec<_> = found.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, [SpanId::from(producer(true).span_id), SpanId::from(77)]);
    assert_eq!(attribute(&found, "media.attempt").as_deref(), Some("2"));
}

#[test]
fn a_step_says_what_the_sheet_wants() {
    let (guard, dispatch, exporter) = in_memory();
    let job = job(producer(true), 9);
    tracing::dispatcher::with_default(&dispatch, || {
        let span = guard.telemetry().step(&job, Step::Check);
        span.record("error.type", "rate_limited");
    });
    let found = span(&exporter, "process check");
    let id = job.id.to_string();
    let wanted = [
        ("messaging.system", "redis"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "check"),
        ("messaging.message.conversation_id", &id),
        ("media.job.id", &id),
        ("media.kind", "video"),
        ("media.operation", "video_from_image"),
        ("gen_ai.provider.name", "runway"),
        ("gen_ai.request.model", "gen4_turbo"),
        ("media.attempt", "0"),
        ("media.poll.count", "1"),
        ("workspace.id", "acme"),
        ("step", "check"),
        ("error.type", "rate_limited"),
    ];
    for (name, value) in wanted {
        assert_eq!(attribute(&found, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(found.status, Status::Unset);
}
