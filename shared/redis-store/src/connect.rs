//! The way to the servers: one shared connection for the commands of each shard, one of its own for every blocking
//! read.

use std::sync::Arc;
use std::time::Duration;

use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use rand::Rng;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::common_time::CommonTime;
use crate::confirm::Confirming;
use crate::keys::{self, CONTROL_TAG, Keys};
use crate::link::{Link, is_elsewhere};
use crate::servers::{Holder, Servers};
use crate::settings::RedisStoreSettings;

/// Longest wait for an answer to the control queue. Any error ends its worker, so a stall should not be one.
const CONTROL_RESPONSE_LIMIT: Duration = Duration::from_secs(5);

/// An address or a certificate is of no use.
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

/// All shards, ready to be asked. Cheap to clone; clones share their connections for commands.
#[derive(Clone)]
pub struct Redis {
    shards: Arc<[Shard]>,
    groups: Arc<[Group]>,
    control: Link,
    is_cluster: bool,
    pub(crate) time: CommonTime,
    pub(crate) settings: Arc<RedisStoreSettings>,
    /// Set once the servers have said that they hold as many shards as the settings say.
    pub(crate) is_confirmed: Arc<OnceCell<()>>,
}

/// One part of the jobs, with everything that belongs to them. A script touches the keys of one shard.
#[derive(Clone)]
pub(crate) struct Shard {
    link: Link,
    pub(crate) confirming: Confirming,
    pub(crate) time: CommonTime,
    pub(crate) settings: Arc<RedisStoreSettings>,
    pub(crate) keys: Keys,
}

/// Shards that are known to be on one server.
pub(crate) struct Group {
    pub(crate) link: Link,
    pub(crate) shards: Vec<Shard>,
}

impl Redis {
    /// Prepares the connections. They are made at the first command, and made again by themselves whenever they break,
    /// so that a process can start before its Redis.
    pub fn open(settings: RedisStoreSettings) -> Result<Self, ConnectError> {
        let servers = Arc::new(Servers::of(&settings)?);
        let settings = Arc::new(settings);
        let time = CommonTime::default();
        let limit = settings.command_timeout();
        let link = |server, tag: &str| Link::new(servers.clone(), Holder::new(server, tag), limit);
        let shard = |link: &Link, confirming: &Confirming, number| Shard {
            link: link.clone(),
            confirming: confirming.clone(),
            time: time.clone(),
            settings: settings.clone(),
            keys: Keys::of_shard(number),
        };
        let count = settings.shards.max(1);
        let groups: Vec<Group> = if servers.is_cluster() {
            // Which shards share a node is the cluster's matter, and changes.
            (0..count)
                .map(|number| {
                    let tag = keys::tag(number);
                    let confirming = Confirming::new(link(0, &tag));
                    let link = link(0, &tag);
                    Group { shards: vec![shard(&link, &confirming, number)], link }
                })
                .collect()
        } else {
            let servers = servers.count().max(1);
            (0..servers.min(usize::from(count)))
                .map(|server| {
                    let confirming = Confirming::new(link(server, ""));
                    let link = link(server, "");
                    let shards = (0..count).skip(server).step_by(servers);
                    Group { shards: shards.map(|number| shard(&link, &confirming, number)).collect(), link }
                })
                .collect()
        };
        let mut shards: Vec<Shard> = groups.iter().flat_map(|group| group.shards.iter().cloned()).collect();
        shards.sort_by_key(|shard| shard.keys.number());
        let control =
            Link::new(servers.clone(), Holder::new(0, CONTROL_TAG), limit.max(CONTROL_RESPONSE_LIMIT));
        Ok(Self {
            shards: shards.into(),
            groups: groups.into(),
            control,
            is_cluster: servers.is_cluster(),
            time,
            settings,
            is_confirmed: Arc::default(),
        })
    }

    /// The time of all programs on this Redis. [`crate::preflight::wait`] brings its first reading.
    pub fn time(&self) -> CommonTime {
        self.time.clone()
    }

    /// All shards, by number.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// All shards, by server where that is known.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Whether a server may be asked only for the keys of its own slots.
    pub(crate) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// Where a job is, with everything that belongs to it.
    pub(crate) fn of_job(&self, id: &JobId) -> &Shard {
        // Reading an id costs more than many a command; with one shard there is nothing to decide.
        if self.shards.len() == 1 { self.shard(0) } else { self.shard(id.spread()) }
    }

    /// Where an asset is: with its job.
    pub(crate) fn of_asset(&self, id: &AssetId) -> &Shard {
        self.shard(id.spread())
    }

    /// Where the months of a workspace's costs are.
    pub(crate) fn of_workspace(&self, workspace: &WorkspaceId) -> &Shard {
        self.shard(keys::spread_of_key(workspace, ""))
    }

    /// An id for a job that comes with this idempotency key, or with none. Key and job are looked at by one script.
    pub(crate) fn new_job_id(&self, workspace: &WorkspaceId, key: Option<&str>) -> JobId {
        match key {
            Some(key) if self.shards.len() > 1 => {
                JobId::with_spread(self.any_spread_like(keys::spread_of_key(workspace, key)))
            }
            Some(_) | None => JobId::new(),
        }
    }

    /// Whether the key of this workspace is looked for where the job is.
    pub(crate) fn fits(&self, id: &JobId, workspace: &WorkspaceId, key: &str) -> bool {
        let of_key = self.shard(keys::spread_of_key(workspace, key));
        of_key.keys.number() == self.of_job(id).keys.number()
    }

    /// The shard of this number of an id.
    pub(crate) fn of_spread(&self, spread: u16) -> &Shard {
        self.shard(spread)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "`open` makes at least one shard, and a remainder is less than their count"
    )]
    fn shard(&self, spread: u16) -> &Shard {
        &self.shards[usize::from(spread) % self.shards.len()]
    }

    /// The connection for the control queue, which is on the first server, or wherever a cluster has put it.
    pub(crate) fn control(&self) -> Link {
        self.control.clone()
    }
}

impl Shard {
    /// The shared connection for commands.
    pub(crate) fn commands(&self) -> Link {
        self.link.clone()
    }

    /// A connection for reads that block up to `block`.
    pub(crate) async fn blocking(&self, block: Duration) -> RedisResult<MultiplexedConnection> {
        self.link.dedicated(block + self.settings.command_timeout()).await
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

/// Runs a command again when the connection broke under it, or led to a server that does not hold the keys any more:
/// after that the first command on a shared connection fails although Redis is back. Only for commands that may run
/// twice.
pub(crate) async fn twice<T, F, Fut>(mut run: F) -> RedisResult<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = RedisResult<T>>,
{
    match run().await {
        Err(error) if error.is_connection_dropped() || error.is_io_error() || is_elsewhere(&error) => {
            run().await
        }
        other => other,
    }
}
