//! What is refused, with what is wrong and what would be right, and without anything being enqueued.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Running, speech};

/// A body, the field that must be named, and a word that must be offered.
fn bad_bodies() -> Vec<(Value, &'static str, &'static str)> {
    let runway = |extra: Value| {
        let mut body = json!({"operation": "video_gen", "provider": "runway", "prompt": "x"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    vec![
        (json!({"operation": "dance", "provider": "fal", "prompt": "x"}), "operation", "image_gen"),
        (json!({"operation": "tts", "provider": "acme", "prompt": "x"}), "provider", "elevenlabs"),
        (json!({"operation": "tts", "provider": "runway", "prompt": "x"}), "provider", "elevenlabs"),
        (json!({"operation": "tts", "provider": "elevenlabs"}), "prompt", "text"),
        (json!({"provider": "elevenlabs", "prompt": "x"}), "operation", "tts"),
        (runway(json!({"model": "gen9"})), "model", "gen4.5"),
        (runway(json!({"promt": "x"})), "promt", "prompt"),
        (runway(json!({"config": {"durration": 5}})), "durration", "duration"),
        (runway(json!({"config": {"duration": 99}})), "duration", "10"),
        (runway(json!({"config": {"ratio": "7:3"}})), "ratio", "1280:720"),
        (runway(json!({"prompt": 7})), "prompt", "string"),
        (runway(json!({"prompt": "x".repeat(1001)})), "prompt", "1000"),
        (runway(json!({"priority": "urgent"})), "priority", "normal"),
        (runway(json!({"run_at": "tomorrow"})), "run_at", "RFC 3339"),
        (runway(json!({"deadline_s": 0})), "deadline_s", "1"),
        (runway(json!({"credential_id": "cred"})), "credential_id", "null"),
        (runway(json!({"webhook_url": "https://example.com"})), "webhook_url", "wait"),
        (runway(json!({"input_url": "https://example.com/a.png"})), "input_url", "none"),
        (json!({"operation": "video_from_image", "provider": "runway", "prompt": "x"}), "input", "input_url"),
        (
            json!({"operation": "video_from_image", "provider": "runway", "prompt": "x",
                "input_url": "http://169.254.169.254/latest"}),
            "input_url",
            "https",
        ),
        (
            json!({"operation": "video_from_image", "provider": "runway", "prompt": "x",
                "input_asset_id": "0ujtsYcgvSTl8PAuAdqWYSMnLOv"}),
            "input_asset_id",
            "asset",
        ),
    ]
}

#[tokio::test]
async fn bad_requests_name_the_field_and_what_would_be_right() {
    let running = Running::start().await;
    for (body, field, offered) in bad_bodies() {
        let (status, answer) = running.client.post("/api/v1/media/jobs", &body).await;
        let text = answer["error"].to_string();
        assert_eq!(status, 400, "{body} {answer}");
        assert!(text.contains(field), "{field} is not named: {text}");
        assert!(text.to_lowercase().contains(&offered.to_lowercase()), "`{offered}` is not offered: {text}");
    }
    let (_, page) = running.client.get("/api/v1/media/jobs").await;
    assert_eq!(page["meta"]["total"], 0, "something was enqueued");
    assert_eq!(running.journal().all().len(), 0, "a provider was called");
    running.finish().await;
}

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let running = Running::start().await;
    let body = json!({"operation": "video_gen", "provider": "runway", "promt": "x", "priority": 5,
        "config": {"duration": 99}});
    let (status, answer) = running.client.post("/api/v1/media/jobs", &body).await;
    assert_eq!(status, 400);
    let text = answer["error"].to_string();
    for field in ["promt", "priority", "duration", "prompt"] {
        assert!(text.contains(field), "{field}: {text}");
    }
    running.finish().await;
}

#[tokio::test]
async fn broken_bodies_and_wrong_doors_get_json() {
    let running = Running::start().await;
    let jobs = "/api/v1/media/jobs";
    let with_key =
        |method: Method, path: &str| running.client.request(method, path).header("X-API-Key", "demo");
    let json_type = ("Content-Type", "application/json");
    let cases = [
        (with_key(Method::POST, jobs).header(json_type.0, json_type.1).body("{\"operation\": "), 400),
        (with_key(Method::POST, jobs).header(json_type.0, json_type.1).body("[1]"), 400),
        (with_key(Method::POST, jobs).header(json_type.0, json_type.1).body("x".repeat(2_000_000)), 400),
        (running.client.request(Method::POST, jobs).json(&speech("x")), 401),
        (running.client.request(Method::POST, jobs).header("X-API-Key", "wrong").json(&speech("x")), 401),
        (running.client.request(Method::GET, jobs).bearer_auth("wrong"), 401),
        (running.client.request(Method::GET, jobs).bearer_auth("demo"), 200),
        (with_key(Method::GET, "/api/v1/media/jobs/0ujtsYcgvSTl8PAuAdqWYSMnLOv"), 404),
        (with_key(Method::GET, "/api/v1/media/jobs/nonsense"), 404),
        (with_key(Method::GET, "/api/v1/assets/0ujtsYcgvSTl8PAuAdqWYSMnLOv"), 404),
        (with_key(Method::GET, "/api/v1/nothing"), 404),
        (with_key(Method::DELETE, jobs), 404),
        (with_key(Method::GET, "/api/v1/media/jobs?status=happy"), 400),
        (running.client.request(Method::GET, "/healthz"), 200),
        (running.client.request(Method::GET, "/readyz"), 200),
    ];
    for (request, wanted) in cases {
        let shown = format!("{request:?}");
        let (status, answer) = running.client.send(request).await;
        assert_eq!(status, wanted, "{shown}: {answer}");
        assert_eq!(answer.get("error").is_some(), status >= 400, "{answer}");
    }
    let (_, page) = running.client.get(jobs).await;
    assert_eq!(page["meta"]["total"], 0);
    running.finish().await;
}
