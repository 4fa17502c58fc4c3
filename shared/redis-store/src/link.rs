//! A connection that follows whichever server holds a part of the keys.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};

use crate::servers::{Holder, Servers};

type Opening = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

/// A connection for commands, shared by its clones. It is made at the first command. Whenever it breaks, times out or
/// turns out to lead to a server that may not write these keys (any more), the next command looks for the right server
/// and connects anew, so that a failover needs no more than a repeated command.
#[derive(Clone)]
pub(crate) struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    servers: Arc<Servers>,
    holder: Holder,
    response_limit: Duration,
    current: Mutex<Current>,
}

/// The connection, or the attempt to make it, with a number that tells it from its successors.
#[derive(Default)]
struct Current {
    number: u64,
    opening: Option<Opening>,
}

impl Link {
    pub(crate) fn new(servers: Arc<Servers>, holder: Holder, response_limit: Duration) -> Self {
        Self { inner: Arc::new(Inner { servers, holder, response_limit, current: Mutex::default() }) }
    }

    /// A connection of one's own to the same server, for commands that take up to `response_limit`.
    pub(crate) async fn dedicated(&self, response_limit: Duration) -> RedisResult<MultiplexedConnection> {
        open(&self.inner.servers, &self.inner.holder, response_limit).await
    }

    /// A connection for subscriptions.
    pub(crate) async fn pubsub(&self) -> RedisResult<PubSub> {
        let limit = self.inner.servers.connect_limit;
        let subscribing = async {
            let client = self.inner.servers.find(&self.inner.holder).await?;
            client.get_async_pubsub().await
        };
        tokio::time::timeout(limit, subscribing).await.unwrap_or_else(|_| Err(too_slow()))
    }

    /// The connection with its number. Callers that come while it is being made share the outcome; the first one after
    /// a failure tries anew.
    pub(crate) async fn connection(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let (number, opening) = self.current();
        match opening.await {
            Ok(connection) => Ok((number, connection)),
            Err(error) => {
                self.forget(number);
                Err(error)
            }
        }
    }

    fn current(&self) -> (u64, Opening) {
        let mut current = self.inner.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opening) = &current.opening {
            return (current.number, opening.clone());
        }
        let (servers, holder) = (self.inner.servers.clone(), self.inner.holder.clone());
        let limit = self.inner.response_limit;
        let opening = async move { open(&servers, &holder, limit).await }.boxed().shared();
        // A task of its own: the caller that began may be dropped, and others wait for the same connection.
        tokio::spawn(opening.clone());
        current.number += 1;
        current.opening = Some(opening.clone());
        (current.number, opening)
    }

    fn forget(&self, number: u64) {
        let mut current = self.inner.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number == number {
            current.opening = None;
        }
    }

    /// Looks at what a connection gave: some errors end it.
    pub(crate) fn judge(&self, number: u64, error: &RedisError) {
        if let Some((address, _)) = error.redirect_node() {
            self.inner.holder.moved_to(address);
        }
        if ends_connection(error) {
            self.forget(number);
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let (number, mut connection) = self.connection().await?;
            let result = connection.send_packed_command(command).await.and_then(Value::extract_error);
            if let Err(error) = &result {
                self.judge(number, error);
            }
            result
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        async move {
            let (number, mut connection) = self.connection().await?;
            let result = connection.send_packed_commands(pipeline, offset, count).await;
            match &result {
                Ok(values) => {
                    for value in values {
                        if let Value::ServerError(error) = value {
                            self.judge(number, &error.clone().into());
                        }
                    }
                }
                Err(error) => self.judge(number, error),
            }
            result
        }
        .boxed()
    }

    fn get_db(&self) -> i64 {
        self.inner.servers.db()
    }
}

async fn open(
    servers: &Servers,
    holder: &Holder,
    response_limit: Duration,
) -> RedisResult<MultiplexedConnection> {
    let limit = servers.connect_limit;
    let opening = async {
        let client = servers.find(holder).await?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(response_limit));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        servers.assert_writable(&mut connection).await?;
        Ok(connection)
    };
    // Looking for the server and connecting each have the limit; together they have twice as long.
    tokio::time::timeout(limit * 2, opening).await.unwrap_or_else(|_| Err(too_slow()))
}

fn too_slow() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// Whether a connection is of no use after this error: it broke, nobody answered in time (a half-open connection looks
/// like that), or its server may not write these keys.
fn ends_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.is_timeout() || is_elsewhere(error)
}

/// Whether the server says that another one holds the keys. Nothing was done then.
pub(crate) fn is_elsewhere(error: &RedisError) -> bool {
    // Before Redis 7, an error of a command inside of a script is only text.
    ["MOVED", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "UNBLOCKED"]
        .iter()
        .any(|code| error.code() == Some(code))
        || error.detail().is_some_and(|text| text.contains("-READONLY "))
}

/// An error of our own, for a server that is not the one to write to.
pub(crate) fn not_the_one(text: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, text))
}
