//! The three programs as processes of their own.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use atelier_dev::StackOptions;
use atelier_dev::stack::{Surroundings, free_address};
use atelier_simulator::{Fault, Rule};

use crate::harness::{Client, quick, speech, video};

pub fn program(name: &str) -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let program = folder.join(name);
    assert!(program.is_file(), "{} is missing: run `cargo build --workspace --bins`", program.display());
    program
}

pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn start(name: &str, config: &Path) -> Running {
    let child = Command::new(program(name))
        .arg("--config")
        .arg(config)
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    Running(child)
}

/// One file for all three, as an operator would write it.
fn config(around: &Surroundings, api: std::net::SocketAddr, folder: &Path) -> PathBuf {
    let simulator = around.simulator.base_url();
    let text = format!(
        r#"
        allow_hosts = ["{hosts}"]
        [redis]
        url = "{redis}"
        lease_ms = 2000
        [s3]
        endpoint = "{s3}"
        bucket = "atelier"
        access_key = "atelier-dev"
        secret_key = "atelier-dev-secret"
        [providers.elevenlabs]
        base_url = "{simulator}/elevenlabs"
        [providers.fal]
        base_url = "{simulator}/fal"
        [providers.runway]
        base_url = "{simulator}/runway"
        [provider_keys]
        elevenlabs = "key-a"
        fal = "key-b"
        runway = "key-c"
        [policy.polling]
        interval_ms = 150
        [policy.polling_by.fal]
        interval_ms = 150
        [policy.retry]
        base_ms = 50
        [shutdown]
        grace_ms = 5000
        [api]
        listen = "{api}"
        api_keys = {{ demo = "demo" }}
        [worker]
        listen = "127.0.0.1:0"
        [poller]
        listen = "127.0.0.1:0"
        "#,
        hosts = around.simulator.address(),
        redis = around.api.redis.url.expose(),
        s3 = around.s3.base_url(),
    );
    let path = folder.join("atelier.toml");
    std::fs::write(&path, text).unwrap();
    path
}

pub async fn surroundings(folder: &Path) -> (Surroundings, Client, PathBuf) {
    atelier_runtime::process::install_crypto();
    let mut options = StackOptions::in_folder(folder.to_owned());
    quick(&mut options);
    let around = Surroundings::start(&options).await.unwrap();
    let api = free_address().unwrap();
    let config = config(&around, api, folder);
    (around, Client::new(&format!("http://{api}"), "demo"), config)
}

pub async fn until_ready(client: &Client) {
    let since = Instant::now();
    while !client
        .request(reqwest::Method::GET, "/readyz")
        .send()
        .await
        .is_ok_and(|answer| answer.status() == 200)
    {
        assert!(since.elapsed() < Duration::from_secs(30), "the api is not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn peak_rss_kb(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_worker_delivers_a_500_mb_video_in_less_than_64_mib() {
    let folder = tempfile::tempdir().unwrap();
    let (around, client, config) = surroundings(folder.path()).await;
    let _api = start("atelier-api", &config);
    let worker = start("atelier-worker", &config);
    let _poller = start("atelier-poller", &config);
    until_ready(&client).await;
    around.simulator.script(Rule::new(Fault::Huge { bytes: 500_000_000 }).prompt_contains("long film"));
    let job = client.run(&video("a long film")).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(job["assets"][0]["size_bytes"], 500_000_000);
    let peak = peak_rss_kb(&worker.0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.0.id())).unwrap();
    eprintln!(
        "{}",
        status.lines().filter(|l| l.contains("Rss") || l.contains("VmHWM")).collect::<Vec<_>>().join(" ")
    );
    eprintln!("peak RSS of the worker: {} MiB", peak / 1024);
    assert!(peak < 64 * 1024, "{peak} kB");
}

/// Silence of so many bytes, in a WAV file that comes in pieces.
fn long_sound(length: usize) -> reqwest::multipart::Part {
    const PIECE: usize = 1_000_000;
    let length_bytes = u32::try_from(length).unwrap();
    let mut head =
        b"RIFF____WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data____".to_vec();
    head[4..8].copy_from_slice(&(length_bytes + 36).to_le_bytes());
    head[40..44].copy_from_slice(&length_bytes.to_le_bytes());
    let pieces = std::iter::once(head).chain((0..length / PIECE).map(|_| vec![0; PIECE]));
    let body = futures::stream::iter(pieces.map(Ok::<_, std::io::Error>));
    reqwest::multipart::Part::stream(reqwest::Body::wrap_stream(body)).file_name("long.wav")
}

#[tokio::test]
async fn the_api_takes_and_gives_a_300_mb_file_in_less_than_64_mib() {
    const LENGTH: usize = 300_000_000;
    let folder = tempfile::tempdir().unwrap();
    let (_around, client, config) = surroundings(folder.path()).await;
    let api = start("atelier-api", &config);
    until_ready(&client).await;
    let form = reqwest::multipart::Form::new().part("file", long_sound(LENGTH));
    let request = client.request(reqwest::Method::POST, "/api/v1/assets").header("X-API-Key", "demo");
    let (status, answer) = client.send(request.multipart(form)).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["data"]["size_bytes"], LENGTH + 44);
    let path = format!("/api/v1/assets/{}/content", answer["data"]["id"].as_str().unwrap());
    let request = client.request(reqwest::Method::GET, &path).header("X-API-Key", "demo");
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut length = 0;
    while let Some(piece) = answer.chunk().await.unwrap() {
        length += piece.len();
    }
    assert_eq!(length, LENGTH + 44);
    let peak = peak_rss_kb(&api.0);
    eprintln!("peak RSS of the api: {} MiB", peak / 1024);
    assert!(peak < 64 * 1024, "{peak} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_programs_stop_in_order_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let (around, client, config) = surroundings(folder.path()).await;
    let mut programs: Vec<Running> =
        ["atelier-api", "atelier-worker", "atelier-poller"].map(|name| start(name, &config)).into();
    until_ready(&client).await;
    // The call is under way when the worker is told to stop: it is finished, not repeated.
    let id = client.submit(&speech("last words [sim:late=1s]")).await;
    client.until(&id, "submitting").await;
    let (worker, poller) = (1, 2);
    for index in [worker, poller] {
        let pid = programs[index].0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
    for index in [worker, poller] {
        let status = tokio::task::block_in_place(|| wait(&mut programs[index].0));
        assert_eq!(status, Some(0));
    }
    let job = client.job(&id).await;
    assert!(["delivering", "succeeded"].contains(&job["status"].as_str().unwrap()), "{job:#}");
    let _second = start("atelier-worker", &config);
    assert_eq!(client.end_of(&id).await["status"], "succeeded");
    assert_eq!(around.simulator.journal().submits().len(), 1);
}

fn wait(child: &mut Child) -> Option<i32> {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(since.elapsed() < Duration::from_secs(20), "the program does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn wrong_settings_are_all_named_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.toml");
    let text = "[redis]\nurl = \"http://hunter2@x\"\nleas_ms = 5\n[worker]\nsubmit = \"many\"\n[s3]\nbucket = \"X\"\n";
    std::fs::write(&path, text).unwrap();
    let mut child = Command::new(program("atelier-worker"))
        .args(["--config".as_ref(), path.as_os_str()])
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(wait(&mut child), Some(2), "{told}");
    for word in ["redis.url", "leas_ms", "lease_ms", "worker.submit", "bucket"] {
        assert!(told.contains(word), "{word} is not named:\n{told}");
    }
    assert!(!told.contains("hunter2"), "INV-7: {told}");
}
