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
async fn many_jobs_are_admitted_at_once_each_with_an_outcome_of_its_own() {
    let fixture = Fixture::start().await;
    let first = new_job("a fox");
    fixture.store.admit(NewJob { job: first.clone(), idempotency: key("first", 1) }).await.unwrap();
    let twin = new_job("a cat");
    let mut delayed = new_job("later");
    delayed.due_at = Some(delayed.body.created_at + std::time::Duration::from_secs(60));
    let mut foreign = new_job("a fox");
    foreign.body.workspace_id = "other".parse().unwrap();
    let new = [
        (new_job("plain"), None),
        (new_job("a fox"), key("first", 1)),
        (new_job("a dog"), key("first", 2)),
        (twin.clone(), key("twin", 3)),
        (new_job("a cat"), key("twin", 3)),
        (delayed.clone(), None),
        (foreign.clone(), key("first", 1)),
    ];
    let new: Vec<NewJob> = new.into_iter().map(|(job, idempotency)| NewJob { job, idempotency }).collect();
    let outcomes: Vec<_> =
        fixture.store.admit_many(&new).await.into_iter().map(|outcome| outcome.unwrap()).collect();
    assert!(matches!(&outcomes[1], Admission::Repeated(job) if job.id == first.id), "{outcomes:?}");
    assert_eq!(outcomes[2], Admission::KeyReused(first.id.clone()));
    assert!(matches!(&outcomes[4], Admission::Repeated(job) if job.id == twin.id), "{outcomes:?}");
    for created in [0, 3, 5, 6] {
        assert_eq!(outcomes[created], Admission::Created);
    }
    assert_eq!(fixture.job(&delayed.id).await.due_at, delayed.due_at.map(whole_millis));
    assert_eq!(
        fixture.store.job(&"other".parse().unwrap(), &foreign.id).await.unwrap().unwrap().id,
        foreign.id
    );
    let audit = fixture.audit().await;
    assert_eq!((audit.jobs.len(), audit.messages, audit.violations), (5, 4, vec![]));
}

/// A record keeps times of its header by the millisecond.
fn whole_millis(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap()
}

#[tokio::test]
async fn inv11_many_admissions_repeated_after_a_lost_answer_queue_each_job_once() {
    let fixture = Fixture::start().await;
    // More than one script takes.
    let jobs: Vec<_> = (0..1_200).map(|_| new_job("a fox")).collect();
    for _ in 0..2 {
        let new: Vec<NewJob> =
            jobs.iter().map(|job| NewJob { job: job.clone(), idempotency: None }).collect();
        let outcomes = fixture.store.admit_many(&new).await;
        assert_eq!(outcomes.len(), jobs.len());
        assert!(outcomes.into_iter().all(|outcome| matches!(outcome, Ok(Admission::Created))));
    }
    let audit = fixture.audit().await;
    assert_eq!((audit.jobs.len(), audit.messages), (1_200, 1_200));
    assert_eq!(audit.violations, []);
}

#[tokio::test]
async fn admissions_that_come_together_share_scripts_and_keep_their_own_outcomes() {
    use futures::StreamExt;
    let fixture = Fixture::start().await;
    let calls = || {
        let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut raw).unwrap();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap_or("0,");
        line.split(',').next().unwrap().parse::<usize>().unwrap()
    };
    fixture.admit_many(1, "loads the script").await;
    let before = calls();
    let outcomes: Vec<_> = futures::stream::iter(0..200u8)
        .map(|number| {
            // Each key comes twice, with the same request or with another one.
            let idempotency = key(&format!("key-{}", number / 2), if number % 4 < 2 { 1 } else { number });
            let new = NewJob { job: new_job("a fox"), idempotency };
            fixture.store.admit(new)
        })
        .buffered(200)
        .map(Result::unwrap)
        .collect()
        .await;
    let scripts = calls() - before;
    assert!(scripts <= 50, "{scripts} scripts for 200 admissions");
    let count = |is: fn(&Admission) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    assert_eq!(count(|outcome| *outcome == Admission::Created), 100);
    assert_eq!(count(|outcome| matches!(outcome, Admission::Repeated(_))), 50);
    assert_eq!(count(|outcome| matches!(outcome, Admission::KeyReused(_))), 50);
    assert_eq!(fixture.audit().await.jobs.len(), 101);
}

#[tokio::test]
async fn many_admissions_to_a_store_that_is_away_all_fail() {
    let mut fixture = Fixture::start().await;
    fixture.server.kill();
    let new: Vec<NewJob> = (0..3).map(|_| NewJob { job: new_job("a fox"), idempotency: None }).collect();
    let outcomes = fixture.store.admit_many(&new).await;
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.iter().all(Result::is_err));
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
