//! What the api accepted is kept, once.

use atelier_domain::Timestamp;
use atelier_domain::ports::{Admission, CancelOutcome, Idempotency, JobStore, NewJob};
use atelier_domain::state::State;

use crate::harness::{Fixture, new_job, workspace};

fn key(text: &str, fingerprint: u8) -> Option<Idempotency> {
    Some(Idempotency { key: text.to_owned(), fingerprint: [fingerprint; 16] })
}

#[tokio::test]
async fn an_admitted_job_is_read_back_as_it_was() {
    let fixture = Fixture::start().await;
    let job = new_job("a fox");
    fixture.store.admit(NewJob { job: job.clone(), idempotency: None }).await.unwrap();
    let kept = fixture.job(&job.id).await;
    assert_eq!(kept.body, job.body);
    assert_eq!((kept.state, kept.epoch, kept.deliveries, kept.checks), (State::Queued, job.epoch, 0, 0));
    assert_eq!(fixture.store.job(&"other".parse().unwrap(), &job.id).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_job() {
    let fixture = Fixture::start().await;
    let (first, second) = (new_job("a fox"), new_job("a fox"));
    let admitted =
        fixture.store.admit(NewJob { job: first.clone(), idempotency: key("k", 1) }).await.unwrap();
    assert_eq!(admitted, Admission::Created);
    match fixture.store.admit(NewJob { job: second, idempotency: key("k", 1) }).await.unwrap() {
        Admission::Repeated(job) => assert_eq!(job.id, first.id),
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.audit().await.messages, 1);
}

#[tokio::test]
async fn the_same_key_with_another_body_names_the_first_job() {
    let fixture = Fixture::start().await;
    let first = new_job("a fox");
    fixture.store.admit(NewJob { job: first.clone(), idempotency: key("k", 1) }).await.unwrap();
    let outcome =
        fixture.store.admit(NewJob { job: new_job("a cat"), idempotency: key("k", 2) }).await.unwrap();
    assert_eq!(outcome, Admission::KeyReused(first.id));
}

#[tokio::test]
async fn a_key_belongs_to_one_workspace() {
    let fixture = Fixture::start().await;
    fixture.store.admit(NewJob { job: new_job("a fox"), idempotency: key("k", 1) }).await.unwrap();
    let mut foreign = new_job("a fox");
    foreign.body.workspace_id = "other".parse().unwrap();
    let outcome = fixture.store.admit(NewJob { job: foreign, idempotency: key("k", 1) }).await.unwrap();
    assert_eq!(outcome, Admission::Created);
}

#[tokio::test]
async fn inv11_an_admission_repeated_after_a_lost_answer_queues_one_message() {
    let fixture = Fixture::start().await;
    let job = new_job("a fox");
    for idempotency in [key("k", 1), key("k", 1), None] {
        let outcome = fixture.store.admit(NewJob { job: job.clone(), idempotency }).await.unwrap();
        assert_eq!(outcome, Admission::Created);
    }
    let audit = fixture.audit().await;
    assert_eq!((audit.jobs.len(), audit.messages), (1, 1));
}

#[tokio::test]
async fn a_store_that_is_away_accepts_nothing() {
    let mut fixture = Fixture::start().await;
    fixture.server.kill();
    let refused = fixture.store.admit(NewJob { job: new_job("a fox"), idempotency: None }).await;
    assert!(refused.is_err());
    assert!(fixture.store.ready().await.is_err());
    fixture.server.start_again().unwrap();
    assert!(fixture.store.ready().await.is_ok());
    assert_eq!(fixture.audit().await.jobs.len(), 0);
}

#[tokio::test]
async fn inv3_a_cancelled_job_stays_cancelled() {
    let fixture = Fixture::start().await;
    let ids = fixture.admit_many(1, "a fox").await;
    let now = Timestamp::now();
    let outcome = fixture.store.cancel(&workspace(), &ids[0], now).await.unwrap();
    assert!(matches!(outcome, CancelOutcome::Cancelled(job) if job.state == State::Cancelled));
    let outcome = fixture.store.cancel(&workspace(), &ids[0], now).await.unwrap();
    assert!(matches!(outcome, CancelOutcome::AlreadyEnded(job) if job.state == State::Cancelled));
    let foreign = fixture.store.cancel(&"other".parse().unwrap(), &ids[0], now).await.unwrap();
    assert_eq!(foreign, CancelOutcome::Unknown);
}
