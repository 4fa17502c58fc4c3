//! Admits jobs, many in one script. Requests that come at the same time are joined: one call of Redis keeps all of them,
//! and each gets its own outcome.

use std::sync::Arc;

use atelier_domain::ports::{Idempotency, NewJob, StoreUnavailable};
use tokio::sync::{mpsc, oneshot};

use crate::connect::{Redis, twice};
use crate::{keys, record, script, settle};

/// Most jobs in one script of a bulk: what they take is a few milliseconds of Redis.
const BULK: usize = 500;
/// Most requests joined into one script: none of them waits for much more than its own job.
const JOINED: usize = 64;

/// One failure of a whole script, told to each of its jobs.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<StoreUnavailable>);

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreUnavailable {
    StoreUnavailable { source: Box::new(source) }
}

/// What the script says of a job.
pub(crate) type Outcome = Result<String, StoreUnavailable>;

/// Admits jobs: one outcome a job, in their order. A failure between two scripts leaves earlier jobs admitted and says
/// so.
pub(crate) async fn admit(redis: &Redis, new: &[NewJob]) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(new.len());
    for batch in new.chunks(BULK) {
        match run(redis, batch).await {
            Ok(admitted) => outcomes.extend(admitted.into_iter().map(Ok)),
            Err(reason) => {
                let reason = Arc::new(reason);
                outcomes.extend(batch.iter().map(|_| Err(unavailable(Shared(reason.clone())))));
            }
        }
    }
    outcomes
}

async fn run(redis: &Redis, batch: &[NewJob]) -> Result<Vec<String>, StoreUnavailable> {
    let mut call = script::ADMIT.prepare_invoke();
    // One key is declared, for routing: all others carry the same hash tag.
    call.key(redis.keys.due())
        .arg(redis.keys.prefix())
        .arg(redis.settings.idempotency_ttl_s.saturating_mul(1000));
    for NewJob { job, idempotency } in batch {
        let created_at = job.body.created_at;
        let delay_us = settle::micros_between(created_at, job.due_at.unwrap_or(created_at));
        call.arg(job.id.as_str())
            .arg(record::whole(job).map_err(unavailable)?)
            .arg(if delay_us > 0 { "d" } else { "r" })
            .arg(delay_us)
            .arg(created_at.as_microsecond())
            .arg(job.body.workspace_id.as_str());
        match idempotency {
            Some(Idempotency { key, fingerprint }) => {
                let digest = keys::idempotency_digest(&job.body.workspace_id, key);
                call.arg(digest.as_slice()).arg(fingerprint.as_slice())
            }
            None => call.arg("").arg(""),
        };
    }
    // The ids were chosen by the caller, so a second run after a lost answer finds the first one's work.
    twice(|| async { call.invoke_async(&mut redis.commands()).await }).await.map_err(unavailable)
}

type Waiting = (NewJob, oneshot::Sender<Outcome>);

/// Joins single admissions. Clones share one queue.
#[derive(Clone)]
pub(crate) struct Joiner {
    queue: mpsc::Sender<Waiting>,
}

impl Joiner {
    /// Starts the joining task. It runs until all handles are gone.
    pub(crate) fn start(redis: Redis) -> Self {
        let (queue, inbox) = mpsc::channel(4 * JOINED);
        tokio::spawn(join(redis, inbox));
        Self { queue }
    }

    /// Admits one job together with those that come at the same time.
    pub(crate) async fn admit(&self, new: NewJob) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        // The task ends only with its runtime.
        self.queue.send((new, answer)).await.map_err(|_| gone())?;
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
        let outcomes = admit(&redis, &new).await;
        new.clear();
        let mut outcomes = outcomes.into_iter();
        for answer in answers.drain(..) {
            let outcome = outcomes.next().unwrap_or_else(|| {
                Err(StoreUnavailable { source: "the store gave no outcome for the job".into() })
            });
            let _ = answer.send(outcome);
        }
    }
}
