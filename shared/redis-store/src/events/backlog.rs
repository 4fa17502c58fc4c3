//! What a listener who comes back has missed.

use std::collections::VecDeque;
use std::sync::Arc;

use atelier_domain::events::{EntryId, EventPosition, JobEvent};
use atelier_domain::ids::WorkspaceId;
use atelier_domain::ports::{FeedItem, TimeSource as _, ToldEvent};
use redis::RedisResult;
use redis::streams::StreamRangeReply;

use super::reader::read_entry;
use super::{KEPT, KEPT_FOR};
use crate::connect::{Redis, Shard, twice};

/// Entries read in one command.
const COUNT: usize = 200;

/// The entries between two positions, shard by shard.
pub(super) struct Backlog {
    redis: Redis,
    workspace: WorkspaceId,
    /// How far it has come, and how far it goes, by number of the shard.
    at: Vec<EntryId>,
    until: Vec<EntryId>,
    shard: usize,
    ready: VecDeque<FeedItem>,
}

impl Backlog {
    /// Begins behind `behind`. It begins with a gap when that is older than what is kept, or of another layout.
    pub(super) async fn open(
        redis: Redis,
        workspace: WorkspaceId,
        behind: EventPosition,
        until: EventPosition,
    ) -> RedisResult<Self> {
        let (until, mut at) = (until.0, behind.0);
        let mut has_gap = at.len() != until.len();
        if has_gap {
            at = vec![EntryId::default(); until.len()];
        }
        for (shard, at) in redis.shards().iter().zip(&at) {
            has_gap = has_gap || is_gap(shard, &shard.keys.events_of(&workspace), *at).await?;
        }
        let ready = has_gap.then_some(FeedItem::Gap).into_iter().collect();
        Ok(Self { redis, workspace, at, until, shard: 0, ready })
    }

    /// The next item; `None` at the end of what was missed.
    pub(super) async fn next(&mut self) -> RedisResult<Option<FeedItem>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            let (Some(shard), Some(at), Some(until)) =
                (self.redis.shards().get(self.shard), self.at.get(self.shard), self.until.get(self.shard))
            else {
                return Ok(None);
            };
            let found =
                if at < until { range(shard, &self.workspace, *at, *until).await? } else { Vec::new() };
            let is_last = found.len() < COUNT;
            for (id, event) in found {
                if let Some(at) = self.at.get_mut(self.shard) {
                    *at = id;
                }
                if let Some(event) = event {
                    let position = EventPosition(self.at.clone());
                    self.ready.push_back(FeedItem::Event(Arc::new(ToldEvent { event, position })));
                }
            }
            if is_last {
                self.shard += 1;
            }
        }
    }
}

type Found = Vec<(EntryId, Option<JobEvent>)>;

async fn range(shard: &Shard, of: &WorkspaceId, behind: EntryId, until: EntryId) -> RedisResult<Found> {
    let mut call = redis::cmd("XRANGE");
    call.arg(shard.keys.events_of(of)).arg(format!("({behind}")).arg(until.to_string());
    call.arg("COUNT").arg(COUNT);
    let reply: StreamRangeReply = twice(|| async { call.query_async(&mut shard.commands()).await }).await?;
    Ok(reply.ids.iter().filter_map(read_entry).collect())
}

/// Whether entries behind a place may be gone: they are old, or so many came that the oldest were dropped.
pub(super) async fn is_gap(shard: &Shard, key: &str, behind: EntryId) -> RedisResult<bool> {
    let now_ms = u64::try_from(shard.time.now().as_millisecond()).unwrap_or(0);
    let kept_ms = u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX);
    if behind.ms.saturating_add(kept_ms) < now_ms {
        return Ok(true);
    }
    let mut look = redis::pipe();
    look.cmd("XLEN").arg(key).cmd("XRANGE").arg(key).arg("-").arg("+").arg("COUNT").arg(1);
    let (length, first): (usize, StreamRangeReply) =
        twice(|| async { look.query_async(&mut shard.commands()).await }).await?;
    let oldest = first.ids.first().and_then(|entry| entry.id.parse::<EntryId>().ok());
    Ok(length >= KEPT && oldest.is_some_and(|oldest| oldest > behind))
}
