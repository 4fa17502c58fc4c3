//! How soon a job starts: when the worker is idle, when a thousand come a second, and when its time has come.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::drain::CONCURRENCY;
use crate::arguments::{Arguments, Durability};
use crate::bench::{Column, Runs};
use crate::process::{Records, System, Worker, produce};
use crate::report::{Figure, Goal, percentile};
use crate::server::Server;

/// Jobs that only warm a worker up.
const WARM: usize = 20;

struct Run {
    p50: f64,
    p99: f64,
    earliest: f64,
    worker_us: f64,
}

/// From the admission's begin to the handler's.
pub fn pickup(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let rows = [("pick-up, idle", 33.0, 300, 1.0, 2.0), ("pick-up at 1,000/s", 1000.0, 5_000, f64::MAX, 2.0)];
    for (row, rate, usual, p50, p99) in rows {
        let jobs = arguments.jobs_or(usual);
        let runs = Runs::take(arguments, &[System::Atelier, System::BullMq], |system| {
            run(system, durability, jobs, rate, Duration::ZERO)
        })?;
        let goal = (p50 < f64::MAX).then_some(Goal::AtMost(p50));
        let columns = [
            Column { measure: "p50 ms", value: |run: &Run| run.p50, goal },
            Column { measure: "p99 ms", value: |run| run.p99, goal: Some(Goal::AtMost(p99)) },
            Column { measure: "worker us/job", value: |run| run.worker_us, goal: None },
        ];
        figures.extend(columns.iter().map(|column| runs.figure(row, jobs, System::Atelier, column)));
    }
    Ok(figures)
}

/// From the due time of a job that was delayed by a second.
pub fn late(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(300);
    let runs = Runs::take(arguments, &[System::Atelier, System::BullMq], |system| {
        run(system, durability, jobs, 33.0, Duration::from_secs(1))
    })?;
    let columns = [
        Column { measure: "p50 ms", value: |run: &Run| run.p50, goal: Some(Goal::AtMost(1.5)) },
        Column { measure: "p99 ms", value: |run| run.p99, goal: Some(Goal::AtMost(4.0)) },
        Column { measure: "earliest ms", value: |run| run.earliest, goal: Some(Goal::AtLeast(0.0)) },
    ];
    Ok(columns
        .iter()
        .map(|column| runs.figure("late by, 1 s delay", jobs, System::Atelier, column))
        .collect())
}

fn run(system: System, durability: Durability, jobs: usize, rate: f64, delay: Duration) -> Result<Run> {
    let server = Server::start(durability)?;
    let records = Records::create()?;
    let worker = Worker::start(system, &server.url(), &records, CONCURRENCY, &[])?;
    produce(system, &server.url(), WARM, "paced:100", Duration::ZERO)?;
    records.wait_for(WARM)?;
    let before = worker.cpu_s()?;
    produce(system, &server.url(), jobs, &format!("paced:{rate}"), delay)?;
    records.wait_for(WARM + jobs)?;
    let late = records.late_ms(WARM)?;
    ensure!(late.len() == jobs, "{} of {jobs} jobs tell their due time", late.len());
    let run = Run {
        p50: percentile(&late, 0.5),
        p99: percentile(&late, 0.99),
        earliest: percentile(&late, 0.0),
        worker_us: (worker.cpu_s()? - before) / jobs as f64 * 1e6,
    };
    eprintln!("   {} p50 {:.2} ms, p99 {:.2} ms", system.name(), run.p50, run.p99);
    Ok(run)
}
