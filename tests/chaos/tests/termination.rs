//! SIGTERM under load. The lease is so long that whatever was not given back would show: its job could not end in time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use atelier_domain::state::State;
use atelier_simulator::{Kind as Request, Timing};
use tokio::task::JoinSet;

use atelier_chaos::client::{Ended, Journey};
use atelier_chaos::program::Kind;
use atelier_chaos::world::{Crew, Tuning, World};

const JOBS: usize = 80;
/// Far longer than the test.
const TUNING: Tuning = Tuning { lease_ms: 120_000, grace_ms: 5_000, submits: 8 };
const LIMIT: Duration = Duration::from_secs(60);
const TIMING: Timing = Timing {
    image: Duration::from_millis(50),
    video: Duration::from_millis(600),
    speech: Duration::from_millis(300),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_told_to_stop_under_load_gives_back_everything_within_its_grace() -> Result<()> {
    stopped_under_load(Kind::Worker).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_told_to_stop_under_load_gives_back_everything_within_its_grace() -> Result<()> {
    stopped_under_load(Kind::Poller).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_told_to_stop_under_load_answers_or_refuses_every_caller_within_its_grace() -> Result<()> {
    stopped_under_load(Kind::Api).await
}

async fn stopped_under_load(kind: Kind) -> Result<()> {
    let world = World::start(TIMING).await?;
    let mut crew = world.crew(0, TUNING).await?;
    crew.start_all()?;
    let outcome = tokio::time::timeout(LIMIT, stop_thrice(&world, &mut crew, kind)).await;
    let outcome = outcome.map_err(anyhow::Error::from).flatten();
    outcome.with_context(|| crew.logs())?;
    crew.stop().await?;
    world.stop().await;
    Ok(())
}

async fn stop_thrice(world: &World, crew: &mut Crew, kind: Kind) -> Result<()> {
    let grace = Duration::from_millis(TUNING.grace_ms);
    let mut callers = call(crew);
    // Each stop falls into another part of the load.
    for share in [8, 4, 2] {
        under_way(world, JOBS / share).await;
        let program = crew.program(kind)?;
        program.listen().wait_for(Option::is_some).await?;
        let since = Instant::now();
        program.terminate().await?;
        let status = program.ended(2 * grace).await?;
        let took = since.elapsed();
        println!("the {kind} ended {took:?} after its SIGTERM");
        ensure!(status.success(), "the {kind} ended with {status}");
        ensure!(took < grace, "the {kind} took {took:?}, its grace is {grace:?}");
        let audit = crew.audit().await?;
        let open = audit.jobs.iter().filter(|job| job.state == State::Submitting).count();
        ensure!(kind != Kind::Worker || open == 0, "{open} paid calls were left without a verdict");
        crew.program(kind)?.start()?;
    }
    let since = Instant::now();
    while let Some(ended) = callers.join_next().await {
        let (prompt, ended) = ended??;
        ensure!(ended.status == "succeeded", "`{prompt}` ended as {ended:?}");
        let paid = world.journal().submits_of(&prompt);
        ensure!(paid == 1, "`{prompt}` was paid {paid} times");
    }
    println!("all {JOBS} jobs have ended {:?} after the last stop", since.elapsed());
    let audit = crew.quiet().await?;
    // Only now: what moves while it is looked at seems to be nowhere.
    ensure!(audit.violations.is_empty(), "{:?}", audit.violations);
    ensure!(audit.jobs.len() == JOBS, "{} records of {JOBS} orders", audit.jobs.len());
    ensure!(audit.jobs.iter().all(|job| job.body.attempts == 1), "a call was repeated");
    Ok(())
}

/// Waits until the providers have taken so many calls.
async fn under_way(world: &World, calls: usize) {
    while world.journal().of_kind(Request::Submit).len() < calls {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn call(crew: &Crew) -> JoinSet<Result<(String, Ended)>> {
    let mut callers = JoinSet::new();
    for number in 0..JOBS {
        let client = crew.client.clone();
        callers.spawn(async move {
            let journey = if number % 3 == 0 { Journey::Video } else { Journey::Speech };
            let prompt = journey.prompt(&format!("stop {number}"));
            let ended = client.run(journey, &prompt).await.with_context(|| prompt.clone())?;
            Ok((prompt, ended))
        });
    }
    callers
}
