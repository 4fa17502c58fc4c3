//! Kills at random while hundreds of jobs run, and two kills of Redis.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use atelier_domain::error::ErrorCode;
use atelier_domain::state::State;
use atelier_simulator::Timing;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use atelier_chaos::client::{Client, Ended, Journey};
use atelier_chaos::program::Kind;
use atelier_chaos::world::{Crew, Tuning, World};

const JOBS: usize = 300;
/// Callers at once.
const CALLERS: usize = 40;
/// Redis dies when so many jobs have ended.
const REDIS_DIES_AT: [usize; 2] = [60, 180];
/// Longest time of all together.
const LIMIT: Duration = Duration::from_secs(120);
const TUNING: Tuning = Tuning { lease_ms: 1_000, grace_ms: 5_000, submits: 16 };
const TIMING: Timing = Timing {
    image: Duration::from_millis(50),
    video: Duration::from_millis(400),
    speech: Duration::from_millis(60),
};

#[derive(Debug, Default)]
struct Kills {
    by_kind: BTreeMap<Kind, u32>,
    redis: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv11_random_kills_of_programs_and_redis_under_load_lose_no_accepted_job() -> Result<()> {
    let seed = seed_of_run()?;
    let since = Instant::now();
    let mut world = World::start(TIMING).await?;
    let mut crew = world.crew(0, TUNING).await?;
    crew.start_all()?;
    let outcome = tokio::time::timeout(LIMIT, storm(&mut world, &mut crew, seed)).await;
    let outcome = outcome.map_err(anyhow::Error::from).flatten();
    let (ended, kills) = outcome.with_context(|| format!("seed {seed}\n{}", crew.logs()))?;

    let audit = tokio::time::timeout(LIMIT, crew.quiet()).await.context("messages are left")??;
    ensure!(audit.violations.is_empty(), "seed {seed}: {:?}", audit.violations);
    ensure!(audit.jobs.len() == JOBS, "seed {seed}: {} records of {JOBS} orders", audit.jobs.len());
    let journal = world.journal();
    let by_id: BTreeMap<&str, _> = audit.jobs.iter().map(|job| (job.id.as_str(), job)).collect();
    let mut uncertain = 0;
    for (prompt, caller) in &ended {
        let job = by_id.get(caller.id.as_str()).with_context(|| format!("lost: {caller:?}"))?;
        ensure!(
            job.body.spec.prompt.as_ref() == Some(prompt),
            "seed {seed}: another job than asked: {job:?}"
        );
        ensure!(job.state.as_str() == caller.status, "seed {seed}: the caller saw another end: {caller:?}");
        let paid = journal.submits_of(prompt);
        ensure!(paid <= 1, "seed {seed}: `{prompt}` was paid {paid} times: {job:?}");
        match (job.state, job.body.error.as_ref().map(|error| error.code)) {
            (State::Succeeded, None) => ensure!(paid == 1, "seed {seed}: success without a call: {job:?}"),
            (State::Failed, Some(ErrorCode::UnknownOutcome)) => uncertain += 1,
            other => anyhow::bail!("seed {seed}: `{prompt}` ended as {other:?}: {job:?}"),
        }
    }
    let succeeded = audit.jobs.iter().filter(|job| job.state == State::Succeeded);
    let wrong_files = world.wrong_files(&succeeded.map(|job| job.id.to_string()).collect())?;
    ensure!(wrong_files.is_empty(), "seed {seed}: {wrong_files:?}");
    let endless = world.endless_keys(0).await?;
    ensure!(endless.is_empty(), "seed {seed}: keys that never go away: {endless:?}");
    crew.stop().await?;
    world.stop().await;

    let mut took: Vec<Duration> = ended.iter().map(|(_, ended)| ended.took).collect();
    took.sort();
    let killed: u32 = kills.by_kind.values().sum();
    println!(
        "{} jobs in {:?}: lost 0, doubled 0, uncertain {uncertain}; median {:?}, longest {:?}",
        ended.len(),
        since.elapsed(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    println!("{killed} kills of programs {:?}, {} of redis", kills.by_kind, kills.redis);
    ensure!(killed >= 10 && kills.by_kind.len() == Kind::ALL.len(), "too few kills to prove anything");
    ensure!(kills.redis == 2, "redis was killed {} times", kills.redis);
    Ok(())
}

/// The seed of all dice: a new one each time, or that of a run to be repeated.
pub fn seed_of_run() -> Result<u64> {
    let seed = match std::env::var("ATELIER_CHAOS_SEED") {
        Ok(text) => text.parse()?,
        Err(_) => rand::random(),
    };
    println!("ATELIER_CHAOS_SEED={seed}");
    Ok(seed)
}

/// Sends all jobs and kills meanwhile; every program runs again at the end.
async fn storm(world: &mut World, crew: &mut Crew, seed: u64) -> Result<(Vec<(String, Ended)>, Kills)> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut kills = Kills::default();
    let mut callers = call(&crew.client);
    let mut ended = Vec::new();
    let mut strike_at = Instant::now() + pause(&mut dice);
    while ended.len() < JOBS {
        tokio::select! {
            job = callers.join_next() => ended.push(job.context("a caller is missing")???),
            () = tokio::time::sleep_until(strike_at.into()) => {
                let kind = Kind::ALL[dice.random_range(0..Kind::ALL.len())];
                let program = crew.program(kind)?;
                program.kill().await?;
                program.start()?;
                *kills.by_kind.entry(kind).or_default() += 1;
                strike_at = Instant::now() + pause(&mut dice);
            }
        }
        if REDIS_DIES_AT.get(kills.redis as usize).is_some_and(|at| ended.len() >= *at) {
            world.redis.kill();
            tokio::task::block_in_place(|| world.redis.start_again())?;
            kills.redis += 1;
        }
    }
    Ok((ended, kills))
}

fn pause(dice: &mut StdRng) -> Duration {
    Duration::from_millis(dice.random_range(300..500))
}

/// Every order, at most [`CALLERS`] at once; each gives its prompt and its end.
fn call(client: &Client) -> JoinSet<Result<(String, Ended)>> {
    let places = Arc::new(Semaphore::new(CALLERS));
    let mut callers = JoinSet::new();
    for number in 0..JOBS {
        let (client, places) = (client.clone(), places.clone());
        callers.spawn(async move {
            let _place = places.acquire().await?;
            let journey = if number % 3 == 0 { Journey::Video } else { Journey::Speech };
            let prompt = journey.prompt(&format!("load {number}"));
            let ended = client.run(journey, &prompt).await.with_context(|| prompt.clone())?;
            Ok((prompt, ended))
        });
    }
    callers
}
