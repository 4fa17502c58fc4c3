//! Deepgram's callbacks: the answer is only an id, the result is sent to a URL of the caller's later.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::answer::{Answer, Payload};
use crate::call::Call;
use crate::deepgram_query::{Query, Refusal};
use crate::journal::Provider;
use crate::state::{State, uuid};
use crate::webhook::{Message, Webhook};

/// Tries in all: the first, and ten more.
const TRIES: u32 = 11;
/// The pause between two tries, in units of the time that the work takes. The provider waits 30 seconds.
const PAUSE: u32 = 10;
/// Ports that are called. Receivers on this machine may have any.
const PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Where the result is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Callback {
    url: String,
    method: Method,
    headers: Vec<(&'static str, String)>,
}

impl Callback {
    /// The callback that a request asks for, if it does.
    pub(crate) fn of(call: &Call) -> Result<Option<Self>, Refusal> {
        let query = Query(call);
        let method = match query.word("callback_method", &["POST", "PUT", "post", "put"])? {
            Some("PUT" | "put") => Method::PUT,
            _ => Method::POST,
        };
        let Some(text) = query.text("callback") else { return Ok(None) };
        let refused =
            |message: &str| Refusal::new(400, "Bad Request", format!("Invalid callback: {message}"));
        let mut url = Url::parse(text).map_err(|_| refused("it is not a URL"))?;
        let port = url.port_or_known_default();
        let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refused("only http and https are called"));
        }
        if !is_local && !port.is_some_and(|port| PORTS.contains(&port)) {
            return Err(refused("its port is not called"));
        }
        let mut headers = vec![("dg-token", key_id(call))];
        if !url.username().is_empty() {
            let user = format!("{}:{}", url.username(), url.password().unwrap_or_default());
            headers.push(("authorization", format!("Basic {}", STANDARD.encode(user))));
            // Neither can fail for a URL that has a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        Ok(Some(Self { url: url.into(), method, headers }))
    }

    /// The answer that stands for the real one, which is sent after `after`; `None` = never.
    pub(crate) fn later(
        self,
        real: Answer,
        request_id: String,
        after: Option<Duration>,
        state: &State,
    ) -> Answer {
        let answer = Answer::json(200, json!({"request_id": request_id})).accepted(request_id.clone());
        let answer = answer.header("dg-request-id", request_id);
        let Some(after) = after else { return answer };
        let (content_type, body) = match real.payload {
            Payload::Empty => ("application/json".to_owned(), Bytes::new()),
            Payload::Json(value) | Payload::Problem(value) => {
                ("application/json".to_owned(), value.to_string().into())
            }
            Payload::Media(spec) => (spec.content_type().to_owned(), state.render(&spec)),
            Payload::Raw { content_type, bytes } => (content_type.to_owned(), bytes),
        };
        let mut headers = self.headers;
        headers.push(("content-type", content_type));
        headers.extend(real.headers);
        let message = Message { headers, body };
        answer.webhook(Webhook {
            provider: Provider::Deepgram,
            url: self.url,
            method: self.method,
            after,
            tries: TRIES,
            pause: after * PAUSE,
            make: Arc::new(move |_| Some(message.clone())),
        })
    }
}

/// The identifier of the key that was used, which is no secret.
fn key_id(call: &Call) -> String {
    let key = call.header("authorization").unwrap_or_default();
    uuid(&Sha256::digest(key).into())
}
