//! Settings of everything that talks to Redis.

use std::time::Duration;

use atelier_domain::secret::Secret;
use redis::{Client, ClientTlsConfig, IntoConnectionInfo, TlsCertificates};
use serde::Deserialize;

use crate::settle::Retention;

/// Where a Redis is without settings.
const DEFAULT_URL: &str = "redis://127.0.0.1:6379/0";
/// More would only be slower.
const MOST_REPLICAS: u8 = 8;
/// A century.
const MOST_DAYS: u32 = 36_500;
/// Each shard has blocking reads of its own in every process.
const MOST_SHARDS: u16 = 256;

/// Section `redis` of every program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisStoreSettings {
    /// `redis://[user:password@]host:port/db`, or `rediss://` for TLS. A secret, as it may hold a password. With
    /// `sentinel_urls`, the host is the master's name, and all else says how to reach the master.
    pub url: Secret<String>,
    /// Several servers instead of `url`: shard `n` is on number `n` modulo their count. Their order must stay.
    pub urls: Vec<Secret<String>>,
    /// Nodes of a Redis Cluster instead of `url`: any that are asked who holds what. User, password and TLS of the
    /// first count for all nodes.
    pub cluster_urls: Vec<Secret<String>>,
    /// Sentinels that know where the master named by `url` is. Each URL has the sentinel's own user and password.
    pub sentinel_urls: Vec<Secret<String>>,
    /// Parts into which jobs are divided. 1: one Redis process is good for tens of thousands of jobs a second, and
    /// each shard costs connections and idle commands of its own. It cannot be changed while jobs exist.
    pub shards: u16,
    /// Replicas that must have a change of a job before it counts. 0: with one server nobody is there to have it.
    /// Behind sentinels or in a cluster at least 1, or a failover loses what no replica had yet; nothing is accepted
    /// while fewer are there.
    pub confirm_replicas: u8,
    /// Certificates for `rediss://`.
    pub tls: RedisTls,
    /// Longest wait for a new connection.
    pub connect_timeout_ms: u64,
    /// Longest wait for an answer. A stall of Redis shorter than this costs nothing; the driver's own default of
    /// 500 ms breaks connections in a slow `BGSAVE` already.
    pub command_timeout_ms: u64,
    /// How long a claim lives without a sign of its holder. A dead worker's steps start again after it.
    pub lease_ms: u64,
    /// Longest a reader blocks on an empty queue; never more than a third of the lease.
    pub block_ms: u64,
    /// Steps promoted from the due set in one script: bounds how long Redis is busy with one call.
    pub promote_limit: u32,
    /// How long an ended job can be read.
    pub retention_s: u64,
    /// How long an idempotency key is remembered.
    pub idempotency_ttl_s: u64,
    /// Most bytes of one reply that are kept until the asset store has them. 500 MiB, what a Redis value holds: bytes
    /// that are paid for are not thrown away, and memory is used only by replies that are really that long.
    pub spool_limit_bytes: u64,
    /// Days for which the records of assets are kept, which is how long assets can be listed, read and named as inputs. 90:
    /// a record and its place in the index take about 530 bytes of Redis, so that a million assets a month are 1.6 GB,
    /// and what callers come back for they have mostly fetched within a quarter. 0: for ever. The files in the asset
    /// store have a life of their own, and records can be made again from them.
    pub assets_retention_days: u32,
    /// How long the costs of a day can be asked for. A year and some: what is asked for is mostly a month, and a day of
    /// a workspace takes a few hundred bytes.
    pub costs_retention_days: u32,
    /// The housekeeping: how often, and by whom.
    pub control: ControlSettings,
    /// What to do when Redis is set up in a way that can lose jobs: `refuse` to start or `warn`.
    pub on_unsafe: OnUnsafe,
}

/// Section `redis.control`: how often each control task is pushed, and the lease of the poller that pushes them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlSettings {
    /// Between two repairs of the indexes. An index may hold the ids of expired records for that long; each repair walks
    /// over all keys once.
    pub repair_indexes_s: u64,
    /// Between two roll-ups of costs. Only the first one of a day finds work.
    pub roll_up_costs_s: u64,
    /// Between two searches for objects that are too old. Each is bounded, and goes on where the last one stopped.
    pub remove_expired_s: u64,
    /// Between two searches for uploads that were left open.
    pub abort_uploads_s: u64,
    /// How long a poller is the leader without a sign of it. When it dies, another one pushes tasks after that.
    pub leader_lease_ms: u64,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self {
            repair_indexes_s: 3_600,
            roll_up_costs_s: 3_600,
            remove_expired_s: 3_600,
            abort_uploads_s: 6 * 3_600,
            leader_lease_ms: 30_000,
        }
    }
}

impl ControlSettings {
    fn problems(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let periods = [
            ("control.repair_indexes_s", self.repair_indexes_s),
            ("control.roll_up_costs_s", self.roll_up_costs_s),
            ("control.remove_expired_s", self.remove_expired_s),
            ("control.abort_uploads_s", self.abort_uploads_s),
        ];
        let mut problems: Vec<_> = periods
            .into_iter()
            .filter(|(_, period)| !(1..=86_400).contains(period))
            .map(|(key, _)| (key, "out of range", "1 to 86400 would be right"))
            .collect();
        if !(1_000..=3_600_000).contains(&self.leader_lease_ms) {
            problems.push(("control.leader_lease_ms", "out of range", "1000 to 3600000 would be right"));
        }
        problems
    }
}

/// Section `redis.tls`. Each value is PEM text; as every value, it may stand in a file: `ca_file` and so on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisTls {
    /// Whose certificates are trusted; the system's list without it.
    pub ca: Option<String>,
    /// Our own certificate, for servers that ask for one, with those between it and the authority's.
    pub cert: Option<String>,
    /// The key of `cert`.
    pub key: Option<Secret<String>>,
}

impl RedisTls {
    pub(crate) fn certificates(&self) -> TlsCertificates {
        let client = self.cert.as_ref().zip(self.key.as_ref());
        TlsCertificates {
            client_tls: client.map(|(cert, key)| ClientTlsConfig {
                client_cert: cert.clone().into_bytes(),
                client_key: key.expose().clone().into_bytes(),
            }),
            root_cert: self.ca.as_ref().map(|ca| ca.clone().into_bytes()),
        }
    }
}

/// Reaction to an unsafe Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnsafe {
    /// Do not start.
    Refuse,
    /// Log a warning and go on.
    Warn,
}

impl Default for RedisStoreSettings {
    fn default() -> Self {
        Self {
            url: Secret::new(DEFAULT_URL.to_owned()),
            urls: Vec::new(),
            cluster_urls: Vec::new(),
            sentinel_urls: Vec::new(),
            shards: 1,
            confirm_replicas: 0,
            tls: RedisTls::default(),
            connect_timeout_ms: 5_000,
            command_timeout_ms: 5_000,
            lease_ms: 30_000,
            block_ms: 10_000,
            promote_limit: 200,
            retention_s: 7 * 24 * 3600,
            idempotency_ttl_s: 24 * 3600,
            spool_limit_bytes: 500 * 1024 * 1024,
            assets_retention_days: 90,
            costs_retention_days: 400,
            control: ControlSettings::default(),
            on_unsafe: OnUnsafe::Warn,
        }
    }
}

impl RedisStoreSettings {
    /// The lease as a duration.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.max(100))
    }

    /// The blocking read's limit: recovery runs between reads, so a reader may not sleep through a lease.
    pub fn block(&self) -> Duration {
        Duration::from_millis(self.block_ms).min(self.lease() / 3)
    }

    /// The connection's limit.
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.max(1))
    }

    /// The answer's limit.
    pub fn command_timeout(&self) -> Duration {
        Duration::from_millis(self.command_timeout_ms)
    }

    /// How long the records of assets are kept; `None` for ever.
    pub(crate) fn assets_kept(&self) -> Option<Duration> {
        let days = u64::from(self.assets_retention_days);
        (days > 0).then(|| Duration::from_secs(days * 24 * 3600))
    }

    /// How long what has ended is kept.
    pub(crate) fn retention(&self) -> Retention {
        Retention {
            job: Duration::from_secs(self.retention_s),
            assets: self.assets_kept(),
            costs_s: self.costs_kept_s(),
        }
    }

    /// How long the costs of a day are kept, in seconds.
    pub(crate) fn costs_kept_s(&self) -> u64 {
        u64::from(self.costs_retention_days) * 24 * 3600
    }

    /// What makes no sense: key, problem, and what would be right.
    pub fn problems(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut problems = self.problems_of_servers();
        for (key, value) in
            [("connect_timeout_ms", self.connect_timeout_ms), ("command_timeout_ms", self.command_timeout_ms)]
        {
            if value == 0 {
                problems.push((key, "0 leaves no time at all", "at least 1 millisecond would be right"));
            }
        }
        if self.lease_ms < 100 {
            problems.push(("lease_ms", "shorter than a round trip may take", "at least 100 would be right"));
        }
        if self.block_ms == 0 {
            problems.push(("block_ms", "0 would block for ever", "1 to a third of lease_ms would be right"));
        }
        if !(1..=500).contains(&self.promote_limit) {
            problems.push(("promote_limit", "out of range", "1 to 500 would be right"));
        }
        if self.spool_limit_bytes > 500 * 1024 * 1024 {
            problems.push((
                "spool_limit_bytes",
                "more than a Redis value holds",
                "at most 524288000 would be right",
            ));
        }
        if self.assets_retention_days > MOST_DAYS {
            problems.push(("assets_retention_days", "out of range", "0 (for ever) to 36500 would be right"));
        }
        if !(7..=3_650).contains(&self.costs_retention_days) {
            problems.push(("costs_retention_days", "out of range", "7 to 3650 would be right"));
        }
        problems.extend(self.control.problems());
        problems
    }

    fn problems_of_servers(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut problems = Vec::new();
        let lists = [
            ("urls", &self.urls),
            ("cluster_urls", &self.cluster_urls),
            ("sentinel_urls", &self.sentinel_urls),
        ];
        let named = [("url", std::slice::from_ref(&self.url))];
        for (key, urls) in lists.map(|(key, urls)| (key, &urls[..])).into_iter().chain(named) {
            for url in urls {
                problems.extend(problem_of_url(url.expose()).map(|(what, right)| (key, what, right)));
            }
        }
        let given: Vec<_> = lists.iter().filter(|(_, urls)| !urls.is_empty()).map(|(key, _)| *key).collect();
        if let [_, second, ..] = given[..] {
            problems.push((
                second,
                "another kind of servers is set, too",
                "one of urls, cluster_urls and sentinel_urls would be right",
            ));
        }
        let is_url_read = self.urls.is_empty() && self.cluster_urls.is_empty();
        if !is_url_read && self.url.expose() != DEFAULT_URL {
            problems.push((
                "url",
                "it has no effect beside urls or cluster_urls",
                "it belongs into the list, or the list away",
            ));
        }
        if !self.sentinel_urls.is_empty() && self.url.expose() == DEFAULT_URL {
            problems.push((
                "url",
                "it does not name the master that the sentinels know",
                "redis://mymaster/0 would be right",
            ));
        }
        if self.cluster_urls.iter().any(|url| database_of(url.expose()).is_some_and(|database| database != 0))
        {
            problems.push((
                "cluster_urls",
                "a cluster has one database",
                "redis://host:port/0 would be right",
            ));
        }
        if !(1..=MOST_SHARDS).contains(&self.shards) {
            problems.push(("shards", "out of range", "1 to 256 would be right"));
        } else if self.urls.len() > usize::from(self.shards) {
            problems.push((
                "shards",
                "fewer than servers",
                "at least one shard for each of urls would be right",
            ));
        }
        if self.confirm_replicas > MOST_REPLICAS {
            problems.push(("confirm_replicas", "out of range", "0 to 8 would be right"));
        }
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            problems.push(("tls", "cert and key belong together", "both or none would be right"));
        }
        if Client::build_with_tls("rediss://localhost", self.tls.certificates()).is_err() {
            problems.push(("tls", "a certificate or key cannot be read", "PEM text would be right"));
        }
        problems
    }
}

/// What is wrong with a URL, and what would be right.
fn problem_of_url(url: &str) -> Option<(&'static str, &'static str)> {
    let schemes = ["redis://", "rediss://", "redis+unix://", "unix://"];
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        return Some((
            "the URL has another scheme",
            "redis://host:port/0 or rediss://host:port/0 would be right",
        ));
    }
    let info = url.into_connection_info();
    info.is_err().then_some(("the URL cannot be read", "redis://user:password@host:port/0 would be right"))
}

fn database_of(url: &str) -> Option<i64> {
    Some(url.into_connection_info().ok()?.redis_settings().db())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(texts: &[&str]) -> Vec<Secret<String>> {
        texts.iter().map(|text| Secret::new((*text).to_owned())).collect()
    }

    fn keys_of(settings: &RedisStoreSettings) -> Vec<&'static str> {
        settings.problems().into_iter().map(|(key, _, _)| key).collect()
    }

    #[test]
    fn each_kind_of_servers_is_accepted() {
        let one = RedisStoreSettings::default();
        let tls = RedisStoreSettings { url: Secret::new("rediss://u:p@h:1/2".to_owned()), ..one.clone() };
        let several =
            RedisStoreSettings { urls: urls(&["redis://a", "redis://b"]), shards: 4, ..one.clone() };
        let cluster = RedisStoreSettings {
            cluster_urls: urls(&["redis://a:1", "redis://b:2"]),
            shards: 8,
            ..one.clone()
        };
        let sentinel = RedisStoreSettings {
            url: Secret::new("redis://u:p@main_db/1".to_owned()),
            sentinel_urls: urls(&["redis://a:26379"]),
            ..one.clone()
        };
        for settings in [one, tls, several, cluster, sentinel] {
            assert_eq!(settings.problems(), []);
        }
    }

    #[test]
    fn what_does_not_belong_together_is_named() {
        let one = RedisStoreSettings::default();
        let two = RedisStoreSettings {
            urls: urls(&["redis://a"]),
            cluster_urls: urls(&["redis://b"]),
            ..one.clone()
        };
        assert_eq!(keys_of(&two), ["cluster_urls"]);
        let beside = RedisStoreSettings {
            url: Secret::new("redis://elsewhere".to_owned()),
            urls: urls(&["redis://a"]),
            ..one.clone()
        };
        assert_eq!(keys_of(&beside), ["url"]);
        let unnamed = RedisStoreSettings { sentinel_urls: urls(&["redis://a:26379"]), ..one.clone() };
        assert_eq!(keys_of(&unnamed), ["url"]);
        let database = RedisStoreSettings { cluster_urls: urls(&["redis://a/1"]), ..one.clone() };
        assert_eq!(keys_of(&database), ["cluster_urls"]);
        let idle = RedisStoreSettings { urls: urls(&["redis://a", "redis://b"]), ..one.clone() };
        assert_eq!(keys_of(&idle), ["shards"]);
        let scheme = RedisStoreSettings { urls: urls(&["http://a"]), ..one.clone() };
        assert_eq!(keys_of(&scheme), ["urls"]);
        for shards in [0, 257] {
            assert_eq!(keys_of(&RedisStoreSettings { shards, ..one.clone() }), ["shards"]);
        }
        let half = RedisTls { cert: Some(String::new()), ..RedisTls::default() };
        assert_eq!(keys_of(&RedisStoreSettings { tls: half, ..one.clone() }), ["tls"]);
        let garbled = RedisTls {
            ca: Some("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----".to_owned()),
            ..RedisTls::default()
        };
        assert_eq!(keys_of(&RedisStoreSettings { tls: garbled, ..one }), ["tls"]);
    }
}
