//! Rolls up the costs of days that are over: the parts of all shards become one field of the workspace's month. The
//! whole is written before a part is removed, and only where it does not stand yet. So it may be killed between any two
//! commands, and run twice at the same time: whoever finds parts missing also finds the whole written.

use std::collections::BTreeSet;

use atelier_domain::costs;
use atelier_domain::ids::WorkspaceId;
use redis::RedisResult;
use tokio_util::sync::CancellationToken;

use super::repair::{REST, scan};
use crate::connect::{Redis, Shard, twice};
use crate::costs::{Figures, add, folded, parts};
use crate::script;

/// Days that stay as they are, the present one among them. A day more than needed: a server's clock may be set back.
const OPEN_DAYS: i64 = 2;
const DAY_S: i64 = 24 * 3600;

/// What a roll-up did.
#[derive(Debug, Default)]
pub(super) struct RolledUp {
    /// Days of workspaces that were folded.
    pub(super) days: u64,
    /// `stop` came first; the rest is undone.
    pub(super) is_cut_short: bool,
}

/// Folds every day that is over in all shards. It walks over the keys only when a day has ended since the last time.
pub(super) async fn roll_up(redis: &Redis, stop: &CancellationToken) -> RedisResult<RolledUp> {
    let mut rolled_up = RolledUp::default();
    let mut last = i64::MAX;
    let mut is_done = true;
    for shard in redis.shards() {
        let (seconds, _): (i64, i64) =
            twice(|| async { redis::cmd("TIME").query_async(&mut shard.commands()).await }).await?;
        last = last.min(seconds.div_euclid(DAY_S) - OPEN_DAYS);
    }
    for shard in redis.shards() {
        is_done &= folded(shard).await?.is_some_and(|folded| folded >= last);
    }
    if is_done {
        return Ok(rolled_up);
    }
    let mut open = BTreeSet::new();
    for shard in redis.shards() {
        find(shard, last, &mut open, stop).await?;
    }
    for (workspace, day) in open {
        if stop.is_cancelled() {
            break;
        }
        rolled_up.days += u64::from(fold(redis, &workspace, day).await?);
        tokio::time::sleep(REST).await;
    }
    if stop.is_cancelled() {
        rolled_up.is_cut_short = true;
        return Ok(rolled_up);
    }
    // Nothing is written into these days any more, so readers need not look for parts of them.
    for shard in redis.shards() {
        let key = shard.keys.folded();
        let set = || async { redis::cmd("SET").arg(&key).arg(last).query_async(&mut shard.commands()).await };
        let () = twice(set).await?;
    }
    Ok(rolled_up)
}

/// The records of days up to `last` that a shard has.
async fn find(
    shard: &Shard,
    last: i64,
    found: &mut BTreeSet<(WorkspaceId, i64)>,
    stop: &CancellationToken,
) -> RedisResult<()> {
    let pattern = shard.keys.all_costs_of_days();
    let mut cursor = 0u64;
    while !stop.is_cancelled() {
        let (next, keys) = scan(shard, &pattern, cursor).await?;
        let read = |key: &String| {
            let (workspace, day) = key.strip_prefix(pattern.trim_end_matches('*'))?.rsplit_once(':')?;
            Some((workspace.parse().ok()?, day.parse().ok()?))
        };
        found.extend(keys.iter().filter_map(read).filter(|(_, day)| *day <= last));
        cursor = next;
        if cursor == 0 {
            break;
        }
        tokio::time::sleep(REST).await;
    }
    Ok(())
}

/// Folds one day of one workspace; whether it found anything to fold.
async fn fold(redis: &Redis, workspace: &WorkspaceId, day: i64) -> RedisResult<bool> {
    let mut whole = Figures::new();
    for shard in redis.shards() {
        for (_, part) in parts(shard, workspace, std::iter::once(day)).await? {
            add(&mut whole, part);
        }
    }
    let Some(date) = costs::day_with(day).filter(|_| !whole.is_empty()) else { return Ok(false) };
    let home = redis.of_workspace(workspace);
    let json = serde_json::to_vec(&whole).map_err(std::io::Error::from)?;
    let mut call = script::FOLD.prepare_invoke();
    call.key(home.keys.costs_of_month(workspace, (date.year(), date.month())))
        .arg(day)
        .arg(json)
        .arg(redis.settings.costs_kept_s());
    let _: i64 = twice(|| home.run(&call)).await?;
    for shard in redis.shards() {
        let part = shard.keys.costs_of_day(workspace, day);
        let remove = || async { redis::cmd("UNLINK").arg(&part).query_async(&mut shard.commands()).await };
        let _: u64 = twice(remove).await?;
    }
    Ok(true)
}
