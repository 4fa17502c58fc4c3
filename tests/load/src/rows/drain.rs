//! How fast one worker process works a backlog off, and what a job costs Redis and the worker.

use anyhow::Result;

use crate::arguments::{Arguments, Durability};
use crate::bench::{Column, Drain, Runs, drain};
use crate::process::System;
use crate::report::{Figure, Goal};

/// Jobs that run at once in every system.
pub const CONCURRENCY: usize = 64;

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let mut figures = at(arguments, durability, "drain 20k", arguments.jobs_or(20_000), 1.6)?;
    if arguments.jobs.is_none() {
        figures.extend(at(arguments, durability, "drain 200k", 200_000, 2.0)?);
    }
    Ok(figures)
}

fn at(
    arguments: &Arguments,
    durability: Durability,
    row: &str,
    jobs: usize,
    ratio: f64,
) -> Result<Vec<Figure>> {
    let systems = [System::Atelier, System::AtelierLedger, System::BullMq];
    let runs = Runs::take(arguments, &systems, |system| drain(system, durability, jobs, CONCURRENCY))?;
    let mut figures = Vec::new();
    for system in [System::Atelier, System::AtelierLedger] {
        let row = if system == System::Atelier { row.to_owned() } else { format!("{row}, intent first") };
        let columns = [
            Column {
                measure: "jobs/s",
                value: |run: &Drain| run.rate,
                goal: Some(Goal::RatioAtLeast(ratio)),
            },
            Column {
                measure: "Redis us/job, enqueue + process",
                value: |run| run.enqueue_us + run.server_us,
                goal: Some(Goal::RatioAtMost(0.5)),
            },
            Column {
                measure: "worker us/job",
                value: |run| run.worker_us,
                goal: Some(Goal::RatioAtMost(0.6)),
            },
        ];
        figures.extend(columns.iter().map(|column| runs.figure(&row, jobs, system, column)));
    }
    Ok(figures)
}
