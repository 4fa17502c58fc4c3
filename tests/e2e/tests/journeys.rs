//! What works when nothing fails.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{Running, image, speech, video};

async fn assert_delivered(running: &Running, job: &Value, content_type: &str, magic: (usize, &[u8])) {
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(job["error"], Value::Null);
    assert_eq!(job["attempts"], 1);
    assert_eq!(job["progress"], 1.0);
    let asset_id = job["asset_ids"][0].as_str().unwrap();
    let (status, answer) = running.client.get(&format!("/api/v1/assets/{asset_id}")).await;
    assert_eq!(status, 200);
    let asset = &answer["data"];
    assert_eq!(asset["content_type"], content_type);
    let (headers, bytes) = running.client.download(asset_id).await;
    assert_eq!(headers["content-type"], content_type);
    assert_eq!(bytes.len() as u64, asset["size_bytes"].as_u64().unwrap());
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(asset["sha256"], digest);
    assert_eq!(&bytes[magic.0..magic.0 + magic.1.len()], magic.1);
}

#[tokio::test]
async fn each_operation_becomes_a_stored_file() {
    let running = Running::start().await;
    let speech = running.client.run(&speech("hello there")).await;
    assert_delivered(&running, &speech, "audio/mpeg", (0, &[0xff])).await;
    let picture = running.client.run(&image("a fox")).await;
    assert_delivered(&running, &picture, "image/png", (1, b"PNG")).await;
    let clip = running.client.run(&video("slow pan")).await;
    assert_delivered(&running, &clip, "video/mp4", (4, b"ftyp")).await;
    assert!(clip["checks"].as_u64().unwrap() >= 1);
    // The image just made goes into a video.
    let from_asset = json!({"operation": "video_from_image", "provider": "runway", "prompt": "zoom",
        "input_asset_id": picture["asset_ids"][0], "config": {"duration": 5, "ratio": "1280:720"}});
    let from_asset = running.client.run(&from_asset).await;
    assert_delivered(&running, &from_asset, "video/mp4", (4, b"ftyp")).await;
    for (prompt, count) in [("hello there", 1), ("a fox", 1), ("slow pan", 1), ("zoom", 1)] {
        assert_eq!(running.journal().submits_of(prompt), count, "{prompt}");
    }
    // What a provider reports wins over the table; what it does not report is the table's.
    assert_eq!(clip["cost"], json!({"estimated_usd": 0.6, "actual_usd": 0.6, "source": "provider"}));
    assert_eq!(picture["cost"]["source"], "table");
    running.finish().await;
}

#[tokio::test]
async fn the_same_key_and_body_are_paid_once() {
    let running = Running::start().await;
    let mut body = speech("once");
    body["idempotency_key"] = json!("order-17");
    let first = running.client.submit(&body).await;
    let (status, answer) = running.client.post("/api/v1/media/jobs", &body).await;
    assert_eq!((status, answer["data"]["id"].as_str()), (200, Some(first.as_str())));
    running.client.end_of(&first).await;
    let (status, answer) = running.client.post("/api/v1/media/jobs", &body).await;
    assert_eq!((status, answer["data"]["status"].as_str()), (200, Some("succeeded")));
    body["prompt"] = json!("twice");
    let (status, answer) = running.client.post("/api/v1/media/jobs", &body).await;
    assert_eq!(status, 400);
    assert!(answer["error"]["message"].as_str().unwrap().contains(&first), "{answer}");
    assert_eq!(running.journal().submits().len(), 1);
    running.finish().await;
}

#[tokio::test]
async fn a_job_waits_for_its_time() {
    let running = Running::start().await;
    let mut body = speech("later");
    let run_at = atelier_domain::Timestamp::now() + std::time::Duration::from_millis(700);
    body["run_at"] = json!(run_at.to_string());
    let id = running.client.submit(&body).await;
    let job = running.client.end_of(&id).await;
    assert_eq!(job["status"], "succeeded");
    let started: atelier_domain::Timestamp = job["started_at"].as_str().unwrap().parse().unwrap();
    // The wire shows milliseconds, so the start may seem up to one earlier than it was.
    assert!(
        started + std::time::Duration::from_millis(1) >= run_at,
        "started {started}, not before {run_at}"
    );
    running.finish().await;
}

#[tokio::test]
async fn lists_show_what_was_asked_for() {
    let running = Running::start().await;
    for prompt in ["one", "two", "three"] {
        running.client.run(&speech(prompt)).await;
    }
    running.client.run(&image("four")).await;
    let (_, page) =
        running.client.get("/api/v1/media/jobs?operation=tts&status=succeeded&page=2&limit=2").await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    let meta = json!({"total": 3, "page": 2, "limit": 2, "pages": 2, "total_pages": 2, "next_cursor": null});
    assert_eq!(page["meta"], meta);
    let (_, page) = running.client.get("/api/v1/media/jobs?provider=fal").await;
    assert_eq!(page["data"][0]["prompt"], "four");
    running.finish().await;
}
