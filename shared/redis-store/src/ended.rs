//! Tells waiting callers that a job has ended, by one subscription a process and server.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::future::join_all;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::connect::{Backoff, Group, Redis};

/// How many callers wait for a job, and what rings for them.
type Bell = (usize, Arc<Notify>);

/// Callers by the job they wait for. A message can be lost, so callers look for themselves from time to time.
#[derive(Clone, Default)]
pub(crate) struct Waiters {
    by_job: Arc<Mutex<HashMap<String, Bell>>>,
}

/// Keeps a caller registered while it lives.
pub(crate) struct Registration {
    waiters: Waiters,
    job: String,
    bell: Arc<Notify>,
}

impl Waiters {
    /// Registers a caller.
    pub(crate) fn register(&self, job: &str) -> Registration {
        let mut by_job = self.by_job.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, bell) = by_job.entry(job.to_owned()).or_default();
        *count += 1;
        Registration { waiters: self.clone(), job: job.to_owned(), bell: bell.clone() }
    }

    fn ring(&self, job: &str) {
        let by_job = self.by_job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bell)) = by_job.get(job) {
            bell.notify_waiters();
        }
    }
}

impl Registration {
    /// The bell. Make it before looking at the job: what rings in between is heard then.
    pub(crate) fn bell(&self) -> Pin<Box<Notified<'_>>> {
        let mut bell = Box::pin(self.bell.notified());
        bell.as_mut().enable();
        bell
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut by_job = self.waiters.by_job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = by_job.get_mut(&self.job) {
            *count -= 1;
            if *count == 0 {
                by_job.remove(&self.job);
            }
        }
    }
}

/// Listens to all servers until `stop`; comes back by itself after every break.
pub(crate) async fn listen(redis: Redis, waiters: Waiters, stop: CancellationToken) {
    join_all(redis.groups().iter().map(|group| listen_to(group, &waiters, &stop))).await;
}

async fn listen_to(group: &Group, waiters: &Waiters, stop: &CancellationToken) {
    let channels: Vec<String> = group.shards.iter().map(|shard| shard.keys.ended()).collect();
    let mut backoff = Backoff::default();
    loop {
        let listening = async {
            let mut subscription = group.link.pubsub().await?;
            subscription.subscribe(&channels).await?;
            let mut messages = subscription.on_message();
            while let Some(message) = messages.next().await {
                // One message a script: the ids of all jobs that it ended.
                if let Ok(jobs) = message.get_payload::<String>() {
                    jobs.split(' ').for_each(|job| waiters.ring(job));
                }
            }
            redis::RedisResult::Ok(())
        };
        tokio::select! {
            () = stop.cancelled() => return,
            ended = listening => match ended {
                Ok(()) => backoff.reset(),
                Err(error) => warn!(error = %error, "subscription to ended jobs broke"),
            }
        }
        if !backoff.wait(stop).await {
            return;
        }
    }
}
