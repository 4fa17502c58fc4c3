//! Events in memory, and a reader of server-sent events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use atelier_domain::events::{EventFacts, EventPosition, JobEvent};
use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::ports::{EventFeed, FeedItem, JobEvents, StoreUnavailable, ToldEvent};
use axum::body::Body;
use futures::StreamExt as _;
use futures::stream;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use crate::fakes::{Api, request};

type Sender = mpsc::UnboundedSender<FeedItem>;

/// Hands out what a test tells.
#[derive(Default)]
pub struct MemoryEvents {
    to_jobs: Mutex<HashMap<JobId, Vec<Sender>>>,
    to_workspaces: Mutex<HashMap<WorkspaceId, Vec<Sender>>>,
    /// Behind which positions workspaces were listened to.
    pub asked: Mutex<Vec<Option<EventPosition>>>,
    pub is_down: std::sync::atomic::AtomicBool,
}

fn feed() -> (Sender, EventFeed) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let items = stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<FeedItem>| async move {
        let item = receiver.recv().await?;
        Some((item, receiver))
    });
    (sender, items.boxed())
}

impl MemoryEvents {
    /// How many listen to the job.
    pub fn listeners(&self, id: &str) -> usize {
        let mut to_jobs = self.to_jobs.lock().unwrap();
        let listeners = to_jobs.entry(id.parse().unwrap()).or_default();
        listeners.retain(|sender| !sender.is_closed());
        listeners.len()
    }

    /// Tells the job as it is, by this number and position.
    pub fn tell(&self, job: &Job, number: u32, position: &str) {
        let event = JobEvent {
            job_id: job.id.clone(),
            number: atelier_domain::job::Epoch(number),
            at: job.changed_at,
            state: job.state,
            progress_percent: job.progress_percent,
            facts: Some(EventFacts::of(job)),
        };
        let told = Arc::new(ToldEvent { event, position: position.parse().unwrap() });
        if let Some(listeners) = self.to_jobs.lock().unwrap().get(&job.id) {
            listeners.iter().for_each(|sender| drop(sender.send(FeedItem::Event(told.clone()))));
        }
        self.tell_workspace(job.body.workspace_id.as_str(), FeedItem::Event(told));
    }

    pub fn tell_workspace(&self, workspace: &str, item: FeedItem) {
        if let Some(listeners) = self.to_workspaces.lock().unwrap().get(&workspace.parse().unwrap()) {
            listeners.iter().for_each(|sender| drop(sender.send(item.clone())));
        }
    }

    /// Cuts all listeners off.
    pub fn cut(&self) {
        self.to_jobs.lock().unwrap().clear();
        self.to_workspaces.lock().unwrap().clear();
    }

    fn answer(&self) -> Result<(), StoreUnavailable> {
        match self.is_down.load(std::sync::atomic::Ordering::SeqCst) {
            true => Err(StoreUnavailable { source: "connection refused by redis.secret:6379".into() }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl JobEvents for MemoryEvents {
    async fn of_job(&self, _: &WorkspaceId, id: &JobId) -> Result<EventFeed, StoreUnavailable> {
        self.answer()?;
        let (sender, feed) = feed();
        self.to_jobs.lock().unwrap().entry(id.clone()).or_default().push(sender);
        Ok(feed)
    }

    async fn of_workspace(
        &self,
        workspace: &WorkspaceId,
        behind: Option<EventPosition>,
    ) -> Result<EventFeed, StoreUnavailable> {
        self.answer()?;
        self.asked.lock().unwrap().push(behind);
        let (sender, feed) = feed();
        self.to_workspaces.lock().unwrap().entry(workspace.clone()).or_default().push(sender);
        Ok(feed)
    }
}

/// A stream as a client reads it.
pub struct Listening {
    pub status: u16,
    pub headers: HeaderMap,
    body: Body,
    text: String,
}

/// What stands between two empty lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Block(pub String);

impl Block {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn data(&self) -> Value {
        serde_json::from_str(self.field("data").unwrap_or_else(|| panic!("no data: {self:?}"))).unwrap()
    }

    /// Number and state of an event.
    pub fn shown(&self) -> (u64, String) {
        assert_eq!(self.field("event"), Some("job"), "{self:?}");
        let data = self.data();
        (data["number"].as_u64().unwrap(), data["status"].as_str().unwrap().to_owned())
    }
}

impl Listening {
    pub async fn to(api: &Api, path: &str, last: Option<&str>) -> Self {
        let mut headers = vec![("x-api-key", "acme-key"), ("accept", "text/event-stream")];
        headers.extend(last.map(|last| ("last-event-id", last)));
        let response =
            api.router.clone().oneshot(request("GET", path, &headers, Body::empty())).await.unwrap();
        let (parts, body) = response.into_parts();
        Self { status: parts.status.as_u16(), headers: parts.headers, body, text: String::new() }
    }

    /// The next block; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (Block(block.to_owned()), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let Some(frame) = self.body.frame().await else {
                assert_eq!(self.text, "", "the stream ends within a block");
                return None;
            };
            self.text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> Block {
        loop {
            let block = self.next().await.unwrap();
            if block.field("event").is_some() {
                return block;
            }
        }
    }

    /// All events until the stream ends.
    pub async fn rest(&mut self) -> Vec<(u64, String)> {
        let mut events = Vec::new();
        while let Some(block) = self.next().await {
            if block.field("event").is_some() {
                events.push(block.shown());
            }
        }
        events
    }
}
