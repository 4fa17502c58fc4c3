//! Events of jobs as server-sent events: of one job, and of all jobs of a workspace.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use atelier_domain::events::{EventPosition, JobEvent, told_by};
use atelier_domain::ids::JobId;
use atelier_domain::job::Epoch;
use atelier_domain::ports::{EventFeed, FeedItem};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, StatusCode};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;
use crate::extract::{Caller, LastEvent, PathId};
use crate::state::ApiState;
use crate::wire::event::{alive_frame, gap_frame, job_frame, quiet_frame, retry_frame};

/// How long a client should wait before it comes back, in milliseconds.
const RETRY_MS: u32 = 2_000;
/// Between two signs of life: below the usual limits of proxies for a connection without traffic.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// `GET /api/v1/media/jobs/{id}/events`: what happened to the job and what happens, until it has ended. 204 for a client
/// that comes back with the last event of a job that has ended: it need not come again.
pub(super) async fn of_job(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(id): PathId<JobId>,
    LastEvent(seen): LastEvent<JobNumber>,
) -> Result<Response, ApiError> {
    let seen = seen.map(|JobNumber(epoch)| epoch);
    // Nobody makes events be kept by naming jobs that are none of the workspace.
    let job = state.jobs.job(&workspace, &id).await?.ok_or_else(ApiError::no_job)?;
    let (job, feed) = match job.state.is_terminal() {
        true => (job, None),
        false => {
            // Before the job is read: what comes in between is in the feed.
            let feed = state.events.of_job(&workspace, &id).await?;
            (state.jobs.job(&workspace, &id).await?.ok_or_else(ApiError::no_job)?, Some(feed))
        }
    };
    let told = told_by(&job, seen);
    if job.state.is_terminal() && told.is_empty() && seen.is_some() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut telling = Telling::new(feed.filter(|_| !job.state.is_terminal()), &state);
    telling.about = About::Job(seen);
    told.iter().for_each(|event| telling.tell_job(event));
    Ok(telling.into_response())
}

/// `GET /api/v1/media/events`: what happens to the jobs of the workspace, from now on or behind the last event that the
/// client has seen. It does not end by itself.
pub(super) async fn of_workspace(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    LastEvent(behind): LastEvent<EventPosition>,
) -> Result<Response, ApiError> {
    let feed = state.events.of_workspace(&workspace, behind).await?;
    Ok(Telling::new(Some(feed), &state).into_response())
}

/// The id of an event of one job.
pub(crate) struct JobNumber(Epoch);

impl std::str::FromStr for JobNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(|number| Self(Epoch(number))).map_err(|_| "is no id of an event of a job".to_owned())
    }
}

/// What a stream is about.
enum About {
    /// One job, of which events up to a number are told.
    Job(Option<Epoch>),
    Workspace,
}

/// A stream of frames. It holds what is ready to be sent and no more: what waits stands in the feed, which has a bound.
struct Telling {
    ready: VecDeque<Bytes>,
    /// Absent when there is nothing to wait for.
    feed: Option<EventFeed>,
    about: About,
    alive: Interval,
    draining: CancellationToken,
}

impl Telling {
    fn new(feed: Option<EventFeed>, state: &ApiState) -> Self {
        let mut alive = tokio::time::interval_at(tokio::time::Instant::now() + ALIVE_EVERY, ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ready = VecDeque::from([retry_frame(RETRY_MS)]);
        Self { ready, feed, about: About::Workspace, alive, draining: state.draining.clone() }
    }

    /// Takes an event of the job in, unless it was told before. A job's last event is the stream's.
    fn tell_job(&mut self, event: &JobEvent) {
        let About::Job(seen) = &mut self.about else { return };
        if seen.is_some_and(|seen| event.number <= seen) {
            return;
        }
        *seen = Some(event.number);
        self.ready.push_back(job_frame(event, &event.number.0.to_string()));
        if event.state.is_terminal() {
            self.feed = None;
        }
    }

    fn take(&mut self, item: FeedItem) {
        match item {
            FeedItem::Event(told) => match self.about {
                About::Job(_) => self.tell_job(&told.event),
                About::Workspace => {
                    self.ready.push_back(job_frame(&told.event, &told.position.to_string()));
                }
            },
            FeedItem::Gap => self.ready.push_back(gap_frame()),
            FeedItem::Quiet(position) => match self.about {
                About::Job(_) => {}
                About::Workspace => self.ready.push_back(quiet_frame(&position.to_string())),
            },
        }
    }

    /// The next frame; `None` at the end of the stream. A process that ends lets its listeners go: the next one knows
    /// what they have missed.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            let feed = self.feed.as_mut()?;
            tokio::select! {
                () = self.draining.cancelled() => return None,
                item = feed.next() => self.take(item?),
                _ = self.alive.tick() => return Some(alive_frame()),
            }
        }
    }

    fn into_response(self) -> Response {
        let frames = futures::stream::unfold(self, |mut telling| async move {
            telling.next().await.map(|frame| (Ok::<_, Infallible>(frame), telling))
        });
        let headers = [
            (CONTENT_TYPE, "text/event-stream"),
            (CACHE_CONTROL, "no-store"),
            // Known proxies would hold events back until they have enough of them.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, Body::from_stream(frames)).into_response()
    }
}
