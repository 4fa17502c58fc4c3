//! Input files on their whole way: sent along, kept in the asset store, and brought to each provider in its own form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Running, image};

/// A picture of 1024 x 768 pixels.
async fn picture(running: &Running) -> Vec<u8> {
    let job = running.client.run(&image("an input")).await;
    running.client.download(job["asset_ids"][0].as_str().unwrap()).await.1
}

fn succeeded(job: &Value) {
    assert_eq!(job["status"], "succeeded", "{job:#}");
}

#[tokio::test]
async fn bytes_sent_along_reach_providers_that_take_bytes_and_those_that_fetch() {
    let running = Running::start().await;
    let base64 = STANDARD.encode(picture(&running).await);
    for (operation, provider) in [
        ("video_from_image", "runway"),
        ("image_edit", "stability"),
        ("video_from_image", "luma"),
        ("image_edit", "fal"),
    ] {
        let body = json!({"operation": operation, "provider": provider, "prompt": "in the snow", "input_base64": base64});
        succeeded(&running.client.run(&body).await);
    }
    running.finish().await;
}

#[tokio::test]
async fn a_form_with_a_picture_and_its_mask_becomes_a_picture() {
    let running = Running::start().await;
    let bytes = picture(&running).await;
    let job = json!({"operation": "image_edit", "provider": "fal", "model": "fal-ai/flux-pro/v1/fill", "prompt": "a hat"});
    let part = |bytes: &[u8]| reqwest::multipart::Part::bytes(bytes.to_vec()).file_name("a.png");
    let form = reqwest::multipart::Form::new()
        .text("job", job.to_string())
        .part("input", part(&bytes))
        .part("mask", part(&bytes));
    let request =
        running.client.request(reqwest::Method::POST, "/api/v1/media/jobs").header("X-API-Key", "demo");
    let (status, answer) = running.client.send(request.multipart(form)).await;
    assert_eq!(status, 201, "{answer}");
    succeeded(&running.client.end_of(answer["data"]["id"].as_str().unwrap()).await);
    running.finish().await;
}

#[tokio::test]
async fn a_file_that_a_model_cannot_take_is_refused_and_never_sent() {
    let running = Running::start().await;
    let wide = json!({"operation": "image_gen", "provider": "fal", "prompt": "wide",
        "config": {"image_size": {"width": 2048, "height": 256}, "output_format": "png"}});
    let wide = running.client.run(&wide).await;
    let submits = running.journal().submits().len();
    for (body, field, words) in [
        (
            json!({"operation": "image_edit", "provider": "stability", "model": "inpaint", "prompt": "x",
                "input_asset_id": wide["asset_ids"][0]}),
            "input_asset_id",
            "2048 x 256 pixels",
        ),
        (
            json!({"operation": "stt", "provider": "deepgram", "input_asset_id": wide["asset_ids"][0]}),
            "input_asset_id",
            "image/png",
        ),
        (
            json!({"operation": "video_gen", "provider": "runway", "prompt": "x", "config": {"duration": 30}}),
            "config.duration",
            "the nearest is 10",
        ),
        (
            json!({"operation": "video_gen", "provider": "runway", "prompt": "x", "config": {"num_images": 2}}),
            "config.num_images",
            "not a known field",
        ),
    ] {
        let (status, answer) = running.client.post("/api/v1/media/jobs", &body).await;
        assert_eq!(status, 400, "{body}: {answer}");
        let error = &answer["error"]["details"]["fields"][0];
        assert_eq!(error["field"], field, "{answer}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(running.journal().submits().len(), submits, "nothing was sent");
    running.finish().await;
}
