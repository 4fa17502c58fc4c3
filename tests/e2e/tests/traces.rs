//! One job, one trace: from the producer's span to the upload, seen by a real OTLP receiver.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use atelier_runtime::settings::{OtlpProtocol, TelemetrySettings};
use mock_collector::{MockServer, Protocol, ServerHandle};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::harness::{LONG, Running, image, speech, video};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";

#[derive(Debug, Clone)]
struct Span {
    id: String,
    parent: String,
    name: String,
    kind: i32,
    service: String,
    links: Vec<String>,
    attributes: BTreeMap<String, String>,
    is_error: bool,
    duration: Duration,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        Some(Any::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

fn map(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|pair| (pair.key.clone(), shown(pair.value.clone()))).collect()
}

async fn spans_of(receiver: &ServerHandle, trace: &str) -> Vec<Span> {
    let collector = receiver.collector();
    let collector = collector.read().await;
    collector
        .spans()
        .iter()
        .filter(|received| hex(&received.span().trace_id) == trace)
        .map(|received| {
            let span = received.span();
            Span {
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                name: span.name.clone(),
                kind: span.kind,
                service: map(received.resource_attrs())["service.name"].clone(),
                links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
                attributes: map(&span.attributes),
                is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
                duration: Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano),
            }
        })
        .collect()
}

async fn start(protocol: Protocol, otlp: OtlpProtocol) -> (ServerHandle, Running) {
    let receiver = MockServer::builder().protocol(protocol).start().await.unwrap();
    let settings = TelemetrySettings {
        otlp_endpoint: Some(format!("http://{}", receiver.addr())),
        otlp_protocol: Some(otlp),
        ..TelemetrySettings::default()
    };
    (receiver, Running::with(|_| {}, &settings).await)
}

/// Sends a job under the caller's span, waits for its end and for its spans.
async fn traced(
    receiver: &ServerHandle,
    running: &Running,
    body: &serde_json::Value,
    trace: &str,
) -> Vec<Span> {
    let request = running
        .client
        .request(reqwest::Method::POST, "/api/v1/media/jobs")
        .header("X-API-Key", "demo")
        .header("traceparent", format!("00-{trace}-{CALLER_SPAN}-01"))
        .json(body);
    let (status, answer) = running.client.send(request).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["data"]["trace_id"], trace);
    running.client.end_of(answer["data"]["id"].as_str().unwrap()).await;
    let since = Instant::now();
    loop {
        // Each service has an exporter of its own, so the last span to end need not be the last to arrive.
        let spans = spans_of(receiver, trace).await;
        let has = |name: &str| spans.iter().any(|span| span.name.contains(name));
        let has_media = spans.iter().any(|span| span.attributes.contains_key("media.output.url"));
        let is_whole = has("POST /api/v1/media/jobs") && has("process deliver") && has_media;
        let is_there = |id: &String| id == CALLER_SPAN || spans.iter().any(|span| span.id == *id);
        if is_whole && spans.iter().all(|span| is_there(&span.parent) && span.links.iter().all(is_there)) {
            return spans;
        }
        assert!(
            since.elapsed() < LONG,
            "spans are missing: {:#?}",
            spans.iter().map(|s| &s.name).collect::<Vec<_>>()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name.starts_with(name));
    let first = found.next().unwrap_or_else(|| panic!("no span `{name}`"));
    assert!(found.next().is_none(), "more than one `{name}`");
    first
}

fn assert_video_trace(spans: &[Span]) {
    let server = one(spans, "POST /api/v1/media/jobs");
    assert_eq!((server.parent.as_str(), server.kind), (CALLER_SPAN, SpanKind::Server as i32));
    let send = one(spans, "send submit");
    assert_eq!(
        (&send.parent, send.kind, send.service.as_str()),
        (&server.id, SpanKind::Producer as i32, "atelier-api")
    );
    let submit = one(spans, "process submit");
    assert_eq!((&submit.parent, submit.kind), (&send.id, SpanKind::Consumer as i32));
    assert_eq!(submit.service, "atelier-worker");
    let call = one(spans, "POST /v1/text_to_video");
    assert_eq!((&call.parent, call.kind), (&submit.id, SpanKind::Client as i32));
    let media = one(spans, "generate_video gen4.5");
    assert_eq!((&media.parent, media.kind), (&send.id, SpanKind::Client as i32));
    let checks: Vec<_> = spans.iter().filter(|span| span.name == "process check").collect();
    assert!(!checks.is_empty());
    for check in &checks {
        assert_eq!((&check.parent, check.service.as_str()), (&media.id, "atelier-poller"));
        assert!(check.links.contains(&submit.id), "a check links to what scheduled it");
    }
    let deliver = one(spans, "process deliver");
    assert_eq!(deliver.parent, media.id);
    assert!(checks.iter().any(|check| deliver.links.contains(&check.id)));
    for upload in spans.iter().filter(|span| span.name == "S3/PutObject") {
        assert_eq!((&upload.parent, upload.kind), (&deliver.id, SpanKind::Client as i32));
    }
    assert!(media.duration >= Duration::from_millis(400), "the media span covers the provider's work");
    let wanted = [
        ("media.kind", "video"),
        ("media.operation", "video_gen"),
        ("gen_ai.provider.name", "runway"),
        ("gen_ai.request.model", "gen4.5"),
        ("media.prompt", "a slow pan"),
        ("media.cost.estimated_usd", "0.6"),
    ];
    for (name, value) in wanted {
        assert_eq!(media.attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    let url = &media.attributes["media.output.url"];
    assert!(url.starts_with("s3://atelier/demo/") && url.ends_with("/0.mp4"), "{url}");
    assert!(spans.iter().all(|span| !span.is_error));
    for span in spans {
        for (name, value) in &span.attributes {
            assert!(
                !value.contains("_jwt") && !value.contains("X-Amz"),
                "{name} of {} shows {value}",
                span.name
            );
        }
    }
}

#[tokio::test]
async fn a_video_job_is_one_trace_over_grpc() {
    let (receiver, running) = start(Protocol::Grpc, OtlpProtocol::Grpc).await;
    let spans = traced(&receiver, &running, &video("a slow pan"), TRACE).await;
    assert_video_trace(&spans);
    running.finish().await;
}

#[tokio::test]
async fn a_video_job_is_one_trace_over_http() {
    let (receiver, running) = start(Protocol::HttpBinary, OtlpProtocol::Http).await;
    let spans = traced(&receiver, &running, &video("a slow pan"), TRACE).await;
    assert_video_trace(&spans);
    running.finish().await;
}

#[tokio::test]
async fn speech_and_image_have_their_kinds_and_a_job_can_hide_its_prompt() {
    let (receiver, running) = start(Protocol::Grpc, OtlpProtocol::Grpc).await;
    let spoken = traced(&receiver, &running, &speech("hello"), TRACE).await;
    let media = one(&spoken, "text_to_speech eleven_multilingual_v2");
    assert_eq!(media.attributes["media.kind"], "speech");
    let mut hidden = image("a private fox");
    hidden["capture_prompt"] = json!(false);
    let painted = traced(&receiver, &running, &hidden, "5bf92f3577b34da6a3ce929d0e0e4736").await;
    let media = one(&painted, "generate_image");
    assert_eq!(media.attributes["media.kind"], "image");
    for span in &painted {
        assert!(span.attributes.values().all(|value| !value.contains("private fox")), "{}", span.name);
    }
    running.finish().await;
}

#[tokio::test]
async fn log_lines_of_a_job_carry_its_trace() {
    let (receiver, running) = start(Protocol::Grpc, OtlpProtocol::Grpc).await;
    traced(&receiver, &running, &video("a slow pan"), TRACE).await;
    let log = running.log.text();
    let changes: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .filter(|line: &serde_json::Value| line.to_string().contains("job changed state"))
        .collect();
    assert!(changes.len() >= 3, "{changes:?}");
    for change in changes {
        assert!(change.to_string().contains(TRACE), "{change}");
    }
    running.finish().await;
}
