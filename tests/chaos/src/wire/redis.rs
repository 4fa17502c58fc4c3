//! Between a process and Redis. An effect is a command that names the job, or whose reply does: what an idle process
//! asks again and again is none.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Proxy;
use super::resp::{Frames, PROMOTE, has_moved, name_of};
use crate::gate::{Gate, When};

/// Opens a proxy to the Redis at `upstream`.
pub async fn open(upstream: SocketAddr, gate: Arc<Gate>) -> Result<Proxy> {
    super::listen(gate, move |stream, gate, life| converse(stream, upstream, gate, life)).await
}

struct Call {
    name: String,
    concerns: bool,
}

async fn converse(
    process: TcpStream,
    upstream: SocketAddr,
    gate: Arc<Gate>,
    life: u64,
) -> std::io::Result<()> {
    let redis = TcpStream::connect(upstream).await?;
    process.set_nodelay(true)?;
    redis.set_nodelay(true)?;
    let (from_process, mut to_process) = process.into_split();
    let (from_redis, mut to_redis) = redis.into_split();
    let calls = Mutex::new(VecDeque::<Call>::new());
    let commands = async {
        let mut frames = Frames::new(from_process);
        while let Some(frame) = frames.next().await? {
            let call = Call { name: format!("redis: {}", name_of(&frame)), concerns: gate.concerns(&frame) };
            if call.concerns && !gate.passes(life, When::Before, &call.name) || !gate.is_alive(life) {
                return Ok(());
            }
            calls.lock().unwrap_or_else(PoisonError::into_inner).push_back(call);
            to_redis.write_all(&frame).await?;
        }
        Ok(())
    };
    let replies = async {
        let mut frames = Frames::new(from_redis);
        while let Some(frame) = frames.next().await? {
            // Messages of a subscription answer no command.
            let call = calls.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            if let Some(call) = call {
                let has_promoted = call.name.ends_with(PROMOTE) && has_moved(&frame);
                let is_effect = call.concerns || gate.concerns(&frame) || has_promoted;
                if is_effect && !gate.passes(life, When::After, &call.name) {
                    return Ok(());
                }
            }
            if !gate.is_alive(life) {
                return Ok(());
            }
            to_process.write_all(&frame).await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = commands => ended,
        ended = replies => ended,
    }
}
