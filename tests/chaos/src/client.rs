//! A caller of the api who does not give up: it repeats a request with its idempotency key until it is answered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::API_KEY;

/// After a refused connection.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest time for which links that are not good are asked for again.
const LINK_LIMIT: Duration = Duration::from_secs(20);

/// What is asked of Atelier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Journey {
    /// The bytes come with the reply of the paid call.
    Speech,
    /// The provider works, is asked several times, and gives a link.
    Video,
    /// The first call is refused with 429; the step waits in the due set until the poller's clock promotes it.
    Limited,
    /// The caller cancels while the provider works; the provider is told to stop.
    Cancelled,
}

impl Journey {
    pub fn word(self) -> &'static str {
        match self {
            Self::Speech => "speech",
            Self::Video => "video",
            Self::Limited => "limited",
            Self::Cancelled => "cancel",
        }
    }

    /// A prompt that the simulator treats as the journey needs.
    pub fn prompt(self, text: &str) -> String {
        match self {
            // The media of the reply come in pieces, so that a process can die between two of them.
            Self::Speech => format!("{text} [sim:slow=400KB]"),
            Self::Video => text.to_owned(),
            Self::Limited => format!("{text} [sim:status=429 retry_after=1s times=1]"),
            Self::Cancelled => format!("{text} [sim:stuck]"),
        }
    }

    fn request(self, prompt: &str) -> Value {
        match self {
            Self::Speech | Self::Limited => {
                json!({"operation": "tts", "provider": "elevenlabs", "prompt": prompt})
            }
            Self::Video | Self::Cancelled => json!({
                "operation": "video_gen", "provider": "runway", "model": "gen4.5", "prompt": prompt,
                "config": {"duration": 5, "ratio": "1280:720"},
            }),
        }
    }
}

/// A job as its caller saw it end.
#[derive(Debug)]
pub struct Ended {
    pub id: String,
    pub status: String,
    /// Its `error`, or null.
    pub error: Value,
    /// From the first answer to the end.
    pub took: Duration,
    assets: Vec<Value>,
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub fn new(base: String) -> Result<Self> {
        atelier_runtime::process::install_crypto();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(15)).no_proxy().build()?;
        Ok(Self { http, base })
    }

    /// Asks, cancels if that is the journey, waits for the end, and reads every asset back.
    pub async fn run(&self, journey: Journey, prompt: &str) -> Result<Ended> {
        let id = self.accepted(journey, prompt).await?;
        if journey == Journey::Cancelled {
            self.cancel(&id).await?;
        }
        let ended = self.ended(&id).await?;
        ensure!(ended.assets.is_empty() == (ended.status != "succeeded"), "{ended:?}");
        for asset in &ended.assets {
            self.read_back(asset).await.with_context(|| format!("asset {asset}"))?;
        }
        Ok(ended)
    }

    /// Sends the order until it is answered; the id of the job.
    pub async fn accepted(&self, journey: Journey, prompt: &str) -> Result<String> {
        self.accept(prompt, &journey.request(prompt)).await
    }

    /// Sends any order under this key, waits for its end, and reads every asset back.
    pub async fn fulfil(&self, key: &str, order: &Value) -> Result<Ended> {
        let since = Instant::now();
        let id = self.accept(key, order).await?;
        let mut ended = self.ended(&id).await?;
        ended.took = since.elapsed();
        ensure!(ended.assets.is_empty() == (ended.status != "succeeded"), "{ended:?}");
        for asset in &ended.assets {
            self.read_back(asset).await.with_context(|| format!("asset {asset}"))?;
        }
        Ok(ended)
    }

    /// Sends an order of speech once and gives the status of the answer.
    pub async fn order_once(&self, prompt: &str) -> Result<StatusCode> {
        let url = format!("{}/api/v1/media/jobs", self.base);
        let order = self.http.post(url).header("X-API-Key", API_KEY).json(&Journey::Speech.request(prompt));
        Ok(order.send().await?.status())
    }

    /// Sends any order under this key until it is answered; the id of the job.
    pub async fn accept(&self, key: &str, order: &Value) -> Result<String> {
        let url = format!("{}/api/v1/media/jobs", self.base);
        let send = || self.http.post(&url).header("Idempotency-Key", key).json(order);
        let job = self.persist(send).await?;
        Ok(job["id"].as_str().context("the answer names no job")?.to_owned())
    }

    /// Cancels the job as soon as the provider works on it. It may end before.
    async fn cancel(&self, id: &str) -> Result<()> {
        let url = format!("{}/api/v1/media/jobs/{id}", self.base);
        while matches!(
            self.persist(|| self.http.get(&url)).await?["status"].as_str(),
            Some("queued" | "submitting" | "uncertain")
        ) {
            tokio::time::sleep(PAUSE).await;
        }
        loop {
            let sent = self.http.post(format!("{url}/cancel")).header("X-API-Key", API_KEY).send().await;
            // 400: it has ended, perhaps by the call before this one, whose answer was lost.
            if sent.is_ok_and(|answer| matches!(answer.status().as_u16(), 200 | 400)) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the job has ended.
    pub async fn ended(&self, id: &str) -> Result<Ended> {
        let since = Instant::now();
        loop {
            let job = self
                .persist(|| self.http.get(format!("{}/api/v1/media/jobs/{id}?wait=1", self.base)))
                .await?;
            let status = job["status"].as_str().context("the job has no status")?;
            if matches!(status, "succeeded" | "failed" | "cancelled") {
                return Ok(Ended {
                    id: id.to_owned(),
                    status: status.to_owned(),
                    error: job["error"].clone(),
                    took: since.elapsed(),
                    assets: job["assets"].as_array().cloned().unwrap_or_default(),
                });
            }
        }
    }

    async fn read_back(&self, asset: &Value) -> Result<()> {
        let id = asset["id"].as_str().context("an asset without an id")?;
        let since = Instant::now();
        let bytes = loop {
            let signed = self
                .persist(|| self.http.get(format!("{}/api/v1/assets/{id}/signed-url", self.base)))
                .await?;
            let url = signed["url"].as_str().context("no signed URL")?;
            let answer = self.http.get(url).send().await?;
            // An api whose clock is wrong signs links that are over or not yet good; a caller asks for another.
            if answer.status() == StatusCode::FORBIDDEN && since.elapsed() < LINK_LIMIT {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            break answer.error_for_status()?.bytes().await?;
        };
        let digest =
            Sha256::digest(&bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        ensure!(asset["size_bytes"] == bytes.len(), "{} bytes were read back", bytes.len());
        ensure!(asset["sha256"] == digest.as_str(), "the bytes read back have the digest {digest}");
        Ok(())
    }

    /// Repeats a request until it is answered, and gives the answer's `data`. A refusal is an error.
    async fn persist(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Result<Value> {
        loop {
            match request().header("X-API-Key", API_KEY).send().await {
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {}
                Ok(answer) => {
                    if let Some(data) = data(answer).await? {
                        return Ok(data);
                    }
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// `None` when the answer broke off.
async fn data(answer: Response) -> Result<Option<Value>> {
    let status = answer.status();
    let Ok(body) = answer.json::<Value>().await else { return Ok(None) };
    if !status.is_success() {
        bail!("the api refuses with {status}: {body}");
    }
    Ok(Some(body["data"].clone()))
}
