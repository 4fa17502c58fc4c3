//! The real scripts on a real Redis, called as `shared/redis-store` calls them, and what they leave there as a
//! [`Store`]. Whoever changes a script's arguments changes this file.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use atelier_domain::operation::Step;
use atelier_domain::state::State;

use super::store::{
    Consumer, Header, JobNumber, Message, Next, Record, Source, Store, Taken, Verdict, Written,
};
use crate::resp::{Reply, Resp};

macro_rules! script {
    ($file:literal) => {
        concat!(
            include_str!("../../../../shared/redis-store/src/scripts/common.lua"),
            include_str!(concat!("../../../../shared/redis-store/src/scripts/", $file))
        )
    };
}

const P: &str = "{q0}:";
const GROUP: &str = "g";
/// A lease that only [`RealStore::lapse`] ends.
const LEASE_MS: &str = "3600000";
const LEASE_US: &str = "3600000000";
/// A delay that only [`RealStore::make_due`] ends.
const DELAY_US: &str = "3600000000";
const STREAMS: [Step; 3] = [Step::Submit, Step::Reconcile, Step::Abandon];

/// A Redis with the scripts.
pub struct RealStore {
    redis: Resp,
    /// When the last script ran.
    now_us: f64,
}

impl RealStore {
    /// Empties the Redis and makes the streams' groups.
    pub async fn new(mut redis: Resp) -> Result<Self> {
        redis.ask(&["FLUSHALL"]).await?;
        for step in STREAMS {
            redis.ask(&["XGROUP", "CREATE", &stream(step), GROUP, "0", "MKSTREAM"]).await?;
        }
        Ok(Self { redis, now_us: 0.0 })
    }

    pub async fn admit(&mut self, job: JobNumber, next: Next) -> Result<()> {
        let header = Header { state: State::Queued, epoch: 0, deliveries: 0 };
        let text = header_text(&header) + &body_text(&Record { header, attempts: 0, remote: 0 });
        let (_, lane, delay) = next_arguments(next);
        let arguments = [P, "1000", &id_of(job), &text, lane, delay, "1", "w", "", "", ""];
        self.call(script!("admit.lua"), &[&format!("{P}d")], &arguments).await.map(drop)
    }

    pub async fn read(&mut self, step: Step, consumer: Consumer, count: usize) -> Result<Vec<Taken>> {
        Ok(self.claim(step, consumer, "read", count, &[]).await?.1)
    }

    /// What a blocking read does: it takes messages, and a script claims them.
    pub async fn read_blocking(
        &mut self,
        step: Step,
        consumer: Consumer,
        count: usize,
    ) -> Result<Vec<Taken>> {
        let (count_text, name) = (count.to_string(), consumer_name(consumer));
        let read = ["XREADGROUP", "GROUP", GROUP, &name, "COUNT", &count_text];
        let reply = self.redis.ask(&[&read[..], &["STREAMS", &stream(step), ">"]].concat()).await?;
        let mut given = Vec::new();
        for stream in reply.list() {
            for message in stream.list().into_iter().nth(1).map_or_else(Vec::new, Reply::list) {
                let mut parts = message.list().into_iter();
                let entry = parts.next().context("no entry")?.text();
                let fields = parts.next().context("no fields")?.list();
                given.extend(["1".to_owned(), entry, fields[1].text(), fields[3].text()]);
            }
        }
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        if given.is_empty() {
            Ok(Vec::new())
        } else {
            Ok(self.claim(step, consumer, "given", count, &given).await?.1)
        }
    }

    pub async fn recover(
        &mut self,
        step: Step,
        consumer: Consumer,
        count: usize,
        may_take_suspect: bool,
    ) -> Result<(usize, Vec<Taken>)> {
        self.claim(step, consumer, "recover", count, &[LEASE_MS, flag(may_take_suspect)]).await
    }

    pub async fn take(
        &mut self,
        source: Source,
        count: usize,
        may_take_suspect: bool,
    ) -> Result<(usize, Vec<Taken>)> {
        let (set, state) = if source == Source::Deliveries { ("v", "d") } else { ("c", "a") };
        let arguments = [P, &count.to_string(), LEASE_US, flag(may_take_suspect), state];
        let reply = self.call(script!("take.lua"), &[&format!("{P}{set}")], &arguments).await?.list();
        let suspects = reply.first().context("no count")?.text().parse()?;
        let mut taken = Vec::new();
        for pair in reply.get(3..).unwrap_or_default().chunks(2) {
            let record = claimed(record_of(&pair[1].text())?);
            taken.push(Taken { job: number_of(&pair[0].text())?, source, record });
        }
        Ok((suspects, taken))
    }

    pub async fn settle(&mut self, verdicts: &[Verdict]) -> Result<Vec<Written>> {
        let mut arguments = vec![P.to_owned(), GROUP.to_owned()];
        for verdict in verdicts {
            let (source, entry) = match verdict.source {
                Source::Stream(step, epoch) => {
                    let entry = self.entry(step, verdict.job, epoch).await?;
                    // One that is gone has an id all the same.
                    (format!("s:{step}"), entry.unwrap_or_else(|| "1-1".to_owned()))
                }
                Source::Checks => ("c".to_owned(), String::new()),
                Source::Deliveries => ("v".to_owned(), String::new()),
                Source::Outside => ("x".to_owned(), String::new()),
                Source::Keep => ("k".to_owned(), String::new()),
            };
            let (kind, step, delay) = next_arguments(verdict.next);
            arguments.extend([
                id_of(verdict.job),
                format!("{:08x}", verdict.expected),
                entry,
                header_text(&verdict.record.header),
                body_text(&verdict.record),
                delay.to_owned(),
                format!("{source} {kind} {step} 0 {} 0 ", flag(verdict.record.header.state.is_terminal())),
                String::new(),
            ]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let reply = self.call(script!("settle.lua"), &[&format!("{P}c")], &arguments).await?;
        let written = |result: Reply| match result.text().as_str() {
            "ok" => Ok(Written::Yes),
            "" => Ok(Written::Stale(None)),
            record => record_of(record).map(|record| Written::Stale(Some(record))),
        };
        reply.list().into_iter().map(written).collect()
    }

    /// Whether the claim is still the consumer's.
    pub async fn renew(&mut self, consumer: Consumer, claim: &Taken) -> Result<bool> {
        let (source, entry) = match claim.source {
            Source::Stream(step, epoch) => {
                let entry = self.entry(step, claim.job, epoch).await?;
                (format!("s:{step}"), entry.unwrap_or_else(|| "1-1".to_owned()))
            }
            Source::Deliveries => ("v".to_owned(), String::new()),
            Source::Checks | Source::Outside | Source::Keep => ("c".to_owned(), String::new()),
        };
        let epoch = format!("{:08x}", claim.record.header.epoch);
        let (name, id) = (consumer_name(consumer), id_of(claim.job));
        let arguments = [P, &source, GROUP, &name, LEASE_US, &id, &epoch, &entry];
        let reply = self.call(script!("renew.lua"), &[&format!("{P}c")], &arguments).await?;
        Ok(reply.list().is_empty())
    }

    pub async fn promote(&mut self) -> Result<usize> {
        let reply = self.call(script!("promote.lua"), &[&format!("{P}d")], &[P, "500"]).await?;
        Ok(reply.list().first().context("no count")?.text().parse()?)
    }

    pub async fn hasten(&mut self, job: JobNumber) -> Result<bool> {
        let keys = [key_of(job), format!("{P}c"), format!("{P}wc"), format!("{P}h:{}", id_of(job))];
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let reply = self.call(script!("hasten.lua"), &keys, &[&id_of(job), LEASE_MS]).await?;
        Ok(reply == Reply::Number(1))
    }

    pub async fn expire(&mut self, job: JobNumber) -> Result<()> {
        self.redis.ask(&["DEL", &key_of(job)]).await.map(drop)
    }

    /// A lease passes without a sign of the message's holder.
    pub async fn lapse(&mut self, step: Step, job: JobNumber, epoch: u32) -> Result<()> {
        let stream = stream(step);
        for (entry, holder, _) in self.pending(step).await? {
            if self.entry(step, job, epoch).await?.as_ref() == Some(&entry) {
                let claim = ["XCLAIM", &stream, GROUP, &holder, "0", &entry, "IDLE", "7200000", "JUSTID"];
                self.redis.ask(&claim).await?;
            }
        }
        Ok(())
    }

    /// A due set's member falls due.
    pub async fn make_due(&mut self, step: Step, job: JobNumber) -> Result<()> {
        let (set, member) = match step {
            Step::Check => (format!("{P}c"), id_of(job)),
            step => (format!("{P}d"), format!("{}:{}", lane(step), id_of(job))),
        };
        self.redis.ask(&["ZADD", &set, "XX", "0", &member]).await.map(drop)
    }

    /// The lease of a delivery passes.
    pub async fn lapse_delivery(&mut self, job: JobNumber) -> Result<()> {
        self.redis.ask(&["ZADD", &format!("{P}v"), "XX", "0", &id_of(job)]).await.map(drop)
    }

    /// Everything that is there. Members of due sets that are due are all alike from here on, as in the model.
    pub async fn dump(&mut self) -> Result<Store> {
        let mut store = Store::default();
        for key in self.redis.ask(&["KEYS", &format!("{P}[jh]:*")]).await?.list() {
            let key = key.text();
            let job = number_of(key.get(key.len().saturating_sub(27)..).context("a short key")?)?;
            if key.starts_with(&format!("{P}h:")) {
                store.hastened.insert(job);
            } else {
                store.records.insert(job, record_of(&self.redis.ask(&["GET", &key]).await?.text())?);
            }
        }
        for step in STREAMS {
            let pending: BTreeMap<String, (String, bool)> = self
                .pending(step)
                .await?
                .into_iter()
                .map(|(entry, holder, is_lapsed)| (entry, (holder, is_lapsed)))
                .collect();
            let mut messages = Vec::new();
            for (entry, job, epoch) in self.entries(step).await? {
                let held = pending.get(&entry);
                let holder = held.map(|(holder, _)| holder.trim_start_matches('w').parse()).transpose()?;
                let is_lapsed = held.is_some_and(|(_, is_lapsed)| *is_lapsed);
                messages.push(Message { job, epoch, holder, is_lapsed });
            }
            store.streams.insert(step, messages);
        }
        for set in ["c", "d", "v"] {
            let key = format!("{P}{set}");
            let reply = self.redis.ask(&["ZRANGE", &key, "0", "-1", "WITHSCORES"]).await?.list();
            for pair in reply.chunks(2) {
                let member = pair[0].text();
                let is_due = pair[1].text().parse::<f64>()? <= self.now_us;
                match member.split_once(':') {
                    None if set == "v" => store.deliveries.insert(number_of(&member)?, is_due),
                    None => store.checks.insert(number_of(&member)?, is_due),
                    Some((lane, id)) => {
                        let step = lane.split('@').next().and_then(|step| step.parse().ok());
                        store.delayed.insert((step.context("an unknown step")?, number_of(id)?), is_due)
                    }
                };
                let score = if is_due { "0" } else { FAR };
                self.redis.ask(&["ZADD", &key, "XX", score, &member]).await?;
            }
        }
        Ok(store)
    }

    async fn claim(
        &mut self,
        step: Step,
        consumer: Consumer,
        mode: &str,
        count: usize,
        rest: &[&str],
    ) -> Result<(usize, Vec<Taken>)> {
        let (name, count) = (consumer_name(consumer), count.to_string());
        let arguments = [&[P, GROUP, &name, step.as_str(), mode, &count][..], rest].concat();
        // Epochs of the messages are gone with those that are dropped: look before.
        let entries = self.entries(step).await?;
        let reply = self.call(script!("claim.lua"), &[&stream(step)], &arguments).await?.list();
        let suspects = reply.first().context("no count")?.text().parse()?;
        let mut taken = Vec::new();
        for claimed in reply.get(2..).unwrap_or_default().chunks(4) {
            let entry = claimed[1].text();
            let (_, job, epoch) =
                entries.iter().find(|(other, ..)| *other == entry).context("an unknown entry")?;
            let record = self::claimed(record_of(&claimed[3].text())?);
            taken.push(Taken { job: *job, source: Source::Stream(step, *epoch), record });
        }
        Ok((suspects, taken))
    }

    /// Entry, job and epoch of each message.
    async fn entries(&mut self, step: Step) -> Result<Vec<(String, JobNumber, u32)>> {
        let reply = self.redis.ask(&["XRANGE", &stream(step), "-", "+"]).await?.list();
        let mut entries = Vec::new();
        for message in reply {
            let mut parts = message.list().into_iter();
            let entry = parts.next().context("no entry")?.text();
            let fields = parts.next().context("no fields")?.list();
            entries.push((entry, number_of(&fields[1].text())?, u32::from_str_radix(&fields[3].text(), 16)?));
        }
        Ok(entries)
    }

    async fn entry(&mut self, step: Step, job: JobNumber, epoch: u32) -> Result<Option<String>> {
        let entries = self.entries(step).await?.into_iter();
        Ok(entries.filter(|(_, j, e)| (*j, *e) == (job, epoch)).map(|(entry, ..)| entry).next())
    }

    /// Entry, holder, and whether a lease has passed, of each message that was read.
    async fn pending(&mut self, step: Step) -> Result<Vec<(String, String, bool)>> {
        let reply = self.redis.ask(&["XPENDING", &stream(step), GROUP, "-", "+", "1000"]).await?.list();
        let mut pending = Vec::new();
        for message in reply {
            let parts = message.list();
            let idle_ms: u64 = parts[2].text().parse()?;
            pending.push((parts[0].text(), parts[1].text(), idle_ms >= LEASE_MS.parse()?));
        }
        Ok(pending)
    }

    /// Runs a script, and reads the clock of that very moment.
    async fn call(&mut self, script: &str, keys: &[&str], arguments: &[&str]) -> Result<Reply> {
        let count = keys.len().to_string();
        self.redis.ask(&["MULTI"]).await?;
        self.redis.ask(&[&["EVAL", script, &count][..], keys, arguments].concat()).await?;
        self.redis.ask(&["TIME"]).await?;
        let mut replies = self.redis.ask(&["EXEC"]).await?.list().into_iter();
        let reply = replies.next().context("no reply of the script")?;
        let time = replies.next().context("no time")?.list();
        let part = |at: usize| anyhow::Ok(time.get(at).context("no time")?.text().parse::<f64>()?);
        self.now_us = part(0)? * 1e6 + part(1)?;
        match reply {
            Reply::Error(text) => bail!("a script says {text}"),
            reply => Ok(reply),
        }
    }
}

/// Later than any test.
const FAR: &str = "9000000000000000";

fn flag(is_set: bool) -> &'static str {
    if is_set { "1" } else { "0" }
}

fn stream(step: Step) -> String {
    format!("{P}s:{step}")
}

fn consumer_name(consumer: Consumer) -> String {
    format!("w{consumer}")
}

fn id_of(job: JobNumber) -> String {
    format!("job{job:024}")
}

fn key_of(job: JobNumber) -> String {
    format!("{P}j:{}", id_of(job))
}

fn number_of(id: &str) -> Result<JobNumber> {
    Ok(id.trim_start_matches("job").parse()?)
}

fn next_arguments(next: Next) -> (&'static str, &'static str, &'static str) {
    match next {
        Next::Nothing => ("n", "-", "0"),
        Next::Now(step) => ("r", lane(step), "0"),
        Next::Later(step) => ("d", lane(step), DELAY_US),
    }
}

fn lane(step: Step) -> &'static str {
    match step {
        Step::Deliver => "deliver@1790000000",
        Step::Submit | Step::Check | Step::Reconcile | Step::Abandon => step.as_str(),
    }
}

/// Length of the header that the scripts read, which is the same in all layouts.
const HEADER_BYTES: usize = 48;

/// A claim gives the record as it was; whoever claims knows what the script made of it.
fn claimed(record: Record) -> Record {
    let Header { state, epoch, deliveries } = record.header;
    Record { header: Header { state, epoch: epoch + 1, deliveries: deliveries + 1 }, ..record }
}

fn header_text(header: &Header) -> String {
    let letter = atelier_redis_store::record::letter(header.state);
    let times = "0".repeat(26);
    format!("1{letter}{:08x}{:04x}0000{times}---\n", header.epoch, header.deliveries)
}

fn body_text(record: &Record) -> String {
    format!("{},{}", record.attempts, record.remote)
}

fn record_of(text: &str) -> Result<Record> {
    let (head, body) = text.split_at_checked(HEADER_BYTES).context("short")?;
    let letter = head.chars().nth(1).context("no state")?;
    let state =
        State::ALL.iter().copied().find(|state| atelier_redis_store::record::letter(*state) == letter);
    let (attempts, remote) = body.split_once(',').context("no body")?;
    let header = Header {
        state: state.with_context(|| format!("unknown state {letter}"))?,
        epoch: u32::from_str_radix(&head[2..10], 16)?,
        deliveries: u16::from_str_radix(&head[10..14], 16)?,
    };
    Ok(Record { header, attempts: attempts.parse()?, remote: remote.parse()? })
}
