//! Callers that go away.

use std::time::Duration;

use atelier_domain::ports::AssetStore;
use atelier_s3_store::S3Store;

use crate::bench::{Bench, PART, settings, until};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::media::{mp4, source, stalling_source, video};

#[tokio::test]
async fn a_dropped_put_aborts_its_upload() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let putting = tokio::spawn({
        let store = store.clone();
        async move { store.put(video(), stalling_source(mp4(2 * PART))).await }
    });
    until("two parts", || bench.parts() >= 2).await;
    putting.abort();
    assert!(putting.await.unwrap_err().is_cancelled());
    store.close().await;
    bench.assert_nothing_is_left();
}

/// Drops a put as soon as a request of this sort has come, while its answer is held back.
async fn assert_drop_during(method: &'static str, target_part: &'static str) {
    let bench = Bench::start().await;
    let proxy = FaultProxy::start(bench.server.address()).await;
    let store = S3Store::connect(settings(&proxy.base_url())).await.unwrap();
    proxy.on(method, target_part, Fault::Delay(Duration::from_millis(300)), 1);
    let putting = tokio::spawn({
        let store = store.clone();
        async move { store.put(video(), stalling_source(mp4(PART + 1_000))).await }
    });
    until("the request", || proxy.seen(method, target_part) == 1).await;
    putting.abort();
    store.close().await;
    bench.assert_nothing_is_left();
    assert_eq!(proxy.seen("DELETE", "uploadId="), 1, "one abort");
}

#[tokio::test]
async fn a_put_dropped_while_its_upload_is_created_leaves_no_upload() {
    assert_drop_during("POST", "?uploads").await;
}

#[tokio::test]
async fn a_put_dropped_while_a_part_is_on_its_way_leaves_no_part() {
    assert_drop_during("PUT", "partNumber=1").await;
}

#[tokio::test]
async fn a_put_dropped_while_its_upload_completes_is_complete() {
    let bench = Bench::start().await;
    let proxy = FaultProxy::start(bench.server.address()).await;
    let store = S3Store::connect(settings(&proxy.base_url())).await.unwrap();
    proxy.on("POST", "?uploadId=", Fault::Delay(Duration::from_millis(300)), 1);
    let putting = tokio::spawn({
        let store = store.clone();
        async move { store.put(video(), source(mp4(PART + 1_000))).await }
    });
    until("the request", || proxy.seen("POST", "?uploadId=") == 1).await;
    putting.abort();
    store.close().await;
    assert_eq!(bench.objects(), ["0.mp4"]);
    assert_eq!(bench.leftovers(), Vec::<String>::new());
}
