//! What the real programs hold in memory: without work, and while a large video goes through the worker.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::arguments::{Arguments, Durability};
use crate::http;
use crate::programs::Program;
use crate::report::{Figure, Goal};
use crate::s3::ACCESS;
use crate::server::Server;

const MIB: f64 = 1024.0 * 1024.0;
/// Size of the video, in megabytes; a short run's has as many as it may have jobs.
const VIDEO_MB: usize = 2_000;
/// Until a program that has started has nothing left to do.
const REST: Duration = Duration::from_secs(3);
const KEY: &str = "x-api-key: load-key-of-some-length\r\nconnection: close\r\n";

/// Everything around a worker, as a small installation has it. Field order: programs end before what they use.
struct House {
    api: Program,
    worker: Program,
    poller: Program,
    _simulator: Program,
    _s3: Program,
    _server: Server,
    _folder: tempfile::TempDir,
}

pub fn idle(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let (mut worker, mut poller, mut api) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        let house = House::start(durability)?;
        std::thread::sleep(REST);
        worker.push(house.worker.memory("VmRSS")? / MIB);
        poller.push(house.poller.memory("VmRSS")? / MIB);
        api.push(house.api.memory("VmRSS")? / MIB);
        let own = house.worker.memory("RssAnon")? / MIB;
        eprintln!("   the worker's own memory is {own:.1} MiB, the rest is its program file");
    }
    let figure = |row, runs, goal| Figure::alone(row, "resident MiB", runs, goal, 0);
    Ok(vec![
        figure("idle worker, all linked", worker, Some(Goal::AtMost(16.0))),
        figure("idle poller, all linked", poller, Some(Goal::AtMost(16.0))),
        figure("idle api, all linked", api, None),
    ])
}

pub fn video(arguments: &Arguments, durability: Durability) -> Result<Vec<Figure>> {
    let megabytes = arguments.jobs_or(VIDEO_MB);
    let (mut above, mut rate, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        let house = House::start(durability)?;
        std::thread::sleep(REST);
        let (idle, cpu_s, since) = (house.worker.memory("VmRSS")?, house.worker.cpu_s()?, Instant::now());
        house.worker.forget_peak()?;
        let size = house.deliver(megabytes)?;
        ensure!(size >= megabytes * 1_000_000, "the file has only {size} bytes");
        above.push((house.worker.memory("VmHWM")? - idle) / MIB);
        rate.push(megabytes as f64 / since.elapsed().as_secs_f64());
        cpu.push((house.worker.cpu_s()? - cpu_s) / megabytes as f64 * 1e3);
    }
    let row = format!("video of {megabytes} MB");
    let figure = |measure, runs, goal| Figure::alone(&row, measure, runs, goal, 1);
    Ok(vec![
        figure("worker, MiB above idle", above, Some(Goal::AtMost(32.0))),
        figure("MB/s", rate, None),
        figure("worker ms/MB", cpu, None),
    ])
}

impl House {
    fn start(durability: Durability) -> Result<Self> {
        let server = Server::start(durability)?;
        let folder = tempfile::tempdir()?;
        let files = folder.path().to_str().context("the folder's name is no text")?;
        let s3 = Program::own("s3", &[files], &server.url())?;
        let simulator = Program::simulator("1s")?;
        let common = format!("[redis]\nurl = \"{}\"\n", server.url());
        let (key, secret, bucket) = ACCESS;
        let store = format!(
            "[s3]\nendpoint = \"http://{}\"\nbucket = \"{bucket}\"\naccess_key = \"{key}\"\n\
             secret_key = \"{secret}\"\n",
            s3.address
        );
        let runway = format!(
            "[providers.runway]\nbase_url = \"http://{}/runway\"\n[provider_keys]\nrunway = \"simulated\"\n\
             [policy.polling_by.runway]\ninterval_ms = 200\n",
            simulator.address
        );
        let foreign = format!("allow_hosts = [\"{}\"]\n", simulator.address);
        let callers = "[api]\n[api.api_keys]\nload-key-of-some-length = \"load\"\n";
        let mut house = Self {
            api: Program::start("api", &format!("{common}{store}{callers}"))?,
            worker: Program::start("worker", &format!("{foreign}{common}{store}{runway}"))?,
            poller: Program::start("poller", &format!("{common}{runway}"))?,
            _simulator: simulator,
            _s3: s3,
            _server: server,
            _folder: folder,
        };
        house.worker.wait_until_ready()?;
        house.poller.wait_until_ready()?;
        house.api.wait_until_ready()?;
        Ok(house)
    }

    /// Has a video of that size made and stored, and gives the size of the stored file in bytes.
    fn deliver(&self, megabytes: usize) -> Result<usize> {
        let body = format!(
            "{{\"operation\": \"video_gen\", \"provider\": \"runway\", \"prompt\": \"slow [sim:huge={megabytes}MB]\"}}"
        );
        let (status, answer) = http::ask(self.api.address, &http::post("/api/v1/media/jobs", KEY, &body))?;
        ensure!(status == 201, "{status}: {answer}");
        let admitted: serde_json::Value = serde_json::from_str(&answer)?;
        let id = admitted["data"]["id"].as_str().context("the job has an id")?;
        // A megabyte takes a second where all is very slow.
        let limit = Duration::from_secs(120 + megabytes as u64);
        let since = Instant::now();
        while since.elapsed() < limit {
            let path = format!("/api/v1/media/jobs/{id}?wait=5");
            let request = format!("GET {path} HTTP/1.1\r\nhost: load\r\n{KEY}\r\n");
            let (_, answer) = http::ask(self.api.address, request.as_bytes())?;
            let job: serde_json::Value = serde_json::from_str(&answer)?;
            match job["data"]["status"].as_str() {
                Some("succeeded") => {
                    let size = job["data"]["assets"][0]["size_bytes"].as_u64().context("a size")?;
                    return Ok(usize::try_from(size)?);
                }
                Some("failed" | "cancelled" | "uncertain") => {
                    anyhow::bail!("the video was not delivered: {answer}")
                }
                other => {
                    let held = self.worker.memory("VmRSS")? / MIB;
                    eprintln!(
                        "   {other:?}, the worker holds {held:.1} MiB after {:.0} s",
                        since.elapsed().as_secs_f64()
                    );
                }
            }
        }
        anyhow::bail!("the video was not delivered within {limit:?}")
    }
}
