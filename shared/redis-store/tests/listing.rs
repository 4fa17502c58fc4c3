//! Lists and waits.

use std::time::{Duration, Instant};

use atelier_domain::Timestamp;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{JobFilter, JobStore, NewJob};
use atelier_domain::state::State;

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
