//! What a job asks for, as every adapter reads it.

use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::ports::{PreparedInput, SubmitCall};
use serde_json::Value;

use crate::wire::invalid;

/// The prompt, unless it is blank.
pub(crate) fn prompt(spec: &JobSpec) -> Option<&str> {
    spec.prompt.as_deref().filter(|prompt| !prompt.trim().is_empty())
}

/// The options that were given; null stands for none.
pub(crate) fn options(spec: &JobSpec) -> impl Iterator<Item = (&str, &Value)> {
    spec.config.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.as_str(), value))
}

/// The image that the operation needs.
pub(crate) fn input_image(call: &SubmitCall) -> Result<&PreparedInput, ProviderError> {
    call.input.as_ref().ok_or_else(|| invalid("an input image is needed"))
}

/// The recording that is to be heard: a URL, or at most so many bytes.
pub(crate) fn recording(call: &SubmitCall, max_bytes: u64) -> Result<&PreparedInput, ProviderError> {
    match call.input.as_ref().ok_or_else(|| invalid("an input is needed: the recording"))? {
        PreparedInput::Bytes { bytes, .. } if bytes.len() as u64 > max_bytes => {
            Err(invalid(format!("the recording has {} bytes, at most {max_bytes} are sent", bytes.len())))
        }
        recording => Ok(recording),
    }
}

/// A single value as queries and forms carry it; `None` for null, lists and objects.
pub(crate) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
