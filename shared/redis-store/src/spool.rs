//! Keeps bytes that came with a paid reply, in Redis, until the asset store has them.

use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::ids::JobId;
use atelier_domain::job::Epoch;
use atelier_domain::ports::{ByteStream, SourceBroken, Spool, SpoolError};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use redis::{AsyncCommands, RedisResult};
use tokio_util::sync::CancellationToken;

use crate::connect::{Backoff, Redis, Shard, twice};

/// Bytes of one command.
const CHUNK: usize = 512 * 1024;

/// [`Spool`] on Redis. Survives what records survive; counts against Redis' memory until the asset store took over.
#[derive(Clone)]
pub struct RedisSpool {
    redis: Redis,
    stop: CancellationToken,
}

impl RedisSpool {
    /// A spool; after `stop` it no longer waits for a Redis that is away.
    pub fn new(redis: Redis, stop: CancellationToken) -> Self {
        Self { redis, stop }
    }

    /// Writes at an offset, so that repeating after a lost answer changes nothing. What is being written is paid for:
    /// it waits for Redis as long as the process lives.
    async fn write(&self, shard: &Shard, key: &str, offset: u64, chunk: &[u8]) -> Result<(), SpoolError> {
        let mut backoff = Backoff::default();
        loop {
            let written: RedisResult<()> = redis::pipe()
                .atomic()
                .cmd("SETRANGE")
                .arg(key)
                .arg(offset)
                .arg(chunk)
                .ignore()
                .cmd("EXPIRE")
                .arg(key)
                .arg(self.redis.settings.retention_s)
                .ignore()
                .query_async(&mut shard.commands())
                .await;
            match written {
                Ok(()) => return Ok(()),
                Err(error) if !backoff.wait(&self.stop).await => {
                    return Err(SpoolError::Unavailable(Box::new(error)));
                }
                Err(error) => tracing::warn!(error = %error, "a paid reply waits for redis"),
            }
        }
    }
}

#[async_trait]
impl Spool for RedisSpool {
    async fn keep(
        &self,
        job: &JobId,
        epoch: Epoch,
        index: u16,
        mut bytes: ByteStream,
    ) -> Result<u64, SpoolError> {
        let shard = self.redis.of_job(job);
        let key = shard.keys.spool(job, epoch.0, index);
        let limit_bytes = self.redis.settings.spool_limit_bytes;
        let mut written = 0u64;
        let mut pending = BytesMut::new();
        let outcome = async {
            while let Some(chunk) = bytes.next().await {
                pending.extend_from_slice(&chunk?);
                if written + pending.len() as u64 > limit_bytes {
                    return Err(SpoolError::TooLarge { limit_bytes });
                }
                while pending.len() >= CHUNK {
                    let part = pending.split_to(CHUNK);
                    self.write(shard, &key, written, &part).await?;
                    written += part.len() as u64;
                }
            }
            if !pending.is_empty() {
                self.write(shard, &key, written, &pending).await?;
                written += pending.len() as u64;
            }
            Ok(written)
        }
        .await;
        if outcome.is_err() {
            let _ = self.forget(job, epoch, index).await;
        }
        outcome
    }

    async fn read(&self, job: &JobId, epoch: Epoch, index: u16) -> Result<ByteStream, SpoolError> {
        let shard = self.redis.of_job(job);
        let key = shard.keys.spool(job, epoch.0, index);
        let length: u64 = twice(|| async { shard.commands().strlen(&key).await })
            .await
            .map_err(|error| SpoolError::Unavailable(Box::new(error)))?;
        if length == 0 {
            return Err(SpoolError::Gone);
        }
        let shard = shard.clone();
        let parts = futures::stream::try_unfold(0u64, move |from| {
            let (shard, key) = (shard.clone(), key.clone());
            async move {
                if from >= length {
                    return Ok(None);
                }
                let to = (from + CHUNK as u64).min(length) - 1;
                let part: Vec<u8> = twice(|| async {
                    redis::cmd("GETRANGE")
                        .arg(&key)
                        .arg(from)
                        .arg(to)
                        .query_async(&mut shard.commands())
                        .await
                })
                .await
                .map_err(|error: redis::RedisError| SourceBroken {
                    message: format!("the spool: {error}"),
                })?;
                if part.len() as u64 != to - from + 1 {
                    return Err(SourceBroken { message: "the spool lost its bytes".to_owned() });
                }
                Ok(Some((Bytes::from(part), to + 1)))
            }
        });
        Ok(Box::pin(parts))
    }

    async fn forget(&self, job: &JobId, epoch: Epoch, index: u16) -> Result<(), SpoolError> {
        let shard = self.redis.of_job(job);
        let key = shard.keys.spool(job, epoch.0, index);
        let limit = Duration::from_millis(self.redis.settings.command_timeout_ms);
        // UNLINK frees the memory in the background. If it fails the key's TTL does it.
        let removal = tokio::time::timeout(limit, async {
            redis::cmd("UNLINK").arg(&key).query_async::<()>(&mut shard.commands()).await
        });
        match removal.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(SpoolError::Unavailable(Box::new(error))),
            Err(elapsed) => Err(SpoolError::Unavailable(Box::new(elapsed))),
        }
    }
}
