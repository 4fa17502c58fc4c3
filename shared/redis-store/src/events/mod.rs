//! Events of jobs for those who watch them.
//!
//! The scripts that admit and settle enter events into a stream of the shard and workspace, as long as somebody has
//! marked the workspace as listened to. A process reads all streams that it needs with one blocking connection a server
//! ([`reader`]) and hands what it reads to its own listeners ([`hub`]); who comes back reads what he has missed first
//! ([`backlog`]).

mod backlog;
pub(crate) mod entry;
mod hub;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::events::EventPosition;
use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::ports::{EventFeed, FeedItem, JobEvents, StoreUnavailable};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::connect::Redis;
use backlog::Backlog;
use hub::{Hub, Subscription};

/// About how many events of a workspace a shard keeps, as `common.lua` says.
const KEPT: usize = 10_000;
/// How long they are kept, and how long a mark holds.
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Events that wait for a listener to a workspace; one with more is cut off, and comes back behind its last event.
const WORKSPACE_BUFFER: usize = 256;
/// The same for a listener to a job.
const JOB_BUFFER: usize = 32;

/// [`JobEvents`] on Redis.
#[derive(Clone)]
pub struct RedisJobEvents {
    hub: Arc<Hub>,
}

impl RedisJobEvents {
    /// Reads for its listeners until `stop`. The returned task ends then, and so do all feeds.
    pub fn start(redis: Redis, stop: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let hub = Arc::new(Hub::new(redis.clone()));
        let task = tokio::spawn({
            let hub = hub.clone();
            async move {
                let reading =
                    (0..redis.groups().len()).map(|group| reader::run(hub.clone(), group, stop.clone()));
                tokio::join!(join_all(reading), hub.keep_marks(&stop));
                hub.end();
            }
        });
        (Self { hub }, task)
    }
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreUnavailable {
    StoreUnavailable { source: Box::new(source) }
}

/// What comes to a listener from now on.
fn live(subscription: Subscription) -> EventFeed {
    stream::unfold(subscription, |mut subscription| async move {
        let item = subscription.receiver.recv().await?;
        Some((item, subscription))
    })
    .boxed()
}

/// What a listener has missed, and then what comes.
fn resumed(backlog: Backlog, subscription: Subscription) -> EventFeed {
    stream::unfold((Some(backlog), subscription), |(backlog, mut subscription)| async move {
        if let Some(mut backlog) = backlog {
            match backlog.next().await {
                Ok(Some(item)) => return Some((item, (Some(backlog), subscription))),
                Ok(None) => {}
                Err(error) => {
                    // What comes must not hide what was missed: who listens comes back.
                    warn!(error = %error, "missed events could not be read");
                    return None;
                }
            }
        }
        let item = subscription.receiver.recv().await?;
        Some((item, (None, subscription)))
    })
    .boxed()
}

#[async_trait]
impl JobEvents for RedisJobEvents {
    async fn of_job(&self, workspace: &WorkspaceId, id: &JobId) -> Result<EventFeed, StoreUnavailable> {
        let subscription = self.hub.subscribe(workspace, Some(id), JOB_BUFFER).await.map_err(unavailable)?;
        Ok(live(subscription))
    }

    async fn of_workspace(
        &self,
        workspace: &WorkspaceId,
        behind: Option<EventPosition>,
    ) -> Result<EventFeed, StoreUnavailable> {
        let subscription =
            self.hub.subscribe(workspace, None, WORKSPACE_BUFFER).await.map_err(unavailable)?;
        let until = subscription.position.clone();
        let Some(behind) = behind else {
            let beginning = stream::iter([FeedItem::Quiet(until)]);
            return Ok(beginning.chain(live(subscription)).boxed());
        };
        let backlog = Backlog::open(self.hub.redis().clone(), workspace.clone(), behind, until);
        let backlog = backlog.await.map_err(unavailable)?;
        Ok(resumed(backlog, subscription))
    }
}
