//! `/healthz` and `/readyz`.

use std::future::pending;
use std::time::Duration;

use atelier_runtime::health::Health;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

async fn get(health: Health, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = health.router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn healthy(stopping: CancellationToken) -> Health {
    Health::new(stopping).check("redis", Duration::from_secs(1), || async { Ok::<_, std::io::Error>(()) })
}

#[tokio::test]
async fn a_process_that_lives_says_so_even_when_it_is_not_ready() {
    let stopping = CancellationToken::new();
    stopping.cancel();
    assert_eq!(
        get(healthy(stopping), "/healthz").await,
        (StatusCode::OK, json!({"data": {"status": "alive"}}))
    );
}

#[tokio::test]
async fn ready_when_all_checks_pass() {
    let (status, body) = get(healthy(CancellationToken::new()), "/readyz").await;
    assert_eq!((status, &body["data"]["status"]), (StatusCode::OK, &json!("ready")));
    assert_eq!(
        (&body["data"]["checks"][0]["name"], &body["data"]["checks"][0]["status"]),
        (&json!("redis"), &json!("ok"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_or_does_not_answer_is_named() {
    let health = healthy(CancellationToken::new())
        .check("s3", Duration::from_secs(1), || async { Err(std::io::Error::other("the bucket is gone")) })
        .check("queue", Duration::from_millis(50), || async {
            pending::<()>().await;
            Ok::<_, std::io::Error>(())
        });
    let (status, body) = get(health, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let error = &body["error"];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("not_ready"), &json!("not available: s3, queue"))
    );
    let messages: Vec<_> =
        error["details"]["checks"].as_array().unwrap().iter().map(|check| &check["message"]).collect();
    assert_eq!(messages, [&Value::Null, &json!("the bucket is gone"), &json!("no answer within 50 ms")]);
}

#[tokio::test]
async fn a_process_that_stops_is_not_ready_whatever_its_checks_say() {
    let stopping = CancellationToken::new();
    stopping.cancel();
    let (status, body) = get(healthy(stopping), "/readyz").await;
    assert_eq!(
        (status, &body["error"]["message"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("the process is stopping"))
    );
}

#[tokio::test]
async fn it_answers_on_a_port_until_the_end() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let end = CancellationToken::new();
    let server = tokio::spawn(healthy(CancellationToken::new()).serve(listener, end.clone()));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    end.cancel();
    server.await.unwrap().unwrap();
}
