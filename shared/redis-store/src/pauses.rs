//! Pauses on Redis. Each shard has all of them: a claim reads them in the script that it is, so that a pause holds from
//! the moment it is written, and nobody asks for pauses while nothing is claimed.

use std::collections::BTreeMap;

use async_trait::async_trait;
use atelier_domain::pause::{Pause, PauseFacts, PauseScope};
use atelier_domain::ports::{Held, Pauses, StoreUnavailable};
use redis::{AsyncCommands, RedisResult};

use crate::connect::{Redis, Shard, twice};
use crate::script;

/// Jobs queued in one script.
const RESUME_LIMIT: usize = 200;

/// [`Pauses`] on Redis.
#[derive(Clone)]
pub struct RedisPauses {
    redis: Redis,
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreUnavailable {
    StoreUnavailable { source: Box::new(source) }
}

impl RedisPauses {
    /// The pauses of this Redis.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl Pauses for RedisPauses {
    async fn pause(&self, pause: &Pause) -> Result<(), StoreUnavailable> {
        self.redis.confirm_layout().await.map_err(unavailable)?;
        let (scope, facts) =
            (pause.scope.to_string(), serde_json::to_string(&pause.facts).map_err(unavailable)?);
        for shard in self.redis.shards() {
            let key = shard.keys.pauses();
            let () = twice(|| async { shard.commands().hset(&key, &scope, &facts).await })
                .await
                .map_err(unavailable)?;
        }
        Ok(())
    }

    async fn resume(&self, scope: &PauseScope) -> Result<Option<u64>, StoreUnavailable> {
        let mut was_there = false;
        // First it ends everywhere: what is queued again must not be held again.
        for shard in self.redis.shards() {
            let key = shard.keys.pauses();
            let removed: u64 = twice(|| async { shard.commands().hdel(&key, scope.to_string()).await })
                .await
                .map_err(unavailable)?;
            was_there |= removed > 0;
        }
        let mut queued = 0;
        for shard in self.redis.shards() {
            queued += let_go(shard, scope).await.map_err(unavailable)?;
        }
        Ok((was_there || queued > 0).then_some(queued))
    }

    async fn pauses(&self) -> Result<Vec<Held>, StoreUnavailable> {
        let mut found: BTreeMap<PauseScope, (PauseFacts, u64)> = BTreeMap::new();
        for shard in self.redis.shards() {
            let key = shard.keys.pauses();
            let kept: BTreeMap<String, String> =
                twice(|| async { shard.commands().hgetall(&key).await }).await.map_err(unavailable)?;
            for (scope, facts) in kept {
                let Ok(scope) = scope.parse::<PauseScope>() else { continue };
                let facts = serde_json::from_str(&facts).map_err(unavailable)?;
                let key = shard.keys.held_by(&scope);
                let jobs: u64 =
                    twice(|| async { shard.commands().zcard(&key).await }).await.map_err(unavailable)?;
                found.entry(scope).or_insert((facts, 0)).1 += jobs;
            }
        }
        let held = |(scope, (facts, jobs))| Held { pause: Pause { scope, facts }, jobs };
        Ok(found.into_iter().map(held).collect())
    }
}

/// Queues what is held by a pause that is no more.
pub(crate) async fn let_go_forgotten(shard: &Shard, scope: &PauseScope) -> RedisResult<()> {
    let key = shard.keys.pauses();
    let is_there: bool = twice(|| async { shard.commands().hexists(&key, scope.to_string()).await }).await?;
    if !is_there {
        let_go(shard, scope).await?;
    }
    Ok(())
}

/// Queues all that a pause has held in a shard; how many those were.
pub(crate) async fn let_go(shard: &Shard, scope: &PauseScope) -> RedisResult<u64> {
    let mut call = script::RESUME.prepare_invoke();
    call.key(shard.keys.held_by(scope)).key(shard.keys.due()).arg(shard.keys.prefix()).arg(RESUME_LIMIT);
    let mut queued = 0;
    loop {
        let (seen, moved): (usize, u64) = twice(|| shard.run(&call)).await?;
        queued += moved;
        if seen < RESUME_LIMIT {
            return Ok(queued);
        }
    }
}
