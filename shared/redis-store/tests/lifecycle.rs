//! Jobs through all their states, on the real queues.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::error::ErrorCode;
use atelier_domain::operation::Step;
use atelier_domain::ports::{CancelOutcome, Claim, ClaimError, JobStore, NewJob, Next, StepHandler};
use atelier_domain::state::State;

use crate::harness::{Fixture, PretendedWork, new_job, remote, wait_for, workspace};

const ALL: &[Step] = Step::ALL;

#[tokio::test]
async fn two_hundred_jobs_go_through_every_state_once() {
    let fixture = Fixture::start().await;
    let work = Arc::new(PretendedWork { checks_needed: 3, ..PretendedWork::new(&fixture) });
    let process = fixture.process(ALL, 16, work.clone());
    let ids = fixture.admit_many(200, "a fox").await;
    fixture.assert_all_ended(200, State::Succeeded).await;
    for id in &ids {
        let job = fixture.job(id).await;
        assert_eq!((job.checks, job.body.attempts), (4, 1), "INV-6: checks are no attempts");
        assert_eq!(work.journal.count(id, Step::Submit), 1);
        assert_eq!(work.journal.count(id, Step::Check), 4);
        assert_eq!(work.journal.count(id, Step::Deliver), 1);
    }
    // A handler tells the end after it is stored.
    process.stop().await;
    assert_eq!(fixture.telemetry.ended.load(Ordering::Relaxed), 200);
}

#[tokio::test]
async fn a_delayed_job_starts_on_time_and_never_early() {
    let fixture = Fixture::start().await;
    struct Clocked(tokio::sync::mpsc::UnboundedSender<Timestamp>);
    #[async_trait]
    impl StepHandler for Clocked {
        async fn handle(&self, claim: Arc<dyn Claim>) {
            self.0.send(Timestamp::now()).unwrap();
            let job = claim.job().clone();
            claim
                .settle(job, Next::At(Step::Submit, Timestamp::now() + Duration::from_secs(600)))
                .await
                .unwrap();
        }
    }
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let process = fixture.process(&[Step::Submit], 4, Arc::new(Clocked(started)));
    for delay_ms in [1, 50, 300] {
        let mut job = new_job("later");
        let due = job.body.created_at + Duration::from_millis(delay_ms);
        job.body.spec.run_at = Some(due);
        job.due_at = Some(due);
        // Redis adds the delay to its own clock when the job arrives there, so it cannot be early by any clock.
        fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
        let start = tokio::time::timeout(Duration::from_secs(10), starts.recv()).await.unwrap().unwrap();
        assert!(start >= due, "{delay_ms} ms: started {start}, due {due}");
    }
    process.stop().await;
}

#[tokio::test]
async fn inv9_a_stale_holder_changes_nothing() {
    let fixture = Fixture::start().await;
    /// The first holder is slow beyond its lease's renewal being cut off; the second is given the step.
    struct Slow(tokio::sync::mpsc::UnboundedSender<Arc<dyn Claim>>);
    #[async_trait]
    impl StepHandler for Slow {
        async fn handle(&self, claim: Arc<dyn Claim>) {
            self.0.send(claim.clone()).unwrap();
            std::future::pending::<()>().await;
        }
    }
    let (sender, mut claims) = tokio::sync::mpsc::unbounded_channel();
    let first = fixture.process(&[Step::Submit], 1, Arc::new(Slow(sender)));
    let ids = fixture.admit_many(1, "a fox").await;
    let stale = claims.recv().await.unwrap();
    // Its process dies, but the claim object is kept here to play the holder that does not know it.
    first.kill();
    let work = Arc::new(PretendedWork::new(&fixture));
    let second = fixture.process(ALL, 4, work.clone());
    fixture.assert_all_ended(1, State::Succeeded).await;
    let before = fixture.job(&ids[0]).await;
    let late = fixture.policy.hopeless(
        stale.job().clone(),
        atelier_domain::error::JobError::new(ErrorCode::Invalid, "late"),
        Timestamp::now(),
    );
    let outcome =
        tokio::time::timeout(Duration::from_secs(5), stale.settle(late.unwrap().job, Next::Nothing)).await;
    // The dead process' settler is gone (it gave up), or the store said that the claim is stale: never success.
    assert!(!matches!(outcome, Ok(Ok(()))), "{outcome:?}");
    assert_eq!(fixture.job(&ids[0]).await, before);
    second.stop().await;
}

#[tokio::test]
async fn a_cancel_during_the_paid_call_keeps_the_remote_id_and_tells_the_provider() {
    let fixture = Fixture::start().await;
    struct Interrupted {
        work: PretendedWork,
        called: tokio::sync::Notify,
        cancelled: tokio::sync::Notify,
        abandoned: tokio::sync::Notify,
    }
    #[async_trait]
    impl StepHandler for Interrupted {
        async fn handle(&self, claim: Arc<dyn Claim>) {
            if claim.step() == Step::Abandon {
                assert!(claim.job().body.remote.is_some());
                self.work.work(claim.as_ref()).await.unwrap();
                self.abandoned.notify_one();
                return;
            }
            let begun = self.work.policy.begin_submit(claim.job().clone(), Timestamp::now()).unwrap();
            claim.save(&begun.job).await.unwrap();
            self.called.notify_one();
            self.cancelled.notified().await;
            let remote = remote(&begun.job);
            let decision =
                self.work.policy.accepted(begun.job, remote.clone(), None, Timestamp::now()).unwrap();
            match claim.settle(decision.job, decision.next).await {
                Err(ClaimError::Stale(Some(job))) => assert_eq!(job.state, State::Cancelled),
                other => panic!("{other:?}"),
            }
            claim.note_late_remote(remote).await.unwrap();
        }
    }
    let handler = Arc::new(Interrupted {
        work: PretendedWork::new(&fixture),
        called: Default::default(),
        cancelled: Default::default(),
        abandoned: Default::default(),
    });
    let process = fixture.process(&[Step::Submit, Step::Abandon], 2, handler.clone());
    let ids = fixture.admit_many(1, "a fox").await;
    handler.called.notified().await;
    fixture.store.cancel(&workspace(), &ids[0], Timestamp::now()).await.unwrap();
    handler.cancelled.notify_one();
    tokio::time::timeout(Duration::from_secs(20), handler.abandoned.notified()).await.unwrap();
    let job = fixture.job(&ids[0]).await;
    assert_eq!(job.state, State::Cancelled);
    assert!(job.body.remote.is_some());
    process.stop().await;
}

#[tokio::test]
async fn a_cancelled_waiting_job_is_abandoned_and_checked_no_more() {
    let fixture = Fixture::start().await;
    let work = Arc::new(PretendedWork { checks_needed: 1000, ..PretendedWork::new(&fixture) });
    let process = fixture.process(ALL, 4, work.clone());
    let ids = fixture.admit_many(1, "a fox").await;
    wait_for("a few checks", || async { fixture.job(&ids[0]).await.checks >= 2 }).await;
    fixture.store.cancel(&workspace(), &ids[0], Timestamp::now()).await.unwrap();
    wait_for("the abandon", || async { work.journal.count(&ids[0], Step::Abandon) == 1 }).await;
    fixture.assert_all_ended(1, State::Cancelled).await;
    process.stop().await;
}

#[tokio::test]
async fn a_handler_that_panics_or_forgets_is_a_failed_try() {
    let fixture = Fixture::start().await;
    struct Bad;
    #[async_trait]
    impl StepHandler for Bad {
        async fn handle(&self, claim: Arc<dyn Claim>) {
            assert!(claim.job().body.spec.prompt.as_deref() != Some("panic"), "the handler is broken");
        }
    }
    let process = fixture.process(&[Step::Submit], 4, Arc::new(Bad));
    let mut ids = fixture.admit_many(1, "panic").await;
    ids.extend(fixture.admit_many(1, "forget").await);
    fixture.assert_all_ended(2, State::Failed).await;
    for (id, message) in ids.iter().zip(["the handler is broken", "without a verdict"]) {
        let error = fixture.job(id).await.body.error.unwrap();
        assert_eq!(error.code, ErrorCode::Exhausted);
        assert!(error.message.contains(message), "{}", error.message);
    }
    process.stop().await;
}

#[tokio::test]
async fn a_record_of_another_layout_is_left_to_another_build() {
    let fixture = Fixture::start().await;
    let ids = fixture.admit_many(2, "a fox").await;
    let key = format!("{{q0}}:j:{}", ids[0]);
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    redis::cmd("SETRANGE").arg(&key).arg(0).arg("9").query::<()>(&mut raw).unwrap();
    let work = Arc::new(PretendedWork::new(&fixture));
    let process = fixture.process(ALL, 4, work.clone());
    wait_for("the readable job", || async { fixture.job(&ids[1]).await.state == State::Succeeded }).await;
    let kept: Vec<u8> = redis::cmd("GET").arg(&key).query(&mut raw).unwrap();
    assert_eq!(kept.first(), Some(&b'9'), "nobody touched the layout");
    // The other build comes: here, the byte is put back.
    redis::cmd("SETRANGE").arg(&key).arg(0).arg("2").query::<()>(&mut raw).unwrap();
    fixture.assert_all_ended(2, State::Succeeded).await;
    process.stop().await;
}

#[tokio::test]
async fn records_of_the_previous_layout_go_through_every_state() {
    let fixture = Fixture::start().await;
    let ids = fixture.admit_many(20, "a fox").await;
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    for id in &ids {
        // As layout 1 was written: the same text, and the whole body as JSON.
        let key = format!("{{q0}}:j:{id}");
        let mut record: Vec<u8> = redis::cmd("GETRANGE").arg(&key).arg(0).arg(47).query(&mut raw).unwrap();
        record[0] = b'1';
        serde_json::to_writer(&mut record, &fixture.job(id).await.body).unwrap();
        redis::cmd("SET").arg(&key).arg(record).query::<()>(&mut raw).unwrap();
    }
    // One of them is cancelled by an api of this build before any worker has seen it.
    let cancelled = fixture.store.cancel(&workspace(), &ids[0], Timestamp::now()).await.unwrap();
    assert!(
        matches!(cancelled, CancelOutcome::Cancelled(job) if job.body.spec.prompt.as_deref() == Some("a fox"))
    );
    let process = fixture.process(ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    for id in ids.get(1..).unwrap() {
        wait_for("the old job to end", || async { fixture.job(id).await.state.is_terminal() }).await;
        let job = fixture.job(id).await;
        assert_eq!((job.state, job.body.attempts), (State::Succeeded, 1));
        assert_eq!(job.body.spec.prompt.as_deref(), Some("a fox"));
        assert!(job.body.started_at.is_some() && job.body.completed_at >= job.body.started_at);
    }
    let audit = fixture.audit().await;
    assert_eq!((audit.jobs.len(), audit.messages, audit.violations), (20, 0, vec![]));
    process.stop().await;
}
