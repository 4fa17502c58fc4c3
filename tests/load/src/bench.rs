//! What the rows share: one drain, and the rivals by name.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::arguments::{Arguments, Durability};
use crate::process::{Production, Records, System, Worker, produce};
use crate::report::{Figure, Goal};
use crate::server::Server;

/// What one drain took.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// Starts a second.
    pub rate: f64,
    /// Microseconds of the server's processor a job, for working the backlog off.
    pub server_us: f64,
    /// Microseconds of the worker's processor a job.
    pub worker_us: f64,
    /// The same of the server for laying the backlog down.
    pub enqueue_us: f64,
    /// Jobs counted at the end.
    pub jobs: usize,
}

/// Lays a backlog down in bulk, then lets one worker process work it off.
pub fn drain(system: System, durability: Durability, jobs: usize, concurrency: usize) -> Result<Drain> {
    drain_as(system, durability, jobs, concurrency, &[], || ())
}

/// The same with further words for a worker of ours; `ended` runs before the worker is ended.
pub fn drain_as(
    system: System,
    durability: Durability,
    jobs: usize,
    concurrency: usize,
    more: &[&str],
    ended: impl FnOnce(),
) -> Result<Drain> {
    let mut server = Server::start(durability)?;
    let before = server.cpu_s()?;
    produce(system, &server.url(), jobs, "bulk", Duration::ZERO)?;
    let enqueue_s = server.cpu_s()? - before;
    let records = Records::create()?;
    let worker = Worker::start(system, &server.url(), &records, concurrency, more)?;
    records.wait_for(1)?;
    let (begun, worker_before, server_begun) = (records.count()?, worker.cpu_s()?, server.cpu_s()?);
    records.wait_for(jobs)?;
    let counted = (jobs - begun).max(1) as f64;
    let (worker_s, server_s) = (worker.cpu_s()? - worker_before, server.cpu_s()? - server_begun);
    let drain = Drain {
        rate: records.rate()?,
        server_us: server_s / counted * 1e6,
        worker_us: worker_s / counted * 1e6,
        enqueue_us: enqueue_s / jobs as f64 * 1e6,
        jobs: records.count()?,
    };
    ended();
    ensure!(drain.jobs == jobs, "{} handlers began for {jobs} jobs of {}", drain.jobs, system.name());
    eprintln!(
        "   {} {jobs} jobs: {:.0}/s, server {:.1} us, worker {:.1} us a job",
        system.name(),
        drain.rate,
        drain.server_us,
        drain.worker_us
    );
    Ok(drain)
}

/// The runs of several systems, taken in turns: what disturbs the machine disturbs all of them.
pub struct Runs<T>(Vec<(System, Vec<T>)>);

impl<T> Runs<T> {
    /// Measures each of `systems`, `arguments.runs` times; rivals only when they are wanted.
    pub fn take(
        arguments: &Arguments,
        systems: &[System],
        mut measure: impl FnMut(System) -> Result<T>,
    ) -> Result<Self> {
        let wanted = systems.iter().filter(|system| arguments.with_peers || system.is_ours());
        let mut all: Vec<(System, Vec<T>)> = wanted.map(|system| (*system, Vec::new())).collect();
        for _ in 0..arguments.runs {
            for (system, runs) in &mut all {
                runs.push(measure(*system)?);
            }
        }
        Ok(Self(all))
    }

    fn of(&self, system: System, value: fn(&T) -> f64) -> Option<Vec<f64>> {
        let (_, runs) = self.0.iter().find(|(other, _)| *other == system)?;
        Some(runs.iter().map(value).collect())
    }

    /// One figure of `ours`, beside the rival's where there is one.
    pub fn figure(&self, row: &str, jobs: usize, ours: System, column: &Column<T>) -> Figure {
        let runs = self.of(ours, column.value).unwrap_or_default();
        let figure = Figure::alone(row, column.measure, runs, column.goal, jobs);
        let rival = self.0.iter().map(|(system, _)| *system).find(|system| !system.is_ours());
        match rival.and_then(|rival| Some((rival, self.of(rival, column.value)?))) {
            Some((rival, runs)) => figure.beside(rival.name(), runs),
            None => figure,
        }
    }
}

/// One thing that a run measured.
pub struct Column<T> {
    /// What, with its unit.
    pub measure: &'static str,
    /// How to find it in a run.
    pub value: fn(&T) -> f64,
    /// What it must reach.
    pub goal: Option<Goal>,
}

/// What one enqueueing took.
pub struct Enqueue {
    /// Jobs a second.
    pub rate: f64,
    /// Microseconds of the client's processor a job.
    pub client_us: f64,
    /// Microseconds of the server's processor a job.
    pub server_us: f64,
}

/// Runs a producer on a server that knows the scripts already.
pub fn enqueue(system: System, durability: Durability, jobs: usize, mode: &str) -> Result<Enqueue> {
    let mut server = Server::start(durability)?;
    produce(system, &server.url(), 64, mode, Duration::ZERO)?;
    let before = server.cpu_s()?;
    let Production { seconds, cpu_s } = produce(system, &server.url(), jobs, mode, Duration::ZERO)?;
    let server_s = server.cpu_s()? - before;
    let (rate, each) = (jobs as f64 / seconds, 1e6 / jobs as f64);
    eprintln!("   {} {mode}: {rate:.0}/s", system.name());
    Ok(Enqueue { rate, client_us: cpu_s * each, server_us: server_s * each })
}
