//! What is not stored, and why.

use std::time::Duration;

use atelier_domain::operation::MediaKind;
use atelier_domain::ports::{AssetStore, NewObject, PutError};
use atelier_s3_store::{S3Settings, S3Store};

use crate::bench::{Bench, PART};
use crate::media::{breaking_source, image, mp4, object, png, source, stalling_source, video};

async fn assert_malformed(object: NewObject, bytes: Vec<u8>, expected: &str) {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let error = store.put(object, source(bytes)).await.unwrap_err();
    let PutError::Malformed { message } = &error else { panic!("{error:?}") };
    assert!(message.contains(expected), "{message}");
    store.close().await;
    bench.assert_nothing_is_left();
}

#[tokio::test]
async fn an_error_page_is_no_video() {
    let page = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>".to_vec();
    assert_malformed(video(), page, "found HTML, expected video").await;
}

#[tokio::test]
async fn json_xml_and_text_are_no_media() {
    assert_malformed(image(), b"{\"detail\": \"expired\"}".to_vec(), "found JSON, expected image").await;
    assert_malformed(
        video(),
        b"<Error><Code>AccessDenied</Code></Error>".to_vec(),
        "found XML, expected video",
    )
    .await;
    assert_malformed(
        object(MediaKind::Speech, "audio/mpeg"),
        b"try later".to_vec(),
        "found text, expected speech",
    )
    .await;
}

#[tokio::test]
async fn an_image_is_no_video() {
    assert_malformed(video(), png(100), "found image/png, expected video").await;
    assert_malformed(object(MediaKind::Image, "video/mp4"), png(100), "claimed was video/mp4").await;
}

#[tokio::test]
async fn bytes_of_no_known_type_are_taken_only_as_claimed_samples() {
    let samples: Vec<u8> = (0..2_000u32).map(|index| (index * 37 % 256) as u8).collect();
    assert_malformed(
        object(MediaKind::Speech, "audio/mpeg"),
        samples,
        "no known media type, expected speech",
    )
    .await;
}

#[tokio::test]
async fn nothing_is_malformed() {
    assert_malformed(image(), Vec::new(), "empty").await;
}

#[tokio::test]
async fn a_wrong_length_is_malformed_in_one_request_and_in_parts() {
    for size in [1_000, PART + 1_000] {
        let bytes = mp4(size);
        let longer = NewObject { length_bytes: Some(bytes.len() as u64 + 1), ..video() };
        assert_malformed(longer, bytes.clone(), "that were announced").await;
        let shorter = NewObject { length_bytes: Some(bytes.len() as u64 - 1), ..video() };
        assert_malformed(shorter, bytes, "that were announced").await;
    }
}

#[tokio::test]
async fn a_video_that_was_cut_cleanly_is_malformed_in_one_request_and_in_parts() {
    for size in [1_000, 2 * PART + 1_000] {
        let mut bytes = mp4(size);
        bytes.pop();
        assert_malformed(video(), bytes, "incomplete video/mp4").await;
    }
}

#[tokio::test]
async fn pictures_that_were_cut_are_malformed() {
    let mut cut = png(1_000);
    cut.truncate(900);
    assert_malformed(image(), cut, "without an IEND chunk").await;
    let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec();
    assert_malformed(object(MediaKind::Image, "image/jpeg"), jpeg, "without an EOI marker").await;
}

#[tokio::test]
async fn more_than_the_limit_is_malformed() {
    let bench = Bench::start().await;
    let settings = S3Settings { max_size_bytes: PART as u64 + 10, ..bench.settings() };
    let store = S3Store::connect(settings).await.unwrap();
    let error = store.put(video(), source(mp4(PART + 11))).await.unwrap_err();
    assert!(matches!(&error, PutError::Malformed { message } if message.contains("limit")), "{error:?}");
    store.close().await;
    bench.assert_nothing_is_left();
}

#[tokio::test]
async fn a_source_that_breaks_off_leaves_nothing() {
    for size in [1_000, PART + 1_000, 3 * PART] {
        let bench = Bench::start().await;
        let store = bench.store().await;
        let error = store.put(video(), breaking_source(mp4(size))).await.unwrap_err();
        assert!(
            matches!(&error, PutError::Source(broken) if broken.message == "connection reset"),
            "{error:?}"
        );
        store.close().await;
        bench.assert_nothing_is_left();
    }
}

#[tokio::test]
async fn a_source_that_falls_silent_counts_as_broken_off() {
    let bench = Bench::start().await;
    let store =
        S3Store::connect(S3Settings { source_idle_timeout_ms: 50, ..bench.settings() }).await.unwrap();
    let put = store.put(video(), stalling_source(mp4(PART + 1_000)));
    let error = tokio::time::timeout(Duration::from_secs(10), put).await.unwrap().unwrap_err();
    assert!(matches!(error, PutError::Source(_)), "{error:?}");
    store.close().await;
    bench.assert_nothing_is_left();
}
