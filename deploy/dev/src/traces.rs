//! The demo's own OTLP receiver, and a job's trace drawn as a tree.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::Result;
use mock_collector::{MockServerBuilder, Protocol, ServerHandle};

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use crate::progress::say;

/// Receives spans over OTLP/gRPC.
pub(crate) struct Receiver {
    server: ServerHandle,
}

#[derive(Clone)]
struct Span {
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    service: String,
    start_ns: u64,
    end_ns: u64,
}

impl Receiver {
    pub(crate) async fn start() -> Result<Self> {
        let server = MockServerBuilder::new()
            .protocol(Protocol::Grpc)
            .host(IpAddr::V4(Ipv4Addr::LOCALHOST))
            .port(0)
            .start()
            .await?;
        Ok(Self { server })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.server.addr())
    }

    /// Draws a trace once its media span has arrived, at most `limit` from now: the exporter sends every few seconds.
    pub(crate) async fn show(&self, trace_id: &str, limit: Duration) {
        let wait = async {
            loop {
                let spans = self.spans_of(trace_id).await;
                if spans.iter().any(|span| span.name.starts_with("generate_video")) {
                    return spans;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        match tokio::time::timeout(limit, wait).await {
            Ok(spans) => say(&draw(trace_id, &spans)),
            Err(_) => say("(the trace went to another receiver)"),
        }
    }

    async fn spans_of(&self, trace_id: &str) -> Vec<Span> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let collector = self.server.collector();
        let collector = collector.read().await;
        let mut spans: Vec<Span> = collector
            .spans()
            .iter()
            .filter(|received| hex(&received.span().trace_id) == trace_id)
            .map(|received| {
                let span = received.span();
                let service = received
                    .resource_attrs()
                    .iter()
                    .find(|attribute| attribute.key == "service.name")
                    .and_then(|attribute| attribute.value.clone()?.value)
                    .map_or_else(String::new, |value| match value {
                        Value::StringValue(text) => text,
                        _ => String::new(),
                    });
                Span {
                    id: span.span_id.clone(),
                    parent: span.parent_span_id.clone(),
                    name: span.name.clone(),
                    service,
                    start_ns: span.start_time_unix_nano,
                    end_ns: span.end_time_unix_nano,
                }
            })
            .collect();
        spans.sort_by_key(|span| span.start_ns);
        spans
    }
}

fn draw(trace_id: &str, spans: &[Span]) -> String {
    let mut children: BTreeMap<&[u8], Vec<&Span>> = BTreeMap::new();
    for span in spans {
        let is_known = spans.iter().any(|other| other.id == span.parent);
        children.entry(if is_known { &span.parent } else { &[] }).or_default().push(span);
    }
    let began = spans.first().map_or(0, |span| span.start_ns);
    let mut text = format!("trace {trace_id}\n");
    branch(&children, &[], 0, began, &mut text);
    text
}

fn branch(children: &BTreeMap<&[u8], Vec<&Span>>, of: &[u8], depth: usize, began: u64, text: &mut String) {
    for span in children.get(of).into_iter().flatten() {
        let at_ms = span.start_ns.saturating_sub(began) / 1_000_000;
        let took_ms = span.end_ns.saturating_sub(span.start_ns) as f64 / 1e6;
        let name = format!("{:indent$}{}", "", span.name, indent = depth * 2);
        text.push_str(&format!("  {name:<58} {:<15} at {at_ms:>5} ms  {took_ms:>9.1} ms\n", span.service));
        branch(children, &span.id, depth + 1, began, text);
    }
}
