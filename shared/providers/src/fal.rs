//! Fal: images through its queue. A failed or cancelled request is `COMPLETED` there; the result's HTTP status says
//! which it was.
//!
//! | fact                                   | value                                  | source                      | checked    | kind       |
//! |----------------------------------------|----------------------------------------|-----------------------------|------------|------------|
//! | queue                                  | `https://queue.fal.run`                | fal-client 1.0.3            | 2026-11-22 | documented |
//! | key                                    | `Authorization: Key <key>`             | fal-client 1.0.3            | 2026-11-22 | observed   |
//! | submit                                 | `POST /{model}`, body is the input     | fal-client 1.0.3            | 2026-11-22 | observed   |
//! | idempotency key                        | none                                   | docs have none              | 2026-11-22 | assumed    |
//! | request URLs                           | hold `{owner}/{app}` only, no sub-path | fal-client, @fal-ai/client  | 2026-11-22 | documented |
//! | `workflows/`, `comfy/` ids             | three segments are the application     | fal-client 1.0.3            | 2026-11-22 | documented |
//! | states                                 | `IN_QUEUE IN_PROGRESS COMPLETED`       | both clients                | 2026-11-22 | documented |
//! | status answers                         | 202 while working, 200 when complete   | docs                        | 2026-11-22 | documented |
//! | result before completion               | 400, `still in progress`               | none                        | 2026-11-22 | assumed    |
//! | cancel                                 | `PUT`; 202, 200, 400, 404              | fal-client, docs            | 2026-11-22 | observed   |
//! | safety checker                         | 200 and `has_nsfw_concepts[i]` = true  | model pages                 | 2026-11-22 | documented |
//! | partner moderation                     | 422 `content_policy_violation`         | docs                        | 2026-11-22 | documented |
//! | out of money                           | 403 with `locked` in the text          | public samples 2026         | 2026-11-22 | observed   |
//! | retry advice                           | `X-Fal-Retryable`, `X-Fal-Needs-Retry` | docs                        | 2026-11-22 | documented |
//! | 5xx results                            | are not billed                         | docs                        | 2026-11-22 | documented |
//! | a 5xx of Fal itself                    | JSON with `detail`, or an `x-fal-*` header | client's proxy-page test | 2026-11-22 | assumed   |
//! | data URIs in results                   | only with `sync_mode`, never sent here | @fal-ai/client              | 2026-11-22 | documented |
//! | price of a request                     | not in any reply                       | docs                        | 2026-11-22 | documented |

use std::collections::BTreeMap;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, Output, RemoteOperation};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{Abandoned, Checked, InputForms, ProviderKey, SubmitCall};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

mod failure;

use self::failure::{gateway_failure, result_failure, submit_failure};
use crate::exchange::{Body, Expects, HttpReply, HttpRequest};
use crate::wire::{
    Accepted, Answered, CheckStep, Endpoint, Look, Question, Wire, invalid, is_path_segment, key_header,
    malformed, unreadable_acceptance,
};

/// The provider's own host.
pub(crate) const BASE_URL: &str = "https://queue.fal.run";

/// What is particular to Fal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FalOptions {}

/// The protocol of Fal's queue.
pub(crate) struct Fal {
    _options: FalOptions,
}

impl Fal {
    pub(crate) fn new(options: FalOptions) -> Self {
        Self { _options: options }
    }
}

impl Wire for Fal {
    const PROVIDER: Provider = Provider::Fal;

    fn input_forms(&self, _spec: &JobSpec, _option: Option<&str>) -> InputForms {
        InputForms { takes_url: true, max_bytes: Some(256 * 1024) }
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        let spec = &call.spec;
        if spec.operation != Operation::ImageGen {
            return Err(invalid(format!(
                "fal does not do `{}` here; `image_gen` was expected",
                spec.operation
            )));
        }
        let Some(prompt) = spec.prompt.as_deref().filter(|prompt| !prompt.trim().is_empty()) else {
            return Err(invalid("a prompt is needed"));
        };
        // `sync_mode` would put the image into the status answer as a data URI, past the asset store's checks.
        let options = spec.config.iter().filter(|(name, value)| *name != "sync_mode" && !value.is_null());
        let mut input: serde_json::Map<String, Value> =
            options.map(|(name, value)| (name.clone(), value.clone())).collect();
        input.insert("prompt".to_owned(), Value::from(prompt));
        Ok(HttpRequest {
            method: Method::POST,
            url: endpoint.url(model_segments(&spec.model)?),
            template: Some("/{model_id}"),
            headers: vec![key_header("authorization", "Key ", &call.key)?],
            body: Body::Json(Value::Object(input)),
            expects: Expects::Text,
        })
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        _spec: &JobSpec,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        if !reply.head.is_success() {
            return Err(submit_failure(reply, now));
        }
        let body = reply.json().unwrap_or(Value::Null);
        let Some(id) = body.get("request_id").and_then(Value::as_str).filter(|id| is_path_segment(id)) else {
            return Err(unreadable_acceptance(reply, "named no request"));
        };
        let urls = ["status", "response", "cancel"]
            .iter()
            .filter_map(|name| {
                let text = body.get(format!("{name}_url"))?.as_str()?;
                own_url(text, endpoint)?;
                Some(((*name).to_owned(), text.to_owned()))
            })
            .collect::<BTreeMap<_, _>>();
        let status = body.get("status").and_then(Value::as_str).map(str::to_owned);
        let remote = RemoteOperation { id: id.to_owned(), submitted_at: now, urls };
        Ok(Answered::Accepted(Accepted { remote, status }))
    }

    fn encode_check(&self, look: &Look<'_>, endpoint: &Endpoint) -> Result<Question, ProviderError> {
        let url = request_url(look, endpoint, "status", &["status"])?;
        free_call(Method::GET, url, "/{app}/requests/{id}/status", look.key).map(Question::Ask)
    }

    fn decode_check(
        &self,
        reply: &HttpReply,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<CheckStep, ProviderError> {
        if !reply.head.is_success() {
            return Err(gateway_failure(reply));
        }
        let body = reply.json().unwrap_or(Value::Null);
        match body.get("status").and_then(Value::as_str) {
            None => Err(malformed(reply.head.status, "the status answer names no status")),
            Some("COMPLETED") => {
                let url = request_url(look, endpoint, "response", &[])?;
                let request = free_call(Method::GET, url, "/{app}/requests/{id}", look.key)?;
                Ok(CheckStep::Then { request: Box::new(request), decode: decode_result })
            }
            // A word that is not known yet is no failure; the polling deadline guards.
            Some(word) => {
                Ok(CheckStep::Done(Checked::Working { status: word.to_owned(), progress_percent: None }))
            }
        }
    }

    fn encode_abandon(
        &self,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        let url = request_url(look, endpoint, "cancel", &["cancel"])?;
        free_call(Method::PUT, url, "/{app}/requests/{id}/cancel", look.key).map(Some)
    }

    fn decode_abandon(&self, reply: &HttpReply) -> Result<Abandoned, ProviderError> {
        let word = reply.json().and_then(|body| body.get("status")?.as_str().map(str::to_owned));
        match (reply.head.status, word.as_deref()) {
            (200..=299, _) => Ok(Abandoned::Stopped),
            (404, _) | (400, Some("ALREADY_COMPLETED")) => Ok(Abandoned::TooLate),
            _ => Err(gateway_failure(reply)),
        }
    }
}

// ---------------------------------------------------------------- addresses

fn model_segments(model: &str) -> Result<Vec<&str>, ProviderError> {
    let segments: Vec<&str> = model.split('/').collect();
    let is_id = |segment: &&str| {
        is_path_segment(segment)
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    if segments.len() < 2 || !segments.iter().all(is_id) {
        return Err(invalid(format!("`{model}` is not a fal model; `owner/app` was expected")));
    }
    Ok(segments)
}

/// The URL that Fal gave for this purpose if it may have the key, else the one built from the request's id.
fn request_url(
    look: &Look<'_>,
    endpoint: &Endpoint,
    name: &str,
    tail: &[&str],
) -> Result<Url, ProviderError> {
    if let Some(url) = look.remote.urls.get(name).and_then(|text| own_url(text, endpoint)) {
        return Ok(url);
    }
    let segments = model_segments(&look.spec.model)?;
    let application = if matches!(segments.first(), Some(&("workflows" | "comfy"))) { 3 } else { 2 };
    let path = segments.into_iter().take(application).chain(["requests", look.remote.id.as_str()]);
    Ok(endpoint.url(path.chain(tail.iter().copied())))
}

/// The URL, if the key may be sent to it.
fn own_url(text: &str, endpoint: &Endpoint) -> Option<Url> {
    Url::parse(text).ok().filter(|url| endpoint.owns(url))
}

fn free_call(
    method: Method,
    url: Url,
    template: &'static str,
    key: &ProviderKey,
) -> Result<HttpRequest, ProviderError> {
    Ok(HttpRequest {
        method,
        url,
        template: Some(template),
        headers: vec![key_header("authorization", "Key ", key)?],
        body: Body::None,
        expects: Expects::Text,
    })
}

// ---------------------------------------------------------------- results

fn decode_result(reply: &HttpReply) -> Result<Checked, ProviderError> {
    if !reply.head.is_success() {
        return result_failure(reply);
    }
    let Some(body) = reply.json() else {
        return Err(malformed(reply.head.status, "the result is not JSON"));
    };
    let files: Vec<&Value> = match body.get("images").and_then(Value::as_array) {
        Some(images) => images.iter().collect(),
        None => ["image", "video"].iter().filter_map(|name| body.get(*name)).collect(),
    };
    let flags = body.get("has_nsfw_concepts").and_then(Value::as_array);
    let is_flagged =
        |index: usize| flags.and_then(|flags| flags.get(index)).and_then(Value::as_bool).unwrap_or(false);
    let shown: Vec<&Value> =
        files.iter().enumerate().filter(|(index, _)| !is_flagged(*index)).map(|(_, file)| *file).collect();
    if shown.is_empty() && !files.is_empty() {
        let message = "the provider's safety checker blanked the image".to_owned();
        let error = ProviderError::Rejected { message, status: "has_nsfw_concepts".to_owned() };
        return Ok(Checked::Failed { error, cost: None });
    }
    let outputs = shown
        .into_iter()
        .map(|file| output(file).ok_or_else(|| malformed(reply.head.status, "a result file has no http URL")))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Checked::Ready { outputs, status: "COMPLETED".to_owned(), cost: None })
}

fn output(file: &Value) -> Option<Output> {
    let link = file.get("url")?.as_str()?;
    let url = Url::parse(link).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let content_type = file.get("content_type").and_then(Value::as_str).map(str::to_owned);
    Some(Output::link(link, content_type))
}

#[cfg(test)]
#[path = "fal_tests.rs"]
mod tests;
