//! Indexes of a workspace over all shards, newest first, and the jobs in them.

use std::collections::VecDeque;

use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::ports::Among;
use futures::future::try_join_all;
use redis::{AsyncCommands, RedisResult};
use tracing::error;

use crate::connect::{Redis, Shard, twice};
use crate::keys::Keys;
use crate::record;

/// Ids read in one command.
pub(crate) const CHUNK: isize = 500;

/// How many ids these indexes of all shards hold. An id whose record has expired is among them until the control queue
/// repairs the index.
pub(crate) async fn count(redis: &Redis, index: impl Fn(&Keys) -> String) -> RedisResult<u64> {
    let counts = redis.shards().iter().map(|shard| {
        let index = index(&shard.keys);
        async move { twice(|| async { shard.commands().zcard::<_, u64>(&index).await }).await }
    });
    Ok(try_join_all(counts).await?.into_iter().sum())
}

/// Walks over the indexes of all shards as if they were one.
pub(crate) struct Newest<'a> {
    rows: Vec<Row<'a>>,
}

/// The index of one shard.
struct Row<'a> {
    shard: &'a Shard,
    index: String,
    /// Only ids of this time and earlier.
    until: Option<i64>,
    next_rank: isize,
    is_at_end: bool,
    read: VecDeque<(String, f64)>,
}

impl<'a> Newest<'a> {
    /// Begins after the `skipped` newest. With several shards their ids are read to be skipped, as nobody knows how
    /// many of them each shard has.
    pub(crate) async fn after(
        redis: &'a Redis,
        among: Among,
        workspace: &WorkspaceId,
        skipped: isize,
    ) -> RedisResult<Self> {
        Self::over(redis, |keys| keys.index_of(among, workspace), None).skipping(skipped).await
    }

    /// Over these indexes, those of `until` and earlier.
    pub(crate) fn over(redis: &'a Redis, index: impl Fn(&Keys) -> String, until: Option<i64>) -> Self {
        let rows = redis.shards().iter().map(|shard| Row {
            shard,
            index: index(&shard.keys),
            until,
            next_rank: 0,
            is_at_end: false,
            read: VecDeque::new(),
        });
        Self { rows: rows.collect() }
    }

    /// Goes on after the `skipped` next ones.
    pub(crate) async fn skipping(self, skipped: isize) -> RedisResult<Self> {
        let mut newest = self;
        if let [row] = &mut newest.rows[..] {
            row.next_rank = skipped;
            return Ok(newest);
        }
        let mut left = skipped;
        while left > 0 {
            let passed = newest.take(left.min(CHUNK)).await?.len();
            if passed == 0 {
                break;
            }
            left -= isize::try_from(passed).unwrap_or(isize::MAX);
        }
        Ok(newest)
    }

    /// The next `count` ids, at most [`CHUNK`]; fewer only at the end.
    pub(crate) async fn take(&mut self, count: isize) -> RedisResult<Vec<String>> {
        Ok(self.take_timed(count).await?.into_iter().map(|(id, _)| id).collect())
    }

    /// The same with their times. Those of one time come in the order of their ids, greatest first.
    pub(crate) async fn take_timed(&mut self, count: isize) -> RedisResult<Vec<(String, f64)>> {
        let count = count.clamp(1, CHUNK);
        let mut taken = Vec::new();
        while taken.len() < count.unsigned_abs() {
            try_join_all(self.rows.iter_mut().map(|row| row.fill(count))).await?;
            let newest = self.rows.iter_mut().max_by(|a, b| {
                let ((of_a, id_of_a), (of_b, id_of_b)) = (a.head(), b.head());
                of_a.total_cmp(&of_b).then_with(|| id_of_a.cmp(id_of_b))
            });
            match newest.and_then(|row| row.read.pop_front()) {
                Some(next) => taken.push(next),
                None => break,
            }
        }
        Ok(taken)
    }
}

impl Row<'_> {
    /// The newest id that is left, after its time.
    fn head(&self) -> (f64, &str) {
        self.read.front().map_or((f64::NEG_INFINITY, ""), |(id, time)| (*time, id))
    }

    /// Reads on when nothing is left of what was read before.
    async fn fill(&mut self, count: isize) -> RedisResult<()> {
        if self.is_at_end || !self.read.is_empty() {
            return Ok(());
        }
        let (shard, index, from) = (self.shard, &self.index, self.next_rank);
        let ids: Vec<(String, f64)> = match self.until {
            None => {
                let range =
                    || async { shard.commands().zrevrange_withscores(index, from, from + count - 1).await };
                twice(range).await?
            }
            Some(until) => {
                let mut range = redis::cmd("ZRANGE");
                range.arg(index).arg(until).arg("-inf").arg("BYSCORE").arg("REV");
                range.arg("LIMIT").arg(from).arg(count).arg("WITHSCORES");
                twice(|| async { range.query_async(&mut shard.commands()).await }).await?
            }
        };
        let found = isize::try_from(ids.len()).unwrap_or(count);
        self.next_rank += found;
        self.is_at_end = found < count;
        self.read = ids.into();
        Ok(())
    }
}

/// The records of these ids that can be read, in the same order.
pub(crate) async fn read(redis: &Redis, ids: &[String]) -> RedisResult<Vec<Job>> {
    let ids: Vec<JobId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let of_shards = redis.shards().iter().map(|shard| {
        let own = |id: &&JobId| redis.of_job(id).keys.number() == shard.keys.number();
        let keys: Vec<String> = ids.iter().filter(own).map(|id| shard.keys.job(id)).collect();
        async move {
            if keys.is_empty() {
                return Ok(VecDeque::new());
            }
            let records: Vec<Option<Vec<u8>>> =
                twice(|| async { shard.commands().mget(&keys).await }).await?;
            RedisResult::Ok(VecDeque::from(records))
        }
    });
    let mut records = try_join_all(of_shards).await?;
    let mut jobs = Vec::with_capacity(ids.len());
    for id in &ids {
        let own = records.get_mut(usize::from(redis.of_job(id).keys.number()));
        match own.and_then(VecDeque::pop_front).flatten().map(|bytes| record::read(id, &bytes)) {
            Some(Ok(job)) => jobs.push(job),
            Some(Err(reason)) => error!(job.id = %id, error = %reason, "record left out of a list"),
            None => {}
        }
    }
    Ok(jobs)
}
