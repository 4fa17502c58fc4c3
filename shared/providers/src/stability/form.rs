//! The multipart form of `v2beta`, and what forms have in common.

use atelier_domain::error::ProviderError;
use atelier_domain::ports::{PreparedInput, SubmitCall};
use serde_json::Value;

use super::models::{PromptNeed, Target};
use crate::asked::{input_image, options, plain_text, prompt};
use crate::exchange::{Body, FormPart, FormValue};
use crate::wire::invalid;

/// What each part takes besides name and value: boundary and headers.
const BYTES_PER_PART: u64 = 200;

/// The parts of a form, in the order: prompt, what the model fixes, files, options.
pub(super) fn parts(call: &SubmitCall, target: &Target) -> Result<Vec<FormPart>, ProviderError> {
    let mut parts = Vec::new();
    match (target.prompt_field, prompt(&call.spec)) {
        (Some(field), Some(prompt)) => parts.push(FormPart::text(field, prompt)),
        (None, Some(_)) => return Err(invalid(format!("{} takes no prompt", call.spec.model))),
        (_, None) if target.prompt == PromptNeed::Required => return Err(invalid("a prompt is needed")),
        (_, None) => {}
    }
    parts.extend(target.fixed.iter().map(|(name, value)| FormPart::text(*name, *value)));
    if let Some(field) = target.image_field {
        parts.push(input(call, field)?);
    }
    for (name, prepared) in &call.files {
        if !target.files.contains(&name.as_str()) {
            return Err(unknown(call, name));
        }
        parts.push(file(name, prepared)?);
    }
    for (name, value) in options(&call.spec) {
        if !target.options.contains(&name) {
            return Err(unknown(call, name));
        }
        parts.push(FormPart::text(name, text(name, value)?));
    }
    if let Some(missing) = target.needs.iter().find(|name| !parts.iter().any(|part| part.name == **name)) {
        return Err(invalid(format!("`{missing}` is needed by {}", call.spec.model)));
    }
    let is_given = |name: &&str| {
        let is_more_than_none = |part: &FormPart| part.value != FormValue::Text("0".to_owned());
        parts.iter().any(|part| part.name == **name && is_more_than_none(part))
    };
    if !target.needs_one_of.is_empty() && !target.needs_one_of.iter().any(is_given) {
        return Err(invalid(format!(
            "{} needs at least one of: {}",
            call.spec.model,
            target.needs_one_of.join(", ")
        )));
    }
    Ok(parts)
}

/// The job's input under this name.
pub(super) fn input(call: &SubmitCall, field: &str) -> Result<FormPart, ProviderError> {
    file(field, input_image(call)?)
}

/// A file under this name.
pub(super) fn file(name: &str, prepared: &PreparedInput) -> Result<FormPart, ProviderError> {
    match prepared {
        PreparedInput::Bytes { content_type, bytes } => Ok(FormPart::file(name, content_type, bytes.clone())),
        PreparedInput::Url(_) => Err(invalid(format!("`{name}` must be sent as bytes, not as a URL"))),
    }
}

/// An option as the text of a form.
pub(super) fn text(name: &str, value: &Value) -> Result<String, ProviderError> {
    plain_text(value).ok_or_else(|| invalid(format!("`{name}` must be a text, a number, true or false")))
}

pub(super) fn unknown(call: &SubmitCall, name: &str) -> ProviderError {
    let spec = &call.spec;
    invalid(format!("the option `{name}` is not known for `{}` of {}", spec.operation, spec.model))
}

/// Refuses what the provider would refuse after it was sent.
pub(super) fn check_size(body: &Body, limit: u64) -> Result<(), ProviderError> {
    let Body::Form(parts) = body else { return Ok(()) };
    let length = |part: &FormPart| match &part.value {
        FormValue::Text(text) => text.len(),
        FormValue::File { bytes, .. } => bytes.len(),
    };
    let size: u64 = parts.iter().map(|part| length(part) as u64 + BYTES_PER_PART).sum();
    if size > limit {
        return Err(invalid(format!("the request has about {size} bytes, at most {limit} can be sent")));
    }
    Ok(())
}
