//! A drain whose every span goes to a real OTLP receiver.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mock_collector::{MockServerBuilder, Protocol};

use super::drain::CONCURRENCY;
use crate::arguments::{Arguments, Durability};
use crate::bench::{Drain, drain, drain_as};
use crate::process::System;
use crate::report::{Figure, Goal};

/// Spans of a job that is ended by its first step: that step, and the media span.
const SPANS: usize = 2;
/// Until the last spans have left: they are sent in batches every few seconds.
const FLUSH: Duration = Duration::from_secs(20);

struct Run {
    drain: Drain,
    arrived: f64,
}

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(20_000);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        ours.push(run(durability, jobs)?);
        if arguments.with_peers {
            theirs.push(drain(System::BullMq, durability, jobs, CONCURRENCY)?);
        }
    }
    let row = "drain 20k, traces at 100 %";
    let beside = |measure, value: fn(&Drain) -> f64, goal| {
        let figure =
            Figure::alone(row, measure, ours.iter().map(|run| value(&run.drain)).collect(), goal, jobs);
        if theirs.is_empty() {
            figure
        } else {
            figure.beside(System::BullMq.name(), theirs.iter().map(value).collect())
        }
    };
    let arrived = ours.iter().map(|run| run.arrived).collect();
    Ok(vec![
        beside("jobs/s", |run| run.rate, Some(Goal::RatioAtLeast(1.0))),
        beside("worker us/job", |run| run.worker_us, None),
        Figure::alone(row, "spans that arrived, of those made", arrived, None, jobs),
    ])
}

fn run(durability: Durability, jobs: usize) -> Result<Run> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let receiver = runtime
        .block_on(MockServerBuilder::new().protocol(Protocol::Grpc).port(0).start())
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let url = format!("http://{}", receiver.addr());
    let count = || runtime.block_on(receiver.with_collector(|collector| collector.span_count()));
    let mut arrived = 0;
    let drain = drain_as(System::Atelier, durability, jobs, CONCURRENCY, &["traced", &url], || {
        // The worker is alive until here: dropping it kills it, and what it holds.
        let since = Instant::now();
        while count() < SPANS * jobs && since.elapsed() < FLUSH {
            std::thread::sleep(Duration::from_millis(50));
        }
        arrived = count();
    })?;
    ensure!(arrived > 0, "no span has arrived");
    eprintln!("   {arrived} spans have arrived");
    Ok(Run { drain, arrived: arrived as f64 / (SPANS * jobs) as f64 })
}
