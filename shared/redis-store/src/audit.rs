//! Looks at every job in a Redis and says which invariants do not hold. For tests, chaos runs and operators; reads
//! everything, so not for a busy production Redis. It is not one snapshot: while work goes on, a job that moves between
//! two reads may be reported.

use std::collections::HashSet;

use atelier_domain::ids::{AssetId, JobId};
use atelier_domain::invariant::Invariant;
use atelier_domain::job::Job;
use atelier_domain::operation::Step;
use redis::{AsyncCommands, RedisResult};

use crate::connect::{Redis, Shard, twice};
use crate::{lanes, record};

/// What was found.
#[derive(Debug, Default)]
pub struct Audit {
    /// All jobs.
    pub jobs: Vec<Job>,
    /// Each broken promise, with the job.
    pub violations: Vec<(Invariant, String)>,
    /// Messages that stand in ready streams, held or not.
    pub messages: usize,
}

/// Records read in one command.
const CHUNK: usize = 500;

/// Reads all records and queues.
pub async fn run(redis: &Redis) -> RedisResult<Audit> {
    let mut audit = Audit::default();
    for shard in redis.shards() {
        let part = twice(|| look(redis, shard)).await?;
        audit.jobs.extend(part.jobs);
        audit.violations.extend(part.violations);
        audit.messages += part.messages;
    }
    Ok(audit)
}

async fn look(redis: &Redis, shard: &Shard) -> RedisResult<Audit> {
    let mut connection = shard.commands();
    let mut audit = Audit::default();
    let ids = job_ids(shard).await?;
    let is_lost = |id: &&JobId| redis.of_job(id).keys.number() != shard.keys.number();
    for id in ids.iter().filter(is_lost) {
        let finding = format!("{id} is in shard {}, where nobody looks for it", shard.keys.number());
        audit.violations.push((Invariant::AcceptedIsKept, finding));
    }
    let mut due = HashSet::new();
    let checks: Vec<String> = connection.zrange(shard.keys.checks(), 0, -1).await?;
    due.extend(checks.into_iter().map(|id| (Step::Check, id)));
    let deliveries: Vec<String> = connection.zrange(shard.keys.deliveries(), 0, -1).await?;
    due.extend(deliveries.into_iter().map(|id| (Step::Deliver, id)));
    let delayed: Vec<String> = connection.zrange(shard.keys.due(), 0, -1).await?;
    for member in delayed {
        if let Some((lane, id)) = member.split_once(':')
            && let Some(step) = lanes::step_of(lane)
        {
            due.insert((step, id.to_owned()));
        }
    }
    for step in Step::ALL.iter().copied() {
        for lane in lanes::all(step) {
            let messages: redis::streams::StreamRangeReply =
                connection.xrange_all(shard.keys.stream(lane)).await?;
            audit.messages += messages.ids.len();
            due.extend(
                messages.ids.iter().filter_map(|message| message.get::<String>("j")).map(|id| (step, id)),
            );
        }
    }
    for ids in ids.chunks(CHUNK) {
        let keys: Vec<String> = ids.iter().map(|id| shard.keys.job(id)).collect();
        let records: Vec<Option<Vec<u8>>> = connection.mget(&keys).await?;
        for (id, bytes) in ids.iter().zip(records) {
            match bytes.map(|bytes| record::read(id, &bytes)) {
                Some(Ok(job)) => {
                    check_job(&job, &due, &mut audit.violations);
                    audit.jobs.push(job);
                }
                Some(Err(reason)) => {
                    audit.violations.push((Invariant::AcceptedIsKept, format!("{id}: {reason}")))
                }
                None => {}
            }
        }
    }
    Ok(audit)
}

fn check_job(job: &Job, due: &HashSet<(Step, String)>, violations: &mut Vec<(Invariant, String)>) {
    let id = job.id.to_string();
    if !job.state.is_terminal() {
        let is_due = Step::ALL.iter().any(|step| due.contains(&(*step, id.clone())));
        if !is_due || job.due_at.is_none() {
            violations.push((
                Invariant::EveryJobIsDue,
                format!("{id} is {} and nothing will look at it", job.state),
            ));
        }
    }
    if job.state == atelier_domain::state::State::Awaiting && job.body.remote.is_none() {
        violations.push((Invariant::RemoteIdBeforeAck, format!("{id} waits for an operation without an id")));
    }
    if job.body.remote.is_some() && job.body.attempts == 0 {
        violations.push((Invariant::IntentBeforeCall, format!("{id} has a remote operation but no attempt")));
    }
    for asset in &job.body.assets {
        let index = asset.made_by.as_ref().map(|made| made.index);
        if index.is_none_or(|index| asset.id != AssetId::of(&job.id, index)) {
            violations.push((Invariant::StableObjectKey, format!("{id} has the asset {}", asset.id)));
        }
    }
}

async fn job_ids(shard: &Shard) -> RedisResult<Vec<JobId>> {
    let prefix = format!("{}j:", shard.keys.prefix());
    let mut ids = Vec::new();
    let mut cursor = 0u64;
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}*"))
            .arg("COUNT")
            .arg(1000)
            .query_async(&mut shard.commands())
            .await?;
        ids.extend(keys.iter().filter_map(|key| key.strip_prefix(&prefix)).filter_map(|id| id.parse().ok()));
        cursor = next;
        if cursor == 0 {
            return Ok(ids);
        }
    }
}
