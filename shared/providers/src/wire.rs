//! What a provider file must say: pure translations between the domain's calls and one HTTP exchange each.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, RemoteOperation};
use atelier_domain::money::ReportedCost;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{
    Abandoned, Callback, CallbackRefusal, CallbackRequest, Checked, Finished, InputForms, ProviderKey,
    SubmitCall,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use url::Url;

use crate::exchange::{Header, HttpReply, HttpRequest, ReplyHead};

/// A provider's protocol. Values in, values out: no clock, no network, no state.
pub(crate) trait Wire: Send + Sync + 'static {
    /// Whose protocol it is.
    const PROVIDER: Provider;

    /// In which forms the call takes a file: the job's input (`None`) or that of an option.
    fn input_forms(&self, spec: &JobSpec, option: Option<&str>) -> InputForms;

    /// The first request that brings a file's bytes to the provider's own upload endpoint, or `None` where they travel
    /// in the call itself. Uploads cost nothing and may be repeated.
    fn encode_upload(
        &self,
        file: &FileBytes<'_>,
        spec: &JobSpec,
        key: &ProviderKey,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        let _ = (file, spec, key, endpoint);
        Ok(None)
    }

    /// The answer to the first request of an upload.
    fn decode_upload(
        &self,
        reply: &HttpReply,
        file: &FileBytes<'_>,
        endpoint: &Endpoint,
    ) -> Result<UploadStep, ProviderError> {
        let _ = (file, endpoint);
        Err(malformed(reply.head.status, "no upload was asked for"))
    }

    /// How long the paid call may take, up to the head of a media reply.
    fn submit_timeout(&self, spec: &JobSpec, endpoint: &Endpoint) -> Duration {
        let _ = spec;
        endpoint.submit_timeout
    }

    /// The paid call, or why it cannot be made. An error here means that nothing was sent.
    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError>;

    /// The answer to a paid call, when it was read whole.
    fn decode_submit(
        &self,
        reply: &HttpReply,
        spec: &JobSpec,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError>;

    /// The head of an answer that holds the media. Providers that only accept work never ask for one.
    fn decode_media(&self, head: &ReplyHead, spec: &JobSpec) -> Result<MediaFacts, ProviderError> {
        let _ = spec;
        Err(malformed(head.status, "media came where a short answer was expected"))
    }

    /// The first question of a status check. Providers that answer at once have no operation to ask about.
    fn encode_check(&self, look: &Look<'_>, endpoint: &Endpoint) -> Result<Question, ProviderError> {
        let _ = endpoint;
        Err(no_operation(look))
    }

    /// The answer to the first question of a check.
    fn decode_check(
        &self,
        reply: &HttpReply,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<CheckStep, ProviderError> {
        let _ = (reply, endpoint);
        Err(no_operation(look))
    }

    /// The cancel; `None` where the provider has no such call.
    fn encode_abandon(
        &self,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        let _ = (look, endpoint);
        Ok(None)
    }

    /// The answer to a cancel.
    fn decode_abandon(&self, reply: &HttpReply) -> Result<Abandoned, ProviderError> {
        let _ = reply;
        Ok(Abandoned::NotSupported)
    }

    /// Where the public keys of the provider's callbacks are; `None` where callbacks need no such keys.
    fn callback_keys(&self, endpoint: &Endpoint) -> Option<HttpRequest> {
        let _ = endpoint;
        None
    }

    /// What a callback says. `keys` is the document of [`Wire::callback_keys`]. Signatures are judged here; a provider
    /// without any is trusted as far as the unguessable address goes, and never more than a hint to ask again.
    fn decode_callback(
        &self,
        request: &CallbackRequest,
        keys: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Callback, CallbackRefusal> {
        let _ = (request, keys, now);
        Err(CallbackRefusal::NotExpected { provider: Self::PROVIDER })
    }
}

/// Where a provider is and how long to wait for it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) base: Url,
    pub(crate) submit_timeout: Duration,
    pub(crate) upload_timeout: Duration,
    pub(crate) check_timeout: Duration,
    pub(crate) abandon_timeout: Duration,
}

impl Endpoint {
    /// The base URL with these segments after it, each percent-encoded as needed.
    pub(crate) fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        // Only URLs without a host have no path, and settings admit none of them.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Whether credentials for this provider may be sent to that URL.
    pub(crate) fn owns(&self, url: &Url) -> bool {
        url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none()
    }

    /// Those of the links that credentials may be sent to, by their purpose.
    pub(crate) fn own_links<'a>(
        &self,
        links: impl IntoIterator<Item = (&'a str, Option<&'a Value>)>,
    ) -> BTreeMap<String, String> {
        let own = |link: &Value| link.as_str().filter(|text| self.own_url(text).is_some()).map(str::to_owned);
        links.into_iter().filter_map(|(name, link)| Some((name.to_owned(), own(link?)?))).collect()
    }

    /// Whether it is the address that the provider itself has, not one that stands in for it.
    pub(crate) fn is_at(&self, own_base: &str) -> bool {
        Url::parse(own_base).is_ok_and(|own| self.base.as_str().starts_with(own.as_str()))
    }

    /// Another host of the same provider: the one of the settings, else `other` where this endpoint is at `own_base`.
    /// Whoever stands in for the one stands in for the other: the key goes nowhere unasked.
    pub(crate) fn beside(&self, named: Option<&Url>, own_base: &str, other: &str) -> Self {
        let other = || self.is_at(own_base).then(|| Url::parse(other).ok()).flatten();
        let base = named.cloned().or_else(other).unwrap_or_else(|| self.base.clone());
        Self { base, ..self.clone() }
    }

    fn own_url(&self, text: &str) -> Option<Url> {
        Url::parse(text).ok().filter(|url| self.owns(url))
    }
}

/// A file that may have to be uploaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileBytes<'a> {
    pub(crate) content_type: &'a str,
    pub(crate) bytes: &'a Bytes,
}

/// After the first answer of an upload.
#[derive(Debug)]
pub(crate) enum UploadStep {
    /// The file is there; the call names it so.
    Done { url: String },
    /// The bytes go to this address, which is foreign: it is checked, and no key is sent there. After a 2xx answer the
    /// call names the file by `url`.
    Then { request: Box<HttpRequest>, url: String },
}

/// How a status check begins.
#[derive(Debug)]
pub(crate) enum Question {
    /// With this request.
    Ask(HttpRequest),
    /// With nothing: the answer is known, because only a callback can tell more.
    Known(Checked),
}

/// The answer to a paid call that was read whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answered {
    /// The provider took the work; it must be asked about.
    Accepted(Accepted),
    /// The result is in the answer.
    Finished(Finished),
}

/// What a check or a cancel is about.
pub(crate) struct Look<'a> {
    pub(crate) spec: &'a JobSpec,
    pub(crate) remote: &'a RemoteOperation,
    pub(crate) key: &'a ProviderKey,
}

impl Look<'_> {
    /// The URL that the provider gave for this purpose, if credentials may be sent there.
    pub(crate) fn given_url(&self, name: &str, endpoint: &Endpoint) -> Option<Url> {
        self.remote.urls.get(name).and_then(|text| endpoint.own_url(text))
    }
}

/// The provider took the work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Accepted {
    pub(crate) remote: RemoteOperation,
    pub(crate) status: Option<String>,
}

/// What the head of a media reply tells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MediaFacts {
    pub(crate) content_type: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) cost: Option<ReportedCost>,
}

/// Reads the answer to the second question of a check.
pub(crate) type DecodeResult = fn(&HttpReply) -> Result<Checked, ProviderError>;

/// After the first answer of a check.
#[derive(Debug)]
pub(crate) enum CheckStep {
    /// That was all.
    Done(Checked),
    /// The result is behind a second question; `decode` reads its answer. There is never a third.
    Then { request: Box<HttpRequest>, decode: DecodeResult },
}

/// The header that carries the key. A key that no header can carry is refused before anything is sent.
pub(crate) fn key_header(
    name: &'static str,
    scheme: &str,
    key: &ProviderKey,
) -> Result<Header, ProviderError> {
    let key = key.0.expose();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "the stored key is empty or holds blanks or unprintable characters".to_owned();
        return Err(ProviderError::Unauthorized { message });
    }
    Ok(Header::secret(name, format!("{scheme}{key}")))
}

/// What the statuses mean that mean the same at every provider, for calls that cost nothing. A job only fails by it
/// when the operation is unknown; everything else leaves it waiting.
pub(crate) fn free_call_error(reply: &HttpReply, message: String) -> ProviderError {
    let status = reply.head.status;
    match status {
        401 | 403 => ProviderError::Unauthorized { message },
        402 => ProviderError::Quota { message },
        404 | 410 => ProviderError::UnknownOperation { message },
        429 => ProviderError::RateLimited { message, retry_after: reply.head.retry_after(None) },
        408 | 425 | 500..=599 => ProviderError::Unavailable { message, status: status.to_string() },
        300..=399 => malformed(status, "it redirects, which is not followed; the base URL may be wrong"),
        _ => malformed(status, &message),
    }
}

/// An answer that the contract does not know. Keeps the status.
pub(crate) fn malformed(status: u16, message: &str) -> ProviderError {
    ProviderError::Malformed { message: message.to_owned(), status: status.to_string() }
}

/// A 2xx answer to a paid call that cannot be read: the work was taken, but under which id is not known to us. That
/// is an unknown outcome, and never a reason to submit again by itself.
pub(crate) fn unreadable_acceptance(reply: &HttpReply, what: &str) -> ProviderError {
    let length = if reply.is_cut { "longer than the limit" } else { "whole" };
    ProviderError::UnknownOutcome {
        message: format!("it answered HTTP {} but {what} (the body was {length})", reply.head.status),
    }
}

/// The operation that an acceptance names by this id; `what` says what is missing without one.
pub(crate) fn taken(
    reply: &HttpReply,
    id: Option<&Value>,
    what: &str,
    now: Timestamp,
) -> Result<RemoteOperation, ProviderError> {
    let id = id.and_then(Value::as_str).filter(|id| is_path_segment(id));
    let id = id.ok_or_else(|| unreadable_acceptance(reply, what))?;
    Ok(RemoteOperation { id: id.to_owned(), submitted_at: now, urls: BTreeMap::new() })
}

/// What a media answer says that it holds, where it says anything; texts and JSON are no media. `what` was expected.
pub(crate) fn claimed_media(head: &ReplyHead, what: &str) -> Result<Option<String>, ProviderError> {
    let claimed = head.content_type();
    if claimed == "application/json" || claimed.starts_with("text/") {
        return Err(malformed(head.status, &format!("it answered `{claimed}` where {what} was expected")));
    }
    Ok((!claimed.is_empty()).then_some(claimed))
}

/// Whether a result can be fetched from there.
pub(crate) fn is_link(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// A file as a `data:` URI.
pub(crate) fn data_uri(content_type: &str, bytes: &[u8]) -> String {
    format!("data:{content_type};base64,{}", STANDARD.encode(bytes))
}

/// The request is wrong, found out before it was sent.
pub(crate) fn invalid(message: impl Into<String>) -> ProviderError {
    ProviderError::Invalid { message: message.into(), status: "not_sent".to_owned() }
}

/// A text that may stand as one path segment: not empty, not a dot segment, of a sane length.
pub(crate) fn is_path_segment(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && !matches!(text, "." | "..")
        && !text.chars().any(char::is_control)
}

fn no_operation(look: &Look<'_>) -> ProviderError {
    let message = format!("{} answers at once and has no operation to ask about", look.spec.provider);
    ProviderError::UnknownOperation { message }
}
