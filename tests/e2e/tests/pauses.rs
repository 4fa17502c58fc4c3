//! Pauses, priorities and their order, as callers and operators see them.

use std::time::{Duration, Instant};

use atelier_runtime::settings::TelemetrySettings;
use serde_json::json;

use crate::harness::{LONG, Running, speech, video};

const PAUSES: &str = "/api/v1/media/pauses";

#[tokio::test]
async fn nothing_of_a_paused_provider_is_begun_until_it_is_resumed() {
    let running = Running::with(|_| {}, &TelemetrySettings::default()).await;
    let body = json!({"provider": "runway", "reason": "they bill twice today"});
    let (status, answer) = running.client.post(PAUSES, &body).await;
    assert_eq!(status, 201, "{answer:#}");
    let mut held = Vec::new();
    for number in 0..3 {
        held.push(running.client.submit(&video(&format!("held {number}"))).await);
    }
    // Others go on, and what is held back holds up nobody.
    let spoken = running.client.run(&speech("free")).await;
    assert_eq!(spoken["status"], "succeeded");
    let since = Instant::now();
    while running.client.get(PAUSES).await.1["data"][0]["held"] != 3 {
        assert!(since.elapsed() < LONG, "the jobs are not held");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for id in &held {
        let (_, job) = running.client.get(&format!("/api/v1/media/jobs/{id}")).await;
        assert_eq!((&job["data"]["status"], &job["data"]["attempts"]), (&json!("queued"), &json!(0)));
    }
    assert_eq!(running.journal().submits_of("held 0"), 0, "nothing was paid");
    // A cancelled one does not come back.
    let (status, _) =
        running.client.post(&format!("/api/v1/media/jobs/{}/cancel", held[2]), &json!({})).await;
    assert_eq!(status, 200);
    let (status, answer) =
        running.client.post(&format!("{PAUSES}/resume"), &json!({"provider": "runway"})).await;
    assert_eq!((status, &answer["data"]["resumed"]), (200, &json!(2)), "{answer:#}");
    for id in &held[..2] {
        assert_eq!(running.client.end_of(id).await["status"], "succeeded");
    }
    assert_eq!(running.client.end_of(&held[2]).await["status"], "cancelled");
    assert_eq!(running.journal().submits_of("held 2"), 0);
    running.finish().await;
}
