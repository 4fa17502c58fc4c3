//! A lean HTTP/1.1 client: what it takes itself must be little beside what it measures.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::report::percentile;

/// Longest wait for one answer.
const LIMIT: Duration = Duration::from_secs(60);

/// What some requests took.
pub struct Exchanges {
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Milliseconds from a request's first byte to its answer's last.
    pub p99_ms: f64,
}

/// Sends `count` requests over `connections` that stay open, the next on each as soon as its answer is there. Every
/// answer must have `status`.
pub fn send_all(
    address: SocketAddr,
    connections: usize,
    count: usize,
    status: u16,
    request: impl Fn(usize) -> Vec<u8>,
) -> Result<Exchanges> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let next = AtomicUsize::new(0);
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let since = Instant::now();
        let converse = |mut stream: TcpStream| {
            let (next, request) = (&next, &request);
            async move {
                let (mut times, mut answer) = (Vec::new(), Vec::new());
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= count {
                        return Ok::<_, anyhow::Error>(times);
                    }
                    let bytes = request(place);
                    let begun = Instant::now();
                    stream.write_all(&bytes).await?;
                    let found = tokio::time::timeout(LIMIT, read_answer(&mut stream, &mut answer)).await??;
                    ensure!(found == status, "{found}: {}", String::from_utf8_lossy(&answer));
                    times.push(begun.elapsed().as_secs_f64() * 1000.0);
                }
            }
        };
        let times = futures::future::try_join_all(streams.into_iter().map(converse)).await?.concat();
        ensure!(times.len() == count, "{} answers for {count} requests", times.len());
        Ok(Exchanges { seconds: since.elapsed().as_secs_f64(), p99_ms: percentile(&times, 0.99) })
    })
}

/// Reads one whole answer into `answer` and gives its status.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<u16> {
    answer.clear();
    loop {
        let length = stream.read_buf(answer).await?;
        ensure!(length > 0, "the connection was closed");
        let Some(end) = answer.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(answer.get(..end).context("a head")?)?.to_owned();
        let whole = end + 4 + length_of(&head)?;
        while answer.len() < whole {
            ensure!(stream.read_buf(answer).await? > 0, "the answer broke off");
        }
        return status_of(&head);
    }
}

fn length_of(head: &str) -> Result<usize> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut found = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Ok(found.next().context("the answer has no length")?.1.trim().parse()?)
}

fn status_of(head: &str) -> Result<u16> {
    Ok(head.split(' ').nth(1).context("the answer has no status")?.parse()?)
}

/// A whole POST of JSON.
pub fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: load\r\n{headers}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Asks once and gives status and body.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    ask(address, format!("GET {path} HTTP/1.1\r\nhost: load\r\nconnection: close\r\n\r\n").as_bytes())
}

/// Sends one request, which closes its connection, and gives status and body of the answer.
pub fn ask(address: SocketAddr, request: &[u8]) -> Result<(u16, String)> {
    let mut stream = std::net::TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { bail!("no answer: {text}") };
    Ok((status_of(head)?, body.to_owned()))
}
