//! Uncertain jobs and dead letters: who may do what, and what is refused.

use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::state::{Event, State};
use axum::body::Body;
use serde_json::{Value, json};

use crate::fakes::{Api, callback_settings, request, video};

async fn uncertain(api: &Api, body: &Value) -> String {
    let id = api.admitted(body).await;
    api.store.change(&id, |job| {
        let now = job.body.created_at;
        job.apply(Event::IntentStored, now).unwrap();
        job.apply(Event::AnswerLost, now).unwrap();
    });
    id
}

async fn exhausted(api: &Api) -> String {
    let id = api.admitted(&video()).await;
    api.store.change(&id, |job| {
        job.apply(Event::Failed, job.body.created_at).unwrap();
        job.body.error = Some(JobError::new(ErrorCode::Exhausted, "all attempts failed"));
    });
    id
}

fn resolve(id: &str) -> String {
    format!("/api/v1/media/jobs/{id}/resolve")
}

#[tokio::test]
async fn a_resolution_shows_in_the_job() {
    let api = Api::default();
    let id = uncertain(&api, &video()).await;
    let answer = api.post(&resolve(&id), &json!({"decision": "adopt", "provider_job_id": "task-7"})).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    let job = &answer.json["data"];
    assert_eq!((&job["status"], &job["provider_job_id"]), (&json!("awaiting"), &json!("task-7")));
}

#[tokio::test]
async fn what_cannot_be_resolved_is_refused_with_the_reason() {
    let api = Api::default();
    let id = uncertain(&api, &video()).await;
    let wrong = api.post(&resolve(&id), &json!({"decision": "maybe"})).await;
    wrong.refused(400, "bad_request");
    assert_eq!(wrong.fields(), ["decision"]);

    let speech = json!({"operation": "tts", "provider": "elevenlabs", "prompt": "hello"});
    let speech = uncertain(&api, &speech).await;
    let adopt = json!({"decision": "adopt", "provider_job_id": "x"});
    let answer = api.post(&resolve(&speech), &adopt).await;
    assert!(answer.refused(400, "bad_request").contains("elevenlabs answers at once"));

    let queued = api.admitted(&video()).await;
    let answer = api.post(&resolve(&queued), &json!({"decision": "give_up"})).await;
    assert!(answer.refused(400, "bad_request").contains("the job is queued"));
    let answer = api.post(&resolve(&atelier_domain::ids::JobId::new().to_string()), &adopt).await;
    answer.refused(404, "not_found");
}

#[tokio::test]
async fn a_callback_adopts_only_the_uncertain_job_of_its_provider() {
    let api = Api::default();
    let body = json!({"says": "ended", "id": "remote-9"}).to_string();
    let id = uncertain(&api, &video()).await;
    let call = async |provider: atelier_domain::operation::Provider| {
        let url = callback_settings().addresses().unwrap().url(provider, &id.parse().unwrap());
        let path = url.strip_prefix("https://media.example.com").unwrap().to_owned();
        api.send(request("POST", &path, &[], Body::from(body.clone()))).await.json["data"]["effect"].clone()
    };
    assert_eq!(call(atelier_domain::operation::Provider::Luma).await, "nothing");
    assert_eq!(api.store.jobs()[0].state, State::Uncertain);
    assert_eq!(call(atelier_domain::operation::Provider::Runway).await, "adopted");
    let job = api.store.jobs().remove(0);
    assert_eq!((job.state, job.body.remote.unwrap().id.as_str()), (State::Awaiting, "remote-9"));
}

#[tokio::test]
async fn dead_letters_of_others_cannot_be_touched() {
    let api = Api::default();
    let id = exhausted(&api).await;
    api.store.change(&id, |job| job.body.workspace_id = "elsewhere".parse().unwrap());
    assert_eq!(api.get("/api/v1/media/dead-letters").await.json["meta"]["total"], 0);
    for what in ["replay", "purge"] {
        let path = format!("/api/v1/media/dead-letters/{what}");
        let answer = api.post(&path, &json!({"job_ids": [id]})).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["data"]["missing"]),
            (200, &json!([id])),
            "{}",
            answer.json
        );
        let answer = api.post(&path, &json!({"filter": {}})).await;
        assert_eq!(answer.json["data"]["remaining"], 0);
    }
    assert_eq!(api.store.jobs().len(), 1, "nothing was done again, and nothing forgotten");
}

#[tokio::test]
async fn a_filter_takes_all_pages_of_letters() {
    let api = Api::default();
    for _ in 0..120 {
        exhausted(&api).await;
    }
    let answer = api.post("/api/v1/media/dead-letters/replay", &json!({"filter": {}})).await;
    assert_eq!(answer.json["data"]["replayed"].as_array().unwrap().len(), 120);
    assert_eq!(answer.json["data"]["remaining"], 0);
    assert_eq!(api.store.jobs().iter().filter(|job| job.state == State::Queued).count(), 120);
}
