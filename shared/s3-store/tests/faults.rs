//! A store that is slow, busy, cut off or down.

use std::time::{Duration, Instant};

use atelier_domain::ports::{AssetStore, PutError};
use atelier_s3_store::{S3Settings, S3Store};

use crate::bench::{Bench, PART, chain, settings};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::media::{image, mp4, png, source, video};

struct Faulty {
    bench: Bench,
    proxy: FaultProxy,
    store: S3Store,
}

async fn faulty(change: impl FnOnce(&mut S3Settings)) -> Faulty {
    let bench = Bench::start().await;
    let proxy = FaultProxy::start(bench.server.address()).await;
    let mut settings = settings(&proxy.base_url());
    change(&mut settings);
    let store = S3Store::connect(settings).await.unwrap();
    Faulty { bench, proxy, store }
}

#[tokio::test]
async fn one_slow_down_is_overcome() {
    let Faulty { bench, proxy, store } = faulty(|_| ()).await;
    proxy.on("PUT", "0.png", Fault::SlowDown, 1);
    store.put(image(), source(png(10))).await.unwrap();
    assert_eq!(bench.objects(), ["0.png"]);
    assert_eq!(proxy.seen("PUT", "0.png"), 2);
}

#[tokio::test]
async fn a_store_that_stays_busy_is_unavailable_and_the_upload_is_aborted() {
    let Faulty { bench, proxy, store } = faulty(|_| ()).await;
    proxy.on("PUT", "partNumber=2", Fault::SlowDown, usize::MAX);
    let error = store.put(video(), source(mp4(3 * PART))).await.unwrap_err();
    assert!(matches!(error, PutError::Unavailable(_)));
    assert!(chain(&error).contains("UploadPart was refused with SlowDown (status 503)"), "{}", chain(&error));
    store.close().await;
    bench.assert_nothing_is_left();
    assert_eq!(proxy.seen("PUT", "partNumber=2"), 2, "two attempts, no more");
    assert_eq!(proxy.seen("DELETE", "uploadId="), 1);
}

#[tokio::test]
async fn a_part_whose_connection_is_cut_once_is_sent_again() {
    let Faulty { bench, proxy, store } = faulty(|_| ()).await;
    proxy.on("PUT", "partNumber=1", Fault::CutRequest { after_bytes: 100_000 }, 1);
    let bytes = mp4(PART + 1_000);
    let stored = store.put(video(), source(bytes.clone())).await.unwrap();
    assert!(store.read(&stored.key, u64::MAX).await.unwrap().unwrap() == bytes, "the bytes differ");
    assert_eq!(bench.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_cut_every_time_leaves_nothing() {
    for (size, target_part) in [(1_000, "PutObject"), (2 * PART, "partNumber=2")] {
        let Faulty { bench, proxy, store } = faulty(|_| ()).await;
        proxy.on("PUT", target_part, Fault::CutRequest { after_bytes: 500 }, usize::MAX);
        let error = store.put(video(), source(mp4(size))).await.unwrap_err();
        assert!(matches!(error, PutError::Unavailable(_)), "{error:?}");
        store.close().await;
        bench.assert_nothing_is_left();
    }
}

#[tokio::test]
async fn an_upload_that_completed_but_whose_answer_was_lost_succeeds() {
    let Faulty { bench, proxy, store } = faulty(|_| ()).await;
    proxy.on("POST", "?uploadId=", Fault::CutReply, usize::MAX);
    let stored = store.put(video(), source(mp4(PART + 1_000))).await.unwrap();
    assert_eq!(bench.objects(), ["0.mp4"]);
    assert_eq!(stored.key, "acme/2026/11/22/job/0.mp4");
    store.close().await;
    assert_eq!(bench.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_small_object_whose_answer_was_lost_succeeds() {
    let Faulty { bench, proxy, store } = faulty(|_| ()).await;
    proxy.on("PUT", "0.png", Fault::CutReply, usize::MAX);
    store.put(image(), source(png(10))).await.unwrap();
    assert_eq!(bench.objects(), ["0.png"]);
}

#[tokio::test]
async fn an_older_object_of_the_same_key_is_not_taken_for_ours() {
    let Faulty { bench, proxy, store } = faulty(|_| ()).await;
    store.put(image(), source(png(10))).await.unwrap();
    proxy.on("PUT", "0.png", Fault::CutRequest { after_bytes: 10 }, usize::MAX);
    store.put(image(), source(png(11))).await.unwrap_err();
    assert_eq!(bench.objects(), ["0.png"]);
}

#[tokio::test]
async fn an_abort_that_fails_is_repeated() {
    let Faulty { bench, proxy, store } = faulty(|settings| settings.max_attempts = 1).await;
    proxy.on("PUT", "partNumber=2", Fault::SlowDown, usize::MAX);
    proxy.on("DELETE", "uploadId=", Fault::SlowDown, 1);
    store.put(video(), source(mp4(2 * PART))).await.unwrap_err();
    store.close().await;
    bench.assert_nothing_is_left();
}

#[tokio::test]
async fn a_silent_store_is_unavailable_within_the_limit() {
    let Faulty { proxy, store, .. } = faulty(|settings| settings.call_timeout_ms = 200).await;
    proxy.on("HEAD", "", Fault::Silence, usize::MAX);
    let start = Instant::now();
    let error = store.ready().await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(chain(&error), "the asset store is not available: S3 HeadBucket took longer than 200 ms");
}

#[tokio::test]
async fn a_slow_store_is_waited_for() {
    let Faulty { bench, proxy, store } = faulty(|_| ()).await;
    proxy.on("PUT", "0.png", Fault::Delay(Duration::from_millis(300)), 1);
    store.put(image(), source(png(10))).await.unwrap();
    assert_eq!(bench.objects(), ["0.png"]);
}

#[tokio::test]
async fn a_store_that_is_down_is_unavailable() {
    let bench = Bench::start().await;
    let settings = bench.settings();
    bench.server.stop().await;
    let store = S3Store::connect(settings).await.unwrap();
    assert!(matches!(store.ready().await, Err(PutError::Unavailable(_))));
    assert!(matches!(store.read("a", 1).await, Err(PutError::Unavailable(_))));
    assert!(matches!(store.remove("a").await, Err(PutError::Unavailable(_))));
    for size in [10, PART + 10] {
        let error = store.put(video(), source(mp4(size))).await.unwrap_err();
        assert!(matches!(error, PutError::Unavailable(_)), "{error:?}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_store_that_is_down_behind_tls_is_unavailable() {
    let store = S3Store::connect(settings("https://127.0.0.1:1")).await.unwrap();
    assert!(matches!(store.ready().await, Err(PutError::Unavailable(_))));
}
