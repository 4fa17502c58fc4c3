//! The time that all programs on a Redis agree on.

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::ports::TimeSource;
use atelier_redis_store::{Redis, preflight};
use tokio_util::sync::CancellationToken;

use crate::harness::{Fixture, settings};

fn server_time(url: &str) -> Timestamp {
    let mut raw = redis::Client::open(url).unwrap().get_connection().unwrap();
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query(&mut raw).unwrap();
    Timestamp::from_microsecond(seconds * 1_000_000 + micros).unwrap()
}

#[tokio::test]
async fn two_programs_have_the_time_of_their_redis() {
    let fixture = Fixture::start().await;
    let other = Redis::open(fixture.settings.clone()).unwrap();
    assert!(!fixture.redis.time().is_common() && !other.time().is_common());
    preflight::check(&fixture.redis).await.unwrap();
    preflight::check(&other).await.unwrap();
    for time in [fixture.redis.time(), other.time()] {
        assert!(time.is_common());
        let (before, ours, after) =
            (server_time(&fixture.server.url()), time.now(), server_time(&fixture.server.url()));
        // Readings are as good as their round trips were short.
        let doubt = Duration::from_millis(100);
        assert!(ours >= before - doubt && ours <= after + doubt, "{before} {ours} {after}");
    }
}

#[tokio::test]
async fn the_time_never_runs_backwards_while_it_is_read_anew() {
    let fixture = Fixture::start().await;
    preflight::check(&fixture.redis).await.unwrap();
    let time = fixture.redis.time();
    let reading = tokio::spawn({
        let redis = fixture.redis.clone();
        async move {
            for _ in 0..200 {
                preflight::check(&redis).await.unwrap();
            }
        }
    });
    let mut latest = time.now();
    while !reading.is_finished() {
        let now = time.now();
        assert!(now >= latest, "{now} after {latest}");
        latest = now;
        tokio::task::yield_now().await;
    }
    reading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_waits_for_redis_waits_for_its_time() {
    let mut fixture = Fixture::start().await;
    fixture.server.kill();
    let redis = Redis::open(settings(fixture.server.url())).unwrap();
    let stop = CancellationToken::new();
    let waiting = tokio::spawn({
        let (redis, stop) = (redis.clone(), stop.clone());
        async move { preflight::wait(&redis, &stop).await }
    });
    assert!(preflight::check(&redis).await.is_err());
    assert!(!redis.time().is_common() && !waiting.is_finished());
    tokio::task::block_in_place(|| fixture.server.start_again()).unwrap();
    waiting.await.unwrap().unwrap();
    assert!(redis.time().is_common());
}
