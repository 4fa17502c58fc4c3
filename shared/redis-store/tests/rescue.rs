//! Finished jobs are brought in by when the links to their results end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::ids::JobId;
use atelier_domain::job::{Job, Output, OutputSource};
use atelier_domain::operation::Step;
use atelier_domain::ports::{Claim, JobStore, NewJob, Next, StepHandler};
use atelier_domain::state::{Event, State};

use crate::harness::{Fixture, Hanging, PretendedWork, asset, new_job, remote, wait_for};

/// The admissions of [`finished`] leave messages behind that fit no more.
const STEPS: &[Step] = &[Step::Submit, Step::Deliver];

/// A job that is paid and finished, with a link that ends so many seconds from now.
async fn finished(fixture: &Fixture, link_s: i64, next: impl FnOnce(Step) -> Next) -> JobId {
    let job = new_job("a fox");
    let id = job.id.clone();
    fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
    let before = fixture.job(&id).await;
    let mut after = before.clone();
    let now = Timestamp::now();
    for event in [Event::IntentStored, Event::Accepted, Event::Ready] {
        after.apply(event, now).unwrap();
    }
    after.body.attempts = 1;
    after.body.remote = Some(remote(&after));
    after.body.outputs = vec![Output {
        source: OutputSource::Link("https://example.com/x.mp4".to_owned()),
        content_type: None,
        seed: None,
        revised_prompt: None,
    }];
    after.body.outputs_expire_at = Timestamp::from_second(now.as_second() + link_s).ok();
    after.due_at = Some(now);
    assert!(fixture.store.decide(&before, after, next(Step::Deliver)).await.unwrap());
    id
}

/// Stores what it is given, and keeps the order. The asset store is away for the first `away` tries of each job.
struct Deliveries {
    policy: Arc<atelier_domain::policy::Policy>,
    away: u16,
    order: Mutex<Vec<Job>>,
}

impl Deliveries {
    fn new(fixture: &Fixture, away: u16) -> Arc<Self> {
        Arc::new(Self { policy: fixture.policy.clone(), away, order: Mutex::default() })
    }
}

#[async_trait]
impl StepHandler for Deliveries {
    async fn handle(&self, claim: Arc<dyn Claim>) {
        let (job, now) = (claim.job().clone(), Timestamp::now());
        let decision = if job.body.waits < self.away {
            self.policy.store_failed(job, now, 0.5).unwrap()
        } else {
            self.order.lock().unwrap().push(job.clone());
            let assets = vec![asset(&job)];
            self.policy.delivered(job, assets, now).unwrap()
        };
        claim.settle(decision.job, decision.next).await.unwrap();
    }
}

#[tokio::test]
async fn the_link_that_ends_first_is_brought_in_first() {
    let fixture = Fixture::start().await;
    let mut ids = Vec::new();
    for number in 0..40 {
        // 7 is prime to 40: all different, and not in the order of their arrival.
        ids.push((number * 7 % 40, finished(&fixture, 600 + number * 7 % 40 * 100, Next::Now).await));
    }
    ids.sort();
    let work = Deliveries::new(&fixture, 0);
    let process = fixture.process(STEPS, 1, work.clone());
    fixture.assert_all_ended(40, State::Succeeded).await;
    let order: Vec<JobId> = work.order.lock().unwrap().iter().map(|job| job.id.clone()).collect();
    assert_eq!(order, ids.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    process.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_asset_store_uses_up_no_failure() {
    let fixture = Fixture::start().await;
    for number in 0..60 {
        finished(&fixture, 600 + number, Next::Now).await;
    }
    let work = Deliveries::new(&fixture, 12);
    let process = fixture.process(STEPS, 4, work.clone());
    fixture.assert_all_ended(60, State::Succeeded).await;
    process.stop().await;
    assert!(work.order.lock().unwrap().iter().all(|job| job.body.failures == 0 && job.body.waits == 12));
}

#[tokio::test]
async fn what_a_worker_has_no_slot_for_wakes_another() {
    let fixture = Fixture::start().await;
    let stuck = Arc::new(Hanging::default());
    let busy = fixture.process(&[Step::Deliver], 1, stuck.clone());
    for number in 0..3 {
        finished(&fixture, 600 + number, Next::Now).await;
    }
    stuck.0.notified().await;
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    let tokens: usize = redis::cmd("LLEN").arg("{q0}:wv").query(&mut raw).unwrap();
    assert_eq!(tokens, 1, "two deliveries are ready, and whoever sleeps must be told");
    let work = Deliveries::new(&fixture, 0);
    let second = fixture.process(STEPS, 1, work.clone());
    wait_for("the other two", || async { work.order.lock().unwrap().len() == 2 }).await;
    busy.kill();
    fixture.assert_all_ended(3, State::Succeeded).await;
    second.stop().await;
}

#[tokio::test]
async fn a_cancelled_delivery_is_not_begun() {
    let fixture = Fixture::start().await;
    let (ready, later) = (
        finished(&fixture, 600, Next::Now).await,
        finished(&fixture, 600, |step| Next::At(step, Timestamp::now() + Duration::from_millis(200))).await,
    );
    for id in [&ready, &later] {
        fixture.store.cancel(&crate::harness::workspace(), id, Timestamp::now()).await.unwrap();
    }
    let third = finished(&fixture, 900, Next::Now).await;
    let work = Deliveries::new(&fixture, 0);
    let process = fixture.process(&[Step::Deliver], 4, work.clone());
    wait_for("the third", || async { fixture.job(&third).await.state == State::Succeeded }).await;
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    wait_for("the due set to be empty", || {
        let left: usize = redis::cmd("ZCARD").arg("{q0}:d").query(&mut raw).unwrap();
        async move { left == 0 }
    })
    .await;
    process.stop().await;
    assert_eq!(work.order.lock().unwrap().len(), 1);
    let left: usize = redis::cmd("ZCARD").arg("{q0}:v").query(&mut raw).unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn deliveries_that_an_earlier_version_queued_are_found() {
    let fixture = Fixture::start().await;
    let (ready, later) = (finished(&fixture, 600, Next::Now).await, finished(&fixture, 600, Next::Now).await);
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    // As that version kept them: one in its stream, one in the due set.
    let epoch = format!("{:08x}", fixture.job(&ready).await.epoch.0);
    let () = redis::pipe()
        .cmd("DEL")
        .arg("{q0}:v")
        .ignore()
        .cmd("XADD")
        .arg("{q0}:s:deliver")
        .arg("*")
        .arg(&["j", ready.as_str(), "e", &epoch])
        .ignore()
        .cmd("ZADD")
        .arg("{q0}:d")
        .arg(1)
        .arg(format!("deliver:{later}"))
        .ignore()
        .query(&mut raw)
        .unwrap();
    let process = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    fixture.assert_all_ended(2, State::Succeeded).await;
    let remains: usize = redis::cmd("EXISTS").arg("{q0}:s:deliver").query(&mut raw).unwrap();
    assert_eq!(remains, 0);
    process.stop().await;
}
