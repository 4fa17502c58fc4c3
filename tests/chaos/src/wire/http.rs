//! Between a process and a server that it calls: a provider, or the asset store. Effects are: a request's head, the
//! second piece of it, the beginning of the reply, and the second piece of that.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Proxy;
use crate::gate::{Gate, When};

/// Opens a proxy to `upstream`, called `peer` in reports.
pub async fn open(peer: &'static str, upstream: SocketAddr, gate: Arc<Gate>) -> Result<Proxy> {
    open_as(peer, upstream, None, gate).await
}

/// The same, but the server is told that it was called as `host`: the address of its replies' links.
pub async fn open_as(
    peer: &'static str,
    upstream: SocketAddr,
    host: Option<SocketAddr>,
    gate: Arc<Gate>,
) -> Result<Proxy> {
    super::listen(gate, move |stream, gate, life| converse(peer, stream, upstream, host, gate, life)).await
}

/// Bytes read at once: so few that a process also dies in the middle of a file.
const READ_BYTES: usize = 8 * 1024;

/// The request that is under way on a connection.
#[derive(Default)]
struct Request {
    name: String,
    pieces: usize,
    reply_pieces: usize,
}

async fn converse(
    peer: &'static str,
    process: TcpStream,
    upstream: SocketAddr,
    host: Option<SocketAddr>,
    gate: Arc<Gate>,
    life: u64,
) -> std::io::Result<()> {
    let here = process.local_addr()?;
    let server = TcpStream::connect(upstream).await?;
    process.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_process, mut to_process) = process.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let under_way = Mutex::new(Request::default());
    let with = |change: &dyn Fn(&mut Request)| {
        let mut request = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut request);
        (request.name.clone(), request.pieces, request.reply_pieces)
    };
    let requests = async {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = from_process.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let chunk = &buffer[..count];
            let renamed =
                host.filter(|_| first_line(chunk).is_some()).map(|host| with_host(chunk, here, host));
            let chunk = renamed.as_deref().unwrap_or(chunk);
            let (name, pieces, _) = match first_line(chunk) {
                Some(line) => with(&|request| {
                    *request = Request { name: format!("{peer}: {line}"), pieces: 1, reply_pieces: 0 };
                }),
                None => with(&|request| request.pieces += 1),
            };
            let name = if pieces == 1 { name } else { format!("{name}, more of it") };
            if pieces <= 2 && !gate.passes(life, When::Before, &name) || !gate.is_alive(life) {
                return Ok(());
            }
            to_server.write_all(chunk).await?;
            if pieces == 2 && !gate.passes(life, When::After, &name) {
                return Ok(());
            }
        }
    };
    let replies = async {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = from_server.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let chunk = &buffer[..count];
            if !chunk.starts_with(b"HTTP/1.1 100") {
                let (name, _, pieces) = with(&|request| request.reply_pieces += 1);
                let name = if pieces == 1 { name } else { format!("{name}, more of the reply") };
                if pieces <= 2 && !gate.passes(life, When::After, &name) {
                    return Ok(());
                }
            }
            if !gate.is_alive(life) {
                return Ok(());
            }
            to_process.write_all(chunk).await?;
        }
    };
    tokio::select! {
        ended = requests => ended,
        ended = replies => ended,
    }
}

/// The head with the address `here` replaced.
fn with_host(head: &[u8], here: SocketAddr, host: SocketAddr) -> Vec<u8> {
    let here = here.to_string();
    let Some(at) = head.windows(here.len()).position(|window| window == here.as_bytes()) else {
        return head.to_vec();
    };
    [&head[..at], host.to_string().as_bytes(), &head[at + here.len()..]].concat()
}

/// `POST /path` when a request begins here.
fn first_line(chunk: &[u8]) -> Option<String> {
    let is_head =
        [&b"GET "[..], b"PUT ", b"POST ", b"HEAD ", b"DELETE "].iter().any(|verb| chunk.starts_with(verb));
    let line = chunk.split(|byte| *byte == b'\r').next().filter(|_| is_head)?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (verb, target) = (words.next()?, words.next()?);
    let path = target.split('?').next()?;
    // Ids and keys make every path different; a report needs the kind.
    let shown = match path.rsplit('/').next()? {
        name if name.contains('.') => format!("*{}", &name[name.find('.')?..]),
        name if name.len() >= 20 => path.trim_end_matches(name).to_owned() + "*",
        _ => path.to_owned(),
    };
    Some(format!("{verb} {shown}"))
}
