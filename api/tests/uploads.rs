//! Files that callers upload: streamed, looked at, kept whole or not at all.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atelier_api::{ApiSettings, serve};
use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::fakes::{Answer, Api, MemoryTelemetry, request, video};

const ASSETS: &str = "/api/v1/assets";

/// The corpus of the asset store: 33 x 17 pixels.
const PNG: &[u8] = include_bytes!("../../shared/s3-store/tests/corpus/picture.png");
const WAV: &[u8] = include_bytes!("../../shared/s3-store/tests/corpus/tone.wav");

fn file(name: &str, bytes: &[u8]) -> Vec<u8> {
    part(&format!("name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream"), bytes)
}

fn part(head: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n");
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [&parts.concat()[..], b"--edge--\r\n"].concat()
}

async fn post(api: &Api, body: impl Into<Body>) -> Answer {
    let headers = [("x-api-key", "acme-key"), ("content-type", "multipart/form-data; boundary=edge")];
    api.send(request("POST", ASSETS, &headers, body.into())).await
}

fn with(settings: ApiSettings) -> Api {
    Api::with(MemoryTelemetry::default(), settings)
}

fn assert_nothing_is_left(api: &Api) {
    assert!(api.store.objects().is_empty(), "{:?}", api.store.objects().keys());
    assert!(api.store.assets().is_empty());
}

#[tokio::test]
async fn an_upload_is_an_asset_that_jobs_can_name() {
    let api = Api::default();
    let parts = [
        part("name=\"metadata\"", br#"{"shelf": 7}"#),
        file("../photo.png", PNG),
        part("name=\"name\"", "Füchse.png".as_bytes()),
    ];
    let answer = post(&api, form(&parts)).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    let asset = &answer.json["data"];
    let id = asset["id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("{ASSETS}/{id}"));
    for (name, value) in [
        ("file_name", json!("Füchse.png")),
        ("metadata", json!({"shelf": 7})),
        ("type", json!("image")),
        ("content_type", json!("image/png")),
        ("size_bytes", json!(PNG.len())),
        ("width", json!(33)),
        ("height", json!(17)),
        ("job_id", Value::Null),
        ("provider", Value::Null),
        ("model", Value::Null),
        ("operation", Value::Null),
    ] {
        assert_eq!(asset[name], value, "{name}");
    }
    let key = asset["storage_key"].as_str().unwrap();
    assert!(key.starts_with("acme/") && key.ends_with(&format!("/upload/{id}.png")), "{key}");
    let objects = api.store.objects();
    assert_eq!(objects[key], PNG);
    let manifest: Value = serde_json::from_slice(&objects[&format!("{key}.json")]).unwrap();
    assert_eq!((&manifest["id"], &manifest["name"]), (&asset["id"], &json!("Füchse.png")));
    assert_eq!(api.get(&format!("{ASSETS}/{id}")).await.json["data"], *asset);

    let mut body = video();
    (body["input_url"], body["input_asset_id"]) = (Value::Null, json!(id));
    api.admitted(&body).await;
    let headers = [("x-api-key", "beta-key"), ("content-type", "application/json")];
    let foreign = request("POST", "/api/v1/media/jobs", &headers, Body::from(body.to_string()));
    assert_eq!(api.send(foreign).await.fields(), ["input_asset_id"]);
}

#[tokio::test]
async fn a_file_without_a_name_gets_one_and_a_sound_is_a_sound() {
    let api = Api::default();
    let answer = post(&api, form(&[file("", WAV)])).await;
    let asset = &answer.json["data"];
    assert_eq!(asset["file_name"], format!("{}.wav", asset["id"].as_str().unwrap()));
    assert_eq!((&asset["type"], &asset["metadata"]), (&json!("audio"), &json!({})));
    let answer = post(&api, form(&[file("C:\\tones\\a.wav", WAV)])).await;
    assert_eq!(answer.json["data"]["file_name"], "a.wav");
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_and_leaves_nothing() {
    let api = Api::default();
    let name = |text: &str| part("name=\"name\"", text.as_bytes());
    let metadata = |text: &str| part("name=\"metadata\"", text.as_bytes());
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(17_000));
    for (parts, field, right) in [
        (vec![file("a.txt", b"just words")], "file", "an image, a sound or a video"),
        (vec![file("a.png", b"")], "file", "empty"),
        (vec![file("a.png", &PNG[..40])], "file", "incomplete"),
        (vec![name("a.png")], "file", "is not there"),
        (vec![file("a.png", PNG), file("b.png", PNG)], "file", "twice"),
        (vec![file("a.png", PNG), name("a/b")], "name", "slashes"),
        (vec![file("a.png", PNG), metadata("[]")], "metadata", "JSON object"),
        (vec![metadata(&long), file("a.png", PNG)], "metadata", "16384"),
        (vec![file("a.png", PNG), part("name=\"colour\"", b"red")], "colour", "`metadata`"),
    ] {
        let answer = post(&api, form(&parts)).await;
        let message = answer.refused(400, "bad_request");
        assert_eq!(answer.fields(), [field], "{message}");
        assert!(message.contains(right), "{message}");
        assert_nothing_is_left(&api);
    }
}

#[tokio::test]
async fn what_is_no_form_says_why_and_leaves_nothing() {
    let api = Api::default();
    let whole = form(&[file("a.png", PNG)]);
    for (body, right) in [
        (whole[..whole.len() - 20].to_vec(), "broke off"),
        (b"nothing of a form".to_vec(), "form"),
        (Vec::new(), "form"),
        (form(&[part("name=\"name\"", &[b'x'; 70_000]), file("a.png", PNG)]), "larger than 65536"),
        ([&b"--edge\r\n"[..], &vec![b'x'; 3_000_000]].concat(), "form"),
    ] {
        let message = post(&api, body).await.refused(400, "bad_request");
        assert!(message.contains(right), "{message}");
        assert_nothing_is_left(&api);
    }
    let json = api.post(ASSETS, &json!({"file": "x"})).await;
    assert!(json.refused(400, "bad_request").contains("multipart/form-data"));
}

#[tokio::test]
async fn a_file_is_never_held_as_a_whole_however_quickly_it_comes() {
    const PIECE: usize = 64 * 1024;
    let api = Api::default();
    // A sound of 32 MiB whose bytes are always there when they are asked for.
    let mut wav = WAV[..44].to_vec();
    let length = 512 * PIECE;
    wav[4..8].copy_from_slice(&(length as u32 + 36).to_le_bytes());
    wav[40..44].copy_from_slice(&(length as u32).to_le_bytes());
    let head = [&file("a.wav", &wav)[..]].concat();
    let head = Bytes::copy_from_slice(&head[..head.len() - 2]);
    let ahead = Arc::new(AtomicU64::new(0));
    let (store, most, mut sent) = (api.store.clone(), ahead.clone(), 0u64);
    let sound = stream::iter(0..512).map(move |_| {
        most.fetch_max(sent.saturating_sub(store.taken.load(Ordering::SeqCst)), Ordering::SeqCst);
        sent += PIECE as u64;
        Bytes::from_static(&[0; PIECE])
    });
    let end = Bytes::from_static(b"\r\n--edge--\r\n");
    let pieces = stream::iter([head]).chain(sound).chain(stream::iter([end])).map(Ok::<_, Infallible>);
    let answer = post(&api, Body::from_stream(pieces)).await;
    assert_eq!((answer.status.as_u16(), &answer.json["data"]["size_bytes"]), (201, &json!(length + 44)));
    let ahead = ahead.load(Ordering::SeqCst);
    assert!(ahead <= 4 * PIECE as u64, "{ahead} bytes were held");
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_however_it_comes() {
    let api = with(ApiSettings { upload_limit_bytes: 100_000, ..ApiSettings::default() });
    let large = [PNG, &vec![0u8; 200_000]].concat();
    let body = form(&[file("a.png", &large)]);
    // Without a length, and in pieces.
    let pieces: Vec<_> =
        body.chunks(1_000).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
    let streamed = post(&api, Body::from_stream(stream::iter(pieces))).await;
    let announced = post(&api, body).await;
    let headers = [
        ("x-api-key", "acme-key"),
        ("content-type", "multipart/form-data; boundary=edge"),
        ("content-length", "5000000000"),
        ("expect", "100-continue"),
    ];
    let unread = api
        .send(request(
            "POST",
            ASSETS,
            &headers,
            Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()),
        ))
        .await;
    for answer in [streamed, announced, unread] {
        assert!(answer.refused(400, "bad_request").contains("at most 100000 bytes"));
        assert_eq!(answer.fields(), ["file"]);
    }
    assert_nothing_is_left(&api);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_given_up() {
    let api = with(ApiSettings { body_timeout_ms: 2_000, ..ApiSettings::default() });
    let begun = form(&[file("a.png", PNG)])[..200].to_vec();
    let stalling = stream::iter([Ok::<_, Infallible>(Bytes::from(begun))]).chain(stream::pending());
    let since = tokio::time::Instant::now();
    let message = post(&api, Body::from_stream(stalling)).await.refused(400, "bad_request");
    assert!(message.contains("2 seconds"), "{message}");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert_nothing_is_left(&api);
}

#[tokio::test]
async fn a_store_that_is_away_is_503_and_leaves_nothing() {
    let api = Api::default();
    api.store.assets_are_down.store(true, Ordering::SeqCst);
    post(&api, form(&[file("a.png", PNG)])).await.refused(503, "unavailable");
    api.store.assets_are_down.store(false, Ordering::SeqCst);
    // The record cannot be kept: the object goes again.
    api.store.jobs_are_down.store(true, Ordering::SeqCst);
    post(&api, form(&[file("a.png", PNG)])).await.refused(503, "unavailable");
    api.store.jobs_are_down.store(false, Ordering::SeqCst);
    assert_nothing_is_left(&api);
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_nothing() {
    let api = Api::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, api.router.clone(), shutdown.clone(), Duration::from_secs(5)));
    let body = form(&[file("a.png", PNG)]);
    let head = |length: usize| {
        format!(
            "POST {ASSETS} HTTP/1.1\r\nhost: x\r\nx-api-key: acme-key\r\ncontent-length: {length}\r\n\
             content-type: multipart/form-data; boundary=edge\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head(body.len()).as_bytes()).await.unwrap();
    stream.write_all(&body[..body.len() / 2]).await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
    // The same connection order is kept by the listener: when this one is answered, the first was seen.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head(body.len()).as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
    shutdown.cancel();
    serving.await.unwrap();
    api.uploads.close(Duration::from_secs(5)).await;
    assert_eq!(api.store.assets().len(), 1, "only the whole one is kept");
    assert_eq!(api.store.objects().len(), 2);
}
