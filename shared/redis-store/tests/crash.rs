//! Processes that die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::error::ErrorCode;
use atelier_domain::operation::Step;
use atelier_domain::ports::{Claim, StepHandler};
use atelier_domain::state::State;

use crate::harness::{Fixture, Hanging, Journal, PretendedWork, wait_for};

#[tokio::test]
async fn inv2_a_killed_worker_loses_nothing_and_repeats_no_paid_call() {
    let fixture = Fixture::start().await;
    let dying = Arc::new(PretendedWork { pause: Duration::from_millis(20), ..PretendedWork::new(&fixture) });
    let first = fixture.process(Step::ALL, 32, dying.clone());
    let ids = fixture.admit_many(2_000, "a fox").await;
    wait_for("work under way", || async { dying.journal.total() > 300 }).await;
    first.kill();
    let heir = Arc::new(PretendedWork::new(&fixture));
    let second = fixture.process(Step::ALL, 32, heir.clone());
    wait_for("all to end", || async { fixture.audit().await.jobs.iter().all(|job| job.state.is_terminal()) })
        .await;
    let mut uncertain = 0;
    for id in &ids {
        let job = fixture.job(id).await;
        match job.state {
            State::Succeeded => {}
            State::Failed => {
                // The call was under way when its holder died: not repeated, and said honestly.
                assert_eq!(job.body.error.unwrap().code, ErrorCode::UnknownOutcome);
                uncertain += 1;
            }
            other => panic!("{id} is {other}"),
        }
        assert!(job.body.attempts <= 1, "{id} was submitted {} times", job.body.attempts);
    }
    assert!(uncertain <= 32, "{uncertain} of at most 32 calls in flight");
    assert_eq!(fixture.audit().await.violations, []);
    second.stop().await;
}

#[tokio::test]
async fn an_idle_worker_blocked_on_an_empty_queue_recovers_the_dead_ones_steps() {
    let fixture = Fixture::start().await;
    let hanging = Arc::new(Hanging::default());
    let first = fixture.process(&[Step::Submit], 1, hanging.clone());
    fixture.admit_many(1, "a fox").await;
    hanging.0.notified().await;
    // The second worker is idle, with every slot in its blocking read, before the first one dies.
    let work = Arc::new(PretendedWork::new(&fixture));
    let second = fixture.process(Step::ALL, 8, work);
    first.kill();
    fixture.assert_all_ended(1, State::Succeeded).await;
    second.stop().await;
}

#[tokio::test]
async fn a_long_step_keeps_its_lease() {
    let fixture = Fixture::start().await;
    // Three times the lease of the fixture, with an idle second worker that would steal.
    let work = Arc::new(PretendedWork { pause: Duration::from_secs(3), ..PretendedWork::new(&fixture) });
    let processes =
        [fixture.process(Step::ALL, 40, work.clone()), fixture.process(Step::ALL, 40, work.clone())];
    let ids = fixture.admit_many(40, "a fox").await;
    fixture.assert_all_ended(40, State::Succeeded).await;
    for id in &ids {
        assert_eq!(work.journal.count(id, Step::Submit), 1);
    }
    for process in processes {
        process.stop().await;
    }
}

/// A job that ends its process, ten innocent neighbours, and a supervisor that starts the process again.
#[tokio::test]
async fn poison_is_given_up_and_its_neighbours_are_not() {
    let fixture = Fixture::start().await;
    struct Deadly {
        work: PretendedWork,
        is_dead: Arc<AtomicBool>,
        deaths: AtomicU32,
        journal: Journal,
    }
    #[async_trait]
    impl StepHandler for Deadly {
        async fn handle(&self, claim: Arc<dyn Claim>) {
            let is_poison = claim.job().body.spec.prompt.as_deref() == Some("poison");
            self.journal.begin(claim.as_ref());
            if is_poison {
                self.deaths.fetch_add(1, Ordering::SeqCst);
                self.is_dead.store(true, Ordering::SeqCst);
            }
            if is_poison || self.is_dead.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            // Long enough that the neighbours run beside the poison.
            tokio::time::sleep(Duration::from_millis(50)).await;
            if self.is_dead.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let _ = self.work.work(claim.as_ref()).await;
        }
    }
    let mut ids = fixture.admit_many(5, "innocent").await;
    let poison = fixture.admit_many(1, "poison").await.remove(0);
    ids.extend(fixture.admit_many(5, "innocent").await);
    let is_dead = Arc::new(AtomicBool::new(false));
    let handler = Arc::new(Deadly {
        work: PretendedWork::new(&fixture),
        is_dead: is_dead.clone(),
        deaths: AtomicU32::new(0),
        journal: Journal::default(),
    });
    let mut process = fixture.process(Step::ALL, 16, handler.clone());
    let mut restarts = 0;
    while !fixture.audit().await.jobs.iter().all(|job| job.state.is_terminal()) {
        if is_dead.load(Ordering::SeqCst) {
            process.kill();
            restarts += 1;
            assert!(restarts < 20, "the poison is never given up");
            is_dead.store(false, Ordering::SeqCst);
            process = fixture.process(Step::ALL, 16, handler.clone());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(handler.deaths.load(Ordering::SeqCst), 5, "the limit of deliveries");
    let ended = fixture.job(&poison).await;
    assert_eq!(ended.state, State::Failed);
    assert!(ended.body.error.unwrap().message.contains("deliveries"));
    for id in &ids {
        assert_eq!(fixture.job(id).await.state, State::Succeeded, "an innocent neighbour");
    }
    process.stop().await;
}

#[tokio::test]
async fn a_killed_pollers_checks_fall_due_by_themselves() {
    let fixture = Fixture::start().await;
    let work = Arc::new(PretendedWork { checks_needed: 2, ..PretendedWork::new(&fixture) });
    let worker = fixture.process(&[Step::Submit, Step::Deliver], 8, work.clone());
    let hanging = Arc::new(Hanging::default());
    let poller = fixture.process(&[Step::Check], 4, hanging.clone());
    fixture.admit_many(4, "a fox").await;
    hanging.0.notified().await;
    poller.kill();
    let heir = fixture.process(&[Step::Check], 4, work);
    fixture.assert_all_ended(4, State::Succeeded).await;
    worker.stop().await;
    heir.stop().await;
}
