//! A job, a place for log lines, and a receiver of spans.

use std::io;
use std::sync::{Arc, Mutex};

use atelier_domain::Timestamp;
use atelier_domain::asset::{Asset, MadeBy};
use atelier_domain::ids::{AssetId, JobId};
use atelier_domain::job::{Input, Job, JobSpec, RemoteOperation};
use atelier_domain::money::{Cost, MicroUsd, PriceUnit, ReportedCost, UnitPrice};
use atelier_domain::operation::{OnUnknownOutcome, Operation, Priority, Provider};
use atelier_domain::state::State;
use atelier_domain::trace::{JobTrace, TraceParent};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

pub const PROMPT: &str = "a very secret slow pan";

/// A video job just admitted below `producer`.
pub fn job(producer: TraceParent, media_span_id: u64) -> Job {
    let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
    let config = match json!({"duration": 5, "ratio": "1280:720", "seed": 7}) {
        Value::Object(config) => config,
        _ => unreachable!(),
    };
    let spec = JobSpec {
        operation: Operation::VideoFromImage,
        provider: Provider::Runway,
        model: "gen4_turbo".to_owned(),
        prompt: Some(PROMPT.to_owned()),
        input: Some(Input::Url("https://example.com/in.png?token=secret".to_owned())),
        files: Default::default(),
        config,
        credential_id: None,
        priority: Priority::Normal,
        run_at: None,
        start_deadline: now + std::time::Duration::from_secs(900),
        metadata: serde_json::Map::new(),
        capture_prompt: true,
        on_unknown_outcome: OnUnknownOutcome::Fail,
    };
    let trace =
        JobTrace { producer, tracestate: Some("vendor=1".to_owned()), media_span_id, scheduled_by: None };
    let price = UnitPrice { unit: PriceUnit::Second, micro_usd: MicroUsd(50_000) };
    let cost = Cost::estimate(MicroUsd(250_000), price);
    Job::admitted(JobId::new(), "acme".parse().unwrap(), spec, cost, trace, now)
}

/// The same job after a successful end, 90 seconds after its first call.
pub fn succeeded(mut job: Job, assets: u16) -> Job {
    let started = job.body.created_at + std::time::Duration::from_secs(2);
    let ended = started + std::time::Duration::from_secs(90);
    job.state = State::Succeeded;
    job.checks = 3;
    job.changed_at = ended;
    job.body.attempts = 1;
    job.body.started_at = Some(started);
    job.body.completed_at = Some(ended);
    job.body.provider_status = Some("SUCCEEDED".to_owned());
    job.body.remote =
        Some(RemoteOperation { id: "task-1".to_owned(), submitted_at: started, urls: Default::default() });
    job.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(240_000))));
    job.body.assets = (0..assets)
        .map(|index| Asset {
            id: AssetId::of(&job.id, index),
            workspace_id: job.body.workspace_id.clone(),
            made_by: Some(MadeBy {
                job_id: job.id.clone(),
                index,
                operation: job.body.spec.operation,
                provider: job.body.spec.provider,
                model: job.body.spec.model.clone(),
            }),
            name: None,
            metadata: Default::default(),
            key: format!("acme/2026/03/01/{}/{index}.mp4", job.id),
            content_type: "video/mp4".to_owned(),
            size_bytes: 1_000,
            sha256: "0".repeat(64),
            media: Default::default(),
            seed: None,
            revised_prompt: None,
            created_at: ended,
        })
        .collect();
    job
}

/// A root to hang jobs under.
pub fn producer(is_sampled: bool) -> TraceParent {
    TraceParent {
        trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        span_id: 0x00f0_67aa_0ba9_02b7,
        is_sampled,
    }
}

/// Keeps log lines.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub fn json(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The only span of that name.
pub fn span(exporter: &InMemorySpanExporter, name: &str) -> SpanData {
    let spans = exporter.get_finished_spans().unwrap();
    let mut found: Vec<_> = spans.iter().filter(|span| span.name == name).cloned().collect();
    assert_eq!(
        found.len(),
        1,
        "`{name}` among {:?}",
        spans.iter().map(|span| &span.name).collect::<Vec<_>>()
    );
    found.remove(0)
}

/// An attribute of it as text.
pub fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found: Vec<_> = span.attributes.iter().filter(|attribute| attribute.key.as_str() == name).collect();
    assert!(found.len() <= 1, "`{name}` stands twice");
    found.first().map(|attribute| attribute.value.to_string())
}
