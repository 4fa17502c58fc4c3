//! Calls that a provider makes: it tells a URL of the caller's that work has come so far.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::journal::{Entry, Kind, Provider};
use crate::state::State;

/// How long a receiver may take; the strictest of the providers gives it five seconds.
const RECEIVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes headers and body at the time of the call, from the state as it is then; `None` = nothing to tell.
pub(crate) type Make = Arc<dyn Fn(&State) -> Option<Message> + Send + Sync>;

/// A call to be made later.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) provider: Provider,
    /// Only `http` is spoken.
    pub(crate) url: String,
    pub(crate) method: Method,
    pub(crate) after: Duration,
    /// Tries in all, with this pause between two, until one is answered with 2xx.
    pub(crate) tries: u32,
    pub(crate) pause: Duration,
    pub(crate) make: Make,
}

/// Headers and body of a call; the body is JSON unless a `content-type` says what it is.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Webhook")
            .field("url", &self.url)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

/// Makes the call when its time comes. Each try stands in the journal; the status is that of the receiver.
pub(crate) fn deliver_later(webhook: Webhook, state: Arc<State>) {
    tokio::spawn(async move {
        sleep(webhook.after).await;
        for _ in 0..webhook.tries.max(1) {
            // A message may hold facts of a file that has to be rendered first.
            let (make, shared) = (Arc::clone(&webhook.make), Arc::clone(&state));
            let made = tokio::task::spawn_blocking(move || make(&shared)).await;
            let Ok(Some(message)) = made else { return };
            let path =
                webhook.url.parse::<Uri>().map_or_else(|_| webhook.url.clone(), |url| url.path().to_owned());
            let sequence = state.journal.add(Entry {
                sequence: 0,
                at: Timestamp::now(),
                provider: Some(webhook.provider),
                kind: Kind::Webhook,
                method: webhook.method.to_string(),
                path,
                prompt: None,
                fault: None,
                status: None,
                remote_id: None,
                accepted: false,
                bytes_sent: message.body.len() as u64,
            });
            let answered = timeout(RECEIVER_TIMEOUT, post(&webhook, message)).await;
            let status = answered.ok().and_then(Result::ok);
            state.journal.update(sequence, |entry| entry.status = status);
            if status.is_some_and(|status| (200..300).contains(&status)) {
                return;
            }
            sleep(webhook.pause).await;
        }
    });
}

async fn post(webhook: &Webhook, message: Message) -> anyhow::Result<u16> {
    let url: Uri = webhook.url.parse().context("the URL cannot be read")?;
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        bail!("only http is spoken");
    };
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request =
        Request::builder().method(webhook.method.clone()).uri(path).header(header::HOST, authority.as_str());
    if !message.headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    for (name, value) in message.headers {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Full::new(message.body))?).await?;
    let status = response.status().as_u16();
    // The receiver may reuse the connection only when its answer was read.
    let _ = response.into_body().collect().await;
    Ok(status)
}
