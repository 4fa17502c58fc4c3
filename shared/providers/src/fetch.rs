//! Foreign files: provider outputs and callers' inputs. Every address is checked before it is asked for and again
//! when its name is resolved, redirects are followed one by one and checked like the first (INV-8). No credential is
//! ever sent here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::foreign::{Exceptions, UrlRefusal};
use atelier_domain::ports::{FetchError, Fetched, Fetcher};
use http::{Method, header};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::exchange::{Body, Expects, Header, HttpRequest, Reply, ReplyHead};
use crate::guarded::{Guarded, refusal};
use crate::lookup::{Lookup, SystemLookup};
use crate::media::MediaLimits;
use crate::message::{MESSAGE_LIMIT, tidy};
use crate::transport::{Limits, TransportError, TransportSetupError};

/// Limits of reading a foreign file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchSettings {
    /// Name look-up, TCP and TLS together.
    pub connect_timeout_ms: u64,
    /// Until the head of an answer, for each hop.
    pub head_timeout_ms: u64,
    /// Longest pause between two pieces of the body.
    pub idle_timeout_ms: u64,
    /// Longest time for all hops and the whole body. Half an hour is a 500 MB video at 300 kB/s.
    pub timeout_ms: u64,
    /// Largest file.
    pub max_bytes: u64,
    /// Redirects followed.
    pub max_redirects: u8,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 10_000,
            head_timeout_ms: 30_000,
            idle_timeout_ms: 30_000,
            timeout_ms: 1_800_000,
            max_bytes: 5 * 1024 * 1024 * 1024,
            max_redirects: 5,
        }
    }
}

/// The [`Fetcher`] of production.
pub struct GuardedFetcher {
    guarded: Guarded,
    settings: FetchSettings,
}

impl GuardedFetcher {
    /// A fetcher that uses the operating system's resolver. `exceptions` is empty in production. The process must
    /// have installed rustls' crypto provider before.
    pub fn new(settings: FetchSettings, exceptions: Exceptions) -> Result<Self, TransportSetupError> {
        Self::with_lookup(settings, exceptions, Arc::new(SystemLookup))
    }

    /// A fetcher that resolves names its own way.
    pub fn with_lookup(
        settings: FetchSettings,
        exceptions: Exceptions,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, TransportSetupError> {
        let limits = Limits {
            connect_timeout: Duration::from_millis(settings.connect_timeout_ms),
            pool_idle_timeout: Duration::from_millis(settings.idle_timeout_ms),
            // The bodies of redirects and error pages are of no use.
            max_reply_bytes: 0,
            max_large_reply_bytes: 0,
            media: MediaLimits {
                idle_timeout: Duration::from_millis(settings.idle_timeout_ms),
                timeout: Duration::from_millis(settings.timeout_ms),
                max_bytes: settings.max_bytes,
            },
        };
        Ok(Self { guarded: Guarded::new(limits, exceptions, lookup)?, settings })
    }

    async fn open(&self, url: &Url, timeout: Duration) -> Result<Reply, FetchError> {
        let transport = self.guarded.for_address(url);
        transport.execute(file_request(url), timeout, None).await.map_err(refused_or_unavailable)
    }
}

#[async_trait]
impl Fetcher for GuardedFetcher {
    async fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        let deadline = Instant::now() + Duration::from_millis(self.settings.timeout_ms);
        let mut url = self.guarded.check(url)?;
        for _ in 0..=self.settings.max_redirects {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = left.min(Duration::from_millis(self.settings.head_timeout_ms));
            let head = match self.open(&url, timeout).await? {
                Reply::Media { head, body } => return fetched(&head, body, self.settings.max_bytes),
                Reply::Whole(reply) => reply.head,
            };
            url = self.guarded.check(redirect_target(&url, &head)?.as_str())?;
        }
        Err(unavailable(format!("more than {} redirects", self.settings.max_redirects)))
    }
}

fn file_request(url: &Url) -> HttpRequest {
    HttpRequest {
        method: Method::GET,
        url: url.clone(),
        template: None,
        // The bytes are stored as they come; a compressed transfer would be stored compressed.
        headers: vec![Header::plain("accept", "*/*"), Header::plain("accept-encoding", "identity")],
        body: Body::None,
        expects: Expects::Media,
    }
}

fn fetched(
    head: &ReplyHead,
    body: atelier_domain::ports::ByteStream,
    max_bytes: u64,
) -> Result<Fetched, FetchError> {
    if head.status == 206 {
        return Err(unavailable(
            "it answered a part of the file (HTTP 206) without being asked for one".to_owned(),
        ));
    }
    let length_bytes = head.header(header::CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
    if let Some(length) = length_bytes.filter(|length| *length > max_bytes) {
        return Err(unavailable(format!("the file has {length} bytes, the limit is {max_bytes}")));
    }
    let content_type = head.header(header::CONTENT_TYPE.as_str()).map(str::to_owned);
    Ok(Fetched { content_type, length_bytes, body })
}

/// Where a reply without media leads, or why it leads nowhere.
fn redirect_target(from: &Url, head: &ReplyHead) -> Result<Url, FetchError> {
    match head.status {
        301 | 302 | 303 | 307 | 308 => {
            let location = head
                .header(header::LOCATION.as_str())
                .ok_or_else(|| unavailable(format!("it redirects (HTTP {}) to nowhere", head.status)))?;
            from.join(location).map_err(|_| FetchError::Refused(UrlRefusal::Unreadable))
        }
        401 | 403 | 404 | 410 => Err(FetchError::Gone { status: head.status }),
        status => Err(unavailable(format!("it answered HTTP {status}"))),
    }
}

fn refused_or_unavailable(error: TransportError) -> FetchError {
    refusal(&error).map_or_else(|| unavailable(error.to_string()), FetchError::Refused)
}

fn unavailable(message: String) -> FetchError {
    FetchError::Unavailable { message: tidy(&message, MESSAGE_LIMIT) }
}
