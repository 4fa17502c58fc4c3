//! What providers tell us unasked.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::providers::Finished;
use crate::Timestamp;
use crate::operation::Provider;

/// A provider's call to us, as it came. Nothing of it is to be believed yet.
#[derive(Debug, Clone)]
pub struct CallbackRequest {
    /// Its headers, by name in lower case. A header that is no text is left out.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Bytes,
}

/// What a genuine callback says.
#[derive(Debug, Clone, PartialEq)]
pub struct Callback {
    /// The provider's job, where the callback names it.
    pub remote_id: Option<String>,
    /// The news.
    pub news: News,
}

/// The news of a callback.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// The work goes on.
    Progress,
    /// The work has ended, in one way or another: it is time to ask.
    Ended,
    /// The work has ended and this is the result, which cannot be asked for.
    Result(Finished),
}

/// Why a callback is not believed, or cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRefusal {
    /// The provider makes none, or none is expected from it here.
    #[error("{provider} makes no callbacks here")]
    NotExpected {
        /// Who.
        provider: Provider,
    },
    /// Forged, replayed too late, or not what the provider sends.
    #[error("the callback is not genuine: {reason}")]
    NotGenuine {
        /// In words, without the callback's content.
        reason: &'static str,
    },
    /// The keys to judge it by are not to be had now. The provider may try again.
    #[error("the callback cannot be judged now: {reason}")]
    Unavailable {
        /// What was seen.
        reason: String,
    },
}

/// Judges callbacks.
#[async_trait]
pub trait Callbacks: Send + Sync {
    /// What the callback says, if it is genuine as far as its signature tells. Providers without a signature are
    /// judged by the unguessable address alone, which the caller has checked before.
    async fn judge(
        &self,
        provider: Provider,
        request: &CallbackRequest,
        now: Timestamp,
    ) -> Result<Callback, CallbackRefusal>;
}
