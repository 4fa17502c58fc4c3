//! What a callback does to a job that waits: its check is due at once, or its result is taken without a check.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use atelier_domain::Timestamp;
use atelier_domain::ids::JobId;
use atelier_domain::job::{Output, OutputSource};
use atelier_domain::operation::Step;
use atelier_domain::policy::{Policy, Polling, Received};
use atelier_domain::ports::JobStore;
use atelier_domain::state::State;

use crate::harness::{Fixture, PretendedWork, wait_for};

/// A job that waits a minute for its first check.
async fn awaiting(fixture: &mut Fixture) -> (JobId, Arc<PretendedWork>) {
    let polling = Polling { interval_ms: 60_000, max_checks: 60, timeout_ms: 600_000 };
    fixture.policy = Arc::new(Policy { polling, ..(*fixture.policy).clone() });
    let work = Arc::new(PretendedWork::new(fixture));
    let submitter = fixture.process(&[Step::Submit], 4, work.clone());
    let id = fixture.admit_many(1, "a fox").await.remove(0);
    wait_for("the job to wait", || async { fixture.job(&id).await.state == State::Awaiting }).await;
    submitter.stop().await;
    (id, work)
}

#[tokio::test]
async fn a_hastened_check_is_due_at_once_and_only_once() {
    let mut fixture = Fixture::start().await;
    let (id, work) = awaiting(&mut fixture).await;
    let poller = fixture.process(&[Step::Check, Step::Deliver], 4, work.clone());
    assert!(fixture.store.hasten(&id).await.unwrap());
    assert!(!fixture.store.hasten(&id).await.unwrap(), "a replay changes nothing");
    fixture.assert_all_ended(1, State::Succeeded).await;
    assert_eq!(work.journal.count(&id, Step::Check), 1);
    assert!(!fixture.store.hasten(&id).await.unwrap(), "an ended job is left alone");
    assert!(!fixture.store.hasten(&JobId::new()).await.unwrap());
    poller.stop().await;
}

#[tokio::test]
async fn a_result_that_came_unasked_is_delivered_and_the_check_is_gone() {
    let mut fixture = Fixture::start().await;
    let (id, work) = awaiting(&mut fixture).await;
    let before = fixture.job(&id).await;
    let source = OutputSource::Spool { epoch: 1 << 31, size_bytes: 5 };
    let outputs = vec![Output { source, content_type: None, seed: None, revised_prompt: None }];
    let received = Received { outputs, text: Some("hello".to_owned()), cost: None };
    let decision = fixture.policy.received_unasked(before.clone(), received, Timestamp::now()).unwrap();
    assert!(fixture.store.decide(&before, decision.job.clone(), decision.next.clone()).await.unwrap());
    let worker = fixture.process(&[Step::Check, Step::Deliver], 4, work.clone());
    fixture.assert_all_ended(1, State::Succeeded).await;
    assert_eq!(fixture.job(&id).await.body.text.as_deref(), Some("hello"));
    assert_eq!(work.journal.count(&id, Step::Check), 0);
    // The decision was about a job that is no more.
    assert!(!fixture.store.decide(&before, decision.job, decision.next).await.unwrap());
    // A handler tells the end after it is stored.
    worker.stop().await;
    assert_eq!(fixture.telemetry.ended.load(Ordering::Relaxed), 1);
}
