//! Stopping in order.

use std::sync::Arc;
use std::time::Duration;

use atelier_domain::operation::Step;
use atelier_domain::state::State;

use crate::harness::{Fixture, Hanging, PretendedWork, wait_for};

#[tokio::test]
async fn a_stop_under_load_gives_back_what_has_not_begun() {
    let fixture = Fixture::start().await;
    for round in 0..4 {
        let work =
            Arc::new(PretendedWork { pause: Duration::from_millis(30), ..PretendedWork::new(&fixture) });
        let process = fixture.process(Step::ALL, 64, work.clone());
        let ids = fixture.admit_many(500, "a fox").await;
        wait_for("work under way", || async { work.journal.total() > 100 }).await;
        process.stop().await;
        let audit = fixture.audit().await;
        let open = audit.jobs.iter().filter(|job| job.deliveries > 0 && !job.state.is_terminal()).count();
        assert_eq!(open, 0, "round {round}: claims were left behind");
        assert_eq!(audit.violations, []);
        // An heir finds everything ready at once, without waiting for a lease.
        let heir = Arc::new(PretendedWork::new(&fixture));
        let second = fixture.process(Step::ALL, 64, heir.clone());
        fixture.assert_all_ended(500 * (round + 1), State::Succeeded).await;
        for id in &ids {
            assert!(fixture.job(id).await.body.attempts == 1, "submitted twice");
        }
        second.stop().await;
    }
}

#[tokio::test]
async fn an_idle_worker_stops_at_once_although_it_blocks() {
    // The block of this fixture is a third of 60 s; a stop that waited for it would take 10 s.
    let fixture = Fixture::with(|url| {
        let mut settings = crate::harness::settings(url);
        settings.lease_ms = 60_000;
        settings
    })
    .await;
    let work = Arc::new(PretendedWork::new(&fixture));
    let process = fixture.process(Step::ALL, 4, work);
    fixture.admit_many(1, "a fox").await;
    fixture.assert_all_ended(1, State::Succeeded).await;
    assert!(process.stop().await < Duration::from_secs(5));
    // Nothing of it stays in Redis.
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    for step in ["submit-high", "submit", "submit-low", "reconcile", "abandon"] {
        let stream = format!("{{q0}}:s:{step}");
        let consumers: Vec<redis::Value> =
            redis::cmd("XINFO").arg("CONSUMERS").arg(stream).arg("g").query(&mut raw).unwrap();
        assert_eq!(consumers, [], "{step}");
    }
}

#[tokio::test]
async fn inv10_a_step_that_never_ends_does_not_hold_the_stop() {
    let fixture = Fixture::start().await;
    let stuck = Arc::new(Hanging::default());
    let process = fixture.process(&[Step::Submit], 4, stuck.clone());
    fixture.admit_many(1, "a fox").await;
    stuck.0.notified().await;
    // The grace of the harness is 2 s.
    assert!(process.stop().await < Duration::from_secs(10));
    let heir = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    fixture.assert_all_ended(1, State::Succeeded).await;
    heir.stop().await;
}
