//! Commands that a worker sends: for each job of a backlog, and each second without work.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::drain::CONCURRENCY;
use crate::arguments::{Arguments, Durability};
use crate::bench::{Column, Runs};
use crate::process::{Records, System, Worker, produce};
use crate::report::{Figure, Goal};
use crate::server::{Monitor, Server};

/// Long enough for a few rounds of every periodic command.
const IDLE: Duration = Duration::from_secs(20);

struct Run {
    sent: f64,
    in_scripts: f64,
    idle: f64,
}

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(4_096);
    let idle = if arguments.jobs.is_some() { Duration::from_secs(1) } else { IDLE };
    let systems = [System::Atelier, System::AtelierLedger, System::BullMq];
    let runs = Runs::take(arguments, &systems, |system| count(system, durability, jobs, idle))?;
    let sent = |goal| Column { measure: "commands sent/job", value: |run: &Run| run.sent, goal };
    let scripted =
        Column { measure: "commands in scripts/job", value: |run: &Run| run.in_scripts, goal: None };
    let idle =
        Column { measure: "idle commands/s", value: |run: &Run| run.idle, goal: Some(Goal::AtMost(0.5)) };
    let plain = |column| runs.figure("backlog", jobs, System::Atelier, column);
    Ok(vec![
        plain(&sent(Some(Goal::AtMost(0.15)))),
        plain(&scripted),
        runs.figure("backlog, intent first", jobs, System::AtelierLedger, &sent(None)),
        runs.figure("idle worker", jobs, System::Atelier, &idle),
    ])
}

fn count(system: System, durability: Durability, jobs: usize, idle: Duration) -> Result<Run> {
    let server = Server::start(durability)?;
    produce(system, &server.url(), jobs, "bulk", Duration::ZERO)?;
    let records = Records::create()?;
    let monitor = Monitor::start(&server.url())?;
    let _worker = Worker::start(system, &server.url(), &records, CONCURRENCY, &[])?;
    records.wait_for(jobs)?;
    let busy = monitor.stop()?;
    // The last verdicts, and whatever a worker does when it first finds nothing.
    std::thread::sleep(Duration::from_secs(1));
    let monitor = Monitor::start(&server.url())?;
    let since = Instant::now();
    std::thread::sleep(idle);
    let seconds = since.elapsed().as_secs_f64();
    let quiet = monitor.stop()?;
    Ok(Run {
        sent: busy.sent as f64 / jobs as f64,
        in_scripts: busy.in_scripts as f64 / jobs as f64,
        idle: quiet.sent as f64 / seconds,
    })
}
