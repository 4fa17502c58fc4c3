//! One worker process beside Celery, which many would pick.

use anyhow::Result;

use crate::arguments::{Arguments, Durability};
use crate::bench::{Column, Drain, Runs, drain};
use crate::process::System;
use crate::report::{Figure, Goal};
use crate::rows::drain::CONCURRENCY;

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(10_000);
    let systems = [System::AtelierLedger, System::Celery];
    let runs = Runs::take(arguments, &systems, |system| drain(system, durability, jobs, CONCURRENCY))?;
    let column =
        Column { measure: "jobs/s", value: |run: &Drain| run.rate, goal: Some(Goal::RatioAtLeast(25.0)) };
    Ok(vec![runs.figure("drain 10k, intent first", jobs, System::AtelierLedger, &column)])
}
