//! Index repair: ids leave the index of a workspace when their records have expired, although nobody lists it; jobs that
//! a pause holds are let go when whoever ended the pause died before.

use std::time::Duration;

use redis::RedisResult;
use tokio_util::sync::CancellationToken;

use crate::connect::{Redis, Shard, twice};
use crate::{pauses, script};

/// Ids looked at in one script: bounds how long Redis is busy with one call.
const WINDOW: i64 = 500;
/// Keys that one `SCAN` walks over.
const SCAN_COUNT: u32 = 1_000;
/// Rest after each call, which takes Redis about a millisecond: jobs go first, a repair has minutes.
pub(super) const REST: Duration = Duration::from_millis(5);

/// What a repair did.
#[derive(Debug, Default)]
pub(super) struct Repaired {
    pub(super) indexes: u64,
    pub(super) ids: u64,
    pub(super) removed: u64,
    /// `stop` came first; the rest is undone.
    pub(super) is_cut_short: bool,
}

/// Walks over all indexes. An id that moves to another rank in between, because somebody else removes some, may be
/// missed; the next repair finds it. Redis removes an index with its last id.
pub(super) async fn repair_indexes(redis: &Redis, stop: &CancellationToken) -> RedisResult<Repaired> {
    let mut repaired = Repaired::default();
    for shard in redis.shards() {
        repair_shard(shard, stop, &mut repaired).await?;
        if repaired.is_cut_short {
            break;
        }
    }
    Ok(repaired)
}

/// `SCAN` walks over all keys of the shard's server, whosever they are.
async fn repair_shard(shard: &Shard, stop: &CancellationToken, repaired: &mut Repaired) -> RedisResult<()> {
    let pattern = shard.keys.all_indexes();
    let mut cursor = 0u64;
    loop {
        let (next, indexes) = scan(shard, &pattern, cursor).await?;
        for index in indexes {
            repaired.indexes += 1;
            match shard.keys.pause_of(&index) {
                Some(scope) => pauses::let_go_forgotten(shard, &scope).await?,
                None => repair_index(shard, &index, stop, repaired).await?,
            }
        }
        if stop.is_cancelled() {
            repaired.is_cut_short = true;
            return Ok(());
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
        tokio::time::sleep(REST).await;
    }
}

/// One step of a walk over the keys that match: where the next one begins, 0 at the end, and what was found.
pub(super) async fn scan(shard: &Shard, pattern: &str, cursor: u64) -> RedisResult<(u64, Vec<String>)> {
    twice(|| async {
        redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .arg(SCAN_COUNT)
            .query_async(&mut shard.commands())
            .await
    })
    .await
}

async fn repair_index(
    shard: &Shard,
    index: &str,
    stop: &CancellationToken,
    repaired: &mut Repaired,
) -> RedisResult<()> {
    let mut from = 0;
    while !stop.is_cancelled() {
        let mut call = script::REPAIR.prepare_invoke();
        call.key(index).arg(shard.keys.records_of(index)).arg(from).arg(WINDOW);
        // A second run after a lost answer looks at the same ranks.
        let (seen, removed): (i64, i64) =
            twice(|| async { call.invoke_async(&mut shard.commands()).await }).await?;
        repaired.ids += seen.unsigned_abs();
        repaired.removed += removed.unsigned_abs();
        from += seen - removed;
        if seen < WINDOW {
            break;
        }
        tokio::time::sleep(REST).await;
    }
    Ok(())
}
