//! Jobs and assets as the api sees them.

use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::asset::Asset;
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::operation::Step;
use atelier_domain::ports::{
    Admission, CancelOutcome, JobFilter, JobStore, ListPlace, NewJob, Next, Page, StoreUnavailable,
    TimeSource as _, Walked,
};
use atelier_domain::state::{Event, State};
use futures::future::try_join_all;
use redis::{AsyncCommands, RedisResult};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Joiner;
use crate::connect::{Redis, twice};
use crate::ended::{self, Waiters};
use crate::settle::{self, Extent, Source, Verdict, Written};
use crate::{admission, common_time, listing, record, script};

/// How often a waiting caller looks although no message came.
const LOOK_EVERY: Duration = Duration::from_secs(2);

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
    /// Opens the store, listens for ended jobs and keeps the common time until `stop`. The returned task ends then.
    pub fn start(redis: Redis, stop: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let waiters = Waiters::default();
        let listening = ended::listen(redis.clone(), waiters.clone(), stop.clone());
        let keeping_time = common_time::keep(redis.clone(), stop);
        let task = tokio::spawn(async move {
            tokio::join!(listening, keeping_time);
        });
        let joiner = Joiner::start(redis.clone());
        (Self { redis, waiters, joiner }, task)
    }

    async fn read(&self, id: &JobId) -> Result<Option<Job>, StoreUnavailable> {
        let shard = self.redis.of_job(id);
        let key = shard.keys.job(id);
        let found: Option<Vec<u8>> =
            twice(|| async { shard.commands().get(&key).await }).await.map_err(unavailable)?;
        found.map(|bytes| record::read(id, &bytes)).transpose().map_err(unavailable)
    }
}

#[async_trait]
impl JobStore for RedisJobStore {
    fn new_job_id(&self, workspace: &WorkspaceId, key: Option<&str>) -> JobId {
        self.redis.new_job_id(workspace, key)
    }

    async fn admit(&self, new: NewJob) -> Result<Admission, StoreUnavailable> {
        self.joiner.admit(new).await
    }

    /// One script for each few hundred jobs of a shard.
    async fn admit_many(&self, new: &[NewJob]) -> Vec<Result<Admission, StoreUnavailable>> {
        admission::admit_many(&self.redis, new).await
    }

    async fn job(&self, workspace: &WorkspaceId, id: &JobId) -> Result<Option<Job>, StoreUnavailable> {
        Ok(self.read(id).await?.filter(|job| job.body.workspace_id == *workspace))
    }

    async fn jobs(&self, workspace: &WorkspaceId, filter: &JobFilter) -> Result<Page<Job>, StoreUnavailable> {
        listing::page(&self.redis, workspace, filter).await.map_err(unavailable)
    }

    async fn walk(
        &self,
        workspace: &WorkspaceId,
        filter: &JobFilter,
        behind: Option<&ListPlace>,
    ) -> Result<Walked, StoreUnavailable> {
        listing::walk(&self.redis, workspace, filter, behind).await.map_err(unavailable)
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
            after.body.clear_outputs();
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
        let shard = self.redis.of_job(id);
        let keys = &shard.keys;
        let mut call = script::HASTEN.prepare_invoke();
        call.key(keys.job(id))
            .key(keys.checks())
            .key(keys.checks_wake())
            .key(keys.hastened(id))
            .arg(id.as_str())
            .arg(self.redis.settings.retention_s.saturating_mul(1000));
        twice(|| async { call.invoke_async(&mut shard.commands()).await }).await.map_err(unavailable)
    }

    async fn decide(&self, before: &Job, after: Job, next: Next) -> Result<bool, StoreUnavailable> {
        let retention = self.redis.settings.retention();
        let mut after = after;
        after.epoch = before.epoch;
        let expected = settle::rise(&mut after);
        let now = self.redis.time.now();
        let verdict =
            Verdict::ending(expected, &after, Extent::Whole, &next, &Source::Outside, retention, now)
                .map_err(unavailable)?
                .indexed(before, &after, retention)
                .telling(before, &after);
        let verdicts = [verdict];
        let shard = self.redis.of_job(&before.id);
        let written = twice(|| async { settle::send(shard, &verdicts).await }).await.map_err(unavailable)?;
        Ok(written.first() == Some(&Written::Yes))
    }

    async fn strike(&self, workspace: &WorkspaceId, ids: &[JobId]) -> Result<u64, StoreUnavailable> {
        let mut struck = 0u64;
        for shard in self.redis.shards() {
            let own = |id: &&JobId| self.redis.of_job(id).keys.number() == shard.keys.number();
            let ids: Vec<&str> = ids.iter().filter(own).map(JobId::as_str).collect();
            if ids.is_empty() {
                continue;
            }
            let index = shard.keys.dead_letters_of(workspace);
            struck += twice(|| async { shard.commands().zrem::<_, _, u64>(&index, &ids).await })
                .await
                .map_err(unavailable)?;
        }
        Ok(struck)
    }

    async fn forget(&self, workspace: &WorkspaceId, id: &JobId) -> Result<bool, StoreUnavailable> {
        if self.job(workspace, id).await?.is_none_or(|job| !job.state.is_terminal()) {
            return Ok(false);
        }
        let shard = self.redis.of_job(id);
        let mut call = script::FORGET.prepare_invoke();
        call.key(shard.keys.job(id))
            .key(shard.keys.jobs_of(workspace))
            .key(shard.keys.dead_letters_of(workspace))
            .arg(id.as_str());
        twice(|| shard.run(&call)).await.map_err(unavailable)
    }

    async fn asset(&self, workspace: &WorkspaceId, id: &AssetId) -> Result<Option<Asset>, StoreUnavailable> {
        let shard = self.redis.of_asset(id);
        let key = shard.keys.asset(id);
        let found: Option<Vec<u8>> =
            twice(|| async { shard.commands().get(&key).await }).await.map_err(unavailable)?;
        let asset: Option<Asset> =
            found.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(unavailable)?;
        Ok(asset.filter(|asset| asset.workspace_id == *workspace))
    }

    async fn ready(&self) -> Result<(), StoreUnavailable> {
        // All of them: a job may belong into any shard.
        let asked = self.redis.groups().iter().map(|group| async {
            let _: String =
                twice(|| async { redis::cmd("PING").query_async(&mut group.link.clone()).await }).await?;
            RedisResult::Ok(())
        });
        try_join_all(asked).await.map_err(unavailable)?;
        Ok(())
    }
}
