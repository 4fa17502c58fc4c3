//! A model's input: the job's options under the provider's own names, its prompt, and its files as URLs.

use atelier_domain::asset::essence;
use atelier_domain::error::ProviderError;
use atelier_domain::operation::Operation;
use atelier_domain::ports::{PreparedInput, SubmitCall};
use serde_json::{Map, Value};

use crate::asked;
use crate::wire::{data_uri, invalid};

/// Would put the media into the result as a data URI, past the limit of what is read of an answer.
const INLINE_SWITCH: &str = "sync_mode";
/// Models that take a list of pictures where the others take one.
const LIST_MODELS: [&str; 1] = ["fal-ai/nano-banana/edit"];
/// Models that want the length of a video as text.
const TEXT_LENGTH_MODELS: &str = "fal-ai/kling-video/";

/// The body of a submit.
pub(super) fn model_input(
    call: &SubmitCall,
    max_inline_bytes: usize,
) -> Result<Map<String, Value>, ProviderError> {
    let spec = &call.spec;
    if matches!(spec.operation, Operation::Tts | Operation::Stt) {
        return Err(invalid(format!(
            "fal does not do `{}` here; it makes images and videos",
            spec.operation
        )));
    }
    let options = asked::options(spec).filter(|(name, _)| *name != INLINE_SWITCH);
    let mut input: Map<String, Value> =
        options.map(|(name, value)| (name.to_owned(), option(&spec.model, name, value))).collect();
    match asked::prompt(spec) {
        Some(prompt) => {
            input.insert("prompt".to_owned(), Value::from(prompt));
        }
        None if spec.operation.needs_input() => {}
        None => return Err(invalid("a prompt is needed")),
    }
    if spec.operation.needs_input() {
        let url = Value::from(url(asked::input_image(call)?, "the input", max_inline_bytes)?);
        if LIST_MODELS.contains(&spec.model.as_str()) {
            input.insert("image_urls".to_owned(), Value::Array(vec![url]));
        } else {
            input.insert("image_url".to_owned(), url);
        }
    }
    for (name, file) in &call.files {
        input.insert(format!("{name}_url"), Value::from(url(file, name, max_inline_bytes)?));
    }
    Ok(input)
}

/// A file as the URL that stands in the input: its own, or a data URI.
pub(crate) fn url(
    file: &PreparedInput,
    name: &str,
    max_inline_bytes: usize,
) -> Result<String, ProviderError> {
    match file {
        PreparedInput::Url(url) => Ok(url.clone()),
        PreparedInput::Bytes { content_type, bytes } if bytes.len() <= max_inline_bytes => {
            Ok(data_uri(&essence(content_type), bytes))
        }
        PreparedInput::Bytes { bytes, .. } => Err(invalid(format!(
            "{name} has {} bytes, at most {max_inline_bytes} can be sent inside the request, and it was not uploaded",
            bytes.len()
        ))),
    }
}

fn option(model: &str, name: &str, value: &Value) -> Value {
    match value {
        Value::Number(seconds) if name == "duration" && model.starts_with(TEXT_LENGTH_MODELS) => {
            Value::from(seconds.to_string())
        }
        other => other.clone(),
    }
}
