use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Stage, text};

#[tokio::test]
async fn a_video_runs_through_its_states() {
    let stage = Stage::with(|options| options.timing.video = Duration::from_millis(400)).await;
    let id = stage.runway_create("pan").await;
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some("SUCCEEDED") {
        let task = stage.runway_task(&id).await;
        assert_eq!(task.get("progress").is_some(), task["status"] == "RUNNING");
        assert_eq!(task.get("cost").is_some(), task["status"] == "SUCCEEDED");
        seen.push(text(&task, "status").to_owned());
        seen.dedup();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen, ["PENDING", "RUNNING", "SUCCEEDED"]);
    let task = stage.runway_task(&id).await;
    assert_eq!(task["cost"]["credits"], 24);
    let created_at = text(&task, "createdAt");
    assert!(created_at.ends_with('Z') && created_at.len() == 24, "{created_at}");
}

#[tokio::test]
async fn the_video_is_an_mp4_behind_a_token() {
    let stage = Stage::new().await;
    let url = stage.runway_video("file").await;
    let (bare, token) = url.split_once("?_jwt=").unwrap();
    assert!(!token.is_empty());
    assert_eq!(stage.client.get(bare).send().await.unwrap().status(), 403);
    let response = stage.client.get(&url).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "video/mp4");
    let bytes = response.bytes().await.unwrap();
    assert_eq!(&bytes[4..12], b"ftypisom");
    assert!(bytes.len() < 3_000_000);
    let again = stage.runway_video("file").await;
    let repeated = stage.client.get(&again).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes, repeated, "media follows from prompt and parameters");
}

#[tokio::test]
async fn delete_cancels_and_the_task_is_gone() {
    let stage = Stage::with(|options| options.timing.video = Duration::from_secs(30)).await;
    let id = stage.runway_create("delete me").await;
    let path = format!("/v1/tasks/{id}");
    let response = stage.runway(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(response.bytes().await.unwrap().len(), 0);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(stage.runway(method, &path).send().await.unwrap().status(), 404);
    }
    let cancels = stage.simulator.journal().cancels();
    assert_eq!(cancels[0].prompt.as_deref(), Some("delete me"));
}

#[tokio::test]
async fn wrong_requests_get_the_providers_bodies() {
    let stage = Stage::new().await;
    let good = json!({"model": "gen4_turbo", "ratio": "1280:720", "duration": 5, "promptImage": "https://example.com/a.png"});
    let refused = async |change: Value| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let response = stage.runway(Method::POST, "/v1/image_to_video").json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(refused(json!({})).await.0, 200);
    let (status, body) = refused(json!({"ratio": "16:9"})).await;
    assert_eq!((status, &body["error"]), (400, &json!("Validation of body failed")));
    assert_eq!(body["issues"][0]["path"], json!(["ratio"]));
    assert!(body["docUrl"].is_string());
    let (status, body) = refused(json!({"model": "gen3a_turbo"})).await;
    assert_eq!(status, 400);
    assert!(body["error"].is_string() && body.get("issues").is_none());
    assert_eq!(refused(json!({"promptImage": "http://127.0.0.1/a.png"})).await.0, 400);
}

#[tokio::test]
async fn keys_and_version_decide_who_is_let_in() {
    let stage = Stage::new().await;
    let url = stage.url("/runway/v1/text_to_video");
    let body = json!({"model": "gen4.5", "promptText": "x", "ratio": "1280:720", "duration": 2});
    let send = async |key: Option<&str>, version: Option<&str>| {
        let mut request = stage.client.post(&url).json(&body);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(version) = version {
            request = request.header("x-runway-version", version);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let version = Some("2024-11-06");
    assert_eq!(send(None, version).await.0, 401);
    assert_eq!(send(Some("bad-key"), version).await.0, 401);
    assert_eq!(send(Some("key"), None).await.0, 400);
    assert_eq!(send(Some("key"), Some("2020-01-01")).await.0, 400);
    let (status, body) = send(Some("no-money"), version).await;
    assert_eq!(status, 400);
    assert_eq!(body["error"], "You do not have enough credits to run this task.");
    assert_eq!(send(Some("key"), version).await.0, 200);
}

#[tokio::test]
async fn account_and_uploads_answer() {
    let stage = Stage::new().await;
    let organization: Value =
        stage.runway(Method::GET, "/v1/organization").send().await.unwrap().json().await.unwrap();
    assert!(organization["creditBalance"].as_u64().unwrap() > 0);
    let body = json!({"filename": "a.png", "type": "ephemeral"});
    let response = stage.runway(Method::POST, "/v1/uploads").json(&body).send().await.unwrap();
    let upload: Value = response.json().await.unwrap();
    assert!(text(&upload, "runwayUri").starts_with("runway://"));
    let from_upload = || {
        let body = json!({"model": "gen4_turbo", "ratio": "1280:720", "duration": 5, "promptImage": upload["runwayUri"]});
        stage.runway(Method::POST, "/v1/image_to_video").json(&body).send()
    };
    assert_eq!(from_upload().await.unwrap().status(), 400, "nothing is there yet");
    let store = async |size: usize, key: &str| {
        let file = "x".repeat(size);
        let form = format!(
            "--b\r\ncontent-disposition: form-data; name=\"key\"\r\n\r\n{key}\r\n--b\r\n\
             content-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n{file}\r\n--b--\r\n"
        );
        let request = stage.client.post(text(&upload, "uploadUrl")).body(form);
        let request = request.header("content-type", "multipart/form-data; boundary=b");
        request.send().await.unwrap().status().as_u16()
    };
    let key = text(&upload["fields"], "key");
    assert_eq!((store(511, key).await, store(512, "other").await, store(512, key).await), (400, 403, 204));
    assert_eq!(from_upload().await.unwrap().status(), 200);
}
