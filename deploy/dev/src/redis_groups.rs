//! Several real servers that belong together: a Redis Cluster, and a master with replicas and sentinels.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::redis_server::{RedisServer, find_full_program};

/// Longest wait for servers to agree.
const AGREE_LIMIT: Duration = Duration::from_secs(30);
/// After how long without a sign a server counts as dead, in milliseconds. Production waits longer.
const DEAD_AFTER_MS: u32 = 1_000;
/// Hash slots of a cluster.
const SLOTS: usize = 16_384;
/// The name by which the sentinels know the master.
pub const MASTER: &str = "main";

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A Redis Cluster. Dropping it kills all nodes.
pub struct RedisCluster {
    /// The masters as they were at the start, by their slots, then their replicas in the same order.
    pub nodes: Vec<RedisServer>,
    masters: usize,
}

impl RedisCluster {
    /// Starts `masters` that share the slots, each with a replica if they are to have some. Ready when it returns.
    pub fn start(folder: &Path, masters: usize, has_replicas: bool) -> Result<Self> {
        let count = if has_replicas { 2 * masters } else { masters };
        let timeout = DEAD_AFTER_MS.to_string();
        let mut nodes = Vec::new();
        for number in 0..count {
            let mut more = vec!["--cluster-enabled", "yes", "--cluster-node-timeout", &timeout];
            // Short, as everything here: a master that is gone must be replaced within seconds.
            more.extend(["--repl-ping-replica-period", "1", "--repl-diskless-sync-delay", "0"]);
            more.extend(DURABLE);
            nodes.push(RedisServer::start_with(
                find_full_program()?,
                &folder.join(format!("node{number}")),
                &more,
            )?);
        }
        let cluster = Self { nodes, masters };
        cluster.join()?;
        Ok(cluster)
    }

    fn join(&self) -> Result<()> {
        let (masters, replicas) = self.nodes.split_at(self.masters);
        for (number, master) in masters.iter().enumerate() {
            let first = SLOTS * number / self.masters;
            let last = SLOTS * (number + 1) / self.masters - 1;
            expect_ok(master, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
            // Each with an epoch of its own from the start, or they would have to settle who is right.
            expect_ok(master, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()])?;
        }
        let first = self.nodes.first().context("a cluster has nodes")?;
        for other in self.nodes.iter().skip(1) {
            expect_ok(other, &["CLUSTER", "MEET", "127.0.0.1", &first.port().to_string()])?;
        }
        let count = self.nodes.len();
        until("the nodes to know each other", || {
            self.nodes
                .iter()
                .all(|node| says(node, &["CLUSTER", "INFO"], &format!("cluster_known_nodes:{count}\r")))
        })?;
        for (master, replica) in masters.iter().zip(replicas) {
            let id = master.ask(&["CLUSTER", "MYID"])?;
            expect_ok(replica, &["CLUSTER", "REPLICATE", &id])?;
        }
        until("the cluster to work", || {
            self.nodes.iter().all(|node| says(node, &["CLUSTER", "INFO"], "cluster_state:ok"))
                && replicas
                    .iter()
                    .all(|replica| says(replica, &["INFO", "replication"], "master_link_status:up"))
                && masters
                    .iter()
                    .zip(replicas)
                    .all(|(master, _)| says(master, &["INFO", "replication"], "state=online"))
        })
    }

    /// Waits until the replica of the `number`th master is a master itself.
    pub fn wait_for_heir(&self, number: usize) -> Result<()> {
        let heir = self.nodes.get(self.masters + number).context("the cluster has replicas")?;
        until("the replica to take over", || says(heir, &["INFO", "replication"], "role:master"))
    }

    /// The URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }
}

/// A master with two replicas, and three sentinels that watch them. Dropping it kills all.
pub struct SentinelGroup {
    /// The master as it was at the start, and its replicas.
    pub servers: Vec<RedisServer>,
    /// Those who watch.
    pub sentinels: Vec<RedisServer>,
}

impl SentinelGroup {
    /// Starts all of them. Ready when it returns.
    pub fn start(folder: &Path) -> Result<Self> {
        let more = ["--repl-ping-replica-period", "1", "--repl-diskless-sync-delay", "0"];
        let more: Vec<&str> = more.into_iter().chain(DURABLE).collect();
        let program = find_full_program()?;
        let master = RedisServer::start_with(program.clone(), &folder.join("first"), &more)?;
        let port = master.port().to_string();
        let of_master = format!("127.0.0.1 {port}");
        let of_replica: Vec<&str> =
            ["--replicaof", &of_master].into_iter().chain(more.iter().copied()).collect();
        let mut servers = vec![master];
        for name in ["second", "third"] {
            servers.push(RedisServer::start_with(program.clone(), &folder.join(name), &of_replica)?);
        }
        let follow = |server: &RedisServer| says(server, &["INFO", "replication"], "master_link_status:up");
        until("the replicas to follow", || servers.iter().skip(1).all(follow))?;
        let settings = format!(
            "sentinel monitor {MASTER} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {MASTER} {DEAD_AFTER_MS}\n\
             sentinel failover-timeout {MASTER} 5000\n"
        );
        let sentinels = (0..3)
            .map(|number| {
                let folder = folder.join(format!("sentinel{number}"));
                RedisServer::start_sentinel(program.clone(), &folder, &settings)
            })
            .collect::<Result<Vec<_>>>()?;
        until("the sentinels to know each other and the replicas", || {
            sentinels.iter().all(|sentinel| says(sentinel, &["INFO", "sentinel"], "slaves=2,sentinels=3"))
        })?;
        Ok(Self { servers, sentinels })
    }

    /// The URLs of the sentinels.
    pub fn sentinel_urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// The URL that names the master.
    pub fn master_url(&self) -> String {
        format!("redis://{MASTER}/0")
    }
}

fn says(server: &RedisServer, command: &[&str], text: &str) -> bool {
    server.ask(command).is_ok_and(|answer| answer.contains(text))
}

fn expect_ok(server: &RedisServer, command: &[&str]) -> Result<()> {
    match server.ask(command)? {
        answer if answer == "+OK" => Ok(()),
        answer => bail!("{} was answered with {answer}", command.join(" ")),
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let since = Instant::now();
    while !holds() {
        if since.elapsed() > AGREE_LIMIT {
            bail!("waited too long for {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
