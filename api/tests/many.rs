//! Jobs that are done again, and jobs that are cancelled in numbers.

use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::ids::JobId;
use atelier_domain::ledger::{CallOutcome, PaidCall};
use atelier_domain::state::{Event, State};
use serde_json::{Value, json};

use crate::fakes::{Answer, Api, image, video};

const CANCEL: &str = "/api/v1/media/jobs/cancel";

fn failed(api: &Api, id: &str, code: ErrorCode) {
    api.store.change(id, |job| {
        job.apply(Event::Failed, job.changed_at).unwrap();
        job.body.error = Some(JobError::new(code, "no"));
    });
}

async fn retry(api: &Api, id: &str) -> Answer {
    api.post(&format!("/api/v1/media/jobs/{id}/retry"), &json!({})).await
}

#[tokio::test]
async fn a_failed_job_is_done_again_once() {
    let api = Api::default();
    let id = api.admitted(&image()).await;
    failed(&api, &id, ErrorCode::Exhausted);
    assert_eq!(api.get("/api/v1/media/dead-letters").await.json["meta"]["total"], 1);
    let first = retry(&api, &id).await;
    assert_eq!(first.status, 201, "{}", first.json);
    let job = &first.json["data"];
    assert_eq!(
        (&job["replay_of"], &job["status"], &job["prompt"]),
        (&json!(id), &json!("queued"), &json!("a fox in the snow"))
    );
    assert_eq!(first.headers["location"], format!("/api/v1/media/jobs/{}", job["id"].as_str().unwrap()));
    assert_eq!(job["warnings"], json!([]));
    assert_eq!(api.get("/api/v1/media/dead-letters").await.json["meta"]["total"], 0);

    let again = retry(&api, &id).await;
    assert_eq!((again.status.as_u16(), &again.json["data"]["id"]), (200, &job["id"]));
    let replayed = api.post("/api/v1/media/dead-letters/replay", &json!({"job_ids": [id]})).await;
    let known = json!([{"job_id": id, "new_job_id": job["id"]}]);
    assert_eq!(replayed.json["data"]["replayed"], known, "a dead letter's replay is the same");
    assert_eq!(api.store.jobs().len(), 2);
}

#[tokio::test]
async fn a_cancelled_job_is_done_again() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    api.post(&format!("/api/v1/media/jobs/{id}/cancel"), &json!({})).await;
    let answer = retry(&api, &id).await;
    assert_eq!((answer.status.as_u16(), &answer.json["data"]["replay_of"]), (201, &json!(id)));
}

#[tokio::test]
async fn a_job_that_may_be_paid_already_is_done_again_with_a_warning() {
    let api = Api::default();
    let id = api.admitted(&image()).await;
    failed(&api, &id, ErrorCode::UnknownOutcome);
    api.store.change(&id, |job| {
        let now = job.changed_at;
        job.body.paid_calls = vec![PaidCall {
            began_at: now,
            ended_at: Some(now),
            outcome: Some(CallOutcome::Unknown),
            remote_id: None,
            evidence: None,
        }];
    });
    let answer = retry(&api, &id).await;
    let warning = answer.json["data"]["warnings"][0].as_str().unwrap();
    assert!(warning.contains(&id) && warning.contains("twice"), "{warning}");
}

#[tokio::test]
async fn what_has_not_failed_is_not_done_again() {
    let api = Api::default();
    for (events, why) in [
        (&[][..], "cancel it first"),
        (&[Event::IntentStored, Event::Accepted], "cancel it first"),
        (&[Event::IntentStored, Event::AnswerLost], "resolve it first"),
        (&[Event::IntentStored, Event::BytesReceived, Event::Stored], "has succeeded"),
    ] {
        let id = api.admitted(&image()).await;
        api.store
            .change(&id, |job| events.iter().for_each(|event| job.apply(*event, job.changed_at).unwrap()));
        let answer = retry(&api, &id).await;
        assert!(answer.refused(400, "bad_request").contains(why), "{}", answer.json);
        assert_eq!(answer.json["error"]["details"]["job_id"], id.as_str());
    }
    assert_eq!(api.store.jobs().len(), 4);
    retry(&api, JobId::new().as_str()).await.refused(404, "not_found");
    let foreign = api.admitted(&image()).await;
    api.store.change(&foreign, |job| job.body.workspace_id = "beta".parse().unwrap());
    retry(&api, &foreign).await.refused(404, "not_found");
}

#[tokio::test]
async fn named_jobs_are_cancelled_and_each_is_told_of() {
    let api = Api::default();
    let (open, ended) = (api.admitted(&image()).await, api.admitted(&image()).await);
    let foreign = api.admitted(&image()).await;
    api.store.change(&foreign, |job| job.body.workspace_id = "beta".parse().unwrap());
    failed(&api, &ended, ErrorCode::Rejected);
    let unknown = JobId::new();
    let answer = api.post(CANCEL, &json!({"job_ids": [open, ended, unknown, foreign]})).await;
    assert_eq!(answer.status, 200);
    let wanted = json!({"cancelled": [open], "already_ended": [ended], "unknown": [unknown, foreign],
        "more": false, "next_cursor": null});
    assert_eq!(answer.json["data"], wanted);
    let states: Vec<State> = api.store.jobs().iter().map(|job| job.state).collect();
    assert_eq!(states, [State::Cancelled, State::Failed, State::Queued]);
}

fn count(answer: &Answer) -> (usize, bool) {
    assert_eq!(answer.status, 200, "{}", answer.json);
    let data = &answer.json["data"];
    (data["cancelled"].as_array().unwrap().len(), data["more"].as_bool().unwrap())
}

#[tokio::test]
async fn a_filter_cancels_a_thousand_and_says_that_there_are_more() {
    let api = Api::default();
    for _ in 0..11 {
        let batch = json!({"jobs": vec![image(); 100]});
        assert_eq!(api.post("/api/v1/media/jobs/batch", &batch).await.status, 200);
    }
    let clip = api.admitted(&video()).await;
    let mut body = json!({"filter": {"provider": "fal", "status": ["queued"]}});
    let first = api.post(CANCEL, &body).await;
    assert_eq!(count(&first), (1000, true));
    body["cursor"] = first.json["data"]["next_cursor"].clone();
    let second = api.post(CANCEL, &body).await;
    assert_eq!((count(&second), &second.json["data"]["next_cursor"]), ((100, false), &Value::Null));
    assert_eq!(count(&api.post(CANCEL, &json!({"filter": {"operation": "tts"}})).await), (0, false));
    let left: Vec<String> = api
        .store
        .jobs()
        .iter()
        .filter(|job| !job.state.is_terminal())
        .map(|job| job.id.to_string())
        .collect();
    assert_eq!(left, [clip]);
    assert_eq!(count(&api.post(CANCEL, &json!({"filter": {}})).await), (1, false));
}

#[tokio::test]
async fn a_cancel_without_words_cancels_nothing() {
    let api = Api::default();
    api.admitted(&image()).await;
    for (body, field) in [
        (json!({}), "job_ids"),
        (json!({"filter": {"status": ["failed"]}}), "filter.status"),
        (json!({"filter": {"state": "queued"}}), "filter.state"),
        (json!({"filter": {}, "cursor": "x"}), "cursor"),
    ] {
        let answer = api.post(CANCEL, &body).await;
        answer.refused(400, "bad_request");
        assert_eq!(answer.fields(), [field]);
    }
    assert_eq!(api.store.jobs()[0].state, State::Queued);
}
