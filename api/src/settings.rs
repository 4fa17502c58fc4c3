//! The `[api]` section.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use atelier_domain::ids::WorkspaceId;
use serde::Deserialize;

use crate::keys::ApiKeys;

/// Settings of the api. Every field has a default; without keys nobody gets in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Where it listens. `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// API keys and the workspace each belongs to, see [`ApiKeys`]. None.
    pub api_keys: ApiKeys,
    /// For how long a stored key is known without looking again, in milliseconds. 5000: a revoked key lets nobody in
    /// after that, and a request costs no look-up of its own.
    pub key_cache_ms: u64,
    /// Requests that one key may make a second, each api process counting for itself; 0 for any number. 0: whoever asks
    /// is a service of the same house, and a key may have a limit of its own.
    pub rate_per_s: u32,
    /// Workspaces whose keys may pause the jobs of all, make keys for others, and see how secrets are sealed. None.
    pub operators: BTreeSet<WorkspaceId>,
    /// Largest request body, in bytes. 1 MiB: the longest text a provider speaks is 40,000 characters.
    pub body_limit_bytes: usize,
    /// Largest file that comes with a request, in bytes. 20 MiB: what a worker sends to a provider in one piece.
    pub attachment_limit_bytes: usize,
    /// Largest file that is uploaded as an asset, in bytes. 500 MiB: an hour of video at a usual rate, and as much as a paid
    /// reply may have; what is larger goes as `input_url`.
    pub upload_limit_bytes: u64,
    /// Files that are uploaded at the same time; more of them wait their turn. 16: each holds up to 10 MiB in memory.
    pub uploads_at_once: usize,
    /// Memory for bodies of more than a megabyte that are read at the same time, in bytes. 256 MiB; more of them wait
    /// their turn.
    pub large_bodies_bytes: usize,
    /// Longest time a body may take to arrive, and the longest silence of an upload, in milliseconds. 30000: a megabyte
    /// over a poor line.
    pub body_timeout_ms: u64,
    /// Longest wait of `?wait=`, in milliseconds. 25000: the published clients give up after 30 seconds.
    pub max_wait_ms: u64,
    /// Deadline of a job that names none, in seconds. 3600.
    pub default_deadline_s: u32,
    /// How long a signed URL is good, in seconds. 3600, as the product's examples say.
    pub signed_url_ttl_s: u64,
    /// Longest wait of `/readyz` for each store, in milliseconds. 2000: below the usual probe timeout of clusters that
    /// have one above a second.
    pub ready_timeout_ms: u64,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            api_keys: ApiKeys::default(),
            key_cache_ms: 5_000,
            rate_per_s: 0,
            operators: BTreeSet::new(),
            body_limit_bytes: 1024 * 1024,
            attachment_limit_bytes: 20 * 1024 * 1024,
            upload_limit_bytes: 500 * 1024 * 1024,
            uploads_at_once: 16,
            large_bodies_bytes: 256 * 1024 * 1024,
            body_timeout_ms: 30_000,
            max_wait_ms: 25_000,
            default_deadline_s: 3_600,
            signed_url_ttl_s: 3_600,
            ready_timeout_ms: 2_000,
        }
    }
}

impl ApiSettings {
    /// What makes no sense, as pairs of a key and what is wrong with it; empty when all is well.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut within = |key, value: u64, min: u64, max: u64| {
            if !(min..=max).contains(&value) {
                problems.push((key, format!("is {value}; {min} to {max} would be right")));
            }
        };
        within("key_cache_ms", self.key_cache_ms, 0, 300_000);
        within("rate_per_s", u64::from(self.rate_per_s), 0, 1_000_000);
        within("body_limit_bytes", self.body_limit_bytes as u64, 1_024, 64 * 1024 * 1024);
        within("attachment_limit_bytes", self.attachment_limit_bytes as u64, 1_024, 512 * 1024 * 1024);
        within("upload_limit_bytes", self.upload_limit_bytes, 1_024, 5 * 1024 * 1024 * 1024);
        within("uploads_at_once", self.uploads_at_once as u64, 1, 10_000);
        let one =
            self.body_limit_bytes as u64 + (self.attachment_limit_bytes as u64).saturating_mul(4).div_ceil(3);
        within("large_bodies_bytes", self.large_bodies_bytes as u64, one, 1 << 40);
        within("body_timeout_ms", self.body_timeout_ms, 1, 600_000);
        within("max_wait_ms", self.max_wait_ms, 0, 60_000);
        within("default_deadline_s", u64::from(self.default_deadline_s), 1, 86_400);
        // Seven days is the longest life of a presigned S3 URL.
        within("signed_url_ttl_s", self.signed_url_ttl_s, 1, 604_800);
        within("ready_timeout_ms", self.ready_timeout_ms, 1, 60_000);
        problems
    }

    pub(crate) fn is_operator(&self, workspace: &WorkspaceId) -> bool {
        self.operators.contains(workspace)
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    pub(crate) fn max_wait(&self) -> Duration {
        Duration::from_millis(self.max_wait_ms)
    }

    pub(crate) fn signed_url_ttl(&self) -> Duration {
        Duration::from_secs(self.signed_url_ttl_s)
    }

    pub(crate) fn ready_timeout(&self) -> Duration {
        Duration::from_millis(self.ready_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense() {
        assert_eq!(ApiSettings::default().problems(), []);
    }

    #[test]
    fn nonsense_is_named_all_at_once() {
        let settings =
            ApiSettings { default_deadline_s: 0, signed_url_ttl_s: 700_000, ..ApiSettings::default() };
        let keys: Vec<_> = settings.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["default_deadline_s", "signed_url_ttl_s"]);
    }

    #[test]
    fn unknown_settings_are_refused() {
        let error = serde_json::from_str::<ApiSettings>(r#"{"body_limit": 5}"#).unwrap_err();
        assert!(error.to_string().contains("body_limit"), "{error}");
    }
}
