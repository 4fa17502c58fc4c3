//! Atelier's measured producer: `produce JOBS MODE DELAY_MS`, or `@UNIX_MS` for one due time of all. Prints the seconds from the first call to the last answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use atelier_domain::Timestamp;
use atelier_domain::ports::{Admission, JobStore};
use atelier_redis_store::RedisJobStore;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::job::{Due, Kind, Template};
use crate::worker::redis;

/// Sends and ends.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn run(words: &[String]) -> Result<()> {
    let [jobs, mode, delay_ms] = words else { bail!("produce JOBS MODE DELAY_MS, not {words:?}") };
    let jobs: usize = jobs.parse()?;
    let due = match delay_ms.strip_prefix('@') {
        Some(at_ms) => Due::At(Timestamp::from_millisecond(at_ms.parse()?)?),
        None => Due::After(Duration::from_millis(delay_ms.parse()?)),
    };
    // With `keys`, each job has an idempotency key of its own; with `runway`, it is a video.
    let mut words = mode.split('+');
    let mode = words.next().unwrap_or_default();
    let more: Vec<&str> = words.collect();
    let has_key = more.contains(&"keys");
    let stop = CancellationToken::new();
    let (store, _) = RedisJobStore::start(redis()?, stop.clone());
    store.ready().await?;
    let template = Template::new(if more.contains(&"runway") { Kind::Video } else { Kind::Image })?;
    let since = Instant::now();
    let admit = || async {
        let admitted = store.admit(template.admission(due, has_key)?).await?;
        ensure!(admitted == Admission::Created, "a job was not created: {admitted:?}");
        Ok(())
    };
    match mode {
        "single" => {
            for _ in 0..jobs {
                admit().await?;
            }
        }
        "concurrent" => {
            let outcomes: Vec<Result<()>> =
                futures::stream::iter(0..jobs).map(|_| admit()).buffer_unordered(64).collect().await;
            outcomes.into_iter().collect::<Result<()>>()?;
        }
        "bulk" => {
            let mut left = jobs;
            while left > 0 {
                let count = left.min(500);
                let new = (0..count).map(|_| template.admission(due, has_key)).collect::<Result<Vec<_>>>()?;
                for outcome in store.admit_many(&new).await {
                    let admitted = outcome?;
                    ensure!(admitted == Admission::Created, "a job was not created: {admitted:?}");
                }
                left -= count;
            }
        }
        paced => {
            let rate: f64 =
                paced.strip_prefix("paced:").with_context(|| format!("{paced} is no mode"))?.parse()?;
            let mut next = tokio::time::Instant::now();
            for _ in 0..jobs {
                // Uneven, so that no beat with timers arises.
                next += Duration::from_secs_f64((0.5 + rand::random::<f64>()) / rate);
                tokio::time::sleep_until(next).await;
                admit().await?;
            }
        }
    }
    println!("{}", since.elapsed().as_secs_f64());
    stop.cancel();
    Ok(())
}
