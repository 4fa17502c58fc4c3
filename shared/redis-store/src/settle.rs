//! Writes verdicts in batches: while one script runs, the next verdicts gather. Batching comes by itself under load
//! and costs nothing when idle.

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::asset::Asset;
use atelier_domain::job::{Epoch, Job, JobBody};
use atelier_domain::operation::Step;
use atelier_domain::ports::Next;
use redis::{RedisError, RedisResult};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::connect::{Backoff, Shard};
use crate::keys::GROUP;
use crate::{record, script};

/// Most verdicts in one script. `XDEL` of more entries in old blocks can hold Redis for milliseconds.
const BATCH: usize = 128;

/// Where the message of a claim is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// An entry of a ready stream.
    Stream {
        /// Which one.
        step: Step,
        /// The entry's id.
        entry: String,
    },
    /// A member of the due set of checks.
    Checks,
    /// No claim: a change from outside, such as a cancel.
    Outside,
}

/// One write, ready to be sent.
#[derive(Debug)]
pub(crate) struct Verdict {
    id: String,
    expected: Epoch,
    source: String,
    entry: String,
    header: String,
    body: String,
    kind: &'static str,
    step: &'static str,
    delay_us: i64,
    ttl_ms: u64,
    has_ended: bool,
    assets: Vec<(String, String)>,
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Stored.
    Yes,
    /// Somebody else has changed the job; its record as it is, empty when there is none.
    Stale(Vec<u8>),
}

impl Verdict {
    /// Ends a claim on `before` by writing `after`. The epoch rises, so that nothing older fits any more.
    pub(crate) fn ending(
        before: &JobBody,
        mut after: Job,
        next: &Next,
        source: &Source,
        retention: Duration,
        now: Timestamp,
    ) -> Result<Self, record::RecordError> {
        let expected = after.epoch;
        after.epoch = Epoch(expected.0.wrapping_add(1));
        after.deliveries = 0;
        let (source, entry) = match source {
            Source::Stream { step, entry } => (format!("s:{step}"), entry.clone()),
            Source::Checks => ("c".to_owned(), String::new()),
            Source::Outside => ("x".to_owned(), String::new()),
        };
        let (kind, step, delay_us) = match next {
            Next::Nothing => ("n", "", 0),
            Next::Now(step) => ("r", step.as_str(), 0),
            Next::At(step, due) => ("d", step.as_str(), micros_between(now, *due)),
        };
        let has_ended = after.state.is_terminal();
        let assets = if has_ended { assets_of(&after.body.assets)? } else { Vec::new() };
        Ok(Self {
            id: after.id.to_string(),
            expected,
            source,
            entry,
            header: record::header(&after),
            body: if *before == after.body { String::new() } else { record::body(&after)? },
            kind,
            step,
            delay_us,
            ttl_ms: if has_ended { u64::try_from(retention.as_millis()).unwrap_or(u64::MAX) } else { 0 },
            has_ended,
            assets,
        })
    }

    /// Writes `job` and keeps the claim on it.
    pub(crate) fn keeping(job: &Job) -> Result<Self, record::RecordError> {
        Ok(Self {
            id: job.id.to_string(),
            expected: job.epoch,
            source: "k".to_owned(),
            entry: String::new(),
            header: record::header(job),
            body: record::body(job)?,
            kind: "n",
            step: "",
            delay_us: 0,
            ttl_ms: 0,
            has_ended: false,
            assets: Vec::new(),
        })
    }
}

fn assets_of(assets: &[Asset]) -> Result<Vec<(String, String)>, record::RecordError> {
    assets
        .iter()
        .map(|asset| {
            Ok((asset.id.to_string(), serde_json::to_string(asset).map_err(record::RecordError::Body)?))
        })
        .collect()
}

/// Microseconds from `now` to `due`, at least 0. Redis adds them to its own clock, so hosts need not agree on the time.
pub(crate) fn micros_between(now: Timestamp, due: Timestamp) -> i64 {
    (due.as_microsecond() - now.as_microsecond()).max(0)
}

/// Sends verdicts, in one script.
pub(crate) async fn send(shard: &Shard, verdicts: &[Verdict]) -> RedisResult<Vec<Written>> {
    let keys = &shard.keys;
    let mut call = script::SETTLE.prepare_invoke();
    // One key is declared, for routing: all others carry the same hash tag.
    call.key(keys.checks()).arg(keys.prefix()).arg(GROUP).arg(verdicts.len());
    for verdict in verdicts {
        call.arg(&verdict.id)
            .arg(format!("{:08x}", verdict.expected.0))
            .arg(&verdict.source)
            .arg(&verdict.entry)
            .arg(&verdict.header)
            .arg(&verdict.body)
            .arg(verdict.kind)
            .arg(verdict.step)
            .arg(verdict.delay_us)
            .arg(verdict.ttl_ms)
            .arg(if verdict.has_ended { "1" } else { "0" })
            .arg(verdict.assets.len());
        for (id, json) in &verdict.assets {
            call.arg(id).arg(json);
        }
    }
    let results: Vec<Vec<u8>> = shard.run(&call).await?;
    Ok(results
        .into_iter()
        .map(|result| if result == b"ok" { Written::Yes } else { Written::Stale(result) })
        .collect())
}

type Waiting = (Verdict, oneshot::Sender<Option<Written>>);

/// Hands verdicts to the task that sends them.
#[derive(Clone)]
pub(crate) struct Settler {
    queue: mpsc::Sender<Waiting>,
}

impl Settler {
    /// Starts the sending task. It runs until all handles are gone; after `give_up` it no longer waits for Redis.
    pub(crate) fn start(shard: Shard, give_up: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, inbox) = mpsc::channel(4 * BATCH);
        let task = tokio::spawn(run(shard, inbox, give_up));
        (Self { queue }, task)
    }

    /// Sends one verdict and waits until it is stored, however long Redis is away. `None` when the process gave up.
    pub(crate) async fn settle(&self, verdict: Verdict) -> Option<Written> {
        let (answer, outcome) = oneshot::channel();
        self.queue.send((verdict, answer)).await.ok()?;
        outcome.await.ok().flatten()
    }
}

async fn run(shard: Shard, mut inbox: mpsc::Receiver<Waiting>, give_up: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    while inbox.recv_many(&mut batch, BATCH).await > 0 {
        let (verdicts, answers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let mut backoff = Backoff::default();
        let written = loop {
            match send(&shard, &verdicts).await {
                Ok(written) => break Some(written),
                Err(error) => {
                    log_failure(&error, verdicts.len());
                    if !backoff.wait(&give_up).await {
                        break None;
                    }
                }
            }
        };
        match written {
            Some(written) => {
                for (answer, written) in answers.into_iter().zip(written) {
                    let _ = answer.send(Some(written));
                }
            }
            None => {
                for answer in answers {
                    let _ = answer.send(None);
                }
            }
        }
    }
}

fn log_failure(error: &RedisError, verdicts: usize) {
    warn!(error = %error, verdicts, "verdicts wait for redis");
}
