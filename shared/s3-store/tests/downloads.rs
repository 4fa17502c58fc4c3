//! Objects on their way out: whole, in part, and from a store that breaks off.

use std::time::Duration;

use atelier_domain::ports::{AssetStore, OpenedObject, PutError, SourceBroken};
use atelier_s3_store::{S3Settings, S3Store};
use futures::StreamExt;

use crate::bench::{Bench, PART, settings};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::media::{mp4, source, video};

async fn read(opened: OpenedObject) -> Result<Vec<u8>, SourceBroken> {
    let (mut bytes, mut body) = (Vec::new(), opened.body);
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    assert_eq!(bytes.len() as u64, opened.length_bytes);
    Ok(bytes)
}

#[tokio::test]
async fn an_object_comes_whole_or_in_any_part() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let bytes = mp4(2 * PART);
    let key = store.put(video(), source(bytes.clone())).await.unwrap().key;
    let last = bytes.len() as u64 - 1;
    assert!(read(store.open(&key, None).await.unwrap().unwrap()).await.unwrap() == bytes);
    for range in [0..=0, 5..=99, 0..=last, last..=last, PART as u64 - 7..=PART as u64 + 7] {
        let expected = &bytes[*range.start() as usize..=*range.end() as usize];
        let opened = store.open(&key, Some(range.clone())).await.unwrap().unwrap();
        assert_eq!(opened.length_bytes, expected.len() as u64, "{range:?}");
        assert!(read(opened).await.unwrap() == expected, "{range:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_none_and_no_error() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    assert!(store.open("acme/2026/11/22/job/9.mp4", None).await.unwrap().is_none());
    let key = store.put(video(), source(mp4(10))).await.unwrap().key;
    assert!(store.open(&key, Some(1_000..=2_000)).await.unwrap().is_none(), "there is no such part");
}

async fn faulty(change: impl FnOnce(&mut S3Settings)) -> (Bench, FaultProxy, S3Store, String) {
    let bench = Bench::start().await;
    let proxy = FaultProxy::start(bench.server.address()).await;
    let mut settings = settings(&proxy.base_url());
    change(&mut settings);
    let store = S3Store::connect(settings).await.unwrap();
    let key = store.put(video(), source(mp4(PART - 100))).await.unwrap().key;
    (bench, proxy, store, key)
}

#[tokio::test]
async fn a_refusal_before_the_first_byte_is_asked_again() {
    let (_bench, proxy, store, key) = faulty(|_| ()).await;
    proxy.on("GET", "0.mp4", Fault::SlowDown, 1);
    assert!(read(store.open(&key, None).await.unwrap().unwrap()).await.is_ok());
    assert_eq!(proxy.seen("GET", "0.mp4"), 2);
    proxy.on("GET", "0.mp4", Fault::SlowDown, usize::MAX);
    assert!(matches!(store.open(&key, None).await, Err(PutError::Unavailable(_))));
}

#[tokio::test]
async fn a_store_that_breaks_off_gives_an_error_and_no_short_object() {
    let (_bench, proxy, store, key) = faulty(|_| ()).await;
    proxy.on("GET", "0.mp4", Fault::CutReplyAfter(1_000_000), 1);
    let opened = store.open(&key, None).await.unwrap().unwrap();
    assert!(read(opened).await.is_err());
}

#[tokio::test]
async fn a_store_that_falls_silent_is_not_waited_for_for_ever() {
    let (_bench, proxy, store, key) = faulty(|settings| settings.source_idle_timeout_ms = 300).await;
    proxy.on("GET", "0.mp4", Fault::HoldReplyAfter(1_000_000), 1);
    let opened = store.open(&key, None).await.unwrap().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), read(opened)).await.unwrap();
    assert!(ended.unwrap_err().message.contains("silent"));
}
