//! What each key costs in memory, as the table of `src/keys.rs` says. On Debian's server: another version or allocator
//! rounds otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::costs::{day_of, number_of};
use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::ids::AssetId;
use atelier_domain::operation::Step;
use atelier_domain::policy::{Policy, Polling};
use atelier_domain::ports::{Idempotency, JobFilter, JobStore, NewJob, Next};
use atelier_domain::state::{Event, State};
use atelier_redis_store::keys::Keys;
use redis::{Commands, Connection};

use crate::costs::{priced, roll_up};
use crate::harness::{Fixture, PretendedWork, new_job, settings, wait_for, workspace};
use crate::redis_server::{RedisServer, find_full_program};

const JOBS: usize = 1_000;

/// The rows of the table: what is measured, and its bytes.
fn documented() -> BTreeMap<String, f64> {
    let rows = include_str!("../src/keys.rs").lines().filter_map(|line| {
        let mut cells = line.strip_prefix("//! | ")?.split(" | ");
        let (what, bytes) = (cells.next()?, cells.next()?.trim_end_matches(" |"));
        Some((what.to_owned(), bytes.strip_suffix(" B")?.replace(',', "").parse().ok()?))
    });
    rows.collect()
}

/// The bytes of all keys by kind, which is what stands after the hash tag, for each job.
fn bytes_by_kind(raw: &mut Connection) -> BTreeMap<String, f64> {
    // Not text: those of idempotency keys end with a digest.
    let keys: Vec<Vec<u8>> = raw.keys("{q0}:*").unwrap();
    let mut bytes = BTreeMap::new();
    for key in keys {
        let kind = String::from_utf8_lossy(&key["{q0}:".len()..]).split(':').next().unwrap().to_owned();
        *bytes.entry(kind).or_default() += usage(raw, &key) / JOBS as f64;
    }
    bytes
}

fn usage(raw: &mut Connection, key: impl redis::ToRedisArgs) -> f64 {
    let bytes: u64 = redis::cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0).query(raw).unwrap();
    bytes as f64
}

#[derive(Default)]
struct Measured(BTreeMap<String, f64>);

impl Measured {
    fn note(&mut self, what: &str, bytes: f64) {
        self.0.insert(what.to_owned(), bytes);
    }

    /// Each row of the table is measured and right to a tenth, and each measure has a row.
    fn assert_is_documented(&self) {
        let documented = documented();
        let names = |map: &BTreeMap<String, f64>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&self.0), names(&documented), "measured: {:#.0?}", self.0);
        for (what, bytes) in &documented {
            let found = self.0[what];
            let is_right = (found - bytes).abs() <= (bytes / 10.0).max(8.0);
            assert!(is_right, "{what} has {found:.0} bytes, not {bytes}; all: {:#.0?}", self.0);
        }
    }
}

fn fixture() -> (Fixture, Connection) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = find_full_program().unwrap();
    let server = RedisServer::start_with(program, &data, &["--appendonly", "no"]).unwrap();
    let raw = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let settings = settings(server.url());
    (Fixture::assemble(server, folder, settings), raw)
}

#[tokio::test]
async fn each_key_is_as_large_as_documented() {
    let mut measured = Measured::default();
    of_living_jobs(&mut measured).await;
    of_delayed_jobs(&mut measured).await;
    of_ended_jobs(&mut measured).await;
    measured.assert_is_documented();
}

async fn of_living_jobs(measured: &mut Measured) {
    let (mut fixture, mut raw) = fixture();
    let polling = Polling { interval_ms: 600_000, max_checks: 60, timeout_ms: 6_000_000 };
    fixture.policy = Arc::new(Policy { polling, ..(*fixture.policy).clone() });
    let prompt: String = "a fox in the snow ".repeat(17).chars().take(300).collect();
    for number in 0..JOBS {
        let idempotency =
            Some(Idempotency { key: format!("a key of a caller {number}"), fingerprint: [1; 16] });
        fixture.store.admit(NewJob { job: new_job(&prompt), idempotency }).await.unwrap();
    }
    let queued = bytes_by_kind(&mut raw);
    measured.note("`j`, queued", queued["j"]);
    measured.note("`s`", queued["s"]);
    measured.note("`x`, `u`, `l`, `e`", queued["x"]);
    measured.note("`i`", queued["i"]);

    let work = Arc::new(PretendedWork::new(&fixture));
    let submitter = fixture.process(&[Step::Submit], 64, work.clone());
    let keys = Keys::of_shard(0);
    let waiting = std::cell::RefCell::new(&mut raw);
    wait_for("all to wait", || async {
        waiting.borrow_mut().zcard::<_, usize>(keys.checks()).unwrap() == JOBS
    })
    .await;
    submitter.stop().await;
    let awaiting = bytes_by_kind(&mut raw);
    measured.note("`j`, awaiting", awaiting["j"]);
    measured.note("`c`", awaiting["c"]);

    let filter = JobFilter { page: 1, limit: 1, ..JobFilter::default() };
    let one = fixture.store.jobs(&workspace(), &filter).await.unwrap().items.remove(0);
    assert!(fixture.store.hasten(&one.id).await.unwrap());
    let rest = fixture.process(&[Step::Check, Step::Deliver], 8, work);
    wait_for("one to end", || async { fixture.job(&one.id).await.state == State::Succeeded }).await;
    rest.stop().await;
    measured.note("`a`", usage(&mut raw, keys.asset(&AssetId::of(&one.id, 0))));
    measured.note("`h`", usage(&mut raw, keys.hastened(&one.id)));
}

async fn of_delayed_jobs(measured: &mut Measured) {
    let (fixture, mut raw) = fixture();
    for _ in 0..JOBS {
        let mut job = new_job("a fox");
        job.due_at = Some(Timestamp::now() + Duration::from_secs(600));
        fixture.store.admit(NewJob { job, idempotency: None }).await.unwrap();
    }
    measured.note("`d`", bytes_by_kind(&mut raw)["d"]);
}

/// Their costs, and the lists of those that ended badly.
async fn of_ended_jobs(measured: &mut Measured) {
    let (fixture, mut raw) = fixture();
    for number in 0..JOBS {
        let job = priced(number);
        fixture.store.admit(NewJob { job: job.clone(), idempotency: None }).await.unwrap();
        let mut after = job.clone();
        if number.is_multiple_of(2) {
            after.apply(Event::Failed, Timestamp::now()).unwrap();
            after.body.error = Some(JobError::new(ErrorCode::Exhausted, "tried too often"));
        } else {
            after.apply(Event::Cancelled, Timestamp::now()).unwrap();
        }
        after.body.cost.settle(None);
        assert!(fixture.store.decide(&job, after, Next::Nothing).await.unwrap());
    }
    // Half of the jobs are in a list of their own, which takes what the list of all takes.
    let kinds = bytes_by_kind(&mut raw);
    let of_letter = kinds["l"] * 2.0;
    assert!((of_letter - kinds["x"]).abs() <= kinds["x"] / 10.0, "{of_letter:.0} and {:.0}", kinds["x"]);
    let (keys, today) = (Keys::of_shard(0), number_of(day_of(Timestamp::now())));
    let open: Vec<String> = raw.keys("{q0}:m:*").unwrap();
    assert_eq!(open.len(), 1, "the day ended meanwhile: {open:?}");
    measured.note("`m`", usage(&mut raw, &open[0]));
    let _: () = raw.rename(&open[0], keys.costs_of_day(&workspace(), today - 2)).unwrap();
    roll_up(&fixture, 0).await;
    let months: Vec<String> = raw.keys("{q0}:y:*").unwrap();
    measured.note("`y`", usage(&mut raw, &months[0]));
    measured.note("`mf`", usage(&mut raw, keys.folded()));
}
