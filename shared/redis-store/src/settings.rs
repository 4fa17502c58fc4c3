//! Settings of everything that talks to Redis.

use std::time::Duration;

use atelier_domain::secret::Secret;
use serde::Deserialize;

/// Section `redis` of every program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisStoreSettings {
    /// `redis://[user:password@]host:port/db`. A secret, as it may hold a password.
    pub url: Secret<String>,
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
    /// How often periodic control tasks run, such as the repair of indexes. An index may hold the ids of expired
    /// records for that long; each repair walks over all keys once.
    pub control_period_s: u64,
    /// What to do when Redis is set up in a way that can lose jobs: `refuse` to start or `warn`.
    pub on_unsafe: OnUnsafe,
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
            url: Secret::new("redis://127.0.0.1:6379/0".to_owned()),
            connect_timeout_ms: 5_000,
            command_timeout_ms: 5_000,
            lease_ms: 30_000,
            block_ms: 10_000,
            promote_limit: 200,
            retention_s: 7 * 24 * 3600,
            idempotency_ttl_s: 24 * 3600,
            spool_limit_bytes: 500 * 1024 * 1024,
            control_period_s: 600,
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

    /// The answer's limit.
    pub fn command_timeout(&self) -> Duration {
        Duration::from_millis(self.command_timeout_ms)
    }

    /// What makes no sense: key, problem, and what would be right.
    pub fn problems(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut problems = Vec::new();
        let url = self.url.expose();
        if url.starts_with("rediss://") {
            problems.push(("url", "TLS is not built in yet", "redis://host:port/0 would be right"));
        } else if !["redis://", "redis+unix://", "unix://"].iter().any(|scheme| url.starts_with(scheme)) {
            problems.push(("url", "the URL has another scheme", "redis://host:port/0 would be right"));
        }
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
        if !(1..=86_400).contains(&self.control_period_s) {
            problems.push(("control_period_s", "out of range", "1 to 86400 would be right"));
        }
        problems
    }
}
