//! Lists and waits.

use std::time::{Duration, Instant};

use atelier_domain::Timestamp;
use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::ids::JobId;
use atelier_domain::job::Job;
use atelier_domain::operation::{Operation, Provider, Step};
use atelier_domain::ports::{Among, JobFilter, JobStore, NewJob, Next};
use atelier_domain::state::{Event, State};

use crate::harness::{Fixture, new_job, workspace};

fn page(number: u32, limit: u32) -> JobFilter {
    JobFilter { page: number, limit, ..JobFilter::default() }
}

#[tokio::test]
async fn pages_are_newest_first_and_count_all() {
    let fixture = Fixture::start().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.extend(fixture.admit_many(1, "a fox").await);
    }
    ids.reverse();
    let first = fixture.store.jobs(&workspace(), &page(1, 3)).await.unwrap();
    let third = fixture.store.jobs(&workspace(), &page(3, 3)).await.unwrap();
    assert_eq!(first.total, 7);
    assert_eq!(first.items.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), ids[..3]);
    assert_eq!(third.items.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), ids[6..]);
    let foreign = fixture.store.jobs(&"other".parse().unwrap(), &page(1, 3)).await.unwrap();
    assert_eq!((foreign.items.len(), foreign.total), (0, 0));
}

#[tokio::test]
async fn filters_narrow_and_count_what_fits() {
    let fixture = Fixture::start().await;
    let videos = fixture.admit_many(5, "a fox").await;
    for _ in 0..4 {
        let mut job = new_job("hello");
        job.body.spec.operation = Operation::Tts;
        job.body.spec.provider = Provider::ElevenLabs;
        fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
    }
    fixture.store.cancel(&workspace(), &videos[0], Timestamp::now()).await.unwrap();
    let count = async |filter: JobFilter| fixture.store.jobs(&workspace(), &filter).await.unwrap();
    let speech = count(JobFilter { operation: Some(Operation::Tts), ..page(2, 3) }).await;
    assert_eq!((speech.items.len(), speech.total), (1, 4));
    let cancelled = count(JobFilter { state: Some(State::Cancelled), ..page(1, 20) }).await;
    assert_eq!((cancelled.items.len(), cancelled.total), (1, 1));
    let both = JobFilter { provider: Some(Provider::Runway), state: Some(State::Queued), ..page(1, 20) };
    assert_eq!(count(both).await.total, 4);
}

#[tokio::test]
async fn doubts_and_dead_letters_have_lists_of_their_own() {
    let fixture = Fixture::start().await;
    let ids = fixture.admit_many(3, "a fox").await;
    let among = async |among: Among| {
        let filter = JobFilter { among, ..page(1, 20) };
        let page = fixture.store.jobs(&workspace(), &filter).await.unwrap();
        (page.items.into_iter().map(|job| job.id).collect::<Vec<_>>(), page.total)
    };
    let change = async |id: &JobId, change: &dyn Fn(&mut Job)| {
        let before = fixture.job(id).await;
        let mut after = before.clone();
        change(&mut after);
        let next = if after.state.is_terminal() { Next::Nothing } else { Next::Now(Step::Reconcile) };
        assert!(fixture.store.decide(&before, after, next).await.unwrap());
    };
    let now = Timestamp::now();
    let failing = |code: ErrorCode| {
        move |job: &mut Job| {
            job.apply(Event::Failed, now).unwrap();
            job.body.error = Some(JobError::new(code, "no"));
        }
    };
    change(&ids[0], &|job| {
        job.apply(Event::IntentStored, now).unwrap();
        job.apply(Event::AnswerLost, now).unwrap();
    })
    .await;
    change(&ids[1], &failing(ErrorCode::Exhausted)).await;
    change(&ids[2], &failing(ErrorCode::Rejected)).await;
    assert_eq!(among(Among::Uncertain).await, (vec![ids[0].clone()], 1));
    assert_eq!(among(Among::DeadLetters).await, (vec![ids[1].clone()], 1));

    // An end of the doubt, even by exhaustion, moves the job from one list to the other.
    change(&ids[0], &failing(ErrorCode::Exhausted)).await;
    assert_eq!(among(Among::Uncertain).await, (vec![], 0));
    assert_eq!(among(Among::DeadLetters).await.1, 2);
    let strangers = "other".parse().unwrap();
    assert_eq!(fixture.store.strike(&strangers, &ids).await.unwrap(), 0);
    assert!(!fixture.store.forget(&strangers, &ids[0]).await.unwrap());
    assert_eq!(fixture.store.strike(&workspace(), &ids).await.unwrap(), 2);
    assert_eq!(among(Among::DeadLetters).await, (vec![], 0));

    let waiting = fixture.admit_many(1, "a fox").await;
    assert!(!fixture.store.forget(&workspace(), &waiting[0]).await.unwrap(), "it has not ended");
    assert!(fixture.store.forget(&workspace(), &ids[0]).await.unwrap());
    assert!(!fixture.store.forget(&workspace(), &ids[0]).await.unwrap());
    assert_eq!(among(Among::All).await.1, 3);
}

#[tokio::test]
async fn a_waiting_caller_hears_of_the_end() {
    let fixture = Fixture::start().await;
    let ids = fixture.admit_many(1, "a fox").await;
    let (store, id) = (fixture.store.clone(), ids[0].clone());
    let waiting = tokio::spawn(async move {
        store.wait_for_end(&workspace(), &id, Duration::from_secs(60)).await.unwrap().unwrap()
    });
    fixture.store.cancel(&workspace(), &ids[0], Timestamp::now()).await.unwrap();
    let job = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    assert_eq!(job.state, State::Cancelled);
}

#[tokio::test]
async fn inv10_a_wait_ends_at_its_limit() {
    let fixture = Fixture::start().await;
    let ids = fixture.admit_many(1, "a fox").await;
    let since = Instant::now();
    let job =
        fixture.store.wait_for_end(&workspace(), &ids[0], Duration::from_millis(150)).await.unwrap().unwrap();
    assert_eq!(job.state, State::Queued);
    assert!(since.elapsed() >= Duration::from_millis(150));
}
