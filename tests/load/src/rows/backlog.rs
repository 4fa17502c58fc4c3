//! Whether a long backlog makes each job dearer.

use std::time::Duration;

use anyhow::Result;

use super::drain::CONCURRENCY;
use crate::arguments::{Arguments, Durability};
use crate::bench::{Column, Runs};
use crate::process::{Records, System, Worker, produce};
use crate::report::{Figure, Goal};
use crate::server::Server;

/// Starts that are measured at either length: enough for a rate, and few beside a million.
const MEASURED: usize = 20_000;

struct Run {
    short: Span,
    long: Span,
}

struct Span {
    rate: f64,
    server_us: f64,
}

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(1_000_000);
    let measured = MEASURED.min(jobs / 2);
    let runs = Runs::take(arguments, &[System::Atelier], |system| {
        let short = span(system, durability, measured, measured)?;
        let long = span(system, durability, jobs, measured)?;
        eprintln!("   {:.0}/s at {measured}, {:.0}/s at {jobs}", short.rate, long.rate);
        Ok(Run { short, long })
    })?;
    let columns = [
        Column {
            measure: "rate at the long one / at the short one",
            value: |run: &Run| run.long.rate / run.short.rate,
            goal: Some(Goal::AtLeast(0.85)),
        },
        Column {
            measure: "Redis time a job, long / short",
            value: |run| run.long.server_us / run.short.server_us,
            goal: Some(Goal::AtMost(1.18)),
        },
        Column { measure: "jobs/s at the long one", value: |run| run.long.rate, goal: None },
    ];
    let row = format!("backlog {measured} and {jobs}");
    Ok(columns.iter().map(|column| runs.figure(&row, jobs, System::Atelier, column)).collect())
}

fn span(system: System, durability: Durability, backlog: usize, measured: usize) -> Result<Span> {
    let mut server = Server::start(durability)?;
    produce(system, &server.url(), backlog, "bulk", Duration::ZERO)?;
    let records = Records::create()?;
    let _worker = Worker::start(system, &server.url(), &records, CONCURRENCY, &[])?;
    records.wait_for(1)?;
    let (begun, before) = (records.count()?, server.cpu_s()?);
    records.wait_for(measured)?;
    let (ended, server_s) = (records.count()?, server.cpu_s()? - before);
    Ok(Span { rate: records.rate()?, server_us: server_s / (ended - begun).max(1) as f64 * 1e6 })
}
