//! Pages of a long list by cursor, over HTTP at the real api.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::arguments::{Arguments, Durability};
use crate::http;
use crate::process::{System, produce};
use crate::programs::Program;
use crate::report::{Figure, Goal, percentile};
use crate::server::Server;

const JOBS: &str = "/api/v1/media/jobs";
/// Pages in a row at each place of the list.
const IN_A_ROW: usize = 200;
const LIMIT: usize = 20;
const KEY: &str = "x-api-key: load-key-of-some-length\r\nconnection: close\r\n";

pub fn measure(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let jobs = arguments.jobs_or(1_000_000);
    let (mut plain, mut longest, mut filtered) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        let server = Server::start(durability)?;
        produce(System::Atelier, &server.url(), jobs, "bulk", Duration::ZERO)?;
        let api = Program::start("api", &settings(&server.url()))?;
        let mut times = Vec::new();
        // At the head, in the middle, and shortly before the end.
        for part in [0.0, 0.5, 0.98] {
            let page = (jobs as f64 * part / LIMIT as f64) as usize + 1;
            let (_, mut cursor) = get(api.address, &format!("{JOBS}?limit={LIMIT}&page={page}"))?;
            for _ in 0..IN_A_ROW {
                let Some(at) = cursor else { break };
                let (ms, next) = get(api.address, &format!("{JOBS}?limit={LIMIT}&cursor={at}"))?;
                times.push(ms);
                cursor = next;
            }
        }
        plain.push(percentile(&times, 0.99));
        longest.push(percentile(&times, 1.0));
        // Nothing fits: each call looks at as many records as it may.
        let (mut times, mut cursor) = (Vec::new(), Some(String::new()));
        for _ in 0..IN_A_ROW {
            let Some(at) = cursor else { break };
            let (ms, next) = get(api.address, &format!("{JOBS}?limit={LIMIT}&model=none&cursor={at}"))?;
            times.push(ms);
            cursor = next;
        }
        filtered.push(percentile(&times, 0.99));
    }
    let row = format!("list of {jobs} jobs");
    let figure = |measure, runs| Figure::alone(&row, measure, runs, Some(Goal::AtMost(20.0)), jobs);
    Ok(vec![
        figure("page by cursor, p99 ms", plain),
        figure("page by cursor, longest ms", longest),
        figure("filtered, nothing fits, p99 ms", filtered),
    ])
}

/// Milliseconds of a request, and the cursor in its answer.
fn get(address: SocketAddr, path: &str) -> Result<(f64, Option<String>)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: load\r\n{KEY}\r\n");
    let begun = Instant::now();
    let (status, answer) = http::ask(address, request.as_bytes())?;
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    ensure!(status == 200, "{status}: {answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).context("the answer is JSON")?;
    Ok((ms, answer["meta"]["next_cursor"].as_str().map(str::to_owned)))
}

/// The store of assets is not asked in this row. The jobs are those of the producer's workspace.
fn settings(redis: &str) -> String {
    format!(
        "[redis]\nurl = \"{redis}\"\n[s3]\nendpoint = \"http://127.0.0.1:9\"\nbucket = \"load\"\n\
         access_key = \"load\"\nsecret_key = \"load\"\n\
         [api]\n[api.api_keys]\nload-key-of-some-length = \"tenant-0001\"\n"
    )
}
