//! The measured job: a request of 300 bytes as JSON, with workspace and trace as every job has them.

use std::time::Duration;

use anyhow::Result;
use atelier_domain::Timestamp;
use atelier_domain::ids::JobId;
use atelier_domain::job::{Job, JobSpec};
use atelier_domain::money::{Cost, MicroUsd, PriceUnit, UnitPrice};
use atelier_domain::operation::{OnUnknownOutcome, Operation, Priority, Provider};
use atelier_domain::ports::{Idempotency, NewJob};
use atelier_domain::trace::{JobTrace, TraceParent};

/// When a job is due.
#[derive(Debug, Clone, Copy)]
pub enum Due {
    /// So long after its admission.
    After(Duration),
    /// At this instant.
    At(Timestamp),
}

/// Jobs that are alike but for their id, time and trace.
pub struct Template {
    kind: Kind,
    prompt: String,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An image of Fal.
    Image,
    /// A video of Runway.
    Video,
}

impl Template {
    /// The template whose request has 300 bytes.
    pub fn new(kind: Kind) -> Result<Self> {
        let body = serde_json::json!({
            "provider": "fal", "model": "fal-ai/flux/dev", "operation": "image_gen", "workspace": "tenant-0001",
            "config": {"width": 1024, "height": 1024, "steps": 28}, "prompt": ""
        });
        Ok(Self { kind, prompt: "x".repeat(300 - serde_json::to_string(&body)?.len()) })
    }

    /// One more job.
    pub fn job(&self, due: Due) -> Result<Job> {
        let now = Timestamp::now();
        let due = match due {
            Due::After(delay) => now + delay,
            Due::At(time) => time,
        };
        let mut config = serde_json::Map::new();
        let (operation, provider, model) = match self.kind {
            Kind::Image => {
                for (name, value) in [("width", 1024), ("height", 1024), ("steps", 28)] {
                    config.insert(name.to_owned(), value.into());
                }
                (Operation::ImageGen, Provider::Fal, "fal-ai/flux/dev")
            }
            Kind::Video => {
                config.insert("duration".to_owned(), 5.into());
                config.insert("ratio".to_owned(), "1280:720".into());
                (Operation::VideoGen, Provider::Runway, "gen4.5")
            }
        };
        let spec = JobSpec {
            operation,
            provider,
            model: model.to_owned(),
            prompt: Some(self.prompt.clone()),
            input: None,
            files: Default::default(),
            config,
            credential_id: None,
            priority: Priority::Normal,
            run_at: (due > now).then_some(due),
            start_deadline: due + Duration::from_secs(24 * 3600),
            metadata: serde_json::Map::new(),
            capture_prompt: true,
            on_unknown_outcome: OnUnknownOutcome::Fail,
        };
        let producer = TraceParent { trace_id: rand::random(), span_id: rand::random(), is_sampled: true };
        let trace =
            JobTrace { producer, tracestate: None, media_span_id: rand::random(), scheduled_by: None };
        let price = UnitPrice { unit: PriceUnit::Megapixel, micro_usd: MicroUsd(25_000) };
        let cost = Cost::estimate(MicroUsd(50_000), price);
        let workspace = "tenant-0001".parse().map_err(anyhow::Error::msg)?;
        Ok(Job::admitted(JobId::new(), workspace, spec, cost, trace, now))
    }

    /// The same as an admission, with an idempotency key of its own or without one.
    pub fn admission(&self, due: Due, has_key: bool) -> Result<NewJob> {
        let job = self.job(due)?;
        let idempotency =
            has_key.then(|| Idempotency { key: format!("order-{}", job.id), fingerprint: rand::random() });
        Ok(NewJob { job, idempotency })
    }
}

/// When a job should begin: at its due time, and not before it was admitted. Seconds since 1970.
pub fn due_s(job: &Job) -> f64 {
    let due = job.body.spec.run_at.unwrap_or(job.body.created_at);
    due.as_nanosecond() as f64 / 1e9
}
