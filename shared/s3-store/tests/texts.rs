//! Texts and JSON documents, which come with media.

use std::time::Duration;

use atelier_domain::ports::{AssetStore, ExpectedContent, NewObject, PutError};

use crate::bench::{Bench, PART, asset};
use crate::media::source;

fn expecting(expects: ExpectedContent) -> NewObject {
    NewObject {
        key_prefix: "acme/2026/11/22/job/0".to_owned(),
        claimed_type: None,
        expects,
        length_bytes: None,
    }
}

async fn assert_kept(expects: ExpectedContent, bytes: Vec<u8>, content_type: &str, file: &str) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let bench = Bench::start().await;
    let store = bench.store().await;
    let stored = store.put(expecting(expects), source(bytes.clone())).await.unwrap();
    assert_eq!((stored.content_type.as_str(), stored.size_bytes), (content_type, bytes.len() as u64));
    assert_eq!(stored.key, format!("acme/2026/11/22/job/{file}"));
    assert_eq!(bench.objects(), [file]);
    assert!(store.read(&stored.key, u64::MAX).await.unwrap().unwrap() == bytes, "the bytes differ");
    let url = store.signed_url(&asset(&stored), Duration::from_secs(60)).await.unwrap();
    let reply = reqwest::get(&url).await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["content-type"]),
        (200, &content_type.parse().unwrap())
    );
}

#[tokio::test]
async fn a_text_is_kept_also_an_empty_one_and_one_of_many_parts() {
    let long = "grüß dich 🎬 ".repeat(PART / 10);
    for text in [String::new(), "spoken".to_owned(), "\u{feff}".to_owned(), long] {
        assert_kept(ExpectedContent::Text, text.into_bytes(), "text/plain; charset=utf-8", "0.txt").await;
    }
}

#[tokio::test]
async fn a_json_document_is_kept() {
    let long = format!("{{\"words\": [{}1]}}", "1, ".repeat(PART / 2));
    for json in [b"{}".to_vec(), long.into_bytes()] {
        assert_kept(ExpectedContent::Json, json, "application/json", "0.json").await;
    }
}

#[tokio::test]
async fn what_is_no_text_or_no_whole_json_leaves_nothing() {
    let late = |end: &[u8]| [&b"a".repeat(PART + 10), end].concat();
    let words = || [b"{\"a\": \"".as_slice(), &b"a".repeat(PART + 10)].concat();
    for (expects, bytes, reason) in [
        (ExpectedContent::Text, late(b"\0"), "NUL"),
        (ExpectedContent::Text, late(b"\xf0\x9f"), "within a character"),
        (ExpectedContent::Json, words(), "not closed"),
        (ExpectedContent::Json, b"words".to_vec(), "no JSON"),
        (ExpectedContent::Json, Vec::new(), "empty"),
    ] {
        let bench = Bench::start().await;
        let store = bench.store().await;
        let error = store.put(expecting(expects), source(bytes)).await.unwrap_err();
        assert!(matches!(&error, PutError::Malformed { message } if message.contains(reason)), "{error:?}");
        store.close().await;
        bench.assert_nothing_is_left();
    }
}
