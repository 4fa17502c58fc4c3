//! Assets: facts, lists, URLs, removal.

use std::sync::atomic::Ordering;

use atelier_domain::asset::Asset;
use atelier_domain::ids::{AssetId, JobId};
use atelier_domain::operation::{Operation, Provider};
use axum::body::Body;
use serde_json::{Value, json};

use crate::fakes::{Answer, Api, asset_of, image, request, upload_of};
use crate::reading::{ASSET_KEYS, keys, sorted};

fn listed(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{}", answer.json);
    answer.json["data"].as_array().unwrap().iter().map(|asset| asset["id"].as_str().unwrap()).collect()
}

/// What a job of this sort has made.
fn made(operation: Operation, provider: Provider, content_type: &str) -> Asset {
    let mut asset = asset_of(&JobId::new(), "acme", content_type);
    let made = asset.made_by.as_mut().unwrap();
    (made.operation, made.provider) = (operation, provider);
    asset
}

#[tokio::test]
async fn an_asset_has_all_its_names() {
    let api = Api::default();
    let id: JobId = api.admitted(&image()).await.parse().unwrap();
    api.store.keep_asset(asset_of(&id, "acme", "image/png"));
    let answer = api.get(&format!("/api/v1/assets/{}", AssetId::of(&id, 0))).await;
    assert_eq!(answer.status, 200);
    let asset = &answer.json["data"];
    assert_eq!(sorted(&keys(asset)), sorted(ASSET_KEYS));
    for (name, value) in [
        ("id", json!(AssetId::of(&id, 0))),
        ("workspace_id", json!("acme")),
        ("job_id", json!(id)),
        ("type", json!("image")),
        ("media_type", json!("image")),
        ("mime_type", json!("image/png")),
        ("content_type", json!("image/png")),
        ("file_size", json!(1234)),
        ("size", json!(1234)),
        ("size_bytes", json!(1234)),
        ("storage_path", json!(format!("acme/2026/11/22/{id}/0.png"))),
        ("storage_key", json!(format!("acme/2026/11/22/{id}/0.png"))),
        ("provider", json!("fal")),
        ("model", json!("fal-ai/flux/schnell")),
        ("operation", json!("image_gen")),
        ("file_name", json!(format!("{id}-0.png"))),
        ("metadata", json!({})),
        ("created_at", json!("2026-11-22T10:00:00.000Z")),
        ("prompt", json!("a fox in the snow")),
        ("agent_id", Value::Null),
    ] {
        assert_eq!(asset[name], value, "{name}");
    }
}

#[tokio::test]
async fn an_asset_outlives_its_job() {
    let api = Api::default();
    let gone = JobId::new();
    api.store.keep_asset(asset_of(&gone, "acme", "image/png"));
    let answer = api.get(&format!("/api/v1/assets/{}", AssetId::of(&gone, 0))).await;
    assert_eq!((answer.status.as_u16(), &answer.json["data"]["prompt"]), (200, &Value::Null));
}

#[tokio::test]
async fn a_signed_url_says_how_long_it_is_good_and_is_not_cached() {
    let api = Api::default();
    let job = JobId::new();
    api.store.keep_asset(asset_of(&job, "acme", "image/png"));
    let path = format!("/api/v1/assets/{}/signed-url", AssetId::of(&job, 0));
    let answer = api.get(&path).await;
    let data = &answer.json["data"];
    assert_eq!(keys(data), ["expires_at", "url"]);
    assert_eq!(data["url"], format!("https://s3.example/acme/2026/11/22/{job}/0.png?X-Amz-Expires=3600"));
    let expires: atelier_domain::Timestamp = data["expires_at"].as_str().unwrap().parse().unwrap();
    let seconds = expires.duration_since(atelier_domain::Timestamp::now()).as_secs();
    assert!((3590..=3600).contains(&seconds), "{seconds}");
    assert_eq!(answer.headers["cache-control"], "no-store");

    api.store.assets_are_down.store(true, Ordering::SeqCst);
    let message = api.get(&path).await.refused(503, "unavailable");
    assert!(message.contains("asset store") && !message.contains("secret"), "{message}");
}

#[tokio::test]
async fn a_signed_url_is_good_for_as_long_as_is_asked_for() {
    let api = Api::default();
    let job = JobId::new();
    api.store.keep_asset(asset_of(&job, "acme", "image/png"));
    let path = format!("/api/v1/assets/{}/signed-url", AssetId::of(&job, 0));
    for seconds in [1, 60, 604_800] {
        let answer = api.get(&format!("{path}?expires_in={seconds}")).await;
        let url = answer.json["data"]["url"].as_str().unwrap();
        assert!(url.ends_with(&format!("X-Amz-Expires={seconds}")), "{url}");
    }
    for query in ["expires_in=0", "expires_in=604801", "expires_in=-1", "expires_in=long", "expires_in="] {
        let answer = api.get(&format!("{path}?{query}")).await;
        assert!(answer.refused(400, "bad_request").contains("604800"), "{query}");
        assert_eq!(answer.fields(), ["expires_in"]);
    }
    assert_eq!(api.get(&format!("{path}?expires=5")).await.fields(), ["expires"]);
}

#[tokio::test]
async fn a_list_is_newest_first_with_prompts_and_nothing_of_others() {
    let api = Api::default();
    let job: JobId = api.admitted(&image()).await.parse().unwrap();
    api.store.keep_asset(asset_of(&job, "acme", "image/png"));
    let uploads: Vec<Asset> = (1..=44).map(|seconds| upload_of("acme", seconds)).collect();
    uploads.iter().for_each(|asset| api.store.keep_asset(asset.clone()));
    api.store.keep_asset(upload_of("beta", 100));
    let made = AssetId::of(&job, 0);
    let mut ids: Vec<&str> = uploads.iter().rev().map(|asset| asset.id.as_str()).collect();
    ids.push(made.as_str());
    for (query, page, limit, items) in [
        ("", 1, 20, 0..20),
        ("?page=3", 3, 20, 40..45),
        ("?page=4", 4, 20, 45..45),
        ("?page=0&limit=0", 1, 1, 0..1),
        ("?limit=1000", 1, 100, 0..45),
        ("?limit=abc&page=x", 1, 20, 0..20),
    ] {
        let answer = api.get(&format!("/api/v1/assets{query}")).await;
        assert_eq!(listed(&answer), ids[items.clone()], "{query}");
        let meta = &answer.json["meta"];
        let pages = 45u32.div_ceil(limit);
        for (name, value) in
            [("total", 45), ("page", page), ("limit", limit), ("pages", pages), ("total_pages", pages)]
        {
            assert_eq!(meta[name], value, "{query}: {name}");
        }
        assert_eq!(meta["next_cursor"].is_null(), items.end == 45, "{query}");
    }
    let last = api.get("/api/v1/assets?page=3").await.json["data"][4].clone();
    assert_eq!((&last["id"], &last["prompt"]), (&json!(made), &json!("a fox in the snow")));
    let first = api.get("/api/v1/assets").await.json["data"][0].clone();
    assert_eq!(sorted(&keys(&first)), sorted(ASSET_KEYS), "every key is there");
    for name in ["job_id", "provider", "model", "operation", "prompt", "execution_id"] {
        assert_eq!(first[name], Value::Null, "an upload has no {name}");
    }
}

#[tokio::test]
async fn a_cursor_leads_on_while_new_assets_come() {
    let api = Api::default();
    let uploads: Vec<Asset> = (1..=25).map(|seconds| upload_of("acme", seconds)).collect();
    uploads.iter().for_each(|asset| api.store.keep_asset(asset.clone()));
    let ids: Vec<&str> = uploads.iter().rev().map(|asset| asset.id.as_str()).collect();
    let first = api.get("/api/v1/assets?limit=10").await;
    assert_eq!(listed(&first), ids[..10]);
    api.store.keep_asset(upload_of("acme", 100));
    let cursor = first.json["meta"]["next_cursor"].as_str().unwrap().to_owned();
    let second = api.get(&format!("/api/v1/assets?limit=10&cursor={cursor}")).await;
    assert_eq!(listed(&second), ids[10..20]);
    let meta = json!({"total": 26, "page": null, "limit": 10, "pages": null, "total_pages": null,
        "next_cursor": second.json["meta"]["next_cursor"]});
    assert_eq!(second.json["meta"], meta);
    let cursor = second.json["meta"]["next_cursor"].as_str().unwrap();
    let third = api.get(&format!("/api/v1/assets?limit=10&cursor={cursor}&type=image")).await;
    assert_eq!(listed(&third), ids[20..]);
    assert_eq!(
        (&third.json["meta"]["next_cursor"], &third.json["meta"]["total"]),
        (&Value::Null, &Value::Null)
    );
    for (query, field) in
        [("cursor=nonsense".to_owned(), "cursor"), (format!("cursor={cursor}&page=2"), "page")]
    {
        let answer = api.get(&format!("/api/v1/assets?{query}")).await;
        answer.refused(400, "bad_request");
        assert_eq!(answer.fields(), [field]);
    }
}

#[tokio::test]
async fn a_list_is_filtered_under_every_name_of_the_clients() {
    let api = Api::default();
    let transcript = made(Operation::Stt, Provider::Deepgram, "text/plain");
    let job = transcript.made_by.as_ref().unwrap().job_id.clone();
    for asset in [
        transcript,
        made(Operation::Tts, Provider::ElevenLabs, "audio/mpeg"),
        made(Operation::ImageGen, Provider::Fal, "image/png"),
        made(Operation::ImageEdit, Provider::Stability, "image/png"),
        made(Operation::VideoGen, Provider::Luma, "video/mp4"),
        upload_of("acme", 1),
    ] {
        api.store.keep_asset(asset);
    }
    for (query, count) in [
        ("type=image", 3),
        ("media_type=image", 3),
        ("type=audio", 1),
        ("type=speech", 1),
        ("media_type=text", 1),
        ("media_type=image_gen", 1),
        ("type=video_from_img", 0),
        ("type=image&media_type=image", 3),
        ("type=image&media_type=video", 0),
        ("type=image_gen&operation=image_edit", 0),
        ("operation=tts", 1),
        ("provider=luma", 1),
        ("provider=luma&type=image", 0),
        (&format!("job_id={job}"), 1),
        (&format!("job_id={}", JobId::new()), 0),
        ("execution_id=x", 0),
        ("agent_id=x", 0),
        ("type=&provider=&agent_id=", 6),
    ] {
        let answer = api.get(&format!("/api/v1/assets?{query}")).await;
        assert_eq!(listed(&answer).len(), count, "{query}");
        assert_eq!(answer.json["meta"]["total"], count, "{query}");
    }
    for (query, field, right) in [
        ("type=dance", "type", "speech"),
        ("media_type=png", "media_type", "video_gen"),
        ("provider=acme", "provider", "elevenlabs"),
        ("job_id=7", "job_id", "id of a job"),
        ("kind=image", "kind", "media_type"),
    ] {
        let answer = api.get(&format!("/api/v1/assets?{query}")).await;
        let message = answer.refused(400, "bad_request");
        assert_eq!(answer.fields(), [field]);
        assert!(message.contains(right), "{message}");
    }
}

async fn delete(api: &Api, key: &str, id: &AssetId) -> (u16, String) {
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    let path = format!("/api/v1/assets/{id}");
    let (status, _, body) = api.raw(request("DELETE", &path, &headers, Body::empty())).await;
    (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_deleted_asset_is_nowhere() {
    let api = Api::default();
    let asset = upload_of("acme", 1);
    api.store.keep_object(&asset.key, b"bytes");
    api.store.keep_object(&format!("{}.json", asset.key), b"{}");
    api.store.keep_asset(asset.clone());
    let (status, body) = delete(&api, "beta-key", &asset.id).await;
    assert_eq!(status, 404, "{body}");
    assert_eq!(api.store.objects().len(), 2, "a foreign asset is not touched");
    assert_eq!(delete(&api, "acme-key", &asset.id).await, (204, String::new()));
    assert!(api.store.objects().is_empty());
    for path in ["", "/signed-url", "/content"] {
        api.get(&format!("/api/v1/assets/{}{path}", asset.id)).await.refused(404, "not_found");
    }
    assert_eq!(listed(&api.get("/api/v1/assets").await), Vec::<&str>::new());
    assert_eq!(delete(&api, "acme-key", &asset.id).await.0, 404);
}

#[tokio::test]
async fn a_removal_that_was_cut_short_can_be_asked_for_again() {
    let api = Api::default();
    let asset = upload_of("acme", 1);
    api.store.keep_object(&asset.key, b"bytes");
    api.store.keep_asset(asset.clone());
    api.store.assets_are_down.store(true, Ordering::SeqCst);
    assert_eq!(delete(&api, "acme-key", &asset.id).await.0, 503);
    assert_eq!(api.get(&format!("/api/v1/assets/{}", asset.id)).await.status, 200, "the record is there");
    api.store.assets_are_down.store(false, Ordering::SeqCst);
    // Somebody has removed the bytes, and died before the record.
    api.store.drop_object(&asset.key);
    api.get(&format!("/api/v1/assets/{}/content", asset.id)).await.refused(404, "not_found");
    assert_eq!(delete(&api, "acme-key", &asset.id).await.0, 204);
}
