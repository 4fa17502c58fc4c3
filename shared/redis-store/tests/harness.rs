//! A server, a store and "processes": each with a runtime of its own, so that it can be killed like one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::asset::{Asset, MadeBy, MediaFacts};
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::job::{Job, JobSpec, RemoteOperation};
use atelier_domain::money::Cost;
use atelier_domain::operation::{OnUnknownOutcome, Operation, Priority, Provider, Step};
use atelier_domain::policy::{LateNews, Policy, Polling, Retry};
use atelier_domain::ports::{
    Aborted, Admission, AssetRecords, AssetUpkeep, Claim, JobStore, NewJob, PutError, StepHandler, Swept,
    Telemetry, UploadMark,
};
use atelier_domain::secret::Secret;
use atelier_domain::state::State;
use atelier_domain::trace::{JobTrace, TraceParent};
use atelier_redis_store::audit::{self, Audit};
use atelier_redis_store::{Clock, Redis, RedisJobStore, RedisStoreSettings, RunnerOptions, run_queue};
use tokio_util::sync::CancellationToken;

use crate::redis_server::RedisServer;

/// Nothing here takes that long; a test that waits longer has failed.
pub const LONG: Duration = Duration::from_secs(60);

/// Records no spans, but counts the ends of jobs: each job must end once.
#[derive(Default)]
pub struct CountingTelemetry {
    pub ended: AtomicU64,
}

impl Telemetry for CountingTelemetry {
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
    fn media(&self, _: &Job) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// An asset store with nothing in it.
pub struct BareStore;

#[async_trait]
impl AssetUpkeep for BareStore {
    async fn remove_expired(&self, _: &str, _: Timestamp, _: &dyn AssetRecords) -> Result<Swept, PutError> {
        Ok(Swept::default())
    }

    async fn abort_stale_uploads(&self, _: Option<&UploadMark>, _: Timestamp) -> Result<Aborted, PutError> {
        Ok(Aborted::Some { aborted: 0, next: None })
    }
}

/// A store on servers `S`.
pub struct Fixture<S = RedisServer> {
    pub server: S,
    pub redis: Redis,
    pub settings: RedisStoreSettings,
    pub store: RedisJobStore,
    pub policy: Arc<Policy>,
    pub telemetry: Arc<CountingTelemetry>,
    _folder: tempfile::TempDir,
    stop: CancellationToken,
}

/// Short limits: what takes half a minute in production takes a second here.
pub fn settings(url: String) -> RedisStoreSettings {
    RedisStoreSettings { url: Secret::new(url), lease_ms: 1_000, ..RedisStoreSettings::default() }
}

pub fn policy() -> Policy {
    Policy {
        polling: Polling { interval_ms: 100, max_checks: 60, timeout_ms: 60_000 },
        retry: Retry { base_ms: 20, cap_ms: 200, ..Retry::default() },
        ..Policy::default()
    }
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(settings).await
    }

    pub async fn with(settings: impl FnOnce(String) -> RedisStoreSettings) -> Self {
        Self::on(true, settings).await
    }

    /// On a server with or without an append-only file.
    pub async fn on(has_aof: bool, settings: impl FnOnce(String) -> RedisStoreSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = RedisServer::start(folder.path(), has_aof).unwrap();
        let settings = settings(server.url());
        Self::assemble(server, folder, settings)
    }
}

impl<S> Fixture<S> {
    /// A store with these settings; the servers and their folder live as long as it does.
    pub fn assemble(server: S, folder: tempfile::TempDir, settings: RedisStoreSettings) -> Self {
        let redis = Redis::open(settings.clone()).unwrap();
        let stop = CancellationToken::new();
        let (store, _listening) = RedisJobStore::start(redis.clone(), stop.clone());
        Self {
            server,
            redis,
            settings,
            store,
            policy: Arc::new(policy()),
            telemetry: Arc::default(),
            _folder: folder,
            stop,
        }
    }

    /// The same servers, with changes that replicas must confirm.
    pub fn with_confirmation(mut self) -> Self {
        self.settings.confirm_replicas = 1;
        self.redis = Redis::open(self.settings.clone()).unwrap();
        self.store = RedisJobStore::start(self.redis.clone(), self.stop.clone()).0;
        self
    }

    /// Admits jobs, many at a time.
    pub async fn admit_many(&self, count: usize, prompt: &str) -> Vec<JobId> {
        use futures::StreamExt;
        futures::stream::iter(0..count)
            .map(|_| async {
                let job = new_job(prompt);
                let id = job.id.clone();
                let admitted = self.store.admit(NewJob { job, idempotency: None }).await.unwrap();
                assert_eq!(admitted, Admission::Created);
                id
            })
            .buffer_unordered(64)
            .collect()
            .await
    }

    pub async fn job(&self, id: &JobId) -> Job {
        self.store.job(&workspace(), id).await.unwrap().expect("the job is kept")
    }

    pub async fn audit(&self) -> Audit {
        audit::run(&self.redis).await.unwrap()
    }

    /// All jobs have ended in `state`, no message is left, and no invariant is broken.
    pub async fn assert_all_ended(&self, count: usize, state: State) {
        wait_for("all jobs to end", || async {
            let audit = self.audit().await;
            audit.jobs.iter().filter(|job| job.state == state).count() == count && audit.messages == 0
        })
        .await;
        let audit = self.audit().await;
        assert_eq!(audit.jobs.len(), count);
        assert_eq!(audit.violations, []);
    }

    /// A "process" that runs queues until it is stopped or killed. Its grace is 2 s.
    pub fn process(&self, steps: &[Step], concurrency: usize, handler: Arc<dyn StepHandler>) -> Process {
        self.patient_process(steps, concurrency, handler, Duration::from_secs(2))
    }

    /// The same with another grace.
    pub fn patient_process(
        &self,
        steps: &[Step],
        concurrency: usize,
        handler: Arc<dyn StepHandler>,
        grace: Duration,
    ) -> Process {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();
        // A process of its own has connections of its own.
        let redis = {
            let _inside = runtime.enter();
            Redis::open(self.settings.clone()).unwrap()
        };
        for step in steps {
            let options = RunnerOptions { step: *step, concurrency, grace };
            tasks.push(runtime.spawn(run_queue(
                redis.clone(),
                self.policy.clone(),
                self.telemetry.clone(),
                handler.clone(),
                options,
                stop.clone(),
            )));
        }
        tasks.push(runtime.spawn(Clock::new(redis).run(stop.clone())));
        Process { runtime: Some(runtime), stop, tasks }
    }
}

impl<S> Drop for Fixture<S> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub struct Process {
    runtime: Option<tokio::runtime::Runtime>,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Process {
    /// Ends it without a word, as kill -9 does: no task of it runs on.
    pub fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Ends it by the stop signal; gives how long that took.
    pub async fn stop(mut self) -> Duration {
        let since = Instant::now();
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            tokio::time::timeout(LONG, task).await.expect("the process ends").unwrap();
        }
        since.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub fn workspace() -> WorkspaceId {
    "acme".parse().unwrap()
}

pub fn new_job(prompt: &str) -> Job {
    let now = Timestamp::now();
    let spec = JobSpec {
        operation: Operation::VideoGen,
        provider: Provider::Runway,
        model: "gen4.5".to_owned(),
        prompt: Some(prompt.to_owned()),
        input: None,
        files: Default::default(),
        config: serde_json::Map::new(),
        credential_id: None,
        priority: Priority::Normal,
        run_at: None,
        start_deadline: now + Duration::from_secs(3600),
        metadata: serde_json::Map::new(),
        capture_prompt: true,
        on_unknown_outcome: OnUnknownOutcome::Fail,
    };
    let producer = TraceParent { trace_id: 1, span_id: 2, is_sampled: true };
    let trace = JobTrace { producer, tracestate: None, media_span_id: 3, scheduled_by: None };
    Job::admitted(JobId::new(), workspace(), spec, Cost::unknown(), trace, now)
}

pub fn remote(job: &Job) -> RemoteOperation {
    RemoteOperation {
        id: format!("remote-{}-{}", job.id, job.body.attempts),
        submitted_at: Timestamp::now(),
        urls: Default::default(),
    }
}

/// What a delivery would have stored.
pub fn asset(job: &Job) -> Asset {
    Asset {
        id: AssetId::of(&job.id, 0),
        workspace_id: job.body.workspace_id.clone(),
        made_by: Some(MadeBy {
            job_id: job.id.clone(),
            index: 0,
            operation: job.body.spec.operation,
            provider: job.body.spec.provider,
            model: job.body.spec.model.clone(),
        }),
        name: None,
        metadata: Default::default(),
        key: format!("{}.mp4", job.id),
        content_type: "video/mp4".to_owned(),
        size_bytes: 1,
        sha256: String::new(),
        media: MediaFacts::default(),
        seed: None,
        revised_prompt: None,
        created_at: Timestamp::now(),
    }
}

/// Waits for a condition; panics with its name when it does not come.
pub async fn wait_for<F, Fut>(what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let since = Instant::now();
    while !condition().await {
        assert!(since.elapsed() < LONG, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Counts how often each step of each job was begun.
#[derive(Default)]
pub struct Journal {
    begun: Mutex<HashMap<(JobId, Step), u32>>,
    total: AtomicU32,
}

impl Journal {
    pub fn begin(&self, claim: &dyn Claim) -> u32 {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut begun = self.begun.lock().unwrap();
        let count = begun.entry((claim.job().id.clone(), claim.step())).or_default();
        *count += 1;
        *count
    }

    pub fn count(&self, id: &JobId, step: Step) -> u32 {
        self.begun.lock().unwrap().get(&(id.clone(), step)).copied().unwrap_or(0)
    }

    pub fn total(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }

    pub fn doubled(&self, step: Step) -> usize {
        self.begun.lock().unwrap().iter().filter(|((_, s), count)| *s == step && **count > 1).count()
    }
}

/// Drives jobs through their states by the real policy, with a pretended provider.
pub struct PretendedWork {
    pub policy: Arc<Policy>,
    pub journal: Journal,
    pub checks_needed: u16,
    /// How long a submit takes.
    pub pause: Duration,
}

impl PretendedWork {
    pub fn new<S>(fixture: &Fixture<S>) -> Self {
        Self {
            policy: fixture.policy.clone(),
            journal: Journal::default(),
            checks_needed: 0,
            pause: Duration::ZERO,
        }
    }

    pub async fn work(&self, claim: &dyn Claim) -> Result<(), Box<dyn std::error::Error>> {
        use atelier_domain::job::{Output, OutputSource};
        use atelier_domain::ports::Checked;
        self.journal.begin(claim);
        let job = claim.job().clone();
        let now = Timestamp::now();
        let decision = match (claim.step(), job.state) {
            (Step::Submit, State::Queued) => {
                let begun = self.policy.begin_submit(job, now)?;
                claim.save(&begun.job).await?;
                tokio::time::sleep(self.pause).await;
                let remote = remote(&begun.job);
                self.policy.accepted(begun.job, remote, None, Timestamp::now())?
            }
            (Step::Submit, State::Submitting) => self.policy.found_open_intent(job, now)?,
            (Step::Check, State::Awaiting) if job.checks < self.checks_needed => {
                let found = Checked::Working { status: "RUNNING".to_owned(), progress_percent: Some(10) };
                self.policy.checked(job, found, now, 0.5)?
            }
            (Step::Check, State::Awaiting) => {
                let source = OutputSource::Link("https://example.com/x.mp4".to_owned());
                let outputs = vec![Output { source, content_type: None, seed: None, revised_prompt: None }];
                let found = Checked::Ready { outputs, status: "SUCCEEDED".to_owned(), cost: None };
                self.policy.checked(job, found, now, 0.5)?
            }
            (Step::Deliver, State::Delivering) => {
                let assets = vec![asset(&job)];
                self.policy.delivered(job, assets, now)?
            }
            (Step::Reconcile, State::Uncertain) => {
                self.policy.reconcile_blind(job, LateNews::Impossible, now)?
            }
            (Step::Abandon, _) => self.policy.abandoned(job, true, now, 0.5),
            (step, state) => return Err(format!("{step} found a job that is {state}").into()),
        };
        Ok(claim.settle(decision.job, decision.next).await?)
    }
}

#[async_trait]
impl StepHandler for PretendedWork {
    async fn handle(&self, claim: Arc<dyn Claim>) {
        let outcome = self.work(claim.as_ref()).await;
        if let Err(reason) = outcome {
            eprintln!("step of {}: {reason}", claim.job().id);
        }
    }
}

/// Begins steps and never ends one.
#[derive(Default)]
pub struct Hanging(pub tokio::sync::Notify);

#[async_trait]
impl StepHandler for Hanging {
    async fn handle(&self, _: Arc<dyn Claim>) {
        self.0.notify_one();
        std::future::pending::<()>().await;
    }
}
