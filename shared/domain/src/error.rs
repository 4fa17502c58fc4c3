//! What goes wrong, in one taxonomy: adapters say what happened ([`ProviderError`]), [`crate::policy`] says what to do,
//! and a job shows an [`ErrorCode`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The code of a failed job. Names are fixed: callers branch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The provider's moderation refused the prompt or the result.
    Rejected,
    /// The provider calls the request wrong.
    Invalid,
    /// The provider does not accept the credential.
    Unauthorized,
    /// The provider account is out of money or over a plan's limit.
    Quota,
    /// Rate limited for longer than the job may wait.
    RateLimited,
    /// The provider did not finish within the polling limits.
    Timeout,
    /// A paid request may or may not have arrived, and nobody could tell.
    UnknownOutcome,
    /// The provider's answer or its media is not what it claims to be.
    Malformed,
    /// The provider serves this model no longer.
    ModelRetired,
    /// All attempts failed for passing reasons.
    Exhausted,
    /// The job did not start before its deadline.
    Deadline,
    /// The workspace's budget does not allow the job.
    Budget,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::Rejected,
        Self::Invalid,
        Self::Unauthorized,
        Self::Quota,
        Self::RateLimited,
        Self::Timeout,
        Self::UnknownOutcome,
        Self::Malformed,
        Self::ModelRetired,
        Self::Exhausted,
        Self::Deadline,
        Self::Budget,
    ];

    /// The word on the wire, on `error.type` of spans and on metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Invalid => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::Quota => "quota",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Malformed => "malformed",
            Self::ModelRetired => "model_retired",
            Self::Exhausted => "exhausted",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
        }
    }

    /// Whether the same request may well succeed when the caller sends it again as it is.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::RateLimited | Self::Timeout | Self::UnknownOutcome | Self::Exhausted | Self::Deadline => {
                true
            }
            Self::Rejected
            | Self::Invalid
            | Self::Unauthorized
            | Self::Quota
            | Self::Malformed
            | Self::ModelRetired
            | Self::Budget => false,
        }
    }
}

/// Why a job failed, as its caller sees it. The message never holds a secret or a reply body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// The taxonomy's code.
    pub code: ErrorCode,
    /// One sentence for the caller.
    pub message: String,
    /// The provider's own word or HTTP status, when it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_status: Option<String>,
}

impl JobError {
    /// An error without a provider's word.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), provider_status: None }
    }
}

/// What happened at a provider. A variant exists because [`crate::policy`] acts on it differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The request certainly did not reach the provider (no address, refused connection, failed TLS).
    #[error("the provider could not be reached: {message}")]
    NotSent {
        /// What failed.
        message: String,
    },
    /// The provider answered that it did not take the work now, and says so credibly.
    #[error("the provider is unavailable: {message}")]
    Unavailable {
        /// The provider's text, cut short.
        message: String,
        /// HTTP status or the provider's word.
        status: String,
    },
    /// Too many requests.
    #[error("the provider limits the rate: {message}")]
    RateLimited {
        /// The provider's text, cut short.
        message: String,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// Moderation.
    #[error("the provider rejected the content: {message}")]
    Rejected {
        /// The provider's text, cut short.
        message: String,
        /// The provider's own code.
        status: String,
    },
    /// A field or an input is wrong.
    #[error("the provider calls the request invalid: {message}")]
    Invalid {
        /// The provider's text, cut short.
        message: String,
        /// The provider's own code.
        status: String,
    },
    /// The key is wrong or lacks a permission.
    #[error("the provider does not accept the credential: {message}")]
    Unauthorized {
        /// The provider's text, cut short.
        message: String,
    },
    /// Out of money or over a plan's limit.
    #[error("the provider account is over its quota: {message}")]
    Quota {
        /// The provider's text, cut short.
        message: String,
    },
    /// The model is gone.
    #[error("the provider no longer serves the model: {message}")]
    ModelRetired {
        /// The provider's text, cut short.
        message: String,
    },
    /// The remote operation is not known (any more).
    #[error("the provider does not know the operation: {message}")]
    UnknownOperation {
        /// The provider's text, cut short.
        message: String,
    },
    /// The provider ran the work and it failed there.
    #[error("the work failed at the provider: {message}")]
    WorkFailed {
        /// The provider's text, cut short.
        message: String,
        /// The provider's own code.
        status: String,
        /// Whether the provider calls a new try sensible.
        is_retryable: bool,
    },
    /// The answer is not what the contract says.
    #[error("the provider's answer is malformed: {message}")]
    Malformed {
        /// What was wrong.
        message: String,
        /// HTTP status.
        status: String,
    },
    /// The request may have arrived, but no usable answer came back.
    #[error("the outcome at the provider is unknown: {message}")]
    UnknownOutcome {
        /// What was seen.
        message: String,
    },
}

impl ProviderError {
    /// The value of metrics and logs: one word a variant.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::Unavailable { .. } => "unavailable",
            Self::RateLimited { .. } => "rate_limited",
            Self::Rejected { .. } => "rejected",
            Self::Invalid { .. } => "invalid",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Quota { .. } => "quota",
            Self::ModelRetired { .. } => "model_retired",
            Self::UnknownOperation { .. } => "unknown_operation",
            Self::WorkFailed { .. } => "work_failed",
            Self::Malformed { .. } => "malformed",
            Self::UnknownOutcome { .. } => "unknown_outcome",
        }
    }

    /// The job error a caller sees when this ends the job.
    pub fn to_job_error(&self) -> JobError {
        let (code, status) = match self {
            Self::NotSent { .. } => (ErrorCode::Exhausted, None),
            Self::Unavailable { status, .. } => (ErrorCode::Exhausted, Some(status)),
            Self::RateLimited { .. } => (ErrorCode::RateLimited, None),
            Self::Rejected { status, .. } => (ErrorCode::Rejected, Some(status)),
            Self::Invalid { status, .. } => (ErrorCode::Invalid, Some(status)),
            Self::Unauthorized { .. } => (ErrorCode::Unauthorized, None),
            Self::Quota { .. } => (ErrorCode::Quota, None),
            Self::ModelRetired { .. } => (ErrorCode::ModelRetired, None),
            Self::UnknownOperation { .. } => (ErrorCode::Malformed, None),
            Self::WorkFailed { status, .. } => (ErrorCode::Exhausted, Some(status)),
            Self::Malformed { status, .. } => (ErrorCode::Malformed, Some(status)),
            Self::UnknownOutcome { .. } => (ErrorCode::UnknownOutcome, None),
        };
        JobError { code, message: self.to_string(), provider_status: status.cloned() }
    }
}

/// An error and its causes in one line, for logs and for operators.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_word() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
