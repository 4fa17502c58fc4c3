//! Which of the waiting jobs are begun first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::ids::JobId;
use atelier_domain::operation::{Priority, Step};
use atelier_domain::ports::{Admission, Claim, JobStore, NewJob, StepHandler};
use atelier_domain::state::{Event, State};

use crate::harness::{Fixture, Hanging, Journal, PretendedWork, new_job, wait_for};

/// Ends each job at once and keeps the order of the starts.
#[derive(Default)]
struct InOrder {
    starts: Mutex<Vec<Priority>>,
    journal: Journal,
}

#[async_trait]
impl StepHandler for InOrder {
    async fn handle(&self, claim: Arc<dyn Claim>) {
        let mut job = claim.job().clone();
        self.starts.lock().unwrap().push(job.body.spec.priority);
        self.journal.begin(claim.as_ref());
        job.apply(Event::Failed, Timestamp::now()).unwrap();
        claim.settle(job, atelier_domain::ports::Next::Nothing).await.unwrap();
    }
}

async fn admit(fixture: &Fixture, count: usize, priority: Priority) -> Vec<JobId> {
    let mut ids = Vec::new();
    let mut new = Vec::new();
    for _ in 0..count {
        let mut job = new_job("a fox");
        job.body.spec.priority = priority;
        ids.push(job.id.clone());
        new.push(NewJob { job, idempotency: None });
    }
    for outcome in fixture.store.admit_many(&new).await {
        assert_eq!(outcome.unwrap(), Admission::Created);
    }
    ids
}

#[tokio::test]
async fn a_high_job_goes_before_others_and_a_low_one_is_not_forgotten() {
    let fixture = Fixture::start().await;
    for priority in [Priority::Low, Priority::Normal, Priority::High] {
        admit(&fixture, 400, priority).await;
    }
    let work = Arc::new(InOrder::default());
    // One slot: each start is a lot of its own.
    let process = fixture.process(&[Step::Submit], 1, work.clone());
    wait_for("all to start", || async { work.journal.total() >= 1200 }).await;
    process.stop().await;
    let starts = work.starts.lock().unwrap().clone();
    let among_first = |priority| starts.iter().take(400).filter(|start| **start == priority).count();
    let (high, normal, low) =
        (among_first(Priority::High), among_first(Priority::Normal), among_first(Priority::Low));
    eprintln!("of the first 400 starts: {high} high, {normal} normal, {low} low");
    // 305, 76 and 19 are to be expected; each bound is more than five deviations away.
    assert!(high > 250 && normal > 35 && normal < 125 && low > 0, "{high} {normal} {low}");
    fixture.assert_all_ended(1200, State::Failed).await;
}

#[tokio::test]
async fn a_waiting_worker_with_one_slot_takes_one_and_leaves_the_others_to_others() {
    let fixture = Fixture::start().await;
    // Its one slot is taken for good by the first job it is given.
    let stuck = Arc::new(Hanging::default());
    let busy = fixture.process(&[Step::Submit], 1, stuck.clone());
    wait_for("the worker to wait", || async { is_someone_blocked(&fixture) }).await;
    for round in 0..4 {
        for priority in Priority::ALL {
            admit(&fixture, 1, *priority).await;
        }
        if round == 0 {
            stuck.0.notified().await;
        }
    }
    let work = Arc::new(PretendedWork::new(&fixture));
    let second = fixture.process(Step::ALL, 4, work.clone());
    wait_for("all but the stuck one", || async {
        let audit = fixture.audit().await;
        audit.jobs.iter().filter(|job| job.state == State::Succeeded).count() == 11
    })
    .await;
    busy.kill();
    // The dead one's lease ends, and with it the last job's wait.
    fixture.assert_all_ended(12, State::Succeeded).await;
    assert_eq!(work.journal.doubled(Step::Submit), 0);
    second.stop().await;
}

fn is_someone_blocked(fixture: &Fixture) -> bool {
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut raw).unwrap();
    clients.lines().any(|client| client.contains("cmd=xreadgroup"))
}

#[tokio::test]
async fn a_delayed_job_and_one_that_was_left_behind_keep_their_lane() {
    let fixture = Fixture::start().await;
    for priority in Priority::ALL {
        let mut job = new_job("later");
        let due = Timestamp::now() + Duration::from_millis(300);
        job.body.spec.priority = *priority;
        job.body.spec.run_at = Some(due);
        job.due_at = Some(due);
        fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
    }
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    let mut due: Vec<String> = redis::cmd("ZRANGE").arg("{q0}:d").arg(0).arg(-1).query(&mut raw).unwrap();
    due.iter_mut().for_each(|member| member.truncate(member.find(':').unwrap()));
    due.sort();
    assert_eq!(due, ["submit", "submit-high", "submit-low"]);
    // It takes one of each and dies with them.
    let stuck = Arc::new(Hanging::default());
    let dead = fixture.process(&[Step::Submit], 3, stuck);
    let mut lengths = || -> Vec<usize> {
        let lanes = ["submit-high", "submit", "submit-low"];
        lanes.map(|lane| redis::cmd("XLEN").arg(format!("{{q0}}:s:{lane}")).query(&mut raw).unwrap()).to_vec()
    };
    wait_for("each to be in its lane", || {
        let found = lengths();
        async move { found == [1, 1, 1] }
    })
    .await;
    dead.kill();
    let work = Arc::new(PretendedWork::new(&fixture));
    let heir = fixture.process(Step::ALL, 3, work);
    fixture.assert_all_ended(3, State::Succeeded).await;
    heir.stop().await;
}
