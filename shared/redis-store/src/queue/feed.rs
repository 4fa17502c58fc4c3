//! Where claims come from: ready streams, or a due set.

use std::time::Duration;

use atelier_domain::ids::JobId;
use atelier_domain::operation::Step;
use atelier_domain::pause::PauseScope;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult, Value};

use super::due_set::DueSet;
use super::reader::Leave;
use crate::connect::Shard;
use crate::keys::GROUP;
use crate::lanes::{self, Lane};
use crate::link::Link;
use crate::script;
use crate::settle::Source;

/// How long a consumer without messages may be silent. Far above any blocking read.
const CONSUMER_IDLE_MS: u64 = 3_600_000;

/// A claim as the scripts give it.
pub(crate) struct Claimed {
    pub(crate) source: Source,
    pub(crate) id: String,
    pub(crate) record: Vec<u8>,
}

/// The result of one look.
#[derive(Default)]
pub(crate) struct Fetched {
    pub(crate) claimed: Vec<Claimed>,
    /// Redelivered steps that may not run beside another one wait for their turn.
    pub(crate) has_suspects: bool,
    /// The pauses of that moment, where steps were claimed that they may concern.
    pub(crate) pauses: Vec<PauseScope>,
}

/// A queue of one step.
pub(crate) struct Feed {
    shard: Shard,
    step: Step,
    consumer: String,
    has_groups: bool,
    blocking: Option<(MultiplexedConnection, i64)>,
    set: Option<DueSet>,
}

impl Feed {
    pub(crate) fn new(shard: Shard, step: Step, consumer: String) -> Self {
        let set = DueSet::of(&shard, step);
        Self { shard, step, consumer, has_groups: false, blocking: None, set }
    }

    /// Claims up to `count` steps that are ready now.
    pub(crate) async fn fetch(&mut self, count: usize, may_take_suspect: bool) -> RedisResult<Fetched> {
        if let Some(set) = &mut self.set {
            return set.take(count, may_take_suspect).await;
        }
        self.ensure_groups().await?;
        let lanes = lanes::drawn(self.step, rand::random());
        self.claim(&lanes, "read", count, &[]).await
    }

    /// Claims up to `count` steps whose holder gave no sign for a lease. A due set needs no such look.
    pub(crate) async fn recover(&mut self, count: usize, may_take_suspect: bool) -> RedisResult<Fetched> {
        if self.set.is_some() {
            return Ok(Fetched::default());
        }
        self.ensure_groups().await?;
        let lease = self.shard.settings.lease().as_millis().to_string();
        let suspects = if may_take_suspect { "1" } else { "0" };
        self.claim(&lanes::drawn(self.step, rand::random()), "recover", count, &[lease, suspects.to_owned()])
            .await
    }

    /// Waits until there may be something, at most `longest`, or until asked to leave; gives what a blocking read
    /// brought.
    pub(crate) async fn wait(
        &mut self,
        count: usize,
        longest: Duration,
        leave: &Leave<'_>,
    ) -> RedisResult<Fetched> {
        if let Some(set) = &mut self.set {
            set.wait(longest, leave).await;
            return Ok(Fetched::default());
        }
        let given = self.blocking_read(count, longest.min(self.shard.settings.block()), leave).await?;
        if given.is_empty() {
            return Ok(Fetched::default());
        }
        self.claim(lanes::all(self.step), "given", count, &given).await
    }

    async fn ensure_groups(&mut self) -> RedisResult<()> {
        if self.has_groups {
            return Ok(());
        }
        for lane in lanes::all(self.step) {
            let created: RedisResult<()> = redis::cmd("XGROUP")
                .arg("CREATE")
                .arg(self.shard.keys.stream(lane))
                .arg(GROUP)
                .arg("0")
                .arg("MKSTREAM")
                .query_async(&mut self.shard.commands())
                .await;
            if let Err(error) = created
                && error.code() != Some("BUSYGROUP")
            {
                return Err(error);
            }
        }
        self.has_groups = true;
        sweep(&self.shard, self.step, "").await
    }

    async fn claim(
        &mut self,
        lanes: &[Lane],
        mode: &str,
        count: usize,
        rest: &[String],
    ) -> RedisResult<Fetched> {
        let mut call = script::CLAIM.prepare_invoke();
        for lane in lanes {
            call.key(self.shard.keys.stream(lane));
        }
        call.arg(self.shard.keys.prefix())
            .arg(GROUP)
            .arg(&self.consumer)
            .arg(self.step.as_str())
            .arg(mode)
            .arg(count);
        for value in rest {
            call.arg(value);
        }
        let reply: RedisResult<Vec<Value>> = self.shard.run(&call).await;
        let reply = reply.inspect_err(|error| {
            // A Redis that came back empty has no groups; make them anew.
            if error.code() == Some("NOGROUP") || error.to_string().contains("NOGROUP") {
                self.has_groups = false;
            }
        })?;
        let mut values = reply.into_iter();
        let suspects: i64 = values.next().map(i64::from_redis_value).transpose()?.unwrap_or(0);
        let scopes: Vec<String> = values.next().map(Vec::from_redis_value).transpose()?.unwrap_or_default();
        // One that this build does not know holds nobody: a newer build made it.
        let pauses = scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
        let mut fetched = Fetched { claimed: Vec::new(), has_suspects: suspects > 0, pauses };
        while let (Some(number), Some(entry), Some(id), Some(record)) =
            (values.next(), values.next(), values.next(), values.next())
        {
            let number = usize::from_redis_value(number)?;
            let Some(lane) = number.checked_sub(1).and_then(|place| lanes.get(place)) else { continue };
            fetched.claimed.push(Claimed {
                source: Source::Stream { lane, entry: String::from_redis_value(entry)? },
                id: String::from_redis_value(id)?,
                record: Vec::<u8>::from_redis_value(record)?,
            });
        }
        Ok(fetched)
    }

    /// Reads with BLOCK on a connection of its own; gives `lane, entry, id, epoch` for each message. Who asks it to
    /// leave unblocks the read instead of dropping it: a dropped read may have been given messages that nobody would see
    /// for a lease.
    async fn blocking_read(
        &mut self,
        count: usize,
        block: Duration,
        leave: &Leave<'_>,
    ) -> RedisResult<Vec<String>> {
        let (mut connection, client) = match &self.blocking {
            Some((connection, client)) => (connection.clone(), *client),
            None => {
                let mut connection = self.shard.blocking(self.shard.settings.block()).await?;
                let client: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut connection).await?;
                self.blocking = Some((connection.clone(), client));
                (connection, client)
            }
        };
        let streams: Vec<String> =
            lanes::all(self.step).iter().map(|lane| self.shard.keys.stream(lane)).collect();
        let mut read = redis::cmd("XREADGROUP");
        // The limit counts for each stream. What is more than `count` in the end is put back.
        read.arg("GROUP")
            .arg(GROUP)
            .arg(&self.consumer)
            .arg("COUNT")
            .arg(count.div_ceil(streams.len().max(1)));
        read.arg("BLOCK").arg(block.as_millis().max(1).to_string()).arg("STREAMS").arg(&streams);
        for _ in &streams {
            read.arg(">");
        }
        let reading = read.query_async::<redis::streams::StreamReadReply>(&mut connection);
        tokio::pin!(reading);
        let mut commands = self.shard.commands();
        let mut is_asked = false;
        let outcome = loop {
            tokio::select! {
                outcome = &mut reading => break outcome,
                () = leave.asked(), if !is_asked => is_asked = true,
                () = unblock(&mut commands, client), if is_asked => {}
            }
        };
        if outcome.is_err() {
            self.blocking = None;
        }
        let mut given = Vec::new();
        for key in outcome?.keys {
            let Some(place) = streams.iter().position(|stream| *stream == key.key) else { continue };
            let number = (place + 1).to_string();
            for message in key.ids {
                let (id, epoch): (Option<String>, Option<String>) = (message.get("j"), message.get("e"));
                if let (Some(id), Some(epoch)) = (id, epoch) {
                    given.extend([number.clone(), message.id, id, epoch]);
                }
            }
        }
        Ok(given)
    }
}

/// Removes `consumer` from its groups, and those of processes that died long ago; none that still holds messages.
pub(crate) async fn sweep(shard: &Shard, step: Step, consumer: &str) -> RedisResult<()> {
    for lane in lanes::all(step) {
        let () = script::SWEEP
            .key(shard.keys.stream(lane))
            .arg(GROUP)
            .arg(consumer)
            .arg(CONSUMER_IDLE_MS)
            .invoke_async(&mut shard.commands())
            .await?;
    }
    Ok(())
}

/// Unblocks the reader; called again and again until it has left, as an unblock before the read began is lost.
async fn unblock(commands: &mut Link, client: i64) {
    let _: RedisResult<i64> = redis::cmd("CLIENT").arg("UNBLOCK").arg(client).query_async(commands).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// Reads the id of a claim; scripts only give ids that stand in messages of ours.
pub(crate) fn job_id(claimed: &Claimed) -> Option<JobId> {
    claimed.id.parse().ok()
}
