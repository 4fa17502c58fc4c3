//! What became of every job, and what is wrong.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result};
use atelier_domain::error::ErrorCode;
use atelier_domain::job::Job;
use atelier_domain::state::State;
use serde_json::{Value, json};

use super::faults::What;
use super::fleet::Fleet;
use super::orders::Placed;
use super::{REST_LIMIT, Scenario};
use crate::world::World;

/// A fault that was healed.
#[derive(Debug)]
pub struct Struck {
    pub what: What,
    /// From the healing until a job that was sent then had succeeded.
    pub recovered_in: Duration,
}

/// The account of a run.
#[derive(Debug, Default)]
pub struct Account {
    /// As JSON, for a report.
    pub report: Value,
    /// Broken promises. A run with any has failed.
    pub wrong: Vec<String>,
    /// How long each program took from SIGTERM to its end.
    pub exits: Vec<Duration>,
    /// Requests that were refused because Redis was full.
    pub refused: usize,
}

#[derive(Default)]
struct Sums {
    succeeded: usize,
    lost: usize,
    doubled: usize,
    /// Paid calls beyond the first of jobs whose callers allow that after an unknown outcome.
    paid_again: usize,
    unknown_paid: usize,
    unknown_unpaid: usize,
}

pub(super) async fn make(
    scenario: &Scenario,
    world: &World,
    fleet: &Fleet,
    placed: &[Placed],
    struck: Vec<Struck>,
    took: Duration,
) -> Result<Account> {
    let audit = tokio::time::timeout(REST_LIMIT, fleet.at_rest()).await.context("messages are left")??;
    let mut wrong: Vec<String> =
        audit.violations.iter().map(|(invariant, what)| format!("{invariant:?}: {what}")).collect();
    let by_id: BTreeMap<&str, &Job> = audit.jobs.iter().map(|job| (job.id.as_str(), job)).collect();
    let journal = world.journal();
    let mut paid_by_prompt: BTreeMap<String, usize> = BTreeMap::new();
    for entry in journal.submits() {
        if let (true, Some(prompt)) = (entry.accepted, entry.prompt) {
            *paid_by_prompt.entry(prompt).or_default() += 1;
        }
    }
    let mut sums = Sums::default();
    for order in placed {
        let paid = paid_by_prompt.get(&order.prompt).copied().unwrap_or(0);
        match by_id.get(order.ended.id.as_str()) {
            Some(job) => sums.judge(order, job, paid, &mut wrong),
            None => {
                sums.lost += 1;
                wrong.push(format!("lost: {order:?}"));
            }
        }
    }
    // One at the start, and one after each fault.
    let probes = struck.len() + 1;
    if audit.jobs.len() != placed.len() + probes {
        wrong.push(format!("{} records of {} orders and {probes} probes", audit.jobs.len(), placed.len()));
    }
    let succeeded = audit.jobs.iter().filter(|job| job.state == State::Succeeded);
    let succeeded: HashSet<String> = succeeded.map(|job| job.id.to_string()).collect();
    wrong.extend(world.wrong_files(&succeeded)?);
    wrong.extend(world.endless_keys(0).await?.into_iter().map(|key| format!("never goes away: {key}")));
    let exits: Vec<Duration> = struck.iter().filter_map(|struck| struck.what.exit).collect();
    let refused = struck.iter().map(|struck| struck.what.refused).sum();
    let report = report(scenario, placed, &struck, &sums, &wrong, took);
    Ok(Account { report, wrong, exits, refused })
}

impl Sums {
    fn judge(&mut self, order: &Placed, job: &Job, paid: usize, wrong: &mut Vec<String>) {
        let mut tell = |what: &str| {
            wrong.push(format!(
                "{what}: {:?} paid {paid} times, caller saw {:?}, {} {:?} attempts {}",
                order.prompt, order.ended, job.state, job.body.error, job.body.attempts
            ));
        };
        if job.state.as_str() != order.ended.status {
            tell("the caller saw another end");
        }
        let extra = paid.saturating_sub(1);
        if order.may_resubmit {
            self.paid_again += extra;
            if paid > usize::from(job.body.attempts) {
                self.doubled += 1;
                tell("paid without an intent");
            }
        } else if extra > 0 {
            self.doubled += 1;
            tell("doubled");
        }
        match (job.state, job.body.error.as_ref().map(|error| error.code)) {
            (State::Succeeded, _) if paid > 0 => self.succeeded += 1,
            (State::Succeeded, _) => tell("a success that nobody was paid for"),
            (State::Failed, Some(ErrorCode::UnknownOutcome)) if paid > 0 => self.unknown_paid += 1,
            (State::Failed, Some(ErrorCode::UnknownOutcome)) => self.unknown_unpaid += 1,
            _ => tell("an end that no fault here explains"),
        }
    }
}

fn report(
    scenario: &Scenario,
    placed: &[Placed],
    struck: &[Struck],
    sums: &Sums,
    wrong: &[String],
    took: Duration,
) -> Value {
    let mut faults: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for Struck { what, recovered_in } in struck {
        let entry = faults.entry(&what.name).or_default();
        entry.0 += 1;
        entry.1 = entry.1.max(millis(*recovered_in));
    }
    let faults: BTreeMap<_, _> = faults
        .into_iter()
        .map(|(name, (times, longest))| (name, json!({"times": times, "longest_recovery_ms": longest})))
        .collect();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    placed.iter().for_each(|order| *kinds.entry(&order.kind).or_default() += 1);
    let mut times: Vec<u64> = placed.iter().map(|order| millis(order.ended.took)).collect();
    times.sort_unstable();
    let mut exits: Vec<u64> = struck.iter().filter_map(|struck| struck.what.exit).map(millis).collect();
    exits.sort_unstable();
    let kills = struck.iter().filter(|struck| struck.what.name.starts_with("kill -9")).count();
    json!({
        "seed": scenario.seed,
        "took_s": took.as_secs(),
        "callers": scenario.callers,
        "jobs": placed.len(),
        "jobs_by_kind": kinds,
        "faults": faults,
        "strikes": struck.len(),
        "kills": kills,
        "succeeded": sums.succeeded,
        "lost": sums.lost,
        "doubled_outside_uncertain": sums.doubled,
        "uncertain": {
            "ended_as_unknown_outcome_and_was_paid": sums.unknown_paid,
            "ended_as_unknown_outcome_and_was_not_paid": sums.unknown_unpaid,
            "paid_again_as_its_caller_allows": sums.paid_again,
        },
        "refused_while_redis_was_full": struck.iter().map(|struck| struck.what.refused).sum::<usize>(),
        "longest_recovery_ms": struck.iter().map(|struck| millis(struck.recovered_in)).max(),
        "job_ms": {"median": part_of(&times, 50), "p99": part_of(&times, 99), "longest": times.last()},
        "exit_after_sigterm_ms": {
            "stops": exits.len(),
            "median": part_of(&exits, 50),
            "p99": part_of(&exits, 99),
            "longest": exits.last(),
        },
        "wrong": wrong,
    })
}

fn part_of(sorted: &[u64], percent: usize) -> Option<u64> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
