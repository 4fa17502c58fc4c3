//! Providers that call when their work has ended: the wait is over at once, however rarely they would be asked.

use std::time::{Duration, Instant};

use atelier_dev::StackOptions;
use atelier_dev::stack::by_provider;
use atelier_domain::policy::Polling;
use atelier_runtime::settings::TelemetrySettings;
use atelier_simulator::{Kind, Provider};
use serde_json::json;

use crate::harness::{Running, speech};

/// Long enough that a job which is only polled cannot end within the test.
const RARE: Polling = Polling { interval_ms: 120_000, max_checks: 60, timeout_ms: 600_000 };

fn rarely_polled(options: &mut StackOptions) {
    options.has_callbacks = true;
    options.policy.polling = RARE;
    options.policy.polling_by = by_provider(RARE);
}

#[tokio::test]
async fn a_callback_ends_the_wait_and_polling_would_have_done_it_later() {
    let running = Running::with(rarely_polled, &TelemetrySettings::default()).await;
    let since = Instant::now();
    for body in [
        json!({"operation": "image_gen", "provider": "fal", "prompt": "a fox"}),
        json!({"operation": "image_gen", "provider": "replicate", "model": "black-forest-labs/flux-schnell", "prompt": "a fox"}),
        json!({"operation": "video_gen", "provider": "luma", "prompt": "a fox"}),
        json!({"operation": "video_gen", "provider": "pika", "prompt": "a fox"}),
    ] {
        let job = running.client.run(&body).await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
        assert_eq!(job["checks"], 1, "asked once, when it was told to: {job:#}");
    }
    assert!(since.elapsed() < Duration::from_secs(60));
    for provider in [Provider::Fal, Provider::Replicate, Provider::Luma] {
        let entries = running.journal().all();
        let heard = entries.iter().any(|entry| {
            entry.provider == Some(provider) && entry.kind == Kind::Webhook && entry.status == Some(200)
        });
        assert!(heard, "{provider:?} was not heard");
    }
    running.finish().await;
}

#[tokio::test]
async fn a_transcript_that_comes_by_callback_needs_no_question() {
    let running = Running::with(
        |options| {
            rarely_polled(options);
            options.deepgram_calls_back = true;
        },
        &TelemetrySettings::default(),
    )
    .await;
    let sound = running.client.run(&speech("words that come back")).await;
    let body = json!({"operation": "stt", "provider": "deepgram", "input_asset_id": sound["asset_ids"][0]});
    let job = running.client.run(&body).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(
        (&job["checks"], job["text"].as_str().unwrap().contains("words")),
        (&json!(0), true),
        "{job:#}"
    );
    running.finish().await;
}
