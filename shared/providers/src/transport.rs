//! The only file that knows the HTTP client. It sends one request, once: no retry, no redirect, no proxy unless set.
//!
//! It tells two kinds of failure apart, because money depends on it: the request certainly did not leave
//! ([`TransportError::NotSent`]), or it may have arrived ([`TransportError::Lost`]).

use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use atelier_domain::error::chain;
use atelier_domain::ports::{BoxError, ByteStream, SourceBroken};
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span};

use crate::exchange::{
    Body, Expects, FormPart, FormValue, Header, HeaderText, HttpReply, HttpRequest, Reply, ReplyHead,
};
use crate::lookup::{Lookup, PrivateAddress, public_only};
use crate::media::{MediaLimits, within_limits};
use crate::span::{client_span, mark_failed};

/// How we introduce ourselves to providers and file servers.
pub const USER_AGENT: &str = concat!("atelier/", env!("CARGO_PKG_VERSION"));

/// Limits of the calls to providers. Timeouts of a single call belong to its provider's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransportSettings {
    /// Name look-up, TCP and TLS together. Must be shorter than every call's timeout: a call that is given up while
    /// it still connects would count as lost instead of not sent.
    pub connect_timeout_ms: u64,
    /// Connections idle for longer are not used again. Shorter than servers keep theirs, so that a paid call is not
    /// written into a connection that is being closed.
    pub pool_idle_timeout_ms: u64,
    /// Longest reply that is read into memory. Provider replies are a few kilobytes.
    pub max_reply_bytes: usize,
    /// Longest reply that is read into memory where media or transcripts come within JSON. 64 MiB: ten images, or the
    /// words of ten hours.
    pub max_large_reply_bytes: usize,
    /// Longest pause within media that come in a reply.
    pub media_idle_timeout_ms: u64,
    /// Longest time for media that come in a reply, from the first byte of the request.
    pub media_timeout_ms: u64,
    /// Largest media that come in a reply.
    pub max_media_bytes: u64,
    /// Whether `HTTPS_PROXY` and its kin count. Off: a variable left over in an image must not reroute keys.
    pub use_environment_proxy: bool,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 10_000,
            pool_idle_timeout_ms: 15_000,
            max_reply_bytes: 1024 * 1024,
            max_large_reply_bytes: 64 * 1024 * 1024,
            media_idle_timeout_ms: 30_000,
            media_timeout_ms: 600_000,
            max_media_bytes: 512 * 1024 * 1024,
            use_environment_proxy: false,
        }
    }
}

impl TransportSettings {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            pool_idle_timeout: Duration::from_millis(self.pool_idle_timeout_ms),
            max_reply_bytes: self.max_reply_bytes,
            max_large_reply_bytes: self.max_large_reply_bytes,
            media: MediaLimits {
                idle_timeout: Duration::from_millis(self.media_idle_timeout_ms),
                timeout: Duration::from_millis(self.media_timeout_ms),
                max_bytes: self.max_media_bytes,
            },
        }
    }
}

/// Bounds of one transport.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) pool_idle_timeout: Duration,
    pub(crate) max_reply_bytes: usize,
    pub(crate) max_large_reply_bytes: usize,
    pub(crate) media: MediaLimits,
}

/// Which addresses names may lead to.
#[derive(Clone)]
pub(crate) enum Reach {
    /// The operating system decides; for provider hosts, which the operator sets.
    System,
    /// Whatever this look-up says; for addresses that the operator excepted.
    Any(Arc<dyn Lookup>),
    /// Public addresses only; for foreign files.
    Public(Arc<dyn Lookup>),
}

/// The HTTP client could not be made: no root certificates or no crypto provider.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up the HTTP client")]
pub struct TransportSetupError(#[source] BoxError);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request certainly did not leave: no address, refused connection, failed TLS, connect timeout.
    #[error("{message}")]
    NotSent {
        /// What failed.
        message: String,
    },
    /// The name leads to no public address. Nothing was sent.
    #[error(transparent)]
    Private(#[from] PrivateAddress),
    /// The request may have arrived: reset, timeout, broken reply.
    #[error("{message}")]
    Lost {
        /// What was seen.
        message: String,
    },
}

impl TransportError {
    fn label(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::Private(_) => "private_address",
            Self::Lost { .. } => "lost",
        }
    }
}

/// Sends requests.
#[derive(Clone)]
pub struct Transport {
    client: reqwest::Client,
    limits: Limits,
}

impl Transport {
    /// A transport for provider calls. The process must have installed rustls' crypto provider before.
    pub fn new(settings: &TransportSettings) -> Result<Self, TransportSetupError> {
        Self::build(settings.limits(), Reach::System, settings.use_environment_proxy)
    }

    /// A transport for foreign files. Never uses a proxy: the guard would check the proxy's address instead.
    pub(crate) fn reaching(reach: Reach, limits: Limits) -> Result<Self, TransportSetupError> {
        Self::build(limits, reach, false)
    }

    fn build(limits: Limits, reach: Reach, use_proxy: bool) -> Result<Self, TransportSetupError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(TransportSetupError("no rustls crypto provider is installed in this process".into()));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(limits.connect_timeout)
            .pool_idle_timeout(limits.pool_idle_timeout)
            .redirect(reqwest::redirect::Policy::none())
            // The client's own replay of refused HTTP/2 streams would be a second paid call behind our back.
            .retry(reqwest::retry::never())
            .referer(false);
        if !use_proxy {
            builder = builder.no_proxy();
        }
        builder = match reach {
            Reach::System => builder,
            Reach::Any(lookup) => builder.dns_resolver(Resolver { lookup, is_guarded: false }),
            Reach::Public(lookup) => builder.dns_resolver(Resolver { lookup, is_guarded: true }),
        };
        let client = builder.build().map_err(|error| TransportSetupError(error.into()))?;
        Ok(Self { client, limits })
    }

    /// Sends the request once. `timeout` covers everything up to the end of a whole reply or the head of a media
    /// reply; media have the transport's own limits. `peer` is the provider for the service graph.
    pub async fn execute(
        &self,
        request: HttpRequest,
        timeout: Duration,
        peer: Option<&'static str>,
    ) -> Result<Reply, TransportError> {
        let span = client_span(&request, peer);
        let outcome = self.exchange(request, timeout, &span).instrument(span.clone()).await;
        if let Err(error) = &outcome {
            mark_failed(&span, error.label());
        }
        outcome
    }

    async fn exchange(
        &self,
        request: HttpRequest,
        timeout: Duration,
        span: &Span,
    ) -> Result<Reply, TransportError> {
        let started = Instant::now();
        let deadline = started + timeout;
        let expects = request.expects;
        let sending = self.client.execute(self.prepared(request)?);
        let response = match timeout_at(deadline, sending).await {
            Ok(sent) => sent.map_err(|error| classified(error.without_url()))?,
            Err(_) => return Err(lost_after(timeout)),
        };
        let head = ReplyHead { status: response.status().as_u16(), headers: response.headers().clone() };
        span.record("http.response.status_code", head.status);
        if head.status >= 400 {
            mark_failed(span, &head.status.to_string());
        }
        if expects == Expects::Media && head.is_success() {
            let announced = head.header("content-length").and_then(|text| text.parse().ok());
            let body = within_limits(chunks(response), announced, self.limits.media, started, span.clone());
            return Ok(Reply::Media { head, body });
        }
        let limit = match expects {
            Expects::LargeText if head.is_success() => self.limits.max_large_reply_bytes,
            Expects::LargeText | Expects::Text | Expects::Media => self.limits.max_reply_bytes,
        };
        let reading = read_bounded(response, limit);
        let (body, is_cut) = match timeout_at(deadline, reading).await {
            Ok(read) => read?,
            Err(_) => return Err(lost_after(timeout)),
        };
        Ok(Reply::Whole(HttpReply { head, body, is_cut }))
    }

    fn prepared(&self, request: HttpRequest) -> Result<reqwest::Request, TransportError> {
        let mut builder =
            self.client.request(request.method, request.url).headers(header_map(&request.headers)?);
        builder = match request.body {
            Body::None => builder,
            Body::Json(value) => builder.json(&value),
            Body::Bytes { content_type, bytes } => {
                builder.header(header::CONTENT_TYPE, content_type).body(bytes)
            }
            Body::Form(parts) => builder.multipart(form(parts)?),
        };
        builder.build().map_err(|error| TransportError::NotSent { message: chain(&error.without_url()) })
    }
}

fn form(parts: Vec<FormPart>) -> Result<reqwest::multipart::Form, TransportError> {
    parts.into_iter().try_fold(reqwest::multipart::Form::new(), |form, part| {
        let value = match part.value {
            FormValue::Text(text) => reqwest::multipart::Part::text(text),
            FormValue::File { file_name, content_type, bytes } => {
                let length = bytes.len() as u64;
                reqwest::multipart::Part::stream_with_length(bytes, length)
                    .file_name(file_name)
                    .mime_str(&content_type)
                    .map_err(|_| TransportError::NotSent {
                        message: format!("the file `{}` has no readable content type", part.name),
                    })?
            }
        };
        Ok(form.part(part.name, value))
    })
}

fn header_map(headers: &[Header]) -> Result<HeaderMap, TransportError> {
    headers
        .iter()
        .map(|header| {
            let (text, is_secret) = match &header.value {
                HeaderText::Plain(text) => (text, false),
                HeaderText::Secret(secret) => (secret.expose(), true),
            };
            let mut value = HeaderValue::from_str(text).map_err(|_| TransportError::NotSent {
                message: format!(
                    "the header `{}` cannot be sent: its value is not printable text",
                    header.name
                ),
            })?;
            value.set_sensitive(is_secret);
            Ok((HeaderName::from_static(header.name), value))
        })
        .collect()
}

/// Reads at most `limit` bytes; says whether there was more.
async fn read_bounded(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<(Bytes, bool), TransportError> {
    if limit == 0 {
        return Ok((Bytes::new(), true));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classified(error.without_url()))? {
        let room = limit.saturating_sub(body.len());
        if chunk.len() > room {
            body.extend_from_slice(chunk.get(..room).unwrap_or_default());
            return Ok((body.freeze(), true));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.freeze(), false))
}

/// The body piece by piece, as it comes.
fn chunks(response: reqwest::Response) -> ByteStream {
    Box::pin(stream::try_unfold(response, |mut response| async {
        match response.chunk().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (chunk, response))),
            Err(error) => Err(SourceBroken { message: chain(&error.without_url()) }),
        }
    }))
}

fn classified(error: reqwest::Error) -> TransportError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(private) = inner.downcast_ref::<PrivateAddress>() {
            return TransportError::Private(*private);
        }
        cause = inner.source();
    }
    if error.is_connect() || error.is_builder() {
        return TransportError::NotSent { message: chain(&error) };
    }
    TransportError::Lost { message: chain(&error) }
}

fn lost_after(timeout: Duration) -> TransportError {
    TransportError::Lost { message: format!("no complete answer within {} ms", timeout.as_millis()) }
}

// ---------------------------------------------------------------- names

struct Resolver {
    lookup: Arc<dyn Lookup>,
    is_guarded: bool,
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let lookup = Arc::clone(&self.lookup);
        let is_guarded = self.is_guarded;
        Box::pin(async move {
            let found: Vec<IpAddr> = lookup.addresses(name.as_str()).await?;
            let found = if is_guarded { public_only(found)? } else { found };
            // Port 0 stands for the port of the URL.
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}
