//! Providers that fail, lie, and lose answers.

use std::time::Duration;

use atelier_dev::stack::by_provider;
use atelier_domain::policy::Polling;
use atelier_runtime::settings::TelemetrySettings;
use serde_json::{Value, json};

use crate::harness::{Running, image, speech, video};

async fn failed(running: &Running, body: &Value, code: &str) -> Value {
    let job = running.client.run(body).await;
    assert_eq!(job["status"], "failed", "{body}: {job:#}");
    assert_eq!(job["error"]["code"], code, "{body}: {job:#}");
    assert_eq!((&job["asset_ids"], &job["assets"]), (&json!([]), &json!([])), "an asset is shown");
    job
}

#[tokio::test]
async fn a_provider_that_lies_gives_a_clear_code_and_no_asset() {
    let running = Running::start().await;
    for fault in ["wrong_type", "wrong_type=media", "truncated", "cut_clean"] {
        for body in [video(&format!("a [sim:{fault}]")), image(&format!("b [sim:{fault}]"))] {
            let job = failed(&running, &body, "malformed").await;
            assert_eq!(running.journal().submits_of(body["prompt"].as_str().unwrap()), 1, "{job:#}");
        }
    }
    // The bytes that came with a reply cannot be fetched again.
    failed(&running, &speech("c [sim:wrong_type]"), "malformed").await;
    failed(&running, &speech("d [sim:wrong_type=media]"), "malformed").await;
    failed(&running, &speech("e [sim:truncated]"), "unknown_outcome").await;
    let folder = running.folder.path().join("s3/atelier/demo");
    assert!(!folder.exists() || walk(&folder).is_empty(), "objects are left: {:?}", walk(&folder));
    running.finish().await;
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            files.extend(walk(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}

#[tokio::test]
async fn passing_faults_are_tried_again_and_paid_once() {
    let running = Running::start().await;
    for prompt in [
        "limited [sim:status=429 times=2]",
        "limited with a hint [sim:status=429 retry_after=1s times=1]",
        "busy [sim:status=503 times=2]",
        "checks fail [sim:status=500 on=status times=2]",
        "checks break [sim:lost on=status times=2]",
        "checks lie [sim:malformed on=status times=2]",
        "odd words [sim:progress=THROTTLED,ODD]",
        "file comes back [sim:gone=404 times=2]",
        "slow [sim:slow=400KB]",
    ] {
        let job = running.client.run(&video(prompt)).await;
        assert_eq!(job["status"], "succeeded", "{prompt}: {job:#}");
        assert_eq!(running.journal().submits_of(prompt), 1, "{prompt}");
    }
    running.finish().await;
}

#[tokio::test]
async fn refusals_are_final_and_told_apart() {
    let running = Running::start().await;
    failed(&running, &video("f [sim:moderation]"), "rejected").await;
    failed(&running, &image("g [sim:moderation]"), "rejected").await;
    failed(&running, &speech("h [sim:moderation]"), "rejected").await;
    failed(&running, &video("i [sim:fail=ASSET.INVALID]"), "invalid").await;
    let mut retired = video("j");
    retired["operation"] = json!("video_from_image");
    retired["model"] = json!("gen3a_turbo");
    retired["input_url"] = json!("https://example.com/a.png");
    retired["config"] = json!({});
    failed(&running, &retired, "model_retired").await;
    for prompt in ["f [sim:moderation]", "g [sim:moderation]", "h [sim:moderation]"] {
        let tries = running
            .journal()
            .submits()
            .iter()
            .filter(|entry| entry.prompt.as_deref() == Some(prompt))
            .count();
        assert_eq!(tries, 1, "{prompt} was tried again");
    }
    running.finish().await;
}

#[tokio::test]
async fn a_lost_answer_is_said_honestly_and_not_paid_again() {
    let running = Running::start().await;
    for body in [video("k [sim:lost]"), image("l [sim:lost]"), speech("m [sim:lost]")] {
        let job = failed(&running, &body, "unknown_outcome").await;
        assert_eq!(job["error"]["retryable"], true);
        assert_eq!(running.journal().submits_of(body["prompt"].as_str().unwrap()), 1);
    }
    // Who accepts a second payment gets the result.
    let mut body = video("n [sim:lost times=1]");
    body["on_unknown_outcome"] = json!("resubmit");
    let job = running.client.run(&body).await;
    assert_eq!((&job["status"], &job["attempts"]), (&json!("succeeded"), &json!(2)), "{job:#}");
    assert_eq!(running.journal().submits_of("n [sim:lost times=1]"), 2);
    // What was never accepted is no loss: the connection was refused before the request.
    running.finish().await;
}

#[tokio::test]
async fn a_video_that_never_ends_times_out_and_is_cancelled_at_the_provider() {
    let tune = |options: &mut atelier_dev::StackOptions| {
        options.policy.polling_by =
            by_provider(Polling { interval_ms: 100, max_checks: 5, timeout_ms: 30_000 });
    };
    let running = Running::with(tune, &TelemetrySettings::default()).await;
    let job = failed(&running, &video("o [sim:stuck]"), "timeout").await;
    assert_eq!(job["checks"], 5);
    assert_eq!(job["attempts"], 1, "INV-6: waiting uses no attempt");
    let since = std::time::Instant::now();
    while running.journal().cancels().is_empty() {
        assert!(since.elapsed() < Duration::from_secs(20), "the provider was not told to stop");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.finish().await;
}

#[tokio::test]
async fn a_cancel_cancels_everywhere() {
    let running = Running::start().await;
    let id = running.client.submit(&video("p [sim:stuck]")).await;
    running.client.until(&id, "awaiting").await;
    let (status, answer) = running.client.post(&format!("/api/v1/media/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!((status, &answer["data"]["status"]), (200, &json!("cancelled")), "{answer}");
    let since = std::time::Instant::now();
    while running.journal().cancels().is_empty() {
        assert!(since.elapsed() < Duration::from_secs(20), "the provider was not told to stop");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (status, answer) = running.client.post(&format!("/api/v1/media/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(status, 400, "INV-3: {answer}");
    assert_eq!(running.client.job(&id).await["status"], "cancelled");
    // A job that has not begun is never begun.
    let mut later = video("q");
    later["run_at"] = json!((atelier_domain::Timestamp::now() + Duration::from_secs(600)).to_string());
    let id = running.client.submit(&later).await;
    running.client.post(&format!("/api/v1/media/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(running.client.job(&id).await["status"], "cancelled");
    assert_eq!(running.journal().submits_of("q"), 0);
    running.finish().await;
}

#[tokio::test]
async fn a_job_that_cannot_start_in_time_fails_with_its_reason() {
    let running = Running::start().await;
    let mut body = speech("r [sim:status=429]");
    body["deadline_s"] = json!(1);
    failed(&running, &body, "rate_limited").await;
    running.finish().await;
}
