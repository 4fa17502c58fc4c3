//! Pushing tasks.

use std::time::Duration;

use apalis_core::task::builder::TaskBuilder;
use apalis_redis::{Config, queries};
use atelier_domain::Timestamp;
use atelier_domain::ports::{BoxError, TimeSource as _};
use rand::Rng;
use redis::RedisResult;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

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
    config: Config,
    period: Duration,
}

impl ControlQueue {
    /// A queue whose periods are `control_period_s` of the settings.
    pub fn new(redis: Redis) -> Self {
        let period = Duration::from_secs(redis.settings.control_period_s.max(1));
        // The heartbeat is the workers' matter.
        let config = config(period * 2 + CLOCK_SKEW, Duration::from_secs(1));
        Self { redis, config, period }
    }

    /// Pushes a task, once for each period: whoever pushes it again before the period of `now` is over pushes nothing.
    pub async fn push(&self, task: ControlTask, now: Timestamp) -> Result<Pushed, PushError> {
        let waiting = twice(|| self.waiting()).await.map_err(store)?;
        if waiting >= WAITING_LIMIT {
            return Err(PushError::TooFull { waiting });
        }
        let bytes = Message::encode(task).map_err(store)?;
        let tasks = [TaskBuilder::new(bytes).idempotency_key(self.idempotency_key(task, now)).build()];
        let (ready, due) =
            queries::push_tasks(&mut self.redis.control(), &self.config, &tasks).await.map_err(store)?;
        Ok(if ready + due == 0 { Pushed::Repeated } else { Pushed::Enqueued })
    }

    /// Pushes every periodic task once in each period until `stop`. Errors are logged and tried again. Any number of
    /// processes may do so.
    pub async fn schedule(self, stop: CancellationToken) {
        let mut failures = 0;
        loop {
            let now = self.redis.time.now();
            let pause = match self.push(ControlTask::RepairIndexes, now).await {
                Ok(pushed) => {
                    debug!(task = ControlTask::RepairIndexes.name(), ?pushed, "control task pushed");
                    failures = 0;
                    // A tenth of the period by chance, so that pollers do not come at once for ever.
                    self.to_next_period(now) + self.period.mul_f64(rand::rng().random_range(0.0..0.1))
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(error = %error, cause, "control task not pushed; trying again");
                    failures += 1;
                    retry_pause(failures)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn waiting(&self) -> RedisResult<u64> {
        let (due, ready): (u64, u64) = redis::pipe()
            .zcard(self.config.scheduled_jobs_set())
            .llen(self.config.active_jobs_list())
            .query_async(&mut self.redis.control())
            .await?;
        Ok(due + ready)
    }

    /// With the period in it: another period counts its slots from other times.
    fn idempotency_key(&self, task: ControlTask, now: Timestamp) -> String {
        let period = self.period.as_secs();
        format!("{}:{period}:{}", task.name(), unix_seconds(now) / period.max(1))
    }

    fn to_next_period(&self, now: Timestamp) -> Duration {
        let period = self.period.as_secs().max(1);
        Duration::from_secs(period - unix_seconds(now) % period)
    }
}

fn unix_seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or(0)
}

/// 250 ms doubling to a minute, half of it by chance.
pub(super) fn retry_pause(failures: u32) -> Duration {
    let full = Duration::from_millis(250 << failures.saturating_sub(1).min(8)).min(LONGEST_RETRY);
    full.mul_f64(rand::rng().random_range(0.5..1.0))
}
