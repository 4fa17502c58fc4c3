//! Very many jobs that are due in the same millisecond.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::arguments::{Arguments, Durability};
use crate::bench::{Column, Runs};
use crate::process::{Records, System, Worker, produce_due};
use crate::report::{Figure, Goal};
use crate::server::Server;

/// Jobs at once; as many as the slots of a few processes.
const CONCURRENCY: usize = 256;

struct Run {
    longest_script_ms: f64,
    last_start_s: f64,
    early: f64,
}

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(100_000);
    let runs = Runs::take(arguments, &[System::Atelier], |system| run(system, durability, jobs))?;
    let columns = [
        Column {
            measure: "longest script ms",
            value: |run: &Run| run.longest_script_ms,
            goal: Some(Goal::AtMost(3.0)),
        },
        Column {
            measure: "all started after s",
            value: |run| run.last_start_s,
            goal: Some(Goal::AtMost(4.0)),
        },
        Column { measure: "jobs started early", value: |run| run.early, goal: Some(Goal::AtMost(0.0)) },
    ];
    Ok(columns.iter().map(|column| runs.figure("due in one ms", jobs, System::Atelier, column)).collect())
}

fn run(system: System, durability: Durability, jobs: usize) -> Result<Run> {
    let mut server = Server::start(durability)?;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    // Long enough to lay all of them down, on a slow machine too.
    let due_s = (now_s + 3.0 + jobs as f64 / 8_000.0).ceil();
    produce_due(system, &server.url(), jobs, "bulk", &format!("@{:.0}", due_s * 1000.0))?;
    let records = Records::create()?;
    let _worker = Worker::start(system, &server.url(), &records, CONCURRENCY, &[])?;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    anyhow::ensure!(now_s < due_s - 1.0, "laying the jobs down took too long for their due time");
    std::thread::sleep(Duration::from_secs_f64(due_s - 0.5 - now_s));
    server.reset(300)?;
    records.wait_for(jobs)?;
    let starts = records.read()?;
    let last = starts.last().context("none started")?.0;
    let run = Run {
        longest_script_ms: server.longest_script_ms()?,
        last_start_s: last - due_s,
        early: starts.iter().filter(|(start, _)| *start < due_s).count() as f64,
    };
    eprintln!("   {jobs} jobs: {:.2} s, longest script {:.2} ms", run.last_start_s, run.longest_script_ms);
    Ok(run)
}
