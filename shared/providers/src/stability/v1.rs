//! The older API: its requests, in JSON or as a form, and its answers with several images.

use atelier_domain::error::ProviderError;
use atelier_domain::money::{PriceUnit, ReportedCost};
use atelier_domain::ports::{Finished, FinishedOutput, SubmitCall};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::form::{self, unknown};
use super::models::Target;
use crate::asked::{options, prompt};
use crate::exchange::{Body, FormPart};
use crate::wire::invalid;

/// Most images in one answer.
const MOST_ARTIFACTS: usize = 10;
/// How strongly the negative prompt counts; the API has no other form for it.
const NEGATIVE_WEIGHT: i64 = -1;
/// Options of changing an image that a mask excludes.
const UNMASKED_OPTIONS: [&str; 4] =
    ["image_strength", "init_image_mode", "step_schedule_start", "step_schedule_end"];
/// The source of a mask that is the image itself.
const ALPHA: &str = "INIT_IMAGE_ALPHA";
const MASKING_PATH: &[&str] =
    &["v1", "generation", "stable-diffusion-xl-1024-v1-0", "image-to-image", "masking"];
const MASKING_TEMPLATE: &str = "/v1/generation/{engine_id}/image-to-image/masking";

/// Path, template and body of a call.
pub(super) fn request(
    call: &SubmitCall,
    target: &Target,
) -> Result<(&'static [&'static str], &'static str, Body), ProviderError> {
    let prompt = prompt(&call.spec).ok_or_else(|| invalid("a prompt is needed"))?;
    let negative = match call.spec.config.get("negative_prompt") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
        Some(_) => return Err(invalid("`negative_prompt` must be a text")),
    };
    let shared = options(&call.spec).filter(|(name, _)| target.options.contains(name));
    let mut own = options(&call.spec)
        .map(|(name, _)| name)
        .filter(|name| *name != "negative_prompt" && !target.options.contains(name));
    let Some(image_field) = target.image_field else {
        if let Some(name) = own.find(|name| *name != "size") {
            return Err(unknown(call, name));
        }
        let mut prompts = vec![json!({"text": prompt})];
        prompts.extend(negative.map(|text| json!({"text": text, "weight": NEGATIVE_WEIGHT})));
        let mut body: Map<String, Value> =
            shared.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        body.insert("text_prompts".to_owned(), prompts.into());
        let (width, height) = size(call)?;
        body.insert("width".to_owned(), width.into());
        body.insert("height".to_owned(), height.into());
        return Ok((target.path, target.template, Body::Json(body.into())));
    };

    let mut parts = vec![FormPart::text("text_prompts[0][text]", prompt)];
    if let Some(text) = negative {
        parts.push(FormPart::text("text_prompts[1][text]", text));
        parts.push(FormPart::text("text_prompts[1][weight]", NEGATIVE_WEIGHT.to_string()));
    }
    parts.push(form::input(call, image_field)?);
    if let Some(name) = call.files.keys().find(|name| *name != "mask") {
        return Err(unknown(call, name));
    }
    let mask = call.files.get("mask");
    let source = call.spec.config.get("mask_source").and_then(Value::as_str);
    let is_masked = mask.is_some() || source.is_some();
    for name in own.filter(|name| *name != "mask_source") {
        if !UNMASKED_OPTIONS.contains(&name) {
            return Err(unknown(call, name));
        }
        if is_masked {
            return Err(invalid(format!("`{name}` cannot be combined with a mask")));
        }
    }
    let given = options(&call.spec).filter(|(name, _)| UNMASKED_OPTIONS.contains(name));
    for (name, value) in shared.chain(given) {
        parts.push(FormPart::text(name, form::text(name, value)?));
    }
    if !is_masked {
        return Ok((target.path, target.template, Body::Form(parts)));
    }
    let source = source.unwrap_or("MASK_IMAGE_WHITE");
    parts.push(FormPart::text("mask_source", source));
    match (mask, source == ALPHA) {
        (Some(mask), false) => parts.push(form::file("mask_image", mask)?),
        (None, true) => {}
        (Some(_), true) => return Err(invalid("with `INIT_IMAGE_ALPHA` there is no mask to send")),
        (None, false) => return Err(invalid(format!("`{source}` needs the option `mask`"))),
    }
    Ok((MASKING_PATH, MASKING_TEMPLATE, Body::Form(parts)))
}

/// Width and height of the option `size`. The endpoint's own default is none of the sizes that the model takes.
fn size(call: &SubmitCall) -> Result<(u32, u32), ProviderError> {
    let text = match call.spec.config.get("size") {
        None | Some(Value::Null) => "1024x1024",
        Some(value) => value.as_str().unwrap_or_default(),
    };
    let sides =
        text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    sides.ok_or_else(|| invalid("`size` must be width and height with an `x` between them"))
}

/// The images of a 200 answer, or why there is none; the outer error says what could not be read.
pub(super) fn finished(body: &Value) -> Result<Result<Finished, ProviderError>, &'static str> {
    let artifacts = body.get("artifacts").and_then(Value::as_array).ok_or("named no images")?;
    let mut outputs = Vec::new();
    let mut refused = None;
    for artifact in artifacts.iter().take(MOST_ARTIFACTS) {
        let reason = artifact.get("finishReason").and_then(Value::as_str).unwrap_or_default();
        match reason {
            "CONTENT_FILTERED" => {
                refused = super::image::refusal(reason);
                continue;
            }
            "ERROR" => {
                refused = refused.or(Some(ProviderError::WorkFailed {
                    message: "the image could not be made".to_owned(),
                    status: reason.to_owned(),
                    is_retryable: true,
                }));
                continue;
            }
            _ => {}
        }
        let encoded = artifact.get("base64").and_then(Value::as_str).unwrap_or_default();
        let bytes = STANDARD.decode(encoded).ok().filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or("gave an image that cannot be read")?;
        outputs.push(FinishedOutput {
            bytes: Bytes::from(bytes),
            content_type: Some("image/png".to_owned()),
            seed: artifact.get("seed").and_then(Value::as_u64),
            revised_prompt: None,
        });
    }
    // Some of several may have been filtered; those that are good are the result.
    match (outputs.is_empty(), refused) {
        (true, Some(error)) => Ok(Err(error)),
        (true, None) => Err("gave no image"),
        (false, _) => {
            let cost = ReportedCost::units(PriceUnit::Image, outputs.len() as u64);
            Ok(Ok(Finished { outputs, text: None, request_id: None, cost: Some(cost) }))
        }
    }
}
