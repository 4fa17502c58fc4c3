//! A due set that is a lease queue: checks, and deliveries. A member that is taken stays in it with the end of its
//! lease as score, so that a dead holder's fall due by themselves.

use std::time::Duration;

use atelier_domain::operation::Step;
use atelier_domain::state::State;
use redis::{FromRedisValue, RedisResult, Value};
use tokio::time::Instant;

use super::feed::{Claimed, Fetched};
use super::reader::Leave;
use crate::clock::{Alarm, time_to};
use crate::connect::Shard;
use crate::settle::Source;
use crate::{record, script};

/// How often deliveries are looked for where an earlier version queued them, while both may run.
const ADOPT_EVERY: Duration = Duration::from_secs(600);
/// Most of them in one script.
const ADOPT_LIMIT: usize = 500;

pub(crate) struct DueSet {
    shard: Shard,
    key: String,
    source: Source,
    state: State,
    alarm: Alarm,
    next_in: Option<Duration>,
    /// What the server's clock said last, and when that was heard.
    heard: Option<(f64, Instant)>,
    adopt_at: Option<Instant>,
}

impl DueSet {
    /// The set of a step; `None` when its queue is made of streams.
    pub(crate) fn of(shard: &Shard, step: Step) -> Option<Self> {
        let keys = &shard.keys;
        let (key, wake, source, state) = match step {
            Step::Check => (keys.checks(), keys.checks_wake(), Source::Checks, State::Awaiting),
            Step::Deliver => {
                (keys.deliveries(), keys.deliveries_wake(), Source::Deliveries, State::Delivering)
            }
            Step::Submit | Step::Reconcile | Step::Abandon => return None,
        };
        let adopt_at = (step == Step::Deliver).then(Instant::now);
        let alarm = Alarm::new(shard.clone(), wake);
        Some(Self { shard: shard.clone(), key, source, state, alarm, next_in: None, heard: None, adopt_at })
    }

    /// Takes up to `count` members that are due.
    pub(crate) async fn take(&mut self, count: usize, may_take_suspect: bool) -> RedisResult<Fetched> {
        self.adopt().await?;
        let lease_us = self.shard.settings.lease().as_micros().to_string();
        let mut call = script::TAKE.prepare_invoke();
        call.key(&self.key)
            .arg(self.shard.keys.prefix())
            .arg(count)
            .arg(lease_us)
            .arg(if may_take_suspect { "1" } else { "0" })
            .arg(record::letter(self.state).to_string())
            .arg(self.answer_is_late_at());
        let reply: Vec<Value> = self.shard.run(&call).await?;
        let mut values = reply.into_iter();
        let suspects: i64 = values.next().map(i64::from_redis_value).transpose()?.unwrap_or(0);
        let (now, next) = (values.next().unwrap_or(Value::Nil), values.next().unwrap_or(Value::Nil));
        self.next_in = time_to(&now, &next);
        let now_us = String::from_redis_value(now).ok().and_then(|text| text.parse().ok());
        self.heard = now_us.map(|now_us| (now_us, Instant::now()));
        let mut fetched = Fetched { has_suspects: suspects > 0, ..Fetched::default() };
        while let (Some(id), Some(record)) = (values.next(), values.next()) {
            fetched.claimed.push(Claimed {
                source: self.source.clone(),
                id: String::from_redis_value(id)?,
                record: Vec::<u8>::from_redis_value(record)?,
            });
        }
        Ok(fetched)
    }

    /// When this side gives up, by the server's clock, in microseconds; nothing until that has told its time. By the
    /// clock of this very server: each answer brings its reading along, so a step of the clock costs one call.
    fn answer_is_late_at(&self) -> String {
        self.heard.map_or_else(String::new, |(now_us, heard)| {
            let wait = heard.elapsed() + self.shard.settings.command_timeout();
            format!("{:.0}", now_us + wait.as_secs_f64() * 1e6)
        })
    }

    /// Waits until a member may be due, at most `longest`, or until asked to leave.
    pub(crate) async fn wait(&mut self, longest: Duration, leave: &Leave<'_>) {
        let pause = self.next_in.unwrap_or(longest).min(longest);
        tokio::select! {
            () = leave.asked() => {}
            () = self.alarm.sleep(pause) => {}
        }
    }

    async fn adopt(&mut self) -> RedisResult<()> {
        if self.adopt_at.is_none_or(|at| Instant::now() < at) {
            return Ok(());
        }
        let keys = &self.shard.keys;
        let mut call = script::ADOPT.prepare_invoke();
        call.key(keys.stream("deliver")).arg(keys.prefix()).arg(ADOPT_LIMIT);
        loop {
            let moved: usize = self.shard.run(&call).await?;
            if moved < ADOPT_LIMIT {
                break;
            }
        }
        self.adopt_at = Some(Instant::now() + ADOPT_EVERY);
        Ok(())
    }
}
