//! Fal's queue, for whichever provider is served through it: submit, status, result, cancel.

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{Output, RemoteOperation};
use atelier_domain::operation::Priority;
use atelier_domain::ports::{Abandoned, Checked, ProviderKey, SubmitCall};
use http::Method;
use serde_json::{Map, Value, json};
use url::Url;

use super::FalOptions;
use super::failure::{gateway_failure, result_failure, submit_failure};
use crate::exchange::{Body, Expects, Header, HttpReply, HttpRequest};
use crate::wire::{
    Accepted, Answered, CheckStep, Endpoint, Look, invalid, is_path_segment, key_header, malformed, taken,
};

/// Where a model's requests are: the name that a submit takes, of which the other calls keep the application only.
#[derive(Debug, Clone)]
pub(crate) struct ModelPath<'a>(Vec<&'a str>);

impl<'a> ModelPath<'a> {
    /// Reads `owner/app/...`.
    pub(crate) fn read(model: &'a str) -> Result<Self, ProviderError> {
        let segments: Vec<&str> = model.split('/').collect();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_id = |segment: &&str| is_path_segment(segment) && segment.bytes().all(is_name);
        if segments.len() < 2 || !segments.iter().all(is_id) {
            return Err(invalid(format!("`{model}` is not a fal model; `owner/app` was expected")));
        }
        Ok(Self(segments))
    }

    fn application(&self) -> impl Iterator<Item = &'a str> {
        let length = if matches!(self.0.first(), Some(&("workflows" | "comfy"))) { 3 } else { 2 };
        self.0.iter().copied().take(length)
    }
}

/// The paid call with this input.
pub(crate) fn submit(
    path: &ModelPath<'_>,
    input: Map<String, Value>,
    call: &SubmitCall,
    options: &FalOptions,
    endpoint: &Endpoint,
) -> Result<HttpRequest, ProviderError> {
    let mut url = endpoint.url(path.0.iter().copied());
    if let Some(callback) = &call.callback_url {
        url.query_pairs_mut().append_pair("fal_webhook", callback);
    }
    let mut headers = vec![key_header("authorization", "Key ", &call.key)?];
    if call.spec.priority == Priority::Low {
        headers.push(Header::plain("x-fal-queue-priority", "low"));
    }
    if let Some(seconds) = options.start_timeout_s {
        headers.push(Header::plain("x-fal-request-timeout", seconds.to_string()));
    }
    if !options.is_retried_by_provider {
        headers.push(Header::plain("x-fal-no-retry", "1"));
    }
    if !options.keeps_payloads {
        headers.push(Header::plain("x-fal-store-io", "0"));
    }
    if let Some(seconds) = options.output_lifetime_s {
        let preference = json!({ "expiration_duration_seconds": seconds }).to_string();
        headers.push(Header::plain("x-fal-object-lifecycle-preference", preference));
    }
    Ok(HttpRequest {
        method: Method::POST,
        url,
        template: Some("/{model_id}"),
        headers,
        body: Body::Json(Value::Object(input)),
        expects: Expects::Text,
    })
}

/// The answer to the paid call.
pub(crate) fn submitted(
    reply: &HttpReply,
    endpoint: &Endpoint,
    now: Timestamp,
) -> Result<Answered, ProviderError> {
    if !reply.head.is_success() {
        return Err(submit_failure(reply, now));
    }
    let body = reply.json().unwrap_or(Value::Null);
    let remote = taken(reply, body.get("request_id"), "named no request", now)?;
    let urls = endpoint
        .own_links(["status", "response", "cancel"].map(|name| (name, body.get(format!("{name}_url")))));
    let status = body.get("status").and_then(Value::as_str).map(str::to_owned);
    let remote = RemoteOperation { urls, ..remote };
    Ok(Answered::Accepted(Accepted { remote, status }))
}

/// The question how far a request is.
pub(crate) fn ask_status(
    path: &ModelPath<'_>,
    look: &Look<'_>,
    endpoint: &Endpoint,
) -> Result<HttpRequest, ProviderError> {
    let url = request_url(path, look, endpoint, "status", &["status"]);
    free_call(Method::GET, url, "/{app}/requests/{id}/status", look.key)
}

/// The answer to it. A failed or cancelled request is completed as well: its result tells.
pub(crate) fn status(
    reply: &HttpReply,
    path: &ModelPath<'_>,
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
            let url = request_url(path, look, endpoint, "response", &[]);
            let request = free_call(Method::GET, url, "/{app}/requests/{id}", look.key)?;
            Ok(CheckStep::Then { request: Box::new(request), decode: result })
        }
        // A word that is not known yet is no failure; the polling deadline guards.
        Some(word) => {
            Ok(CheckStep::Done(Checked::Working { status: word.to_owned(), progress_percent: None }))
        }
    }
}

/// The cancel.
pub(crate) fn cancel(
    path: &ModelPath<'_>,
    look: &Look<'_>,
    endpoint: &Endpoint,
) -> Result<HttpRequest, ProviderError> {
    let url = request_url(path, look, endpoint, "cancel", &["cancel"]);
    free_call(Method::PUT, url, "/{app}/requests/{id}/cancel", look.key)
}

/// The answer to it.
pub(crate) fn cancelled(reply: &HttpReply) -> Result<Abandoned, ProviderError> {
    let word = reply.json().and_then(|body| body.get("status")?.as_str().map(str::to_owned));
    match (reply.head.status, word.as_deref()) {
        (200..=299, _) => Ok(Abandoned::Stopped),
        (404, _) | (400, Some("ALREADY_COMPLETED")) => Ok(Abandoned::TooLate),
        _ => Err(gateway_failure(reply)),
    }
}

/// The answer to the question for the result.
pub(crate) fn result(reply: &HttpReply) -> Result<Checked, ProviderError> {
    if !reply.head.is_success() {
        return result_failure(reply);
    }
    let Some(body) = reply.json() else {
        return Err(malformed(reply.head.status, "the result is not JSON"));
    };
    let list = |name: &str| body.get(name).and_then(Value::as_array);
    let files: Vec<&Value> = match list("images").or_else(|| list("videos")) {
        Some(files) => files.iter().collect(),
        None => ["image", "video"].iter().filter_map(|name| body.get(*name)).collect(),
    };
    let flags = list("has_nsfw_concepts");
    let is_flagged =
        |index: usize| flags.and_then(|flags| flags.get(index)).and_then(Value::as_bool).unwrap_or(false);
    let shown: Vec<&Value> =
        files.iter().enumerate().filter(|(index, _)| !is_flagged(*index)).map(|(_, file)| *file).collect();
    if shown.is_empty() && !files.is_empty() {
        let message = "the provider's safety checker blanked the image".to_owned();
        let error = ProviderError::Rejected { message, status: "has_nsfw_concepts".to_owned() };
        return Ok(Checked::Failed { error, cost: None });
    }
    let seed = body.get("seed").and_then(Value::as_u64);
    let outputs = shown
        .into_iter()
        .map(|file| {
            let output = output(file).ok_or_else(|| malformed(reply.head.status, "a result file has no URL"));
            output.map(|output| Output { seed, ..output })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Checked::Ready { outputs, status: "COMPLETED".to_owned(), cost: None })
}

fn output(file: &Value) -> Option<Output> {
    let link = file.get("url")?.as_str()?;
    let url = Url::parse(link).ok()?;
    if !matches!(url.scheme(), "http" | "https" | "data") {
        return None;
    }
    let content_type = file.get("content_type").and_then(Value::as_str).map(str::to_owned);
    Some(Output::link(link, content_type))
}

/// The URL that Fal gave for this purpose if it may have the key, else the one built from the request's id.
fn request_url(path: &ModelPath<'_>, look: &Look<'_>, endpoint: &Endpoint, name: &str, tail: &[&str]) -> Url {
    look.given_url(name, endpoint).unwrap_or_else(|| {
        let path = path.application().chain(["requests", look.remote.id.as_str()]);
        endpoint.url(path.chain(tail.iter().copied()))
    })
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
