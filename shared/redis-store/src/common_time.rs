//! The time of the first Redis server, as every program counts it on: a reading of the server's clock, and from there
//! the monotonic clock of the process. The host's own clock may be hours wrong, or be set at any time.
//! See `shared/docs/adr/0020-one-time-for-all-hosts.md`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use atelier_domain::Timestamp;
use atelier_domain::ports::TimeSource;
use redis::RedisResult;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::connect::Redis;

/// How often the server is asked. An oscillator of a host is some ten parts in a million wrong: 6 ms in that time.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// Questions of the first reading; the quickest answer counts.
const FIRST_QUESTIONS: usize = 3;
/// A reading of this age is as doubtful as one with a part in so many of the age as its round trip.
const AGE_PER_DOUBT: u32 = 5_000;
/// A host that is so wrong should be looked at.
const WRONG_HOST: Duration = Duration::from_secs(5);

/// [`TimeSource`] of a Redis. Clones are the same.
#[derive(Clone, Default)]
pub struct CommonTime {
    inner: Arc<Inner>,
}

struct Inner {
    reading: Mutex<Option<Reading>>,
    /// The latest time that was given, in microseconds.
    latest_us: AtomicI64,
}

impl Default for Inner {
    fn default() -> Self {
        Self { reading: Mutex::default(), latest_us: AtomicI64::new(i64::MIN) }
    }
}

/// What the server's clock said at a moment of ours.
#[derive(Debug, Clone, Copy)]
struct Reading {
    server_us: i64,
    at: Instant,
    /// How wrong `server_us` may be.
    doubt: Duration,
}

impl Reading {
    /// The server looked at its clock at some moment between the question and the answer.
    fn between(asked: Instant, answered: Instant, server_us: i64) -> Self {
        let doubt = answered.saturating_duration_since(asked) / 2;
        Self { server_us, at: asked + doubt, doubt }
    }

    fn time_us(&self, moment: Instant) -> i64 {
        let since = i64::try_from(moment.saturating_duration_since(self.at).as_micros()).unwrap_or(i64::MAX);
        self.server_us.saturating_add(since)
    }

    /// The doubt grows with the age, as two oscillators never agree.
    fn doubt_at(&self, moment: Instant) -> Duration {
        self.doubt + moment.saturating_duration_since(self.at) / AGE_PER_DOUBT
    }

    /// Whether this one counts from now on, instead of an earlier one. A slow answer is worse than a quick one of a
    /// minute ago, unless both cannot be true: then a clock was set, another server answers, or this host has slept.
    fn replaces(&self, earlier: &Self) -> bool {
        let doubt = earlier.doubt_at(self.at);
        let gap = Duration::from_micros(self.server_us.abs_diff(earlier.time_us(self.at)));
        self.doubt <= doubt || gap > self.doubt + doubt
    }
}

impl CommonTime {
    fn learn(&self, new: Reading) {
        let mut reading = self.inner.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.is_none_or(|earlier| new.replaces(&earlier)) {
            *reading = Some(new);
        }
    }

    fn reading(&self) -> Option<Reading> {
        *self.inner.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time at `moment`. What was given before is the least: after a step back of the server's clock the time
    /// stands still until it is caught up with.
    fn at(&self, moment: Instant) -> Timestamp {
        let us = match self.reading() {
            Some(reading) => reading.time_us(moment),
            None => return Timestamp::now(),
        };
        let us = us.max(self.inner.latest_us.fetch_max(us, Ordering::AcqRel));
        // A server whose clock is thousands of years wrong has no time to tell.
        Timestamp::from_microsecond(us).unwrap_or_else(|_| Timestamp::now())
    }
}

impl TimeSource for CommonTime {
    fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    fn is_common(&self) -> bool {
        self.reading().is_some()
    }
}

/// Asks the first server for its time: thrice at first, once later.
pub(crate) async fn read(redis: &Redis) -> RedisResult<()> {
    let Some(group) = redis.groups().first() else { return Ok(()) };
    let questions = if redis.time.is_common() { 1 } else { FIRST_QUESTIONS };
    let mut link = group.link.clone();
    for _ in 0..questions {
        let asked = Instant::now();
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut link).await?;
        let server_us = seconds.saturating_mul(1_000_000).saturating_add(micros);
        redis.time.learn(Reading::between(asked, Instant::now(), server_us));
    }
    let off = Timestamp::now().duration_since(redis.time.now());
    if off.unsigned_abs() > WRONG_HOST {
        let ahead_ms = i64::try_from(off.as_millis()).unwrap_or(i64::MAX);
        warn!(ahead_ms, "the clock of this host or of redis is wrong; jobs go by that of redis");
    }
    Ok(())
}

/// Keeps the time right until `stop`.
pub(crate) async fn keep(redis: Redis, stop: CancellationToken) {
    let keeping = async {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            // The process counts on by itself meanwhile.
            if let Err(error) = read(&redis).await {
                debug!(error = %error, "the time was not read");
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = keeping => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn reading(at: Instant, server_us: i64, doubt: Duration) -> Reading {
        Reading { server_us, at, doubt }
    }

    #[test]
    fn half_of_the_round_trip_is_added() {
        let asked = Instant::now();
        let reading = Reading::between(asked, asked + Duration::from_millis(40), 1_000_000);
        assert_eq!(reading.doubt, Duration::from_millis(20));
        assert_eq!(reading.time_us(asked + Duration::from_millis(40)), 1_020_000);
        assert_eq!(reading.time_us(asked + SECOND), 1_980_000);
    }

    #[test]
    fn a_slow_answer_does_not_replace_a_quick_one_until_that_has_aged() {
        let start = Instant::now();
        let quick = reading(start, 0, Duration::from_millis(1));
        let slow = |after: Duration| {
            let server_us = i64::try_from(after.as_micros()).unwrap();
            reading(start + after, server_us, Duration::from_millis(100))
        };
        assert!(!slow(60 * SECOND).replaces(&quick));
        assert!(slow(600 * SECOND).replaces(&quick));
    }

    #[test]
    fn an_answer_that_contradicts_counts_however_slow_it_was() {
        let start = Instant::now();
        let quick = reading(start, 0, Duration::from_millis(1));
        let later = reading(start + SECOND, 3_600_000_000, Duration::from_millis(100));
        assert!(later.replaces(&quick));
        let earlier = reading(start + SECOND, -3_600_000_000, Duration::from_millis(100));
        assert!(earlier.replaces(&quick));
    }

    #[test]
    fn the_time_stands_still_after_a_step_back_and_never_runs_backwards() {
        let start = Instant::now();
        let time = CommonTime::default();
        time.learn(reading(start, 100_000_000, Duration::ZERO));
        assert_eq!(time.at(start + SECOND).as_microsecond(), 101_000_000);
        time.learn(reading(start + SECOND, 91_000_000, Duration::ZERO));
        assert_eq!(time.at(start + 2 * SECOND).as_microsecond(), 101_000_000, "still");
        assert_eq!(time.at(start + 11 * SECOND).as_microsecond(), 101_000_000, "just caught up with");
        assert_eq!(time.at(start + 12 * SECOND).as_microsecond(), 102_000_000);
    }

    #[test]
    fn the_hosts_time_does_until_there_is_a_reading() {
        let time = CommonTime::default();
        assert!(!time.is_common());
        let before = Timestamp::now();
        assert!(time.now() >= before && time.now() <= Timestamp::now());
        time.learn(reading(Instant::now(), 0, Duration::ZERO));
        assert!(time.is_common() && time.now() < before, "the reading counts, however early it is");
    }
}
