//! What providers tell us unasked.

use atelier_domain::ids::JobId;
use atelier_domain::job::RemoteOperation;
use atelier_domain::operation::Provider;
use atelier_domain::state::State;
use axum::body::Body;
use serde_json::{Value, json};

use crate::fakes::{Answer, Api, callback_settings, request, video};

/// A job that waits for `remote-1`.
async fn awaiting(api: &Api) -> JobId {
    let id = api.admitted(&video()).await;
    api.store.change(&id, |job| {
        job.state = State::Awaiting;
        let submitted_at = job.body.created_at;
        job.body.remote =
            Some(RemoteOperation { id: "remote-1".to_owned(), submitted_at, urls: Default::default() });
    });
    id.parse().unwrap()
}

fn address(provider: Provider, job: &JobId) -> String {
    let url = callback_settings().addresses().unwrap().url(provider, job);
    url.strip_prefix("https://media.example.com").unwrap().to_owned()
}

async fn call(api: &Api, path: &str, body: &Value) -> Answer {
    api.send(request("POST", path, &[], Body::from(body.to_string()))).await
}

fn effect(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.json);
    answer.json["data"]["effect"].as_str().unwrap()
}

#[tokio::test]
async fn the_end_of_the_work_hastens_the_check_once() {
    let api = Api::default();
    let job = awaiting(&api).await;
    let path = address(Provider::Runway, &job);
    let ended = json!({"says": "ended", "id": "remote-1"});
    assert_eq!(effect(&call(&api, &path, &ended).await), "hastened");
    assert_eq!(effect(&call(&api, &path, &ended).await), "nothing", "a replay changes nothing");
}

#[tokio::test]
async fn a_result_that_cannot_be_asked_for_is_taken_once() {
    let api = Api::default();
    let job = awaiting(&api).await;
    let path = address(Provider::Runway, &job);
    let result = json!({"says": "result", "id": "remote-1"});
    assert_eq!(effect(&call(&api, &path, &result).await), "received");
    let jobs = api.store.jobs();
    assert_eq!(
        (jobs[0].state, jobs[0].body.text.as_deref(), jobs[0].checks),
        (State::Delivering, Some("hello"), 0)
    );
    assert_eq!(api.store.spooled(), [b"hello"]);
    assert_eq!(effect(&call(&api, &path, &result).await), "nothing");
}

#[tokio::test]
async fn what_is_not_awaited_changes_nothing() {
    let api = Api::default();
    let job = awaiting(&api).await;
    let path = address(Provider::Runway, &job);
    let before = api.store.jobs();
    for body in [json!({"says": "progress"}), json!({"says": "ended", "id": "another"})] {
        assert_eq!(effect(&call(&api, &path, &body).await), "nothing");
    }
    assert_eq!(api.store.jobs(), before);
    api.store.change(job.as_str(), |job| job.state = State::Delivering);
    assert_eq!(effect(&call(&api, &path, &json!({"says": "ended"})).await), "nothing");
}

#[tokio::test]
async fn a_forged_callback_is_told_nothing_and_changes_nothing() {
    let api = Api::default();
    let job = awaiting(&api).await;
    let before = api.store.jobs();
    let genuine = address(Provider::Runway, &job);
    let (stem, _) = genuine.rsplit_once('/').unwrap();
    let ended = json!({"says": "ended"});
    for path in [
        format!("{stem}/{}", "0".repeat(32)),
        format!("{stem}/x"),
        genuine.replace("runway", "luma"),
        genuine.replace("runway", "sora"),
        genuine.replace(job.as_str(), JobId::new().as_str()),
        genuine.replace(job.as_str(), "no-id"),
    ] {
        call(&api, &path, &ended).await.refused(404, "not_found");
    }
    call(&api, &genuine, &json!({"says": "nonsense"})).await.refused(401, "unauthorized");
    call(&api, &genuine, &json!({"says": "unavailable"})).await.refused(503, "unavailable");
    assert_eq!(api.store.jobs(), before);
}
