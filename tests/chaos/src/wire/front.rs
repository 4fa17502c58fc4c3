//! Between a caller and the api: an address that stays when the api is started again. The effect is the answer that
//! leaves the api.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{Proxy, READ_BYTES};
use crate::gate::{Gate, When};

/// Opens a proxy to wherever the api listens now. While it listens nowhere, connections are closed at once.
pub async fn open(api: watch::Receiver<Option<SocketAddr>>, gate: Arc<Gate>) -> Result<Proxy> {
    super::listen(gate, move |stream, gate, life| {
        let address = *api.borrow();
        converse(stream, address, gate, life)
    })
    .await
}

async fn converse(
    caller: TcpStream,
    api: Option<SocketAddr>,
    gate: Arc<Gate>,
    life: u64,
) -> std::io::Result<()> {
    let Some(api) = api else { return Ok(()) };
    let api = TcpStream::connect(api).await?;
    caller.set_nodelay(true)?;
    api.set_nodelay(true)?;
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_api, mut to_api) = api.into_split();
    let requests = async { tokio::io::copy(&mut from_caller, &mut to_api).await.map(drop) };
    let answers = async {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = from_api.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let chunk = &buffer[..count];
            let name = format!("caller: answer {}", status(chunk));
            if !gate.passes(life, When::Before, &name) {
                return Ok(());
            }
            to_caller.write_all(chunk).await?;
            if !gate.passes(life, When::After, &name) {
                // What was written is on its way before the connection closes.
                return to_caller.shutdown().await;
            }
        }
    };
    tokio::select! {
        ended = requests => ended,
        ended = answers => ended,
    }
}

fn status(chunk: &[u8]) -> String {
    let text = chunk.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or(b"...");
    String::from_utf8_lossy(text).into_owned()
}
