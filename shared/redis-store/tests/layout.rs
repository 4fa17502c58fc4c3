//! Another number or order of shards than Redis holds is refused, before a job is lost from sight.

use atelier_domain::ports::{JobStore, NewJob};
use atelier_domain::secret::Secret;
use atelier_redis_store::preflight::{self, PreflightError};
use atelier_redis_store::{Redis, RedisJobStore, RedisStoreSettings};
use tokio_util::sync::CancellationToken;

use crate::harness::{Fixture, new_job, settings};
use crate::redis_server::RedisServer;
use crate::topologies::several_servers;

async fn refusal(settings: RedisStoreSettings) -> String {
    let redis = Redis::open(settings).unwrap();
    let refused = preflight::check(&redis).await;
    let Err(PreflightError::Layout(reason)) = refused else { panic!("{refused:?}") };
    // Nor does the api take jobs, although it serves before anybody has looked.
    let stop = CancellationToken::new();
    let (store, _listening) = RedisJobStore::start(redis, stop.clone());
    let job = new_job("a fox");
    assert!(store.admit(NewJob { job, idempotency: None }).await.is_err());
    stop.cancel();
    reason.to_string()
}

#[tokio::test]
async fn another_number_of_shards_is_refused() {
    let fixture = Fixture::start().await;
    preflight::check(&fixture.redis).await.unwrap();
    let three = RedisStoreSettings { shards: 3, ..settings(fixture.server.url()) };
    assert!(refusal(three).await.contains("holds 1 shards and the settings say 3"));
    assert_eq!(fixture.audit().await.jobs.len(), 0);
    preflight::check(&fixture.redis).await.unwrap();
}

#[tokio::test]
async fn servers_in_another_order_are_refused() {
    let fixture = several_servers(2, 4);
    preflight::check(&fixture.redis).await.unwrap();
    let urls = |order: &[usize]| {
        let url = |at: &usize| Secret::new(RedisServer::url(&fixture.server[*at]));
        order.iter().map(url).collect::<Vec<_>>()
    };
    let swapped = RedisStoreSettings { urls: urls(&[1, 0]), ..fixture.settings.clone() };
    assert!(refusal(swapped).await.contains("on another server"));
    let fewer = RedisStoreSettings { urls: urls(&[0]), ..fixture.settings.clone() };
    assert!(refusal(fewer).await.contains("on another server"));
    preflight::check(&Redis::open(fixture.settings.clone()).unwrap()).await.unwrap();
}
