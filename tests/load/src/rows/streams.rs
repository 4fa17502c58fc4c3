//! Open streams of events: what the api holds for them, and how soon all of them hear.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::arguments::{Arguments, Durability};
use crate::http;
use crate::programs::Program;
use crate::report::{Figure, Goal};
use crate::server::Server;

const MIB: f64 = 1024.0 * 1024.0;
/// One of so many streams listens to the workspace, each of the others to a job of its own.
const OF_WORKSPACE: usize = 10;
/// Jobs that end at once.
const ENDING: usize = 50;
/// Longest wait for something to be heard.
const LIMIT: Duration = Duration::from_secs(60);
const KEY: &str = "x-api-key: load-key-of-some-length\r\n";
const EVENT: &[u8] = b"event: job";

struct Run {
    open_mib: f64,
    most_mib: f64,
    told_ms: f64,
}

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let streams = arguments.jobs_or(2_000);
    let runs = (0..arguments.runs).map(|_| run(streams, durability)).collect::<Result<Vec<_>>>()?;
    let row = format!("{streams} streams of events");
    let figure = |measure: &str, value: fn(&Run) -> f64, goal| {
        Figure::alone(&row, measure, runs.iter().map(value).collect(), goal, streams)
    };
    let ends = format!("ms until {ENDING} ends are told to all");
    Ok(vec![
        figure("api, MiB resident", |run| run.open_mib, Some(Goal::AtMost(100.0))),
        figure("api, MiB at most while the jobs end", |run| run.most_mib, Some(Goal::AtMost(100.0))),
        figure(&ends, |run| run.told_ms, None),
    ])
}

fn run(streams: usize, durability: Durability) -> Result<Run> {
    let server = Server::start(durability)?;
    let api = Program::start("api", &settings(&server.url()))?;
    let of_all = streams.div_ceil(OF_WORKSPACE);
    let ids = admit(api.address, streams - of_all)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let heard = Arc::new(AtomicUsize::new(0));
        let paths = ids.iter().map(|id| format!("/api/v1/media/jobs/{id}/events"));
        let all = std::iter::repeat_n("/api/v1/media/events".to_owned(), of_all);
        for path in all.chain(paths) {
            listen(api.address, &path, heard.clone()).await.with_context(|| path.clone())?;
        }
        // Each of those who listen to a job hears at once that it is queued.
        let mut wanted = ids.len();
        until(&heard, wanted).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let open_mib = api.memory("VmRSS")? / MIB;
        api.forget_peak()?;
        let mut slowest = 0.0f64;
        for ending in ids.chunks(ENDING) {
            let begun = Instant::now();
            cancel(api.address, ending).await?;
            wanted += ending.len() * (1 + of_all);
            until(&heard, wanted).await?;
            slowest = slowest.max(begun.elapsed().as_secs_f64() * 1000.0);
        }
        let most_mib = api.memory("VmHWM")? / MIB;
        eprintln!("   {open_mib:.1} MiB, at most {most_mib:.1}; the slowest end took {slowest:.0} ms");
        Ok(Run { open_mib, most_mib, told_ms: slowest })
    })
}

/// Jobs that wait for a worker that does not run.
fn admit(address: SocketAddr, count: usize) -> Result<Vec<String>> {
    let job = r#"{"operation": "image_gen", "provider": "fal", "prompt": "a fox"}"#;
    let mut ids = Vec::new();
    while ids.len() < count {
        let jobs = vec![job; (count - ids.len()).min(500)].join(",");
        let headers = format!("{KEY}connection: close\r\n");
        let body = format!("{{\"jobs\": [{jobs}]}}");
        let (status, answer) = http::ask(address, &http::post("/api/v1/media/jobs/batch", &headers, &body))?;
        ensure!(status == 200, "{status}: {answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        for result in answer["data"]["results"].as_array().context("results")? {
            ids.push(result["job"]["id"].as_str().context("an id")?.to_owned());
        }
    }
    Ok(ids)
}

/// Opens a stream and counts what it brings until it ends.
async fn listen(address: SocketAddr, path: &str, heard: Arc<AtomicUsize>) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: load\r\n{KEY}\r\n").as_bytes()).await?;
    let mut bytes = Vec::with_capacity(1024);
    while !bytes.windows(4).any(|part| part == b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "the connection was closed");
    }
    ensure!(bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes));
    tokio::spawn(async move {
        loop {
            let events = bytes.windows(EVENT.len()).filter(|part| *part == EVENT).count();
            heard.fetch_add(events, Ordering::Relaxed);
            // An event may be cut in two by the reading.
            bytes.drain(..bytes.len().saturating_sub(EVENT.len() - 1));
            if !stream.read_buf(&mut bytes).await.is_ok_and(|length| length > 0) {
                return;
            }
        }
    });
    Ok(())
}

async fn cancel(address: SocketAddr, ids: &[String]) -> Result<()> {
    let body = serde_json::json!({"job_ids": ids}).to_string();
    let headers = format!("{KEY}connection: close\r\n");
    let request = http::post("/api/v1/media/jobs/cancel", &headers, &body);
    let (status, answer) = tokio::task::spawn_blocking(move || http::ask(address, &request)).await??;
    ensure!(status == 200, "{status}: {answer}");
    Ok(())
}

async fn until(heard: &AtomicUsize, count: usize) -> Result<()> {
    let since = Instant::now();
    loop {
        let now = heard.load(Ordering::Relaxed);
        ensure!(now <= count, "{now} events were heard of {count}");
        if now == count {
            return Ok(());
        }
        ensure!(since.elapsed() < LIMIT, "{now} events were heard of {count}, and no more");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The store of assets is not asked in this row.
fn settings(redis: &str) -> String {
    format!(
        "[redis]\nurl = \"{redis}\"\n[s3]\nendpoint = \"http://127.0.0.1:9\"\nbucket = \"load\"\n\
         access_key = \"load\"\nsecret_key = \"load\"\n\
         [api]\n[api.api_keys]\nload-key-of-some-length = \"load\"\n"
    )
}
