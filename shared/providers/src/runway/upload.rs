//! Images that are too large for the request itself: they go to an address that Runway names, and the call names them
//! by a `runway://` URI. Facts and their sources are in the provider's file.

use atelier_domain::asset::extension_of;
use atelier_domain::error::ProviderError;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use url::Url;

use super::failure::upload_failure;
use crate::exchange::{Body, Expects, FormPart, HttpReply, HttpRequest};
use crate::wire::{UploadStep, malformed};

/// Fields that the storage wants, and the length of each; more is no form.
const MOST_FIELDS: usize = 50;
const LONGEST_FIELD: usize = 16 * 1024;

/// The body that asks for an address.
pub(super) fn wish(content_type: &str) -> Value {
    json!({"filename": format!("image.{}", extension_of(content_type)), "type": "ephemeral"})
}

/// Where the bytes go, and what the call names them by.
pub(super) fn next(
    reply: &HttpReply,
    content_type: &str,
    bytes: &Bytes,
) -> Result<UploadStep, ProviderError> {
    if !reply.head.is_success() {
        return Err(upload_failure(reply));
    }
    let body = reply.json().unwrap_or(Value::Null);
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let wrong = |what: &str| malformed(reply.head.status, what);
    let address = text("uploadUrl").and_then(|text| Url::parse(text).ok());
    let address = address.ok_or_else(|| wrong("the upload names no address"))?;
    let uri = text("runwayUri").filter(|uri| uri.starts_with("runway://") && uri.len() < LONGEST_FIELD);
    let uri = uri.ok_or_else(|| wrong("the upload has no runway:// name"))?;
    let parts = fields(&body).ok_or_else(|| wrong("the fields of the upload are not texts"))?;
    // The storage stops reading fields at the file, so it comes last.
    let parts = parts.into_iter().chain([FormPart::file("file", content_type, bytes.clone())]);
    let request = HttpRequest {
        method: Method::POST,
        url: address,
        template: None,
        headers: Vec::new(),
        body: Body::Form(parts.collect()),
        expects: Expects::Text,
    };
    Ok(UploadStep::Then { request: Box::new(request), url: uri.to_owned() })
}

fn fields(body: &Value) -> Option<Vec<FormPart>> {
    let fields = body.get("fields")?.as_object().filter(|fields| fields.len() <= MOST_FIELDS)?;
    let part = |(name, value): (&String, &Value)| {
        let text = value.as_str().filter(|text| text.len() <= LONGEST_FIELD)?;
        Some(FormPart::text(name.as_str(), text))
    };
    fields.iter().map(part).collect()
}
