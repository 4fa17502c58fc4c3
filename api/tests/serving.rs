//! Over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use atelier_api::serve;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fakes::{Api, image};

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
}

async fn start(api: &Api, grace: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let ended = tokio::spawn(serve(listener, api.router.clone(), shutdown.clone(), grace));
    Server { address, shutdown, ended }
}

/// Reads one answer: head and as much body as it announces.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse::<usize>().unwrap() {
                return text;
            }
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "closed before the answer was complete: {text}");
        bytes.extend_from_slice(&buffer[..count]);
    }
}

fn post(body: &str, length: usize) -> String {
    format!(
        "POST /api/v1/media/jobs HTTP/1.1\r\nhost: x\r\nx-api-key: acme-key\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn one_connection_serves_several_requests() {
    let api = Api::default();
    let server = start(&api, Duration::from_secs(5)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = image().to_string();
    for _ in 0..3 {
        stream.write_all(post(&body, body.len()).as_bytes()).await.unwrap();
        assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 201"));
    }
    assert_eq!(api.store.jobs().len(), 3);
    server.shutdown.cancel();
    server.ended.await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "an idle connection is closed at shutdown");
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn a_request_under_way_is_finished_at_shutdown() {
    let api = Api::default();
    let server = start(&api, Duration::from_secs(30)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = image().to_string();
    let (first, rest) = body.split_at(10);
    stream.write_all(post(first, body.len()).as_bytes()).await.unwrap();
    // The api has begun with the request when its span is made.
    while api.telemetry.requests.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    stream.write_all(rest.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 201"));
    server.ended.await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_dropped() {
    let api = Api::default();
    let server = start(&api, Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(post("{", 100).as_bytes()).await.unwrap();
    while api.telemetry.requests.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), server.ended).await.unwrap().unwrap();
    assert!(api.store.jobs().is_empty());
}

#[tokio::test]
async fn a_caller_that_sends_too_much_still_gets_the_answer() {
    let api = Api::default();
    let server = start(&api, Duration::from_secs(5)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = "x".repeat(3 * 1024 * 1024);
    stream.write_all(post(&body, body.len()).as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("1048576 bytes"), "{answer}");
    server.shutdown.cancel();
    server.ended.await.unwrap();
}

#[tokio::test]
async fn a_caller_that_asks_first_does_not_send_too_much() {
    let api = Api::default();
    let server = start(&api, Duration::from_secs(5)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = post("", 30 * 1024 * 1024).replace("host: x", "host: x\r\nexpect: 100-continue");
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("29010603 bytes"), "{answer}");
    server.shutdown.cancel();
    server.ended.await.unwrap();
}
