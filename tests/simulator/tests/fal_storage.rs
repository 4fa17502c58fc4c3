//! Fal's storage: two ways to bring a file, and what it is good for afterwards.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Stage, text};

async fn image(stage: &Stage) -> bytes::Bytes {
    let body = json!({"prompt": "in", "image_size": {"width": 160, "height": 120}, "output_format": "png"});
    let submitted = stage.fal_submit("fal-ai/flux/dev", &body).await;
    let output: Value = stage.fal_result(&submitted).await.json().await.unwrap();
    stage.client.get(text(&output["images"][0], "url")).send().await.unwrap().bytes().await.unwrap()
}

async fn initiated(stage: &Stage) -> Value {
    let request = stage.fal(Method::POST, "/storage/upload/initiate?storage_type=fal-cdn-v3");
    let body = json!({"content_type": "image/png", "file_name": "my cat.png"});
    let answer = request.json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

async fn edit(stage: &Stage, image_url: &str) -> Response {
    let body = json!({"prompt": "a hat", "image_url": image_url});
    stage.fal(Method::POST, "/fal-ai/flux-pro/kontext").json(&body).send().await.unwrap()
}

#[tokio::test]
async fn a_file_is_announced_sent_and_used() {
    let stage = Stage::new().await;
    let upload = initiated(&stage).await;
    let file_url = text(&upload, "file_url");
    assert!(file_url.starts_with(&stage.url("/fal/files/")) && file_url.ends_with("/my_cat.png"));
    // Announced, but not there yet.
    assert_eq!(stage.client.get(file_url).send().await.unwrap().status(), 404);
    let refused: Value = edit(&stage, file_url).await.json().await.unwrap();
    assert_eq!(refused["detail"][0]["type"], "file_download_error");

    let bytes = image(&stage).await;
    let put = stage.client.put(text(&upload, "upload_url")).header("content-type", "image/png");
    assert_eq!(put.body(bytes.clone()).send().await.unwrap().status(), 200);
    let file = stage.client.get(file_url).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "image/png");
    assert_eq!(file.bytes().await.unwrap(), bytes);
    let submitted: Value = edit(&stage, file_url).await.json().await.unwrap();
    let output: Value = stage.fal_result(&submitted).await.json().await.unwrap();
    assert_eq!((&output["images"][0]["width"], &output["images"][0]["height"]), (&json!(160), &json!(120)));
}

#[tokio::test]
async fn a_token_opens_the_cdn() {
    let stage = Stage::new().await;
    let request = stage.fal(Method::POST, "/storage/auth/token?storage_type=fal-cdn-v3").json(&json!({}));
    let token: Value = request.send().await.unwrap().json().await.unwrap();
    let url = format!("{}/files/upload", text(&token, "base_url"));
    let send = |authorization: String, bytes: bytes::Bytes| {
        let request = stage.client.post(&url).header("authorization", authorization);
        request.header("content-type", "image/png").header("x-fal-file-name", "a.png").body(bytes).send()
    };
    let good = format!("{} {}", text(&token, "token_type"), text(&token, "token"));
    let answer = send(good.clone(), image(&stage).await).await.unwrap();
    let access_url = text(&answer.json().await.unwrap(), "access_url").to_owned();
    assert_eq!(edit(&stage, &access_url).await.status(), 200);
    for wrong in [good.replacen(' ', " 9", 1), "Bearer x".to_owned(), "Key bad-key".to_owned()] {
        assert_eq!(send(wrong.clone(), bytes::Bytes::new()).await.unwrap().status(), 401, "{wrong}");
    }
}

#[tokio::test]
async fn files_that_are_no_pictures_or_were_never_here_are_refused() {
    let stage = Stage::new().await;
    let upload = initiated(&stage).await;
    let put = stage.client.put(text(&upload, "upload_url")).body("plain text");
    assert_eq!(put.send().await.unwrap().status(), 200);
    for (url, kind) in [
        (text(&upload, "file_url").to_owned(), "image_load_error"),
        (stage.url("/fal/files/none/a.png"), "file_download_error"),
    ] {
        let answer = edit(&stage, &url).await;
        assert_eq!(answer.status(), 422);
        assert_eq!(answer.json::<Value>().await.unwrap()["detail"][0]["type"], kind);
    }
}

#[tokio::test]
async fn uploads_are_checked() {
    let stage = Stage::new().await;
    let post = async |path: &str, key: &str, body: Value| {
        let request = stage.client.post(stage.url(&format!("/fal{path}"))).header("authorization", key);
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    let whole = json!({"content_type": "image/png", "file_name": "a.png"});
    assert_eq!(post("/storage/upload/initiate", "Key bad-key", whole.clone()).await, 401);
    assert_eq!(post("/storage/upload/initiate?storage_type=tape", "Key k", whole).await, 422);
    assert_eq!(post("/storage/upload/initiate", "Key k", json!({"file_name": "a.png"})).await, 422);
    assert_eq!(post("/storage/auth/token", "Bearer k", json!({})).await, 401);
    let unknown = stage.client.put(stage.url("/fal/storage/upload/none")).body("x").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert!(stage.simulator.journal().submits().is_empty(), "uploads are no paid work");
}
