//! A stack of its own for each test, and a client.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use atelier_dev::stack::{BUCKET, Services, by_provider};
use atelier_dev::{Stack, StackOptions};
use atelier_domain::policy::{Polling, Retry};
use atelier_redis_store::audit;
use atelier_runtime::settings::TelemetrySettings;
use atelier_runtime::telemetry::{self, TelemetryGuard};
use atelier_simulator::Timing;
use serde_json::{Value, json};

/// Nothing here takes that long; a test that waits longer has failed.
pub const LONG: Duration = Duration::from_secs(60);

pub struct Running {
    pub stack: Stack,
    pub client: Client,
    pub log: Log,
    pub guard: Option<TelemetryGuard>,
    pub folder: tempfile::TempDir,
}

/// What the services wrote to their log.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Quick limits: what takes minutes in production takes a second here.
pub fn quick(options: &mut StackOptions) {
    options.timing = Timing {
        image: Duration::from_millis(100),
        video: Duration::from_millis(400),
        speech: Duration::from_millis(10),
    };
    options.policy.polling = Polling { interval_ms: 150, max_checks: 60, timeout_ms: 30_000 };
    options.policy.polling_by = by_provider(options.policy.polling);
    options.policy.retry = Retry { base_ms: 30, cap_ms: 300, ..Retry::default() };
    options.policy.salvage_ms = 200;
    options.lease = Duration::from_secs(2);
}

impl Running {
    pub async fn start() -> Self {
        Self::with(|_| {}, &TelemetrySettings::default()).await
    }

    pub async fn with(tune: impl FnOnce(&mut StackOptions), telemetry_settings: &TelemetrySettings) -> Self {
        atelier_runtime::process::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let mut options = StackOptions::in_folder(folder.path().to_owned());
        quick(&mut options);
        tune(&mut options);
        let log = Log::default();
        let writer = log.clone();
        let (guard, dispatch) =
            telemetry::prepare("atelier-api", Some(BUCKET), telemetry_settings, move || writer.clone())
                .unwrap();
        tracing::dispatcher::set_global_default(dispatch).expect("one test a process: run by nextest");
        let services = Services {
            api: Arc::new(guard.telemetry()),
            worker: Arc::new(guard.service("atelier-worker", Some(BUCKET)).unwrap()),
            poller: Arc::new(guard.service("atelier-poller", None).unwrap()),
        };
        let stack = Stack::start(&options, &services).await.unwrap();
        let client = Client::new(&stack.api_url, &options.key);
        Self { stack, client, log, guard: Some(guard), folder }
    }

    pub fn journal(&self) -> atelier_simulator::Journal {
        self.stack.around.simulator.journal()
    }

    /// Stops in order and looks whether anything was left behind.
    pub async fn finish(mut self) {
        let redis = atelier_redis_store::Redis::open(self.stack.around.api.redis.clone()).unwrap();
        let since = Instant::now();
        let audit = loop {
            let audit = audit::run(&redis).await.unwrap();
            let is_quiet = audit.messages == 0 && audit.jobs.iter().all(|job| job.state.is_terminal());
            if is_quiet || since.elapsed() > LONG {
                break audit;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(audit.violations, []);
        assert_eq!(audit.messages, 0, "messages were left behind");
        self.stack.stop().await.unwrap();
        if let Some(guard) = self.guard.take() {
            tokio::task::spawn_blocking(move || guard.shutdown(Duration::from_secs(5))).await.unwrap();
        }
    }
}

/// A user of the api.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    pub fn new(base: &str, key: &str) -> Self {
        Self { http: reqwest::Client::new(), base: base.to_owned(), key: key.to_owned() }
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(self.http.post(self.url(path)).header("X-API-Key", &self.key).json(body)).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.http.get(self.url(path)).header("X-API-Key", &self.key)).await
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path))
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {status} {text}")))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Sends a job that must be accepted; gives its id.
    pub async fn submit(&self, body: &Value) -> String {
        let (status, answer) = self.post("/api/v1/media/jobs", body).await;
        assert_eq!(status, 201, "{answer}");
        answer["data"]["id"].as_str().unwrap().to_owned()
    }

    pub async fn job(&self, id: &str) -> Value {
        let (status, answer) = self.get(&format!("/api/v1/media/jobs/{id}")).await;
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    }

    /// Waits for the end by long polls, as the documentation advises.
    pub async fn end_of(&self, id: &str) -> Value {
        let since = Instant::now();
        loop {
            let (status, answer) = self.get(&format!("/api/v1/media/jobs/{id}?wait=10")).await;
            assert_eq!(status, 200, "{answer}");
            let job = answer["data"].clone();
            if ["succeeded", "failed", "cancelled"].contains(&job["status"].as_str().unwrap()) {
                return job;
            }
            assert!(since.elapsed() < LONG, "the job does not end: {job:#}");
        }
    }

    /// Sends a job and waits for its end.
    pub async fn run(&self, body: &Value) -> Value {
        let id = self.submit(body).await;
        self.end_of(&id).await
    }

    /// Waits until the job is in this state.
    pub async fn until(&self, id: &str, status: &str) -> Value {
        let since = Instant::now();
        loop {
            let job = self.job(id).await;
            if job["status"] == status {
                return job;
            }
            assert!(since.elapsed() < LONG, "the job never is {status}: {job:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The bytes of an asset, through its signed URL.
    pub async fn download(&self, asset_id: &str) -> (reqwest::header::HeaderMap, Vec<u8>) {
        let (status, answer) = self.get(&format!("/api/v1/assets/{asset_id}/signed-url")).await;
        assert_eq!(status, 200, "{answer}");
        let answer = self.http.get(answer["data"]["url"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        (answer.headers().clone(), answer.bytes().await.unwrap().to_vec())
    }
}

pub fn speech(prompt: &str) -> Value {
    json!({"operation": "tts", "provider": "elevenlabs", "prompt": prompt})
}

pub fn image(prompt: &str) -> Value {
    json!({"operation": "image_gen", "provider": "fal", "prompt": prompt, "config": {"output_format": "png"}})
}

pub fn video(prompt: &str) -> Value {
    json!({"operation": "video_gen", "provider": "runway", "prompt": prompt, "config": {"duration": 5}})
}
