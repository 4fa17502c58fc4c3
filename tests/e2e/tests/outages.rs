//! Stores that go away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use atelier_dev::embedded_s3::{self, EmbeddedS3Options};
use atelier_domain::job::OutputSource;
use atelier_redis_store::audit;
use atelier_runtime::settings::TelemetrySettings;
use serde_json::json;

use crate::harness::{LONG, Running, image, speech, video};

#[tokio::test]
async fn without_s3_jobs_stay_in_delivering_and_succeed_when_it_returns() {
    let mut running = Running::start().await;
    let address = running.stack.around.s3.address();
    take_s3_away(&mut running).await;
    let bodies = [speech("s"), image("t"), video("u")];
    let mut ids = Vec::new();
    for body in &bodies {
        ids.push(running.client.submit(body).await);
    }
    for id in &ids {
        running.client.until(id, "delivering").await;
    }
    // Many rounds of back-off pass, more than a provider's fault would be given; no job gives up what is paid for.
    let redis = atelier_redis_store::Redis::open(running.stack.around.api.redis.clone()).unwrap();
    let since = Instant::now();
    while !audit::run(&redis).await.unwrap().jobs.iter().all(|job| job.body.waits > 6) {
        assert!(since.elapsed() < LONG, "the store is not tried again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for id in &ids {
        assert_eq!(running.client.job(id).await["status"], "delivering");
    }
    let (status, answer) = running.client.get("/readyz").await;
    assert_eq!(status, 503, "{answer}");
    bring_s3_back(&mut running, address).await;
    for (id, body) in ids.iter().zip(&bodies) {
        let job = running.client.end_of(id).await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
        assert_eq!(running.journal().submits_of(body["prompt"].as_str().unwrap()), 1);
    }
    running.finish().await;
}

#[tokio::test]
async fn a_picture_within_the_answer_of_a_check_waits_in_the_spool_and_in_no_record() {
    let mut running =
        Running::with(|options| options.timing.image = Duration::from_secs(1), &TelemetrySettings::default())
            .await;
    let picture = running.client.run(&image("an input")).await;
    let relit = json!({"operation": "image_edit", "provider": "stability", "model": "replace-background-and-relight",
        "prompt": "relit", "input_asset_id": picture["asset_ids"][0]});
    let id = running.client.submit(&relit).await;
    running.client.until(&id, "awaiting").await;
    let address = running.stack.around.s3.address();
    take_s3_away(&mut running).await;
    running.client.until(&id, "delivering").await;
    let redis = atelier_redis_store::Redis::open(running.stack.around.api.redis.clone()).unwrap();
    let jobs = audit::run(&redis).await.unwrap().jobs;
    let job = jobs.iter().find(|job| job.id.to_string() == id).unwrap();
    let [output] = &job.body.outputs[..] else { panic!("{:?}", job.body.outputs) };
    assert!(matches!(output.source, OutputSource::Spool { size_bytes: 1.., .. }), "{output:?}");
    bring_s3_back(&mut running, address).await;
    assert_eq!(running.client.end_of(&id).await["status"], "succeeded");
    running.finish().await;
}

#[tokio::test]
async fn without_redis_nothing_is_accepted_and_everything_comes_back() {
    let mut running = Running::start().await;
    let id = running.client.submit(&video("v")).await;
    running.client.until(&id, "awaiting").await;
    running.stack.around.redis.as_mut().unwrap().kill();
    let (status, answer) = running.client.post("/api/v1/media/jobs", &speech("w")).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("unavailable")), "{answer}");
    let (status, _) = running.client.get("/readyz").await;
    assert_eq!(status, 503);
    let (status, _) = running.client.get("/healthz").await;
    assert_eq!(status, 200);
    running.stack.around.redis.as_mut().unwrap().start_again().unwrap();
    assert_eq!(running.client.end_of(&id).await["status"], "succeeded");
    assert_eq!(running.client.run(&speech("x")).await["status"], "succeeded");
    assert_eq!(running.journal().submits_of("w"), 0);
    running.finish().await;
}

/// An S3 that knows nobody takes its place.
async fn take_s3_away(running: &mut Running) {
    let down = embedded_s3::start(EmbeddedS3Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        folder: running.folder.path().join("elsewhere"),
        access_key: "none".to_owned(),
        secret_key: "none".to_owned(),
        bucket: "none".to_owned(),
    })
    .await
    .unwrap();
    std::mem::replace(&mut running.stack.around.s3, down).stop().await;
}

async fn bring_s3_back(running: &mut Running, address: SocketAddr) {
    let back = embedded_s3::start(EmbeddedS3Options {
        listen: address,
        folder: running.folder.path().join("s3"),
        access_key: "atelier-dev".to_owned(),
        secret_key: "atelier-dev-secret".to_owned(),
        bucket: atelier_dev::stack::BUCKET.to_owned(),
    })
    .await
    .unwrap();
    std::mem::replace(&mut running.stack.around.s3, back).stop().await;
}
