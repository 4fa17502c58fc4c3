//! Removes finished tasks. `apalis-redis` keeps them for ever; its own `vacuum` walks over everything in one call and
//! also removes tasks that wait for a retry, which then ends every worker.

use std::time::Duration;

use apalis_redis::Config;
use atelier_domain::Timestamp;
use redis::{AsyncCommands, RedisResult};

use crate::connect::Redis;

/// Tasks looked at in one command, about.
const CHUNK: u32 = 200;
/// Chunks of one pass. The next pass goes on where this one has stopped.
const CHUNKS: usize = 20;

/// Walks over the finished tasks, a bounded piece at a time.
pub(super) struct Finished {
    config: Config,
    keep: Duration,
    /// The sets of finished tasks, each with the cursor of its walk.
    walks: [(String, u64); 2],
}

impl Finished {
    pub(super) fn new(config: Config, keep: Duration) -> Self {
        let walks = [(config.done_jobs_set(), 0), (config.dead_jobs_set(), 0)];
        Self { config, keep, walks }
    }

    /// Removes what ended longer ago than it is kept; says how many. Only tasks in the sets of finished ones are
    /// touched: those are nowhere else, so nobody can fetch a task whose data are gone.
    pub(super) async fn remove_old(&mut self, redis: &Redis, now: Timestamp) -> RedisResult<usize> {
        let ended_before = now.as_second().saturating_sub_unsigned(self.keep.as_secs());
        let (data, meta) = (self.config.job_data_hash(), self.config.job_meta_hash());
        let mut connection = redis.control();
        let mut removed = 0;
        for (set, cursor) in &mut self.walks {
            for _ in 0..CHUNKS {
                let (next, ids): (u64, Vec<String>) = redis::cmd("SSCAN")
                    .arg(set.as_str())
                    .arg(*cursor)
                    .arg("COUNT")
                    .arg(CHUNK)
                    .query_async(&mut connection)
                    .await?;
                *cursor = next;
                let mut times = redis::pipe();
                for id in &ids {
                    times.hget(format!("{meta}:{id}"), "done_at");
                }
                let times: Vec<Option<i64>> =
                    if ids.is_empty() { Vec::new() } else { times.query_async(&mut connection).await? };
                // Without a time there is nothing left but the id.
                let old: Vec<&String> = ids
                    .iter()
                    .zip(times)
                    .filter(|(_, ended)| ended.is_none_or(|ended| ended <= ended_before))
                    .map(|(id, _)| id)
                    .collect();
                if !old.is_empty() {
                    let keys: Vec<String> = old.iter().map(|id| format!("{meta}:{id}")).collect();
                    let () = redis::pipe()
                        .atomic()
                        .hdel(&data, &old)
                        .del(keys)
                        .srem(set.as_str(), &old)
                        .query_async(&mut connection)
                        .await?;
                    removed += old.len();
                }
                if *cursor == 0 {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Registers the name of a worker so that it is forgotten: apalis keeps what it writes about each worker for
    /// ever, but leaves a lifetime alone that is already there.
    pub(super) async fn let_name_expire(&self, redis: &Redis, worker: &str) -> RedisResult<()> {
        let key = format!("{}:workers:metadata:{worker}", self.config.queue);
        let lifetime = i64::try_from(NAME_LIFETIME.as_secs()).unwrap_or(i64::MAX);
        redis::pipe()
            .hset(&key, "backend_name", "RedisStorage")
            .expire(&key, lifetime)
            .query_async(&mut redis.control())
            .await
    }

    /// Marks an ended worker as expired: the next heartbeat of another gives its task back at once. It must stay
    /// registered until then, as its task would be found by nobody otherwise.
    pub(super) async fn bury(&self, redis: &Redis, worker: &str) -> RedisResult<()> {
        let mut connection = redis.control();
        let workers = self.config.workers_set();
        let () = redis::cmd("ZADD")
            .arg(&workers)
            .arg("XX")
            .arg(0)
            .arg(worker)
            .query_async(&mut connection)
            .await?;
        connection.del(format!("{}:workers:metadata:{worker}", self.config.queue)).await
    }
}

/// Nobody reads the name of a worker but a person who looks for one.
const NAME_LIFETIME: Duration = Duration::from_secs(24 * 3600);
