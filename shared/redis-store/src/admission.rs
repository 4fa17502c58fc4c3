//! Admits jobs, many in one script. Requests that come at the same time are joined: one call of Redis keeps all of them,
//! and each gets its own outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use atelier_domain::ids::JobId;
use atelier_domain::ports::{Admission, Idempotency, NewJob, StoreUnavailable};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use redis::AsyncCommands;
use tokio::sync::{mpsc, oneshot};

use crate::connect::{Redis, Shard, twice};
use crate::events::entry;
use crate::{keys, lanes, record, script, settle};

/// Most jobs in one script of a bulk: what they take is about a millisecond of Redis.
const BULK: usize = 128;
/// Scripts of a bulk that are under way at once: the next is written while Redis works on the one before.
const UNDER_WAY: usize = 2;
/// Most requests joined into one script: none of them waits for much more than its own job.
const JOINED: usize = 64;

/// What became of a job.
pub(crate) type Outcome = Result<Admission, StoreUnavailable>;

/// One failure of a script, told to each job in it.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<StoreUnavailable>);

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreUnavailable {
    StoreUnavailable { source: Box::new(source) }
}

/// One outcome a job, in their order.
pub(crate) async fn admit_many(redis: &Redis, new: &[NewJob]) -> Vec<Outcome> {
    let mut of_shards: BTreeMap<u16, Vec<(usize, &NewJob)>> = BTreeMap::new();
    let mut outcomes: Vec<Option<Outcome>> = new.iter().map(|_| None).collect();
    for (place, job) in new.iter().enumerate() {
        of_shards.entry(redis.of_job(&job.job.id).keys.number()).or_default().push((place, job));
    }
    let mut batches: Vec<BoxFuture<'_, _>> = Vec::new();
    for batch in of_shards.values().flat_map(|jobs| jobs.chunks(BULK)) {
        batches.push(async move { (batch, admit_batch(redis, batch).await) }.boxed());
    }
    let mut admitting = futures::stream::iter(batches).buffer_unordered(UNDER_WAY);
    while let Some((batch, admitted)) = admitting.next().await {
        let mut admitted = admitted.map(Vec::into_iter).map_err(Arc::new);
        for (place, _) in batch {
            let outcome = match &mut admitted {
                Ok(outcomes) => outcomes.next(),
                Err(reason) => Some(Err(unavailable(Shared(reason.clone())))),
            };
            if let Some(slot) = outcomes.get_mut(*place) {
                *slot = outcome;
            }
        }
    }
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(no_outcome)).collect()
}

fn no_outcome() -> Outcome {
    Err(StoreUnavailable { source: "the store gave no outcome for the job".into() })
}

/// All jobs of the batch are of one shard.
async fn admit_batch(redis: &Redis, batch: &[(usize, &NewJob)]) -> Result<Vec<Outcome>, StoreUnavailable> {
    redis.confirm_layout().await.map_err(unavailable)?;
    let Some((_, first)) = batch.first() else { return Ok(Vec::new()) };
    let shard = redis.of_job(&first.job.id);
    let mut call = script::ADMIT.prepare_invoke();
    // One key is declared, for routing: all others carry the same hash tag.
    call.key(shard.keys.due())
        .arg(shard.keys.prefix())
        .arg(redis.settings.idempotency_ttl_s.saturating_mul(1000));
    for (_, NewJob { job, idempotency }) in batch {
        let created_at = job.body.created_at;
        let delay_us = settle::micros_between(created_at, job.due_at.unwrap_or(created_at));
        call.arg(job.id.as_str())
            .arg(record::whole(job).map_err(unavailable)?)
            .arg(lanes::of_submit(job.body.spec.priority))
            .arg(delay_us)
            .arg(created_at.as_microsecond())
            .arg(job.body.workspace_id.as_str());
        match idempotency {
            Some(Idempotency { key, fingerprint }) => {
                let workspace = &job.body.workspace_id;
                if !redis.fits(&job.id, workspace, key) {
                    let source = "the id was not made for this idempotency key".into();
                    return Err(StoreUnavailable { source });
                }
                let digest = keys::idempotency_digest(workspace, key);
                call.arg(digest.as_slice()).arg(fingerprint.as_slice())
            }
            None => call.arg("").arg(""),
        };
        call.arg(entry::facts_of(job));
    }
    // The ids were chosen before, so a second run after a lost answer finds the first one's work.
    let outcomes: Vec<String> = twice(|| shard.run(&call)).await.map_err(unavailable)?;
    let mut admitted = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        admitted.push(admission(shard, &outcome).await);
    }
    Ok(admitted)
}

/// Reads an outcome of the script. A job of the same idempotency key is in the same shard.
async fn admission(shard: &Shard, outcome: &str) -> Outcome {
    let Some(other) = outcome.get(1..).filter(|other| !other.is_empty()) else {
        return Ok(Admission::Created);
    };
    let other: JobId = other.parse().map_err(unavailable)?;
    if outcome.starts_with('r') {
        let key = shard.keys.job(&other);
        let found: Option<Vec<u8>> =
            twice(|| async { shard.commands().get(&key).await }).await.map_err(unavailable)?;
        if let Some(bytes) = found {
            return Ok(Admission::Repeated(Box::new(record::read(&other, &bytes).map_err(unavailable)?)));
        }
    }
    Ok(Admission::KeyReused(other))
}

type Waiting = (NewJob, oneshot::Sender<Outcome>);

/// Joins single admissions, those of each shard apart: a server that is away holds up nobody else. Clones share the
/// queues.
#[derive(Clone)]
pub(crate) struct Joiner {
    redis: Redis,
    queues: Arc<[mpsc::Sender<Waiting>]>,
}

impl Joiner {
    /// Starts the joining tasks. They run until all handles are gone.
    pub(crate) fn start(redis: Redis) -> Self {
        let queues = redis.shards().iter().map(|_| {
            let (queue, inbox) = mpsc::channel(4 * JOINED);
            tokio::spawn(join(redis.clone(), inbox));
            queue
        });
        Self { queues: queues.collect(), redis }
    }

    /// Admits one job together with those that come at the same time.
    pub(crate) async fn admit(&self, new: NewJob) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let shard = self.redis.of_job(&new.job.id).keys.number();
        let queue = self.queues.get(usize::from(shard)).ok_or_else(gone)?;
        // The task ends only with its runtime.
        queue.send((new, answer)).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

fn gone() -> StoreUnavailable {
    StoreUnavailable { source: "the process is ending".into() }
}

async fn join(redis: Redis, mut inbox: mpsc::Receiver<Waiting>) {
    let (mut new, mut answers) = (Vec::with_capacity(JOINED), Vec::with_capacity(JOINED));
    while let Some((first, answer)) = inbox.recv().await {
        new.push(first);
        answers.push(answer);
        // Those that are on their way come along; alone, this costs nothing.
        tokio::task::yield_now().await;
        while new.len() < JOINED
            && let Ok((more, answer)) = inbox.try_recv()
        {
            new.push(more);
            answers.push(answer);
        }
        let mut outcomes = admit_many(&redis, &new).await.into_iter();
        new.clear();
        for answer in answers.drain(..) {
            let _ = answer.send(outcomes.next().unwrap_or_else(no_outcome));
        }
    }
}
