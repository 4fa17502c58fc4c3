//! What goes in comes out.

use std::time::Duration;

use atelier_domain::asset::{Asset, manifest_key};
use atelier_domain::operation::MediaKind;
use atelier_domain::ports::{AssetStore, PutError};
use atelier_domain::secret::Secret;
use atelier_s3_store::{S3Settings, S3Store};

use crate::bench::{Bench, PART, SECRET_KEY, asset, chain};
use crate::media::{image, mp4, object, png, source, video};

/// Digest by another implementation than the store's own code path: the `sha256sum` of coreutils.
fn sha256sum(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let output = std::process::Command::new("sha256sum").arg(file.path()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

async fn assert_round_trip(bytes: Vec<u8>) {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let stored = store.put(video(), source(bytes.clone())).await.unwrap();
    assert_eq!(stored.key, "acme/2026/11/22/job/0.mp4");
    assert_eq!(stored.content_type, "video/mp4");
    assert_eq!(stored.size_bytes, bytes.len() as u64);
    assert_eq!(stored.sha256, sha256sum(&bytes));
    let read = store.read(&stored.key, u64::MAX).await.unwrap().unwrap();
    assert!(read == bytes, "the bytes differ");
    assert_eq!(bench.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_small_object_comes_back_as_it_was() {
    assert_round_trip(mp4(1_000)).await;
}

#[tokio::test]
async fn an_object_of_many_parts_comes_back_as_it_was() {
    assert_round_trip(mp4(3 * PART + 12_345)).await;
}

#[tokio::test]
async fn objects_around_the_size_of_a_part_come_back_as_they_were() {
    let head = mp4(0).len();
    for size in [PART - 1, PART, PART + 1, 2 * PART] {
        assert_round_trip(mp4(size - head)).await;
    }
}

#[tokio::test]
async fn the_bytes_tell_type_and_extension_against_the_claim() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let stored = store.put(object(MediaKind::Image, "image/jpeg"), source(png(100))).await.unwrap();
    assert_eq!(
        (stored.content_type.as_str(), stored.key.as_str()),
        ("image/png", "acme/2026/11/22/job/0.png")
    );
}

#[tokio::test]
async fn claimed_samples_keep_their_rate() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let claim = object(MediaKind::Speech, "audio/L16;rate=24000");
    let stored = store.put(claim, source(vec![0u8; 4_800])).await.unwrap();
    assert_eq!(
        (stored.content_type.as_str(), stored.key.as_str()),
        ("audio/l16;rate=24000", "acme/2026/11/22/job/0.pcm")
    );
}

#[tokio::test]
async fn a_manifest_lies_beside_its_object_and_both_go_together() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let stored = store.put(image(), source(png(10))).await.unwrap();
    let asset = asset(&stored);
    store.put_manifest(&asset).await.unwrap();
    let manifest = store.read(&manifest_key(&stored.key), 10_000).await.unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<Asset>(&manifest).unwrap(), asset);
    for _ in 0..2 {
        store.remove(&stored.key).await.unwrap();
        assert_eq!(bench.objects(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_read_is_bounded_and_a_missing_object_is_none() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let stored = store.put(image(), source(png(1_000))).await.unwrap();
    let size = stored.size_bytes;
    assert!(store.read(&stored.key, size).await.unwrap().is_some());
    assert!(matches!(store.read(&stored.key, size - 1).await, Err(PutError::Malformed { .. })));
    assert_eq!(store.read("acme/nothing.png", 10).await.unwrap(), None);
}

#[tokio::test]
async fn a_signed_url_gives_the_object_to_whoever_holds_it() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let bench = Bench::start().await;
    let store = bench.store().await;
    let bytes = png(5_000);
    let stored = store.put(image(), source(bytes.clone())).await.unwrap();
    let asset = asset(&stored);
    let url = store.signed_url(&asset, Duration::from_secs(60)).await.unwrap();
    let reply = reqwest::get(&url).await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["content-type"], "image/png");
    let disposition = reply.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(disposition, format!("attachment; filename=\"{}\"", asset.file_name()));
    assert!(reply.bytes().await.unwrap() == bytes, "the bytes differ");

    let unsigned = url.split('?').next().unwrap();
    assert_eq!(reqwest::get(unsigned).await.unwrap().status(), 403);
    let forged = url.replace("/0.png", "/1.png");
    assert_eq!(reqwest::get(forged).await.unwrap().status(), 403);
}

#[tokio::test]
async fn the_life_of_a_signed_url_is_clamped_and_its_host_is_the_public_one() {
    let bench = Bench::start().await;
    let settings =
        S3Settings { public_endpoint: Some("https://media.example.com".to_owned()), ..bench.settings() };
    let store = S3Store::connect(settings).await.unwrap();
    let stored = store.put(image(), source(png(10))).await.unwrap();
    for (ttl, expected) in [(Duration::ZERO, "1"), (Duration::from_secs(60), "60"), (Duration::MAX, "604800")]
    {
        let url = store.signed_url(&asset(&stored), ttl).await.unwrap();
        assert!(url.starts_with("https://media.example.com/media/acme/"), "{url}");
        assert!(url.split(['?', '&']).any(|pair| pair == format!("X-Amz-Expires={expected}")), "{url}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_shown_nowhere() {
    let bench = Bench::start().await;
    let secret = format!("not-{SECRET_KEY}");
    let settings = S3Settings { secret_key: Some(Secret::new(secret.clone())), ..bench.settings() };
    let store = S3Store::connect(settings).await.unwrap();
    assert!(matches!(store.ready().await, Err(PutError::Unavailable(_))));
    let error = store.put(image(), source(png(10))).await.unwrap_err();
    assert!(matches!(error, PutError::Unavailable(_)));
    let text = chain(&error);
    assert!(text.contains("SignatureDoesNotMatch") && text.contains("403"), "{text}");
    assert!(!format!("{text} {error:?}").contains(&secret), "{error:?}");
    assert!(!format!("{error:?}").contains("headers"), "no reply is kept: {error:?}");
    bench.assert_nothing_is_left();
}

#[tokio::test]
async fn a_missing_bucket_is_not_ready_until_it_is_made() {
    let bench = Bench::start().await;
    let store =
        S3Store::connect(S3Settings { bucket: "other".to_owned(), ..bench.settings() }).await.unwrap();
    assert!(store.ready().await.is_err());
    for _ in 0..2 {
        store.ensure_bucket().await.unwrap();
        store.ready().await.unwrap();
    }
}

#[tokio::test]
async fn objects_survive_a_restart_of_the_embedded_server() {
    let bench = Bench::start().await;
    let stored = bench.store().await.put(image(), source(png(10))).await.unwrap();
    let Bench { server, folder } = bench;
    let address = server.address();
    server.stop().await;
    let options = crate::embedded_s3::EmbeddedS3Options {
        listen: address,
        folder: folder.path().to_owned(),
        access_key: crate::bench::ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        bucket: crate::bench::BUCKET.to_owned(),
    };
    let bench = Bench { server: crate::embedded_s3::start(options).await.unwrap(), folder };
    let store = bench.store().await;
    assert_eq!(store.read(&stored.key, 1_000).await.unwrap().unwrap(), png(10));
}

/// Runs itself in a process of its own, as the environment is read there and may not be changed here.
#[tokio::test]
async fn without_keys_in_the_settings_those_of_the_environment_are_used() {
    const ENDPOINT: &str = "S3_STORE_TEST_ENDPOINT";
    let name = "round_trips::without_keys_in_the_settings_those_of_the_environment_are_used";
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        let settings = S3Settings { access_key: None, secret_key: None, ..crate::bench::settings(&endpoint) };
        let store = S3Store::connect(settings).await.unwrap();
        store.put(image(), source(png(10))).await.unwrap();
        return;
    }
    let bench = Bench::start().await;
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(ENDPOINT, bench.server.base_url())
        .env("AWS_ACCESS_KEY_ID", crate::bench::ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .output();
    let output = child.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(bench.objects(), ["0.png"]);
}
