//! The older API: SDXL by JSON or by form, several images in one answer, and the account.

use http::Method;
use serde_json::{Map, Value, json};

use super::form::Form;
use super::operations::STYLES;
use super::work::MOST_BYTES;
use super::{Refusal, hex_id, reply};
use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::{Fault, ModerationForm};
use crate::media::{ImageFormat, MediaSpec};
use crate::state::State;

const ENGINE: &str = "stable-diffusion-xl-1024-v1-0";
/// The sizes of SDXL.
const SIZES: [(u32, u32); 9] = [
    (1024, 1024),
    (1152, 896),
    (896, 1152),
    (1216, 832),
    (832, 1216),
    (1344, 768),
    (768, 1344),
    (1536, 640),
    (640, 1536),
];
const PRESETS: [&str; 7] = ["NONE", "FAST_BLUE", "FAST_GREEN", "SIMPLE", "SLOW", "SLOWER", "SLOWEST"];
const SAMPLERS: [&str; 10] = [
    "DDIM",
    "DDPM",
    "K_DPMPP_2M",
    "K_DPMPP_2S_ANCESTRAL",
    "K_DPM_2",
    "K_DPM_2_ANCESTRAL",
    "K_EULER",
    "K_EULER_ANCESTRAL",
    "K_HEUN",
    "K_LMS",
];
const MASK_SOURCES: [&str; 3] = ["MASK_IMAGE_WHITE", "MASK_IMAGE_BLACK", "INIT_IMAGE_ALPHA"];
const COMMON: [&str; 9] = [
    "text_prompts",
    "cfg_scale",
    "clip_guidance_preset",
    "sampler",
    "samples",
    "seed",
    "steps",
    "style_preset",
    "extras",
];

/// How an image is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    FromText,
    FromImage,
    Masked,
}

pub(super) fn answer(
    call: &Call,
    state: &State,
    account: Account,
    path: &[&str],
    work: Option<&Fault>,
) -> Result<Answer, Refusal> {
    let way = match (&call.method, path) {
        (&Method::GET, ["user", "balance"]) => {
            let credits = if account == Account::NoMoney { 0.0 } else { 1_000.5 };
            return Ok(Answer::json(200, json!({"credits": credits})));
        }
        (&Method::GET, ["user", "account"]) => return Ok(Answer::json(200, user())),
        (&Method::GET, ["engines", "list"]) => {
            let engine =
                json!({"id": ENGINE, "name": "SDXL 1.0", "description": "Simulated", "type": "PICTURE"});
            return Ok(Answer::json(200, json!([engine])));
        }
        (&Method::POST, ["generation", _, "text-to-image"]) => Way::FromText,
        (&Method::POST, ["generation", _, "image-to-image"]) => Way::FromImage,
        (&Method::POST, ["generation", _, "image-to-image", "masking"]) => Way::Masked,
        _ => return Err(Refusal::not_found()),
    };
    if path.get(1) != Some(&ENGINE) {
        return Err(Refusal::new(404, "not_found", "the specified engine was not found"));
    }
    make(call, state, account, way, work)
}

fn make(
    call: &Call,
    state: &State,
    account: Account,
    way: Way,
    work: Option<&Fault>,
) -> Result<Answer, Refusal> {
    if call.body.len() > MOST_BYTES {
        return Err(Refusal::too_large());
    }
    let wants_bytes = match call.header("accept") {
        // Whatever the client takes, JSON is the usual form.
        None | Some("application/json" | "*/*") => false,
        Some("image/png") => true,
        Some(_) => return Err(Refusal::bad("accept: must be one of: application/json, image/png")),
    };
    let (body, (width, height)) = if way == Way::FromText {
        let Some(Value::Object(body)) = call.json() else {
            return Err(Refusal::bad("the body must be a JSON object"));
        };
        let size = size(&body)?;
        (body, size)
    } else {
        let form = Form::of(call).ok_or_else(|| Refusal::bad("content-type: must be multipart/form-data"))?;
        let size = images(&form, way)?;
        (fields_of(&form)?, size)
    };
    let wish = Wish::of(&body, way)?;
    if account == Account::NoMoney {
        return Err(Refusal::out_of_credit());
    }
    let is_filtered = match work {
        Some(Fault::Moderation { form: ModerationForm::NsfwFlag }) => true,
        Some(Fault::Moderation { .. }) => {
            return Err(Refusal::new(400, "invalid_prompts", "invalid prompts detected"));
        }
        Some(Fault::Fail { code }) => return Err(Refusal::failure(code)),
        _ => false,
    };
    let spec = |index: u64| {
        let prompt = if index == 0 { wish.prompt.clone() } else { format!("{} #{index}", wish.prompt) };
        MediaSpec::Image { prompt, width, height, format: ImageFormat::Png, blank: is_filtered }
    };
    let seed = |index: u64| (wish.seed + index) % (1 << 32);
    let reason = if is_filtered { reply::FILTERED } else { reply::SUCCESS };
    let mut answer = if wants_bytes {
        Answer::media(spec(0)).header("finish-reason", reason).header("seed", seed(0).to_string())
    } else {
        let artifact = |index| json!({"base64": reply::encoded(state, &spec(index)), "finishReason": reason, "seed": seed(index)});
        Answer::json(200, json!({"artifacts": (0..wish.samples).map(artifact).collect::<Vec<_>>()}))
    };
    answer.wait = if work == Some(&Fault::Stuck) { None } else { Some(state.options.timing.image) };
    Ok(answer.accepted(hex_id(state)))
}

/// What all three ways have in common.
struct Wish {
    prompt: String,
    samples: u64,
    seed: u64,
}

impl Wish {
    fn of(body: &Map<String, Value>, way: Way) -> Result<Self, Refusal> {
        let own: &[&str] = match way {
            Way::FromText => &["width", "height"],
            Way::FromImage => {
                &["init_image_mode", "image_strength", "step_schedule_start", "step_schedule_end"]
            }
            Way::Masked => &["mask_source"],
        };
        if let Some(name) =
            body.keys().find(|name| !COMMON.contains(&name.as_str()) && !own.contains(&name.as_str()))
        {
            return Err(Refusal::bad(format!("{name}: is not allowed")));
        }
        let prompts =
            body.get("text_prompts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is_prompt = |prompt: &Value| {
            let text = prompt.get("text").and_then(Value::as_str).unwrap_or_default();
            (1..=2_000).contains(&text.chars().count()) && prompt.get("weight").is_none_or(Value::is_number)
        };
        let Some(first) = prompts.first().filter(|_| prompts.iter().all(is_prompt)) else {
            let text = "text_prompts: at least one is required, each with a text of 1 to 2000 characters";
            return Err(Refusal::new(400, "invalid_prompts", text));
        };
        let number = |name: &str, least: f64, most: f64| match body.get(name) {
            None => Ok(()),
            Some(value) if value.as_f64().is_some_and(|number| (least..=most).contains(&number)) => Ok(()),
            Some(_) => Err(Refusal::bad(format!("{name}: must be a number from {least} to {most}"))),
        };
        let whole = |name: &str, error: &str, least: u64, most: u64| match body.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|number| (least..=most).contains(number)) {
                None => {
                    let text = format!("{name}: must be a whole number from {least} to {most}");
                    Err(Refusal::new(400, error, text))
                }
                number => Ok(number),
            },
        };
        let word = |name: &str, words: &[&str]| match body.get(name) {
            None => Ok(()),
            Some(value) if value.as_str().is_some_and(|text| words.contains(&text)) => Ok(()),
            Some(_) => Err(Refusal::bad(format!("{name}: must be one of {}", words.join(", ")))),
        };
        number("cfg_scale", 0.0, 35.0)?;
        number("image_strength", 0.0, 1.0)?;
        number("step_schedule_start", 0.0, 1.0)?;
        number("step_schedule_end", 0.0, 1.0)?;
        word("clip_guidance_preset", &PRESETS)?;
        word("sampler", &SAMPLERS)?;
        word("style_preset", &STYLES)?;
        word("init_image_mode", &["IMAGE_STRENGTH", "STEP_SCHEDULE"])?;
        word("mask_source", &MASK_SOURCES)?;
        whole("steps", "bad_request", 10, 50)?;
        let samples = whole("samples", "invalid_samples", 1, 10)?.unwrap_or(1);
        let seed = whole("seed", "bad_request", 0, u64::from(u32::MAX))?;
        let prompt = first.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        let seed = reply::seed(seed, &prompt);
        Ok(Self { prompt, samples, seed })
    }
}

/// The size of an image from text.
fn size(body: &Map<String, Value>) -> Result<(u32, u32), Refusal> {
    let side = |name: &str| match body.get(name) {
        None => Ok(1024),
        Some(value) => {
            let pixels = value.as_u64().filter(|pixels| *pixels > 0 && pixels % 64 == 0);
            pixels.and_then(|pixels| u32::try_from(pixels).ok()).ok_or_else(|| {
                Refusal::new(400, "invalid_height_or_width", format!("{name}: must be a multiple of 64"))
            })
        }
    };
    allowed(side("width")?, side("height")?)
}

/// The size, if it is one of the engine's.
fn allowed(width: u32, height: u32) -> Result<(u32, u32), Refusal> {
    if SIZES.contains(&(width, height)) {
        return Ok((width, height));
    }
    let allowed = SIZES.map(|(width, height)| format!("{width}x{height}")).join(", ");
    let text = format!("for {ENGINE} the allowed dimensions are {allowed}, but we received {width}x{height}");
    Err(Refusal::new(400, "invalid_sdxl_v1_dimensions", text))
}

/// Checks the images of a form and gives the size of the first.
fn images(form: &Form, way: Way) -> Result<(u32, u32), Refusal> {
    let Some(image) = form.image("init_image") else {
        return Err(Refusal::new(
            400,
            "invalid_mime_type",
            "init_image: must be an image (jpeg, png or webp)",
        ));
    };
    if way == Way::Masked {
        let source = form.text("mask_source").ok_or_else(|| Refusal::bad("mask_source: is required"))?;
        let is_like_image = form.image("mask_image").is_some_and(|mask| mask == image);
        if source != "INIT_IMAGE_ALPHA" && !is_like_image {
            let text = "mask_image: must be an image with the dimensions of init_image";
            return Err(Refusal::new(400, "invalid_mask_image", text));
        }
    } else if form.has("mask_image") {
        return Err(Refusal::bad("mask_image: is not allowed"));
    }
    allowed(image.width, image.height)
}

/// The fields of a form as the JSON body has them.
fn fields_of(form: &Form) -> Result<Map<String, Value>, Refusal> {
    let mut fields = Map::new();
    let mut prompts: Vec<(usize, Map<String, Value>)> = Vec::new();
    for name in form.names().filter(|name| !matches!(*name, "init_image" | "mask_image")) {
        let text = form.text(name).ok_or_else(|| Refusal::bad(format!("{name}: must not be empty")))?;
        let is_text = name.ends_with("[text]");
        let number = (!is_text).then(|| serde_json::from_str::<Value>(text).ok().filter(Value::is_number));
        let value = number.flatten().unwrap_or_else(|| text.into());
        let Some(rest) = name.strip_prefix("text_prompts[") else {
            fields.insert(name.to_owned(), value);
            continue;
        };
        let place = rest
            .split_once("][")
            .and_then(|(index, key)| Some((index.parse().ok()?, key.strip_suffix(']')?)));
        let Some((index, key)) = place.filter(|(_, key)| matches!(*key, "text" | "weight")) else {
            return Err(Refusal::bad(format!("{name}: is not allowed")));
        };
        match prompts.iter_mut().find(|(known, _)| *known == index) {
            Some((_, prompt)) => {
                prompt.insert(key.to_owned(), value);
            }
            None => prompts.push((index, Map::from_iter([(key.to_owned(), value)]))),
        }
    }
    prompts.sort_by_key(|(index, _)| *index);
    let prompts = prompts.into_iter().map(|(_, prompt)| Value::Object(prompt)).collect();
    fields.insert("text_prompts".to_owned(), Value::Array(prompts));
    Ok(fields)
}

fn user() -> Value {
    let organization =
        json!({"id": "org-simulated", "name": "Simulated", "role": "MEMBER", "is_default": true});
    json!({
        "id": "user-simulated", "email": "simulated@example.com", "profile_picture": "",
        "organizations": [organization],
    })
}
