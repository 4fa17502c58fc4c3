//! Housekeeping in the asset store: objects that are too old, and uploads that were left open. The store knows which
//! those are; here is how much is done at once, and where the last run stopped.

use std::sync::atomic::{AtomicBool, Ordering};

use apalis_core::error::BoxDynError;
use atelier_domain::ports::{Aborted, AssetUpkeep, TimeSource as _, UploadMark};
use redis::AsyncCommands;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::asset_book::RedisAssetBook;
use crate::connect::{Redis, twice};
use crate::keys::SWEPT_UNTIL;

/// Pieces of a walk in one run; a piece is one list of the store, of up to a thousand.
const PIECES: usize = 100;
/// Objects removed in one run, about: the store serves jobs, too.
const REMOVALS: u64 = 10_000;

/// What a run did.
#[derive(Debug, Default)]
pub(super) struct Tidied {
    pub(super) count: u64,
    /// `stop` came first; the rest is undone.
    pub(super) is_cut_short: bool,
}

/// Removes objects that are too old. Where it stops, the next run goes on; after the last object the walk begins anew. A
/// place that is lost, or written by another run at the same time, costs only the way there.
pub(super) async fn remove_expired(
    redis: &Redis,
    store: &dyn AssetUpkeep,
    stop: &CancellationToken,
) -> Result<Tidied, BoxDynError> {
    let mut tidied = Tidied::default();
    let place: Option<String> = twice(|| async { redis.control().get(SWEPT_UNTIL).await }).await?;
    let mut place = place.unwrap_or_default();
    let records = RedisAssetBook::new(redis.clone());
    for _ in 0..PIECES {
        if stop.is_cancelled() {
            tidied.is_cut_short = true;
            break;
        }
        let swept = store.remove_expired(&place, redis.time.now(), &records).await?;
        tidied.count += swept.removed;
        let is_at_end = swept.next.is_none();
        place = swept.next.unwrap_or_default();
        let () = twice(|| async { redis.control().set(SWEPT_UNTIL, &place).await }).await?;
        if is_at_end || tidied.count >= REMOVALS {
            break;
        }
    }
    Ok(tidied)
}

/// Aborts uploads that were left open. Says once in the life of a process that the store cannot list them.
pub(super) async fn abort_uploads(
    redis: &Redis,
    store: &dyn AssetUpkeep,
    stop: &CancellationToken,
) -> Result<Tidied, BoxDynError> {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    let mut tidied = Tidied::default();
    let mut place: Option<UploadMark> = None;
    for _ in 0..PIECES {
        if stop.is_cancelled() {
            tidied.is_cut_short = true;
            break;
        }
        match store.abort_stale_uploads(place.as_ref(), redis.time.now()).await? {
            Aborted::Unsupported => {
                if !IS_SAID.swap(true, Ordering::Relaxed) {
                    info!("the asset store cannot list open uploads: give the bucket a lifecycle rule");
                }
                break;
            }
            Aborted::Some { aborted, next } => {
                tidied.count += aborted;
                place = next;
            }
        }
        if place.is_none() {
            break;
        }
    }
    Ok(tidied)
}
