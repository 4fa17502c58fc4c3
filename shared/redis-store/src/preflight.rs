//! Looks at a Redis before it is trusted with jobs, and at its clock.

use redis::InfoDict;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::common_time;
use crate::connect::{Backoff, Group, Redis};
use crate::layout::LayoutError;
use crate::settings::OnUnsafe;

/// Why a process does not start on this Redis.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// It could not be asked.
    #[error("cannot ask Redis about itself")]
    Unreachable(#[source] redis::RedisError),
    /// Jobs would not be found.
    #[error("the settings do not fit what Redis holds")]
    Layout(#[source] LayoutError),
    /// It can lose jobs, and the settings say `on_unsafe = "refuse"`.
    #[error("this Redis can lose jobs: {}", .0.join("; "))]
    Unsafe(Vec<String>),
}

/// Takes the first reading of the common time, and checks the number of shards, and version, eviction and persistence of every server. With `on_unsafe = "warn"`
/// findings about the latter are only logged.
pub async fn check(redis: &Redis) -> Result<(), PreflightError> {
    redis.confirm_layout().await.map_err(|error| match error {
        LayoutError::Unreachable(source) => PreflightError::Unreachable(source),
        other => PreflightError::Layout(other),
    })?;
    common_time::read(redis).await.map_err(PreflightError::Unreachable)?;
    let mut findings = Vec::new();
    for group in redis.groups() {
        findings.extend(look(group, redis.settings.confirm_replicas).await?);
    }
    // Shards on one node of a cluster find the same.
    findings.sort();
    findings.dedup();
    if findings.is_empty() {
        return Ok(());
    }
    match redis.settings.on_unsafe {
        OnUnsafe::Refuse => Err(PreflightError::Unsafe(findings)),
        OnUnsafe::Warn => {
            for finding in findings {
                warn!(finding, "redis can lose jobs");
            }
            Ok(())
        }
    }
}

/// What is unsafe about a server.
async fn look(group: &Group, confirmed: u8) -> Result<Vec<String>, PreflightError> {
    let mut connection = group.link.clone();
    let info: InfoDict =
        redis::cmd("INFO").query_async(&mut connection).await.map_err(PreflightError::Unreachable)?;
    let text = |name: &str| info.get::<String>(name).unwrap_or_default();
    // Not in INFO; a managed Redis may not tell.
    let fsync: redis::RedisResult<Vec<String>> =
        redis::cmd("CONFIG").arg("GET").arg("appendfsync").query_async(&mut connection).await;
    let fsync = fsync.ok().and_then(|pair| pair.into_iter().nth(1)).unwrap_or_default();
    let mut findings = findings(
        &text("redis_version"),
        &text("maxmemory_policy"),
        &text("maxmemory"),
        &text("aof_enabled"),
        &fsync,
    );
    findings.extend(finding_about_replicas(&text("connected_slaves"), confirmed));
    Ok(findings)
}

/// Waits until Redis answers or `stop`, then checks it: processes may start before their Redis.
pub async fn wait(redis: &Redis, stop: &CancellationToken) -> Result<(), PreflightError> {
    let mut backoff = Backoff::default();
    loop {
        match check(redis).await {
            Err(PreflightError::Unreachable(error)) => {
                warn!(error = %error, "waiting for redis");
                if !backoff.wait(stop).await {
                    return Ok(());
                }
            }
            other => return other,
        }
    }
}

fn findings(version: &str, policy: &str, max_memory: &str, aof: &str, fsync: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut numbers = version.split('.').filter_map(|part| part.parse::<u32>().ok());
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if (major, minor) < (6, 2) {
        found.push(format!(
            "version {version} is older than 6.2, which brought XAUTOCLAIM and ZRANGE BYSCORE"
        ));
    }
    if policy != "noeviction" && max_memory != "0" {
        found.push(format!(
            "maxmemory-policy is {policy}; set noeviction, or jobs vanish when memory is short"
        ));
    }
    if aof != "1" {
        found.push(
            "appendonly is off; jobs accepted since the last snapshot are gone after a crash".to_owned(),
        );
    } else if !fsync.is_empty() && fsync != "always" {
        // While a flush is late, Redis answers before it writes: even a crash of Redis alone loses those answers.
        found.push(format!(
            "appendfsync is {fsync}; a power cut, or a crash while a flush is late, loses the last seconds"
        ));
    }
    found
}

fn finding_about_replicas(connected: &str, confirmed: u8) -> Option<String> {
    let connected: u64 = connected.parse().ok()?;
    if connected < u64::from(confirmed) {
        Some(format!(
            "{connected} replicas follow and confirm_replicas is {confirmed}; nothing is accepted until more do"
        ))
    } else if connected > 0 && confirmed == 0 {
        Some(
            "replicas follow and confirm_replicas is 0; a failover loses what none of them has yet"
                .to_owned(),
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_redis_has_no_findings() {
        assert_eq!(findings("7.0.15", "noeviction", "1000", "1", "always"), Vec::<String>::new());
        assert_eq!(findings("9.1.0", "allkeys-lru", "0", "1", ""), Vec::<String>::new());
    }

    #[test]
    fn replicas_that_confirm_nothing_are_named() {
        assert_eq!(finding_about_replicas("0", 0), None);
        assert_eq!(finding_about_replicas("2", 1), None);
        assert!(finding_about_replicas("1", 0).is_some_and(|text| text.contains("failover")));
        assert!(finding_about_replicas("0", 1).is_some_and(|text| text.contains("nothing is accepted")));
    }

    #[test]
    fn each_danger_is_named() {
        let found = findings("6.0.16", "allkeys-lru", "1000", "0", "");
        assert_eq!(found.len(), 3);
        assert!(found.iter().any(|text| text.contains("noeviction")));
        assert!(found.iter().any(|text| text.contains("appendonly")));
        let late = findings("7.0.15", "noeviction", "0", "1", "everysec");
        assert!(matches!(&late[..], [text] if text.contains("everysec")), "{late:?}");
    }
}
