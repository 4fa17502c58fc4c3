//! Stopping in order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::operation::Step;
use atelier_domain::policy::Policy;
use atelier_domain::ports::{Claim, StepHandler};
use atelier_domain::state::State;
use tokio::sync::Notify;

use crate::harness::{Fixture, Hanging, LONG, PretendedWork, settings, wait_for};

/// A lease that no test outlives: whatever is left to it does not go on.
async fn endless_leases() -> Fixture {
    Fixture::with(|url| {
        let mut settings = settings(url);
        settings.lease_ms = 600_000;
        settings
    })
    .await
}

/// Begins a paid call whose answer never comes.
struct Unanswered {
    policy: Arc<Policy>,
    has_begun: Notify,
}

#[async_trait]
impl StepHandler for Unanswered {
    async fn handle(&self, claim: Arc<dyn Claim>) {
        let begun = self.policy.begin_submit(claim.job().clone(), Timestamp::now()).unwrap();
        claim.save(&begun.job).await.unwrap();
        self.has_begun.notify_one();
        std::future::pending::<()>().await;
    }
}

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

#[tokio::test]
async fn a_step_that_made_no_paid_call_is_given_back_and_not_left_to_its_lease() {
    let fixture = endless_leases().await;
    let stuck = Arc::new(Hanging::default());
    let process = fixture.patient_process(&[Step::Submit], 4, stuck.clone(), LONG);
    fixture.admit_many(1, "a fox").await;
    stuck.0.notified().await;
    let took = process.stop().await;
    assert!(took < Duration::from_secs(5), "the stop took {took:?} of a grace of {LONG:?}");
    let heir = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    fixture.assert_all_ended(1, State::Succeeded).await;
    heir.stop().await;
}

#[tokio::test]
async fn a_stop_waits_for_the_answer_to_a_paid_call_as_long_as_its_grace() {
    let fixture = endless_leases().await;
    // Longer than other steps are waited for.
    let slow = PretendedWork { pause: Duration::from_secs(4), ..PretendedWork::new(&fixture) };
    let slow = Arc::new(slow);
    let process = fixture.patient_process(&[Step::Submit], 4, slow.clone(), LONG);
    let ids = fixture.admit_many(1, "a fox").await;
    wait_for("the paid call", || async { fixture.job(&ids[0]).await.state == State::Submitting }).await;
    let took = process.stop().await;
    assert!(took > Duration::from_secs(3) && took < LONG / 2, "the stop took {took:?}");
    assert_eq!(fixture.job(&ids[0]).await.state, State::Awaiting);
}

#[tokio::test]
async fn a_paid_call_that_outlasts_the_grace_is_handed_over_as_uncertain_at_once() {
    let fixture = endless_leases().await;
    let unanswered = Arc::new(Unanswered { policy: fixture.policy.clone(), has_begun: Notify::new() });
    let process = fixture.process(&[Step::Submit], 4, unanswered.clone());
    let ids = fixture.admit_many(1, "a fox").await;
    unanswered.has_begun.notified().await;
    assert!(process.stop().await < Duration::from_secs(5));
    let job = fixture.job(&ids[0]).await;
    assert_eq!((job.state, job.body.attempts), (State::Uncertain, 1));
    let heir = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    fixture.assert_all_ended(1, State::Failed).await;
    heir.stop().await;
}
