//! Events of jobs as server-sent events.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atelier_domain::ids::JobId;
use atelier_domain::job::{Epoch, Job, RemoteOperation};
use atelier_domain::policy::Policy;
use atelier_domain::ports::{Checked, FeedItem};
use atelier_domain::state::{Event, State};
use axum::body::Body;
use serde_json::{Value, json};

use crate::fakes::{Api, request, video};
use crate::feeds::{Block, Listening};

const EVENTS: &str = "/api/v1/media/events";

fn path(id: &str) -> String {
    format!("/api/v1/media/jobs/{id}/events")
}

/// As a worker and the store would: claimed, submitted, accepted.
fn accept(job: &mut Job) {
    job.epoch = Epoch(job.epoch.0 + 1);
    let now = job.changed_at;
    let begun = Policy::default().begin_submit(job.clone(), now).unwrap().job;
    let remote = RemoteOperation { id: "task-1".to_owned(), submitted_at: now, urls: BTreeMap::new() };
    *job = Policy::default().accepted(begun, remote, None, now).unwrap().job;
    job.epoch = Epoch(job.epoch.0 + 1);
}

fn look(job: &mut Job, status: &str, percent: u8) {
    job.epoch = Epoch(job.epoch.0 + 1);
    let found = Checked::Working { status: status.to_owned(), progress_percent: Some(percent) };
    *job = Policy::default().checked(job.clone(), found, job.changed_at, 0.5).unwrap().job;
    job.epoch = Epoch(job.epoch.0 + 1);
}

fn cancel(job: &mut Job) {
    job.apply(Event::Cancelled, job.changed_at).unwrap();
    job.epoch = Epoch(job.epoch.0 + 1);
}

fn job(api: &Api, id: &str) -> Job {
    api.store.jobs().into_iter().find(|job| job.id.as_str() == id).unwrap()
}

fn shown(events: &[(u32, &str)]) -> Vec<(u64, String)> {
    events.iter().map(|(number, state)| (u64::from(*number), (*state).to_owned())).collect()
}

#[tokio::test]
async fn a_jobs_stream_tells_what_was_and_what_comes_and_ends_with_the_job() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    api.store.change(&id, accept);
    let mut stream = Listening::to(&api, &path(&id), None).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["cache-control"], "no-store");
    assert_eq!(stream.next().await, Some(Block("retry: 2000".to_owned())), "once, at the beginning");
    for wanted in shown(&[(0, "queued"), (1, "submitting"), (2, "awaiting")]) {
        let block = stream.event().await;
        assert_eq!(block.field("id"), Some(wanted.0.to_string().as_str()));
        assert_eq!(block.shown(), wanted);
    }

    api.store.change(&id, |job| look(job, "RUNNING", 40));
    api.events.tell(&job(&api, &id), 4, "1-1");
    api.events.tell(&job(&api, &id), 4, "1-1");
    api.store.change(&id, cancel);
    api.events.tell(&job(&api, &id), 5, "1-2");
    let looked = stream.event().await;
    let data = looked.data();
    assert_eq!((&data["status"], &data["progress"]), (&json!("awaiting"), &json!(0.4)));
    assert_eq!((&data["provider_status"], &data["job_id"]), (&json!("RUNNING"), &json!(id)));
    assert_eq!(data["cost"], json!({"estimated_usd": 0.25, "actual_usd": null, "source": "table"}));
    assert_eq!(stream.rest().await, shown(&[(5, "cancelled")]), "each event once, and then the end");
    assert_eq!(api.events.listeners(&id), 0);
}

#[tokio::test]
async fn who_comes_back_is_told_what_he_has_missed_and_no_more() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    api.store.change(&id, accept);
    api.store.change(&id, |job| look(job, "RUNNING", 40));
    api.store.change(&id, cancel);
    let all = shown(&[(0, "queued"), (1, "submitting"), (2, "awaiting"), (4, "awaiting"), (5, "cancelled")]);
    assert_eq!(
        Listening::to(&api, &path(&id), None).await.rest().await,
        all,
        "an ended job replays and ends"
    );
    assert_eq!(Listening::to(&api, &path(&id), Some("2")).await.rest().await, all[3..]);
    assert_eq!(
        Listening::to(&api, &format!("{}?last_event_id=4", path(&id)), None).await.rest().await,
        all[4..]
    );
    assert_eq!(
        Listening::to(&api, &format!("{}?last_event_id=0", path(&id)), Some("4")).await.rest().await,
        all[4..]
    );
    let done = Listening::to(&api, &path(&id), Some("5")).await;
    assert_eq!((done.status, done.headers.get("content-type")), (204, None), "it need not come again");
    assert_eq!(api.events.listeners(&id), 0, "nothing is to come");
}

#[tokio::test]
async fn what_happens_between_listening_and_reading_is_told_once() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    let mut stream = Listening::to(&api, &path(&id), None).await;
    assert_eq!(stream.event().await.shown(), (0, "queued".to_owned()));
    // The feed repeats what the record has told, and brings what it has not.
    api.events.tell(&job(&api, &id), 0, "1-0");
    api.store.change(&id, accept);
    api.events.tell(&job(&api, &id), 2, "1-1");
    assert_eq!(stream.event().await.shown(), (2, "awaiting".to_owned()));
}

#[tokio::test]
async fn the_workspace_is_told_of_all_its_jobs_with_positions_to_come_back_with() {
    let api = Api::default();
    let ids = [api.admitted(&video()).await, api.admitted(&video()).await];
    let mut stream = Listening::to(&api, EVENTS, None).await;
    assert_eq!(stream.next().await, Some(Block("retry: 2000".to_owned())));
    api.events.tell_workspace("acme", FeedItem::Quiet("5-0_7-0".parse().unwrap()));
    assert_eq!(stream.next().await, Some(Block("id: 5-0_7-0".to_owned())), "an id, and no event");
    for (place, id) in ids.iter().enumerate() {
        api.events.tell(&job(&api, id), 0, &format!("6-{place}_7-0"));
        let block = stream.event().await;
        assert_eq!(block.field("id"), Some(format!("6-{place}_7-0").as_str()));
        assert_eq!(block.data()["job_id"], id.as_str());
    }
    api.events.tell_workspace("acme", FeedItem::Gap);
    assert_eq!(stream.event().await.field("event"), Some("gap"));
    assert_eq!(*api.events.asked.lock().unwrap(), [None]);

    Listening::to(&api, EVENTS, Some("6-1_7-0")).await;
    assert_eq!(api.events.asked.lock().unwrap()[1], Some("6-1_7-0".parse().unwrap()));
    api.events.cut();
    assert_eq!(stream.rest().await, [], "who is cut off comes back");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_shows_that_it_lives() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    for path in [path(&id), EVENTS.to_owned()] {
        let mut stream = Listening::to(&api, &path, None).await;
        let began = tokio::time::Instant::now();
        let mut comments = 0;
        while comments < 3 {
            if stream.next().await == Some(Block(":".to_owned())) {
                comments += 1;
                assert_eq!(began.elapsed(), Duration::from_secs(15 * comments));
            }
        }
    }
}

#[tokio::test]
async fn a_process_that_ends_lets_its_listeners_go() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    let mut streams = [Listening::to(&api, &path(&id), None).await, Listening::to(&api, EVENTS, None).await];
    api.draining.cancel();
    let [of_job, of_workspace] = &mut streams;
    assert_eq!(of_job.rest().await, shown(&[(0, "queued")]), "what is ready is still told");
    assert_eq!(of_workspace.rest().await, []);
}

#[tokio::test]
async fn a_listener_that_leaves_is_forgotten() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    let stream = Listening::to(&api, &path(&id), None).await;
    assert_eq!(api.events.listeners(&id), 1);
    drop(stream);
    assert_eq!(api.events.listeners(&id), 0);
}

#[tokio::test]
async fn what_is_no_stream_is_refused_in_json() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    api.get(&path(JobId::new().as_str())).await.refused(404, "not_found");
    let foreign = api.admitted(&video()).await;
    api.store.change(&foreign, |job| job.body.workspace_id = "beta".parse().unwrap());
    api.get(&path(&foreign)).await.refused(404, "not_found");
    assert_eq!(api.events.listeners(&foreign), 0);
    for (path, field) in [
        (format!("{}?last_event_id=x", path(&id)), "last_event_id"),
        (format!("{}?last=1", path(&id)), "last"),
        (format!("{EVENTS}?last_event_id=17"), "last_event_id"),
    ] {
        let answer = api.get(&path).await;
        answer.refused(400, "bad_request");
        assert_eq!(answer.fields(), [field]);
    }
    let headers = [("x-api-key", "acme-key"), ("last-event-id", "newest")];
    let answer = api.send(request("GET", EVENTS, &headers, Body::empty())).await;
    answer.refused(400, "bad_request");
    assert_eq!(answer.fields(), ["Last-Event-ID"]);
    api.send(request("GET", EVENTS, &[], Body::empty())).await.refused(401, "unauthorized");
    api.post(EVENTS, &json!({})).await.refused(404, "not_found");
    api.events.is_down.store(true, Ordering::SeqCst);
    let message = api.get(EVENTS).await.refused(503, "unavailable");
    assert!(!message.contains("redis.secret"), "{message}");
    api.get(&path(&id)).await.refused(503, "unavailable");
}

#[tokio::test]
async fn a_failed_job_says_why() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    api.store.change(&id, |job| {
        let error = atelier_domain::error::JobError::new(atelier_domain::error::ErrorCode::Timeout, "late");
        *job = Policy::default().hopeless(job.clone(), error, job.changed_at).unwrap().job;
        job.epoch = Epoch(1);
    });
    assert_eq!(job(&api, &id).state, State::Failed);
    let mut stream = Listening::to(&api, &path(&id), Some("0")).await;
    let data: Value = stream.event().await.data();
    assert_eq!(data["error"], json!({"code": "timeout", "message": "late", "retryable": true}));
    assert_eq!(stream.next().await, None);
}
