//! `POST /api/v1/media/jobs`.

use atelier_api::ApiSettings;
use atelier_domain::ids::{AssetId, JobId};
use atelier_domain::operation::Operation;
use atelier_domain::state::State;
use axum::body::Body;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

use crate::fakes::{Answer, Api, MemoryTelemetry, asset_of, image, request, video};

const JOBS: &str = "/api/v1/media/jobs";

async fn post_with(api: &Api, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![("x-api-key", "acme-key"), ("content-type", "application/json")];
    all.extend_from_slice(headers);
    api.send(request("POST", JOBS, &all, Body::from(body.to_string()))).await
}

async fn post_raw(api: &Api, content_type: &str, body: impl Into<Body>) -> Answer {
    api.send(request("POST", JOBS, &[("x-api-key", "acme-key"), ("content-type", content_type)], body.into()))
        .await
}

#[tokio::test]
async fn a_new_job_is_kept_and_answered_with_201() {
    let api = Api::default();
    let answer = api.post(JOBS, &video()).await;
    assert_eq!(answer.status, 201);
    let kept = api.store.jobs();
    assert_eq!(kept.len(), 1);
    let data = &answer.json["data"];
    assert_eq!(data["id"], kept[0].id.as_str());
    assert_eq!(answer.headers["location"], format!("{JOBS}/{}", kept[0].id).as_str());
    assert_eq!((data["status"].as_str(), kept[0].state), (Some("queued"), State::Queued));
    assert_eq!(data["cost"], json!({"estimated_usd": 0.25, "actual_usd": null, "source": "table"}));
    assert_eq!(data["config"], json!({"duration": 5, "ratio": "1280:720"}));
    assert_eq!(kept[0].body.workspace_id.as_str(), "acme");
    assert!(kept[0].due_at.is_some());
}

#[tokio::test]
async fn the_default_deadline_is_the_setting() {
    let api = Api::with(
        MemoryTelemetry::default(),
        ApiSettings { default_deadline_s: 7, ..ApiSettings::default() },
    );
    api.admitted(&image()).await;
    let job = api.store.jobs().remove(0);
    let seconds = job.body.spec.start_deadline.duration_since(job.body.created_at).as_secs();
    assert_eq!(seconds, 7);
}

/// Each row is one mistake: the changed field of a good request, and the field that the answer must name.
#[tokio::test]
async fn a_bad_request_names_its_field_and_admits_nothing() {
    let api = Api::default();
    let long = "x".repeat(1001);
    let asset = AssetId::of(&JobId::new(), 0);
    let rows: Vec<(&str, Value, &str)> = vec![
        ("operation", json!(null), "operation"),
        ("operation", json!("dance"), "operation"),
        ("operation", json!(["tts"]), "operation"),
        ("operation", json!("tts"), "provider"),
        ("provider", json!(null), "provider"),
        ("provider", json!("acme"), "provider"),
        ("provider", json!("luma"), "model"),
        ("provider", json!("elevenlabs"), "provider"),
        ("model", json!("gen5"), "model"),
        ("model", json!(5), "model"),
        ("promt", json!("x"), "promt"),
        ("prompt", json!(5), "prompt"),
        ("prompt", json!(long), "prompt"),
        ("input_url", json!(null), "input_url"),
        ("input_url", json!(5), "input_url"),
        ("input_url", json!("http://example.com/a.png"), "input_url"),
        ("input_url", json!("https://127.0.0.1/a.png"), "input_url"),
        ("input_url", json!("file:///etc/passwd"), "input_url"),
        ("input_url", json!("http://169.254.169.254/latest"), "input_url"),
        ("input_asset_id", json!(asset), "input_asset_id"),
        ("config", json!("x"), "config"),
        ("config", json!({"duraton": 5}), "config.duraton"),
        ("config", json!({"duration": 11}), "config.duration"),
        ("config", json!({"duration": "5"}), "config.duration"),
        ("config", json!({"ratio": "2:1"}), "config.ratio"),
        ("credential_id", json!("cred-1"), "credential_id"),
        ("credential_id", json!("0ujtsYcgvSTl8PAuAdqWYSMnLOv"), "credential_id"),
        ("webhook_url", json!("https://example.com/"), "webhook_url"),
        ("idempotency_key", json!(""), "idempotency_key"),
        ("idempotency_key", json!("x".repeat(256)), "idempotency_key"),
        ("idempotency_key", json!("a\tb"), "idempotency_key"),
        ("priority", json!("urgent"), "priority"),
        ("run_at", json!("soon"), "run_at"),
        ("run_at", json!("2100-01-01T00:00:00Z"), "run_at"),
        ("deadline_s", json!(0), "deadline_s"),
        ("deadline_s", json!(86_401), "deadline_s"),
        ("deadline_s", json!(1.5), "deadline_s"),
        ("metadata", json!([1]), "metadata"),
        ("metadata", json!({"x": "y".repeat(17_000)}), "metadata"),
        ("capture_prompt", json!("no"), "capture_prompt"),
        ("on_unknown_outcome", json!("retry"), "on_unknown_outcome"),
        ("jobs", json!([]), "jobs"),
    ];
    for (name, value, field) in rows {
        let mut body = video();
        body[name] = value.clone();
        let answer = api.post(JOBS, &body).await;
        let message = answer.refused(400, "bad_request");
        assert!(answer.fields().contains(&field), "{name} = {value}: {}", answer.json);
        assert!(message.contains(&format!("`{field}`")), "{message}");
        assert!(!answer.json.to_string().contains(&long), "no prompt is sent back");
    }
    let mut body = image();
    body["input_url"] = json!("https://example.com/a.png");
    assert_eq!(api.post(JOBS, &body).await.fields(), ["input_url"]);
    assert_eq!(
        api.post(JOBS, &json!({"operation": "image_gen", "provider": "fal"})).await.fields(),
        ["prompt"]
    );
    assert!(api.store.jobs().is_empty(), "nothing was admitted");
}

#[tokio::test]
async fn all_problems_come_in_one_answer() {
    let api = Api::default();
    let answer = api
        .post(JOBS, &json!({"operation": "tts", "priority": 1, "colour": 2, "deadline_s": -1, "x": 1}))
        .await;
    let message = answer.refused(400, "bad_request");
    assert_eq!(answer.fields(), ["colour", "x", "provider", "priority", "deadline_s"]);
    assert!(message.ends_with("and 2 more problems, see details"), "{message}");
    let first = &answer.json["error"]["details"]["fields"][2];
    assert_eq!(first["problem"], "is missing");
    assert!(first["expected"].as_str().unwrap().contains("elevenlabs, deepgram"), "{first}");
}

#[tokio::test]
async fn the_alias_of_video_from_image_is_admitted() {
    let api = Api::default();
    let mut body = video();
    body["operation"] = json!("video_from_img");
    api.admitted(&body).await;
    assert_eq!(api.store.jobs()[0].body.spec.operation, Operation::VideoFromImage);
}

#[tokio::test]
async fn a_retired_model_is_still_admitted() {
    let api = Api::default();
    let mut body = video();
    body["model"] = json!("gen3a_turbo");
    api.admitted(&body).await;
    assert_eq!(api.store.jobs()[0].body.spec.config["ratio"], "1280:768");
}

#[tokio::test]
async fn a_body_that_is_no_json_object_says_where_it_breaks() {
    let api = Api::default();
    for (content_type, body, words) in [
        ("application/json", r#"{"operation": tts}"#, "line 1 column 16"),
        ("application/json", "{\n  \"a\": 1,\n}", "line 3 column 1"),
        ("application/json", "", "empty"),
        ("application/json", " \n", "empty"),
        ("application/json", "[]", "`body` is a list"),
        ("application/json", "\"tts\"", "`body` is a string"),
        ("application/json", "{} {}", "trailing characters"),
        ("application/json", "\u{feff}{}", "line 1 column 1"),
        ("text/plain", "{}", "Content-Type"),
        ("application/x-www-form-urlencoded", "operation=tts", "Content-Type"),
        ("multipart/form-data; boundary=x", "x", "form cannot be read"),
        ("multipart/form-data", "x", "no boundary"),
    ] {
        let message = post_raw(&api, content_type, body).await.refused(400, "bad_request");
        assert!(message.contains(words), "{body:?}: {message}");
    }
    let deep = "[".repeat(100_000);
    assert!(
        post_raw(&api, "application/json", deep)
            .await
            .refused(400, "bad_request")
            .contains("recursion limit")
    );
    let invalid = post_raw(&api, "application/json", vec![b'"', 0xff, b'"']).await;
    assert!(invalid.refused(400, "bad_request").contains("JSON"));
    assert!(api.store.jobs().is_empty());
}

#[tokio::test]
async fn other_spellings_of_the_content_type_pass() {
    let api = Api::default();
    for content_type in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"] {
        assert_eq!(post_raw(&api, content_type, image().to_string()).await.status, 201, "{content_type}");
    }
    let without = request("POST", JOBS, &[("x-api-key", "acme-key")], Body::from(image().to_string()));
    assert_eq!(api.send(without).await.status, 201);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_the_limit() {
    let api = Api::with(
        MemoryTelemetry::default(),
        ApiSettings { body_limit_bytes: 2048, ..ApiSettings::default() },
    );
    let padded = |length: usize| {
        let body = image().to_string();
        format!("{}{body}", " ".repeat(length - body.len()))
    };
    assert_eq!(post_raw(&api, "application/json", padded(2048)).await.status, 201);
    for length in [2049, 20_000, 1_000_000] {
        let message = post_raw(&api, "application/json", padded(length)).await.refused(400, "bad_request");
        assert!(message.contains("2048 bytes"), "{message}");
    }
    assert_eq!(api.store.jobs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let api = Api::default();
    let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = post_raw(&api, "application/json", never).await;
    assert!(answer.refused(400, "bad_request").contains("30 seconds"));
}

#[tokio::test]
async fn a_repeated_idempotency_key_gives_the_same_job() {
    let api = Api::default();
    let first = post_with(&api, &[("idempotency-key", "order-17")], &image()).await;
    let again = post_with(&api, &[("idempotency-key", "order-17")], &image()).await;
    let mut in_body = image();
    in_body["idempotency_key"] = json!("order-17");
    let by_field = post_with(&api, &[], &in_body).await;
    let by_both = post_with(&api, &[("idempotency-key", "order-17")], &in_body).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!((by_field.status.as_u16(), by_both.status.as_u16()), (200, 200));
    for answer in [&again, &by_field, &by_both] {
        assert_eq!(answer.json["data"]["id"], first.json["data"]["id"]);
    }
    assert_eq!(api.store.jobs().len(), 1);
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_names_the_first_job() {
    let api = Api::default();
    let first = post_with(&api, &[("idempotency-key", "k")], &image()).await.json["data"]["id"].clone();
    let other = post_with(&api, &[("idempotency-key", "k")], &video()).await;
    assert!(other.refused(400, "bad_request").contains(first.as_str().unwrap()));
    assert_eq!(other.json["error"]["details"]["job_id"], first);
    assert_eq!(other.fields(), ["idempotency_key"]);
    assert_eq!(api.store.jobs().len(), 1);
}

#[tokio::test]
async fn different_keys_in_header_and_body_are_refused() {
    let api = Api::default();
    let mut body = image();
    body["idempotency_key"] = json!("a");
    assert_eq!(post_with(&api, &[("idempotency-key", "b")], &body).await.fields(), ["idempotency_key"]);
    assert_eq!(post_with(&api, &[("idempotency-key", "")], &image()).await.fields(), ["idempotency_key"]);
    assert_eq!(
        post_with(&api, &[("idempotency-key", "schlüssel")], &image()).await.fields(),
        ["idempotency_key"]
    );
    assert!(api.store.jobs().is_empty());
}

#[tokio::test]
async fn keys_of_two_workspaces_do_not_meet() {
    let api = Api::default();
    post_with(&api, &[("idempotency-key", "k")], &image()).await;
    let headers = [("x-api-key", "beta-key"), ("idempotency-key", "k"), ("content-type", "application/json")];
    let other = api.send(request("POST", JOBS, &headers, Body::from(video().to_string()))).await;
    assert_eq!(other.status, 201);
}

#[tokio::test]
async fn an_input_asset_must_be_the_workspaces_and_of_the_right_type() {
    let api = Api::default();
    let (image, foreign, sound) = (JobId::new(), JobId::new(), JobId::new());
    api.store.keep_asset(asset_of(&image, "acme", "image/png"));
    api.store.keep_asset(asset_of(&foreign, "beta", "image/png"));
    api.store.keep_asset(asset_of(&sound, "acme", "audio/mpeg"));
    let body = |job: &JobId| {
        let mut body = video();
        body["input_url"] = json!(null);
        body["input_asset_id"] = json!(AssetId::of(job, 0));
        body
    };
    for (job, words) in [(&foreign, "is not known"), (&JobId::new(), "is not known"), (&sound, "audio/mpeg")]
    {
        let answer = api.post(JOBS, &body(job)).await;
        assert!(answer.refused(400, "bad_request").contains(words), "{}", answer.json);
        assert_eq!(answer.fields(), ["input_asset_id"]);
    }
    assert!(api.store.jobs().is_empty());
    api.admitted(&body(&image)).await;
}

#[tokio::test]
async fn a_store_that_is_away_accepts_nothing() {
    let api = Api::default();
    api.store.jobs_are_down.store(true, Ordering::SeqCst);
    let answer = api.post(JOBS, &image()).await;
    let message = answer.refused(503, "unavailable");
    assert!(message.contains("nothing was accepted") && !message.contains("secret"), "{message}");
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(api.store.jobs().is_empty());
}

#[tokio::test]
async fn nothing_is_accepted_until_the_common_time_is_known() {
    let api = Api::default();
    api.store.time_is_unknown.store(true, Ordering::SeqCst);
    api.post(JOBS, &image()).await.refused(503, "unavailable");
    api.get("/readyz").await.refused(503, "unavailable");
    assert!(api.store.jobs().is_empty());
    api.store.time_is_unknown.store(false, Ordering::SeqCst);
    assert_eq!(api.post(JOBS, &image()).await.status, 201);
}
