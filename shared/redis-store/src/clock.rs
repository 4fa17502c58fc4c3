//! The clock: moves due steps to the ready streams. Event-driven: it sleeps until the next due time and is woken when
//! an earlier one arrives, so an idle clock asks Redis almost nothing.

use std::time::Duration;

use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::connect::{Backoff, Redis, Shard};
use crate::script;

/// Longest sleep. A wake token can die with the clock that took it; nobody then sleeps longer than this past a due
/// time.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The end of a sleep that is slept by a thread.
const FINE: Duration = Duration::from_millis(2);

/// Promotes due steps of all shards. Any number may run; the scripts are atomic.
pub struct Clock {
    redis: Redis,
}

impl Clock {
    /// A clock on this Redis.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Runs until `stop`. Errors back off and never end it; a shard that is away does not hold up the others.
    pub async fn run(self, stop: CancellationToken) {
        let shards = self.redis.shards().iter();
        join_all(shards.map(|shard| ShardClock { shard: shard.clone() }.run(stop.clone()))).await;
    }
}

struct ShardClock {
    shard: Shard,
}

impl ShardClock {
    async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut alarm = Alarm::new(self.shard.clone(), self.shard.keys.due_wake());
        loop {
            match self.promote().await {
                Ok(Promoted { moved, next_in }) => {
                    backoff.reset();
                    if moved > 0 {
                        debug!(moved, "promoted due steps");
                    }
                    // A full batch means that more is due: go on at once, but let others at Redis in between.
                    let pause = if moved >= u64::from(self.shard.settings.promote_limit) {
                        Duration::from_millis(1)
                    } else {
                        next_in.unwrap_or(LONGEST_SLEEP)
                    };
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = alarm.sleep(pause) => {}
                    }
                }
                Err(error) => {
                    warn!(error = %error, "due steps wait for redis");
                    if !backoff.wait(&stop).await {
                        return;
                    }
                }
            }
        }
    }

    async fn promote(&self) -> RedisResult<Promoted> {
        let keys = &self.shard.keys;
        let (moved, now, next): (u64, Value, Value) = script::PROMOTE
            .key(keys.due())
            .arg(keys.prefix())
            .arg(self.shard.settings.promote_limit.clamp(1, 500))
            .invoke_async(&mut self.shard.commands())
            .await?;
        Ok(Promoted { moved, next_in: time_to(&now, &next) })
    }
}

struct Promoted {
    moved: u64,
    next_in: Option<Duration>,
}

/// The time from `now` to `next`, both in microseconds as scripts give them.
pub(crate) fn time_to(now: &Value, next: &Value) -> Option<Duration> {
    let micros = |value: &Value| String::from_redis_value_ref(value).ok()?.parse::<f64>().ok();
    let (now, next) = (micros(now)?, micros(next)?);
    Some(Duration::from_micros((next - now).max(0.0) as u64))
}

/// A sleep that a wake token cuts short. The blocking read stays open on its own connection across sleeps: Redis looks
/// at its timeouts only every 100 ms, so it is no clock itself.
pub(crate) struct Alarm {
    shard: Shard,
    list: String,
    connection: Option<MultiplexedConnection>,
    reading: Option<tokio::task::JoinHandle<RedisResult<bool>>>,
}

impl Alarm {
    pub(crate) fn new(shard: Shard, list: String) -> Self {
        Self { shard, list, connection: None, reading: None }
    }

    /// Sleeps for `pause`, at most [`LONGEST_SLEEP`], or until a token comes. May be dropped at any time.
    pub(crate) async fn sleep(&mut self, pause: Duration) {
        let until = Instant::now() + pause.min(LONGEST_SLEEP);
        loop {
            if self.reading.is_none() {
                tokio::select! {
                    biased;
                    () = sleep_until(until) => return,
                    () = self.begin_reading() => {}
                }
            }
            let Some(reading) = self.reading.as_mut() else {
                sleep_until(until).await;
                return;
            };
            tokio::select! {
                () = sleep_until(until) => return,
                ended = reading => {
                    self.reading = None;
                    match ended {
                        Ok(Ok(true)) => return,
                        Ok(Ok(false)) => {}
                        Ok(Err(_)) | Err(_) => {
                            // The connection broke; the timer still runs, and the next sleep connects anew.
                            self.connection = None;
                            sleep_until(until).await;
                            return;
                        }
                    }
                }
            }
        }
    }

    async fn begin_reading(&mut self) {
        let block = self.shard.settings.block();
        if self.connection.is_none() {
            self.connection = self.shard.blocking(block).await.ok();
        }
        if let Some(connection) = &self.connection {
            let mut connection = connection.clone();
            let list = self.list.clone();
            self.reading = Some(tokio::spawn(async move {
                let token: Option<(String, String)> = redis::cmd("BLPOP")
                    .arg(list)
                    .arg(block.as_secs_f64())
                    .query_async(&mut connection)
                    .await?;
                Ok(token.is_some())
            }));
        }
    }
}

/// tokio's timer counts whole milliseconds and rounds up: the last of them are slept by a thread, to some ten
/// microseconds. May be dropped at any time; the thread then sleeps on for as long as they last.
async fn sleep_until(until: Instant) {
    tokio::time::sleep_until(until.checked_sub(FINE).unwrap_or(until)).await;
    let left = until.saturating_duration_since(Instant::now()).min(FINE);
    // A paused or stopped clock of tests has nothing left, and needs no thread.
    if !left.is_zero() {
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(left)).await;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(reading) = self.reading.take() {
            reading.abort();
        }
    }
}
