//! Lists and waits.

use std::time::{Duration, Instant};

use atelier_domain::Timestamp;
use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::ids::JobId;
use atelier_domain::job::Job;
use atelier_domain::operation::{Operation, Provider, Step};
use atelier_domain::ports::{Among, JobFilter, JobStore, NewJob, Next};
use atelier_domain::state::{Event, State};
use atelier_redis_store::RedisStoreSettings;

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
    let cancelled = count(JobFilter { states: vec![State::Cancelled], ..page(1, 20) }).await;
    assert_eq!((cancelled.items.len(), cancelled.total), (1, 1));
    let both = JobFilter { provider: Some(Provider::Runway), states: vec![State::Queued], ..page(1, 20) };
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

/// All jobs that a walk meets, and how many calls that took.
async fn walk<S>(fixture: &Fixture<S>, filter: &JobFilter) -> (Vec<JobId>, usize) {
    let (mut found, mut place, mut calls) = (Vec::new(), None, 0);
    loop {
        let walked = fixture.store.walk(&workspace(), filter, place.as_ref()).await.unwrap();
        calls += 1;
        assert!(walked.items.len() <= filter.limit as usize);
        found.extend(walked.items.into_iter().map(|job| job.id));
        place = walked.next;
        if place.is_none() {
            return (found, calls);
        }
    }
}

/// Admits jobs, the later ones of a later time, but for those of a batch, which are of one time.
async fn admit_in_order<S>(fixture: &Fixture<S>, sizes: &[usize]) -> Vec<JobId> {
    let began = Timestamp::now();
    let mut of_batches = Vec::new();
    for (number, size) in (0u64..).zip(sizes) {
        let mut batch = Vec::new();
        for _ in 0..*size {
            let mut job = new_job("a fox");
            job.body.created_at = began + Duration::from_micros(number);
            batch.push(NewJob { job, idempotency: None });
        }
        let admitted = fixture.store.admit_many(&batch).await;
        assert!(admitted.into_iter().all(|outcome| outcome.is_ok()));
        let mut ids: Vec<JobId> = batch.into_iter().map(|new| new.job.id).collect();
        ids.sort();
        of_batches.push(ids);
    }
    let mut ids: Vec<JobId> = of_batches.concat();
    ids.reverse();
    ids
}

#[tokio::test]
async fn a_walk_meets_each_job_once_in_its_order_over_all_shards() {
    for shards in [1, 3] {
        let fixture =
            Fixture::with(|url| RedisStoreSettings { shards, ..crate::harness::settings(url) }).await;
        // The jobs of a batch have one time: more of them than are read at once.
        let ids = admit_in_order(&fixture, &[203, 520, 1, 1, 40]).await;
        for limit in [9, 100] {
            let (found, calls) = walk(&fixture, &page(9, limit)).await;
            assert_eq!(found, ids, "{shards} shards, {limit} at once");
            assert_eq!(calls, ids.len().div_ceil(limit as usize), "the last page says that it is the last");
        }
        let second = fixture.store.jobs(&workspace(), &page(2, 100)).await.unwrap();
        let rest = fixture.store.walk(&workspace(), &page(1, 100), second.next.as_ref()).await.unwrap();
        assert_eq!(rest.items.into_iter().map(|job| job.id).collect::<Vec<_>>(), ids[200..300]);
        let strangers = "other".parse().unwrap();
        let foreign = fixture.store.walk(&strangers, &page(1, 100), second.next.as_ref()).await.unwrap();
        assert_eq!((foreign.items.len(), foreign.next), (0, None));
    }
}

#[tokio::test]
async fn what_comes_and_goes_during_a_walk_hides_and_repeats_nothing() {
    let fixture =
        Fixture::with(|url| RedisStoreSettings { shards: 3, ..crate::harness::settings(url) }).await;
    let ids = admit_in_order(&fixture, &[1; 60]).await;
    let (mut found, mut place) = (Vec::new(), None);
    loop {
        let walked = fixture.store.walk(&workspace(), &page(1, 7), place.as_ref()).await.unwrap();
        found.extend(walked.items.iter().map(|job| job.id.clone()));
        let Some(next) = walked.next else { break };
        // New ones at the head, and the very job that the walk has come to is forgotten.
        fixture.admit_many(5, "a fox").await;
        fixture.store.cancel(&workspace(), &next.id, Timestamp::now()).await.unwrap();
        assert!(fixture.store.forget(&workspace(), &next.id).await.unwrap());
        place = Some(next);
    }
    assert_eq!(found, ids);
}

#[tokio::test]
async fn a_filtered_walk_goes_on_where_it_stopped_and_a_call_has_a_bound() {
    let fixture = Fixture::start().await;
    let began = Timestamp::now();
    let needle = async |number: u64| {
        let mut job = new_job("a needle");
        job.body.spec.model = "rare".to_owned();
        job.body.created_at = began + Duration::from_micros(number);
        job.body.spec.metadata.insert("order".to_owned(), number.into());
        fixture.store.admit(NewJob { job: job.clone(), idempotency: None }).await.unwrap();
        job.id
    };
    let first = needle(0).await;
    let hay: Vec<NewJob> = (1..=4_500)
        .map(|number| {
            let mut job = new_job("hay");
            job.body.created_at = began + Duration::from_micros(number);
            NewJob { job, idempotency: None }
        })
        .collect();
    assert!(fixture.store.admit_many(&hay).await.into_iter().all(|outcome| outcome.is_ok()));
    let last = needle(5_000).await;

    let rare = JobFilter { model: Some("rare".to_owned()), ..page(1, 20) };
    let (found, calls) = walk(&fixture, &rare).await;
    assert_eq!(found, [last.clone(), first.clone()]);
    assert_eq!(calls, 5, "each call looks at 1,000 records");
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    let _: () = redis::cmd("CONFIG").arg("RESETSTAT").query(&mut raw).unwrap();
    fixture.store.walk(&workspace(), &rare, None).await.unwrap();
    let statistics: String = redis::cmd("INFO").arg("commandstats").query(&mut raw).unwrap();
    let count = |name: &str| {
        let line = statistics.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:calls=")));
        line.and_then(|line| line.split(['=', ',']).nth(1)?.parse::<u32>().ok()).unwrap_or(0)
    };
    assert_eq!((count("zrange"), count("mget")), (2, 2), "{statistics}");

    // A time bounds what is looked at: one call finds the first.
    let old = JobFilter { created_before: Some(began + Duration::from_micros(10)), ..rare.clone() };
    assert_eq!(walk(&fixture, &old).await, (vec![first.clone()], 1));
    let new = JobFilter { created_after: Some(began + Duration::from_micros(4_400)), ..rare.clone() };
    assert_eq!(walk(&fixture, &new).await, (vec![last.clone()], 1));
    let order = [("order".to_owned(), "0".to_owned())].into();
    assert_eq!(
        walk(&fixture, &JobFilter { metadata: order, ..rare.clone() }).await.0,
        std::slice::from_ref(&first)
    );

    let listed = fixture.store.jobs(&workspace(), &JobFilter { limit: 1, ..rare }).await.unwrap();
    assert_eq!((listed.total, listed.next.map(|place| place.id)), (2, Some(last)));
}
