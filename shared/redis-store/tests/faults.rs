//! A Redis that stalls, dies, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::error::ErrorCode;
use atelier_domain::operation::Step;
use atelier_domain::ports::{Admission, JobStore, NewJob};
use atelier_domain::state::State;

use crate::harness::{Fixture, PretendedWork, new_job, wait_for, workspace};

#[tokio::test]
async fn a_stall_of_two_seconds_harms_nothing() {
    let fixture = Fixture::with(|url| {
        let mut settings = crate::harness::settings(url);
        settings.lease_ms = 10_000;
        settings
    })
    .await;
    let work = Arc::new(PretendedWork::new(&fixture));
    let process = fixture.process(Step::ALL, 32, work.clone());
    let ids = fixture.admit_many(3_000, "a fox").await;
    wait_for("work under way", || async { work.journal.total() > 200 }).await;
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    redis::cmd("CLIENT").arg("PAUSE").arg(2_000).arg("ALL").query::<()>(&mut raw).unwrap();
    fixture.assert_all_ended(3_000, State::Succeeded).await;
    for id in &ids {
        assert_eq!(work.journal.count(id, Step::Submit), 1);
    }
    process.stop().await;
}

#[tokio::test]
async fn inv11_a_killed_redis_with_aof_loses_nothing_that_was_accepted() {
    let mut fixture = Fixture::start().await;
    let work = Arc::new(PretendedWork { checks_needed: 2, ..PretendedWork::new(&fixture) });
    let process = fixture.process(Step::ALL, 32, work.clone());
    let has_ended = Arc::new(AtomicBool::new(false));
    let producer = {
        let (store, has_ended) = (fixture.store.clone(), has_ended.clone());
        tokio::spawn(async move {
            let mut accepted = Vec::new();
            while !has_ended.load(Ordering::SeqCst) {
                let job = new_job("a fox");
                let id = job.id.clone();
                match store.admit(NewJob { job, idempotency: None }).await {
                    Ok(Admission::Created) => accepted.push(id),
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
            accepted
        })
    };
    for round in 1..=3u32 {
        let target = work.journal.total() + 500 * round;
        wait_for("load", || async { work.journal.total() > target }).await;
        fixture.server.kill();
        fixture.server.start_again().unwrap();
    }
    has_ended.store(true, Ordering::SeqCst);
    let accepted = producer.await.unwrap();
    wait_for("all to end", || async {
        let audit = fixture.audit().await;
        audit.jobs.iter().all(|job| job.state.is_terminal()) && audit.messages == 0
    })
    .await;
    for id in &accepted {
        let job = fixture.store.job(&workspace(), id).await.unwrap().expect("accepted and then lost");
        // Only a call that was under way when the answer to its stored intent broke off may be uncertain.
        match job.state {
            State::Succeeded => assert_eq!(job.body.attempts, 1),
            State::Failed => assert_eq!(job.body.error.unwrap().code, ErrorCode::UnknownOutcome),
            other => panic!("{id} is {other}"),
        }
    }
    assert_eq!(fixture.audit().await.violations, []);
    process.stop().await;
}

#[tokio::test]
async fn workers_that_start_before_redis_wait_for_it() {
    let mut fixture = Fixture::start().await;
    fixture.server.kill();
    let work = Arc::new(PretendedWork::new(&fixture));
    let process = fixture.process(Step::ALL, 4, work);
    // Several rounds of back-off pass while nobody answers.
    tokio::time::sleep(Duration::from_millis(300)).await;
    fixture.server.start_again().unwrap();
    fixture.admit_many(5, "a fox").await;
    fixture.assert_all_ended(5, State::Succeeded).await;
    process.stop().await;
}

/// A server that was busy runs what was asked of it meanwhile when it goes on, although nobody waits for it any more.
#[tokio::test]
async fn nothing_is_taken_for_a_caller_who_has_given_up() {
    let fixture = Fixture::start().await;
    let process = fixture.process(&[Step::Submit], 1, Arc::new(PretendedWork::new(&fixture)));
    let ids = fixture.admit_many(1, "a fox").await;
    let id = ids.first().unwrap();
    wait_for("a check that is due", || async {
        let job = fixture.job(id).await;
        job.state == State::Awaiting && job.due_at.is_some_and(|due| due < Timestamp::now())
    })
    .await;
    process.stop().await;
    let take = redis::Script::new(concat!(
        include_str!("../src/scripts/common.lua"),
        include_str!("../src/scripts/take.lua")
    ));
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    let mut taken = |until_us: &str| {
        let mut call = take.key("{q0}:c");
        call.arg("{q0}:").arg(10).arg(1_000_000).arg("0").arg("a").arg(until_us);
        call.invoke::<Vec<redis::Value>>(&mut raw).unwrap().len() / 2 - 1
    };
    assert_eq!(taken("1"), 0, "who asked has given up long ago");
    assert_eq!(fixture.job(id).await.deliveries, 0);
    assert_eq!(taken(""), 1, "the time of the server is not known yet");
    assert_eq!(fixture.job(id).await.deliveries, 1);
}
