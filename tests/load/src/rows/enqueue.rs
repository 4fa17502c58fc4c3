//! How fast the library admits jobs.

use anyhow::Result;

use crate::arguments::{Arguments, Durability};
use crate::bench::{Column, Enqueue, Runs, enqueue};
use crate::process::System;
use crate::report::{Figure, Goal};

/// apalis-redis holds no more: its promotion fails with 8,000 due jobs.
const APALIS_LIMIT: usize = 7_500;

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(40_000);
    let modes = [
        ("enqueue, 64 in flight", "concurrent", System::BullMq, 1.8),
        ("enqueue, bulk of 500", "bulk", System::ApalisRedis, 1.5),
    ];
    let mut figures = Vec::new();
    for (row, mode, peer, ratio) in modes {
        let jobs_of = |system| if system == System::ApalisRedis { jobs.min(APALIS_LIMIT) } else { jobs };
        let runs = Runs::take(arguments, &[System::Atelier, peer], |system| {
            enqueue(system, durability, jobs_of(system), mode)
        })?;
        let columns = [
            Column {
                measure: "jobs/s",
                value: |run: &Enqueue| run.rate,
                goal: Some(Goal::RatioAtLeast(ratio)),
            },
            Column { measure: "client us/job", value: |run| run.client_us, goal: None },
            Column { measure: "Redis us/job", value: |run| run.server_us, goal: None },
        ];
        figures.extend(columns.iter().map(|column| runs.figure(row, jobs, System::Atelier, column)));
    }
    Ok(figures)
}
