//! One kill at each effect of a job. For each program, each journey and each side of an effect: the first effect, the
//! second, and so on, until a job ends before the kill could strike. Nothing is sampled.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use atelier_domain::error::ErrorCode;
use atelier_domain::state::State;
use atelier_simulator::{Journal, Timing};

use crate::client::Journey;
use crate::gate::When;
use crate::program::Kind;
use crate::world::{Crew, Tuning, World};

/// Crews at work at once. Most of a run is waiting for a lease to end.
const CREWS: u8 = 8;
/// Far more effects than a job has.
const MOST_EFFECTS: usize = 80;
/// Longest time of one job, its recovery included.
const LIMIT: Duration = Duration::from_secs(30);
const TUNING: Tuning = Tuning { lease_ms: 1_000, grace_ms: 5_000, submits: 4 };
const TIMING: Timing = Timing {
    image: Duration::from_millis(50),
    video: Duration::from_millis(150),
    speech: Duration::from_millis(30),
};

/// All kills of one program in one journey on one side of its effects.
#[derive(Debug, Clone, Copy)]
struct Series {
    kind: Kind,
    journey: Journey,
    when: When,
}

/// One kill and what became of the job.
struct Kill {
    series: Series,
    number: usize,
    effect: String,
    state_at_death: Option<State>,
    outcome: String,
    paid: usize,
    took: Duration,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Series { kind, journey, when } = self.series;
        let state = self.state_at_death.map_or("-", State::as_str);
        let took = self.took.as_millis();
        write!(
            f,
            "{kind:6} {:7} {:6} {:2}  {:58} {state:10} {:15} {:4} {took:6}",
            journey.word(),
            when.word(),
            self.number,
            self.effect,
            self.outcome,
            self.paid
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv11_a_program_killed_at_any_effect_loses_no_job_and_pays_none_twice() -> Result<()> {
    let since = Instant::now();
    let world = World::start(TIMING).await?;
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for journey in Journey::ALL {
            all.extend([When::Before, When::After].map(|when| Series { kind, journey, when }));
        }
    }
    let waiting = Arc::new(Mutex::new(all));
    let mut crews = tokio::task::JoinSet::new();
    for db in 0..CREWS {
        let crew = world.crew(db, TUNING).await?;
        crews.spawn(work(crew, waiting.clone(), world.journal()));
    }
    let mut kills = Vec::new();
    while let Some(done) = crews.join_next().await {
        kills.extend(done??);
    }
    world.stop().await;

    kills.sort_by_key(|kill| {
        (kill.series.kind, kill.series.journey.word(), kill.series.when == When::After, kill.number)
    });
    println!("program journey side   nr  effect {:51} at death   outcome         paid     ms", "");
    kills.iter().for_each(|kill| println!("{kill}"));
    let slowest = kills.iter().map(|kill| kill.took).max().unwrap_or_default();
    println!("{} kills in {:?}, slowest job {slowest:?}", kills.len(), since.elapsed());

    // Proof that the harness hit something.
    for kind in Kind::ALL {
        let survived =
            kills.iter().filter(|kill| kill.series.kind == kind && kill.outcome == "succeeded").count();
        ensure!(survived > 0, "no kill of the {kind} was survived");
    }
    for (paid, side) in [(0, "before"), (1, "after")] {
        let is_there = kills.iter().any(|kill| kill.outcome == "unknown_outcome" && kill.paid == paid);
        ensure!(is_there, "no kill fell {side} the provider took the call and was told as unknown");
    }
    Ok(())
}

/// Takes series until none is left.
async fn work(mut crew: Crew, waiting: Arc<Mutex<Vec<Series>>>, journal: Journal) -> Result<Vec<Kill>> {
    let mut kills = Vec::new();
    crew.start_all()?;
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(series) = next else { break };
        for number in 1.. {
            ensure!(number <= MOST_EFFECTS, "{series:?} does not end");
            let run = tokio::time::timeout(LIMIT, run(&mut crew, series, number, &journal)).await;
            let run = run.map_err(anyhow::Error::from).flatten();
            match run.with_context(|| format!("{series:?}, kill {number}\n{}", crew.logs()))? {
                Some(kill) => kills.push(kill),
                None => break,
            }
        }
    }
    crew.stop().await?;
    Ok(kills)
}

/// One job with a kill at its effect `number`; `None` when it had fewer.
async fn run(crew: &mut Crew, series: Series, number: usize, journal: &Journal) -> Result<Option<Kill>> {
    let Series { kind, journey, when } = series;
    let prompt = journey.prompt(&format!("{kind} {} {} {number}", journey.word(), when.word()));
    let since = Instant::now();
    let gate = crew.program(kind)?.gate().clone();
    let life = gate.life();
    gate.arm(when, number - 1, &prompt);
    let (client, order) = (crew.client.clone(), prompt.clone());
    let mut asking = tokio::spawn(async move { client.run(journey, &order).await });
    let ended = tokio::select! {
        ended = &mut asking => Some(ended??),
        () = gate.ended(life) => None,
    };
    if ended.is_some() {
        // What follows the end, such as the clearing of the spool, is done before an orderly stop is.
        let program = crew.program(kind)?;
        program.terminate().await?;
        tokio::select! {
            exit = program.ended(LIMIT) => ensure!(exit?.0.success(), "the {kind} did not stop well"),
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

    let audit = crew.audit().await?;
    ensure!(audit.violations.is_empty(), "{:?}", audit.violations);
    ensure!(audit.messages == 0, "{} messages are left", audit.messages);
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
        (State::Succeeded, None) => "succeeded",
        (State::Failed, Some(ErrorCode::UnknownOutcome)) => "unknown_outcome",
        other => anyhow::bail!("ended as {other:?}"),
    };
    ensure!(is_open == (outcome == "unknown_outcome"), "was {state_at_death:?} at death and is {outcome}");
    ensure!(is_open || paid == 1, "succeeded, but was paid {paid} times");
    Ok(effect.map(|effect| Kill {
        series,
        number,
        effect,
        state_at_death,
        outcome: outcome.to_owned(),
        paid,
        took,
    }))
}
