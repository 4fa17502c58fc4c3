//! Very many videos that wait for their provider and are looked at every two seconds. The provider is not called.

use std::time::Duration;

use anyhow::Result;

use crate::arguments::{Arguments, Durability};
use crate::bench::{Column, Runs};
use crate::process::{Records, System, Worker, produce};
use crate::report::{Figure, Goal, percentile};
use crate::server::Server;

const INTERVAL: Duration = Duration::from_secs(2);
const CONCURRENCY: usize = 256;
/// Rounds that only spread the checks, and rounds that count.
const ROUNDS: (u32, u32) = (3, 5);
/// The same for short runs.
const FEW_ROUNDS: (u32, u32) = (1, 1);

/// What a poller did during some time.
pub struct Window {
    /// Checks that began.
    pub checks: f64,
    /// The same a second.
    pub rate: f64,
    /// Milliseconds from due time to start.
    pub p50: f64,
    /// The same.
    pub p99: f64,
    /// Microseconds of all servers' processors a check.
    pub server_us: f64,
    /// Microseconds of the poller's processor a check.
    pub worker_us: f64,
}

/// Watches a running poller for `length`.
pub fn window(
    servers: &mut [Server],
    poller: &Worker,
    records: &Records,
    length: Duration,
) -> Result<Window> {
    let servers_s = |servers: &mut [Server]| servers.iter_mut().map(Server::cpu_s).sum::<Result<f64>>();
    let (first, server_s, poller_s) = (records.count()?, servers_s(servers)?, poller.cpu_s()?);
    std::thread::sleep(length);
    let (last, server_s, poller_s) =
        (records.count()?, servers_s(servers)? - server_s, poller.cpu_s()? - poller_s);
    let checks = (last - first).max(1) as f64;
    let late: Vec<f64> = records.late_ms(0)?.into_iter().skip(first).take(last - first).collect();
    Ok(Window {
        checks,
        rate: checks / length.as_secs_f64(),
        p50: percentile(&late, 0.5),
        p99: percentile(&late, 0.99),
        server_us: server_s / checks * 1e6,
        worker_us: poller_s / checks * 1e6,
    })
}

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(100_000);
    let runs = Runs::take(arguments, &[System::Atelier], |system| {
        run(system, durability, jobs, if arguments.jobs.is_some() { FEW_ROUNDS } else { ROUNDS })
    })?;
    let columns = [
        Column { measure: "checks/s", value: |run: &Window| run.rate, goal: Some(Goal::AtLeast(45_000.0)) },
        Column { measure: "late by p50 ms", value: |run| run.p50, goal: None },
        Column { measure: "late by p99 ms", value: |run| run.p99, goal: Some(Goal::AtMost(30.0)) },
        // What 45,000 checks a second leave of one core.
        Column { measure: "Redis us/check", value: |run| run.server_us, goal: Some(Goal::AtMost(22.2)) },
        Column { measure: "poller us/check", value: |run| run.worker_us, goal: None },
    ];
    let row = "videos checked every 2 s";
    Ok(columns.iter().map(|column| runs.figure(row, jobs, System::Atelier, column)).collect())
}

fn run(system: System, durability: Durability, jobs: usize, rounds: (u32, u32)) -> Result<Window> {
    let mut server = Server::start(durability)?;
    produce(system, &server.url(), jobs, "bulk", Duration::ZERO)?;
    let accepted = Records::create()?;
    let interval_ms = INTERVAL.as_millis().to_string();
    let worker = Worker::start(system, &server.url(), &accepted, CONCURRENCY, &["accept", &interval_ms])?;
    accepted.wait_for(jobs)?;
    while server.members("{q0}:c")? < jobs {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(worker);
    let records = Records::create()?;
    let poller = Worker::start(system, &server.url(), &records, CONCURRENCY, &["checks", &interval_ms])?;
    records.wait_for(1)?;
    std::thread::sleep(INTERVAL * rounds.0);
    let run = window(std::slice::from_mut(&mut server), &poller, &records, INTERVAL * rounds.1)?;
    eprintln!("   {jobs} videos: {:.0} checks/s, p99 {:.1} ms late", run.rate, run.p99);
    Ok(run)
}
