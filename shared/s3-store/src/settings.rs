//! What an operator says about the store.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_domain::ids::WorkspaceId;
use atelier_domain::secret::Secret;
use serde::Deserialize;

const MEBIBYTE: u64 = 1024 * 1024;
/// S3 takes no part below this size, but for the last.
const SMALLEST_PART_BYTES: u64 = 5 * MEBIBYTE;
/// Larger parts would only cost memory: two of them are held per upload.
const LARGEST_PART_BYTES: u64 = 256 * MEBIBYTE;
/// S3 takes no more parts than this.
const MOST_PARTS: u64 = 10_000;

/// A century; 0 is for ever.
const MOST_DAYS: u32 = 36_500;

/// Where the store is, how to sign, and every limit. Unknown keys are refused, each key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// `http(s)://host[:port]` of the store. None: AWS's own for the region.
    pub endpoint: Option<String>,
    /// The endpoint that signed URLs name, where callers reach the store by another name than we do.
    /// None: the same endpoint. The host is part of the signature, so it cannot be rewritten later.
    pub public_endpoint: Option<String>,
    /// Signing region. `us-east-1`: what stores without regions expect.
    pub region: String,
    /// Bucket of all workspaces. Default `atelier`.
    pub bucket: String,
    /// `endpoint/bucket/key` and not `bucket.endpoint/key`. On: AWS takes it, and most other stores need it.
    pub path_style: bool,
    /// Access key. None: the environment's default chain (variables, profile, web identity, container, instance).
    pub access_key: Option<String>,
    /// The access key's secret. Set both or neither.
    pub secret_key: Option<Secret<String>>,
    /// Size of a part, and the largest object that is sent in one request. 5 MiB, the least that S3 takes: two of them
    /// are held per running upload, and 10,000 of them are far beyond `max_size_bytes`.
    pub part_size_bytes: u64,
    /// Largest object. 5 GiB: no provider makes larger ones, and S3 copies no larger object in one call.
    pub max_size_bytes: u64,
    /// Limit of a connection attempt. 3 s: a store that takes longer is as good as down.
    pub connect_timeout_ms: u64,
    /// Limit of a call without media in it, attempts included. 10 s.
    pub call_timeout_ms: u64,
    /// Limit of a call that sends or joins parts, attempts included. 120 s: a part of 5 MiB at 0.4 Mbit/s.
    pub transfer_timeout_ms: u64,
    /// Longest silence of a source before it counts as broken off. 60 s.
    pub source_idle_timeout_ms: u64,
    /// Attempts of the SDK per call. 2: a lost connection is repeated at once, the rest is up to the job's own retries.
    pub max_attempts: u32,
    /// Days for which assets and their manifests are kept, from when they were written. 0: for ever, as nobody else has
    /// what was paid for.
    pub assets_retention_days: u32,
    /// The same for workspaces that differ, by their names.
    pub assets_retention_by_workspace: BTreeMap<WorkspaceId, u32>,
    /// Days for which files that came with requests are kept. 45: a job starts up to 30 days after its request, and may
    /// fail, and be done again from the dead letters for as long as its record is there. A job whose input is gone fails
    /// before it is paid. 0: for ever.
    pub inputs_retention_days: u32,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            public_endpoint: None,
            region: "us-east-1".to_owned(),
            bucket: "atelier".to_owned(),
            path_style: true,
            access_key: None,
            secret_key: None,
            part_size_bytes: 5 * MEBIBYTE,
            max_size_bytes: 5 * 1024 * MEBIBYTE,
            connect_timeout_ms: 3_000,
            call_timeout_ms: 10_000,
            transfer_timeout_ms: 120_000,
            source_idle_timeout_ms: 60_000,
            max_attempts: 2,
            assets_retention_days: 0,
            assets_retention_by_workspace: BTreeMap::new(),
            inputs_retention_days: 45,
        }
    }
}

/// Settings that cannot work, all reasons at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid S3 settings: {}", problems.join("; "))]
pub struct InvalidSettings {
    /// One sentence each, beginning with the setting's name.
    pub problems: Vec<String>,
}

impl S3Settings {
    /// Whether these settings can work, as far as that shows without asking the store.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let mut problems = Vec::new();
        for (name, endpoint) in [("endpoint", &self.endpoint), ("public_endpoint", &self.public_endpoint)] {
            if endpoint.as_deref().is_some_and(|endpoint| !is_endpoint(endpoint)) {
                problems.push(format!("`{name}` is not `http(s)://host[:port]`"));
            }
        }
        if self.region.is_empty() {
            problems.push("`region` is empty".to_owned());
        }
        if !is_bucket_name(&self.bucket) {
            problems.push("`bucket` is not 3 to 63 lower-case letters, digits, dots and hyphens".to_owned());
        }
        if self.access_key.is_some() != self.secret_key.is_some() {
            problems.push("`access_key` and `secret_key` are to be set together or not at all".to_owned());
        }
        if !(SMALLEST_PART_BYTES..=LARGEST_PART_BYTES).contains(&self.part_size_bytes) {
            problems.push(format!("`part_size_bytes` is not {SMALLEST_PART_BYTES} to {LARGEST_PART_BYTES}"));
        }
        if self.max_size_bytes == 0 || self.max_size_bytes.div_ceil(self.part_size_bytes.max(1)) > MOST_PARTS
        {
            problems.push(format!("`max_size_bytes` is not 1 to {MOST_PARTS} times `part_size_bytes`"));
        }
        for (name, limit_ms) in [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("call_timeout_ms", self.call_timeout_ms),
            ("transfer_timeout_ms", self.transfer_timeout_ms),
            ("source_idle_timeout_ms", self.source_idle_timeout_ms),
        ] {
            if limit_ms == 0 {
                problems.push(format!("`{name}` is 0"));
            }
        }
        for (name, days) in [
            ("assets_retention_days", self.assets_retention_days),
            ("inputs_retention_days", self.inputs_retention_days),
        ] {
            if days > MOST_DAYS {
                problems.push(format!("`{name}` is not 0 to {MOST_DAYS}"));
            }
        }
        for (workspace, days) in &self.assets_retention_by_workspace {
            if *days > MOST_DAYS {
                problems.push(format!("`assets_retention_by_workspace.{workspace}` is not 0 to {MOST_DAYS}"));
            }
        }
        if !(1..=5).contains(&self.max_attempts) {
            problems.push("`max_attempts` is not 1 to 5".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(InvalidSettings { problems }) }
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    pub(crate) fn transfer_timeout(&self) -> Duration {
        Duration::from_millis(self.transfer_timeout_ms)
    }

    pub(crate) fn source_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.source_idle_timeout_ms)
    }
}

/// Scheme and host, no path, no user: anything more would be lost or signed wrongly.
fn is_endpoint(text: &str) -> bool {
    let Some(authority) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    !authority.is_empty()
        && authority
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']'))
}

fn is_bucket_name(text: &str) -> bool {
    (3..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_work() {
        assert_eq!(S3Settings::default().check(), Ok(()));
        assert_eq!(serde_json::from_str::<S3Settings>("{}").unwrap(), S3Settings::default());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = serde_json::from_str::<S3Settings>(r#"{"acces_key": "a"}"#).unwrap_err();
        assert!(error.to_string().contains("acces_key"), "{error}");
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let settings = S3Settings {
            endpoint: Some("s3.example.com/path".to_owned()),
            bucket: "No".to_owned(),
            access_key: Some("key".to_owned()),
            part_size_bytes: 1,
            call_timeout_ms: 0,
            max_attempts: 0,
            assets_retention_days: 100_000,
            assets_retention_by_workspace: BTreeMap::from([("acme".parse().unwrap(), 100_000)]),
            ..S3Settings::default()
        };
        let problems = settings.check().unwrap_err().problems;
        for name in [
            "endpoint",
            "bucket",
            "secret_key",
            "part_size_bytes",
            "max_size_bytes",
            "call_timeout_ms",
            "max_attempts",
            "assets_retention_days",
            "assets_retention_by_workspace.acme",
        ] {
            assert!(
                problems.iter().any(|problem| problem.contains(&format!("`{name}`"))),
                "{name}: {problems:?}"
            );
        }
    }

    #[test]
    fn inv7_settings_show_no_secret() {
        let settings =
            S3Settings { secret_key: Some(Secret::new("hunter2".to_owned())), ..S3Settings::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
