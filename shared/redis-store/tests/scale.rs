//! Many jobs: where apalis-redis stops at 8,000 due tasks and slows down with the backlog.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atelier_domain::operation::Step;
use atelier_domain::ports::{JobStore, NewJob};
use atelier_domain::state::State;
use futures::StreamExt;

use atelier_redis_store::RedisStoreSettings;

use crate::harness::{Fixture, PretendedWork, new_job, settings, wait_for};

#[tokio::test]
async fn fifty_thousand_jobs_due_at_once_all_start_once() {
    let fixture = with_the_usual_lease().await;
    let due = atelier_domain::Timestamp::now() + Duration::from_millis(200);
    futures::stream::iter(0..50_000)
        .map(|_| async {
            let mut job = new_job("due");
            job.body.spec.run_at = Some(due);
            job.due_at = Some(due);
            fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
        })
        .buffer_unordered(128)
        .collect::<Vec<()>>()
        .await;
    let work = Arc::new(PretendedWork::new(&fixture));
    let process = fixture.process(&[Step::Submit], 256, work.clone());
    let since = Instant::now();
    wait_for("all to start", || async { work.journal.total() >= 50_000 }).await;
    eprintln!("50,000 due at once: all begun in {:?}", since.elapsed());
    assert_eq!(work.journal.doubled(Step::Submit), 0);
    wait_for("all to wait for the provider", || async {
        let waiting: usize = redis::cmd("ZCARD").arg("{q0}:c").query(&mut raw_again(&fixture)).unwrap();
        waiting == 50_000
    })
    .await;
    process.stop().await;
}

/// In memory, and with the lease of production: these tests are about numbers, and a busy machine may stall.
async fn with_the_usual_lease() -> Fixture {
    Fixture::on(false, |url| RedisStoreSettings { lease_ms: 30_000, ..settings(url) }).await
}

fn raw_again(fixture: &Fixture) -> redis::Connection {
    redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap()
}

#[tokio::test]
async fn a_backlog_of_a_hundred_thousand_is_worked_off() {
    let fixture = with_the_usual_lease().await;
    fixture.admit_many(100_000, "backlog").await;
    let work = Arc::new(PretendedWork::new(&fixture));
    let process = fixture.process(&[Step::Submit], 256, work.clone());
    let since = Instant::now();
    let mut marks = Vec::new();
    for target in [20_000, 40_000, 60_000, 80_000, 100_000] {
        wait_for("the backlog", || async { work.journal.total() >= target }).await;
        marks.push(since.elapsed());
    }
    eprintln!("a backlog of 100,000, each fifth after: {marks:?}");
    assert_eq!(work.journal.doubled(Step::Submit), 0);
    process.stop().await;
    let audit = fixture.audit().await;
    assert_eq!(audit.jobs.iter().filter(|job| job.state == State::Awaiting).count(), 100_000);
    assert_eq!(audit.violations, []);
}
