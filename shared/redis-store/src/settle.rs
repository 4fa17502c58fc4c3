//! Writes verdicts in batches: while one script runs, the next verdicts gather. Batching comes by itself under load
//! and costs nothing when idle.

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::asset::Asset;
use atelier_domain::ids::JobId;
use atelier_domain::job::{Epoch, Job};
use atelier_domain::pause::PauseScope;
use atelier_domain::ports::{AssetPlace, Next};
use atelier_domain::state::State;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use redis::{RedisError, RedisResult};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::connect::{Backoff, Shard};
use crate::events::entry;
use crate::keys::GROUP;
use crate::lanes::{self, Lane};
use crate::{costs, record, script};

/// Most verdicts in one script. `XDEL` of more entries in old blocks can hold Redis for milliseconds.
const BATCH: usize = 128;
/// Scripts of verdicts that are under way at once: Redis has the next one when it is done with one. A job is never in
/// both, as its holder waits for one verdict before it gives another.
const UNDER_WAY: usize = 2;

/// Where the message of a claim is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// An entry of a ready stream.
    Stream {
        /// Of which lane.
        lane: Lane,
        /// The entry's id.
        entry: String,
    },
    /// A member of the due set of checks.
    Checks,
    /// A member of the due set of deliveries.
    Deliveries,
    /// No claim: a change from outside, such as a cancel.
    Outside,
}

impl Source {
    /// As scripts read it: where, and which entry.
    pub(crate) fn in_plan(&self) -> (String, String) {
        match self {
            Self::Stream { lane, entry } => (format!("s:{lane}"), entry.clone()),
            Self::Checks => ("c".to_owned(), String::new()),
            Self::Deliveries => ("v".to_owned(), String::new()),
            Self::Outside => ("x".to_owned(), String::new()),
        }
    }
}

/// One write, ready to be sent.
#[derive(Debug)]
pub(crate) struct Verdict {
    id: JobId,
    expected: Epoch,
    entry: String,
    header: Vec<u8>,
    /// Empty when it stays as it is.
    rest: Vec<u8>,
    delay_us: i64,
    /// See the script.
    plan: String,
    /// What those who listen are told; empty for nothing. See the script.
    event: Vec<u8>,
    assets: Vec<AssetEntry>,
}

/// An asset that a job ends in: its record, and its place in the index of its workspace.
#[derive(Debug)]
struct AssetEntry {
    id: String,
    created_ms: i64,
    json: String,
}

/// How long what has ended is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// The job.
    pub(crate) job: Duration,
    /// Its assets; `None` for ever.
    pub(crate) assets: Option<Duration>,
    /// What it has cost, in seconds.
    pub(crate) costs_s: u64,
}

/// How much of a record a write replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The header alone: the record has this build's layout, and nothing behind its header changes.
    Header,
    /// All of it.
    Whole,
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
    /// Ends a claim by writing `after`, whose epoch is risen already (see [`rise`]), where `expected` stands.
    pub(crate) fn ending(
        expected: Epoch,
        after: &Job,
        extent: Extent,
        next: &Next,
        source: &Source,
        retention: Retention,
        now: Timestamp,
    ) -> Result<Self, record::RecordError> {
        let (kind, lane, delay_us) = match next {
            Next::Nothing => ("n", "-".into(), 0),
            Next::Now(step) => ("r", lanes::word(*step, after), 0),
            Next::At(step, due) => ("d", lanes::word(*step, after), micros_between(now, *due)),
        };
        let has_ended = after.state.is_terminal();
        let (ttl_ms, assets) = if has_ended {
            (retention.job.as_millis(), assets_of(&after.body.assets)?)
        } else {
            (0, Vec::new())
        };
        let (source, entry) = source.in_plan();
        let mut plan = format!("{source} {kind} {lane} {ttl_ms} {} {} ", u8::from(has_ended), assets.len());
        if !assets.is_empty() {
            let kept_ms = retention.assets.map_or(0, |kept| kept.as_millis());
            plan.push_str(&format!("@{}|{kept_ms},", after.body.workspace_id));
        }
        Ok(Self {
            id: after.id.clone(),
            expected,
            entry,
            header: record::header(after)?,
            rest: rest_of(after, extent)?,
            delay_us,
            plan,
            event: Vec::new(),
            assets,
        })
    }

    /// The same verdict, which also moves the job between the indexes of its workspace, and enters what it has cost into
    /// the books.
    pub(crate) fn indexed(mut self, before: &Job, after: &Job, retention: Retention) -> Self {
        let moves = indexes(before, after).into_iter().chain(costs::word(before, after, retention.costs_s));
        self.plan.push_str(&moves.collect::<Vec<_>>().join(","));
        self
    }

    /// The same verdict, which also tells those who listen what it changes of the job as it was written last.
    pub(crate) fn telling(mut self, before: &Job, after: &Job) -> Self {
        self.event = entry::of_change(before, after);
        self
    }

    /// Ends a claim by holding the job back under a pause, until that ends or the job's time to start does.
    pub(crate) fn parking(
        expected: Epoch,
        after: &Job,
        extent: Extent,
        scope: &PauseScope,
        source: &Source,
        now: Timestamp,
    ) -> Result<Self, record::RecordError> {
        let (source, entry) = source.in_plan();
        let lane = lanes::of_submit(after.body.spec.priority);
        Ok(Self {
            id: after.id.clone(),
            expected,
            entry,
            header: record::header(after)?,
            rest: rest_of(after, extent)?,
            delay_us: micros_between(now, after.body.spec.start_deadline),
            plan: format!("{source} p {lane} 0 0 0 {scope}"),
            event: Vec::new(),
            assets: Vec::new(),
        })
    }

    /// Writes `job` and keeps the claim on it.
    pub(crate) fn keeping(job: &Job, extent: Extent) -> Result<Self, record::RecordError> {
        Ok(Self {
            id: job.id.clone(),
            expected: job.epoch,
            entry: String::new(),
            header: record::header(job)?,
            rest: rest_of(job, extent)?,
            delay_us: 0,
            plan: "k n - 0 0 0 ".to_owned(),
            event: Vec::new(),
            assets: Vec::new(),
        })
    }
}

/// Which of the workspace's indexes the job enters (`+`) and leaves (`-`), as `settle.lua` reads it.
fn indexes(before: &Job, after: &Job) -> Vec<String> {
    let workspace = &after.body.workspace_id;
    let mut changes = Vec::new();
    match (before.state == State::Uncertain, after.state == State::Uncertain) {
        (false, true) => changes.push(format!("+u:{workspace}")),
        (true, false) => changes.push(format!("-u:{workspace}")),
        (true, true) | (false, false) => {}
    }
    if after.is_dead_letter() && !before.is_dead_letter() {
        changes.push(format!("+l:{workspace}"));
    }
    changes
}

/// Raises the epoch of a job that is about to be settled, so that nothing older fits any more; gives what it was.
pub(crate) fn rise(job: &mut Job) -> Epoch {
    let expected = job.epoch;
    job.epoch = Epoch(expected.0.wrapping_add(1));
    job.deliveries = 0;
    expected
}

fn rest_of(job: &Job, extent: Extent) -> Result<Vec<u8>, record::RecordError> {
    match extent {
        Extent::Header => Ok(Vec::new()),
        Extent::Whole => record::rest(job),
    }
}

fn assets_of(assets: &[Asset]) -> Result<Vec<AssetEntry>, record::RecordError> {
    let entry = |asset: &Asset| {
        let AssetPlace { order: created_ms, id } = AssetPlace::of(asset);
        let json = serde_json::to_string(asset).map_err(record::RecordError::Body)?;
        Ok(AssetEntry { id: id.into(), created_ms, json })
    };
    assets.iter().map(entry).collect()
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
    call.key(keys.checks()).arg(keys.prefix()).arg(GROUP);
    for verdict in verdicts {
        call.arg(verdict.id.as_str())
            .arg(format!("{:08x}", verdict.expected.0))
            .arg(&verdict.entry)
            .arg(verdict.header.as_slice())
            .arg(verdict.rest.as_slice())
            .arg(verdict.delay_us)
            .arg(&verdict.plan)
            .arg(verdict.event.as_slice());
        for AssetEntry { id, created_ms, json } in &verdict.assets {
            call.arg(id).arg(created_ms).arg(json);
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
    let mut under_way = FuturesUnordered::new();
    loop {
        let first = tokio::select! {
            biased;
            Some(()) = under_way.next() => continue,
            first = inbox.recv(), if under_way.len() < UNDER_WAY => first,
        };
        let Some(first) = first else { break };
        let mut batch = vec![first];
        // Steps that end together end in one script: let those that run now come first. Alone, this costs nothing.
        tokio::task::yield_now().await;
        while batch.len() < BATCH
            && let Ok(more) = inbox.try_recv()
        {
            batch.push(more);
        }
        under_way.push(deliver(&shard, batch, &give_up));
    }
    while under_way.next().await.is_some() {}
}

/// Sends a batch until Redis has it, or the process gives up, and tells those who wait.
async fn deliver(shard: &Shard, batch: Vec<Waiting>, give_up: &CancellationToken) {
    let (verdicts, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let mut backoff = Backoff::default();
    let written = loop {
        match send(shard, &verdicts).await {
            Ok(written) => break written,
            Err(error) => {
                log_failure(&error, verdicts.len());
                if !backoff.wait(give_up).await {
                    break Vec::new();
                }
            }
        }
    };
    let mut written = written.into_iter();
    for answer in answers {
        let _ = answer.send(written.next());
    }
}

fn log_failure(error: &RedisError, verdicts: usize) {
    warn!(error = %error, verdicts, "verdicts wait for redis");
}
