//! Fal's calls to the URL of `fal_webhook`, received by a bare socket and checked with the published key.

use std::time::Duration;

use atelier_simulator::Kind;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, RequestBuilder};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Stage, text};

struct Receiver {
    listener: TcpListener,
}

struct Received {
    head: String,
    body: Vec<u8>,
}

impl Receiver {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn url(&self) -> String {
        format!("http://{}/done?job=1", self.listener.local_addr().unwrap())
    }

    /// The next call, answered with this status.
    async fn next(&self, status: u16) -> Received {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let received = Received::read(&mut stream).await;
        let answer = format!("HTTP/1.1 {status} Any\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        received
    }
}

impl Received {
    async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        loop {
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
                let length = header_in(&head, "content-length").unwrap().parse().unwrap();
                let mut body = bytes.split_off(end + 4);
                let read = body.len();
                body.resize(length, 0);
                stream.read_exact(&mut body[read..]).await.unwrap();
                return Self { head, body };
            }
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "it ended early");
        }
    }

    fn header(&self, name: &str) -> &str {
        header_in(&self.head, name).unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether one of the published keys made the signature.
    async fn is_signed(&self, stage: &Stage) -> bool {
        let keys = stage.client.get(stage.url("/fal/.well-known/jwks.json")).send().await.unwrap();
        let keys: Value = keys.json().await.unwrap();
        let digest: String = Sha256::digest(&self.body).iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = ["request-id", "user-id", "timestamp"];
        let parts = parts.map(|name| self.header(&format!("x-fal-webhook-{name}")));
        let signed = format!("{}\n{digest}", parts.join("\n"));
        let signature = self.header("x-fal-webhook-signature");
        let signature: Vec<u8> = (0..signature.len() / 2)
            .map(|index| u8::from_str_radix(signature.get(index * 2..index * 2 + 2).unwrap(), 16).unwrap())
            .collect();
        keys["keys"].as_array().unwrap().iter().any(|key| {
            assert_eq!((text(key, "kty"), text(key, "crv")), ("OKP", "Ed25519"));
            let public = URL_SAFE_NO_PAD.decode(text(key, "x")).unwrap();
            UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &signature).is_ok()
        })
    }
}

fn header_in<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

fn submit(stage: &Stage, webhook_url: &str) -> RequestBuilder {
    let encoded: String = url::form_urlencoded::byte_serialize(webhook_url.as_bytes()).collect();
    stage.fal(Method::POST, &format!("/fal-ai/flux/dev?fal_webhook={encoded}"))
}

async fn submitted(stage: &Stage, receiver: &Receiver, body: Value) -> Value {
    submit(stage, &receiver.url()).json(&body).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_end_of_the_work_is_told_and_signed() {
    let stage = Stage::new().await;
    let receiver = Receiver::new().await;
    let submitted = submitted(&stage, &receiver, json!({"prompt": "tell me"})).await;
    let call = receiver.next(200).await;
    assert!(call.head.starts_with("POST /done?job=1 "), "{}", call.head);
    assert_eq!(call.header("x-fal-webhook-request-id"), text(&submitted, "request_id"));
    assert!(call.is_signed(&stage).await);
    let body = call.json();
    assert_eq!((text(&body, "status"), &body["request_id"]), ("OK", &submitted["request_id"]));
    let result: Value = stage.fal_result(&submitted).await.json().await.unwrap();
    assert_eq!(body["payload"], result, "what the result says, too");
    let changed = Received { body: b"{}".to_vec(), ..call };
    assert!(!changed.is_signed(&stage).await);
}

#[tokio::test]
async fn failures_are_told_with_their_body() {
    let stage = Stage::new().await;
    let receiver = Receiver::new().await;
    submitted(&stage, &receiver, json!({"prompt": "[sim:moderation=refusal]"})).await;
    let body = receiver.next(200).await.json();
    assert_eq!(body["status"], "ERROR");
    assert_eq!(body["error"], "Unexpected status code: 422");
    assert_eq!(body["payload"]["detail"][0]["type"], "content_policy_violation");
}

#[tokio::test]
async fn a_receiver_that_fails_is_called_again() {
    let stage = Stage::new().await;
    let receiver = Receiver::new().await;
    submitted(&stage, &receiver, json!({"prompt": "again"})).await;
    let first = receiver.next(500).await;
    let second = receiver.next(204).await;
    assert_eq!(first.body, second.body);
    assert!(second.is_signed(&stage).await);
    let statuses = async || {
        let calls = stage.simulator.journal().of_kind(Kind::Webhook);
        calls.iter().map(|call| call.status).collect::<Vec<_>>()
    };
    while statuses().await != [Some(500), Some(204)] {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_url_that_nobody_can_call_is_refused() {
    let stage = Stage::new().await;
    for wrong in ["nowhere", "ftp://example.com/x", "http://"] {
        let answer = submit(&stage, wrong).json(&json!({"prompt": "p"})).send().await.unwrap();
        assert_eq!(answer.status(), 422, "{wrong}");
    }
}

#[tokio::test]
async fn the_key_follows_from_the_seed() {
    let key = async |seed: u64| {
        let stage = Stage::with(|options| options.seed = seed).await;
        let keys = stage.client.get(stage.url("/fal/.well-known/jwks.json")).send().await.unwrap();
        keys.json::<Value>().await.unwrap()["keys"][0]["x"].clone()
    };
    assert_eq!(key(7).await, key(7).await);
    assert_ne!(key(7).await, key(8).await);
}
