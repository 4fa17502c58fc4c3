//! From a checked input to the files that will be made.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::fal::image::Size;
use crate::fal::input::{Input, transition_seconds};
use crate::fal::models::{Clip, Makes, Model, Shape};
use crate::media::{ImageFormat, MediaSpec};

/// Pixels of the named image sizes.
pub(super) const IMAGE_SIZES: [(&str, u32, u32); 6] = [
    ("square_hd", 1024, 1024),
    ("square", 512, 512),
    ("portrait_4_3", 768, 1024),
    ("portrait_16_9", 576, 1024),
    ("landscape_4_3", 1024, 768),
    ("landscape_16_9", 1024, 576),
];
/// Pixels of the aspect ratios at about one megapixel.
const ASPECT_RATIOS: [(&str, u32, u32); 11] = [
    ("21:9", 1568, 672),
    ("16:9", 1392, 752),
    ("4:3", 1184, 880),
    ("3:2", 1248, 832),
    ("5:4", 1152, 896),
    ("1:1", 1024, 1024),
    ("4:5", 896, 1152),
    ("2:3", 832, 1248),
    ("3:4", 880, 1184),
    ("9:16", 752, 1392),
    ("9:21", 672, 1568),
];
/// The picture's size where it is not known, as when its URL leads elsewhere.
const UNSEEN: Size = (1024, 1024);
/// Sides of what is made from a picture.
const SIDES: (u32, u32) = (8, 14142);
/// Frames a second of the models that say nothing of it.
const FRAMES_PER_SECOND: u32 = 24;

/// A request that may run.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) prompt: String,
    pub(super) seed: u64,
    pub(super) files: Vec<MediaSpec>,
    pub(super) sync_mode: bool,
}

impl Order {
    pub(super) fn of(model: &Model, input: &Input<'_>) -> Self {
        let prompt = input.text("prompt").unwrap_or_default().to_owned();
        let seed = input.integer("seed").unwrap_or_else(|| seed_of(&prompt));
        let files = match model.makes {
            Makes::Images { shape, format, .. } => images(shape, format, input, &prompt, seed),
            Makes::Video { clip, .. } => vec![video(clip, model, input, &prompt)],
        };
        Self { prompt, seed, files, sync_mode: input.is_set("sync_mode") }
    }
}

fn images(shape: Shape, format: &str, input: &Input<'_>, prompt: &str, seed: u64) -> Vec<MediaSpec> {
    let (width, height) = image_size(shape, input);
    // `fast-sdxl` calls the field `format`.
    let format = match input.text("output_format").or_else(|| input.text("format")).unwrap_or(format) {
        "png" => ImageFormat::Png,
        "webp" => ImageFormat::Webp,
        _ => ImageFormat::Jpeg,
    };
    let picture = |index: u64| {
        // The first image without a seed shows the digest of the prompt itself; others differ from it.
        let is_plain = index == 0 && input.get("seed").is_none();
        let prompt =
            if is_plain { prompt.to_owned() } else { format!("{prompt}\n{}", seed.wrapping_add(index)) };
        MediaSpec::Image { prompt, width, height, format, blank: false }
    };
    (0..input.integer("num_images").unwrap_or(1)).map(picture).collect()
}

fn image_size(shape: Shape, input: &Input<'_>) -> Size {
    let bounded = |(width, height): Size| (width.clamp(SIDES.0, SIDES.1), height.clamp(SIDES.0, SIDES.1));
    let picture = bounded(input.picture.unwrap_or(UNSEEN));
    let asked = input.get("image_size").map(asked_size);
    let ratio = |name: &str| {
        let known = ASPECT_RATIOS.iter().find(|(known, ..)| *known == name);
        known.map(|(_, width, height)| (*width, *height))
    };
    match shape {
        Shape::Size(default) => asked.unwrap_or_else(|| named_size(default)),
        Shape::SizeOrInput => asked.unwrap_or(picture),
        Shape::Input => picture,
        Shape::Ratio { default, factor } => {
            let (width, height) = ratio(input.text("aspect_ratio").unwrap_or(default)).unwrap_or(UNSEEN);
            (width * factor, height * factor)
        }
        Shape::RatioOrInput => input.text("aspect_ratio").and_then(ratio).unwrap_or(picture),
    }
}

fn asked_size(value: &Value) -> Size {
    let side = |name: &str| {
        let pixels = value.get(name).and_then(Value::as_f64).unwrap_or_default();
        pixels as u32
    };
    value.as_str().map_or_else(|| (side("width"), side("height")), named_size)
}

fn named_size(name: &str) -> Size {
    let known = IMAGE_SIZES.iter().find(|(known, ..)| *known == name);
    known.map_or(UNSEEN, |(_, width, height)| (*width, *height))
}

fn video(clip: Clip, model: &Model, input: &Input<'_>, prompt: &str) -> MediaSpec {
    let number =
        |name, default| input.integer(name).and_then(|number| u32::try_from(number).ok()).unwrap_or(default);
    let seconds = |default| {
        let from_text = || input.text("duration")?.trim_end_matches('s').parse().ok();
        let seconds = input.seconds("duration").or_else(from_text);
        seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(default)
    };
    let (frames, frames_per_second) = match clip {
        Clip::Wan => (number("num_frames", 81), number("frames_per_second", 16)),
        Clip::Ltx => (121, FRAMES_PER_SECOND),
        Clip::Kling | Clip::Pika | Clip::Other => (seconds(5) * FRAMES_PER_SECOND, FRAMES_PER_SECOND),
        Clip::Pikaframes => {
            let images = input.get("image_urls").and_then(Value::as_array).map_or(2, Vec::len);
            let usual = 5.0 * (images.saturating_sub(1)) as f64;
            let asked = input.get("transitions").and_then(Value::as_array);
            let seconds = asked.map_or(usual, |list| transition_seconds(list));
            ((seconds * f64::from(FRAMES_PER_SECOND)) as u32, FRAMES_PER_SECOND)
        }
    };
    let (width, height) = match clip {
        Clip::Ltx => (768, 512),
        _ => screen(model, input),
    };
    MediaSpec::Video { prompt: prompt.to_owned(), width, height, frames, frames_per_second }
}

/// Width and height of a video: its short side by `resolution`, its shape by `aspect_ratio` or by the picture.
fn screen(model: &Model, input: &Input<'_>) -> Size {
    let short = match input.text("resolution") {
        Some("480p") => 480,
        Some("580p") => 576,
        Some("768p") => 768,
        Some("1080p") => 1080,
        _ => 720,
    };
    let asked = input.text("aspect_ratio").filter(|_| model.field("aspect_ratio").is_some());
    let (width, height) = asked
        .and_then(|ratio| ratio.split_once(':'))
        .and_then(|(width, height)| Some((width.parse::<f64>().ok()?, height.parse::<f64>().ok()?)))
        .or_else(|| input.picture.map(|(width, height)| (f64::from(width), f64::from(height))))
        .unwrap_or((16.0, 9.0));
    let ratio = (width / height).clamp(0.25, 4.0);
    // Encoders want even sides.
    let even = |side: f64| ((side / 2.0).round() as u32 * 2).max(2);
    if ratio >= 1.0 {
        (even(f64::from(short) * ratio), short)
    } else {
        (short, even(f64::from(short) / ratio))
    }
}

fn seed_of(prompt: &str) -> u64 {
    Sha256::digest(prompt.as_bytes()).iter().take(4).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}
