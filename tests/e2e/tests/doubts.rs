//! Paid calls that nobody knows the outcome of, results that come late, and jobs that all tries have failed.

use std::time::{Duration, Instant};

use atelier_dev::StackOptions;
use atelier_dev::stack::by_provider;
use atelier_domain::policy::Polling;
use atelier_runtime::settings::TelemetrySettings;
use serde_json::{Value, json};

use crate::harness::{LONG, Running, speech, video};

async fn running(tune: impl FnOnce(&mut StackOptions)) -> Running {
    Running::with(tune, &TelemetrySettings::default()).await
}

#[tokio::test]
async fn a_lost_answer_is_made_good_by_the_providers_callback() {
    let running = running(|options| options.has_callbacks = true).await;
    for body in [
        json!({"operation": "image_gen", "provider": "fal", "prompt": "a [sim:lost]"}),
        json!({"operation": "image_gen", "provider": "replicate", "model": "black-forest-labs/flux-schnell",
            "prompt": "b [sim:lost]"}),
        json!({"operation": "video_gen", "provider": "luma", "prompt": "c [sim:lost]"}),
    ] {
        let job = running.client.run(&body).await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
        assert_eq!(job["attempts"], 1, "{job:#}");
        assert_eq!(running.journal().submits_of(body["prompt"].as_str().unwrap()), 1, "paid once");
        let call = &job["paid_calls"][0];
        assert_eq!(
            (&call["outcome"], &call["evidence"]),
            (&json!("accepted"), &json!("the provider called back"))
        );
    }
    running.finish().await;
}

/// A job that waits in doubt.
async fn held(running: &Running, prompt: &str) -> String {
    let mut body = video(prompt);
    body["on_unknown_outcome"] = json!("hold");
    let id = running.client.submit(&body).await;
    running.client.until(&id, "uncertain").await;
    id
}

async fn resolve(running: &Running, id: &str, decision: &Value) -> (u16, Value) {
    running.client.post(&format!("/api/v1/media/jobs/{id}/resolve"), decision).await
}

#[tokio::test]
async fn a_person_resolves_what_nobody_could_know() {
    let running = running(|_| {}).await;
    let adopted = held(&running, "d [sim:lost]").await;
    let disproved = held(&running, "e [sim:lost times=1]").await;
    let given_up = held(&running, "f [sim:lost]").await;
    let (_, open) = running.client.get("/api/v1/media/jobs?status=uncertain").await;
    assert_eq!(open["meta"]["total"], 3, "{open:#}");
    let evidence = &open["data"][0]["paid_calls"][0];
    assert_eq!(evidence["outcome"], "unknown");
    assert!(evidence["evidence"].as_str().is_some_and(|text| !text.is_empty()), "{evidence}");

    let made = running.journal().submits();
    let work = made.iter().find(|entry| entry.prompt.as_deref() == Some("d [sim:lost]")).unwrap();
    let remote_id = work.remote_id.as_deref().unwrap();
    let (status, answer) =
        resolve(&running, &adopted, &json!({"decision": "adopt", "provider_job_id": remote_id})).await;
    assert_eq!((status, &answer["data"]["status"]), (200, &json!("awaiting")), "{answer:#}");
    assert_eq!(running.client.end_of(&adopted).await["status"], "succeeded");
    assert_eq!(running.journal().submits_of("d [sim:lost]"), 1);

    resolve(&running, &disproved, &json!({"decision": "disprove"})).await;
    let job = running.client.end_of(&disproved).await;
    assert_eq!((&job["status"], &job["attempts"]), (&json!("succeeded"), &json!(2)), "{job:#}");

    resolve(&running, &given_up, &json!({"decision": "give_up"})).await;
    let job = running.client.job(&given_up).await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("unknown_outcome")));
    let (status, answer) = resolve(&running, &given_up, &json!({"decision": "disprove"})).await;
    assert_eq!(status, 400, "INV-3: {answer}");
    let (_, open) = running.client.get("/api/v1/media/jobs?status=uncertain").await;
    assert_eq!(open["meta"]["total"], 0, "{open:#}");
    running.finish().await;
}

#[tokio::test]
async fn a_video_that_comes_after_its_timeout_is_kept() {
    let running = running(|options| {
        options.policy.polling_by =
            by_provider(Polling { interval_ms: 50, max_checks: 2, timeout_ms: 30_000 });
        options.timing.video = Duration::from_secs(1);
        options.policy.salvage_ms = 2_000;
    })
    .await;
    let job = running.client.run(&video("late")).await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("timeout")), "{job:#}");
    let id = job["id"].as_str().unwrap();
    let since = Instant::now();
    let saved = loop {
        let job = running.client.job(id).await;
        if job["asset_ids"].as_array().is_some_and(|ids| !ids.is_empty()) {
            break job;
        }
        assert!(since.elapsed() < LONG, "the late video is lost: {job:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&saved["status"], &saved["error"]["code"]), (&json!("failed"), &json!("timeout")), "INV-3");
    assert_eq!(saved["assets"][0]["content_type"], "video/mp4");
    assert!(saved["cost"]["actual_usd"].as_f64().is_some_and(|usd| usd > 0.0), "{saved:#}");
    let (_, bytes) = running.client.download(saved["asset_ids"][0].as_str().unwrap()).await;
    assert!(!bytes.is_empty());
    assert!(running.journal().cancels().is_empty(), "finished work needs no cancel");
    running.finish().await;
}

#[tokio::test]
async fn dead_letters_are_listed_replayed_once_and_purged() {
    let running = running(|_| {}).await;
    let replayed = running.client.run(&speech("g [sim:status=503 times=5]")).await;
    let purged = running.client.run(&video("h [sim:status=503 times=5]")).await;
    for job in [&replayed, &purged] {
        assert_eq!(job["error"]["code"], "exhausted", "{job:#}");
    }
    // What fails for good is no dead letter.
    running.client.run(&video("i [sim:moderation]")).await;
    let letters = async || running.client.get("/api/v1/media/dead-letters").await.1;
    assert_eq!(letters().await["meta"]["total"], 2);
    let (_, speeches) = running.client.get("/api/v1/media/dead-letters?operation=tts").await;
    assert_eq!(speeches["data"][0]["id"], replayed["id"]);

    let selection = json!({"job_ids": [replayed["id"]]});
    let mut new_ids = Vec::new();
    for _ in 0..2 {
        let (status, answer) = running.client.post("/api/v1/media/dead-letters/replay", &selection).await;
        assert_eq!(status, 200, "{answer}");
        new_ids.push(answer["data"]["replayed"][0]["new_job_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(new_ids[0], new_ids[1], "a repeated replay is the same job");
    let again = running.client.end_of(&new_ids[0]).await;
    assert_eq!((&again["status"], &again["replay_of"]), (&json!("succeeded"), &replayed["id"]), "{again:#}");
    assert_eq!(letters().await["meta"]["total"], 1);

    let all = json!({"filter": {"provider": "runway"}});
    let (_, answer) = running.client.post("/api/v1/media/dead-letters/purge", &all).await;
    assert_eq!(answer["data"], json!({"purged": [purged["id"]], "missing": [], "remaining": 0}));
    let (status, _) =
        running.client.get(&format!("/api/v1/media/jobs/{}", purged["id"].as_str().unwrap())).await;
    assert_eq!(status, 404);
    running.finish().await;
}
