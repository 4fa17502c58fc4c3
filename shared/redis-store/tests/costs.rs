//! The books: each job once, whatever dies, and the same sums before and after days are rolled up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use atelier_domain::costs::{CostKey, Sums, day_of, entry, group, number_of};
use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::money::{Cost, MicroUsd, PriceUnit, ReportedCost, UnitPrice};
use atelier_domain::operation::{Provider, Step};
use atelier_domain::ports::{CancelOutcome, CostBook, JobStore, NewJob, Next};
use atelier_domain::state::{Event, State};
use atelier_domain::{Date, Timestamp};
use atelier_redis_store::keys::Keys;
use atelier_redis_store::{
    ControlOptions, ControlQueue, ControlTask, RedisCostBook, RedisStoreSettings, run_control,
};
use redis::{Commands, Connection};
use tokio_util::sync::CancellationToken;

use crate::harness::{BareStore, Fixture, PretendedWork, new_job, settings, wait_for, workspace};

const ESTIMATE: u64 = 1_000;

fn raw(fixture: &Fixture) -> Connection {
    redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap()
}

/// A job with an estimate, of one of two models.
pub fn priced(number: usize) -> Job {
    let mut job = new_job("a fox");
    let price = UnitPrice { unit: PriceUnit::Video, micro_usd: MicroUsd(ESTIMATE) };
    job.body.cost = Cost::estimate(MicroUsd(ESTIMATE), price);
    if number.is_multiple_of(3) {
        job.body.spec.provider = Provider::Luma;
        job.body.spec.model = "a name, with | and $".to_owned();
    }
    job
}

async fn admit<S>(fixture: &Fixture<S>, count: usize) -> Vec<Job> {
    let mut jobs = Vec::new();
    for number in 0..count {
        let job = priced(number);
        fixture.store.admit(NewJob { job: job.clone(), idempotency: None }).await.unwrap();
        jobs.push(job);
    }
    jobs
}

fn today() -> Date {
    day_of(Timestamp::now())
}

/// From five days ago until today.
async fn costs<S>(fixture: &Fixture<S>) -> Vec<(String, Sums)> {
    let book = RedisCostBook::new(fixture.redis.clone());
    let from = day_of(Timestamp::now() - Duration::from_secs(5 * 24 * 3600));
    let found = book.costs(&workspace(), from, today()).await.unwrap();
    group(&found, &[CostKey::Model]).into_iter().map(|(by, sums)| (by.model.unwrap(), sums)).collect()
}

async fn total<S>(fixture: &Fixture<S>) -> Sums {
    let mut total = Sums::default();
    costs(fixture).await.into_iter().for_each(|(_, sums)| total += sums);
    total
}

/// What the books must hold, by the records of the jobs.
async fn expected<S>(fixture: &Fixture<S>, admitted: &[Job]) -> BTreeMap<String, Sums> {
    let mut expected: BTreeMap<String, Sums> = BTreeMap::new();
    for job in admitted {
        let ended = fixture.job(&job.id).await;
        *expected.entry(job.body.spec.model.clone()).or_default() += entry(job, &ended).unwrap();
    }
    expected
}

#[tokio::test]
async fn the_books_hold_each_job_once_however_many_workers_die() {
    let fixture = Fixture::with(|url| RedisStoreSettings { shards: 3, ..settings(url) }).await;
    let jobs = admit(&fixture, 600).await;
    for _ in 0..4 {
        let work = Arc::new(PretendedWork {
            pause: Duration::from_millis(5),
            checks_needed: 1,
            ..PretendedWork::new(&fixture)
        });
        let process = fixture.process(Step::ALL, 16, work.clone());
        wait_for("work under way", || async { work.journal.total() > 100 }).await;
        process.kill();
    }
    // Some are cancelled from outside, while others work on them.
    for job in jobs.iter().rev().take(60) {
        fixture.store.cancel(&workspace(), &job.id, Timestamp::now()).await.unwrap();
    }
    let last = fixture.process(Step::ALL, 16, Arc::new(PretendedWork::new(&fixture)));
    wait_for("all to end", || async { fixture.audit().await.jobs.iter().all(|job| job.state.is_terminal()) })
        .await;
    let found: BTreeMap<String, Sums> = costs(&fixture).await.into_iter().collect();
    assert_eq!(found, expected(&fixture, &jobs).await);
    let total = total(&fixture).await;
    assert_eq!(total.jobs(), 600);
    assert!(total.succeeded > 0 && total.cancelled > 0, "{total:?}");
    last.stop().await;
}

#[tokio::test]
async fn a_verdict_that_is_sent_again_is_charged_once() {
    let fixture = Fixture::start().await;
    let job = admit(&fixture, 1).await.remove(0);
    let before = fixture.job(&job.id).await;
    let mut after = before.clone();
    after.apply(Event::Failed, Timestamp::now()).unwrap();
    after.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(7))));
    // As when the answer to the first one was lost.
    for _ in 0..3 {
        assert!(fixture.store.decide(&before, after.clone(), Next::Nothing).await.unwrap());
    }
    assert_eq!(total(&fixture).await, Sums { failed: 1, micro_usd: 7, ..Sums::default() });
    // A stale one is not charged at all.
    let mut other = before.clone();
    other.apply(Event::Cancelled, Timestamp::now()).unwrap();
    assert!(!fixture.store.decide(&before, other, Next::Nothing).await.unwrap());
    // A cost that comes after the end is.
    let ended = fixture.job(&job.id).await;
    let mut salvaged = ended.clone();
    salvaged.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(5))));
    assert!(fixture.store.decide(&ended, salvaged, Next::Nothing).await.unwrap());
    assert_eq!(total(&fixture).await, Sums { failed: 1, micro_usd: 5, ..Sums::default() });
}

#[tokio::test]
async fn a_record_that_is_no_book_holds_up_no_verdict() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let keys = Keys::of_shard(0);
    // Tomorrow too: the day may end meanwhile.
    for day in [0, 1] {
        let _: () = raw.set(keys.costs_of_day(&workspace(), number_of(today()) + day), "no hash").unwrap();
    }
    let job = admit(&fixture, 1).await.remove(0);
    let cancelled = fixture.store.cancel(&workspace(), &job.id, Timestamp::now()).await.unwrap();
    assert!(matches!(cancelled, CancelOutcome::Cancelled(_)));
}

/// Jobs that ended in every shard and in two workspaces, as if that had been `days` ago.
async fn ended_before(fixture: &Fixture, days: i64) {
    let mut raw = raw(fixture);
    let number = number_of(today());
    for at in 0..12u16 {
        let mut job = priced(usize::from(at));
        job.id = JobId::with_spread(at);
        job.body.workspace_id = if at < 9 { workspace() } else { other() };
        fixture.store.admit(NewJob { job: job.clone(), idempotency: None }).await.unwrap();
        let mut after = job.clone();
        after.apply(Event::Cancelled, Timestamp::now()).unwrap();
        after.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(u64::from(at) + 1))));
        assert!(fixture.store.decide(&job, after, Next::Nothing).await.unwrap());
    }
    for shard in 0..fixture.settings.shards {
        for workspace in [workspace(), other()] {
            let keys = Keys::of_shard(shard);
            let old = keys.costs_of_day(&workspace, number - days);
            let _: () = raw.rename(keys.costs_of_day(&workspace, number), old).unwrap();
        }
    }
}

fn other() -> WorkspaceId {
    "other".parse().unwrap()
}

fn parts(fixture: &Fixture) -> Vec<String> {
    let mut keys: Vec<String> = raw(fixture).keys("{q?}:m:*").unwrap();
    keys.sort();
    keys
}

pub async fn roll_up(fixture: &Fixture, number: u64) {
    let stop = CancellationToken::new();
    let options = ControlOptions {
        poll_every: Duration::from_millis(20),
        heartbeat: Duration::from_secs(1),
        ..ControlOptions::default()
    };
    let store = Arc::new(BareStore);
    let working = tokio::spawn(run_control(fixture.redis.clone(), store, options, stop.clone()));
    let now = Timestamp::now() + Duration::from_secs(3_600 * number);
    ControlQueue::new(fixture.redis.clone()).push(ControlTask::RollUpCosts, now).await.unwrap();
    let mut raw = raw(fixture);
    let done = format!("{}:done", atelier_redis_store::keys::CONTROL_QUEUE);
    wait_for("the roll-up", || {
        let count: u64 = raw.scard(&done).unwrap();
        async move { count > number }
    })
    .await;
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test]
async fn days_that_are_over_are_rolled_up_and_cost_the_same() {
    let fixture = Fixture::with(|url| RedisStoreSettings { shards: 3, ..settings(url) }).await;
    let mut raw = raw(&fixture);
    ended_before(&fixture, 2).await;
    ended_before(&fixture, 1).await;
    let before = costs(&fixture).await;
    assert_eq!(total(&fixture).await, Sums { cancelled: 18, micro_usd: 2 * 45, ..Sums::default() });
    assert_eq!(parts(&fixture).len(), 12);
    let kept: BTreeMap<String, BTreeMap<String, i64>> =
        parts(&fixture).into_iter().map(|key| (key.clone(), raw.hgetall(&key).unwrap())).collect();
    for key in kept.keys() {
        let lives_s: i64 = raw.ttl(key).unwrap();
        assert!((399 * 86_400..=400 * 86_400).contains(&lives_s), "{key} lives for {lives_s} s");
    }
    roll_up(&fixture, 0).await;
    let two_days_ago = format!(":{}", number_of(today()) - 2);
    assert_eq!(parts(&fixture).len(), 6, "yesterday stays as it is");
    assert!(parts(&fixture).iter().all(|key| !key.ends_with(&two_days_ago)));
    assert_eq!(costs(&fixture).await, before);
    let months: Vec<String> = raw.keys("{q?}:y:*").unwrap();
    assert_eq!(months.len(), 2, "one a workspace: {months:?}");
    for month in &months {
        assert!(raw.ttl::<_, i64>(month).unwrap() > 399 * 86_400);
    }
    // As a roll-up leaves it that was killed before it had removed the last part, whichever that is.
    let mut restored: Option<&String> = None;
    let ours = format!(":m:{}{two_days_ago}", workspace());
    for key in kept.keys().filter(|key| key.ends_with(&ours)) {
        if let Some(other) = restored.replace(key) {
            let _: () = raw.del(other).unwrap();
        }
        let fields: Vec<(&String, &i64)> = kept[key].iter().collect();
        let _: () = raw.hset_multiple(key, &fields).unwrap();
        for shard in 0..3 {
            let _: () = raw.del(Keys::of_shard(shard).folded()).unwrap();
        }
        assert_eq!(costs(&fixture).await, before, "{key} counts once");
    }
    assert_eq!(parts(&fixture).len(), 7);
    roll_up(&fixture, 1).await;
    assert_eq!(parts(&fixture).len(), 6);
    assert_eq!(costs(&fixture).await, before);
    for shard in 0..3 {
        let folded: i64 = raw.get(Keys::of_shard(shard).folded()).unwrap();
        assert_eq!(folded, number_of(today()) - 2);
    }
}

#[tokio::test]
async fn readers_see_each_job_once_while_days_are_rolled_up() {
    let fixture = Fixture::with(|url| RedisStoreSettings { shards: 3, ..settings(url) }).await;
    ended_before(&fixture, 3).await;
    ended_before(&fixture, 2).await;
    let before = costs(&fixture).await;
    let rolling = std::cell::Cell::new(true);
    let reading = async {
        let mut times = 0;
        while rolling.get() {
            assert_eq!(costs(&fixture).await, before, "at reading {times}");
            times += 1;
        }
        times
    };
    let rolling = async {
        roll_up(&fixture, 0).await;
        rolling.set(false);
    };
    let (times, ()) = tokio::join!(reading, rolling);
    assert!(times > 3, "read {times} times");
    assert_eq!(parts(&fixture), [""; 0]);
}

#[tokio::test]
async fn another_workspace_sees_nothing_of_it() {
    let fixture = Fixture::start().await;
    admit(&fixture, 3).await;
    let process = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    fixture.assert_all_ended(3, State::Succeeded).await;
    process.stop().await;
    assert_eq!(total(&fixture).await.succeeded, 3);
    let book = RedisCostBook::new(fixture.redis.clone());
    assert_eq!(book.costs(&other(), today(), today()).await.unwrap(), []);
}
