//! How passing faults are tried again: how long until the next try, and when it is enough.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::Timestamp;
use crate::error::ProviderError;
use crate::job::Job;

/// How passing faults are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// First delay; doubles from there.
    pub base_ms: u64,
    /// Longest delay, also for a provider's hint.
    pub cap_ms: u64,
    /// Tries of one step before the job is `exhausted`. Rate limits and an absent asset store do not count.
    pub max_failures: u16,
    /// Paid calls of one job, at most.
    pub max_attempts: u16,
    /// From the time a job may start: a passing fault of a submit after so long ends it as `exhausted`. A day. What is
    /// paid for is not given up by it.
    pub total_ms: u64,
    /// Claims without a verdict before a job counts as poison: each may be a process that died of it.
    pub max_deliveries: u16,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            base_ms: 1_000,
            cap_ms: 60_000,
            max_failures: 5,
            max_attempts: 5,
            total_ms: 24 * 3600 * 1000,
            max_deliveries: 5,
        }
    }
}

/// What is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A call that certainly did not leave: no address, refused connection, failed TLS.
    NotSent,
    /// The provider cannot serve now, or a free call got no answer.
    Unavailable,
    /// The provider's rate limit. Waits are not counted as failures.
    RateLimited,
    /// The provider began the work and failed at it.
    WorkFailed,
    /// The file of a result cannot be read.
    Source,
    /// The asset store is away. Waits are not counted as failures.
    Store,
}

/// What differs for one kind of fault; what is absent is as in `retry`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryOverride {
    /// First delay; doubles from there.
    pub base_ms: Option<u64>,
    /// Longest delay, also for a provider's hint.
    pub cap_ms: Option<u64>,
    /// Tries of one step in a row before the job is `exhausted`.
    pub max_failures: Option<u16>,
}

impl FaultKind {
    /// The kind of a provider's fault, as far as it passes.
    pub(super) const fn of(error: &ProviderError) -> Self {
        match error {
            ProviderError::NotSent { .. } => Self::NotSent,
            ProviderError::RateLimited { .. } => Self::RateLimited,
            ProviderError::WorkFailed { .. } => Self::WorkFailed,
            ProviderError::Unavailable { .. }
            | ProviderError::UnknownOutcome { .. }
            | ProviderError::Malformed { .. }
            | ProviderError::Rejected { .. }
            | ProviderError::Invalid { .. }
            | ProviderError::Unauthorized { .. }
            | ProviderError::Quota { .. }
            | ProviderError::ModelRetired { .. }
            | ProviderError::UnknownOperation { .. } => Self::Unavailable,
        }
    }
}

impl Policy {
    /// How faults of this kind are tried again.
    pub(super) fn retry_of(&self, kind: FaultKind) -> Retry {
        let differs = self.retry_by.get(&kind).copied().unwrap_or_default();
        Retry {
            base_ms: differs.base_ms.unwrap_or(self.retry.base_ms),
            cap_ms: differs.cap_ms.unwrap_or(self.retry.cap_ms),
            max_failures: differs.max_failures.unwrap_or(self.retry.max_failures),
            ..self.retry
        }
    }

    /// Whether the job has been tried for as long as it may.
    pub(super) fn is_over_time(&self, job: &Job, now: Timestamp) -> bool {
        let from = job.body.spec.run_at.map_or(job.body.created_at, |run_at| run_at.max(job.body.created_at));
        now >= from + Duration::from_millis(self.retry.total_ms)
    }
}

impl Retry {
    pub(super) fn cap(&self) -> Duration {
        Duration::from_millis(self.cap_ms)
    }

    /// The wait before the next try: the provider's hint, or doubling from the base; half of it fixed and half by
    /// `dice` (0 to 1), never over the cap.
    pub fn delay(&self, failures: u16, hint: Option<Duration>, dice: f64) -> Duration {
        if let Some(hint) = hint {
            return hint.clamp(Duration::from_millis(1), self.cap());
        }
        let doublings = u32::from(failures.saturating_sub(1)).min(16);
        let full = Duration::from_millis(self.base_ms.saturating_mul(1 << doublings)).min(self.cap());
        full.mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0)
    }
}

/// What makes no sense: key, problem, and what would be right.
pub(super) fn problems(
    retry: &Retry,
    retry_by: &BTreeMap<FaultKind, RetryOverride>,
) -> Vec<(String, &'static str, &'static str)> {
    let named = |kind: &FaultKind, key: &str| {
        let kind = serde_json::to_value(kind).unwrap_or_default();
        format!("retry_by.{}.{key}", kind.as_str().unwrap_or_default())
    };
    let differing = retry_by.iter().flat_map(|(kind, differs)| {
        [
            (named(kind, "base_ms"), differs.base_ms),
            (named(kind, "cap_ms"), differs.cap_ms),
            (named(kind, "max_failures"), differs.max_failures.map(u64::from)),
        ]
    });
    [
        ("base_ms", retry.base_ms),
        ("cap_ms", retry.cap_ms),
        ("max_failures", u64::from(retry.max_failures)),
        ("max_attempts", u64::from(retry.max_attempts)),
        ("total_ms", retry.total_ms),
        ("max_deliveries", u64::from(retry.max_deliveries)),
    ]
    .into_iter()
    .map(|(key, value)| (format!("retry.{key}"), Some(value)))
    .chain(differing)
    .filter(|(_, value)| *value == Some(0))
    .map(|(key, _)| (key, "0 would try nothing", "at least 1 would be right"))
    .collect()
}
