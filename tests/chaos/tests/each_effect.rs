//! One kill at each effect of a job. For each program, each journey and each side of an effect: the first effect that
//! was not struck before, again and again, until a job ends at which none is left. Nothing is sampled.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use atelier_domain::error::ErrorCode;
use atelier_domain::state::State;
use atelier_simulator::{Journal, Timing};

use atelier_chaos::client::Journey;
use atelier_chaos::gate::{Struck, When};
use atelier_chaos::program::Kind;
use atelier_chaos::world::{Crew, Tuning, World};

/// Crews at work at once. Most of a run is waiting for a lease to end.
const CREWS: u8 = 10;
/// Far more than the effects of a job and its repetition.
const MOST_RUNS: usize = 120;
/// Longest time of one job, its recovery included.
const LIMIT: Duration = Duration::from_secs(30);
const TUNING: Tuning = Tuning { lease_ms: 1_000, grace_ms: 5_000, submits: 4 };
const TIMING: Timing = Timing {
    image: Duration::from_millis(50),
    video: Duration::from_millis(350),
    speech: Duration::from_millis(30),
};

/// All kills of one program on one side of the effects of a journey. What the second journey shares with the first is
/// struck once.
struct Series {
    kind: Kind,
    journeys: &'static [Journey],
    when: When,
    struck: Struck,
    /// How many of the journeys are through.
    done: AtomicUsize,
    runs: AtomicUsize,
}

/// One kill and what became of the job.
struct Kill {
    kind: Kind,
    journey: Journey,
    when: When,
    number: usize,
    effect: String,
    state_at_death: Option<State>,
    outcome: String,
    paid: usize,
    took: Duration,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, journey, when, effect, outcome, paid, .. } = self;
        let state = self.state_at_death.map_or("-", State::as_str);
        let took = self.took.as_millis();
        let (journey, when) = (journey.word(), when.word());
        write!(f, "{kind:7} {journey:7} {when:6}  {effect:52}  {state:10}  {outcome:15} {paid:4} {took:6}")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv11_a_program_killed_at_any_effect_loses_no_job_and_pays_none_twice() -> Result<()> {
    let since = Instant::now();
    let world = World::start(TIMING).await?;
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for journeys in [&[Journey::Speech, Journey::Limited][..], &[Journey::Video, Journey::Cancelled]] {
            for when in [When::Before, When::After] {
                let struck = Struck::default();
                all.push(Series { kind, journeys, when, struck, done: 0.into(), runs: 0.into() });
            }
        }
    }
    let all: Arc<[Series]> = all.into();
    let mut crews = tokio::task::JoinSet::new();
    for db in 0..CREWS {
        let crew = world.crew(db, TUNING).await?;
        crews.spawn(work(crew, usize::from(db), all.clone(), world.journal()));
    }
    let (mut kills, mut succeeded, mut endless) = (Vec::new(), HashSet::new(), Vec::new());
    while let Some(done) = crews.join_next().await {
        let (more, ids) = done??;
        kills.extend(more);
        succeeded.extend(ids);
    }
    for db in 0..CREWS {
        endless.extend(world.endless_keys(db).await?);
    }
    let wrong_files = world.wrong_files(&succeeded)?;
    world.stop().await;

    kills.sort_by_key(|kill| {
        (kill.kind, kill.journey == Journey::Video, kill.when == When::After, kill.number)
    });
    println!("killed  journey side    {:52}  at death    outcome         paid     ms", "effect");
    kills.iter().for_each(|kill| println!("{kill}"));
    let slowest = kills.iter().map(|kill| kill.took).max().unwrap_or_default();
    println!("{} kills in {:?}, slowest job {slowest:?}", kills.len(), since.elapsed());

    ensure!(endless.is_empty(), "keys that never go away: {endless:?}");
    ensure!(wrong_files.is_empty(), "{wrong_files:?}");

    // Proof that the harness hit something.
    for kind in Kind::ALL {
        let survived = kills.iter().filter(|kill| kill.kind == kind && kill.outcome == "succeeded").count();
        ensure!(survived > 0, "no kill of the {kind} was survived");
    }
    for (paid, side) in [(0, "before"), (1, "after")] {
        let is_there = kills.iter().any(|kill| kill.outcome == "unknown_outcome" && kill.paid == paid);
        ensure!(is_there, "no kill fell {side} the provider took the call and was told as unknown");
    }
    Ok(())
}

/// Works on the series until all are done, beginning at another one than the others.
async fn work(
    mut crew: Crew,
    first: usize,
    all: Arc<[Series]>,
    journal: Journal,
) -> Result<(Vec<Kill>, Vec<String>)> {
    let mut kills = Vec::new();
    crew.start_all()?;
    for at in 0..all.len() {
        let series = &all[(first + at) % all.len()];
        loop {
            let done = series.done.load(Ordering::Relaxed);
            let Some(journey) = series.journeys.get(done).copied() else { break };
            let number = series.runs.fetch_add(1, Ordering::Relaxed);
            ensure!(number <= MOST_RUNS, "the {} at the {} does not end", journey.word(), series.kind);
            let run = tokio::time::timeout(LIMIT, run(&mut crew, series, journey, number, &journal)).await;
            let run = run.map_err(anyhow::Error::from).flatten();
            let told = || format!("{} {} {number}\n{}", series.kind, journey.word(), crew.logs());
            match run.with_context(told)? {
                Some(kill) => kills.push(kill),
                // Every effect of this run had been struck before. Others may find the same; the first one counts.
                None => {
                    let (was, is) = (done, done + 1);
                    let _ = series.done.compare_exchange(was, is, Ordering::Relaxed, Ordering::Relaxed);
                }
            }
        }
    }
    let jobs = crew.quiet().await?.jobs.into_iter();
    let succeeded = jobs.filter(|job| job.state == State::Succeeded).map(|job| job.id.to_string()).collect();
    crew.stop().await?;
    Ok((kills, succeeded))
}

/// One job with a kill at its first effect that was not struck yet; `None` when there is none left.
async fn run(
    crew: &mut Crew,
    series: &Series,
    journey: Journey,
    number: usize,
    journal: &Journal,
) -> Result<Option<Kill>> {
    let (kind, when) = (series.kind, series.when);
    let prompt = journey.prompt(&format!("{kind} {} {} {number}", journey.word(), when.word()));
    let since = Instant::now();
    let gate = crew.program(kind)?.gate().clone();
    let life = gate.life();
    gate.arm(when, series.struck.clone(), &prompt);
    let (client, order, told) = (crew.client.clone(), prompt.clone(), journal.clone());
    let mut asking = tokio::spawn(async move {
        let ended = client.run(journey, &order).await?;
        while ended.status == "cancelled" && !is_told_to_stop(&told, &order) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(ended)
    });
    let ended = tokio::select! {
        ended = &mut asking => Some(ended??),
        () = gate.ended(life) => None,
    };
    if ended.is_some() {
        // What follows the end, such as the clearing of the spool, is done before an orderly stop is.
        let program = crew.program(kind)?;
        program.terminate().await?;
        tokio::select! {
            exit = program.ended(LIMIT) => ensure!(exit?.success(), "the {kind} did not stop well"),
            () = gate.ended(life) => {}
        }
    }
    let effect = gate.disarm();
    crew.program(kind)?.kill().await?;
    let state_at_death = crew.job(&prompt).await?.map(|job| job.state);
    crew.program(kind)?.start()?;
    let ended = match ended {
        Some(ended) => ended,
        None => asking.await??,
    };
    let took = since.elapsed();

    let audit = crew.quiet().await?;
    ensure!(audit.violations.is_empty(), "{:?}", audit.violations);
    let job = crew.job(&prompt).await?.context("the accepted job is lost")?;
    let paid = journal.submits_of(&prompt);
    ensure!(job.id.as_str() == ended.id, "the caller knows another job: {ended:?}");
    ensure!(paid <= 1, "paid {paid} times");
    ensure!(job.body.attempts == 1, "{} attempts", job.body.attempts);
    // Only the worker makes paid calls, and its record at the moment of death says what must come of one.
    let is_open = kind == Kind::Worker
        && effect.is_some()
        && matches!(state_at_death, Some(State::Submitting | State::Uncertain));
    let outcome = match (job.state, job.body.error.map(|error| error.code)) {
        (State::Succeeded, None) if journey != Journey::Cancelled => "succeeded",
        (State::Cancelled, _) if journey == Journey::Cancelled => "cancelled",
        (State::Failed, Some(ErrorCode::UnknownOutcome)) => "unknown_outcome",
        other => anyhow::bail!("ended as {other:?}"),
    };
    ensure!(is_open == (outcome == "unknown_outcome"), "was {state_at_death:?} at death and is {outcome}");
    ensure!(is_open || paid == 1, "{outcome}, but was paid {paid} times");
    Ok(effect.map(|effect| Kill {
        kind,
        journey,
        when,
        number,
        effect,
        state_at_death,
        outcome: outcome.to_owned(),
        paid,
        took,
    }))
}

fn is_told_to_stop(journal: &Journal, prompt: &str) -> bool {
    journal.cancels().iter().any(|entry| entry.prompt.as_deref() == Some(prompt))
}
