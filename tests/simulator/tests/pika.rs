use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Stage, text};

fn pika(stage: &Stage, method: Method, path: &str) -> RequestBuilder {
    stage.client.request(method, stage.url(&format!("/pika/v1/generate{path}"))).bearer_auth("key")
}

async fn created(stage: &Stage, body: Value) -> String {
    let answer = pika(stage, Method::POST, "").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    text(&answer.json().await.unwrap(), "id").to_owned()
}

/// The generation once it has ended, and the words that it went through.
async fn ended(stage: &Stage, id: &str) -> (Value, Vec<String>) {
    let mut words: Vec<String> = Vec::new();
    loop {
        let answer = pika(stage, Method::GET, &format!("/{id}")).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        words.push(text(&body, "status").to_owned());
        words.dedup();
        if ["completed", "failed"].contains(&text(&body, "status")) {
            return (body, words);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_video_is_made_from_text() {
    let stage = Stage::with(|options| options.timing.video = std::time::Duration::from_millis(300)).await;
    let id = created(&stage, json!({"promptText": "a fox", "duration": 10, "resolution": "1080p"})).await;
    let (body, words) = ended(&stage, &id).await;
    assert_eq!(words, ["pending", "processing", "completed"]);
    assert_eq!(body["video"]["duration"], 10);
    let file = stage.client.get(text(&body["video"], "url")).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "video/mp4");
    assert_eq!(&file.bytes().await.unwrap()[4..8], b"ftyp");
    assert_eq!(stage.simulator.journal().submits_of("a fox"), 1);
}

#[tokio::test]
async fn failures_are_told_by_the_status() {
    let stage = Stage::new().await;
    for (prompt, error) in [("[sim:fail=BUSY]", "BUSY"), ("[sim:moderation]", "moderation")] {
        let id = created(&stage, json!({"promptText": prompt})).await;
        let (body, _) = ended(&stage, &id).await;
        assert_eq!(body["status"], "failed");
        assert!(text(&body, "error").contains(error), "{body}");
        assert!(body.get("video").is_none());
    }
    let unknown = pika(&stage, Method::GET, "/none").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn wrong_requests_and_keys_are_refused() {
    let stage = Stage::new().await;
    for wrong in [
        json!({}),
        json!({"promptText": " "}),
        json!({"promptText": "x", "duration": 7}),
        json!({"promptText": "x", "resolution": "4k"}),
        json!({"promptText": "x", "aspectRatio": "7:1"}),
        json!({"promptText": "x", "seed": "one"}),
        json!({"promptText": "x", "image": "https://example.com/a.png"}),
        json!([]),
    ] {
        let answer = pika(&stage, Method::POST, "").json(&wrong).send().await.unwrap();
        assert_eq!(answer.status(), 422, "{wrong}");
        assert!(!text(&answer.json().await.unwrap(), "error").is_empty());
    }
    let url = stage.url("/pika/v1/generate");
    for (key, status) in [("Bearer bad-key", 401), ("Key key", 401), ("Bearer no-money", 402)] {
        let request = stage.client.post(&url).header("authorization", key);
        let answer = request.json(&json!({"promptText": "x"})).send().await.unwrap();
        assert_eq!(answer.status(), status, "{key}");
    }
    assert!(stage.simulator.journal().submits().iter().all(|entry| !entry.accepted));
}
