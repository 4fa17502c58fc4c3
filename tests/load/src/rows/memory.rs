//! What a waiting job costs Redis in bytes, with workspace, trace and idempotency key on board.

use std::time::Duration;

use anyhow::Result;

use crate::arguments::{Arguments, Durability};
use crate::bench::{Column, Runs};
use crate::process::{System, produce};
use crate::report::{Figure, Goal};
use crate::server::Server;

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(20_000);
    let mut figures = Vec::new();
    for (row, delay, limit) in
        [("pending job", Duration::ZERO, 750.0), ("delayed job", Duration::from_secs(3600), 850.0)]
    {
        let runs = Runs::take(arguments, &[System::Atelier, System::BullMq], |system| {
            bytes(system, durability, jobs, delay)
        })?;
        let column =
            Column { measure: "Redis bytes", value: |run: &f64| *run, goal: Some(Goal::AtMost(limit)) };
        figures.push(runs.figure(row, jobs, System::Atelier, &column));
    }
    Ok(figures)
}

fn bytes(system: System, durability: Durability, jobs: usize, delay: Duration) -> Result<f64> {
    let mut server = Server::start(durability)?;
    // Rivals have no idempotency keys of this kind.
    let mode = if system == System::Atelier { "bulk+keys" } else { "bulk" };
    // Scripts, connections and the first tables are not a job's cost.
    produce(system, &server.url(), 500, mode, delay)?;
    let before = server.used_bytes()?;
    produce(system, &server.url(), jobs, mode, delay)?;
    Ok((server.used_bytes()? - before) / jobs as f64)
}
