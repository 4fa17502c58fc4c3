//! A simulator with short times and a client that speaks the providers' dialects.

use std::sync::Once;
use std::time::Duration;

use atelier_simulator::{Options, Simulator, Timing, start};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

static CRYPTOGRAPHY: Once = Once::new();
/// No wait in these tests is longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stage {
    pub simulator: Simulator,
    pub client: Client,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        CRYPTOGRAPHY.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let short = Duration::from_millis(40);
        let timing = Timing { image: short, video: short, speech: Duration::from_millis(5) };
        let mut options = Options { timing, seed: 1, ..Options::default() };
        change(&mut options);
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self { simulator: start(options).await.unwrap(), client }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.base_url())
    }

    pub fn speak(&self, text: &str) -> RequestBuilder {
        self.elevenlabs(Method::POST, "/v1/text-to-speech/voice").json(&json!({"text": text}))
    }

    pub fn speak_as(&self, text: &str, format: &str) -> RequestBuilder {
        let path = format!("/v1/text-to-speech/voice?output_format={format}");
        self.elevenlabs(Method::POST, &path).json(&json!({"text": text}))
    }

    pub fn elevenlabs(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(&format!("/elevenlabs{path}"))).header("xi-api-key", "key")
    }

    pub fn deepgram(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(&format!("/deepgram{path}")));
        request.header("authorization", "Token key")
    }

    /// `path` may be a whole URL, as the queue's answers hold them.
    pub fn fal(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { self.url(&format!("/fal{path}")) };
        self.client.request(method, url).header("authorization", "Key id:secret")
    }

    pub fn runway(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(&format!("/runway{path}")));
        request.header("authorization", "Bearer key").header("x-runway-version", "2024-11-06")
    }

    pub fn openai(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(&format!("/openai{path}"))).header("authorization", "Bearer key")
    }

    pub fn replicate(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(&format!("/replicate/v1{path}")));
        request.header("authorization", "Bearer r8_key")
    }

    pub async fn fal_submit(&self, model: &str, body: &Value) -> Value {
        let response = self.fal(Method::POST, &format!("/{model}")).json(body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    /// The answer of the result URL once the request is completed.
    pub async fn fal_result(&self, submitted: &Value) -> Response {
        loop {
            let status = text(submitted, "status_url");
            let response = self.fal(Method::GET, status).send().await.unwrap();
            if response.status() == 200 {
                assert_eq!(response.json::<Value>().await.unwrap()["status"], "COMPLETED");
                return self.fal(Method::GET, text(submitted, "response_url")).send().await.unwrap();
            }
            assert_eq!(response.status(), 202);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The id of a new video of two seconds.
    pub async fn runway_create(&self, prompt: &str) -> String {
        let body = json!({"model": "gen4.5", "promptText": prompt, "ratio": "1280:720", "duration": 2});
        let response = self.runway(Method::POST, "/v1/text_to_video").json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        text(&response.json().await.unwrap(), "id").to_owned()
    }

    pub async fn runway_task(&self, id: &str) -> Value {
        self.runway(Method::GET, &format!("/v1/tasks/{id}")).send().await.unwrap().json().await.unwrap()
    }

    /// The task once it has ended.
    pub async fn runway_end(&self, id: &str) -> Value {
        loop {
            let task = self.runway_task(id).await;
            if ["SUCCEEDED", "FAILED", "CANCELLED"].contains(&text(&task, "status")) {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The link of a finished video.
    pub async fn runway_video(&self, prompt: &str) -> String {
        let id = self.runway_create(prompt).await;
        self.runway_end(&id).await["output"][0].as_str().unwrap().to_owned()
    }
}

pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}"))
}
