//! Admission: keeps and queues jobs, many in one script.

use std::collections::BTreeMap;
use std::sync::Arc;

use atelier_domain::ids::JobId;
use atelier_domain::ports::{Admission, Idempotency, NewJob, StoreUnavailable};
use redis::AsyncCommands;

use crate::connect::{Redis, Shard, twice};
use crate::{keys, record, script, settle};

/// Most jobs in one script: what a bulk of them takes is a few milliseconds of Redis.
const ADMISSIONS: usize = 500;

/// One failure of a script, told to each job in it.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<StoreUnavailable>);

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreUnavailable {
    StoreUnavailable { source: Box::new(source) }
}

/// One outcome a job, in their order.
pub(crate) async fn admit_many(redis: &Redis, new: Vec<NewJob>) -> Vec<Result<Admission, StoreUnavailable>> {
    let mut of_shards: BTreeMap<u16, Vec<(usize, &NewJob)>> = BTreeMap::new();
    let mut outcomes: Vec<Option<Result<Admission, StoreUnavailable>>> = new.iter().map(|_| None).collect();
    for (place, job) in new.iter().enumerate() {
        of_shards.entry(redis.of_job(&job.job.id).keys.number()).or_default().push((place, job));
    }
    for jobs in of_shards.values() {
        for batch in jobs.chunks(ADMISSIONS) {
            let admitted = admit_batch(redis, batch).await.map_err(Arc::new);
            let mut admitted = admitted.map(Vec::into_iter);
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
    }
    let no_answer = || Err(StoreUnavailable { source: "the store gave no outcome for the job".into() });
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(no_answer)).collect()
}

/// All jobs of the batch are of one shard.
async fn admit_batch(
    redis: &Redis,
    batch: &[(usize, &NewJob)],
) -> Result<Vec<Result<Admission, StoreUnavailable>>, StoreUnavailable> {
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
            .arg(if delay_us > 0 { "d" } else { "r" })
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
async fn admission(shard: &Shard, outcome: &str) -> Result<Admission, StoreUnavailable> {
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
