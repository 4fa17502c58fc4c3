use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Stage, text};

#[tokio::test]
async fn an_image_goes_through_the_queue() {
    let stage = Stage::with(|options| options.timing.image = Duration::from_millis(300)).await;
    let submitted = stage.fal_submit("fal-ai/flux/dev", &json!({"prompt": "a cat", "num_images": 2})).await;
    assert_eq!(submitted["status"], "IN_QUEUE");
    assert_eq!(submitted["queue_position"], 0);
    let request_id = text(&submitted, "request_id");
    let expected = stage.url(&format!("/fal/fal-ai/flux/requests/{request_id}"));
    assert_eq!(submitted["response_url"], expected, "the sub-path is dropped");
    assert_eq!(submitted["status_url"], format!("{expected}/status"));

    let early = stage.fal(Method::GET, &expected).send().await.unwrap();
    assert_eq!(early.status(), 400);

    let result = stage.fal_result(&submitted).await;
    assert_eq!(result.status(), 200);
    assert_eq!(result.headers()["x-fal-request-id"], request_id);
    let output: Value = result.json().await.unwrap();
    assert_eq!(output["images"].as_array().unwrap().len(), 2);
    assert_eq!(output["has_nsfw_concepts"], json!([false, false]));
    let image = &output["images"][0];
    assert_eq!((image["width"].as_u64(), image["height"].as_u64()), (Some(1024), Some(768)));

    let head = stage.client.head(text(image, "url")).send().await.unwrap();
    let file = stage.client.get(text(image, "url")).send().await.unwrap();
    for response in [&head, &file] {
        assert_eq!(response.headers()["content-type"], "image/jpeg");
        assert_eq!(response.headers()["content-length"], image["file_size"].to_string());
    }
    assert!(file.bytes().await.unwrap().starts_with(&[0xff, 0xd8, 0xff, 0xe0]));
}

#[tokio::test]
async fn the_three_states_come_in_order() {
    let stage = Stage::with(|options| options.timing.image = Duration::from_millis(400)).await;
    let submitted = stage.fal_submit("fal-ai/flux/schnell", &json!({"prompt": "states"})).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&(200, "COMPLETED".to_owned())) {
        let url = format!("{}?logs=1", text(&submitted, "status_url"));
        let response = stage.fal(Method::GET, &url).send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        assert_eq!(body.get("queue_position").is_some(), body["status"] == "IN_QUEUE");
        assert_eq!(body.get("logs").is_some(), body["status"] != "IN_QUEUE");
        seen.push((status, text(&body, "status").to_owned()));
        seen.dedup();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let word = |status, word: &str| (status, word.to_owned());
    assert_eq!(seen, [word(202, "IN_QUEUE"), word(202, "IN_PROGRESS"), word(200, "COMPLETED")]);
}

#[tokio::test]
async fn files_agree_with_what_was_asked() {
    let stage = Stage::new().await;
    let body = json!({"prompt": "p", "output_format": "png", "image_size": {"width": 200, "height": 120}});
    let output: Value = {
        let submitted = stage.fal_submit("fal-ai/flux-pro/v1.1", &body).await;
        stage.fal_result(&submitted).await.json().await.unwrap()
    };
    let image = &output["images"][0];
    assert_eq!(image["content_type"], "image/png");
    let bytes = stage.client.get(text(image, "url")).send().await.unwrap().bytes().await.unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert_eq!(bytes[16..24], [0, 0, 0, 200, 0, 0, 0, 120]);

    let inline = json!({"prompt": "p", "sync_mode": true});
    let submitted = stage.fal_submit("fal-ai/flux/dev", &inline).await;
    let output: Value = stage.fal_result(&submitted).await.json().await.unwrap();
    assert!(text(&output["images"][0], "url").starts_with("data:image/jpeg;base64,/9j/"));

    let kling = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video";
    let submitted = stage.fal_submit(kling, &json!({"prompt": "p", "duration": "5"})).await;
    let output: Value = stage.fal_result(&submitted).await.json().await.unwrap();
    assert_eq!(output["video"]["content_type"], "video/mp4");
}

#[tokio::test]
async fn cancel_answers_by_the_state() {
    let stage = Stage::with(|options| options.timing.image = Duration::from_secs(30)).await;
    let submitted = stage.fal_submit("fal-ai/flux/dev", &json!({"prompt": "cancel me"})).await;
    let cancel = || stage.fal(Method::PUT, text(&submitted, "cancel_url")).send();
    let response = cancel().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"status": "CANCELLATION_REQUESTED"}));
    let response = cancel().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"status": "ALREADY_COMPLETED"}));
    let result = stage.fal_result(&submitted).await;
    assert_eq!(result.status(), 499);
    assert_eq!(stage.simulator.journal().cancels().len(), 2);

    let unknown = stage.fal(Method::PUT, "/fal-ai/flux/requests/none/cancel").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.json::<Value>().await.unwrap(), json!({"status": "NOT_FOUND"}));
}

#[tokio::test]
async fn wrong_requests_get_the_providers_bodies() {
    let stage = Stage::new().await;
    let refused = async |model: &str, body: Value| {
        let response = stage.fal(Method::POST, &format!("/{model}")).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let (status, body) = refused("fal-ai/flux/dev", json!({})).await;
    assert_eq!(status, 422);
    assert_eq!(body["detail"][0]["loc"], json!(["body", "prompt"]));
    assert_eq!(body["detail"][0]["type"], "missing");
    for wrong in [
        json!({"prompt": "x", "image_size": "huge"}),
        json!({"prompt": "x", "num_images": 9}),
        json!({"prompt": "x", "output_format": "gif"}),
    ] {
        assert_eq!(refused("fal-ai/flux/dev", wrong.clone()).await.0, 422, "{wrong}");
    }
    assert_eq!(refused("fal-ai/flux-pro", json!({"prompt": "x"})).await.0, 404);

    let url = stage.url("/fal/fal-ai/flux/dev");
    for (key, expected) in [("Key bad-key", 401), ("Bearer x", 401), ("Key no-money", 403)] {
        let request = stage.client.post(&url).header("authorization", key).json(&json!({"prompt": "x"}));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), expected);
        let body: Value = response.json().await.unwrap();
        assert_eq!(text(&body, "detail").contains("locked"), expected == 403);
    }
    assert!(stage.simulator.journal().submits().iter().all(|entry| !entry.accepted));
}
