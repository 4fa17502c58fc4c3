//! Videos that wait for their provider: checks over real HTTP, and a million of them on three servers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::checks::{Window, window};
use crate::arguments::{Arguments, Durability};
use crate::process::{Records, System, Worker, produce};
use crate::programs::Program;
use crate::report::{Figure, Goal};
use crate::server::{Server, urls};

const CONCURRENCY: usize = 256;
/// Servers, and shards: one on each.
const SHARDS: usize = 3;
/// Checks a second that the million is spread over: what two cores do beside Redis, three times, and this program.
const SCALED_RATE: usize = 3_300;

/// Checks by the poller's own step, asking the simulator. Not counted: what the simulator takes.
pub fn over_http(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for per_second in [1_000, 5_000] {
        let interval = Duration::from_secs(2);
        let jobs = arguments.jobs_or(per_second * 2);
        let mut runs = Vec::new();
        for _ in 0..arguments.runs {
            runs.push(http_run(durability, jobs, interval, arguments.jobs.is_some())?);
        }
        let row = format!("checks over HTTP, {} a second due", jobs / 2);
        let of = |value: fn(&(Window, f64)) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
        let figure = |measure, runs, goal| Figure::alone(&row, measure, runs, goal, jobs);
        figures.extend([
            figure("checks/s", of(|run| run.0.rate), None),
            figure(
                "checks/s a core of the poller",
                of(|run| 1e6 / run.0.worker_us),
                Some(Goal::AtLeast(5_000.0)),
            ),
            figure("late by p50 ms", of(|run| run.0.p50), None),
            figure("late by p99 ms", of(|run| run.0.p99), Some(Goal::AtMost(50.0))),
            figure("poller us/check", of(|run| run.0.worker_us), None),
            figure("Redis us/check", of(|run| run.0.server_us), None),
            figure("simulator us/check", of(|run| run.1), None),
        ]);
        if arguments.jobs.is_some() {
            break;
        }
    }
    Ok(figures)
}

fn http_run(
    durability: Durability,
    jobs: usize,
    interval: Duration,
    is_short: bool,
) -> Result<(Window, f64)> {
    let mut servers = vec![Server::start(durability)?];
    let redis = urls(&servers);
    let simulator = Program::simulator("86400s")?;
    produce(System::Atelier, &redis, jobs, "bulk+runway", Duration::ZERO)?;
    let worker = Program::start(
        "worker",
        &format!(
            "[redis]\nurl = \"{redis}\"\n[s3]\nendpoint = \"http://127.0.0.1:9\"\nbucket = \"load\"\n\
             access_key = \"load\"\nsecret_key = \"load\"\n[worker]\nsubmit = 256\n\
             [providers.runway]\nbase_url = \"http://{0}/runway\"\n[provider_keys]\nrunway = \"simulated\"\n\
             [policy.polling_by.runway]\ninterval_ms = {1}\nmax_checks = 65535\ntimeout_ms = 86400000\n",
            simulator.address,
            interval.as_millis()
        ),
    )?;
    wait_for_checks(&mut servers, jobs)?;
    drop(worker);
    let records = Records::create()?;
    let (interval_ms, address) = (interval.as_millis().to_string(), simulator.address.to_string());
    let words = ["checks-http", &interval_ms, &address];
    let poller = Worker::start(System::Atelier, &redis, &records, CONCURRENCY, &words)?;
    records.wait_for(1)?;
    let rounds = if is_short { (1, 1) } else { (3, 8) };
    std::thread::sleep(interval * rounds.0);
    let simulator_s = simulator.cpu_s()?;
    let found = window(&mut servers, &poller, &records, interval * rounds.1)?;
    let simulator_us = (simulator.cpu_s()? - simulator_s) / found.checks * 1e6;
    eprintln!(
        "   {jobs} videos: {:.0} checks/s, p99 {:.1} ms late, poller {:.0} us, simulator {simulator_us:.0} us",
        found.rate, found.p99, found.worker_us
    );
    Ok((found, simulator_us))
}

/// A million waiting videos over three shards on three servers. Their polling time is stretched to what the machine can
/// check in a second; no provider is called.
pub fn million(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(1_000_000);
    let interval = Duration::from_secs((jobs / SCALED_RATE).max(2) as u64);
    let mut runs = Vec::new();
    for _ in 0..arguments.runs {
        runs.push(million_run(durability, jobs, interval)?);
    }
    let row = format!("{jobs} videos waiting, one check every {} s", interval.as_secs());
    let of = |value: fn(&(f64, Window)) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    let figure = |measure, runs, goal| Figure::alone(&row, measure, runs, goal, jobs);
    Ok(vec![
        figure("Redis bytes a job", of(|run| run.0), Some(Goal::AtMost(1_000.0))),
        figure("checks/s", of(|run| run.1.rate), None),
        figure("late by p50 ms", of(|run| run.1.p50), None),
        figure("late by p99 ms", of(|run| run.1.p99), Some(Goal::AtMost(50.0))),
        figure("Redis us/check, all three", of(|run| run.1.server_us), None),
        figure("poller us/check", of(|run| run.1.worker_us), None),
    ])
}

fn million_run(durability: Durability, jobs: usize, interval: Duration) -> Result<(f64, Window)> {
    let mut servers = Vec::new();
    for _ in 0..SHARDS {
        servers.push(Server::start(durability)?);
    }
    let redis = urls(&servers);
    // Scripts, connections and the first tables are not a job's cost.
    produce(System::Atelier, &redis, 300, "bulk", Duration::from_secs(30 * 24 * 3600 - 60))?;
    let before = used(&mut servers)?;
    let begun = Instant::now();
    produce(System::Atelier, &redis, jobs, "bulk", Duration::ZERO)?;
    eprintln!("   admitted after {:.0} s", begun.elapsed().as_secs_f64());
    let accepted = Records::create()?;
    let interval_ms = interval.as_millis().to_string();
    let worker =
        Worker::start(System::Atelier, &redis, &accepted, CONCURRENCY, &["accept-spread", &interval_ms])?;
    wait_for_checks(&mut servers, jobs)?;
    drop(worker);
    let bytes = (used(&mut servers)? - before) / jobs as f64;
    eprintln!("   all wait after {:.0} s, {bytes:.0} bytes each", begun.elapsed().as_secs_f64());
    let records = Records::create()?;
    let words = ["checks", &interval_ms];
    let poller = Worker::start(System::Atelier, &redis, &records, CONCURRENCY, &words)?;
    // From then on the checks of all are due evenly; see `accept-spread`.
    std::thread::sleep(interval / 2);
    let length = interval.min(Duration::from_secs(60));
    let found = window(&mut servers, &poller, &records, length)?;
    eprintln!("   {:.0} checks/s, p99 {:.1} ms late", found.rate, found.p99);
    ensure!(found.checks > 1.0, "nothing was checked");
    let waiting = checks_of(&mut servers)?;
    ensure!(waiting == jobs, "{waiting} of {jobs} videos wait at the end");
    Ok((bytes, found))
}

fn used(servers: &mut [Server]) -> Result<f64> {
    servers.iter_mut().map(Server::used_bytes).sum()
}

fn checks_of(servers: &mut [Server]) -> Result<usize> {
    let members = servers.iter_mut().enumerate();
    members.map(|(shard, server)| server.members(&format!("{{q{shard}}}:c"))).sum()
}

/// Waits until so many jobs wait for a check; fails when no more come for a minute.
fn wait_for_checks(servers: &mut [Server], jobs: usize) -> Result<()> {
    let (mut seen, mut since, mut told) = (0, Instant::now(), Instant::now());
    loop {
        let now = checks_of(servers).context("the due sets can be counted")?;
        if now >= jobs {
            return Ok(());
        }
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        ensure!(
            since.elapsed() < Duration::from_secs(60),
            "{now} of {jobs} jobs wait, and no more for a minute"
        );
        if told.elapsed() > Duration::from_secs(10) {
            eprintln!("   {now} of {jobs} wait");
            told = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
