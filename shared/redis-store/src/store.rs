//! Jobs and assets as the api sees them.

use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::asset::Asset;
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::operation::Step;
use atelier_domain::ports::{
    Admission, CancelOutcome, JobFilter, JobStore, NewJob, Next, Page, StoreUnavailable,
};
use atelier_domain::state::{Event, State};
use redis::AsyncCommands;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::admission::Joiner;
use crate::connect::{Redis, twice};
use crate::events::{self, Waiters};
use crate::settle::{self, Extent, Source, Verdict, Written};
use crate::{admission, record, script};

/// How often a waiting caller looks although no message came.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Records read in one command when a list is filtered.
const CHUNK: isize = 500;
/// Records that one filtered list looks at, newest first. Older ones are found by narrower filters or other pages.
const SCAN_LIMIT: isize = 20_000;

/// [`JobStore`] on Redis.
#[derive(Clone)]
pub struct RedisJobStore {
    redis: Redis,
    waiters: Waiters,
    joiner: Joiner,
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreUnavailable {
    StoreUnavailable { source: Box::new(source) }
}

impl RedisJobStore {
    /// Opens the store and listens for ended jobs until `stop`. The returned task ends then.
    pub fn start(redis: Redis, stop: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let waiters = Waiters::default();
        let task = tokio::spawn(events::listen(redis.clone(), waiters.clone(), stop));
        let joiner = Joiner::start(redis.clone());
        (Self { redis, waiters, joiner }, task)
    }

    async fn read(&self, id: &JobId) -> Result<Option<Job>, StoreUnavailable> {
        let key = self.redis.keys.job(id);
        let found: Option<Vec<u8>> =
            twice(|| async { self.redis.commands().get(&key).await }).await.map_err(unavailable)?;
        found.map(|bytes| record::read(id, &bytes)).transpose().map_err(unavailable)
    }

    /// Admits many jobs, each as [`JobStore::admit`] would: one outcome a job, in their order. It takes one script for
    /// every 500 jobs, so a failure in between leaves earlier ones admitted and says so.
    pub async fn admit_many(&self, new: Vec<NewJob>) -> Vec<Result<Admission, StoreUnavailable>> {
        let mut admitted = Vec::with_capacity(new.len());
        for outcome in admission::admit(&self.redis, &new).await {
            admitted.push(match outcome {
                Ok(outcome) => self.admission(&outcome).await,
                Err(reason) => Err(reason),
            });
        }
        admitted
    }

    /// Reads an outcome of the script.
    async fn admission(&self, outcome: &str) -> Result<Admission, StoreUnavailable> {
        let Some(other) = outcome.get(1..).filter(|other| !other.is_empty()) else {
            return Ok(Admission::Created);
        };
        let other: JobId = other.parse().map_err(unavailable)?;
        if outcome.starts_with('r')
            && let Some(job) = self.read(&other).await?
        {
            return Ok(Admission::Repeated(Box::new(job)));
        }
        Ok(Admission::KeyReused(other))
    }

    /// The jobs at these positions of an index, and how many positions there were: an id whose record has expired
    /// stands there until the control queue repairs the index.
    async fn window(
        &self,
        index: &str,
        from: isize,
        count: isize,
    ) -> Result<(usize, Vec<Job>), StoreUnavailable> {
        let ids: Vec<String> =
            twice(|| async { self.redis.commands().zrevrange(index, from, from + count - 1).await })
                .await
                .map_err(unavailable)?;
        if ids.is_empty() {
            return Ok((0, Vec::new()));
        }
        let seen = ids.len();
        let ids: Vec<JobId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        let keys: Vec<String> = ids.iter().map(|id| self.redis.keys.job(id)).collect();
        let records: Vec<Option<Vec<u8>>> =
            twice(|| async { self.redis.commands().mget(&keys).await }).await.map_err(unavailable)?;
        let mut jobs = Vec::with_capacity(ids.len());
        for (id, found) in ids.iter().zip(records) {
            match found.map(|bytes| record::read(id, &bytes)) {
                Some(Ok(job)) => jobs.push(job),
                Some(Err(reason)) => error!(job.id = %id, error = %reason, "record left out of a list"),
                None => {}
            }
        }
        Ok((seen, jobs))
    }
}

#[async_trait]
impl JobStore for RedisJobStore {
    async fn admit(&self, new: NewJob) -> Result<Admission, StoreUnavailable> {
        let outcome = self.joiner.admit(new).await?;
        self.admission(&outcome).await
    }

    async fn job(&self, workspace: &WorkspaceId, id: &JobId) -> Result<Option<Job>, StoreUnavailable> {
        Ok(self.read(id).await?.filter(|job| job.body.workspace_id == *workspace))
    }

    async fn jobs(&self, workspace: &WorkspaceId, filter: &JobFilter) -> Result<Page<Job>, StoreUnavailable> {
        let index = self.redis.keys.jobs_of(workspace);
        let limit = isize::try_from(filter.limit).unwrap_or(20);
        let first = isize::try_from(filter.page.saturating_sub(1)).unwrap_or(0).saturating_mul(limit);
        let is_unfiltered = filter.state.is_none() && filter.operation.is_none() && filter.provider.is_none();
        if is_unfiltered {
            let total: u64 =
                twice(|| async { self.redis.commands().zcard(&index).await }).await.map_err(unavailable)?;
            let (_, items) = self.window(&index, first, limit).await?;
            return Ok(Page { items, total });
        }
        let fits = |job: &Job| {
            filter.state.is_none_or(|state| job.state == state)
                && filter.operation.is_none_or(|operation| job.body.spec.operation == operation)
                && filter.provider.is_none_or(|provider| job.body.spec.provider == provider)
        };
        let mut items = Vec::new();
        let mut total = 0u64;
        let mut from = 0;
        while from < SCAN_LIMIT {
            let (seen, jobs) = self.window(&index, from, CHUNK).await?;
            if seen == 0 {
                break;
            }
            for job in jobs.into_iter().filter(fits) {
                let position = isize::try_from(total).unwrap_or(isize::MAX);
                if position >= first && position < first + limit {
                    items.push(job);
                }
                total += 1;
            }
            from += CHUNK;
        }
        Ok(Page { items, total })
    }

    async fn cancel(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
        now: Timestamp,
    ) -> Result<CancelOutcome, StoreUnavailable> {
        // Another writer can be faster; each round looks at what it left. The bound is far above any real race.
        for _ in 0..32 {
            let Some(before) = self.job(workspace, id).await? else { return Ok(CancelOutcome::Unknown) };
            if before.state.is_terminal() {
                return Ok(CancelOutcome::AlreadyEnded(Box::new(before)));
            }
            let mut after = before.clone();
            let was = after.state;
            after.apply(Event::Cancelled, now).map_err(unavailable)?;
            after.body.outputs.clear();
            let runs_at_provider = after.body.remote.is_some() && was == State::Awaiting;
            let next = if runs_at_provider { Next::Now(Step::Abandon) } else { Next::Nothing };
            if self.decide(&before, after.clone(), next).await? {
                return Ok(CancelOutcome::Cancelled(Box::new(after)));
            }
        }
        Err(StoreUnavailable { source: "the job changed too often while it was cancelled".into() })
    }

    async fn wait_for_end(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
        limit: Duration,
    ) -> Result<Option<Job>, StoreUnavailable> {
        let registration = self.waiters.register(id.as_str());
        let deadline = Instant::now() + limit;
        loop {
            let bell = registration.bell();
            let job = self.job(workspace, id).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || job.as_ref().is_none_or(|job| job.state.is_terminal()) {
                return Ok(job);
            }
            let _ = tokio::time::timeout(left.min(LOOK_EVERY), bell).await;
        }
    }

    async fn job_of_callback(&self, id: &JobId) -> Result<Option<Job>, StoreUnavailable> {
        self.read(id).await
    }

    async fn hasten(&self, id: &JobId) -> Result<bool, StoreUnavailable> {
        let keys = &self.redis.keys;
        let mut call = script::HASTEN.prepare_invoke();
        call.key(keys.job(id))
            .key(keys.checks())
            .key(keys.checks_wake())
            .key(keys.hastened(id))
            .arg(id.as_str())
            .arg(self.redis.settings.retention_s.saturating_mul(1000));
        twice(|| async { call.invoke_async(&mut self.redis.commands()).await }).await.map_err(unavailable)
    }

    async fn decide(&self, before: &Job, after: Job, next: Next) -> Result<bool, StoreUnavailable> {
        let retention = Duration::from_secs(self.redis.settings.retention_s);
        let mut after = after;
        after.epoch = before.epoch;
        let expected = settle::rise(&mut after);
        let now = Timestamp::now();
        let verdict =
            Verdict::ending(expected, &after, Extent::Whole, &next, &Source::Outside, retention, now)
                .map_err(unavailable)?;
        let verdicts = [verdict];
        let written =
            twice(|| async { settle::send(&mut self.redis.commands(), &self.redis.keys, &verdicts).await })
                .await
                .map_err(unavailable)?;
        Ok(written.first() == Some(&Written::Yes))
    }

    async fn asset(&self, workspace: &WorkspaceId, id: &AssetId) -> Result<Option<Asset>, StoreUnavailable> {
        let key = self.redis.keys.asset(id);
        let found: Option<Vec<u8>> =
            twice(|| async { self.redis.commands().get(&key).await }).await.map_err(unavailable)?;
        let asset: Option<Asset> =
            found.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(unavailable)?;
        Ok(asset.filter(|asset| asset.workspace_id == *workspace))
    }

    async fn ready(&self) -> Result<(), StoreUnavailable> {
        let _: String = twice(|| async { redis::cmd("PING").query_async(&mut self.redis.commands()).await })
            .await
            .map_err(unavailable)?;
        Ok(())
    }
}
