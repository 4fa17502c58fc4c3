//! Servers standing for a provider: one that answers properly and remembers what it was asked, one that answers
//! with raw bytes and misbehaves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, Method, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
    /// The other end of the connection.
    pub from_port: u16,
}

/// A proper server. Ends when dropped.
pub struct Stand {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

pub type Answer = Response<Body>;

impl Stand {
    /// Answers every request with what `answer` makes of it and of the server's own base URL.
    pub async fn start(answer: impl Fn(&Seen, &str) -> Answer + Clone + Send + Sync + 'static) -> Self {
        install_crypto();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let router =
            Router::new().fallback(move |ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request| {
                let log = Arc::clone(&log);
                let answer = answer.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = to_bytes(body, 64 * 1024 * 1024).await.unwrap();
                    let seen = Seen {
                        method: parts.method,
                        target: parts.uri.to_string(),
                        headers: parts.headers,
                        body: String::from_utf8_lossy(&body).into_owned(),
                        from_port: from.port(),
                    };
                    log.lock().unwrap().push(seen.clone());
                    answer(&seen, &format!("http://{address}"))
                }
            });
        let task = tokio::spawn(async move {
            axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap()
        });
        Self { address, seen, task }
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a rude server does after it has read a request.
#[derive(Debug, Clone)]
pub enum Rude {
    /// Closes without a word.
    Close,
    /// Sends these bytes, then closes.
    Say(String),
    /// Sends these bytes, then stays silent.
    SayAndHang(String),
}

/// A server that keeps to nothing. Ends when dropped.
pub struct RudeStand {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl RudeStand {
    pub async fn start(rude: Rude) -> Self {
        install_crypto();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                be_rude(stream, &rude).await;
            }
        });
        Self { address, task }
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for RudeStand {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn be_rude(mut stream: TcpStream, rude: &Rude) {
    read_request(&mut stream).await;
    match rude {
        Rude::Close => {}
        Rude::Say(text) => stream.write_all(text.as_bytes()).await.unwrap(),
        Rude::SayAndHang(text) => {
            stream.write_all(text.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
}

/// Reads the head and as much body as it announces.
async fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= announced.unwrap_or(0) {
                return;
            }
        }
    }
}

/// An answer with this status, content type and body.
pub fn answer(status: u16, content_type: &str, body: impl Into<Body>) -> Answer {
    Response::builder().status(status).header("content-type", content_type).body(body.into()).unwrap()
}

pub fn json(status: u16, body: serde_json::Value) -> Answer {
    answer(status, "application/json", body.to_string())
}

pub fn redirect(status: u16, location: &str) -> Answer {
    Response::builder().status(status).header("location", location).body(Body::empty()).unwrap()
}

/// A port of this host that nobody listens on.
pub async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// What `main.rs` does first.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
}
