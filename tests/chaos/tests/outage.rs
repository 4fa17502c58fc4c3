//! A long outage of the asset store, with finished jobs waiting behind it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use atelier_chaos::scenario::fleet::{Fleet, Peer};
use atelier_chaos::wire::link::Weather;
use atelier_chaos::world::World;
use atelier_domain::state::State;
use atelier_simulator::Timing;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Jobs that finish while the store is away; `ATELIER_OUTAGE_JOBS=10000` makes the long run.
const JOBS: usize = 240;
/// Orders at once.
const AT_ONCE: usize = 24;
/// Tries in vain, at least.
const TRIES: usize = 100;
/// Nothing here takes that long, of so many jobs.
const LIMIT_PER_THOUSAND: Duration = Duration::from_secs(180);

const QUICK: Timing = Timing {
    image: Duration::from_millis(50),
    video: Duration::from_millis(50),
    speech: Duration::from_millis(10),
};

/// Half of the results come as links that end, half as bytes that only the spool has.
fn order(number: usize) -> Value {
    let prompt = format!("outage {number:06}");
    match number % 2 {
        0 => json!({"operation": "image_gen", "provider": "fal", "prompt": prompt}),
        _ => json!({"operation": "tts", "provider": "deepgram", "prompt": prompt}),
    }
}

async fn all(fleet: &Fleet, state: State, count: usize, limit: Duration) -> Result<()> {
    let since = Instant::now();
    loop {
        let audit = fleet.audit().await?;
        let there = audit.jobs.iter().filter(|job| job.state == state).count();
        if there == count {
            return Ok(());
        }
        let lost: Vec<_> = audit.jobs.iter().filter(|job| job.state == State::Failed).take(3).collect();
        ensure!(lost.is_empty(), "jobs failed: {lost:?}");
        ensure!(
            since.elapsed() < limit,
            "{there} of {count} jobs are {state} after {limit:?}\n{}",
            fleet.logs()
        );
        eprintln!("{there} of {count} are {state} after {:.0?}", since.elapsed());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Times are compressed: tries are 50 to 300 ms apart where production waits for up to five minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_asset_store_loses_no_finished_job() -> Result<()> {
    let jobs = match std::env::var("ATELIER_OUTAGE_JOBS") {
        Ok(text) => text.parse().context("ATELIER_OUTAGE_JOBS is not a number")?,
        Err(_) => JOBS,
    };
    let limit = LIMIT_PER_THOUSAND * u32::try_from(jobs.div_ceil(1000))?;
    let world = World::start(QUICK).await?;
    let fleet = Fleet::start(&world, false).await?;
    fleet.members.iter().for_each(|member| member.link(Peer::S3).set(Weather::SlowDown));
    let mut callers = JoinSet::new();
    for caller in 0..AT_ONCE {
        let client = fleet.client.clone();
        callers.spawn(async move {
            for number in (caller..jobs).step_by(AT_ONCE) {
                client.accept(&format!("outage-{number}"), &order(number)).await?;
            }
            Ok(())
        });
    }
    callers.join_all().await.into_iter().collect::<Result<()>>()?;
    all(&fleet, State::Delivering, jobs, limit).await?;
    fleet.members.iter().for_each(|member| member.link(Peer::S3).set(Weather::Cut));
    // Those whose links end first are tried again and again; the others wait behind them.
    let since = Instant::now();
    loop {
        let tries: usize = fleet.audit().await?.jobs.iter().map(|job| usize::from(job.body.waits)).sum();
        if tries >= TRIES {
            break;
        }
        ensure!(since.elapsed() < limit, "the store was tried {tries} times in {limit:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    fleet.clear_up();
    let healed = Instant::now();
    all(&fleet, State::Succeeded, jobs, limit).await?;
    let audit = fleet.at_rest().await?;
    println!("{jobs} jobs finished behind the outage, all stored {:.1?} after its end", healed.elapsed());
    ensure!(audit.violations.is_empty(), "{:#?}", audit.violations);
    ensure!(audit.jobs.len() == jobs, "{} records of {jobs} jobs", audit.jobs.len());
    let calls = world.journal().submits().len();
    ensure!(calls == jobs, "{calls} paid calls for {jobs} jobs");
    fleet.stop().await?;
    world.stop().await;
    Ok(())
}
