//! Keeps the leases of running steps alive.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use atelier_domain::ids::JobId;
use atelier_domain::job::Epoch;
use rand::Rng;
use redis::RedisResult;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::connect::Shard;
use crate::keys::GROUP;
use crate::script;
use crate::settle::Source;

/// Leases renewed in one script.
const BATCH: usize = 100;

/// The running claims of one queue.
#[derive(Clone, Default)]
pub(crate) struct Leases {
    running: Arc<Mutex<HashMap<(JobId, Epoch), Lease>>>,
}

#[derive(Clone)]
struct Lease {
    source: Source,
    since: Instant,
}

impl Leases {
    pub(crate) fn add(&self, job: &JobId, epoch: Epoch, source: &Source) {
        let lease = Lease { source: source.clone(), since: Instant::now() };
        self.lock().insert((job.clone(), epoch), lease);
    }

    pub(crate) fn remove(&self, job: &JobId, epoch: Epoch) {
        self.lock().remove(&(job.clone(), epoch));
    }

    /// Renews until `stop`. Young claims are left alone: most steps end long before a third of the lease.
    pub(crate) async fn renew(self, shard: Shard, consumer: String, stop: CancellationToken) {
        let third = shard.settings.lease() / 3;
        loop {
            let pause = third.mul_f64(rand::rng().random_range(0.9..1.1));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            while let Err(error) = self.renew_once(&shard, &consumer, third).await {
                warn!(error = %error, "leases wait for redis");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep((third / 10).max(Duration::from_millis(20))) => {}
                }
            }
        }
    }

    async fn renew_once(&self, shard: &Shard, consumer: &str, older_than: Duration) -> RedisResult<()> {
        let mut old: BTreeMap<String, Vec<(JobId, Epoch, String)>> = BTreeMap::new();
        for ((job, epoch), lease) in
            self.lock().iter().filter(|(_, lease)| lease.since.elapsed() >= older_than / 2)
        {
            let (source, entry) = lease.source.in_plan();
            old.entry(source).or_default().push((job.clone(), *epoch, entry));
        }
        for (source, old) in &old {
            for batch in old.chunks(BATCH) {
                let mut call = script::RENEW.prepare_invoke();
                call.key(shard.keys.checks())
                    .arg(shard.keys.prefix())
                    .arg(source)
                    .arg(GROUP)
                    .arg(consumer)
                    .arg(u64::try_from(shard.settings.lease().as_micros()).unwrap_or(u64::MAX));
                for (job, epoch, entry) in batch {
                    call.arg(job.as_str()).arg(format!("{:08x}", epoch.0)).arg(entry);
                }
                let lost: Vec<String> = call.invoke_async(&mut shard.commands()).await?;
                for job in lost {
                    warn!(job.id = job, "a running step lost its claim");
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(JobId, Epoch), Lease>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
