//! Fal's storage, where files go that are too large for a data URI, and the place of its public keys.

use atelier_domain::asset::{essence, extension_of};
use atelier_domain::error::ProviderError;
use atelier_domain::ports::ProviderKey;
use http::Method;
use serde_json::{Value, json};
use url::Url;

use super::failure::gateway_failure;
use super::{BASE_URL, FalOptions, REST_BASE_URL};
use crate::exchange::{Body, Expects, HttpReply, HttpRequest};
use crate::wire::{Endpoint, FileBytes, UploadStep, key_header, malformed};

/// Asks where a file may be put; `None` where it goes into the call itself.
pub(crate) fn announce(
    file: &FileBytes<'_>,
    key: &ProviderKey,
    options: &FalOptions,
    endpoint: &Endpoint,
) -> Result<Option<HttpRequest>, ProviderError> {
    if file.bytes.len() <= options.max_inline_bytes {
        return Ok(None);
    }
    let mut url = rest_url(options, endpoint, &["storage", "upload", "initiate"]);
    url.query_pairs_mut().append_pair("storage_type", &options.storage_type);
    let content_type = essence(file.content_type);
    let file_name = format!("input.{}", extension_of(&content_type));
    Ok(Some(HttpRequest {
        method: Method::POST,
        url,
        template: Some("/storage/upload/initiate"),
        headers: vec![key_header("authorization", "Key ", key)?],
        body: Body::Json(json!({ "content_type": content_type, "file_name": file_name })),
        expects: Expects::Text,
    }))
}

/// Reads where the file may be put and under which URL the model will find it.
pub(crate) fn announced(reply: &HttpReply, file: &FileBytes<'_>) -> Result<UploadStep, ProviderError> {
    if !reply.head.is_success() {
        return Err(gateway_failure(reply));
    }
    let body = reply.json().unwrap_or(Value::Null);
    let url = |name: &str| {
        let url = Url::parse(body.get(name)?.as_str()?).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(url)
    };
    let (Some(upload_url), Some(file_url)) = (url("upload_url"), url("file_url")) else {
        return Err(malformed(reply.head.status, "the answer to an upload names no URLs"));
    };
    // The address is permission enough; the key stays here.
    let request = HttpRequest {
        method: Method::PUT,
        url: upload_url,
        template: None,
        headers: Vec::new(),
        body: Body::Bytes { content_type: essence(file.content_type), bytes: file.bytes.clone() },
        expects: Expects::Text,
    };
    Ok(UploadStep::Then { request: Box::new(request), url: file_url.into() })
}

/// Asks for the public keys of webhooks.
pub(crate) fn key_set(options: &FalOptions, endpoint: &Endpoint) -> HttpRequest {
    HttpRequest {
        method: Method::GET,
        url: rest_url(options, endpoint, &[".well-known", "jwks.json"]),
        template: Some("/.well-known/jwks.json"),
        headers: Vec::new(),
        body: Body::None,
        expects: Expects::Text,
    }
}

/// The storage has a host of its own at Fal.
fn rest_url(options: &FalOptions, endpoint: &Endpoint, path: &[&str]) -> Url {
    endpoint.beside(options.rest_base_url.as_ref(), BASE_URL, REST_BASE_URL).url(path.iter().copied())
}
