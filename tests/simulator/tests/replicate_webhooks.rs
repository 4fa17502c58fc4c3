use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{Stage, text};

const PATH: &str = "/models/black-forest-labs/flux-schnell/predictions";
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes calls, refusing the first few.
struct Receiver {
    url: String,
    calls: mpsc::UnboundedReceiver<(HeaderMap, Value)>,
}

impl Receiver {
    async fn new(mut refused: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, calls) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let status = if refused > 0 { 503 } else { 200 };
                refused = refused.saturating_sub(1);
                let sender = sender.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let sender = sender.clone();
                    async move {
                        let headers = request.headers().clone();
                        let bytes = request.into_body().collect().await.unwrap().to_bytes();
                        // The test may be over already.
                        let _ = sender.send((headers, serde_json::from_slice(&bytes).unwrap()));
                        let response =
                            Response::builder().status(status).body(Empty::<Bytes>::new()).unwrap();
                        Ok::<_, Infallible>(response)
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move { connection.serve_connection(TokioIo::new(stream), service).await });
            }
        });
        Self { url, calls }
    }

    async fn next(&mut self) -> (HeaderMap, Value) {
        timeout(PATIENCE, self.calls.recv()).await.unwrap().unwrap()
    }
}

async fn create(stage: &Stage, prompt: &str, webhook: &str, events: Option<&[&str]>) -> Value {
    let mut body = json!({"input": {"prompt": prompt}, "webhook": webhook});
    if let Some(events) = events {
        body["webhook_events_filter"] = json!(events);
    }
    stage.replicate(Method::POST, PATH).json(&body).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_events_that_were_chosen_are_told() {
    let stage = Stage::new().await;
    let mut receiver = Receiver::new(0).await;
    let created = create(&stage, "hook", &receiver.url, Some(&["start", "output", "completed"])).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (headers, body) = receiver.next().await;
        assert_eq!(body["id"], created["id"]);
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            assert!(headers.contains_key(name), "{name}");
        }
        seen.push((text(&body, "status").to_owned(), body["output"].is_array()));
    }
    // Each event is a call of its own, so they may overtake each other.
    seen.sort();
    let told = |word: &str, has_output| (word.to_owned(), has_output);
    assert_eq!(seen, [told("processing", false), told("processing", true), told("succeeded", true)]);
}

#[tokio::test]
async fn output_and_completed_are_told_when_nothing_is_chosen() {
    let stage = Stage::new().await;
    let mut receiver = Receiver::new(0).await;
    create(&stage, "[sim:moderation]", &receiver.url, None).await;
    let (_, body) = receiver.next().await;
    assert_eq!(body["status"], "failed");
    create(&stage, "usual", &receiver.url, None).await;
    let mut seen =
        [receiver.next().await.1, receiver.next().await.1].map(|body| text(&body, "status").to_owned());
    seen.sort();
    assert_eq!(seen, ["processing", "succeeded"]);
}

#[tokio::test]
async fn the_end_is_told_again_until_it_is_taken() {
    let stage = Stage::new().await;
    let mut receiver = Receiver::new(1).await;
    create(&stage, "again", &receiver.url, Some(&["completed"])).await;
    let (first, again) = (receiver.next().await, receiver.next().await);
    assert_eq!(first.0["webhook-id"], again.0["webhook-id"]);
    assert_eq!(first.1, again.1);
    let calls = stage.simulator.journal().of_kind(atelier_simulator::Kind::Webhook);
    assert_eq!(calls[0].status, Some(503));
}

#[tokio::test]
async fn a_cancellation_is_told_at_once_and_nothing_after_it() {
    let stage = Stage::with(|options| options.timing.image = Duration::from_millis(300)).await;
    let mut receiver = Receiver::new(0).await;
    let created = create(&stage, "cancel", &receiver.url, Some(&["completed"])).await;
    let path = format!("/predictions/{}/cancel", text(&created, "id"));
    stage.replicate(Method::POST, &path).send().await.unwrap();
    assert_eq!(receiver.next().await.1["status"], "canceled");
    // What comes next belongs to the next prediction, whose end is later than the end that was planned.
    let next = create(&stage, "next", &receiver.url, Some(&["completed"])).await;
    assert_eq!(receiver.next().await.1["id"], next["id"]);
}

#[tokio::test]
async fn the_secret_follows_from_the_seed() {
    let secret = async |seed: u64| {
        let stage = Stage::with(|options| options.seed = seed).await;
        let response = stage.replicate(Method::GET, "/webhooks/default/secret").send().await.unwrap();
        text(&response.json().await.unwrap(), "key").to_owned()
    };
    let first = secret(1).await;
    assert!(first.starts_with("whsec_"), "{first}");
    assert_eq!(first, secret(1).await);
    assert_ne!(first, secret(2).await);
}
