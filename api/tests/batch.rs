//! `POST /api/v1/media/jobs/batch`.

use std::sync::atomic::Ordering;

use atelier_api::ApiSettings;
use axum::body::Body;
use serde_json::{Value, json};

use crate::fakes::{Answer, Api, MemoryTelemetry, image, request, video};

const BATCH: &str = "/api/v1/media/jobs/batch";

fn keyed(mut body: Value, key: &str) -> Value {
    body["idempotency_key"] = json!(key);
    body
}

/// The counts of a batch: admitted, repeated, refused.
fn counts(answer: &Answer) -> (u64, u64, u64) {
    assert_eq!(answer.status, 200, "{}", answer.json);
    let count = |name: &str| answer.json["data"][name].as_u64().unwrap();
    (count("admitted"), count("repeated"), count("refused"))
}

#[tokio::test]
async fn each_request_becomes_a_job_in_its_order() {
    let api = Api::default();
    let answer = api.post(BATCH, &json!({"jobs": [image(), video(), image()]})).await;
    assert_eq!(counts(&answer), (3, 0, 0));
    let kept = api.store.jobs();
    let results = answer.json["data"]["results"].as_array().unwrap();
    assert_eq!((kept.len(), results.len()), (3, 3));
    for (job, result) in kept.iter().zip(results) {
        assert_eq!(result["job"]["id"], job.id.as_str());
        assert_eq!(result["job"]["status"], "queued");
        assert_eq!(result["job"]["trace_id"], answer.headers["x-trace-id"].to_str().unwrap());
        assert_eq!(result.as_object().unwrap().len(), 1);
    }
    assert_eq!(results[1]["job"]["operation"], "video_from_image");
    let shown = api.get(&format!("/api/v1/media/jobs/{}", kept[1].id)).await;
    assert_eq!(shown.json["data"], results[1]["job"], "the same form as a job that is asked for");
}

#[tokio::test]
async fn a_wrong_request_names_its_place_and_hinders_no_other() {
    let api = Api::default();
    let mut wrong = video();
    wrong["model"] = json!("gen5");
    wrong["config"] = json!({"duration": 11});
    let answer = api.post(BATCH, &json!({"jobs": [image(), "x", video(), wrong]})).await;
    assert_eq!(counts(&answer), (2, 0, 2));
    let results = &answer.json["data"]["results"];
    assert!(results[0]["job"].is_object() && results[2]["job"].is_object(), "{results}");
    assert_eq!(results[1]["error"]["details"]["fields"][0]["field"], "jobs[1]");
    let error = &results[3]["error"];
    assert_eq!(error["code"], "bad_request");
    assert_eq!(error["details"]["fields"][0]["field"], "jobs[3].model");
    assert!(error["message"].as_str().unwrap().starts_with("`jobs[3].model` is `gen5`"), "{error}");
    assert_eq!(api.store.jobs().len(), 2);
}

#[tokio::test]
async fn a_batch_of_wrong_requests_is_still_answered_one_by_one() {
    let api = Api::default();
    let answer = api.post(BATCH, &json!({"jobs": [{}, {}]})).await;
    assert_eq!(counts(&answer), (0, 0, 2));
    assert!(api.store.jobs().is_empty());
}

#[tokio::test]
async fn idempotency_keys_hold_within_a_batch_and_beyond() {
    let api = Api::default();
    let batch = json!({"jobs": [keyed(image(), "a"), keyed(image(), "a"), keyed(video(), "a"), image()]});
    let first = api.post(BATCH, &batch).await;
    assert_eq!(counts(&first), (2, 1, 1));
    let results = &first.json["data"]["results"];
    assert_eq!(results[0]["job"]["id"], results[1]["job"]["id"]);
    let reused = &results[2]["error"]["details"];
    assert_eq!(reused["job_id"], results[0]["job"]["id"]);
    assert_eq!(reused["fields"][0]["field"], "jobs[2].idempotency_key");

    let again = api.post(BATCH, &batch).await;
    assert_eq!(counts(&again), (1, 2, 1), "only the one without a key is done again");
    let alone = api.post("/api/v1/media/jobs", &keyed(image(), "a")).await;
    assert_eq!(alone.status, 200);
    assert_eq!(alone.json["data"]["id"], results[0]["job"]["id"]);
}

#[tokio::test]
async fn a_header_cannot_be_the_key_of_many_jobs() {
    let api = Api::default();
    let headers = [("x-api-key", "acme-key"), ("idempotency-key", "k")];
    let body = Body::from(json!({"jobs": [image()]}).to_string());
    let answer = api.send(request("POST", BATCH, &headers, body)).await;
    answer.refused(400, "bad_request");
    assert_eq!(answer.fields(), ["Idempotency-Key"]);
    assert!(api.store.jobs().is_empty());
}

#[tokio::test]
async fn a_wrong_envelope_is_refused_as_a_whole() {
    let api = Api::default();
    for (body, field) in [
        (json!({"jobs": []}), "jobs"),
        (json!({"jobs": vec![image(); 1001]}), "jobs"),
        (json!({"jobs": [image()], "job": 1}), "job"),
        (json!([image()]), "body"),
        (image(), "jobs"),
    ] {
        let answer = api.post(BATCH, &body).await;
        answer.refused(400, "bad_request");
        assert!(answer.fields().contains(&field), "{}", answer.json);
    }
    for (content_type, words) in
        [("multipart/form-data; boundary=x", "no form"), ("text/plain", "Content-Type")]
    {
        let headers = [("x-api-key", "acme-key"), ("content-type", content_type)];
        let answer = api.send(request("POST", BATCH, &headers, Body::from("{}"))).await;
        assert!(answer.refused(400, "bad_request").contains(words), "{}", answer.json);
    }
    let without_key = api.send(request("POST", BATCH, &[], Body::from("{}"))).await;
    without_key.refused(401, "unauthorized");
    let listed = api.send(request("GET", BATCH, &[("x-api-key", "acme-key")], Body::empty())).await;
    listed.refused(404, "not_found");
    assert!(api.store.jobs().is_empty());
}

#[tokio::test]
async fn five_hundred_are_taken_and_eight_times_the_longest_request() {
    let settings = ApiSettings { body_limit_bytes: 16 * 1024, ..ApiSettings::default() };
    let api = Api::with(MemoryTelemetry::default(), settings);
    let body = json!({"jobs": vec![image(); 1000]});
    assert!(body.to_string().len() > 16 * 1024);
    assert_eq!(counts(&api.post(BATCH, &body).await), (1000, 0, 0));
    let mut padded = image();
    padded["metadata"] = json!({"padding": "x".repeat(14_000)});
    let answer = api.post(BATCH, &json!({"jobs": vec![padded; 10]})).await;
    assert!(answer.refused(400, "bad_request").contains("131072 bytes"), "{}", answer.json);
}

#[tokio::test]
async fn a_file_within_a_request_is_kept() {
    let api = Api::default();
    let mut good = video();
    good.as_object_mut().unwrap().remove("input_url");
    let mut bad = good.clone();
    good["input_base64"] = json!(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    );
    bad["input_base64"] = json!("not base64!");
    let answer = api.post(BATCH, &json!({"jobs": [good, bad]})).await;
    assert_eq!(counts(&answer), (1, 0, 1));
    let error = &answer.json["data"]["results"][1]["error"];
    assert_eq!(error["details"]["fields"][0]["field"], "jobs[1].input_base64");
    assert_eq!(api.store.objects().len(), 1);
}

#[tokio::test]
async fn a_store_that_takes_nothing_refuses_the_whole_and_one_that_takes_some_tells_which() {
    let api = Api::default();
    let batch = json!({"jobs": [image(), {}, image(), image()]});
    api.store.jobs_are_down.store(true, Ordering::SeqCst);
    let answer = api.post(BATCH, &batch).await;
    answer.refused(503, "unavailable");
    assert_eq!(answer.headers["retry-after"], "1");

    api.store.jobs_are_down.store(false, Ordering::SeqCst);
    api.store.holds.store(2, Ordering::SeqCst);
    let answer = api.post(BATCH, &batch).await;
    assert_eq!(counts(&answer), (2, 0, 2));
    let results = &answer.json["data"]["results"];
    assert!(results[0]["job"].is_object() && results[2]["job"].is_object(), "{results}");
    assert_eq!(results[3]["error"]["code"], "unavailable");
    assert!(!answer.json.to_string().contains("redis.secret"));
    assert_eq!(api.store.jobs().len(), 2);
}

#[tokio::test]
async fn a_batch_that_is_all_or_nothing_is_refused_whole_with_every_problem() {
    let api = Api::default();
    let mut wrong = image();
    wrong["config"] = json!({"seeds": 1});
    let body = json!({"jobs": [image(), wrong, {"operation": "tts"}, image()], "all_or_nothing": true});
    let answer = api.post(BATCH, &body).await;
    answer.refused(400, "bad_request");
    assert_eq!(answer.fields(), ["jobs[1].config.seeds", "jobs[2].provider"]);
    assert!(api.store.jobs().is_empty());
    let body = json!({"jobs": [image(), image()], "all_or_nothing": true});
    assert_eq!(counts(&api.post(BATCH, &body).await), (2, 0, 0));
}
