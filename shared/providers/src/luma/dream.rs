//! Dream Machine: the ray models make videos, the photon models images.

use atelier_domain::error::ProviderError;
use atelier_domain::job::Output;
use atelier_domain::operation::Operation;
use atelier_domain::ports::{Checked, PreparedInput, SubmitCall};
use serde_json::{Map, Value, json};

use super::failure::failed_work;
use crate::asked::{input_image, options, prompt};
use crate::wire::{invalid, is_link, malformed};

/// Path, template and body of a create.
pub(super) type Create = (Vec<&'static str>, &'static str, Map<String, Value>);

pub(super) fn create(call: &SubmitCall) -> Result<Create, ProviderError> {
    let spec = &call.spec;
    let mut body = Map::new();
    body.insert("model".to_owned(), Value::from(spec.model.as_str()));
    if let Some(prompt) = prompt(spec) {
        body.insert("prompt".to_owned(), Value::from(prompt));
    }
    if let Some(url) = &call.callback_url {
        body.insert("callback_url".to_owned(), Value::from(url.as_str()));
    }
    let kind = match spec.operation {
        Operation::VideoGen | Operation::VideoFromImage => {
            video(call, &mut body)?;
            "video"
        }
        Operation::ImageGen | Operation::ImageEdit => {
            image(call, &mut body)?;
            "image"
        }
        Operation::Tts | Operation::Stt => {
            return Err(invalid(format!("luma does not do `{}`", spec.operation)));
        }
    };
    let template = if kind == "video" { "/generations/video" } else { "/generations/image" };
    Ok((vec!["generations", kind], template, body))
}

fn video(call: &SubmitCall, body: &mut Map<String, Value>) -> Result<(), ProviderError> {
    for (name, value) in options(&call.spec) {
        match name {
            "aspect_ratio" | "duration" | "resolution" | "loop" => {
                body.insert(name.to_owned(), value.clone());
            }
            "concepts" => {
                let keys = value.as_array().ok_or_else(|| invalid("`concepts` must be a list"))?;
                let keys: Vec<Value> = keys.iter().map(|key| json!({ "key": key })).collect();
                body.insert("concepts".to_owned(), Value::from(keys));
            }
            other => return Err(unknown(other)),
        }
    }
    let mut keyframes = Map::new();
    let frames = [("frame0", call.input.as_ref()), ("frame1", call.files.get("end_image"))];
    for (frame, file) in frames {
        if let Some(file) = file {
            keyframes.insert(frame.to_owned(), json!({"type": "image", "url": link(file)?}));
        }
    }
    if call.spec.operation == Operation::VideoFromImage && !keyframes.contains_key("frame0") {
        return Err(invalid("an input image is needed"));
    }
    if !keyframes.is_empty() {
        body.insert("keyframes".to_owned(), Value::Object(keyframes));
    }
    Ok(())
}

fn image(call: &SubmitCall, body: &mut Map<String, Value>) -> Result<(), ProviderError> {
    let mut weight = None;
    for (name, value) in options(&call.spec) {
        match name {
            "aspect_ratio" | "format" => {
                body.insert(name.to_owned(), value.clone());
            }
            "weight" => weight = Some(value.clone()),
            other => return Err(unknown(other)),
        }
    }
    if call.spec.operation == Operation::ImageEdit {
        let mut reference = Map::new();
        reference.insert("url".to_owned(), Value::from(link(input_image(call)?)?));
        reference.extend(weight.map(|weight| ("weight".to_owned(), weight)));
        body.insert("modify_image_ref".to_owned(), Value::Object(reference));
    }
    for (option, name) in [("image_ref", "image_ref"), ("style_ref", "style_ref")] {
        if let Some(file) = call.files.get(option) {
            body.insert(name.to_owned(), json!([{ "url": link(file)? }]));
        }
    }
    Ok(())
}

pub(super) fn unknown(option: &str) -> ProviderError {
    invalid(format!("the option `{option}` is not known for this model of luma"))
}

fn link(file: &PreparedInput) -> Result<&str, ProviderError> {
    match file {
        PreparedInput::Url(url) => Ok(url),
        PreparedInput::Bytes { .. } => Err(invalid("the provider fetches images itself and takes no bytes")),
    }
}

/// What a generation says.
pub(super) fn found(generation: &Value, http_status: u16) -> Result<Checked, ProviderError> {
    let Some(state) = generation.get("state").and_then(Value::as_str) else {
        return Err(malformed(http_status, "the generation names no state"));
    };
    match state {
        "completed" => {
            let asset = |name: &str| generation.get("assets")?.get(name)?.as_str();
            let found =
                asset("video").map(|link| (link, "video/mp4")).or(asset("image").map(|link| (link, "")));
            let Some((link, content_type)) = found.filter(|(link, _)| is_link(link)) else {
                return Err(malformed(http_status, "the completed generation has no http URL"));
            };
            let content_type = (!content_type.is_empty()).then(|| content_type.to_owned());
            Ok(Checked::Ready {
                outputs: vec![Output::link(link, content_type)],
                status: state.to_owned(),
                cost: None,
            })
        }
        "failed" => {
            let reason = generation.get("failure_reason").and_then(Value::as_str);
            Ok(Checked::Failed { error: failed_work(None, reason), cost: None })
        }
        // `queued`, `dreaming`, and words that are not known yet: the polling deadline guards.
        _ => Ok(Checked::Working { status: state.to_owned(), progress_percent: None }),
    }
}
