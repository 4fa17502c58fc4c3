//! Doing tasks: an apalis worker over `RedisStorage`, started again whenever it ends.

use std::sync::Arc;
use std::time::Duration;

use apalis::layers::WorkerBuilderExt;
use apalis::layers::catch_panic::CatchPanicLayer;
use apalis_core::backend::ext::BackendExt;
use apalis_core::error::{BoxDynError, WorkerError};
use apalis_core::worker::builder::WorkerBuilder;
use apalis_redis::RedisStorage;
use atelier_domain::ports::{AssetUpkeep, TimeSource as _};
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::finished::Finished;
use super::poll::{Interval, Parcel, ParcelCodec};
use super::queue::retry_pause;
use super::repair::{Repaired, repair_indexes};
use super::roll_up::{RolledUp, roll_up};
use super::upkeep::{Tidied, abort_uploads, remove_expired};
use super::{ControlTask, Message, config};
use crate::connect::Redis;
use crate::link::Link;

/// A worker that lived that long did not fail at its start.
const GOOD_LIFE: Duration = Duration::from_secs(60);
/// What the farewell of an ended worker may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What one control worker needs.
#[derive(Debug, Clone)]
pub struct ControlOptions {
    /// How long a running task may take to end after the stop. What runs longer is done again by another worker.
    pub grace: Duration,
    /// How often the queue is asked for tasks. Each question is one script call, from every process and for ever;
    /// nothing here is urgent.
    pub poll_every: Duration,
    /// How often the worker says that it lives, in whole seconds. When it has not for four times as long, another
    /// one does its task again.
    pub heartbeat: Duration,
    /// How long finished tasks can be looked at.
    pub keep_finished: Duration,
}

impl Default for ControlOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            poll_every: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            keep_finished: Duration::from_secs(24 * 3600),
        }
    }
}

/// What the tasks share.
struct Workshop {
    redis: Redis,
    store: Arc<dyn AssetUpkeep>,
    finished: Mutex<Finished>,
    stop: CancellationToken,
}

/// Does control tasks, one at a time, until `stop`; then the running one gets `grace`. Nothing else ends it.
pub async fn run_control(
    redis: Redis,
    store: Arc<dyn AssetUpkeep>,
    options: ControlOptions,
    stop: CancellationToken,
) {
    let config = config(Duration::from_secs(1), options.heartbeat);
    let finished = Mutex::new(Finished::new(config, options.keep_finished));
    let workshop = Arc::new(Workshop { redis, store, finished, stop: stop.clone() });
    let mut failures = 0;
    while !stop.is_cancelled() {
        let since = Instant::now();
        // A name that is in use, or was, is refused.
        let name = format!("control-{:016x}", rand::random::<u64>());
        let reason = run_one(&workshop, &name, &options, &stop).await;
        workshop.bury(&name).await;
        if stop.is_cancelled() {
            return;
        }
        failures = if since.elapsed() > GOOD_LIFE { 1 } else { failures + 1 };
        warn!(error = reason, "control worker ended; starting it again");
        tokio::select! {
            () = tokio::time::sleep(retry_pause(failures)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Runs one worker to its end, or to the end of the grace time; gives the reason.
async fn run_one(
    workshop: &Arc<Workshop>,
    name: &str,
    options: &ControlOptions,
    stop: &CancellationToken,
) -> Option<String> {
    let prepared = async { workshop.finished.lock().await.let_name_expire(&workshop.redis, name).await };
    tokio::select! {
        () = stop.cancelled() => return None,
        prepared = prepared => if let Err(error) = prepared {
            return Some(error.to_string());
        }
    }
    let connection = workshop.redis.control();
    // Its own task: a panic inside of apalis ends only this worker.
    let mut running = tokio::spawn(worker(workshop.clone(), connection, name, options));
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = stop.cancelled() => match tokio::time::timeout(options.grace, &mut running).await {
            Ok(ended) => ended,
            Err(_) => {
                warn!("a control task still runs after the grace time; it will be done again");
                running.abort();
                return None;
            }
        },
    };
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// Not an `async fn`: the compiler proves the worker's future `Send` only outside of another future.
fn worker(
    workshop: Arc<Workshop>,
    connection: Link,
    name: &str,
    options: &ControlOptions,
) -> BoxFuture<'static, Result<(), WorkerError>> {
    let storage = RedisStorage::<Parcel, Link>::new(connection)
        .with_config(config(Duration::from_secs(1), options.heartbeat))
        .with_codec(ParcelCodec)
        .poll_with_strategy(Interval::new(options.poll_every));
    let stop = workshop.stop.clone();
    let work = move |parcel: Parcel| {
        let workshop = workshop.clone();
        async move { workshop.work(&parcel.0).await }
    };
    let worker =
        WorkerBuilder::new(name).backend(storage).concurrency(1).layer(CatchPanicLayer::new()).build(work);
    let stopped = async move {
        stop.cancelled().await;
        Ok::<(), WorkerError>(())
    };
    Box::pin(worker.run_until(stopped))
}

impl Workshop {
    /// An error puts the task back into the queue, for up to 25 tries in all.
    async fn work(&self, bytes: &[u8]) -> Result<(), BoxDynError> {
        let done = match Message::decode(bytes) {
            Ok(task) => self.run(task).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &done {
            warn!(error = %error, "control task failed");
        }
        // Here, as finished tasks pile up only where tasks finish.
        match self.finished.lock().await.remove_old(&self.redis, self.redis.time.now()).await {
            Ok(removed) => debug!(removed, "finished control tasks removed"),
            Err(error) => warn!(error = %error, "finished control tasks stay"),
        }
        done
    }

    async fn run(&self, task: ControlTask) -> Result<(), BoxDynError> {
        let (redis, store, stop) = (&self.redis, self.store.as_ref(), &self.stop);
        let is_cut_short = match task {
            ControlTask::RepairIndexes => {
                let Repaired { indexes, ids, removed, is_cut_short } = repair_indexes(redis, stop).await?;
                if removed > 0 {
                    info!(indexes, ids, removed, "indexes repaired");
                } else {
                    debug!(indexes, ids, "indexes need no repair");
                }
                is_cut_short
            }
            ControlTask::RollUpCosts => {
                let RolledUp { days, is_cut_short } = roll_up(redis, stop).await?;
                debug!(days, "costs rolled up");
                is_cut_short
            }
            ControlTask::RemoveExpired => {
                let Tidied { count, is_cut_short } = remove_expired(redis, store, stop).await?;
                if count > 0 {
                    info!(objects = count, "old objects removed");
                }
                is_cut_short
            }
            ControlTask::AbortUploads => {
                let Tidied { count, is_cut_short } = abort_uploads(redis, store, stop).await?;
                if count > 0 {
                    info!(uploads = count, "open uploads aborted");
                }
                is_cut_short
            }
        };
        // What is cut short is done again by another worker.
        if is_cut_short { Err("the worker stops".into()) } else { Ok(()) }
    }

    /// Without it the ended worker's task comes back later, after four heartbeats.
    async fn bury(&self, name: &str) {
        let farewell = async { self.finished.lock().await.bury(&self.redis, name).await };
        match tokio::time::timeout(FAREWELL, farewell).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(error = %error, "ended control worker stays registered"),
            Err(_) => debug!("ended control worker stays registered"),
        }
    }
}
