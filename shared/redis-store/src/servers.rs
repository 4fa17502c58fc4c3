//! Which servers there are, and which of them holds what.
//!
//! A server that holds a part of the keys is looked for whenever a connection is made, and only then: in a list of
//! fixed servers by number, with Sentinel by asking the sentinels for the master, in a Redis Cluster by asking any node
//! who has the hash slot. So all kinds look alike to everybody else, and a failover is nothing but a new connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError,
    RedisResult, TlsCertificates, Value,
};

use crate::connect::ConnectError;
use crate::link::not_the_one;
use crate::settings::RedisStoreSettings;

/// The servers of one installation.
pub(crate) struct Servers {
    kind: Kind,
    certificates: TlsCertificates,
    /// Longest wait for a connection, and for the answer of a sentinel or node.
    pub(crate) connect_limit: Duration,
}

enum Kind {
    /// As many as there are; what stands where follows from the settings alone.
    Fixed(Vec<ConnectionInfo>),
    /// One master, which the sentinels know.
    Sentinel { sentinels: Vec<ConnectionInfo>, master: String, form: Box<ConnectionInfo> },
    /// Nodes that share the hash slots; these are the ones to ask.
    Cluster(Vec<ConnectionInfo>),
}

/// What a connection follows.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    /// Number of the server in a fixed list.
    pub(crate) server: usize,
    /// Hash tag of the keys: in a cluster, its slot decides.
    pub(crate) tag: Arc<str>,
    /// Where a node has said that the slot is now.
    hint: Arc<Mutex<Option<String>>>,
}

impl Holder {
    pub(crate) fn new(server: usize, tag: &str) -> Self {
        Self { server, tag: tag.into(), hint: Arc::default() }
    }

    /// Notes `host:port` for the next connection.
    pub(crate) fn moved_to(&self, address: &str) {
        *self.hint.lock().unwrap_or_else(PoisonError::into_inner) = Some(address.to_owned());
    }

    fn take_hint(&self) -> Option<(String, u16)> {
        let hint = self.hint.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (host, port) = hint.rsplit_once(':')?;
        // Without a host, a node means "the same as mine", which is not known here.
        if host.is_empty() { None } else { Some((host.to_owned(), port.parse().ok()?)) }
    }
}

impl Servers {
    pub(crate) fn of(settings: &RedisStoreSettings) -> Result<Self, ConnectError> {
        let infos = |urls: &[atelier_domain::secret::Secret<String>]| {
            urls.iter()
                .map(|url| url.expose().as_str().into_connection_info())
                .collect::<RedisResult<Vec<_>>>()
        };
        let kind = if !settings.cluster_urls.is_empty() {
            Kind::Cluster(infos(&settings.cluster_urls)?)
        } else if !settings.sentinel_urls.is_empty() {
            let form = Box::new(settings.url.expose().as_str().into_connection_info()?);
            let master = host_of(&form).unwrap_or_default().to_owned();
            Kind::Sentinel { sentinels: infos(&settings.sentinel_urls)?, master, form }
        } else if !settings.urls.is_empty() {
            Kind::Fixed(infos(&settings.urls)?)
        } else {
            Kind::Fixed(vec![settings.url.expose().as_str().into_connection_info()?])
        };
        Ok(Self {
            kind,
            certificates: settings.tls.certificates(),
            connect_limit: settings.connect_timeout(),
        })
    }

    /// How many servers a list has; 1 where the shards are not spread by number.
    pub(crate) fn count(&self) -> usize {
        match &self.kind {
            Kind::Fixed(servers) => servers.len(),
            Kind::Sentinel { .. } | Kind::Cluster(_) => 1,
        }
    }

    /// Whether each shard may be on a server of its own, wherever the cluster has put it.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }

    pub(crate) fn db(&self) -> i64 {
        match &self.kind {
            Kind::Fixed(servers) => servers.first().map_or(0, |server| server.redis_settings().db()),
            Kind::Sentinel { form, .. } => form.redis_settings().db(),
            Kind::Cluster(_) => 0,
        }
    }

    /// The server that holds the keys now.
    pub(crate) async fn find(&self, holder: &Holder) -> RedisResult<Client> {
        match &self.kind {
            Kind::Fixed(servers) => {
                let server = servers.get(holder.server).ok_or_else(|| not_the_one("no such server"))?;
                self.client(server.clone())
            }
            Kind::Sentinel { sentinels, master, form } => {
                let asking = sentinels.iter().map(|sentinel| self.ask_sentinel(sentinel, master));
                let (host, port) = first_answer(asking).await?;
                self.client(at(form, host, port))
            }
            Kind::Cluster(seeds) => {
                let seed = seeds.first().ok_or_else(|| not_the_one("no node is known"))?;
                if let Some((host, port)) = holder.take_hint() {
                    return self.client(at(seed, host, port));
                }
                let asking = seeds.iter().map(|node| self.ask_node(node, &holder.tag));
                let (host, port) = first_answer(asking).await?;
                self.client(at(seed, host, port))
            }
        }
    }

    /// Fails when the server is no master: a sentinel may not have noticed a change yet.
    pub(crate) async fn assert_writable(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        if !matches!(self.kind, Kind::Sentinel { .. }) {
            return Ok(());
        }
        let role: Vec<Value> = redis::cmd("ROLE").query_async(connection).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(()),
            _ => Err(not_the_one("the server is not the master (any more)")),
        }
    }

    async fn ask_sentinel(&self, sentinel: &ConnectionInfo, master: &str) -> RedisResult<(String, u16)> {
        let mut connection = self.brief(sentinel).await?;
        let found: Option<(String, u16)> = redis::cmd("SENTINEL")
            .arg("get-master-addr-by-name")
            .arg(master)
            .query_async(&mut connection)
            .await?;
        found.ok_or_else(|| not_the_one("a sentinel does not know the master's name"))
    }

    async fn ask_node(&self, node: &ConnectionInfo, tag: &str) -> RedisResult<(String, u16)> {
        let mut connection = self.brief(node).await?;
        let (slot, ranges): (i64, Vec<Vec<Value>>) = redis::pipe()
            .cmd("CLUSTER")
            .arg("KEYSLOT")
            .arg(tag)
            .cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(&mut connection)
            .await?;
        let (host, port) = ranges
            .iter()
            .find_map(|range| master_of(range, slot))
            .ok_or_else(|| not_the_one("nobody has the slot"))?;
        // A node that was not told its own address leaves it out: it is the one that was asked.
        let asked = host_of(node).unwrap_or_default();
        Ok((if host.is_empty() || host == "?" { asked.to_owned() } else { host }, port))
    }

    /// A connection for one question.
    async fn brief(&self, server: &ConnectionInfo) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_limit))
            .set_response_timeout(Some(self.connect_limit));
        self.client(server.clone())?.get_multiplexed_async_connection_with_config(&config).await
    }

    fn client(&self, server: ConnectionInfo) -> RedisResult<Client> {
        // The driver's name would cost two commands and a permission for each connection.
        let how = server.redis_settings().clone().set_skip_set_lib_name();
        let server = server.set_redis_settings(how);
        match server.addr() {
            ConnectionAddr::TcpTls { .. } => Client::build_with_tls(server, self.certificates.clone()),
            _ => Client::open(server),
        }
    }
}

/// All are asked at once: one that is dead in silence must not hold up the rest.
async fn first_answer<F>(asking: impl Iterator<Item = F>) -> RedisResult<(String, u16)>
where
    F: Future<Output = RedisResult<(String, u16)>>,
{
    let mut asking: FuturesUnordered<F> = asking.collect();
    let mut failure: Option<RedisError> = None;
    while let Some(answer) = asking.next().await {
        match answer {
            Ok(found) => return Ok(found),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| not_the_one("nobody is known who could be asked")))
}

/// The master of a range of `CLUSTER SLOTS` (first slot, last slot, master, replicas), if the slot is in it.
fn master_of(range: &[Value], slot: i64) -> Option<(String, u16)> {
    let (Some(Value::Int(first)), Some(Value::Int(last)), Some(Value::Array(master))) =
        (range.first(), range.get(1), range.get(2))
    else {
        return None;
    };
    if !(*first..=*last).contains(&slot) {
        return None;
    }
    let host = match master.first() {
        Some(Value::BulkString(host)) => String::from_utf8_lossy(host).into_owned(),
        _ => String::new(),
    };
    match master.get(1) {
        Some(Value::Int(port)) => Some((host, u16::try_from(*port).ok()?)),
        _ => None,
    }
}

fn host_of(server: &ConnectionInfo) -> Option<&str> {
    match server.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => Some(host),
        _ => None,
    }
}

/// Another server, reached in the same way: TLS or not, user, password and database as in `form`.
fn at(form: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let address = match form.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    form.clone().set_addr(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_of_a_slot_is_found_in_its_range() {
        let node = |port| Value::Array(vec![Value::BulkString(b"10.0.0.1".to_vec()), Value::Int(port)]);
        let range = [Value::Int(100), Value::Int(200), node(7001), node(7002)];
        assert_eq!(master_of(&range, 100), Some(("10.0.0.1".to_owned(), 7001)));
        assert_eq!(master_of(&range, 200), Some(("10.0.0.1".to_owned(), 7001)));
        assert_eq!(master_of(&range, 201), None);
        let unnamed = [Value::Int(0), Value::Int(1), Value::Array(vec![Value::Nil, Value::Int(7001)])];
        assert_eq!(master_of(&unnamed, 0), Some((String::new(), 7001)));
    }

    #[test]
    fn another_server_is_reached_in_the_same_way() {
        let form = "rediss://user:secret@mymaster/3".into_connection_info().unwrap();
        let server = at(&form, "10.0.0.9".to_owned(), 7000);
        assert!(
            matches!(server.addr(), ConnectionAddr::TcpTls { host, port: 7000, .. } if host == "10.0.0.9")
        );
        assert_eq!(server.redis_settings().username(), Some("user"));
        assert_eq!(server.redis_settings().db(), 3);
    }

    #[test]
    fn a_hint_is_used_once() {
        let holder = Holder::new(0, "q0");
        holder.moved_to("10.0.0.2:7003");
        assert_eq!(holder.take_hint(), Some(("10.0.0.2".to_owned(), 7003)));
        assert_eq!(holder.take_hint(), None);
        holder.moved_to(":7003");
        assert_eq!(holder.take_hint(), None);
    }
}
