//! Atelier's measured worker: the real queue, claims and verdicts, with a handler that calls nobody.
//!
//! | words | what it does |
//! |---|---|
//! | `worker` | ends jobs |
//! | `worker traced URL` | ends jobs and sends every span to a receiver |
//! | `worker accept INTERVAL_MS` | leaves jobs waiting for a provider |
//! | `worker accept-spread INTERVAL_MS` | the same; the first checks are due evenly from half an interval on, for a whole one |
//! | `worker checks INTERVAL_MS` | looks at waiting jobs again and again, and calls nobody |
//! | `worker checks-http INTERVAL_MS ADDRESS` | the poller's own step, which asks the simulator there |

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::foreign::Exceptions;
use atelier_domain::job::{Job, RemoteOperation};
use atelier_domain::operation::{Provider, Step};
use atelier_domain::policy::{Policy, Polling, Received};
use atelier_domain::ports::{Checked, Claim, Next, StepHandler, Telemetry};
use atelier_domain::secret::Secret;
use atelier_domain::state::{Event, State};
use atelier_domain::trace::TraceParent;
use atelier_poller::Poller;
use atelier_providers::{ProviderSettings, Registry};
use atelier_redis_store::{Clock, Redis, RedisSpool, RedisStoreSettings, RunnerOptions, run_queue};
use atelier_runtime::settings::TelemetrySettings;
use atelier_vault::Keyring;
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
    /// What becomes of jobs that are not ended.
    leaves_waiting: Option<Waiting>,
}

/// When a job that was accepted is looked at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// As the policy says.
    AsAlways,
    /// Evenly from half an interval on, for a whole one: however quickly they are accepted, no more of them are due in
    /// a second than later on.
    Spread { interval_ms: u64 },
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
        if let Some(waiting) = self.leaves_waiting {
            let id = format!("task-{}", job.id);
            let remote = RemoteOperation { id, submitted_at: now, urls: Default::default() };
            let decision = self.policy.accepted(job, remote, Some("RUNNING".to_owned()), now)?;
            let mut job = decision.job;
            let next = match waiting {
                Waiting::AsAlways => decision.next,
                Waiting::Spread { interval_ms } => {
                    let wait = interval_ms as f64 * (0.5 + rand::random::<f64>());
                    let due = now + Duration::from_secs_f64(wait / 1000.0);
                    job.due_at = Some(due);
                    Next::At(Step::Check, due)
                }
            };
            return Ok(claim.settle(job, next).await?);
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

/// The poller's own step, which tells when it begins.
struct Recorded {
    poller: Poller,
    recorder: Handler,
}

#[async_trait]
impl StepHandler for Recorded {
    async fn handle(&self, claim: Arc<dyn Claim>) {
        let job = claim.job();
        let due = job.due_at.unwrap_or(job.changed_at);
        if let Err(reason) = self.recorder.record(due.as_nanosecond() as f64 / 1e9) {
            eprintln!("step of {}: {reason}", job.id);
        }
        self.poller.handle(claim).await;
    }
}

/// The poller as its program sets it up, with Runway at `address`.
fn poller(redis: &Redis, policy: Arc<Policy>, address: &str) -> Result<Poller> {
    let mut settings = ProviderSettings::default();
    settings.runway.base_url = Some(format!("http://{address}/runway"));
    Ok(Poller {
        policy,
        providers: Arc::new(Registry::new(&settings, Exceptions::default())?),
        credentials: Arc::new(Keyring::new([(Provider::Runway, Secret::new("simulated".to_owned()))])),
        spool: Arc::new(RedisSpool::new(redis.clone(), CancellationToken::new())),
        time: Arc::new(redis.time()),
        telemetry: Arc::new(Silent),
    })
}

/// Where the program's settings are: variables that the parent sets.
pub fn setting(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

/// The store of the measured servers: one URL, or several with commas between them, each with a shard of its own. All
/// else is as in production.
pub fn redis() -> Result<Redis> {
    let text = setting("LOAD_REDIS")?;
    let urls: Vec<_> = text.split(',').map(|url| Secret::new(url.to_owned())).collect();
    let settings = match urls.len() {
        1 => RedisStoreSettings { url: Secret::new(text), ..RedisStoreSettings::default() },
        count => RedisStoreSettings { urls, shards: u16::try_from(count)?, ..RedisStoreSettings::default() },
    };
    Ok(Redis::open(settings)?)
}

/// Runs until it is killed, on one thread, as the programs do.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
pub async fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (mode, interval_ms, address) = match words.as_slice() {
        [] => ("end", 10_000, ""),
        ["traced", url] => ("traced", 10_000, *url),
        [mode @ ("accept" | "accept-spread" | "checks"), interval] => (*mode, interval.parse()?, ""),
        ["checks-http", interval, address] => ("checks-http", interval.parse()?, *address),
        other => anyhow::bail!("worker does not know {other:?}"),
    };
    atelier_runtime::process::install_crypto();
    let traces = match mode {
        "traced" => {
            let settings = TelemetrySettings {
                otlp_endpoint: Some(address.to_owned()),
                log_filter: "warn".to_owned(),
                ..TelemetrySettings::default()
            };
            Some(atelier_runtime::telemetry::init("atelier-load", None, &settings)?)
        }
        _ => None,
    };
    let telemetry: Arc<dyn Telemetry> = match &traces {
        Some(traces) => Arc::new(traces.telemetry()),
        None => Arc::new(Silent),
    };
    let polling = Polling { interval_ms, max_checks: u16::MAX, timeout_ms: 86_400_000 };
    let policy = Arc::new(Policy { polling, ..Policy::default() });
    let records = OpenOptions::new().append(true).create(true).open(setting("LOAD_RECORDS")?)?;
    let has_ledger = std::env::var_os("LOAD_LEDGER").is_some();
    let leaves_waiting = match mode {
        "accept" => Some(Waiting::AsAlways),
        "accept-spread" => Some(Waiting::Spread { interval_ms }),
        _ => None,
    };
    let step = if mode.starts_with("checks") { Step::Check } else { Step::Submit };
    let concurrency = setting("LOAD_CONCURRENCY")?.parse()?;
    let options = RunnerOptions { step, concurrency, grace: Duration::from_secs(2) };
    let redis = redis()?;
    let recorder = Handler { policy: policy.clone(), records, has_ledger, leaves_waiting };
    let handler: Arc<dyn StepHandler> = match mode {
        "checks-http" => Arc::new(Recorded { poller: poller(&redis, policy.clone(), address)?, recorder }),
        _ => Arc::new(recorder),
    };
    let stop = CancellationToken::new();
    tokio::spawn(Clock::new(redis.clone()).run(stop.clone()));
    tokio::spawn(run_queue(redis, policy, telemetry, handler, options, stop)).await?;
    Ok(())
}
