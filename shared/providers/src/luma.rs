//! Luma: videos and images through Dream Machine, and through the newer Agents API. The model's name tells which of the
//! two is asked. Both take a create, are asked about, and answer with links.
//!
//! | fact                              | value                                       | source                     | checked    | kind       |
//! |-----------------------------------|---------------------------------------------|----------------------------|------------|------------|
//! | Dream Machine                     | `https://api.lumalabs.ai/dream-machine/v1`  | Python SDK 1.21.0          | 2026-11-24 | documented |
//! | Agents API                        | `https://agents.lumalabs.ai/v1`             | its SDK                    | 2026-11-24 | documented |
//! | key, of each API its own          | `Authorization: Bearer <key>`               | both SDKs                  | 2026-11-24 | documented |
//! | idempotency key                   | none                                        | both SDKs have none        | 2026-11-24 | documented |
//! | create                            | `POST /generations/video`, `/generations/image`; agents `POST /generations` | SDKs | 2026-11-24 | documented |
//! | images, Dream Machine             | public https URLs only                      | OpenAPI, docs              | 2026-11-24 | documented |
//! | images, Agents API                | URL, or base64 with its type, 50 MB         | docs                       | 2026-11-24 | documented |
//! | states                            | `queued dreaming completed failed`; agents `queued processing completed failed` | SDKs | 2026-11-24 | documented |
//! | an unknown state                  | still working                               | none                       | 2026-11-24 | assumed    |
//! | result                            | `assets.video` or `assets.image`; agents `output[].url` | SDKs           | 2026-11-24 | documented |
//! | why it failed, Dream Machine      | free text, no codes                         | OpenAPI                    | 2026-11-24 | documented |
//! | words of a moderated failure      | `moderat`, `policy`, `not allowed`, `safety`| none                       | 2026-11-24 | assumed    |
//! | why it failed, Agents API         | `failure_code`                              | docs                       | 2026-11-24 | documented |
//! | delete                            | 204; agents have none                       | SDKs                       | 2026-11-24 | documented |
//! | callback                          | the generation, unsigned, on each state     | docs                       | 2026-11-24 | documented |
//! | out of credit                     | 402, or 400 with `credit` in the text       | none (402: agents docs)    | 2026-11-24 | assumed    |
//! | `ray-1-6`                         | gone from the SDKs; refused with its name or `model` in the text | none  | 2026-11-24 | assumed    |
//! | 500, 502, 504 to a create         | the work may have been taken                | none                       | 2026-11-24 | assumed    |
//! | 503 to a create                   | the work was not taken                      | none                       | 2026-11-24 | assumed    |
//! | price                             | in no answer                                | both SDKs                  | 2026-11-24 | documented |

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{
    Abandoned, Callback, CallbackRefusal, CallbackRequest, InputForms, News, SubmitCall,
};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

mod agents;
mod dream;
mod failure;

use self::failure::{free_failure, submit_failure};
use crate::exchange::{Body, Expects, HttpReply, HttpRequest};
use crate::settings::web_url;
use crate::wire::{Accepted, Answered, CheckStep, Endpoint, Look, Question, Wire, key_header, taken};

/// The host of Dream Machine.
pub(crate) const BASE_URL: &str = "https://api.lumalabs.ai/dream-machine/v1";

const AGENTS_BASE_URL: &str = "https://agents.lumalabs.ai/v1";

/// What is particular to Luma.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LumaOptions {
    /// Where the Agents API is; it has models and keys of its own. One key is set up for Luma, so that an installation
    /// uses the models of the API that its key belongs to. When absent, the provider's own host, or
    /// `base_url` where that was changed.
    #[serde(deserialize_with = "web_url")]
    pub agents_base_url: Option<Url>,
    /// Largest image that goes into a request to the Agents API, before encoding. The provider takes 50 MB; this bounds
    /// our memory.
    pub max_inline_bytes: u64,
}

impl Default for LumaOptions {
    fn default() -> Self {
        Self { agents_base_url: None, max_inline_bytes: 10_000_000 }
    }
}

/// Which of the two APIs has a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Dream,
    Agents,
}

impl Flavour {
    fn of(model: &str) -> Self {
        let is_newer = model.starts_with("uni-") || model.starts_with("ray-3");
        if is_newer { Self::Agents } else { Self::Dream }
    }
}

/// Where the Agents API is.
pub(crate) fn agents_endpoint(options: &LumaOptions, endpoint: &Endpoint) -> Endpoint {
    endpoint.beside(options.agents_base_url.as_ref(), BASE_URL, AGENTS_BASE_URL)
}

/// The protocol of Luma.
pub(crate) struct Luma {
    options: LumaOptions,
}

impl Luma {
    pub(crate) fn new(options: LumaOptions) -> Self {
        Self { options }
    }

    fn endpoint(&self, spec: &JobSpec, endpoint: &Endpoint) -> Endpoint {
        match Flavour::of(&spec.model) {
            Flavour::Dream => endpoint.clone(),
            Flavour::Agents => agents_endpoint(&self.options, endpoint),
        }
    }

    fn generation_call(
        &self,
        method: Method,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<HttpRequest, ProviderError> {
        let endpoint = self.endpoint(look.spec, endpoint);
        Ok(HttpRequest {
            method,
            url: endpoint.url(["generations", look.remote.id.as_str()]),
            template: Some("/generations/{id}"),
            headers: vec![key_header("authorization", "Bearer ", look.key)?],
            body: Body::None,
            expects: Expects::Text,
        })
    }
}

impl Wire for Luma {
    const PROVIDER: Provider = Provider::Luma;

    fn input_forms(&self, spec: &JobSpec, _option: Option<&str>) -> InputForms {
        let max_bytes = match Flavour::of(&spec.model) {
            Flavour::Dream => None,
            Flavour::Agents => Some(self.options.max_inline_bytes),
        };
        InputForms { takes_url: true, max_bytes }
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        let own = self.endpoint(&call.spec, endpoint);
        let (path, template, body) = match Flavour::of(&call.spec.model) {
            Flavour::Dream => dream::create(call)?,
            Flavour::Agents => agents::create(call)?,
        };
        Ok(HttpRequest {
            method: Method::POST,
            url: own.url(path.iter().copied()),
            template: Some(template),
            headers: vec![key_header("authorization", "Bearer ", &call.key)?],
            body: Body::Json(Value::Object(body)),
            expects: Expects::Text,
        })
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        spec: &JobSpec,
        _endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        if !reply.head.is_success() {
            return Err(submit_failure(reply, &spec.model, now));
        }
        let body = reply.json().unwrap_or(Value::Null);
        let remote = taken(reply, body.get("id"), "named no generation", now)?;
        let status = body.get("state").and_then(Value::as_str).map(str::to_owned);
        Ok(Answered::Accepted(Accepted { remote, status }))
    }

    fn encode_check(&self, look: &Look<'_>, endpoint: &Endpoint) -> Result<Question, ProviderError> {
        self.generation_call(Method::GET, look, endpoint).map(Question::Ask)
    }

    fn decode_check(
        &self,
        reply: &HttpReply,
        look: &Look<'_>,
        _endpoint: &Endpoint,
    ) -> Result<CheckStep, ProviderError> {
        if !reply.head.is_success() {
            return Err(free_failure(reply));
        }
        let body = reply.json().unwrap_or(Value::Null);
        let status = reply.head.status;
        let found = match Flavour::of(&look.spec.model) {
            Flavour::Dream => dream::found(&body, status)?,
            Flavour::Agents => agents::found(&body, status)?,
        };
        Ok(CheckStep::Done(found))
    }

    fn encode_abandon(
        &self,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        match Flavour::of(&look.spec.model) {
            Flavour::Dream => self.generation_call(Method::DELETE, look, endpoint).map(Some),
            Flavour::Agents => Ok(None),
        }
    }

    fn decode_abandon(&self, reply: &HttpReply) -> Result<Abandoned, ProviderError> {
        match reply.head.status {
            200..=299 => Ok(Abandoned::Stopped),
            404 => Ok(Abandoned::TooLate),
            _ => Err(free_failure(reply)),
        }
    }

    /// There is no signature: the address alone counts, and all a callback does is to make us ask.
    fn decode_callback(
        &self,
        request: &CallbackRequest,
        _keys: Option<&[u8]>,
        _now: Timestamp,
    ) -> Result<Callback, CallbackRefusal> {
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|_| CallbackRefusal::NotGenuine { reason: "the body is not JSON" })?;
        let word = |name: &str| body.get(name).and_then(Value::as_str);
        let Some(state) = word("state") else {
            return Err(CallbackRefusal::NotGenuine { reason: "it names no state" });
        };
        let news = if matches!(state, "completed" | "failed") { News::Ended } else { News::Progress };
        Ok(Callback { remote_id: word("id").map(str::to_owned), news })
    }
}

#[cfg(test)]
#[path = "luma_tests.rs"]
mod tests;
