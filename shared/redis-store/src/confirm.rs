//! Changes of jobs that count only when replicas have them, where the settings ask for that.
//!
//! Replication is asynchronous: a master that dies takes with it what no replica has yet, although it was answered. A
//! lost admission is a job that was accepted and is gone; a lost intent would be paid a second time. With
//! `confirm_replicas` the answer comes after as many replicas have said that they have the change. The replica that a
//! failover makes the master has everything that any of them had, so nothing that was answered is lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, RedisError, RedisResult, ScriptInvocation};

use crate::connect::Shard;
use crate::link::Link;

/// How long replicas that were there are taken to be there still.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long replicas may take to show that they are there, before anything is begun. Short, as everybody else at this
/// connection waits meanwhile, and whoever asked asks again.
const PRESENT_WITHIN: Duration = Duration::from_millis(100);

/// A connection on which nothing but such changes is sent: `WAIT` holds up whatever comes after it.
#[derive(Clone)]
pub(crate) struct Confirming {
    link: Link,
    /// Which connection had its last change confirmed, and when.
    last: Arc<Mutex<Option<(u64, Instant)>>>,
}

impl Confirming {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, last: Arc::default() }
    }

    fn is_trusted(&self, number: u64) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|(confirmed, when)| confirmed == number && when.elapsed() < TRUSTED_FOR)
    }

    fn trust(&self, number: u64) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, Instant::now()));
    }
}

impl Shard {
    /// Runs a script that changes jobs. An error may come after the change: it is for those who run it again.
    pub(crate) async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> RedisResult<T> {
        if self.settings.confirm_replicas == 0 {
            return call.invoke_async(&mut self.commands()).await;
        }
        let confirming = &self.confirming;
        // All on one connection: a new one may lead to another master, which would confirm what it does not have.
        let (number, mut connection) = confirming.link.connection().await?;
        let outcome = async {
            // Without replicas nothing is begun: a claim that is not used counts against the job.
            if !confirming.is_trusted(number) {
                self.confirm(&mut connection, PRESENT_WITHIN).await?;
            }
            let reply = call.invoke_async(&mut connection).await?;
            // Half the time of an answer, so that the answer comes.
            self.confirm(&mut connection, self.settings.command_timeout() / 2).await?;
            Ok(reply)
        }
        .await;
        match &outcome {
            Ok(_) => confirming.trust(number),
            Err(error) => confirming.link.judge(number, error),
        }
        outcome
    }

    async fn confirm(&self, connection: &mut MultiplexedConnection, limit: Duration) -> RedisResult<()> {
        let wanted = u64::from(self.settings.confirm_replicas);
        // `WAIT` is about this connection's own writes; a script that finds its work done has written nothing.
        let confirmed: u64 = redis::pipe()
            .cmd("SET")
            .arg(self.keys.fence())
            .arg(1)
            .ignore()
            .cmd("WAIT")
            .arg(wanted)
            .arg(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1))
            .query_async::<(u64,)>(connection)
            .await?
            .0;
        if confirmed < wanted { Err(unconfirmed()) } else { Ok(()) }
    }
}

fn unconfirmed() -> RedisError {
    RedisError::from((ErrorKind::Client, "too few replicas have confirmed a change"))
}
