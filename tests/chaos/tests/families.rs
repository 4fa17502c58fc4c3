//! Each family of faults under a mixed load: a short seeded run, and its account.

use std::time::Duration;

use anyhow::{Result, ensure};
use atelier_chaos::scenario::Scenario;
use atelier_chaos::scenario::account::Account;
use atelier_chaos::scenario::faults::Family;
use atelier_simulator::{Fault, Kind, Rule};

use crate::under_load::seed_of_run;

async fn survived(families: &[Family], strikes: usize) -> Result<Account> {
    let scenario = Scenario::short(seed_of_run()?, families, strikes);
    let account = scenario.run().await?;
    println!("{:#}", account.report);
    ensure!(account.wrong.is_empty(), "seed {}: {:#?}", scenario.seed, account.wrong);
    let jobs = account.report["jobs"].as_u64().unwrap_or(0);
    ensure!(jobs >= 10, "only {jobs} jobs: too few to prove anything");
    Ok(account)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalls_of_redis_lose_nothing() -> Result<()> {
    survived(&[Family::RedisStalls], 4).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storms_at_the_providers_lose_nothing_and_pay_nothing_twice() -> Result<()> {
    survived(&[Family::Storms], 6).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_cuts_delays_and_swallows_loses_nothing() -> Result<()> {
    survived(&[Family::Network], 6).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_store_that_refuses_loses_nothing() -> Result<()> {
    survived(&[Family::S3], 3).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_killed_at_random_and_redis_too_lose_nothing() -> Result<()> {
    let families = [Family::Kills, Family::RedisKills, Family::Kills, Family::RedisKills];
    survived(&families, 10).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_end_quickly_and_repeat_no_paid_call() -> Result<()> {
    let account = survived(&[Family::Stops], 8).await?;
    ensure!(account.exits.len() == 8, "{} stops", account.exits.len());
    let slowest = account.exits.iter().max().copied().unwrap_or_default();
    ensure!(slowest < Duration::from_secs(5), "an exit took {slowest:?}");
    let uncertain = &account.report["uncertain"];
    ensure!(
        uncertain.as_object().is_some_and(|ends| ends.values().all(|count| count == 0)),
        "a stop left a paid call without its outcome: {uncertain}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_memory_refuses_orders_and_loses_none() -> Result<()> {
    let account = survived(&[Family::RedisFull], 5).await?;
    ensure!(account.refused > 0, "no order was refused");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_hours_apart_and_jump_end_no_job_early() -> Result<()> {
    // One worker is an hour ahead and the other behind, and so are the pollers: an end as `deadline` or `timeout` is
    // one that no fault here explains.
    let account = survived(&[Family::Clocks], 4).await?;
    let (jobs, succeeded) = (&account.report["jobs"], &account.report["succeeded"]);
    ensure!(jobs == succeeded, "{succeeded} of {jobs} jobs succeeded");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_tells_of_a_call_that_was_paid_twice() -> Result<()> {
    let doubled = Rule::new(Fault::Doubled).kind(Kind::Submit);
    let scenario = Scenario { rules: vec![doubled], ..Scenario::short(seed_of_run()?, &[Family::Kills], 3) };
    let account = scenario.run().await?;
    let (jobs, doubled) = (&account.report["jobs"], &account.report["doubled_outside_uncertain"]);
    ensure!(doubled.as_u64() > Some(0), "of {jobs} jobs that were billed twice {doubled} are told");
    ensure!(account.wrong.iter().any(|what| what.starts_with("doubled")), "{:?}", account.wrong);
    Ok(())
}
