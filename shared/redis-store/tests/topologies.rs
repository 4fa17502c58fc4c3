//! The same promises wherever the shards are: on one server, on several, in a cluster, behind sentinels.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use atelier_domain::Timestamp;
use atelier_domain::ids::{AssetId, JobId};
use atelier_domain::job::Epoch;
use atelier_domain::operation::Step;
use atelier_domain::policy::{Policy, Polling};
use atelier_domain::ports::{
    Admission, CancelOutcome, Idempotency, JobFilter, JobStore, NewJob, Pauses, Spool,
};
use atelier_domain::secret::Secret;
use atelier_domain::state::State;
use atelier_redis_store::{
    ControlOptions, ControlQueue, ControlTask, RedisPauses, RedisSpool, RedisStoreSettings, preflight,
    run_control,
};
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    BareStore, Fixture, Hanging, LONG, PretendedWork, new_job, settings, wait_for, workspace,
};
use crate::redis_groups::{RedisCluster, SentinelGroup};
use crate::redis_server::RedisServer;

fn secrets(urls: Vec<String>) -> Vec<Secret<String>> {
    urls.into_iter().map(Secret::new).collect()
}

fn shards(url: String, shards: u16) -> RedisStoreSettings {
    RedisStoreSettings { shards, ..settings(url) }
}

/// Ended jobs are gone after a second.
fn shards_that_expire(number: u16) -> RedisStoreSettings {
    RedisStoreSettings {
        retention_s: 1,
        ..shards(RedisStoreSettings::default().url.expose().clone(), number)
    }
}

pub fn several_servers(count: u16, number_of_shards: u16) -> Fixture<Vec<RedisServer>> {
    let url = RedisStoreSettings::default().url.expose().clone();
    several_servers_with(count, shards(url, number_of_shards))
}

fn several_servers_with(count: u16, settings: RedisStoreSettings) -> Fixture<Vec<RedisServer>> {
    let folder = tempfile::tempdir().unwrap();
    let start = |number| RedisServer::start(&folder.path().join(format!("{number}")), true).unwrap();
    let servers: Vec<RedisServer> = (0..count).map(start).collect();
    let urls = secrets(servers.iter().map(RedisServer::url).collect());
    let settings = RedisStoreSettings { urls, ..settings };
    assert_eq!(settings.problems(), []);
    Fixture::assemble(servers, folder, settings)
}

pub fn cluster(has_replicas: bool, number_of_shards: u16) -> Fixture<RedisCluster> {
    let url = RedisStoreSettings::default().url.expose().clone();
    cluster_with(has_replicas, shards(url, number_of_shards))
}

fn cluster_with(has_replicas: bool, settings: RedisStoreSettings) -> Fixture<RedisCluster> {
    let folder = tempfile::tempdir().unwrap();
    let cluster = RedisCluster::start(folder.path(), 3, has_replicas).unwrap();
    let settings = RedisStoreSettings { cluster_urls: secrets(cluster.urls()), ..settings };
    assert_eq!(settings.problems(), []);
    Fixture::assemble(cluster, folder, settings)
}

pub fn sentinel(number_of_shards: u16) -> Fixture<SentinelGroup> {
    let folder = tempfile::tempdir().unwrap();
    let group = SentinelGroup::start(folder.path()).unwrap();
    let settings = RedisStoreSettings {
        sentinel_urls: secrets(group.sentinel_urls()),
        ..shards(group.master_url(), number_of_shards)
    };
    assert_eq!(settings.problems(), []);
    Fixture::assemble(group, folder, settings)
}

/// Jobs whose ids fall into every one of so many shards.
fn one_in_each(number_of_shards: u16) -> Vec<JobId> {
    (0..number_of_shards).map(JobId::with_spread).collect()
}

async fn admit_in_each<S>(fixture: &Fixture<S>) -> Vec<JobId> {
    let ids = one_in_each(fixture.settings.shards);
    for id in &ids {
        let mut job = new_job("a fox");
        job.id = id.clone();
        let admitted = fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
        assert_eq!(admitted, Admission::Created);
    }
    ids
}

/// Every promise of the store that depends on where keys are.
pub async fn all_promises_hold<S>(fixture: &mut Fixture<S>) {
    preflight::check(&fixture.redis).await.unwrap();
    assert!(fixture.store.ready().await.is_ok());
    jobs_go_through_every_state_once(fixture).await;
    delayed_jobs_start_on_time(fixture).await;
    lists_are_merged_newest_first(fixture).await;
    a_repeated_key_gives_the_same_job(fixture).await;
    paid_bytes_come_back(fixture).await;
    waiting_callers_hear_of_the_end(fixture).await;
    a_hastened_check_is_due_at_once(fixture).await;
    a_dead_workers_steps_are_recovered(fixture).await;
    cancelled_work_is_abandoned_and_can_be_forgotten(fixture).await;
    a_pause_holds_in_every_shard(fixture).await;
    crate::events::every_event_is_heard_in_every_shard(fixture).await;
    crate::documents::documents_are_kept_changed_found_and_removed(fixture).await;
}

async fn cancelled_work_is_abandoned_and_can_be_forgotten<S>(fixture: &Fixture<S>) {
    let work = Arc::new(PretendedWork::new(fixture));
    let ids = admit_in_each(fixture).await;
    let process = fixture.process(&[Step::Submit, Step::Abandon], 4, work.clone());
    for id in &ids {
        wait_for("the provider to work", || async { fixture.job(id).await.state == State::Awaiting }).await;
        let outcome = fixture.store.cancel(&workspace(), id, Timestamp::now()).await.unwrap();
        assert!(matches!(outcome, CancelOutcome::Cancelled(_)), "{outcome:?}");
    }
    for id in &ids {
        wait_for("the provider to be told", || async { work.journal.count(id, Step::Abandon) == 1 }).await;
    }
    wait_for("the messages to be gone", || async { fixture.audit().await.messages == 0 }).await;
    process.stop().await;
    for id in &ids {
        assert_eq!(fixture.job(id).await.state, State::Cancelled);
        assert!(fixture.store.forget(&workspace(), id).await.unwrap());
        assert!(fixture.store.job(&workspace(), id).await.unwrap().is_none());
    }
}

async fn a_pause_holds_in_every_shard<S>(fixture: &Fixture<S>) {
    let pauses = RedisPauses::new(fixture.redis.clone());
    let pause = crate::pauses::pause("acme/*/*");
    pauses.pause(&pause).await.unwrap();
    let ids = admit_in_each(fixture).await;
    let process = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(fixture)));
    let count = ids.len() as u64;
    wait_for("the jobs to be held", || async { pauses.pauses().await.unwrap()[0].jobs == count }).await;
    assert_eq!(pauses.resume(&pause.scope).await.unwrap(), Some(count));
    for id in &ids {
        wait_for("the job to end", || async { fixture.job(id).await.state == State::Succeeded }).await;
    }
    process.stop().await;
}

async fn jobs_go_through_every_state_once<S>(fixture: &Fixture<S>) {
    let work = Arc::new(PretendedWork { checks_needed: 1, ..PretendedWork::new(fixture) });
    let process = fixture.process(Step::ALL, 16, work.clone());
    let mut ids = fixture.admit_many(200, "a fox").await;
    ids.extend(admit_in_each(fixture).await);
    fixture.assert_all_ended(ids.len(), State::Succeeded).await;
    for id in &ids {
        let begun = [Step::Submit, Step::Check, Step::Deliver].map(|step| work.journal.count(id, step));
        assert_eq!(begun, [1, 2, 1], "{id}");
        let asset = fixture.store.asset(&workspace(), &AssetId::of(id, 0)).await.unwrap();
        let made_by = asset.and_then(|asset| asset.made_by).expect("the asset is found");
        assert_eq!(made_by.job_id, *id);
    }
    crate::assets::the_list_holds_exactly(&fixture.redis, &ids).await;
    // A handler tells the end after it is stored.
    process.stop().await;
    assert_eq!(fixture.telemetry.ended.load(Ordering::Relaxed), ids.len() as u64);
}

async fn delayed_jobs_start_on_time<S>(fixture: &Fixture<S>) {
    let work = Arc::new(PretendedWork::new(fixture));
    let process = fixture.process(Step::ALL, 16, work.clone());
    let due = Timestamp::now() + Duration::from_millis(400);
    let ids = one_in_each(fixture.settings.shards);
    for id in &ids {
        let mut job = new_job("later");
        job.id = id.clone();
        job.body.spec.run_at = Some(due);
        job.due_at = Some(due);
        fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
    }
    for id in &ids {
        wait_for("the job to end", || async { fixture.job(id).await.state == State::Succeeded }).await;
        let submitted = fixture.job(id).await.body.remote.unwrap().submitted_at;
        assert!(submitted >= due, "{submitted} is before {due}");
        // Nobody would look for seconds without its shard's clock.
        assert!(submitted < due + Duration::from_secs(2), "{submitted} is long after {due}");
    }
    process.stop().await;
}

async fn lists_are_merged_newest_first<S>(fixture: &Fixture<S>) {
    let filter = JobFilter { page: 1, limit: 100, ..JobFilter::default() };
    let total = fixture.store.jobs(&workspace(), &filter).await.unwrap().total;
    let mut found = Vec::new();
    for page in 1.. {
        let filter = JobFilter { page, limit: 30, ..JobFilter::default() };
        let listed = fixture.store.jobs(&workspace(), &filter).await.unwrap();
        assert_eq!(listed.total, total);
        if listed.items.is_empty() {
            break;
        }
        found.extend(listed.items);
    }
    assert_eq!(found.len() as u64, total);
    assert!(found.is_sorted_by(|newer, older| newer.body.created_at >= older.body.created_at));
    let ids: HashSet<JobId> = found.into_iter().map(|job| job.id).collect();
    assert_eq!(ids.len() as u64, total, "each job once");
    let filter = JobFilter { states: vec![State::Succeeded], page: 2, limit: 100, ..JobFilter::default() };
    let filtered = fixture.store.jobs(&workspace(), &filter).await.unwrap();
    assert_eq!((filtered.items.len(), filtered.total), (100, total));
}

async fn a_repeated_key_gives_the_same_job<S>(fixture: &Fixture<S>) {
    let before = fixture.audit().await.messages;
    for number in 0..20 {
        let key = format!("key {number}");
        let admit = |fingerprint: u8| {
            let mut job = new_job("a fox");
            job.id = fixture.store.new_job_id(&workspace(), Some(&key));
            let idempotency = Some(Idempotency { key: key.clone(), fingerprint: [fingerprint; 16] });
            (job.id.clone(), fixture.store.admit(NewJob { job, idempotency }))
        };
        let (first, admission) = admit(1);
        assert_eq!(admission.await.unwrap(), Admission::Created);
        match admit(1).1.await.unwrap() {
            Admission::Repeated(job) => assert_eq!(job.id, first),
            other => panic!("{other:?}"),
        }
        assert_eq!(admit(2).1.await.unwrap(), Admission::KeyReused(first.clone()));
        fixture.store.cancel(&workspace(), &first, Timestamp::now()).await.unwrap();
    }
    assert_eq!(fixture.audit().await.messages, before + 20, "the cancelled jobs' messages, once each");
    // Somebody takes the messages away.
    let work = Arc::new(PretendedWork::new(fixture));
    let process = fixture.process(Step::ALL, 4, work);
    wait_for("no message to be left", || async { fixture.audit().await.messages == 0 }).await;
    process.stop().await;
}

async fn paid_bytes_come_back<S>(fixture: &Fixture<S>) {
    let spool = RedisSpool::new(fixture.redis.clone(), CancellationToken::new());
    for id in one_in_each(fixture.settings.shards) {
        let bytes = vec![7u8; 700_000];
        let source = Box::pin(stream::iter([Ok(bytes.clone().into())]));
        assert_eq!(spool.keep(&id, Epoch(1), 0, source).await.unwrap(), 700_000);
        let mut back = Vec::new();
        let mut reading = spool.read(&id, Epoch(1), 0).await.unwrap();
        while let Some(part) = reading.next().await {
            back.extend_from_slice(&part.unwrap());
        }
        assert_eq!(back, bytes);
        spool.forget(&id, Epoch(1), 0).await.unwrap();
    }
}

async fn waiting_callers_hear_of_the_end<S>(fixture: &Fixture<S>) {
    let ids = admit_in_each(fixture).await;
    let since = Instant::now();
    let mut waiting = Vec::new();
    for id in &ids {
        let (store, id) = (fixture.store.clone(), id.clone());
        waiting.push(tokio::spawn(async move { store.wait_for_end(&workspace(), &id, LONG).await }));
    }
    for id in &ids {
        fixture.store.cancel(&workspace(), id, Timestamp::now()).await.unwrap();
    }
    for caller in waiting {
        let job = caller.await.unwrap().unwrap().unwrap();
        assert_eq!(job.state, State::Cancelled);
    }
    // Without a message they would look again after two seconds.
    assert!(since.elapsed() < Duration::from_millis(1_900), "{:?}", since.elapsed());
    let process = fixture.process(&[Step::Submit], 4, Arc::new(PretendedWork::new(fixture)));
    wait_for("no message to be left", || async { fixture.audit().await.messages == 0 }).await;
    process.stop().await;
}

async fn a_hastened_check_is_due_at_once<S>(fixture: &mut Fixture<S>) {
    let usual = fixture.policy.clone();
    let polling = Polling { interval_ms: 60_000, max_checks: 60, timeout_ms: 600_000 };
    fixture.policy = Arc::new(Policy { polling, ..(*usual).clone() });
    let work = Arc::new(PretendedWork::new(fixture));
    let process = fixture.process(Step::ALL, 8, work.clone());
    let ids = admit_in_each(fixture).await;
    for id in &ids {
        wait_for("the job to wait", || async { fixture.job(id).await.state == State::Awaiting }).await;
        assert!(fixture.store.hasten(id).await.unwrap());
        assert!(!fixture.store.hasten(id).await.unwrap());
        wait_for("the job to end", || async { fixture.job(id).await.state == State::Succeeded }).await;
    }
    process.stop().await;
    fixture.policy = usual;
}

async fn a_dead_workers_steps_are_recovered<S>(fixture: &Fixture<S>) {
    let dying = fixture.process(&[Step::Submit], 16, Arc::new(Hanging::default()));
    let ids = admit_in_each(fixture).await;
    for id in &ids {
        wait_for("the step to be claimed", || async { fixture.job(id).await.deliveries > 0 }).await;
    }
    dying.kill();
    let heir = Arc::new(PretendedWork::new(fixture));
    let process = fixture.process(Step::ALL, 16, heir);
    for id in &ids {
        wait_for("the job to end", || async { fixture.job(id).await.state == State::Succeeded }).await;
    }
    process.stop().await;
    assert_eq!(fixture.audit().await.violations, []);
}

/// The control queue's work reaches every shard.
pub async fn expired_ids_leave_every_index<S>(fixture: &Fixture<S>) {
    assert_eq!(fixture.settings.retention_s, 1, "jobs are to expire");
    fixture.admit_many(40, "a fox").await;
    admit_in_each(fixture).await;
    let filter = JobFilter { page: 1, limit: 100, ..JobFilter::default() };
    let listed = fixture.store.jobs(&workspace(), &filter).await.unwrap();
    assert_eq!(listed.total, 40 + u64::from(fixture.settings.shards));
    for job in &listed.items {
        fixture.store.cancel(&workspace(), &job.id, Timestamp::now()).await.unwrap();
    }
    wait_for("the records to expire", || async { fixture.audit().await.jobs.is_empty() }).await;
    let stop = CancellationToken::new();
    let options = ControlOptions {
        grace: Duration::from_secs(2),
        poll_every: Duration::from_millis(20),
        heartbeat: Duration::from_secs(1),
        keep_finished: Duration::ZERO,
    };
    let working =
        tokio::spawn(run_control(fixture.redis.clone(), Arc::new(BareStore), options, stop.clone()));
    let queue = ControlQueue::new(fixture.redis.clone());
    // Each task removes those that have ended before it.
    for period in 0..2 {
        let now = Timestamp::now() + Duration::from_secs(3_600 * period);
        queue.push(ControlTask::RollUpCosts, now).await.unwrap();
        queue.push(ControlTask::RepairIndexes, now).await.unwrap();
    }
    wait_for("the indexes to be empty", || async {
        fixture.store.jobs(&workspace(), &filter).await.unwrap().total == 0
    })
    .await;
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test]
pub async fn all_promises_hold_for_three_shards_on_one_server() {
    all_promises_hold(&mut Fixture::with(|url| shards(url, 3)).await).await;
}

#[tokio::test]
pub async fn all_promises_hold_for_four_shards_on_three_servers() {
    all_promises_hold(&mut several_servers(3, 4)).await;
}

#[tokio::test]
pub async fn all_promises_hold_in_a_cluster_of_three_masters() {
    all_promises_hold(&mut cluster(false, 5)).await;
}

#[tokio::test]
pub async fn all_promises_hold_behind_sentinels() {
    all_promises_hold(&mut sentinel(2)).await;
}

#[tokio::test]
async fn the_control_queue_reaches_all_servers() {
    expired_ids_leave_every_index(&several_servers_with(3, shards_that_expire(4))).await;
}

#[tokio::test]
async fn the_control_queue_reaches_all_nodes_of_a_cluster() {
    expired_ids_leave_every_index(&cluster_with(false, shards_that_expire(4))).await;
}

#[tokio::test]
async fn a_process_with_fewer_slots_than_shards_serves_them_all() {
    let fixture = Fixture::with(|url| shards(url, 6)).await;
    let work = Arc::new(PretendedWork::new(&fixture));
    let process = fixture.process(Step::ALL, 2, work.clone());
    fixture.admit_many(100, "a fox").await;
    fixture.assert_all_ended(100, State::Succeeded).await;
    // All readers are idle now; two of six can hold a slot while they wait.
    for _ in 0..3 {
        let since = Instant::now();
        let ids = admit_in_each(&fixture).await;
        for id in &ids {
            wait_for("the job to end", || async { fixture.job(id).await.state == State::Succeeded }).await;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    }
    process.stop().await;
}

#[tokio::test]
async fn an_idle_process_of_several_shards_stops_at_once() {
    let fixture = several_servers(3, 3);
    let process = fixture.process(Step::ALL, 8, Arc::new(PretendedWork::new(&fixture)));
    fixture.admit_many(10, "a fox").await;
    fixture.assert_all_ended(10, State::Succeeded).await;
    assert!(process.stop().await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_is_away_holds_up_only_its_own_shards() {
    let mut fixture = several_servers(3, 3);
    let work = Arc::new(PretendedWork::new(&fixture));
    let process = fixture.process(Step::ALL, 8, work.clone());
    let [away, here, there] = &one_in_each(3)[..] else { panic!("three") };
    let admit = async |fixture: &Fixture<Vec<RedisServer>>, id: &JobId| {
        let mut job = new_job("a fox");
        job.id = id.clone();
        fixture.store.admit(NewJob { job, idempotency: None }).await
    };
    admit(&fixture, away).await.unwrap();
    wait_for("the job to end", || async { fixture.job(away).await.state == State::Succeeded }).await;
    fixture.server[0].kill();
    for id in [here, there] {
        admit(&fixture, id).await.unwrap();
        wait_for("the job to end", || async { fixture.job(id).await.state == State::Succeeded }).await;
    }
    assert!(admit(&fixture, &JobId::with_spread(0)).await.is_err());
    assert!(fixture.store.ready().await.is_err());
    fixture.server[0].start_again().unwrap();
    let late = JobId::with_spread(0);
    wait_for("the server to be used again", || async { admit(&fixture, &late).await.is_ok() }).await;
    wait_for("the job to end", || async { fixture.job(&late).await.state == State::Succeeded }).await;
    process.stop().await;
}
