//! Assets on their whole way: uploaded, used, listed, fetched in part, deleted, and found again in the asset store.

use std::collections::BTreeMap;

use atelier_api::commands::rebuild;
use redis::Commands;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Client, Running, image, speech};

const ASSETS: &str = "/api/v1/assets";

async fn upload(client: &Client, name: &str, bytes: &[u8]) -> Value {
    let file = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name(name.to_owned());
    let form = reqwest::multipart::Form::new().text("metadata", r#"{"shelf": 7}"#).part("file", file);
    let request = client.request(Method::POST, ASSETS).header("X-API-Key", "demo").multipart(form);
    let (status, answer) = client.send(request).await;
    assert_eq!(status, 201, "{answer}");
    answer["data"].clone()
}

async fn listed(client: &Client, query: &str) -> Vec<Value> {
    let (status, answer) = client.get(&format!("{ASSETS}?{query}")).await;
    assert_eq!(status, 200, "{answer}");
    answer["data"].as_array().unwrap().clone()
}

/// The whole list, by cursors, as id and asset.
async fn all(client: &Client) -> BTreeMap<String, Value> {
    let (mut found, mut query) = (BTreeMap::new(), "limit=2".to_owned());
    loop {
        let (_, answer) = client.get(&format!("{ASSETS}?{query}")).await;
        for asset in answer["data"].as_array().unwrap() {
            found.insert(asset["id"].as_str().unwrap().to_owned(), asset.clone());
        }
        match answer["meta"]["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=2&cursor={cursor}"),
            None => return found,
        }
    }
}

async fn content(
    client: &Client,
    id: &str,
    range: Option<&str>,
) -> (u16, reqwest::header::HeaderMap, Vec<u8>) {
    let mut request =
        client.request(Method::GET, &format!("{ASSETS}/{id}/content")).header("X-API-Key", "demo");
    if let Some(range) = range {
        request = request.header("Range", range);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn an_upload_goes_into_a_job_and_both_files_are_fetched_in_part_and_deleted() {
    let running = Running::start().await;
    let client = &running.client;
    let first = client.run(&image("an input")).await;
    let picture = client.download(first["asset_ids"][0].as_str().unwrap()).await.1;

    let uploaded = upload(client, "fox.png", &picture).await;
    let id = uploaded["id"].as_str().unwrap();
    assert_eq!((&uploaded["file_name"], &uploaded["width"]), (&json!("fox.png"), &json!(1024)));
    let body = json!({"operation": "video_from_image", "provider": "runway", "prompt": "zoom", "input_asset_id": id});
    let job = client.run(&body).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    let video = job["asset_ids"][0].as_str().unwrap();

    let newest: Vec<Value> = listed(client, "").await.iter().map(|asset| asset["id"].clone()).collect();
    assert_eq!(newest, [json!(video), json!(id), first["asset_ids"][0].clone()]);
    assert_eq!(listed(client, "type=video&provider=runway").await[0]["prompt"], "zoom");
    assert_eq!(listed(client, &format!("job_id={}", job["id"].as_str().unwrap())).await.len(), 1);

    let (status, headers, whole) = content(client, id, None).await;
    assert_eq!((status, &headers["content-type"]), (200, &"image/png".parse().unwrap()));
    assert!(whole == picture, "what went in comes out");
    let (status, headers, part) = content(client, id, Some("bytes=100-199")).await;
    assert_eq!(status, 206);
    assert_eq!(headers["content-range"], format!("bytes 100-199/{}", picture.len()));
    assert!(part == picture[100..200]);
    assert_eq!(content(client, id, Some("bytes=99999999-")).await.0, 416);

    for id in [id, video] {
        let delete = client.request(Method::DELETE, &format!("{ASSETS}/{id}")).header("X-API-Key", "demo");
        assert_eq!(delete.send().await.unwrap().status().as_u16(), 204);
        assert_eq!(client.get(&format!("{ASSETS}/{id}")).await.0, 404);
        assert_eq!(content(client, id, None).await.0, 404);
    }
    assert_eq!(listed(client, "").await.len(), 1);
    let (status, _) = client.post("/api/v1/media/jobs", &body).await;
    assert_eq!(status, 400, "a deleted asset is no input");
    running.finish().await;
}

#[tokio::test]
async fn records_are_made_again_from_the_manifests() {
    let running = Running::start().await;
    let client = &running.client;
    let job = client.run(&image("a fox")).await;
    client.run(&speech("hello")).await;
    let picture = client.download(job["asset_ids"][0].as_str().unwrap()).await.1;
    let uploaded = upload(client, "fox.png", &picture).await;
    let gone = upload(client, "gone.png", &picture).await;
    let path = format!("{ASSETS}/{}", gone["id"].as_str().unwrap());
    let delete = client.request(Method::DELETE, &path).header("X-API-Key", "demo");
    assert_eq!(delete.send().await.unwrap().status().as_u16(), 204);
    let before = all(client).await;
    assert_eq!(before.len(), 3);

    let settings = &running.stack.around.api;
    let mut redis = redis::Client::open(settings.redis.url.expose().as_str()).unwrap();
    for pattern in ["{q0}:a:*", "{q0}:e:*"] {
        let keys: Vec<String> = redis.keys(pattern).unwrap();
        assert!(!keys.is_empty(), "{pattern}");
        redis.del::<_, ()>(&keys).unwrap();
    }
    assert!(all(client).await.is_empty());
    let id = uploaded["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("{ASSETS}/{id}")).await.0, 404);

    let nobody = rebuild::run(settings, Some("nobody".parse().unwrap())).await.unwrap();
    assert_eq!(nobody, rebuild::Rebuilt::default());
    // Twice, as it may be.
    for workspace in [None, Some("demo".parse().unwrap())] {
        let rebuilt = rebuild::run(settings, workspace).await.unwrap();
        assert_eq!(rebuilt, rebuild::Rebuilt { assets: 3, orphans: 0, unreadable: 0 });
        assert_eq!(all(client).await, before, "each fact is as it was");
    }
    assert!(content(client, id, None).await.2 == picture);
    running.finish().await;
}
