//! Connections: one shared for commands, one of its own for every blocking read.

use std::time::Duration;

use rand::Rng;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio_util::sync::CancellationToken;

use crate::keys::Keys;
use crate::settings::RedisStoreSettings;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to Redis")]
pub struct ConnectError {
    #[source]
    source: redis::RedisError,
}

impl From<redis::RedisError> for ConnectError {
    fn from(source: redis::RedisError) -> Self {
        Self { source }
    }
}

/// A Redis, ready to be asked. Cheap to clone; clones share one connection for commands.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    commands: ConnectionManager,
    pub(crate) settings: RedisStoreSettings,
    pub(crate) keys: Keys,
}

impl Redis {
    /// Prepares the connection. It is made at the first command, and made again by itself whenever it breaks, so that a
    /// process can start before its Redis.
    pub fn open(settings: RedisStoreSettings) -> Result<Self, ConnectError> {
        let client = Client::open(settings.url.expose().as_str())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_millis(settings.connect_timeout_ms)))
            .set_response_timeout(Some(settings.command_timeout()))
            .set_number_of_retries(0)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(500));
        let commands = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        Ok(Self { client, commands, settings, keys: Keys::of_shard(0) })
    }

    /// The shared connection for commands.
    pub(crate) fn commands(&self) -> ConnectionManager {
        self.commands.clone()
    }

    /// A connection for reads that block up to `block`.
    pub(crate) async fn blocking(&self, block: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_millis(self.settings.connect_timeout_ms)))
            .set_response_timeout(Some(block + self.settings.command_timeout()));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A connection for subscriptions.
    pub(crate) async fn pubsub(&self) -> RedisResult<redis::aio::PubSub> {
        self.client.get_async_pubsub().await
    }
}

/// Waits between failed tries: 40 ms doubling to 1.3 s, half of it by chance, for ever.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Waits, or returns `false` at once when `stop` is cancelled.
    pub(crate) async fn wait(&mut self, stop: &CancellationToken) -> bool {
        self.failures = self.failures.saturating_add(1);
        let full = 40u64 << self.failures.saturating_sub(1).min(5);
        let delay = Duration::from_millis(full / 2 + rand::rng().random_range(0..=full / 2));
        tokio::select! {
            () = tokio::time::sleep(delay) => true,
            () = stop.cancelled() => false,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Runs a command again when the connection broke under it: after a break the first command on a shared connection
/// fails although Redis is back. Only for commands that may run twice.
pub(crate) async fn twice<T, F, Fut>(mut run: F) -> RedisResult<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = RedisResult<T>>,
{
    match run().await {
        Err(error) if error.is_connection_dropped() || error.is_io_error() => run().await,
        other => other,
    }
}
