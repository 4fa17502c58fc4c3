//! Events of jobs, for those who watch them.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::Stream;

use super::StoreUnavailable;
use crate::events::{EventPosition, JobEvent};
use crate::ids::{JobId, WorkspaceId};

/// What a feed brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// An event.
    Event(Arc<ToldEvent>),
    /// Some events are not kept any more; what follows are those that are.
    Gap,
    /// Nothing has happened up to here.
    Quiet(EventPosition),
}

/// An event, and how far the workspace's events are told with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldEvent {
    /// The event.
    pub event: JobEvent,
    /// Up to here, it included.
    pub position: EventPosition,
}

/// Events as they come. It ends when its reader is too slow, or the store gives up; whoever wants more opens another.
pub type EventFeed = Pin<Box<dyn Stream<Item = FeedItem> + Send>>;

/// Tells what happens to jobs. The first who listens to a workspace makes its events be kept for a while, so that
/// nothing is spent on what nobody hears.
#[async_trait]
pub trait JobEvents: Send + Sync {
    /// The events of one job from now on. What came before stands in its record: read it after this has returned, and
    /// nothing is missed.
    async fn of_job(&self, workspace: &WorkspaceId, id: &JobId) -> Result<EventFeed, StoreUnavailable>;
    /// The events of all jobs of a workspace, behind a position or from now on. One that is older than what is kept
    /// begins with a gap.
    async fn of_workspace(
        &self,
        workspace: &WorkspaceId,
        behind: Option<EventPosition>,
    ) -> Result<EventFeed, StoreUnavailable>;
}
