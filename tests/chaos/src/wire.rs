//! The connections of a process, one proxy for each of its peers.

pub mod front;
pub mod http;
pub mod link;
pub mod redis;
pub mod resp;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::gate::Gate;

/// Bytes read at once: more than any request but the largest uploads.
const READ_BYTES: usize = 256 * 1024;

/// A listening proxy. Dropping it closes it and its connections.
pub struct Proxy {
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Listens on a free port and gives every connection to `converse`, until the life in which it was made ends.
async fn listen<F, Fut>(gate: Arc<Gate>, converse: F) -> Result<Proxy>
where
    F: Fn(TcpStream, Arc<Gate>, u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            while connections.try_join_next().is_some() {}
            let life = gate.life();
            let conversation = converse(stream, gate.clone(), life);
            let gate = gate.clone();
            connections.spawn(async move {
                // Whatever ends it closes both sides, as the end of the process would.
                tokio::select! {
                    _ = conversation => {}
                    () = gate.ended(life) => {}
                }
            });
        }
    });
    Ok(Proxy { address, serving })
}
