//! Reads the events of all listened workspaces of one server, by one blocking connection.

use std::sync::Arc;
use std::time::Duration;

use atelier_domain::events::{EntryId, JobEvent};
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamReadReply};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::backlog::is_gap;
use super::entry;
use super::hub::{Hub, Wanted};
use crate::connect::{Backoff, Group};
use crate::link::Link;

/// Entries of each stream in one answer.
const COUNT: usize = 500;

struct Reader {
    hub: Arc<Hub>,
    group: usize,
    changes: watch::Receiver<u64>,
    /// The connection, and what the server calls it.
    connection: Option<(MultiplexedConnection, i64)>,
}

/// Reads until `stop`; comes back by itself after every break, and goes on where it was.
pub(super) async fn run(hub: Arc<Hub>, group: usize, stop: CancellationToken) {
    let changes = hub.changes();
    let mut reader = Reader { hub, group, changes, connection: None };
    let mut backoff = Backoff::default();
    let mut has_broken = false;
    loop {
        let round = async {
            if has_broken {
                reader.look_for_gaps().await?;
            }
            reader.round().await
        };
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = round => outcome,
        };
        match outcome {
            Ok(()) => {
                backoff.reset();
                has_broken = false;
            }
            Err(error) => {
                warn!(error = %error, "events of jobs wait for redis");
                reader.connection = None;
                has_broken = true;
                if !backoff.wait(&stop).await {
                    return;
                }
            }
        }
    }
}

impl Reader {
    fn group(&self) -> RedisResult<&Group> {
        self.hub.redis().groups().get(self.group).ok_or_else(|| crate::link::not_the_one("no such server"))
    }

    /// Waits for entries, at most as long as a read blocks, or until other streams are wanted.
    async fn round(&mut self) -> RedisResult<()> {
        self.changes.borrow_and_update();
        let wanted = self.hub.wanted(&self.group()?.shards);
        if wanted.is_empty() {
            // Its sender lives as long as the hub.
            let _ = self.changes.changed().await;
            return Ok(());
        }
        let reply = self.read(&wanted).await?;
        for stream in reply.keys {
            let Some(from) = wanted.iter().find(|wanted| wanted.key() == stream.key) else { continue };
            self.hub.tell(from, stream.ids.iter().filter_map(read_entry).collect());
        }
        Ok(())
    }

    async fn read(&mut self, wanted: &[Wanted]) -> RedisResult<StreamReadReply> {
        let block = self.hub.redis().settings.block();
        let (mut connection, client) = self.connect(block).await?;
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(COUNT).arg("BLOCK").arg(block.as_millis().max(1).to_string()).arg("STREAMS");
        for stream in wanted {
            read.arg(stream.key());
        }
        for stream in wanted {
            read.arg(stream.read.to_string());
        }
        let reading = read.query_async::<StreamReadReply>(&mut connection);
        tokio::pin!(reading);
        let mut commands = self.group()?.link.clone();
        let mut is_asked = false;
        loop {
            tokio::select! {
                reply = &mut reading => return reply,
                _ = self.changes.changed(), if !is_asked => is_asked = true,
                () = unblock(&mut commands, client), if is_asked => {}
            }
        }
    }

    async fn connect(&mut self, block: Duration) -> RedisResult<(MultiplexedConnection, i64)> {
        if let Some((connection, client)) = &self.connection {
            return Ok((connection.clone(), *client));
        }
        let limit = block + self.hub.redis().settings.command_timeout();
        let mut connection = self.group()?.link.dedicated(limit).await?;
        let client: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut connection).await?;
        self.connection = Some((connection.clone(), client));
        Ok((connection, client))
    }

    /// After a break: the server may have come back without the marks, or have dropped what was not read.
    async fn look_for_gaps(&self) -> RedisResult<()> {
        let shards = &self.group()?.shards;
        for stream in self.hub.wanted(shards) {
            if is_gap(&stream.shard, &stream.key(), stream.read).await? {
                debug!(workspace.id = %stream.workspace, "events were dropped before they were read");
                self.hub.tell_gap(&stream.workspace);
            }
        }
        self.hub.renew_marks(shards).await
    }
}

/// An entry, with its event unless another build wrote it.
pub(super) fn read_entry(entry: &StreamId) -> Option<(EntryId, Option<JobEvent>)> {
    Some((entry.id.parse().ok()?, entry::event_of(&entry::fields_of(entry))))
}

/// Unblocks the read; called again and again until it has ended, as an unblock before it began is lost.
async fn unblock(commands: &mut Link, client: i64) {
    let _: RedisResult<i64> = redis::cmd("CLIENT").arg("UNBLOCK").arg(client).query_async(commands).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
}
