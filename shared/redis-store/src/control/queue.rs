//! Pushing tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use apalis_core::task::builder::TaskBuilder;
use apalis_redis::{Config, queries};
use atelier_domain::Timestamp;
use atelier_domain::ports::{BoxError, TimeSource as _};
use rand::Rng;
use redis::RedisResult;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::leader::{Leader, Leads};
use super::{ControlTask, Message, WAITING_LIMIT, config};
use crate::connect::{Redis, twice};

/// Longest wait between two tries of one push.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// Idempotency keys outlive their period by this much: clocks of two pollers differ by less.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The task waits for a worker now.
    Enqueued,
    /// The same task was pushed in this period before. Nothing was done.
    Repeated,
}

/// Why a task was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Workers do not keep up, or there are none.
    #[error("{waiting} control tasks wait already, limit is {WAITING_LIMIT}")]
    TooFull {
        /// Tasks that wait.
        waiting: u64,
    },
    /// Redis did not answer. The task may have been enqueued; pushing it again in its period is safe.
    #[error("failed to push a control task")]
    Store {
        /// What Redis or its driver said.
        #[source]
        source: BoxError,
    },
}

fn store(source: impl std::error::Error + Send + Sync + 'static) -> PushError {
    PushError::Store { source: Box::new(source) }
}

/// The pushing end of the control queue.
#[derive(Clone)]
pub struct ControlQueue {
    redis: Redis,
}

impl ControlQueue {
    /// A queue whose periods are those of `control` in the settings.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Pushes a task, once for each of its periods: whoever pushes it again before the period of `now` is over pushes
    /// nothing.
    pub async fn push(&self, task: ControlTask, now: Timestamp) -> Result<Pushed, PushError> {
        let period_s = task.period_s(&self.redis.settings.control);
        let lifetime = Duration::from_secs(period_s * 2) + CLOCK_SKEW;
        // The heartbeat is the workers' matter.
        let config = config(lifetime, Duration::from_secs(1));
        let waiting = twice(|| self.waiting(&config)).await.map_err(store)?;
        if waiting >= WAITING_LIMIT {
            return Err(PushError::TooFull { waiting });
        }
        let bytes = Message::encode(task).map_err(store)?;
        // With the period in it: another period counts its slots from other times.
        let key = format!("{}:{period_s}:{}", task.name(), slot(now, period_s));
        let tasks = [TaskBuilder::new(bytes).idempotency_key(key).build()];
        let (ready, due) =
            queries::push_tasks(&mut self.redis.control(), &config, &tasks).await.map_err(store)?;
        Ok(if ready + due == 0 { Pushed::Repeated } else { Pushed::Enqueued })
    }

    /// Pushes every task once in each of its periods until `stop`, while this process is the leader of all that do so.
    /// Errors are logged and tried again.
    pub async fn schedule(self, stop: CancellationToken) {
        let mut leader = Leader::new(self.redis.clone());
        let mut pushed = BTreeMap::new();
        let mut failures = 0;
        loop {
            let pause = match self.push_if_leader(&mut leader, &mut pushed).await {
                Ok(pause) => {
                    failures = 0;
                    pause
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(error = %error, cause, "control tasks not pushed; trying again");
                    failures += 1;
                    retry_pause(failures).min(leader.prolongs_every())
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
        }
        leader.resign().await;
    }

    /// Pushes what this leader has not pushed in the present period; gives when to come again.
    async fn push_if_leader(
        &self,
        leader: &mut Leader,
        pushed: &mut BTreeMap<ControlTask, u64>,
    ) -> Result<Duration, PushError> {
        if let Leads::Another(left) = leader.lead().await.map_err(store)? {
            return Ok(left);
        }
        let mut pause = leader.prolongs_every();
        for task in ControlTask::ALL {
            let now = self.redis.time.now();
            let period_s = task.period_s(&self.redis.settings.control);
            let slot = slot(now, period_s);
            if pushed.get(&task) != Some(&slot) {
                let outcome = self.push(task, now).await?;
                debug!(task = task.name(), ?outcome, "control task pushed");
                pushed.insert(task, slot);
            }
            pause = pause.min(Duration::from_secs(period_s - unix_seconds(now) % period_s));
        }
        Ok(pause)
    }

    async fn waiting(&self, config: &Config) -> RedisResult<u64> {
        let (due, ready): (u64, u64) = redis::pipe()
            .zcard(config.scheduled_jobs_set())
            .llen(config.active_jobs_list())
            .query_async(&mut self.redis.control())
            .await?;
        Ok(due + ready)
    }
}

/// The number of the period that `now` is in.
fn slot(now: Timestamp, period_s: u64) -> u64 {
    unix_seconds(now) / period_s
}

fn unix_seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or(0)
}

/// 250 ms doubling to a minute, half of it by chance.
pub(super) fn retry_pause(failures: u32) -> Duration {
    let full = Duration::from_millis(250 << failures.saturating_sub(1).min(8)).min(LONGEST_RETRY);
    full.mul_f64(rand::rng().random_range(0.5..1.0))
}
