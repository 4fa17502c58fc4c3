//! Atelier's measured worker: the real queue, claims and verdicts, with a handler that calls nobody.
//!
//! `worker` ends jobs; `worker accept INTERVAL_MS` leaves them waiting for a provider, and `worker checks INTERVAL_MS`
//! looks at waiting ones again and again.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::job::{Job, RemoteOperation};
use atelier_domain::operation::Step;
use atelier_domain::policy::{Policy, Polling, Received};
use atelier_domain::ports::{Checked, Claim, Next, StepHandler, Telemetry};
use atelier_domain::secret::Secret;
use atelier_domain::state::{Event, State};
use atelier_domain::trace::TraceParent;
use atelier_redis_store::{Clock, Redis, RedisStoreSettings, RunnerOptions, run_queue};
use tokio_util::sync::CancellationToken;

use crate::job::due_s;

/// Records nothing: the figures are those of the queue.
struct Silent;

impl Telemetry for Silent {
    fn request(&self, _: &str, _: &str, _: Option<TraceParent>) -> tracing::Span {
        tracing::Span::none()
    }
    fn send(&self, _: Step) -> tracing::Span {
        tracing::Span::none()
    }
    fn step(&self, _: &Job, _: Step) -> tracing::Span {
        tracing::Span::none()
    }
    fn context_of(&self, _: &tracing::Span) -> Option<TraceParent> {
        None
    }
    fn fresh_span_id(&self) -> u64 {
        1
    }
    fn media(&self, _: &Job) {}
}

struct Handler {
    policy: Arc<Policy>,
    records: File,
    /// Whether the intent of a paid call is stored first, in a write of its own.
    has_ledger: bool,
    /// Whether jobs are left waiting for a provider instead of being ended.
    leaves_waiting: bool,
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

impl Handler {
    fn record(&self, due: f64) -> std::io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut bytes = [0; 16];
        let (start, should) = bytes.split_at_mut(8);
        start.copy_from_slice(&now.to_le_bytes());
        should.copy_from_slice(&due.to_le_bytes());
        (&self.records).write_all(&bytes)
    }

    async fn end(&self, claim: &dyn Claim) -> Outcome {
        self.record(due_s(claim.job()))?;
        let job = claim.job().clone();
        let mut job = match job.state {
            State::Queued => self.policy.begin_submit(job, Timestamp::now())?.job,
            state => return Err(format!("a job is {state}").into()),
        };
        if self.has_ledger {
            claim.save(&job).await?;
        }
        let now = Timestamp::now();
        if self.leaves_waiting {
            let id = format!("task-{}", job.id);
            let remote = RemoteOperation { id, submitted_at: now, urls: Default::default() };
            let decision = self.policy.accepted(job, remote, Some("RUNNING".to_owned()), now)?;
            return Ok(claim.settle(decision.job, decision.next).await?);
        }
        job = self.policy.received(job, Received::default(), now)?.job;
        job.apply(Event::Stored, now)?;
        Ok(claim.settle(job, Next::Nothing).await?)
    }

    async fn check(&self, claim: &dyn Claim) -> Outcome {
        let job = claim.job();
        let due = job.due_at.unwrap_or(job.changed_at);
        self.record(due.as_nanosecond() as f64 / 1e9)?;
        let found = Checked::Working { status: "RUNNING".to_owned(), progress_percent: Some(10) };
        let decision = self.policy.checked(job.clone(), found, Timestamp::now(), 0.5)?;
        Ok(claim.settle(decision.job, decision.next).await?)
    }
}

#[async_trait]
impl StepHandler for Handler {
    async fn handle(&self, claim: Arc<dyn Claim>) {
        let outcome = match claim.step() {
            Step::Check => self.check(claim.as_ref()).await,
            Step::Submit | Step::Deliver | Step::Reconcile | Step::Abandon => self.end(claim.as_ref()).await,
        };
        if let Err(reason) = outcome {
            eprintln!("step of {}: {reason}", claim.job().id);
        }
    }
}

/// Where the program's settings are: variables that the parent sets.
pub fn setting(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

/// The store of the measured server.
pub fn redis() -> Result<Redis> {
    let url = Secret::new(setting("LOAD_REDIS")?);
    Ok(Redis::open(RedisStoreSettings { url, promote_limit: 500, ..RedisStoreSettings::default() })?)
}

/// Runs until it is killed.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn run(words: &[String]) -> Result<()> {
    let (mode, interval_ms) = match words {
        [] => ("end", 10_000),
        [mode, interval] if mode == "accept" || mode == "checks" => (mode.as_str(), interval.parse()?),
        other => anyhow::bail!("worker [accept|checks INTERVAL_MS], not {other:?}"),
    };
    let polling = Polling { interval_ms, max_checks: u16::MAX, timeout_ms: 86_400_000 };
    let policy = Arc::new(Policy { polling, ..Policy::default() });
    let records = OpenOptions::new().append(true).create(true).open(setting("LOAD_RECORDS")?)?;
    let has_ledger = std::env::var_os("LOAD_LEDGER").is_some();
    let handler =
        Arc::new(Handler { policy: policy.clone(), records, has_ledger, leaves_waiting: mode == "accept" });
    let step = if mode == "checks" { Step::Check } else { Step::Submit };
    let concurrency = setting("LOAD_CONCURRENCY")?.parse()?;
    let options = RunnerOptions { step, concurrency, grace: Duration::from_secs(2) };
    let redis = redis()?;
    let stop = CancellationToken::new();
    tokio::spawn(Clock::new(redis.clone()).run(stop.clone()));
    tokio::spawn(run_queue(redis, policy, Arc::new(Silent), handler, options, stop)).await?;
    Ok(())
}
