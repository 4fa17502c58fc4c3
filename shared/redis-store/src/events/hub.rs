//! Who listens to what in this process, and how far each workspace's events have been read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atelier_domain::events::{EntryId, EventPosition, JobEvent};
use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::ports::{FeedItem, ToldEvent};
use futures::future::try_join_all;
use redis::RedisResult;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{KEPT_FOR, entry};
use crate::connect::{Redis, Shard, twice};
use crate::script;

/// How often the marks of workspaces are renewed.
const RENEW_EVERY: Duration = Duration::from_secs(300);

/// The listeners of a process.
pub(super) struct Hub {
    redis: Redis,
    state: Mutex<State>,
    /// Changes when a workspace is listened to that was not before.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    next_listener: u64,
    workspaces: HashMap<WorkspaceId, Workspace>,
}

/// A workspace that somebody listens to.
struct Workspace {
    /// The last entry that was read, by number of the shard.
    read: Vec<EntryId>,
    to_all: Vec<Listener>,
    to_jobs: HashMap<JobId, Vec<Listener>>,
}

struct Listener {
    number: u64,
    sender: mpsc::Sender<FeedItem>,
}

/// What a listener gets. Dropping it ends the listening.
pub(super) struct Subscription {
    pub(super) receiver: mpsc::Receiver<FeedItem>,
    /// How far the workspace's events were read when it began: what is behind will be received.
    pub(super) position: EventPosition,
    hub: Arc<Hub>,
    workspace: WorkspaceId,
    job: Option<JobId>,
    number: u64,
}

/// One stream to read.
pub(super) struct Wanted {
    pub(super) workspace: WorkspaceId,
    pub(super) shard: Shard,
    pub(super) read: EntryId,
}

impl Wanted {
    pub(super) fn key(&self) -> String {
        self.shard.keys.events_of(&self.workspace)
    }
}

/// How far a shard's events of a workspace go.
struct Marked {
    last: EntryId,
    now_ms: u64,
}

impl Hub {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis, state: Mutex::default(), changed: watch::channel(0).0 }
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.redis
    }

    /// Tells when other streams are to be read than before.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Listens to a job, or to all of a workspace. Events that are written after it has returned are received.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        workspace: &WorkspaceId,
        job: Option<&JobId>,
        buffer: usize,
    ) -> RedisResult<Subscription> {
        loop {
            let is_read = self.lock().workspaces.contains_key(workspace);
            let marked = if is_read { None } else { Some(self.mark(workspace, self.redis.shards()).await?) };
            if let Some(subscription) = self.enter(workspace, job, buffer, marked) {
                return Ok(subscription);
            }
            // The last listener has left in between: nobody reads on from there.
        }
    }

    fn enter(
        self: &Arc<Self>,
        workspace: &WorkspaceId,
        job: Option<&JobId>,
        buffer: usize,
        marked: Option<Vec<Marked>>,
    ) -> Option<Subscription> {
        let (sender, receiver) = mpsc::channel(buffer);
        let mut state = self.lock();
        let is_new = !state.workspaces.contains_key(workspace);
        if is_new {
            let read = marked?.into_iter().map(|marked| marked.last).collect();
            let fresh = Workspace { read, to_all: Vec::new(), to_jobs: HashMap::new() };
            state.workspaces.insert(workspace.clone(), fresh);
        }
        state.next_listener += 1;
        let number = state.next_listener;
        let listened = state.workspaces.get_mut(workspace)?;
        let listener = Listener { number, sender };
        match job {
            Some(job) => listened.to_jobs.entry(job.clone()).or_default().push(listener),
            None => listened.to_all.push(listener),
        }
        let position = EventPosition(listened.read.clone());
        drop(state);
        if is_new {
            self.changed.send_modify(|number| *number += 1);
        }
        let (hub, workspace, job) = (self.clone(), workspace.clone(), job.cloned());
        Some(Subscription { receiver, position, hub, workspace, job, number })
    }

    /// The streams of these shards that somebody listens to.
    pub(super) fn wanted(&self, shards: &[Shard]) -> Vec<Wanted> {
        let state = self.lock();
        let of_workspace = |(workspace, listened): (&WorkspaceId, &Workspace)| {
            let wanted = |shard: &Shard| {
                let read = listened.read.get(usize::from(shard.keys.number())).copied().unwrap_or_default();
                Wanted { workspace: workspace.clone(), shard: shard.clone(), read }
            };
            shards.iter().map(wanted).collect::<Vec<_>>()
        };
        state.workspaces.iter().flat_map(of_workspace).collect()
    }

    /// Hands entries of a stream to its listeners. What has been handed out before is passed over; who is too slow is
    /// cut off.
    pub(super) fn tell(&self, from: &Wanted, entries: Vec<(EntryId, Option<JobEvent>)>) {
        let mut state = self.lock();
        let Some(listened) = state.workspaces.get_mut(&from.workspace) else { return };
        for (id, event) in entries {
            let Some(read) = listened.read.get_mut(usize::from(from.shard.keys.number())) else { return };
            if id <= *read {
                continue;
            }
            *read = id;
            let Some(event) = event else { continue };
            if listened.to_all.is_empty() && !listened.to_jobs.contains_key(&event.job_id) {
                continue;
            }
            let told = Arc::new(ToldEvent { event, position: EventPosition(listened.read.clone()) });
            let takes =
                |listener: &mut Listener| listener.sender.try_send(FeedItem::Event(told.clone())).is_ok();
            listened.to_all.retain_mut(takes);
            if let Some(listeners) = listened.to_jobs.get_mut(&told.event.job_id) {
                listeners.retain_mut(takes);
            }
        }
    }

    /// Says that entries of a stream may have been lost. Those who listen to a job are let go: its record tells them.
    pub(super) fn tell_gap(&self, workspace: &WorkspaceId) {
        if let Some(listened) = self.lock().workspaces.get_mut(workspace) {
            listened.to_jobs.clear();
            listened.to_all.retain(|listener| listener.sender.try_send(FeedItem::Gap).is_ok());
        }
    }

    /// Renews the marks until `stop`.
    pub(super) async fn keep_marks(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
            if let Err(error) = self.renew_marks(self.redis.shards()).await {
                warn!(error = %error, "marks of listened workspaces wait for redis");
            }
        }
    }

    /// Renews the marks of all workspaces in these shards, and tells those who listen how far nothing has happened: what they come back
    /// with must not be older than what is kept.
    pub(super) async fn renew_marks(&self, shards: &[Shard]) -> RedisResult<()> {
        let workspaces: Vec<WorkspaceId> = self.lock().workspaces.keys().cloned().collect();
        for workspace in workspaces {
            let marked = self.mark(&workspace, shards).await?;
            let mut state = self.lock();
            let Some(listened) = state.workspaces.get_mut(&workspace) else { continue };
            for (shard, marked) in shards.iter().zip(marked) {
                let Some(read) = listened.read.get_mut(usize::from(shard.keys.number())) else { continue };
                if marked.last <= *read {
                    *read = (*read).max(entry::before(marked.now_ms));
                }
            }
            let quiet = FeedItem::Quiet(EventPosition(listened.read.clone()));
            listened.to_all.retain(|listener| listener.sender.try_send(quiet.clone()).is_ok());
        }
        Ok(())
    }

    /// Has the events of a workspace kept in these shards; gives how far they go in each.
    async fn mark(&self, workspace: &WorkspaceId, shards: &[Shard]) -> RedisResult<Vec<Marked>> {
        let marking = shards.iter().map(|shard| async move {
            let mut call = script::LISTEN.prepare_invoke();
            call.key(shard.keys.heard())
                .key(shard.keys.events_of(workspace))
                .arg(workspace.as_str())
                .arg(KEPT_FOR.as_millis().to_string());
            let (last, now_ms): (String, u64) =
                twice(|| async { call.invoke_async(&mut shard.commands()).await }).await?;
            // An empty stream begins after this moment.
            let last = last.parse().unwrap_or_else(|_| entry::before(now_ms));
            RedisResult::Ok(Marked { last, now_ms })
        });
        try_join_all(marking).await
    }

    /// Lets all listeners go.
    pub(super) fn end(&self) {
        self.lock().workspaces.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        let Some(listened) = state.workspaces.get_mut(&self.workspace) else { return };
        let others = |listener: &Listener| listener.number != self.number;
        match &self.job {
            None => listened.to_all.retain(others),
            Some(job) => {
                if let Some(listeners) = listened.to_jobs.get_mut(job) {
                    listeners.retain(others);
                    if listeners.is_empty() {
                        listened.to_jobs.remove(job);
                    }
                }
            }
        }
        if listened.to_all.is_empty() && listened.to_jobs.is_empty() {
            state.workspaces.remove(&self.workspace);
        }
    }
}
