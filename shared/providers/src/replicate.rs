//! Replicate: images and videos of any model, run as predictions. A prediction is created, asked about and canceled.
//!
//! | fact                             | value                                        | source                        | checked    | kind       |
//! |----------------------------------|----------------------------------------------|-------------------------------|------------|------------|
//! | base URL                         | `https://api.replicate.com`, then `/v1`      | OpenAPI document              | 2026-11-24 | documented |
//! | key                              | `Authorization: Bearer <key>`                | Python SDK 1.0.7              | 2026-11-24 | observed   |
//! | official model                   | `POST /v1/models/{owner}/{name}/predictions` | OpenAPI document              | 2026-11-24 | documented |
//! | version                          | `POST /v1/predictions`, body has `version`   | OpenAPI document              | 2026-11-24 | documented |
//! | other top-level properties       | 422                                          | public samples 2026           | 2026-11-24 | observed   |
//! | accepted                         | 201 or 202 with the prediction               | OpenAPI document              | 2026-11-24 | documented |
//! | idempotency key                  | none                                         | docs have none                | 2026-11-24 | assumed    |
//! | states that end                  | `succeeded failed canceled aborted`          | docs, npm SDK 1.4.0           | 2026-11-24 | documented |
//! | output before the end            | possible, with data URIs                     | recorded traffic 2024-10      | 2026-11-24 | observed   |
//! | output                           | link, list of links, or object, by the model | model schemas                 | 2026-11-24 | documented |
//! | output and files                 | removed after an hour; `data_removed`        | docs                          | 2026-11-24 | documented |
//! | `aborted`                        | never started, not billed on public models   | docs, changelog 2025-10       | 2026-11-24 | documented |
//! | cancel                           | `POST`, 200 with the prediction              | OpenAPI document              | 2026-11-24 | documented |
//! | input file                       | https URL, or data URI below 256 KB          | docs                          | 2026-11-24 | documented |
//! | upload                           | `POST /v1/files`, part `content`; `urls.get` | Python SDK 1.0.7              | 2026-11-24 | observed   |
//! | largest upload                   | 100 MB                                       | none                          | 2026-11-24 | assumed    |
//! | unknown input properties         | ignored                                      | cog, pull request 2943        | 2026-11-24 | documented |
//! | model or version not there       | 404; 422 `Invalid version or not permitted`  | public samples 2026           | 2026-11-24 | observed   |
//! | wrong input                      | 422 with `invalid_fields`                    | public samples 2026           | 2026-11-24 | observed   |
//! | out of credit                    | 402                                          | public samples 2026           | 2026-11-24 | observed   |
//! | limits                           | 429; `retry_after` in the body               | public samples 2026           | 2026-11-24 | observed   |
//! | 503 to a create                  | the prediction was not made                  | none                          | 2026-11-24 | assumed    |
//! | 500, 502, 504 to a create        | the prediction may exist                     | none                          | 2026-11-24 | assumed    |
//! | refused content                  | `failed`, told by the text of `error`        | public samples 2024 to 2026   | 2026-11-24 | observed   |
//! | run broken off by the platform   | `failed`, told by the text of `error`        | public samples 2026           | 2026-11-24 | observed   |
//! | any other failed run             | fails again                                  | none                          | 2026-11-24 | assumed    |
//! | seed                             | `input.seed`, or `Using seed: N` in the log  | recorded traffic              | 2026-11-24 | observed   |
//! | progress                         | tqdm bars in the log                         | Python SDK 1.0.7              | 2026-11-24 | documented |
//! | price                            | `metrics.predict_time`, images or seconds    | docs                          | 2026-11-24 | documented |
//! | webhook signature                | HMAC-SHA256 of `id.timestamp.body`, `v1,`    | Python SDK 1.0.7              | 2026-11-24 | documented |
//! | webhook secret                   | one an account, `whsec_` and base64          | Python SDK 1.0.7              | 2026-11-24 | documented |

use std::collections::BTreeMap;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, RemoteOperation};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{
    Abandoned, Callback, CallbackRefusal, CallbackRequest, InputForms, PreparedInput, ProviderKey, SubmitCall,
};
use atelier_domain::secret::Secret;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

mod callback;
mod failure;
mod models;
mod prediction;

use self::failure::{free_failure, submit_failure, upload_failure};
use self::models::{INPUT_FIELD, PROMPT_FIELD, Target, image_field, prompt_field};
use crate::asked;
use crate::exchange::{Body, Expects, FormPart, Header, HttpReply, HttpRequest};
use crate::wire::{
    Accepted, Answered, CheckStep, Endpoint, FileBytes, Look, Question, UploadStep, Wire, data_uri, invalid,
    key_header, malformed, taken,
};

/// The provider's own host.
pub(crate) const BASE_URL: &str = "https://api.replicate.com";

/// What is particular to Replicate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplicateOptions {
    /// The version that is run of a community model when a job names the model alone. Official models need none.
    pub versions: BTreeMap<String, String>,
    /// Largest file sent inside the request, before encoding; larger ones are uploaded first.
    pub max_inline_bytes: usize,
    /// Largest file that is uploaded.
    pub max_upload_bytes: usize,
    /// After how many seconds the provider stops a prediction (`Cancel-After`), counted from its creation. Absent, its
    /// own limit holds, which is 30 minutes of running.
    pub cancel_after_s: Option<u64>,
    /// The signing secrets of the accounts whose webhooks are taken, with blanks or line breaks between them. Absent, a
    /// webhook is believed by its address alone; it never does more than to make us ask.
    pub webhook_secret: Option<Secret<String>>,
    /// How far the time of a webhook may be from ours, in seconds.
    pub webhook_tolerance_s: u64,
}

impl Default for ReplicateOptions {
    fn default() -> Self {
        let sdxl = "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc";
        Self {
            versions: BTreeMap::from([("stability-ai/sdxl".to_owned(), sdxl.to_owned())]),
            max_inline_bytes: 256_000,
            max_upload_bytes: 100_000_000,
            cancel_after_s: None,
            webhook_secret: None,
            webhook_tolerance_s: 300,
        }
    }
}

/// The protocol of Replicate.
pub(crate) struct Replicate {
    options: ReplicateOptions,
}

impl Replicate {
    pub(crate) fn new(options: ReplicateOptions) -> Self {
        Self { options }
    }

    fn input(&self, call: &SubmitCall) -> Result<Map<String, Value>, ProviderError> {
        let spec = &call.spec;
        let is_sent = |name: &str| name != INPUT_FIELD && name != PROMPT_FIELD;
        let options = asked::options(spec).filter(|(name, _)| is_sent(name));
        let mut input: Map<String, Value> =
            options.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        if let Some(prompt) = asked::prompt(spec) {
            input.insert(prompt_field(spec).to_owned(), prompt.into());
        }
        for (option, file) in &call.files {
            input.insert(option.clone(), self.file(file)?.into());
        }
        if spec.operation.needs_input() {
            input.insert(image_field(spec).to_owned(), self.file(asked::input_image(call)?)?.into());
        }
        Ok(input)
    }

    fn file(&self, file: &PreparedInput) -> Result<String, ProviderError> {
        match file {
            PreparedInput::Url(url) => Ok(url.clone()),
            PreparedInput::Bytes { content_type, bytes } if bytes.len() <= self.options.max_inline_bytes => {
                Ok(data_uri(content_type, bytes))
            }
            PreparedInput::Bytes { bytes, .. } => Err(invalid(format!(
                "the file has {} bytes and was not uploaded, at most {} can be sent inside the request",
                bytes.len(),
                self.options.max_inline_bytes
            ))),
        }
    }
}

impl Wire for Replicate {
    const PROVIDER: Provider = Provider::Replicate;

    fn input_forms(&self, _spec: &JobSpec, _option: Option<&str>) -> InputForms {
        InputForms { takes_url: true, max_bytes: Some(self.options.max_upload_bytes as u64) }
    }

    fn encode_upload(
        &self,
        file: &FileBytes<'_>,
        _spec: &JobSpec,
        key: &ProviderKey,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        let size = file.bytes.len();
        if size <= self.options.max_inline_bytes {
            return Ok(None);
        }
        if size > self.options.max_upload_bytes {
            let limit = self.options.max_upload_bytes;
            return Err(invalid(format!("the file has {size} bytes, at most {limit} can be uploaded")));
        }
        let content = FormPart::file("content", file.content_type, file.bytes.clone());
        let url = endpoint.url(["v1", "files"]);
        let mut request = request(Method::POST, url, "/v1/files", Body::Form(vec![content]), key)?;
        request.expects = Expects::Text;
        Ok(Some(request))
    }

    fn decode_upload(
        &self,
        reply: &HttpReply,
        _file: &FileBytes<'_>,
        _endpoint: &Endpoint,
    ) -> Result<UploadStep, ProviderError> {
        if !reply.head.is_success() {
            return Err(upload_failure(reply));
        }
        let body = reply.json().unwrap_or_default();
        let url = body.pointer("/urls/get").and_then(Value::as_str).filter(|url| prediction::is_web_url(url));
        let url = url.ok_or_else(|| malformed(reply.head.status, "the upload names no address"))?;
        Ok(UploadStep::Done { url: url.to_owned() })
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        let spec = &call.spec;
        if matches!(spec.operation, Operation::Tts | Operation::Stt) {
            return Err(invalid(format!("replicate does not do `{}` here", spec.operation)));
        }
        let mut body = Map::new();
        body.insert("input".to_owned(), self.input(call)?.into());
        let (url, template) = match Target::of(&spec.model, &self.options)? {
            Target::Model { owner, name } => (
                endpoint.url(["v1", "models", owner.as_str(), name.as_str(), "predictions"]),
                "/v1/models/{owner}/{name}/predictions",
            ),
            Target::Deployment { owner, name } => (
                endpoint.url(["v1", "deployments", owner.as_str(), name.as_str(), "predictions"]),
                "/v1/deployments/{owner}/{name}/predictions",
            ),
            Target::Version(version) => {
                body.insert("version".to_owned(), version.into());
                (endpoint.url(["v1", "predictions"]), "/v1/predictions")
            }
        };
        if let Some(webhook) = &call.callback_url {
            body.insert("webhook".to_owned(), webhook.as_str().into());
            body.insert("webhook_events_filter".to_owned(), json!(["completed"]));
        }
        let mut request = request(Method::POST, url, template, Body::Json(body.into()), &call.key)?;
        if let Some(seconds) = self.options.cancel_after_s {
            request.headers.push(Header::plain("cancel-after", format!("{seconds}s")));
        }
        Ok(request)
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        spec: &JobSpec,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        if !reply.head.is_success() {
            return Err(submit_failure(reply, spec, now));
        }
        let body = reply.json().unwrap_or_default();
        let remote = taken(reply, body.get("id"), "named no prediction", now)?;
        // However far it is already: the first check tells, and its links are those that last.
        let urls = endpoint.own_links(
            [("get", "/urls/get"), ("cancel", "/urls/cancel")].map(|(name, at)| (name, body.pointer(at))),
        );
        let status = body.get("status").and_then(Value::as_str).map(str::to_owned);
        let remote = RemoteOperation { urls, ..remote };
        Ok(Answered::Accepted(Accepted { remote, status }))
    }

    fn encode_check(&self, look: &Look<'_>, endpoint: &Endpoint) -> Result<Question, ProviderError> {
        let url = prediction_url(look, endpoint, "get", &[]);
        request(Method::GET, url, "/v1/predictions/{id}", Body::None, look.key).map(Question::Ask)
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
        let body = reply.json().unwrap_or_default();
        match body.get("status").and_then(Value::as_str) {
            None => Err(malformed(reply.head.status, "the prediction names no status")),
            Some(status) => Ok(CheckStep::Done(prediction::checked(&body, status, look.spec))),
        }
    }

    fn encode_abandon(
        &self,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        let url = prediction_url(look, endpoint, "cancel", &["cancel"]);
        request(Method::POST, url, "/v1/predictions/{id}/cancel", Body::None, look.key).map(Some)
    }

    fn decode_abandon(&self, reply: &HttpReply) -> Result<Abandoned, ProviderError> {
        let body = reply.json().unwrap_or_default();
        match (reply.head.status, body.get("status").and_then(Value::as_str)) {
            (200..=299, Some("succeeded" | "failed")) | (404, _) => Ok(Abandoned::TooLate),
            (200..=299, _) => Ok(Abandoned::Stopped),
            _ => Err(free_failure(reply)),
        }
    }

    fn decode_callback(
        &self,
        request: &CallbackRequest,
        _keys: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Callback, CallbackRefusal> {
        if let Some(secrets) = &self.options.webhook_secret {
            callback::judge(request, secrets, self.options.webhook_tolerance_s, now)?;
        }
        callback::news(request)
    }
}

/// A call whose answer is a prediction, which repeats its input.
fn request(
    method: Method,
    url: Url,
    template: &'static str,
    body: Body,
    key: &ProviderKey,
) -> Result<HttpRequest, ProviderError> {
    let headers = vec![key_header("authorization", "Bearer ", key)?];
    Ok(HttpRequest { method, url, template: Some(template), headers, body, expects: Expects::LargeText })
}

/// The URL that the provider gave for this purpose if it may have the key, else the one built from the id.
fn prediction_url(look: &Look<'_>, endpoint: &Endpoint, name: &str, tail: &[&str]) -> Url {
    look.given_url(name, endpoint).unwrap_or_else(|| {
        let path = ["v1", "predictions", look.remote.id.as_str()];
        endpoint.url(path.into_iter().chain(tail.iter().copied()))
    })
}

#[cfg(test)]
#[path = "replicate_tests.rs"]
mod tests;
