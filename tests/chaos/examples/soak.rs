//! The long run of faults: first `kill -9` of any process at random for as many minutes as the first argument says (10
//! without one), then each other family by itself, then all of them mixed. Each part has a world of its own and an
//! account at its end. Progress and accounts go to standard output, and the report of all parts into the file that the
//! second argument names. More arguments name the parts that are run, instead of all. A run that breaks a promise goes on to its end and then ends with an error.
//! `ATELIER_CHAOS_SEED` repeats the dice of a run.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use atelier_chaos::scenario::Scenario;
use atelier_chaos::scenario::faults::Family;
use serde_json::{Value, json};
use tokio::process::Command;

/// Any process: Redis is one of six.
const KILLS: [Family; 6] =
    [Family::Kills, Family::Kills, Family::Kills, Family::RedisKills, Family::Kills, Family::Kills];
/// A p99 needs so many.
const STOPS: usize = 100;
const CALLERS: usize = 16;

/// Part of a soak.
struct Part {
    name: &'static str,
    families: Vec<Family>,
    strikes: usize,
    time: Duration,
}

/// The others take a twentieth of the time of the kills each.
fn parts(minutes: u64) -> Vec<Part> {
    let others = [
        ("redis stalls", Family::RedisStalls),
        ("redis full", Family::RedisFull),
        ("network", Family::Network),
        ("provider storms", Family::Storms),
        ("s3", Family::S3),
        ("clocks", Family::Clocks),
    ];
    let (long, short) = (Duration::from_secs(60 * minutes), Duration::from_secs(3 * minutes));
    let part = |name, families: &[Family], strikes, time| Part {
        name,
        families: families.to_vec(),
        strikes: families.len().max(strikes),
        time,
    };
    let mut parts = vec![
        part("kill -9 of any process", &KILLS, 0, long),
        part("SIGTERM", &[Family::Stops], STOPS.min(10 * usize::try_from(minutes).unwrap_or(STOPS)), short),
    ];
    parts.extend(others.into_iter().map(|(name, family)| part(name, &[family], 0, short)));
    parts.push(part("all, mixed", &Family::ALL, 0, 2 * short));
    parts
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let minutes: u64 =
        arguments.next().map_or(Ok(10), |text| text.parse()).context("minutes are a number")?;
    ensure!(minutes > 0, "a soak of no time shows nothing");
    let path = arguments.next();
    let wanted: Vec<String> = arguments.collect();
    let mut seed = match std::env::var("ATELIER_CHAOS_SEED") {
        Ok(text) => text.parse()?,
        Err(_) => rand::random(),
    };
    let since = Instant::now();
    let mut report = json!({
        "commit": commit().await,
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "processors": std::thread::available_parallelism()?.get(),
        "parts": {},
    });
    let mut parts = parts(minutes);
    for name in &wanted {
        ensure!(parts.iter().any(|part| part.name == name), "there is no part `{name}`");
    }
    parts.retain(|part| wanted.is_empty() || wanted.iter().any(|name| part.name == name));
    let mut broken = 0;
    for (number, Part { name, families, strikes, time }) in (1..).zip(&parts) {
        println!("== part {number} of {}: {name}, {} s at least", parts.len(), time.as_secs());
        let (families, time) = (families.clone(), *time);
        let scenario =
            Scenario { seed, families, strikes: *strikes, time, callers: CALLERS, rules: Vec::new() };
        // A part that cannot be brought to its end is broken like one whose account is wrong.
        let part = match scenario.run().await {
            Ok(account) => account.report,
            Err(error) => json!({"seed": seed, "wrong": [format!("{error:#}")]}),
        };
        println!("{part:#}");
        broken += part["wrong"].as_array().map_or(1, Vec::len);
        report["parts"][name] = part;
        // Written after each part, so that an end by force leaves what is known.
        report["took_s"] = since.elapsed().as_secs().into();
        report["broken_promises"] = broken.into();
        if let Some(path) = &path {
            std::fs::write(path, format!("{report:#}\n")).with_context(|| format!("cannot write {path}"))?;
        }
        seed = seed.wrapping_add(1_000);
    }
    let sum = |field: &str| -> u64 {
        let parts = report["parts"].as_object().into_iter().flat_map(|parts| parts.values());
        parts.filter_map(|part| part[field].as_u64()).sum()
    };
    let (jobs, strikes, kills) = (sum("jobs"), sum("strikes"), sum("kills"));
    let (lost, doubled) = (sum("lost"), sum("doubled_outside_uncertain"));
    ensure!(broken == 0, "{broken} promises were broken, see the accounts above");
    println!(
        "{jobs} jobs, {strikes} faults, {kills} of them kills: {lost} lost, {doubled} paid twice, in {} s",
        since.elapsed().as_secs()
    );
    Ok(())
}

/// What was built, if this is a checkout.
async fn commit() -> Value {
    let ask = async |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git").args(arguments).output().await.ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let (Some(head), Some(changes)) =
        (ask(&["rev-parse", "HEAD"]).await, ask(&["status", "--porcelain"]).await)
    else {
        return Value::Null;
    };
    json!(if changes.is_empty() { head } else { format!("{head}, and changes") })
}
