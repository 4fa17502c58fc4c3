//! Runs one queue in this process: an apalis worker over our backend.

use std::sync::Arc;
use std::time::Duration;

use apalis::layers::catch_panic::CatchPanicLayer;
use apalis_core::error::WorkerError;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::ext::parallelize::ParallelizeExt;
use atelier_domain::operation::Step;
use atelier_domain::policy::Policy;
use atelier_domain::ports::{Claim, StepHandler, Telemetry};
use futures::future::{BoxFuture, join_all};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, warn};

use super::backend::{Delivery, StepBackend};
use super::claim::Engine;
use super::drain::Running;
use super::leases::Leases;
use crate::connect::{Backoff, Redis};
use crate::settle::Settler;

/// From the stop until running steps are given back, unless they make a paid call: they may be done again, and a process
/// that is to end should not hold up whoever waits for that.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(3);
/// What the last words of a process to Redis may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What one queue needs.
#[derive(Clone)]
pub struct RunnerOptions {
    /// Which step.
    pub step: Step,
    /// Steps that run at once in this process.
    pub concurrency: usize,
    /// How long paid calls under way may take to end after the stop. Those that take longer become uncertain. Other
    /// steps get 3 seconds of it; what runs longer is given back.
    pub grace: Duration,
}

/// Runs a queue, all shards of it, until `stop`, then drains it: no new steps, buffered ones are given back, running ones
/// end within the grace or are given back or over. Errors of Redis back off inside; nothing else ends it.
pub async fn run_queue(
    redis: Redis,
    policy: Arc<Policy>,
    telemetry: Arc<dyn Telemetry>,
    handler: Arc<dyn StepHandler>,
    options: RunnerOptions,
    stop: CancellationToken,
) {
    let give_up = CancellationToken::new();
    let (settlers, settling): (Vec<_>, Vec<_>) =
        redis.shards().iter().map(|shard| Settler::start(shard.clone(), give_up.clone())).unzip();
    let mut backoff = Backoff::default();
    let mut draining = None;
    let steps = Arc::new(Running::default());
    while !stop.is_cancelled() {
        let consumer = format!("{}-{:016x}", options.step, rand::random::<u64>());
        let engines = redis.shards().iter().zip(&settlers).map(|(shard, settler)| {
            Arc::new(Engine {
                shard: shard.clone(),
                policy: policy.clone(),
                telemetry: telemetry.clone(),
                settler: settler.clone(),
                leases: Leases::default(),
                step: options.step,
                consumer: consumer.clone(),
            })
        });
        let work = run_worker(
            engines.collect(),
            &consumer,
            telemetry.clone(),
            handler.clone(),
            steps.clone(),
            &options,
            stop.child_token(),
        );
        // Its own task: all workers of a process in one would take turns.
        let mut running = tokio::spawn(work);
        tokio::select! {
            ended = &mut running => match ended {
                Ok(Ok(())) if stop.is_cancelled() => break,
                Ok(Ok(())) => warn!(step = %options.step, "worker ended without being asked; starting it again"),
                Ok(Err(reason)) => error!(step = %options.step, error = %reason, "worker failed; starting it again"),
                Err(reason) => error!(step = %options.step, error = %reason, "worker panicked; starting it again"),
            },
            () = stop.cancelled() => {
                draining = Some(running);
                break;
            }
        }
        if !backoff.wait(&stop).await {
            break;
        }
    }
    if let Some(running) = draining {
        drain(running, &steps, &options).await;
    }
    give_up.cancel();
    drop(settlers);
    // Handlers that outlived the grace time hold settlers of their own; they are not waited for.
    let _ = tokio::time::timeout(LAST_WORDS, join_all(settling)).await;
}

/// Waits for the steps that run. At the end of its time everything is given back or over, but for what Redis does not
/// hear of: that is left to its lease.
async fn drain(mut running: JoinHandle<Result<(), WorkerError>>, steps: &Running, options: &RunnerOptions) {
    info!(step = %options.step, steps = steps.count(), "draining");
    let until = Instant::now() + options.grace;
    if tokio::time::timeout(GIVE_BACK_AFTER.min(options.grace), &mut running).await.is_ok() {
        return;
    }
    let given_back = tokio::time::timeout(LAST_WORDS, steps.give_back()).await.unwrap_or(0);
    let left = steps.count();
    info!(step = %options.step, given_back, left, "steps that made no paid call were given back");
    if tokio::time::timeout_at(until, &mut running).await.is_ok() {
        return;
    }
    warn!(step = %options.step, steps = steps.count(), "steps still run after the grace time");
    if tokio::time::timeout(LAST_WORDS, steps.hand_over()).await.is_err() {
        warn!(step = %options.step, "redis does not answer; steps are left to their leases");
    }
    running.abort();
}

/// Not an `async fn`: the compiler proves the worker's future `Send` only outside of another future.
fn run_worker(
    engines: Vec<Arc<Engine>>,
    name: &str,
    telemetry: Arc<dyn Telemetry>,
    handler: Arc<dyn StepHandler>,
    steps: Arc<Running>,
    options: &RunnerOptions,
    stop: CancellationToken,
) -> BoxFuture<'static, Result<(), WorkerError>> {
    let step = options.step;
    let backend = StepBackend::new(engines, options.concurrency, stop.clone());
    let work = move |delivery: Delivery| {
        let (handler, telemetry, steps) = (handler.clone(), telemetry.clone(), steps.clone());
        async move {
            let claim = delivery.0;
            let span = telemetry.step(claim.job(), step);
            let begun = steps.begin(claim.clone());
            tokio::select! {
                // First: what has been written meanwhile is to be told.
                biased;
                () = handler.handle(claim).instrument(span) => {}
                () = begun.left() => {}
            }
        }
    };
    let worker = WorkerBuilder::new(name)
        .backend(backend)
        .parallelize(tokio::spawn)
        .layer(CatchPanicLayer::new())
        .build(work);
    let stopped = async move {
        stop.cancelled().await;
        Ok::<(), WorkerError>(())
    };
    Box::pin(worker.run_until(stopped))
}
