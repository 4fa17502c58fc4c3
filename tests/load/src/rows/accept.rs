//! Acceptance over HTTP: real jobs at the real api, beside a bare server that does one script a request.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::arguments::{Arguments, Durability};
use crate::http::{self, Exchanges};
use crate::programs::Program;
use crate::report::{Figure, Goal, median};
use crate::server::Server;

const CONNECTIONS: usize = 64;
/// Jobs in one request of the batch route.
const BATCH: usize = 100;
/// Requests that only warm a server up.
const WARM: usize = 200;
const HEADERS: &str = "x-api-key: load-key-of-some-length\r\n";

#[derive(Default)]
struct Runs {
    rate: Vec<f64>,
    p99_ms: Vec<f64>,
    program_us: Vec<f64>,
    server_us: Vec<f64>,
}

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(40_000);
    let batched = arguments.jobs_or(100_000).next_multiple_of(BATCH);
    let (mut single, mut bare, mut batch) = (Runs::default(), Runs::default(), Runs::default());
    for _ in 0..arguments.runs {
        bare.take("bare axum", durability, jobs, 1)?;
        single.take("api", durability, jobs, 1)?;
        batch.take("api", durability, batched, BATCH)?;
    }
    let row = "accept over HTTP";
    let beside = |measure, ours: &[f64], theirs: &[f64], goal| {
        Figure::alone(row, measure, ours.to_vec(), goal, jobs).beside("bare axum", theirs.to_vec())
    };
    let in_batches = format!("accept in batches of {BATCH}");
    let of_batches =
        |measure, runs: &[f64], goal| Figure::alone(&in_batches, measure, runs.to_vec(), goal, batched);
    let one_by_one = median(&single.rate).max(1e-9);
    let times: Vec<f64> = batch.rate.iter().map(|rate| rate / one_by_one).collect();
    Ok(vec![
        beside("jobs/s", &single.rate, &bare.rate, Some(Goal::RatioAtLeast(0.35))),
        beside("p99 ms", &single.p99_ms, &bare.p99_ms, Some(Goal::AtMost(10.0))),
        beside("server program us/job", &single.program_us, &bare.program_us, None),
        beside("Redis us/job", &single.server_us, &bare.server_us, None),
        of_batches("jobs/s", &batch.rate, None),
        of_batches("jobs/s, times one by one", &times, Some(Goal::AtLeast(4.0))),
        of_batches("p99 ms", &batch.p99_ms, None),
        of_batches("server program us/job", &batch.program_us, None),
        of_batches("Redis us/job", &batch.server_us, None),
    ])
}

impl Runs {
    /// One run: `jobs` jobs, `each` of them in a request.
    fn take(&mut self, who: &str, durability: Durability, jobs: usize, each: usize) -> Result<()> {
        let mut server = Server::start(durability)?;
        let is_api = who == "api";
        let program = if is_api {
            Program::start("api", &settings(&server.url()))?
        } else {
            Program::own("bare", &[], &server.url())?
        };
        let (path, status) = match (is_api, each) {
            (false, _) => ("/", 200),
            (true, 1) => ("/api/v1/media/jobs", 201),
            (true, _) => ("/api/v1/media/jobs/batch", 200),
        };
        let send = |count: usize, round: &str| {
            http::send_all(program.address, CONNECTIONS, count, status, |place| {
                let bodies = (0..each).map(|within| body(&format!("{round}-{place}-{within}")));
                let text = match each {
                    1 => bodies.collect(),
                    _ => format!("{{\"jobs\": [{}]}}", bodies.collect::<Vec<_>>().join(",")),
                };
                http::post(path, HEADERS, &text)
            })
        };
        let warm = WARM.min(jobs).div_ceil(each);
        send(warm, "warm")?;
        let (server_s, program_s) = (server.cpu_s()?, program.cpu_s()?);
        let Exchanges { seconds, p99_ms } = send(jobs / each, "run")?;
        let (server_s, program_s) = (server.cpu_s()? - server_s, program.cpu_s()? - program_s);
        if is_api {
            let kept = server.members("{q0}:x:load")?;
            ensure!(kept == jobs + warm * each, "{kept} jobs were kept of {jobs} and {warm} requests before");
        }
        let rate = jobs as f64 / seconds;
        eprintln!("   {who}, {each} a request: {rate:.0} jobs/s, p99 {p99_ms:.1} ms");
        self.rate.push(rate);
        self.p99_ms.push(p99_ms);
        self.program_us.push(program_s / jobs as f64 * 1e6);
        self.server_us.push(server_s / jobs as f64 * 1e6);
        // A server that was loaded to its limit ends in peace before the next one starts.
        drop(program);
        std::thread::sleep(Duration::from_millis(200));
        Ok(())
    }
}

/// A job of 300 bytes with a key of its own.
fn body(key: &str) -> String {
    let head = format!(
        "{{\"operation\":\"image_gen\",\"provider\":\"fal\",\"model\":\"fal-ai/flux/dev\",\
         \"idempotency_key\":\"{key}\",\"metadata\":{{\"order\":17}},\"prompt\":\""
    );
    let filler = 298usize.saturating_sub(head.len());
    format!("{head}{}\"}}", "x".repeat(filler.max(1)))
}

/// The store of assets is not asked in this row.
fn settings(redis: &str) -> String {
    format!(
        "[redis]\nurl = \"{redis}\"\n[s3]\nendpoint = \"http://127.0.0.1:9\"\nbucket = \"load\"\n\
         access_key = \"load\"\nsecret_key = \"load\"\n\
         [api]\n[api.api_keys]\nload-key-of-some-length = \"load\"\n"
    )
}
