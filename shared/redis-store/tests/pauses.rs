//! Jobs that are held back, and let go.

use std::sync::Arc;
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::ids::JobId;
use atelier_domain::operation::{Operation, Priority, Provider, Step};
use atelier_domain::pause::{Pause, PauseFacts, PauseScope};
use atelier_domain::ports::{JobStore, NewJob, Pauses};
use atelier_domain::state::State;
use atelier_redis_store::RedisPauses;

use crate::harness::{Fixture, PretendedWork, new_job, wait_for};

pub fn pause(scope: &str) -> Pause {
    let facts =
        PauseFacts { since: Timestamp::now(), by: "acme".parse().unwrap(), reason: Some("a test".into()) };
    Pause { scope: scope.parse().unwrap(), facts }
}

async fn admit(fixture: &Fixture, change: impl FnOnce(&mut atelier_domain::job::Job)) -> JobId {
    let mut job = new_job("a fox");
    change(&mut job);
    let id = job.id.clone();
    fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
    id
}

async fn held(pauses: &RedisPauses) -> Vec<(String, u64)> {
    let all = pauses.pauses().await.unwrap();
    all.into_iter().map(|held| (held.pause.scope.to_string(), held.jobs)).collect()
}

#[tokio::test]
async fn a_paused_job_is_not_begun_until_it_is_let_go_and_others_go_on() {
    let fixture = Fixture::start().await;
    let pauses = RedisPauses::new(fixture.redis.clone());
    pauses.pause(&pause("*/runway/*")).await.unwrap();
    let mut paused = Vec::new();
    for priority in Priority::ALL {
        paused.push(admit(&fixture, |job| job.body.spec.priority = *priority).await);
    }
    let free = admit(&fixture, |job| job.body.spec.provider = Provider::Luma).await;
    let work = Arc::new(PretendedWork::new(&fixture));
    // One slot: what is held back must not keep it.
    let process = fixture.process(Step::ALL, 1, work.clone());
    wait_for("the free one", || async { fixture.job(&free).await.state == State::Succeeded }).await;
    wait_for("the paused ones to be held", || async {
        held(&pauses).await == [("*/runway/*".to_owned(), 3)]
    })
    .await;
    let audit = fixture.audit().await;
    assert_eq!(audit.violations, [], "a held job is due at the end of its time to start");
    for id in &paused {
        let job = fixture.job(id).await;
        assert_eq!((job.state, job.body.attempts), (State::Queued, 0));
        assert_eq!(job.due_at.map(|due| due.as_second()), Some(job.body.spec.start_deadline.as_second()));
    }
    assert_eq!(pauses.resume(&pause("*/runway/*").scope).await.unwrap(), Some(3));
    fixture.assert_all_ended(4, State::Succeeded).await;
    assert!(paused.iter().all(|id| work.journal.count(id, Step::Submit) == 1));
    assert_eq!(pauses.resume(&pause("*/runway/*").scope).await.unwrap(), None);
    assert_eq!(held(&pauses).await, []);
    process.stop().await;
}

#[tokio::test]
async fn each_part_of_a_scope_narrows_it() {
    let fixture = Fixture::start().await;
    let pauses = RedisPauses::new(fixture.redis.clone());
    for scope in ["acme/runway/video_gen", "other/*/*", "*/*/tts"] {
        pauses.pause(&pause(scope)).await.unwrap();
    }
    let mut expected = Vec::new();
    for (workspace, provider, operation, is_held) in [
        ("acme", Provider::Runway, Operation::VideoGen, true),
        ("acme", Provider::Runway, Operation::VideoFromImage, false),
        ("acme", Provider::Luma, Operation::VideoGen, false),
        ("other", Provider::Luma, Operation::VideoGen, true),
        ("third", Provider::Runway, Operation::VideoGen, false),
        ("third", Provider::Deepgram, Operation::Tts, true),
    ] {
        let id = admit(&fixture, |job| {
            job.body.workspace_id = workspace.parse().unwrap();
            job.body.spec.provider = provider;
            job.body.spec.operation = operation;
        })
        .await;
        expected.push((workspace, id, is_held));
    }
    let process = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    wait_for("the others to end", || async {
        let audit = fixture.audit().await;
        audit.messages == 0 && audit.jobs.iter().filter(|job| job.state == State::Succeeded).count() == 3
    })
    .await;
    for (workspace, id, is_held) in expected {
        let job = fixture.store.job(&workspace.parse().unwrap(), &id).await.unwrap().unwrap();
        assert_eq!(job.state == State::Queued, is_held, "{workspace} {:?}", job.body.spec);
    }
    process.stop().await;
}

#[tokio::test]
async fn a_held_job_whose_time_to_start_is_over_is_looked_at_in_spite_of_the_pause() {
    let fixture = Fixture::start().await;
    let pauses = RedisPauses::new(fixture.redis.clone());
    pauses.pause(&pause("acme/*/*")).await.unwrap();
    let id = admit(&fixture, |job| {
        job.body.spec.start_deadline = Timestamp::now() + Duration::from_millis(400);
    })
    .await;
    let process = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    wait_for("it to be held", || async { held(&pauses).await == [("acme/*/*".to_owned(), 1)] }).await;
    wait_for("it to end", || async { fixture.job(&id).await.state == State::Failed }).await;
    let job = fixture.job(&id).await;
    assert_eq!(job.body.attempts, 0, "begun after its time");
    // What stands with the pause is no job that waits.
    assert_eq!(pauses.resume(&pause("acme/*/*").scope).await.unwrap(), Some(0));
    fixture.assert_all_ended(1, State::Failed).await;
    process.stop().await;
}

#[tokio::test]
async fn a_cancelled_job_is_not_let_go_and_one_under_two_pauses_waits_for_both() {
    let fixture = Fixture::start().await;
    let pauses = RedisPauses::new(fixture.redis.clone());
    for scope in ["acme/*/*", "*/runway/*"] {
        pauses.pause(&pause(scope)).await.unwrap();
    }
    let (cancelled, kept) = (admit(&fixture, |_| {}).await, admit(&fixture, |_| {}).await);
    let process = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    let sum = || async { held(&pauses).await.iter().map(|(_, jobs)| jobs).sum::<u64>() };
    wait_for("both to be held", || async { sum().await == 2 }).await;
    fixture.store.cancel(&crate::harness::workspace(), &cancelled, Timestamp::now()).await.unwrap();
    let first = held(&pauses).await.into_iter().find(|(_, jobs)| *jobs > 0).unwrap().0;
    let other = if first == "acme/*/*" { "*/runway/*" } else { "acme/*/*" };
    assert_eq!(pauses.resume(&first.parse().unwrap()).await.unwrap(), Some(1));
    wait_for("the other pause to hold it", || async { held(&pauses).await == [(other.to_owned(), 1)] }).await;
    assert_eq!(fixture.job(&kept).await.state, State::Queued);
    assert_eq!(pauses.resume(&other.parse::<PauseScope>().unwrap()).await.unwrap(), Some(1));
    wait_for("it to succeed", || async { fixture.job(&kept).await.state == State::Succeeded }).await;
    assert_eq!(fixture.job(&cancelled).await.state, State::Cancelled);
    process.stop().await;
}
