//! A proxy that makes faults. It hands on the `Host` header and every other byte of a request as they are, so that
//! signatures hold; it only adds `connection: close`, so that each request has its own connection and its own fault.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code>\
    <Message>Please reduce your request rate.</Message></Error>";

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Answers 503 `SlowDown`.
    SlowDown,
    /// Cuts the connection after so many bytes of the body.
    CutRequest { after_bytes: usize },
    /// Lets the server do it, and cuts the connection instead of answering.
    CutReply,
    /// Cuts the connection after so many bytes of the reply, its head among them.
    CutReplyAfter(usize),
    /// Says nothing more after so many bytes of the reply, and keeps the connection.
    HoldReplyAfter(usize),
    /// Hands the request on later.
    Delay(Duration),
    /// Never answers.
    Silence,
}

struct Rule {
    method: &'static str,
    target_part: &'static str,
    fault: Fault,
    left: usize,
}

#[derive(Default)]
struct Script {
    rules: Vec<Rule>,
    requests: Vec<String>,
}

/// Runs until it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    serving: tokio::task::JoinHandle<()>,
}

impl FaultProxy {
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let script = Arc::clone(&shared);
                // A cut connection is what this is for.
                connections.spawn(async move { drop(serve(client, upstream, &script).await) });
            }
        });
        Self { address, script, serving }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the next `times` requests with this method, and this in their target, meet this fault.
    pub fn on(&self, method: &'static str, target_part: &'static str, fault: Fault, times: usize) {
        self.script.lock().unwrap().rules.push(Rule { method, target_part, fault, left: times });
    }

    /// How many requests of this sort came.
    pub fn seen(&self, method: &str, target_part: &str) -> usize {
        let script = self.script.lock().unwrap();
        script.requests.iter().filter(|line| line.starts_with(method) && line.contains(target_part)).count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut client: TcpStream, upstream: SocketAddr, script: &Mutex<Script>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let line_end = head.windows(2).position(|pair| pair == b"\r\n").unwrap();
    let line = String::from_utf8_lossy(&head[..line_end]).into_owned();
    let fault = next_fault(&mut script.lock().unwrap(), &line);
    head.splice(line_end..line_end, *b"\r\nconnection: close");
    match fault {
        Some(Fault::SlowDown) => {
            let length = SLOW_DOWN.len();
            let reply = format!(
                "HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{SLOW_DOWN}"
            );
            client.write_all(reply.as_bytes()).await?;
            client.shutdown().await?;
            // Closing before the body is read would reset the connection and lose the reply.
            tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop)
        }
        Some(Fault::CutRequest { after_bytes }) => {
            let mut body = vec![0; after_bytes];
            client.read_exact(&mut body).await.map(drop)
        }
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::CutReply) => {
            let mut server = TcpStream::connect(upstream).await?;
            server.write_all(&head).await?;
            let (mut from_client, _keep_open) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let mut reply = Vec::new();
            tokio::select! {
                read = from_server.read_to_end(&mut reply) => read.map(drop),
                sent = tokio::io::copy(&mut from_client, &mut to_server) => sent.map(drop),
            }
        }
        Some(Fault::CutReplyAfter(bytes)) => pass_part(&mut client, upstream, &head, bytes).await,
        Some(Fault::HoldReplyAfter(bytes)) => {
            pass_part(&mut client, upstream, &head, bytes).await?;
            std::future::pending().await
        }
        Some(Fault::Delay(pause)) => {
            tokio::time::sleep(pause).await;
            pass(client, upstream, &head).await
        }
        None => pass(client, upstream, &head).await,
    }
}

async fn pass(mut client: TcpStream, upstream: SocketAddr, head: &[u8]) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(head).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// The request has no body.
async fn pass_part(
    client: &mut TcpStream,
    upstream: SocketAddr,
    head: &[u8],
    bytes: usize,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(head).await?;
    tokio::io::copy(&mut server.take(bytes as u64), client).await.map(drop)
}

fn next_fault(script: &mut Script, line: &str) -> Option<Fault> {
    script.requests.push(line.to_owned());
    let rule = script
        .rules
        .iter_mut()
        .find(|rule| rule.left > 0 && line.starts_with(rule.method) && line.contains(rule.target_part))?;
    rule.left -= 1;
    Some(rule.fault)
}
