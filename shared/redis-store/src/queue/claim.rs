//! One claimed step: the only way a worker writes a job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::ids::JobId;
use atelier_domain::job::{Job, RemoteOperation};
use atelier_domain::ledger::CallOutcome;
use atelier_domain::operation::Step;
use atelier_domain::pause::PauseScope;
use atelier_domain::policy::Policy;
use atelier_domain::ports::{Claim, ClaimError, Next, Telemetry, TimeSource as _};
use atelier_domain::state::{Event, State};
use redis::{AsyncCommands, RedisResult};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::leases::Leases;
use crate::connect::{Backoff, Shard};
use crate::record;
use crate::settle::{self, Extent, Retention, Settler, Source, Verdict, Written};

/// What all claims of one queue and shard share.
pub(crate) struct Engine {
    pub(crate) shard: Shard,
    pub(crate) policy: Arc<Policy>,
    pub(crate) telemetry: Arc<dyn Telemetry>,
    pub(crate) settler: Settler,
    pub(crate) leases: Leases,
    pub(crate) step: Step,
    /// Unique for every start of a process, so that nobody inherits the messages of a dead namesake.
    pub(crate) consumer: String,
}

impl Engine {
    fn retention(&self) -> Retention {
        self.shard.settings.retention()
    }
}

/// A place for one running step; a redelivered one also holds the place for suspects.
pub(crate) struct Place {
    pub(crate) _slot: OwnedSemaphorePermit,
    pub(crate) _suspect: Option<OwnedSemaphorePermit>,
}

/// How far a claim has come. What it is decides what a process that ends may do about it.
enum Phase {
    /// Nothing was written: somebody else can begin from the start.
    Untouched,
    /// The job as its holder saved it, with the intent of a paid call.
    Saved(Box<Job>),
    /// The process ends and has done with it; the holder may not write any more.
    Left,
}

/// [`Claim`] on Redis.
pub(crate) struct RedisClaim {
    engine: Arc<Engine>,
    job: Job,
    source: Source,
    /// Whether the body in Redis is no longer the claimed one, or has another layout: then a write is whole.
    is_body_stale: AtomicBool,
    is_settled: AtomicBool,
    phase: Mutex<Phase>,
    place: Mutex<Option<Place>>,
}

impl RedisClaim {
    /// `extent` is what a write that changes no body must replace.
    pub(crate) fn new(
        engine: Arc<Engine>,
        job: Job,
        source: Source,
        extent: Extent,
        place: Place,
    ) -> Arc<Self> {
        engine.leases.add(&job.id, job.epoch, &source);
        Arc::new(Self {
            engine,
            job,
            source,
            is_body_stale: AtomicBool::new(extent == Extent::Whole),
            is_settled: AtomicBool::new(false),
            phase: Mutex::new(Phase::Untouched),
            place: Mutex::new(Some(place)),
        })
    }

    /// Gives the step back untouched, for another process to do now.
    pub(crate) async fn release(&self) {
        if let Err(reason) = self.settle(self.job.clone(), Next::Now(self.engine.step)).await {
            warn!(job.id = %self.job.id, error = %reason, "a step could not be given back; its lease will end");
        }
    }

    /// Holds the job back: it is not to be begun while the pause lasts.
    pub(crate) async fn park(&self, scope: &PauseScope) {
        let now = self.engine.shard.time.now();
        let mut job = self.job.clone();
        job.due_at = Some(job.body.spec.start_deadline);
        job.note_held(scope, now);
        let extent = self.extent_of(&job);
        let expected = settle::rise(&mut job);
        let verdict = Verdict::parking(expected, &job, extent, scope, &self.source, now);
        let outcome = self.write(verdict).await;
        self.close();
        match outcome {
            Ok(()) => info!(job.id = %job.id, pause = %scope, "job held back"),
            Err(reason) => {
                warn!(job.id = %job.id, error = %reason, "a job could not be held back; its lease will end");
            }
        }
    }

    /// Gives a running step back, unless its holder has begun a paid call; whether it did. The holder cannot begin one
    /// afterwards.
    pub(crate) async fn give_back(&self) -> bool {
        {
            let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(*phase, Phase::Untouched) {
                return false;
            }
            *phase = Phase::Left;
        }
        self.release_if_open().await;
        true
    }

    async fn release_if_open(&self) {
        if !self.is_settled.load(Ordering::Acquire) {
            self.release().await;
        }
    }

    /// Writes down that the answer to the paid call under way will not be heard by this process. Whoever may know more
    /// is asked at once, and not after a lease.
    pub(crate) async fn hand_over(&self) {
        let saved = {
            let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *phase, Phase::Left)
        };
        match saved {
            _ if self.is_settled.load(Ordering::Acquire) => {}
            Phase::Saved(job) => {
                warn!(job.id = %job.id, "the process ends before the answer to a paid call");
                let decided = self.engine.policy.found_open_intent(*job, self.engine.shard.time.now());
                self.settle_decided(decided).await;
            }
            Phase::Untouched | Phase::Left => self.release_if_open().await,
        }
    }

    /// Ends a claim that its handler left open.
    pub(crate) async fn end_if_open(&self, reason: &str) {
        if self.is_settled.load(Ordering::Acquire) {
            return;
        }
        error!(job.id = %self.job.id, step = %self.engine.step, reason, "step ended without a verdict");
        let now = self.engine.shard.time.now();
        let present = self.reread().await.unwrap_or_else(|| self.job.clone());
        let decided = self.engine.policy.step_failed(present, self.engine.step, reason, now, rand::random());
        self.settle_decided(decided).await;
    }

    /// Ends a job that was claimed too often.
    pub(crate) async fn end_as_poison(&self) {
        error!(job.id = %self.job.id, deliveries = self.job.deliveries, "poisoned job given up");
        let decided = self.engine.policy.poisoned(self.job.clone(), self.engine.shard.time.now());
        self.settle_decided(decided).await;
    }

    async fn settle_decided(
        &self,
        decided: Result<atelier_domain::policy::Decision, atelier_domain::state::IllegalTransition>,
    ) {
        match decided {
            Ok(decision) => {
                if let Err(reason) = self.settle(decision.job, decision.next).await {
                    warn!(job.id = %self.job.id, error = %reason, "verdict without effect");
                }
            }
            Err(reason) => {
                error!(job.id = %self.job.id, error = %reason, "no verdict fits the job");
                self.close();
            }
        }
    }

    /// The job as this claim last saved it.
    async fn reread(&self) -> Option<Job> {
        let bytes: Vec<u8> =
            self.engine.shard.commands().get(self.engine.shard.keys.job(&self.job.id)).await.ok()?;
        record::read(&self.job.id, &bytes).ok().filter(|job| job.epoch == self.job.epoch)
    }

    fn close(&self) {
        self.is_settled.store(true, Ordering::Release);
        self.engine.leases.remove(&self.job.id, self.job.epoch);
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn extent_of(&self, job: &Job) -> Extent {
        let is_whole =
            self.is_body_stale.load(Ordering::Acquire) || record::differs(&self.job.body, &job.body);
        if is_whole { Extent::Whole } else { Extent::Header }
    }

    async fn write(&self, verdict: Result<Verdict, record::RecordError>) -> Result<(), ClaimError> {
        let verdict = verdict.map_err(|reason| {
            // Our own types always encode; if they ever do not, the claim lapses and the step is tried again.
            error!(job.id = %self.job.id, error = %reason, "record cannot be encoded");
            ClaimError::GaveUp
        })?;
        match self.engine.settler.settle(verdict).await {
            Some(Written::Yes) => Ok(()),
            Some(Written::Stale(bytes)) => Err(ClaimError::Stale(read_stale(&self.job.id, &bytes))),
            None => Err(ClaimError::GaveUp),
        }
    }
}

fn read_stale(id: &JobId, bytes: &[u8]) -> Option<Box<Job>> {
    record::read(id, bytes).ok().map(Box::new)
}

impl Drop for RedisClaim {
    /// A claim that is dropped open only stops being renewed: its lease ends, and somebody else gets the step.
    fn drop(&mut self) {
        self.engine.leases.remove(&self.job.id, self.job.epoch);
    }
}

#[async_trait]
impl Claim for RedisClaim {
    fn job(&self) -> &Job {
        &self.job
    }

    fn step(&self) -> Step {
        self.engine.step
    }

    async fn save(&self, job: &Job) -> Result<(), ClaimError> {
        {
            let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*phase, Phase::Left) {
                return Err(ClaimError::GaveUp);
            }
            *phase = Phase::Saved(Box::new(job.clone()));
        }
        let extent = self.extent_of(job);
        // Before the write: whether a lost one has arrived is not known.
        self.is_body_stale.fetch_or(extent == Extent::Whole, Ordering::AcqRel);
        self.write(Verdict::keeping(job, extent).map(|verdict| verdict.telling(&self.job, job))).await
    }

    async fn settle(&self, mut job: Job, next: Next) -> Result<(), ClaimError> {
        let (was, is) = (self.job.state, job.state);
        let extent = self.extent_of(&job);
        let expected = settle::rise(&mut job);
        let (retention, now) = (self.engine.retention(), self.engine.shard.time.now());
        let verdict = Verdict::ending(expected, &job, extent, &next, &self.source, retention, now)
            .map(|verdict| verdict.indexed(&self.job, &job, retention))
            .map(|verdict| match &*self.phase.lock().unwrap_or_else(PoisonError::into_inner) {
                Phase::Saved(saved) => verdict.telling(saved, &job),
                Phase::Untouched | Phase::Left => verdict.telling(&self.job, &job),
            });
        let outcome = self.write(verdict).await;
        self.close();
        outcome?;
        if was != is {
            info!(job.id = %job.id, from = %was, to = %is, step = %self.engine.step, "job changed state");
        }
        if !was.is_terminal() && is.is_terminal() {
            self.engine.telemetry.media(&job);
        }
        Ok(())
    }

    async fn note_late_remote(&self, remote: RemoteOperation) -> Result<(), ClaimError> {
        // The id is worth money: it is tried until Redis answers, however long that takes.
        let mut backoff = Backoff::default();
        loop {
            match self.try_note(&remote).await {
                Ok(outcome) => return outcome,
                Err(reason) => {
                    warn!(job.id = %self.job.id, provider.job_id = %remote.id, error = %reason, "late answer waits for redis");
                    backoff.wait(&CancellationToken::new()).await;
                }
            }
        }
    }
}

impl RedisClaim {
    /// Keeps a remote id that came when the claim was no longer ours. `Err` only when Redis does not answer.
    async fn try_note(&self, remote: &RemoteOperation) -> RedisResult<Result<(), ClaimError>> {
        let key = self.engine.shard.keys.job(&self.job.id);
        // Each round looks at what another writer left; the bound is far above any real race.
        for _ in 0..32 {
            let bytes: Vec<u8> = self.engine.shard.commands().get(&key).await?;
            let Ok(before) = record::read(&self.job.id, &bytes) else {
                return Ok(Err(ClaimError::Stale(None)));
            };
            if before.body.remote.as_ref().is_some_and(|kept| kept.id == remote.id) {
                // The verdict was written, but its answer was lost and somebody took the next step meanwhile.
                return Ok(Ok(()));
            }
            let now = self.engine.shard.time.now();
            let Some((mut after, next)) = with_late_remote(&before, remote, now) else {
                // Somebody else has submitted again: two calls were paid, and only one can be the job's.
                error!(job.id = %self.job.id, provider.job_id = %remote.id, "a second remote operation exists");
                return Ok(Err(ClaimError::Stale(Some(Box::new(before)))));
            };
            let expected = settle::rise(&mut after);
            let (source, retention) = (Source::Outside, self.engine.retention());
            let verdict = Verdict::ending(expected, &after, Extent::Whole, &next, &source, retention, now)
                .map(|verdict| verdict.indexed(&before, &after, retention))
                .map(|verdict| verdict.telling(&before, &after));
            let Ok(verdict) = verdict else { return Ok(Err(ClaimError::GaveUp)) };
            let written = settle::send(&self.engine.shard, &[verdict]).await?;
            if written == [Written::Yes] {
                warn!(job.id = %self.job.id, provider.job_id = %remote.id, "late answer kept");
                return Ok(Ok(()));
            }
        }
        Ok(Err(ClaimError::GaveUp))
    }
}

/// What a remote id that came late makes of a job: an uncertain one waits for its result after all, an ended one has
/// the provider told to stop. `None` when the job goes another way by now.
fn with_late_remote(before: &Job, remote: &RemoteOperation, now: Timestamp) -> Option<(Job, Next)> {
    let mut after = before.clone();
    after.body.remote = Some(remote.clone());
    match before.state {
        State::Uncertain => {
            after.body.error = None;
            after.body.make_known(CallOutcome::Accepted, Some(&remote.id), "the answer came late", now);
            after.apply(Event::Adopted, now).ok()?;
            after.due_at = Some(now);
            Some((after, Next::Now(Step::Check)))
        }
        State::Succeeded | State::Failed | State::Cancelled if before.body.remote.is_none() => {
            Some((after, Next::Now(Step::Abandon)))
        }
        State::Queued
        | State::Submitting
        | State::Awaiting
        | State::Delivering
        | State::Succeeded
        | State::Failed
        | State::Cancelled => None,
    }
}
