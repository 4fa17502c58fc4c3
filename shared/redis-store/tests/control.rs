//! The control queue on `apalis-redis`: its duty, and the traps of that crate.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::asset::Asset;
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::ports::{
    Aborted, AssetRecords, AssetUpkeep, JobStore, NewJob, PutError, Swept, UploadMark,
};
use atelier_redis_store::keys::{CONTROL_QUEUE, Keys, LEADER, SWEPT_UNTIL};
use atelier_redis_store::{
    ControlOptions, ControlQueue, ControlSettings, ControlTask, PushError, Pushed, Redis, RedisAssetBook,
    RedisStoreSettings, WAITING_LIMIT, run_control,
};
use redis::{Commands, Connection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::assets::upload;
use crate::harness::{BareStore, Fixture, LONG, new_job, settings, wait_for, workspace};

const TASK: ControlTask = ControlTask::RepairIndexes;

fn raw(fixture: &Fixture) -> Connection {
    redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap()
}

fn key(name: &str) -> String {
    format!("{CONTROL_QUEUE}:{name}")
}

/// What takes seconds in production takes little here.
fn options() -> ControlOptions {
    ControlOptions {
        grace: Duration::from_secs(2),
        poll_every: Duration::from_millis(20),
        heartbeat: Duration::from_secs(1),
        ..ControlOptions::default()
    }
}

/// The start of the `number`th period from now.
fn period(number: u64) -> Timestamp {
    Timestamp::now() + Duration::from_secs(3_600 * number)
}

struct Worker {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Worker {
    fn start(fixture: &Fixture, options: ControlOptions) -> Self {
        Self::start_with(fixture, Arc::new(BareStore), options)
    }

    fn start_with(fixture: &Fixture, store: Arc<dyn AssetUpkeep>, options: ControlOptions) -> Self {
        let stop = CancellationToken::new();
        let redis = Redis::open(settings(fixture.server.url())).unwrap();
        Self { stop: stop.clone(), running: tokio::spawn(run_control(redis, store, options, stop)) }
    }

    async fn stop(self) -> Duration {
        let since = Instant::now();
        self.stop.cancel();
        tokio::time::timeout(LONG, self.running).await.expect("the worker ends").unwrap();
        since.elapsed()
    }
}

fn registered(raw: &mut Connection) -> Vec<String> {
    raw.zrangebyscore(key("workers"), 1, "+inf").unwrap()
}

async fn wait_for_worker(raw: &mut Connection) -> String {
    while registered(raw).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    registered(raw).remove(0)
}

async fn wait_for_done(raw: &mut Connection, count: usize) {
    let raw = std::cell::RefCell::new(raw);
    wait_for("tasks to be done", || async {
        raw.borrow_mut().scard::<_, usize>(key("done")).unwrap() == count
    })
    .await;
}

fn expire(raw: &mut Connection, ids: &[JobId]) {
    let keys = Keys::of_shard(0);
    for id in ids {
        let _: () = raw.pexpire(keys.job(id), 1).unwrap();
    }
    for id in ids {
        while raw.exists(keys.job(id)).unwrap() {
            std::thread::yield_now();
        }
    }
}

fn index(raw: &mut Connection, workspace: &WorkspaceId) -> Vec<String> {
    let mut ids: Vec<String> = raw.zrange(Keys::of_shard(0).jobs_of(workspace), 0, -1).unwrap();
    ids.sort();
    ids
}

fn names(ids: &[JobId]) -> Vec<String> {
    let mut names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

#[tokio::test]
async fn repair_removes_expired_records_from_all_indexes_and_nothing_else() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    // More than two windows, with gaps of every size.
    let ids = fixture.admit_many(1_300, "a fox").await;
    let (mut expired, mut living) = (Vec::new(), Vec::new());
    for (at, id) in ids.into_iter().enumerate() {
        if at < 600 || at % 3 == 0 { expired.push(id) } else { living.push(id) }
    }
    let empty: WorkspaceId = "empty".parse().unwrap();
    let mut job = new_job("a fox");
    job.body.workspace_id = empty.clone();
    let lonely = job.id.clone();
    fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
    expire(&mut raw, &expired);
    expire(&mut raw, &[lonely]);
    let assets: Vec<Asset> = (0..9).map(|number| upload("acme", number)).collect();
    RedisAssetBook::new(fixture.redis.clone()).keep(&assets).await.unwrap();
    for asset in &assets[..4] {
        raw.del::<_, ()>(Keys::of_shard(0).asset(&asset.id)).unwrap();
    }
    ControlQueue::new(fixture.redis.clone()).push(TASK, period(0)).await.unwrap();
    // Two workers, and jobs that come in meanwhile.
    let workers = [Worker::start(&fixture, options()), Worker::start(&fixture, options())];
    living.extend(fixture.admit_many(300, "a hare").await);
    wait_for_done(&mut raw, 1).await;
    assert_eq!(index(&mut raw, &workspace()), names(&living));
    assert!(!raw.exists::<_, bool>(Keys::of_shard(0).jobs_of(&empty)).unwrap(), "an empty index is gone");
    let listed: Vec<String> = raw.zrange(Keys::of_shard(0).assets_of(&workspace()), 0, -1).unwrap();
    let living: Vec<String> = assets[4..].iter().map(|asset| asset.id.to_string()).collect();
    assert_eq!(listed, living, "assets are looked for among the records of assets");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn pushes_of_one_period_run_once() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let first = ControlQueue::new(fixture.redis.clone());
    let second = ControlQueue::new(Redis::open(settings(fixture.server.url())).unwrap());
    assert_eq!(first.push(TASK, period(0)).await.unwrap(), Pushed::Enqueued);
    assert_eq!(second.push(TASK, period(0)).await.unwrap(), Pushed::Repeated);
    assert_eq!(first.push(TASK, period(0)).await.unwrap(), Pushed::Repeated);
    assert_eq!(second.push(TASK, period(1)).await.unwrap(), Pushed::Enqueued);
    let worker = Worker::start(&fixture, options());
    wait_for_done(&mut raw, 2).await;
    assert_eq!(first.push(TASK, period(0)).await.unwrap(), Pushed::Repeated, "also when it is done");
    assert_eq!(raw.hlen::<_, usize>(key("data")).unwrap(), 2);
    worker.stop().await;
    let keys: Vec<String> = raw.keys(key("idempotency:*")).unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        assert!(raw.ttl::<_, i64>(&key).unwrap() > 1_200, "{key} must outlive its period, and end");
    }
}

fn every_second() -> ControlSettings {
    ControlSettings {
        repair_indexes_s: 1,
        roll_up_costs_s: 1,
        remove_expired_s: 1,
        abort_uploads_s: 1,
        leader_lease_ms: 1_000,
    }
}

#[tokio::test]
async fn every_period_has_its_push_however_many_pollers_there_are() {
    let mut fixture = Fixture::start().await;
    fixture.server.kill();
    let stop = CancellationToken::new();
    let pollers: Vec<_> = (0..3)
        .map(|_| {
            let mut settings = settings(fixture.server.url());
            settings.control = every_second();
            tokio::spawn(ControlQueue::new(Redis::open(settings).unwrap()).schedule(stop.clone()))
        })
        .collect();
    fixture.server.start_again().unwrap();
    let mut raw = raw(&fixture);
    let count = |raw: &mut Connection| raw.hlen::<_, usize>(key("data")).unwrap();
    while count(&mut raw) < 3 * ControlTask::ALL.len() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    for poller in pollers {
        poller.await.unwrap();
    }
    let periods: Vec<String> = raw.keys(key("idempotency:*")).unwrap();
    assert_eq!(count(&mut raw), periods.len(), "one task for each period");
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let queue = ControlQueue::new(fixture.redis.clone());
    let waiting: Vec<(u64, String)> =
        (1..WAITING_LIMIT).map(|at| (u64::from(u32::MAX), format!("t{at}"))).collect();
    let _: () = raw.zadd_multiple(key("scheduled"), &waiting).unwrap();
    assert_eq!(queue.push(TASK, period(0)).await.unwrap(), Pushed::Enqueued, "one place is left");
    let refused = queue.push(TASK, period(1)).await.unwrap_err();
    assert!(matches!(refused, PushError::TooFull { waiting: WAITING_LIMIT }), "{refused:?}");
    assert_eq!(raw.hlen::<_, usize>(key("data")).unwrap(), 1);
}

#[tokio::test]
async fn a_killed_redis_does_not_end_the_worker() {
    let mut fixture = Fixture::start().await;
    let worker = Worker::start(&fixture, options());
    let queue = ControlQueue::new(fixture.redis.clone());
    for round in 0..3 {
        wait_for_worker(&mut raw(&fixture)).await;
        fixture.server.kill();
        fixture.server.start_again().unwrap();
        wait_for("a push", || async { queue.push(TASK, period(round)).await.is_ok() }).await;
        let mut raw = raw(&fixture);
        // A kill may forget the last second, with the end of the round before.
        wait_for_worker(&mut raw).await;
        let waiting = std::cell::RefCell::new(&mut raw);
        wait_for("the task to be done", || async {
            let mut raw = waiting.borrow_mut();
            let open: usize = raw.zcard::<_, usize>(key("scheduled")).unwrap()
                + raw.llen::<_, usize>(key("active")).unwrap()
                + raw.keys::<_, Vec<String>>(key("inflight:*")).unwrap().len();
            open == 0 && raw.scard::<_, usize>(key("done")).unwrap() > 0
        })
        .await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_stall_of_two_seconds_does_not_even_restart_the_worker() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let worker = Worker::start(&fixture, options());
    let name = wait_for_worker(&mut raw).await;
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(2_000).arg("ALL").query(&mut raw).unwrap();
    ControlQueue::new(fixture.redis.clone()).push(TASK, period(0)).await.unwrap();
    wait_for_done(&mut raw, 1).await;
    assert_eq!(registered(&mut raw), [name]);
    worker.stop().await;
}

#[tokio::test]
async fn finished_tasks_are_removed_and_their_neighbours_stay() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let queue = ControlQueue::new(fixture.redis.clone());
    let patient = Worker::start(&fixture, options());
    for number in 0..3 {
        queue.push(TASK, period(number)).await.unwrap();
    }
    wait_for_done(&mut raw, 3).await;
    assert_eq!(raw.hlen::<_, usize>(key("data")).unwrap(), 3, "not old enough");
    patient.stop().await;
    let old: Vec<String> = raw.smembers(key("done")).unwrap();
    let tidy = Worker::start(&fixture, ControlOptions { keep_finished: Duration::ZERO, ..options() });
    queue.push(TASK, period(3)).await.unwrap();
    // The cleaning task is not old itself; it goes with the next one.
    wait_for_done(&mut raw, 1).await;
    assert_eq!(raw.hlen::<_, usize>(key("data")).unwrap(), 1);
    for id in old {
        assert!(!raw.exists::<_, bool>(key(&format!("meta:{id}"))).unwrap(), "{id} is still there");
    }
    tidy.stop().await;
}

#[tokio::test]
async fn a_dead_workers_task_is_done_by_another() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    ControlQueue::new(fixture.redis.clone()).push(TASK, period(0)).await.unwrap();
    // As a worker leaves it that was killed right after its fetch.
    let (id, _): (String, f64) = raw.zpopmin::<_, Vec<_>>(key("scheduled"), 1).unwrap().remove(0);
    let _: () = raw.sadd(key("inflight:ghost"), &id).unwrap();
    let _: () = raw.zadd(key("workers"), "ghost", Timestamp::now().as_second()).unwrap();
    let worker = Worker::start(&fixture, options());
    wait_for_done(&mut raw, 1).await;
    assert!(!registered(&mut raw).contains(&"ghost".to_owned()));
    worker.stop().await;
}

#[tokio::test]
async fn an_unreadable_task_ends_no_worker() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let unknown = [
        ("later", &br#"{"v":2,"task":"dance"}"#[..]),
        ("newer", br#"{"v":1,"task":"dance"}"#),
        ("noise", b"\xff\x00"),
    ];
    for (id, message) in unknown {
        let fields = [("attempts", "0"), ("max_attempts", "25"), ("status", "Pending")];
        let _: () = raw.hset(key("data"), id, message).unwrap();
        let _: () = raw.hset_multiple(key(&format!("meta:{id}")), &fields).unwrap();
        let _: () = raw.zadd(key("scheduled"), id, 1).unwrap();
    }
    let worker = Worker::start(&fixture, options());
    let name = wait_for_worker(&mut raw).await;
    ControlQueue::new(fixture.redis.clone()).push(TASK, period(0)).await.unwrap();
    wait_for_done(&mut raw, 1).await;
    for (id, message) in unknown {
        let attempts: u32 = raw.hget(key(&format!("meta:{id}")), "attempts").unwrap();
        assert!(attempts >= 1, "{id} was tried");
        let left: Vec<u8> = raw.hget(key("data"), id).unwrap();
        assert_eq!(left, message, "a build that knows {id} will find it");
        assert!(!raw.sismember::<_, _, bool>(key("done"), id).unwrap());
    }
    assert_eq!(registered(&mut raw), [name], "the same worker as before");
    worker.stop().await;
}

#[tokio::test]
async fn an_idle_worker_stops_at_once_and_leaves_no_name() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let slow = ControlOptions { poll_every: LONG, grace: LONG, ..options() };
    let worker = Worker::start(&fixture, slow);
    let name = wait_for_worker(&mut raw).await;
    let facts = key(&format!("workers:metadata:{name}"));
    assert!(raw.ttl::<_, i64>(&facts).unwrap() > 0, "a killed worker's name would expire");
    assert!(worker.stop().await < Duration::from_secs(1));
    assert_eq!(registered(&mut raw), [""; 0]);
    assert!(!raw.exists::<_, bool>(&facts).unwrap());
}

#[tokio::test]
async fn a_repair_cut_off_by_the_stop_is_done_by_the_heir() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let index = Keys::of_shard(0).jobs_of(&workspace());
    let many: Vec<(u64, String)> = (0..200_000).map(|at| (at, format!("job_{at}"))).collect();
    for chunk in many.chunks(10_000) {
        let _: () = raw.zadd_multiple(&index, chunk).unwrap();
    }
    let worker = Worker::start(&fixture, options());
    ControlQueue::new(fixture.redis.clone()).push(TASK, period(0)).await.unwrap();
    while raw.zcard::<_, usize>(&index).unwrap() == many.len() {
        tokio::task::yield_now().await;
    }
    assert!(worker.stop().await < Duration::from_secs(2));
    assert!(raw.exists::<_, bool>(&index).unwrap(), "the stop came first");
    let heir = Worker::start(&fixture, options());
    wait_for_done(&mut raw, 1).await;
    assert!(!raw.exists::<_, bool>(&index).unwrap());
    heir.stop().await;
}

#[tokio::test]
async fn inv10_a_redis_that_does_not_answer_does_not_hold_the_stop() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let worker = Worker::start(&fixture, ControlOptions { grace: Duration::from_millis(200), ..options() });
    wait_for_worker(&mut raw).await;
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(10_000).arg("ALL").query(&mut raw).unwrap();
    let stopped_in = worker.stop().await;
    assert!(stopped_in < Duration::from_secs(3), "{stopped_in:?}");
}

/// A poller with a runtime of its own, so that it can be killed like a process.
fn poller(fixture: &Fixture, stop: &CancellationToken) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings = RedisStoreSettings { control: every_second(), ..settings(fixture.server.url()) };
    let redis = {
        let _inside = runtime.enter();
        Redis::open(settings).unwrap()
    };
    runtime.spawn(ControlQueue::new(redis).schedule(stop.clone()));
    runtime
}

async fn wait_for_leader(raw: &mut Connection, other_than: &Option<String>) -> Option<String> {
    let raw = std::cell::RefCell::new(raw);
    let leader = || raw.borrow_mut().get::<_, Option<String>>(LEADER).unwrap();
    wait_for("a leader", || async { leader().is_some_and(|name| Some(name) != *other_than) }).await;
    leader()
}

#[tokio::test]
async fn a_killed_leader_is_followed_within_its_lease() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let stop = CancellationToken::new();
    let first = poller(&fixture, &stop);
    let leader = wait_for_leader(&mut raw, &None).await;
    let second = poller(&fixture, &stop);
    let third = poller(&fixture, &stop);
    // Several leases long the same one leads, although two others want to.
    let tasks = |raw: &mut Connection| raw.hlen::<_, usize>(key("data")).unwrap();
    while tasks(&mut raw) < 4 * ControlTask::ALL.len() {
        assert_eq!(raw.get::<_, Option<String>>(LEADER).unwrap(), leader);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.shutdown_background();
    let since = Instant::now();
    let heir = wait_for_leader(&mut raw, &leader).await;
    let vacant = since.elapsed();
    assert!(vacant < Duration::from_millis(1_500), "{vacant:?} without a leader, of a lease of a second");
    let before = tasks(&mut raw);
    while tasks(&mut raw) < before + ControlTask::ALL.len() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(heir.is_some());
    stop.cancel();
    for runtime in [second, third] {
        runtime.shutdown_background();
    }
}

#[tokio::test]
async fn a_leader_that_stops_gives_the_lease_back() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let stop = CancellationToken::new();
    let schedule = tokio::spawn(ControlQueue::new(fixture.redis.clone()).schedule(stop.clone()));
    wait_for_leader(&mut raw, &None).await;
    stop.cancel();
    schedule.await.unwrap();
    assert!(!raw.exists::<_, bool>(LEADER).unwrap());
}

#[tokio::test]
async fn a_follower_asks_once_a_lease_and_pushes_nothing() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let _: () = raw.pset_ex(LEADER, "somebody", 60_000).unwrap();
    let stop = CancellationToken::new();
    let schedule = tokio::spawn(ControlQueue::new(fixture.redis.clone()).schedule(stop.clone()));
    let asked = |raw: &mut Connection| -> bool {
        let statistics: String = redis::cmd("INFO").arg("commandstats").query(raw).unwrap();
        statistics.contains("cmdstat_pttl:calls=1,")
    };
    while !asked(&mut raw) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    schedule.await.unwrap();
    assert_eq!(raw.hlen::<_, usize>(key("data")).unwrap(), 0);
    assert!(asked(&mut raw), "it asked no more than once");
    assert_eq!(raw.get::<_, String>(LEADER).unwrap(), "somebody", "and took nothing that is not its own");
}

/// Notes where each piece of a walk begins; the walk has five pieces, and the first forgets an asset.
#[derive(Default)]
struct Walk(Mutex<Vec<String>>, Mutex<Option<AssetId>>);

#[async_trait]
impl AssetUpkeep for Walk {
    async fn remove_expired(
        &self,
        after: &str,
        _: Timestamp,
        records: &dyn AssetRecords,
    ) -> Result<Swept, PutError> {
        let forgotten = self.1.lock().unwrap().take();
        if let Some(id) = forgotten {
            records.forget(&workspace(), &[id]).await.unwrap();
        }
        let mut places = self.0.lock().unwrap();
        places.push(after.to_owned());
        // The third piece cannot be had at first.
        if after == "2" && places.iter().filter(|place| *place == "2").count() == 1 {
            return Err(PutError::Unavailable("away".into()));
        }
        let piece = after.parse::<u32>().unwrap_or(0);
        Ok(Swept { seen: 1, removed: 1, next: (piece < 4).then(|| (piece + 1).to_string()) })
    }

    async fn abort_stale_uploads(&self, _: Option<&UploadMark>, _: Timestamp) -> Result<Aborted, PutError> {
        self.0.lock().unwrap().push("uploads".to_owned());
        Ok(Aborted::Unsupported)
    }
}

#[tokio::test]
async fn a_search_for_old_objects_goes_on_where_it_stopped() {
    let fixture = Fixture::start().await;
    let mut raw = raw(&fixture);
    let walk = Arc::new(Walk::default());
    let kept = upload("acme", 1);
    let book = RedisAssetBook::new(fixture.redis.clone());
    book.keep(std::slice::from_ref(&kept)).await.unwrap();
    *walk.1.lock().unwrap() = Some(kept.id.clone());
    let worker = Worker::start_with(&fixture, walk.clone(), options());
    let queue = ControlQueue::new(fixture.redis.clone());
    queue.push(ControlTask::RemoveExpired, period(0)).await.unwrap();
    // The failed run is tried again by the queue itself.
    wait_for_done(&mut raw, 1).await;
    assert_eq!(*walk.0.lock().unwrap(), ["", "1", "2", "2", "3", "4"]);
    assert_eq!(raw.get::<_, String>(SWEPT_UNTIL).unwrap(), "", "the next one begins anew");
    assert!(fixture.store.asset(&workspace(), &kept.id).await.unwrap().is_none(), "its record went with it");
    // A store that cannot list its uploads is no error.
    queue.push(ControlTask::AbortUploads, period(0)).await.unwrap();
    wait_for_done(&mut raw, 2).await;
    assert_eq!(walk.0.lock().unwrap().last().unwrap(), "uploads");
    worker.stop().await;
}
