//! BullMQ's Rust port. `worker`, or `produce JOBS MODE DELAY_MS`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atelier_load_peers::{Mode, Pace, Records, now, payload, production, setting};
use bullmq::{BulkJob, Job, JobOptions, Queue, QueueOptions, Worker, WorkerOptions};

fn options(delay: Duration) -> JobOptions {
    let mut options = JobOptions::default();
    options.remove_on_complete = Some(bullmq::types::RemoveOnFinish::Bool(true));
    if !delay.is_zero() {
        options.delay = Some(delay.as_millis() as u64);
    }
    options
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments[0] == "worker" {
        return work().await;
    }
    let production = production(&arguments);
    let mut queue_options = QueueOptions::default();
    queue_options.connection.url = setting("LOAD_REDIS");
    let queue = Arc::new(Queue::with_options("load", queue_options).await.expect("the queue opens"));
    let (jobs, delay) = (production.jobs, production.delay);
    let since = Instant::now();
    match production.mode {
        Mode::Single => {
            for _ in 0..jobs {
                queue.add("job", payload()).options(options(delay)).await.expect("it is added");
            }
        }
        Mode::Concurrent => {
            let mut senders = Vec::new();
            for number in 0..64 {
                let queue = queue.clone();
                senders.push(tokio::spawn(async move {
                    let body = payload();
                    for _ in 0..(jobs + 63 - number) / 64 {
                        queue.add("job", body.clone()).options(options(delay)).await.expect("it is added");
                    }
                }));
            }
            for sender in senders {
                sender.await.expect("the sender ends");
            }
        }
        Mode::Bulk => {
            let body = payload();
            let mut left = jobs;
            while left > 0 {
                let count = left.min(500);
                let batch = (0..count).map(|_| BulkJob::new("job", body.clone()).options(options(delay)));
                queue.add_bulk(batch.collect()).await.expect("they are added");
                left -= count;
            }
        }
        Mode::Paced(rate) => {
            let mut pace = Pace::new(rate);
            for _ in 0..jobs {
                pace.wait().await;
                let mut body = payload();
                body["due"] = (now() + delay.as_secs_f64()).into();
                queue.add("job", body).options(options(delay)).await.expect("it is added");
            }
        }
    }
    println!("{}", since.elapsed().as_secs_f64());
}

async fn work() {
    let mut options = WorkerOptions::default();
    options.connection.url = setting("LOAD_REDIS");
    options.concurrency = setting("LOAD_CONCURRENCY").parse().expect("a number of slots");
    options.remove_on_complete = Some(bullmq::types::RemoveOnFinish::Bool(true));
    let records = Arc::new(Records::open());
    let handler = move |job: Job, _: bullmq::worker::CancellationToken| {
        let records = records.clone();
        async move {
            records.write(job.data().get("due").and_then(serde_json::Value::as_f64).unwrap_or(0.0));
            Ok::<_, bullmq::Error>(serde_json::Value::Null)
        }
    };
    let _worker = Worker::with_options("load", handler, options).await.expect("the worker starts");
    std::future::pending::<()>().await;
}
