//! The models of Fal that the simulator knows, and what each asks of its input (contract sheet, section 3).

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::media::{ImageFormat, MediaSpec};

/// Pixels of the named image sizes.
const IMAGE_SIZES: [(&str, u32, u32); 6] = [
    ("square_hd", 1024, 1024),
    ("square", 512, 512),
    ("portrait_4_3", 768, 1024),
    ("portrait_16_9", 576, 1024),
    ("landscape_4_3", 1024, 768),
    ("landscape_16_9", 1024, 576),
];
/// Pixels of the aspect ratios at about one megapixel; `-ultra` doubles both sides.
const ASPECT_RATIOS: [(&str, u32, u32); 9] = [
    ("21:9", 1568, 672),
    ("16:9", 1392, 752),
    ("4:3", 1184, 880),
    ("3:2", 1248, 832),
    ("1:1", 1024, 1024),
    ("2:3", 832, 1248),
    ("3:4", 880, 1184),
    ("9:16", 752, 1392),
    ("9:21", 672, 1568),
];
/// Sides that a custom size may have (the sheet names no limit: assumed).
const SIDE: std::ops::RangeInclusive<u64> = 8..=4096;
const MOST_IMAGES: u64 = 4;

/// What a model makes and needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Model {
    family: Family,
    needs_image: bool,
    needs_mask: bool,
    /// Refuses moderated prompts instead of flagging a black image.
    pub(crate) is_partner: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// `image_size`, with the default that is named.
    SizedImage(&'static str),
    /// `aspect_ratio`; large ones have twice the side.
    RatioImage {
        is_large: bool,
    },
    Kling,
    Wan,
    Ltx,
    OtherVideo,
}

/// A request that may run.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) prompt: String,
    pub(crate) seed: u64,
    pub(crate) files: Vec<MediaSpec>,
    pub(crate) sync_mode: bool,
    pub(crate) is_video: bool,
    pub(crate) is_partner: bool,
}

/// The model with this full id (without namespace); `None` = Fal has no such application.
pub(crate) fn model(id: &str) -> Option<Model> {
    let image = |family| Model { family, needs_image: false, needs_mask: false, is_partner: false };
    let video = |family| Model { family, needs_image: false, needs_mask: false, is_partner: true };
    let with_image = |model: Model| Model { needs_image: true, ..model };
    let with_mask = |model: Model| Model { needs_mask: true, ..with_image(model) };
    let landscape = image(Family::SizedImage("landscape_4_3"));
    let square = image(Family::SizedImage("square_hd"));
    let ratio = image(Family::RatioImage { is_large: false });
    Some(match id {
        "fal-ai/flux/dev" | "fal-ai/flux/schnell" | "fal-ai/flux-pro/v1.1" | "fal-ai/flux-pro/new" => {
            landscape
        }
        "fal-ai/stable-diffusion-v35-large" | "fal-ai/stable-diffusion-v35-medium" => landscape,
        "fal-ai/flux/dev/image-to-image" => with_image(landscape),
        "fal-ai/flux-pro/v1.1-ultra" => image(Family::RatioImage { is_large: true }),
        "fal-ai/flux-pro/kontext" => with_image(ratio),
        "fal-ai/flux-pro/v1/fill" => with_mask(landscape),
        "fal-ai/stable-diffusion-v3-medium" | "fal-ai/fast-sdxl" => square,
        "fal-ai/stable-diffusion-v3-medium/image-to-image" | "fal-ai/fast-sdxl/image-to-image" => {
            with_image(square)
        }
        "fal-ai/fast-sdxl/inpainting" => with_mask(square),
        "fal-ai/nano-banana" => ratio,
        "fal-ai/kling-video/v2.5-turbo/pro/text-to-video" => video(Family::Kling),
        "fal-ai/kling-video/v2.5-turbo/pro/image-to-video" => with_image(video(Family::Kling)),
        "fal-ai/wan/v2.2-a14b/text-to-video" => video(Family::Wan),
        "fal-ai/wan/v2.2-a14b/image-to-video" => with_image(video(Family::Wan)),
        "fal-ai/ltx-video" => video(Family::Ltx),
        "fal-ai/ltx-video/image-to-video" => with_image(video(Family::Ltx)),
        id if id.starts_with("fal-ai/minimax/hailuo-")
            || id.starts_with("fal-ai/veo3.1")
            || id.starts_with("bytedance/seedance-2") =>
        {
            let other = video(Family::OtherVideo);
            if id.ends_with("/image-to-video") { with_image(other) } else { other }
        }
        _ => return None,
    })
}

/// The order, or the `detail` list of what is wrong.
pub(crate) fn parse(model: Model, body: &Value) -> Result<Order, Vec<Value>> {
    let Value::Object(fields) = body else {
        return Err(vec![detail(&[], "Input should be a valid dictionary", "dict_type", body)]);
    };
    let mut wrong = Vec::new();
    let prompt = prompt(fields, &mut wrong);
    for (name, is_needed) in [("image_url", model.needs_image), ("mask_url", model.needs_mask)] {
        check_url(fields, name, is_needed, &mut wrong);
    }
    let seed = match fields.get("seed") {
        None | Some(Value::Null) => seed_of(&prompt),
        Some(value) => value.as_u64().unwrap_or_else(|| {
            wrong.push(detail(&["seed"], "Input should be a valid integer", "int_type", value));
            0
        }),
    };
    let (files, is_video) = match model.family {
        Family::SizedImage(default) => {
            (images(fields, &prompt, seed, sized(fields, default, &mut wrong), &mut wrong), false)
        }
        Family::RatioImage { is_large } => {
            let (width, height) = shaped(fields, &mut wrong);
            let factor = if is_large { 2 } else { 1 };
            (images(fields, &prompt, seed, (width * factor, height * factor), &mut wrong), false)
        }
        Family::Kling | Family::Wan | Family::Ltx | Family::OtherVideo => {
            (vec![video(model.family, fields, &prompt, &mut wrong)], true)
        }
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let sync_mode = fields.get("sync_mode").and_then(Value::as_bool).unwrap_or(false);
    Ok(Order { prompt, seed, files, sync_mode, is_video, is_partner: model.is_partner })
}

fn prompt(fields: &Map<String, Value>, wrong: &mut Vec<Value>) -> String {
    match fields.get("prompt") {
        Some(Value::String(text)) if text.is_empty() => {
            let message = "String should have at least 1 character";
            wrong.push(detail(&["prompt"], message, "sequence_too_short", &json!(text)));
            String::new()
        }
        Some(Value::String(text)) => text.clone(),
        Some(other) => {
            wrong.push(detail(&["prompt"], "Input should be a valid string", "string_type", other));
            String::new()
        }
        None => {
            let input = Value::Object(fields.clone());
            wrong.push(detail(&["prompt"], "Field required", "missing", &input));
            String::new()
        }
    }
}

fn check_url(fields: &Map<String, Value>, name: &str, is_needed: bool, wrong: &mut Vec<Value>) {
    match fields.get(name) {
        None | Some(Value::Null) if is_needed => {
            wrong.push(detail(&[name], "Field required", "missing", &Value::Object(fields.clone())));
        }
        None | Some(Value::Null) => {}
        Some(value) => {
            let is_url = value.as_str().is_some_and(|text| {
                ["https://", "http://", "data:"].iter().any(|scheme| text.starts_with(scheme))
            });
            if !is_url {
                let message =
                    "Failed to download the file. Please check if the URL is accessible and try again.";
                wrong.push(detail(&[name], message, "file_download_error", value));
            }
        }
    }
}

/// Width and height of `image_size`, a name or an object.
fn sized(fields: &Map<String, Value>, default: &str, wrong: &mut Vec<Value>) -> (u32, u32) {
    let fallback = json!(default);
    let value = fields.get("image_size").filter(|value| !value.is_null()).unwrap_or(&fallback);
    let named = value.as_str().and_then(|name| IMAGE_SIZES.iter().find(|(known, ..)| *known == name));
    if let Some((_, width, height)) = named {
        return (*width, *height);
    }
    let side = |name: &str| value.get(name).and_then(Value::as_u64);
    if let (Some(width), Some(height)) = (side("width"), side("height")) {
        for (name, pixels) in [("width", width), ("height", height)] {
            if !SIDE.contains(&pixels) {
                let (message, kind) = if pixels < *SIDE.start() {
                    ("Input should be greater than or equal to 8", "greater_than_equal")
                } else {
                    ("Input should be less than or equal to 4096", "less_than_equal")
                };
                wrong.push(detail(&["image_size", name], message, kind, &json!(pixels)));
            }
        }
        let pixels = |side: u64| u32::try_from(side).unwrap_or(512);
        return (pixels(width), pixels(height));
    }
    let names: Vec<&str> = IMAGE_SIZES.iter().map(|(name, ..)| *name).collect();
    let message = format!("Input should be {} or an object with width and height", names.join(", "));
    wrong.push(detail(&["image_size"], &message, "one_of", value));
    (512, 512)
}

/// Width and height of `aspect_ratio`.
fn shaped(fields: &Map<String, Value>, wrong: &mut Vec<Value>) -> (u32, u32) {
    let Some(value) = fields.get("aspect_ratio").filter(|value| !value.is_null()) else { return (1392, 752) };
    let known = value.as_str().and_then(|name| ASPECT_RATIOS.iter().find(|(known, ..)| *known == name));
    known.map(|(_, width, height)| (*width, *height)).unwrap_or_else(|| {
        let names: Vec<&str> = ASPECT_RATIOS.iter().map(|(name, ..)| *name).collect();
        wrong.push(detail(
            &["aspect_ratio"],
            &format!("Input should be {}", names.join(", ")),
            "one_of",
            value,
        ));
        (1024, 1024)
    })
}

fn images(
    fields: &Map<String, Value>,
    prompt: &str,
    seed: u64,
    (width, height): (u32, u32),
    wrong: &mut Vec<Value>,
) -> Vec<MediaSpec> {
    let count = match fields.get("num_images") {
        None | Some(Value::Null) => 1,
        Some(value) => {
            value.as_u64().filter(|count| (1..=MOST_IMAGES).contains(count)).unwrap_or_else(|| {
                wrong.push(detail(&["num_images"], "Input should be from 1 to 4", "less_than_equal", value));
                1
            })
        }
    };
    // `fast-sdxl` calls the field `format`.
    let asked = fields.get("output_format").or_else(|| fields.get("format")).filter(|value| !value.is_null());
    let format = match asked.map(|value| (value.as_str(), value)) {
        None | Some((Some("jpeg"), _)) => ImageFormat::Jpeg,
        Some((Some("png"), _)) => ImageFormat::Png,
        Some((_, value)) => {
            wrong.push(detail(&["output_format"], "Input should be 'jpeg' or 'png'", "one_of", value));
            ImageFormat::Jpeg
        }
    };
    let picture = |index: u64| {
        // The first image without a seed shows the digest of the prompt itself; others differ from it.
        let is_plain = index == 0 && fields.get("seed").is_none_or(Value::is_null);
        let prompt =
            if is_plain { prompt.to_owned() } else { format!("{prompt}\n{}", seed.wrapping_add(index)) };
        MediaSpec::Image { prompt, width, height, format, blank: false }
    };
    (0..count).map(picture).collect()
}

fn video(family: Family, fields: &Map<String, Value>, prompt: &str, wrong: &mut Vec<Value>) -> MediaSpec {
    let (frames, frames_per_second) = match family {
        Family::Wan => {
            let number = |name, default, most| bounded(fields, name, default, most, wrong_number);
            match (number("num_frames", 81, 161), number("frames_per_second", 16, 60)) {
                (Ok(frames), Ok(rate)) => (frames, rate),
                (frames, rate) => {
                    wrong.extend(frames.err());
                    wrong.extend(rate.err());
                    (81, 16)
                }
            }
        }
        Family::Ltx => (121, 24),
        Family::Kling | Family::OtherVideo => (24 * seconds(family, fields, wrong), 24),
        Family::SizedImage(_) | Family::RatioImage { .. } => (24, 24),
    };
    let (width, height) = match family {
        Family::Ltx => (768, 512),
        Family::Wan => screen(fields, &[("480p", 480), ("580p", 576), ("720p", 720)], "720p", wrong),
        _ => screen(fields, &[("720p", 720), ("768p", 768), ("1080p", 1080)], "720p", wrong),
    };
    MediaSpec::Video { prompt: prompt.to_owned(), width, height, frames, frames_per_second }
}

/// Seconds of a duration that is written as text, as most models want it.
fn seconds(family: Family, fields: &Map<String, Value>, wrong: &mut Vec<Value>) -> u32 {
    let Some(value) = fields.get("duration").filter(|value| !value.is_null()) else { return 5 };
    let text = value.as_str().unwrap_or_default();
    let seconds = match family {
        Family::Kling => {
            Some(text).filter(|text| ["5", "10"].contains(text)).and_then(|text| text.parse().ok())
        }
        _ => text.trim_end_matches('s').parse().ok().filter(|seconds| (1..=20).contains(seconds)),
    };
    seconds.unwrap_or_else(|| {
        wrong.push(detail(&["duration"], "Input should be '5' or '10'", "one_of", value));
        5
    })
}

fn screen(
    fields: &Map<String, Value>,
    lines: &[(&str, u32)],
    default: &str,
    wrong: &mut Vec<Value>,
) -> (u32, u32) {
    let asked = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let resolution = asked("resolution").map_or(default, |value| value.as_str().unwrap_or_default());
    let short =
        lines.iter().find(|(name, _)| *name == resolution).map(|(_, lines)| *lines).unwrap_or_else(|| {
            wrong.push(detail(
                &["resolution"],
                "Input should be a known resolution",
                "one_of",
                &json!(resolution),
            ));
            720
        });
    let long = (short * 16).div_ceil(9).next_multiple_of(16);
    match asked("aspect_ratio").map(|value| value.as_str().unwrap_or_default()) {
        None | Some("16:9" | "auto") => (long, short),
        Some("9:16") => (short, long),
        Some("1:1") => (short, short),
        Some(other) => {
            wrong.push(detail(
                &["aspect_ratio"],
                "Input should be '16:9', '9:16' or '1:1'",
                "one_of",
                &json!(other),
            ));
            (long, short)
        }
    }
}

fn bounded(
    fields: &Map<String, Value>,
    name: &str,
    default: u32,
    most: u32,
    refuse: fn(&str, &Value) -> Value,
) -> Result<u32, Value> {
    match fields.get(name).filter(|value| !value.is_null()) {
        None => Ok(default),
        Some(value) => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.filter(|number| (1..=most).contains(number)).ok_or_else(|| refuse(name, value))
        }
    }
}

fn wrong_number(name: &str, value: &Value) -> Value {
    detail(&[name], "Input is out of range", "less_than_equal", value)
}

fn seed_of(prompt: &str) -> u64 {
    Sha256::digest(prompt.as_bytes()).iter().take(4).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

/// One entry of the `detail` list.
pub(crate) fn detail(field: &[&str], message: &str, kind: &str, input: &Value) -> Value {
    let location: Vec<&str> = std::iter::once("body").chain(field.iter().copied()).collect();
    json!({
        "loc": location, "msg": message, "type": kind, "input": input,
        "url": format!("https://docs.fal.ai/errors/#{kind}"),
    })
}
