//! A master that dies under load and does not come back: its replica takes over, and everything goes on by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use atelier_domain::ids::JobId;
use atelier_domain::operation::Step;
use atelier_domain::ports::{Admission, JobStore, NewJob};
use atelier_domain::state::State;
use atelier_redis_store::{RedisJobStore, RedisStoreSettings};
use tokio::task::JoinHandle;

use crate::harness::{Fixture, PretendedWork, new_job, settings, wait_for, workspace};
use crate::topologies::{cluster, sentinel};

/// Admits jobs until it is told to end; gives the ids of those that were accepted.
struct Producer {
    has_ended: Arc<AtomicBool>,
    accepting: JoinHandle<Vec<JobId>>,
}

impl Producer {
    fn start(store: RedisJobStore) -> Self {
        let has_ended = Arc::new(AtomicBool::new(false));
        let until = has_ended.clone();
        let accepting = tokio::spawn(async move {
            let mut accepted = Vec::new();
            while !until.load(Ordering::SeqCst) {
                let job = new_job("a fox");
                let id = job.id.clone();
                match store.admit(NewJob { job, idempotency: None }).await {
                    Ok(Admission::Created) => accepted.push(id),
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
            accepted
        });
        Self { has_ended, accepting }
    }

    async fn end(self) -> Vec<JobId> {
        self.has_ended.store(true, Ordering::SeqCst);
        self.accepting.await.unwrap()
    }
}

/// Kills with `kill` while jobs come and go, and looks at all that was accepted.
async fn survives<S>(mut fixture: Fixture<S>, kill: impl FnOnce(&mut S)) {
    let work = Arc::new(PretendedWork { checks_needed: 1, ..PretendedWork::new(&fixture) });
    let process = fixture.process(Step::ALL, 32, work.clone());
    let producer = Producer::start(fixture.store.clone());
    wait_for("load", || async { work.journal.total() > 500 }).await;
    kill(&mut fixture.server);
    let since = Instant::now();
    let probe = async || {
        // Every shard takes a job and does it.
        for number in 0..fixture.settings.shards {
            let mut job = new_job("a hare");
            job.id = JobId::with_spread(number);
            let id = job.id.clone();
            if fixture.store.admit(NewJob { job, idempotency: None }).await.is_err() {
                return false;
            }
            let ended = fixture.store.wait_for_end(&workspace(), &id, Duration::from_secs(10)).await;
            if !ended.is_ok_and(|job| job.is_some_and(|job| job.state == State::Succeeded)) {
                return false;
            }
        }
        true
    };
    wait_for("every shard to work again", probe).await;
    eprintln!("every shard works {:?} after the kill", since.elapsed());
    let accepted = producer.end().await;
    wait_for("all to end", || async {
        let audit = fixture.audit().await;
        audit.jobs.iter().all(|job| job.state.is_terminal()) && audit.messages == 0
    })
    .await;
    let (mut lost, mut uncertain) = (0, 0);
    for id in &accepted {
        match fixture.store.job(&workspace(), id).await.unwrap() {
            Some(job) => {
                assert!(job.state.is_terminal(), "{id} is {}", job.state);
                assert!(job.body.attempts <= 1, "{id} was submitted {} times", job.body.attempts);
                uncertain += usize::from(job.state == State::Failed);
            }
            None => lost += 1,
        }
    }
    eprintln!("{} accepted, {lost} lost, {uncertain} uncertain", accepted.len());
    assert!(accepted.len() > 100, "{} were accepted", accepted.len());
    assert_eq!(lost, 0, "of {} that were accepted", accepted.len());
    assert_eq!(fixture.audit().await.violations, []);
    process.stop().await;
}

#[tokio::test]
async fn a_sentinel_failover_under_load_loses_nothing_that_was_accepted() {
    let group = sentinel(2).with_confirmation();
    survives(group, |group| group.servers[0].kill()).await;
}

#[tokio::test]
async fn the_loss_of_a_cluster_master_under_load_loses_nothing_that_was_accepted() {
    let cluster = cluster(true, 3).with_confirmation();
    survives(cluster, |cluster| {
        cluster.nodes[0].kill();
        cluster.wait_for_heir(0).unwrap();
        // The heir has no replica of its own, and confirms nothing before the dead one follows it.
        cluster.nodes[0].start_again().unwrap();
    })
    .await;
}

#[tokio::test]
async fn without_the_replicas_that_must_confirm_nothing_is_accepted() {
    let settings = |url| RedisStoreSettings { confirm_replicas: 1, command_timeout_ms: 200, ..settings(url) };
    let fixture = Fixture::with(settings).await;
    let refused = fixture.store.admit(NewJob { job: new_job("a fox"), idempotency: None }).await;
    assert!(refused.is_err());
    assert_eq!(fixture.audit().await.jobs.len(), 0, "not even kept");
    let replica = fixture.server.start_replica().unwrap();
    let work = Arc::new(PretendedWork::new(&fixture));
    let process = fixture.process(Step::ALL, 4, work.clone());
    wait_for("a job to be accepted", || async {
        fixture.store.admit(NewJob { job: new_job("a fox"), idempotency: None }).await.is_ok()
    })
    .await;
    fixture.assert_all_ended(1, State::Succeeded).await;
    drop(replica);
    process.stop().await;
}
