//! apalis-redis with its own `RedisStorage`. `worker`, or `produce JOBS MODE DELAY_MS`; only whole seconds of delay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use atelier_load_peers::{Mode, Pace, Records, now, payload, production, setting};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Work {
    due: f64,
    body: serde_json::Value,
}

fn task(due: f64, delay: Duration) -> Task<Work> {
    let id = TaskId::from_string(&format!("{:032x}", rand::random::<u128>()));
    let task = TaskBuilder::new(Work { due, body: payload() }).task_id(id);
    if delay.is_zero() { task.build() } else { task.run_after(delay).build() }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let connection = apalis_redis::connect(setting("LOAD_REDIS")).await.expect("redis answers");
    let config = Config::default().queue("load").batch_size(100);
    let mut storage: RedisStorage<Work> = RedisStorage::new(connection).with_config(config);
    if arguments[0] == "worker" {
        let concurrency = setting("LOAD_CONCURRENCY").parse().expect("a number of slots");
        let records = Arc::new(Records::open());
        let worker = WorkerBuilder::new(format!("w{}", std::process::id()))
            .backend(storage)
            .concurrency(concurrency)
            .parallelize(tokio::spawn)
            .build(move |work: Work| {
                let records = records.clone();
                async move {
                    records.write(work.due);
                    Ok::<(), BoxDynError>(())
                }
            });
        worker.run().await.expect("the worker runs");
        return;
    }
    let production = production(&arguments);
    let (jobs, delay) = (production.jobs, production.delay);
    let since = Instant::now();
    match production.mode {
        Mode::Single => {
            for _ in 0..jobs {
                storage.push_task(task(0.0, delay)).await.expect("it is pushed");
            }
        }
        Mode::Concurrent => {
            let mut senders = Vec::new();
            for number in 0..64 {
                let mut storage = storage.clone();
                senders.push(tokio::spawn(async move {
                    for _ in 0..(jobs + 63 - number) / 64 {
                        storage.push_task(task(0.0, delay)).await.expect("it is pushed");
                    }
                }));
            }
            for sender in senders {
                sender.await.expect("the sender ends");
            }
        }
        Mode::Bulk => {
            let mut left = jobs;
            while left > 0 {
                let count = left.min(500);
                let batch: Vec<_> = (0..count).map(|_| task(0.0, delay)).collect();
                storage.push_all(futures::stream::iter(batch)).await.expect("they are pushed");
                left -= count;
            }
        }
        Mode::Paced(rate) => {
            let mut pace = Pace::new(rate);
            for _ in 0..jobs {
                pace.wait().await;
                storage.push_task(task(now() + delay.as_secs_f64(), delay)).await.expect("it is pushed");
            }
        }
    }
    println!("{}", since.elapsed().as_secs_f64());
}
