//! The Agents API: `ray-3.2` makes videos, the uni models images.

use atelier_domain::error::ProviderError;
use atelier_domain::job::Output;
use atelier_domain::operation::Operation;
use atelier_domain::ports::{Checked, PreparedInput, SubmitCall};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::dream::{Create, unknown};
use super::failure::failed_work;
use crate::asked::{input_image, options, prompt};
use crate::wire::{invalid, is_link, malformed};

pub(super) fn create(call: &SubmitCall) -> Result<Create, ProviderError> {
    let spec = &call.spec;
    let prompt = prompt(spec).ok_or_else(|| invalid("a prompt is needed"))?;
    let mut body = Map::new();
    body.insert("model".to_owned(), Value::from(spec.model.as_str()));
    body.insert("prompt".to_owned(), Value::from(prompt));
    let kind = match spec.operation {
        Operation::VideoGen | Operation::VideoFromImage => {
            video(call, &mut body)?;
            "video"
        }
        Operation::ImageGen => {
            image(call, &mut body)?;
            "image"
        }
        Operation::ImageEdit => {
            image(call, &mut body)?;
            body.insert("source".to_owned(), reference(input_image(call)?));
            "image_edit"
        }
        Operation::Tts | Operation::Stt => {
            return Err(invalid(format!("luma does not do `{}`", spec.operation)));
        }
    };
    body.insert("type".to_owned(), Value::from(kind));
    Ok((vec!["generations"], "/generations", body))
}

fn video(call: &SubmitCall, body: &mut Map<String, Value>) -> Result<(), ProviderError> {
    let mut video = Map::new();
    for (name, value) in options(&call.spec) {
        match name {
            "aspect_ratio" => {
                body.insert(name.to_owned(), value.clone());
            }
            "resolution" | "duration" | "loop" | "hdr" => {
                video.insert(name.to_owned(), value.clone());
            }
            other => return Err(unknown(other)),
        }
    }
    let frames = [("start_frame", call.input.as_ref()), ("end_frame", call.files.get("end_image"))];
    for (frame, file) in frames {
        video.extend(file.map(|file| (frame.to_owned(), reference(file))));
    }
    if call.spec.operation == Operation::VideoFromImage && !video.contains_key("start_frame") {
        return Err(invalid("an input image is needed"));
    }
    body.insert("video".to_owned(), Value::Object(video));
    Ok(())
}

fn image(call: &SubmitCall, body: &mut Map<String, Value>) -> Result<(), ProviderError> {
    for (name, value) in options(&call.spec) {
        match name {
            "aspect_ratio" | "output_format" | "style" | "web_search" => {
                body.insert(name.to_owned(), value.clone());
            }
            other => return Err(unknown(other)),
        }
    }
    if let Some(file) = call.files.get("image_ref") {
        body.insert("image_ref".to_owned(), json!([reference(file)]));
    }
    Ok(())
}

fn reference(file: &PreparedInput) -> Value {
    match file {
        PreparedInput::Url(url) => json!({ "url": url }),
        PreparedInput::Bytes { content_type, bytes } => {
            json!({"data": STANDARD.encode(bytes), "media_type": content_type})
        }
    }
}

/// What a generation says.
pub(super) fn found(generation: &Value, http_status: u16) -> Result<Checked, ProviderError> {
    let Some(state) = generation.get("state").and_then(Value::as_str) else {
        return Err(malformed(http_status, "the generation names no state"));
    };
    match state {
        "completed" => {
            let files =
                generation.get("output").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let outputs = files
                .iter()
                .map(|file| {
                    let link = file.get("url").and_then(Value::as_str).filter(|link| is_link(link));
                    let link = link.ok_or_else(|| malformed(http_status, "an output has no http URL"))?;
                    let is_video = file.get("type").and_then(Value::as_str) == Some("video");
                    Ok(Output::link(link, is_video.then(|| "video/mp4".to_owned())))
                })
                .collect::<Result<Vec<_>, ProviderError>>()?;
            Ok(Checked::Ready { outputs, status: state.to_owned(), cost: None })
        }
        "failed" => {
            let word = |name: &str| generation.get(name).and_then(Value::as_str);
            let error = failed_work(word("failure_code"), word("failure_reason"));
            Ok(Checked::Failed { error, cost: None })
        }
        _ => Ok(Checked::Working { status: state.to_owned(), progress_percent: None }),
    }
}
