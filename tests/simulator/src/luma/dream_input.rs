//! What Dream Machine asks of a body: videos (ray) and images (photon).

use serde_json::{Map, Value};

use super::Refusal;
use super::fields::{Check, image_size, present, video_size};
use crate::media::{ImageFormat, MediaSpec};

const RAY: &[&str] = &["ray-2", "ray-flash-2"];
const PHOTON: &[&str] = &["photon-1", "photon-flash-1"];
const RETIRED: &str = "ray-1-6";
const RATIOS: &[&str] = &["1:1", "16:9", "9:16", "4:3", "3:4", "21:9", "9:21"];
pub(super) const CONCEPTS: &[&str] =
    &["bolt_cam", "crane_up", "dolly_zoom", "orbit_left", "orbit_right", "push_in", "static", "zoom_out"];
const FRAMES_PER_SECOND: u32 = 24;
/// How long a synchronous image is waited for when nothing is said (assumed).
const SYNC_TIMEOUT_S: f64 = 60.0;

const VIDEO_FIELDS: &[&str] = &[
    "model",
    "prompt",
    "aspect_ratio",
    "duration",
    "resolution",
    "loop",
    "keyframes",
    "concepts",
    "callback_url",
    "generation_type",
];
const IMAGE_FIELDS: &[&str] = &[
    "model",
    "prompt",
    "aspect_ratio",
    "format",
    "image_ref",
    "style_ref",
    "character_ref",
    "modify_image_ref",
    "callback_url",
    "generation_type",
    "sync",
    "sync_timeout",
];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Video,
    Image,
}

/// A request that may run.
#[derive(Debug, PartialEq)]
pub(super) struct Order {
    pub(super) model: String,
    pub(super) prompt: String,
    pub(super) file: MediaSpec,
    pub(super) callback_url: Option<String>,
    /// Earlier generations that keyframes name.
    pub(super) earlier: Vec<String>,
    /// The answer waits for the image, this many seconds at most.
    pub(super) sync_seconds: Option<f64>,
}

pub(super) fn parse(body: &Value, wanted: Wanted, allow_loopback_http: bool) -> Result<Order, Refusal> {
    let mut check = Check::new(allow_loopback_http);
    let Value::Object(fields) = body else {
        check.fail(&[], "model_attributes_type", "Input should be a valid dictionary");
        return Err(Refusal::faults(check.faults));
    };
    if present(fields, "model").and_then(Value::as_str) == Some(RETIRED) && wanted == Wanted::Video {
        return Err(Refusal::text(400, "model ray-1-6 is no longer available"));
    }
    if let Some(callback) = present(fields, "callback_url") {
        let is_link = callback.as_str().is_some_and(|link| link.starts_with("http"));
        if !is_link {
            check.fail(&["callback_url"], "url_parsing", "Input should be a valid URL");
        }
    }
    match wanted {
        Wanted::Video => video(fields, check),
        Wanted::Image => image(fields, check),
    }
}

fn model<'a>(fields: &'a Map<String, Value>, models: &[&str], check: &mut Check) -> &'a str {
    if present(fields, "model").is_none() {
        check.fail(&["model"], "missing", "Field required");
    }
    check.word(fields, &[], "model", models, "")
}

fn video(fields: &Map<String, Value>, mut check: Check) -> Result<Order, Refusal> {
    check.names(fields, &[], VIDEO_FIELDS);
    let model = model(fields, RAY, &mut check);
    check.word(fields, &[], "generation_type", &["video"], "video");
    let prompt = check.text(fields, &[], "prompt").unwrap_or_default();
    let ratio = check.word(fields, &[], "aspect_ratio", RATIOS, "16:9");
    let duration = check.word(fields, &[], "duration", &["5s", "9s"], "5s");
    let resolution = check.word(fields, &[], "resolution", &["540p", "720p", "1080p", "4k"], "720p");
    check.flag(fields, &[], "loop");
    let frames = check.object(fields, &[], "keyframes");
    let earlier = frames.map(|frames| keyframes(frames, &mut check)).unwrap_or_default();
    let has_frames = frames.is_some_and(|frames| frames.values().any(|frame| !frame.is_null()));
    let concepts = concepts(fields, &mut check);
    if !check.faults.is_empty() {
        return Err(Refusal::faults(check.faults));
    }
    if prompt.trim().is_empty() && !has_frames {
        return Err(Refusal::text(400, "prompt is required"));
    }
    if !concepts.is_empty() && model != "ray-2" {
        return Err(Refusal::text(400, "concepts are not supported for this model"));
    }
    if concepts.iter().any(|concept| !CONCEPTS.contains(concept)) {
        return Err(Refusal::text(400, "unknown concept"));
    }
    let (width, height) = video_size(resolution, ratio);
    let seconds = if duration == "9s" { 9 } else { 5 };
    let prompt = prompt.to_owned();
    let file = MediaSpec::Video {
        prompt: prompt.clone(),
        width,
        height,
        frames: seconds * FRAMES_PER_SECOND,
        frames_per_second: FRAMES_PER_SECOND,
    };
    Ok(order(fields, model, prompt, file, earlier, None))
}

/// Checks the frames; gives the generations that they name.
fn keyframes(frames: &Map<String, Value>, check: &mut Check) -> Vec<String> {
    check.names(frames, &["keyframes"], &["frame0", "frame1"]);
    let mut earlier = Vec::new();
    for name in ["frame0", "frame1"] {
        let place = ["keyframes", name];
        let Some(frame) = check.object(frames, &["keyframes"], name) else { continue };
        match present(frame, "type").and_then(Value::as_str) {
            Some("image") => {
                check.names(frame, &place, &["type", "url"]);
                check.link(frame.get("url"), &[&place[..], &["image", "url"]].concat());
            }
            Some("generation") => {
                check.names(frame, &place, &["type", "id"]);
                match present(frame, "id").and_then(Value::as_str) {
                    Some(id) => earlier.push(id.to_owned()),
                    None => {
                        check.fail(&[&place[..], &["generation", "id"]].concat(), "missing", "Field required")
                    }
                }
            }
            _ => check.fail(&place, "union_tag_invalid", "Input tag should be image or generation"),
        }
    }
    earlier
}

fn concepts<'a>(fields: &'a Map<String, Value>, check: &mut Check) -> Vec<&'a str> {
    let list = check.list(fields, &[], "concepts", usize::MAX);
    let keys: Vec<&str> = list.iter().filter_map(|concept| concept.get("key")?.as_str()).collect();
    if keys.len() < list.len() {
        check.fail(&["concepts", "key"], "missing", "Field required");
    }
    keys
}

fn image(fields: &Map<String, Value>, mut check: Check) -> Result<Order, Refusal> {
    check.names(fields, &[], IMAGE_FIELDS);
    let model = model(fields, PHOTON, &mut check);
    check.word(fields, &[], "generation_type", &["image"], "image");
    let prompt = check.text(fields, &[], "prompt").unwrap_or_default();
    let ratio = check.word(fields, &[], "aspect_ratio", RATIOS, "16:9");
    let format = check.word(fields, &[], "format", &["jpg", "png"], "jpg");
    for name in ["image_ref", "style_ref"] {
        for reference in check.list(fields, &[], name, 4) {
            weighted_link(reference, name, &mut check);
        }
    }
    if let Some(reference) = present(fields, "modify_image_ref") {
        weighted_link(reference, "modify_image_ref", &mut check);
    }
    character(fields, &mut check);
    let is_sync = check.flag(fields, &[], "sync");
    let timeout = present(fields, "sync_timeout").map_or(Some(SYNC_TIMEOUT_S), Value::as_f64);
    if timeout.is_none() {
        check.fail(&["sync_timeout"], "float_type", "Input should be a valid number");
    }
    if !check.faults.is_empty() {
        return Err(Refusal::faults(check.faults));
    }
    if prompt.trim().is_empty() {
        return Err(Refusal::text(400, "prompt is required"));
    }
    let (width, height) = image_size(ratio);
    let prompt = prompt.to_owned();
    let format = if format == "png" { ImageFormat::Png } else { ImageFormat::Jpeg };
    let file = MediaSpec::Image { prompt: prompt.clone(), width, height, format, blank: false };
    Ok(order(fields, model, prompt, file, Vec::new(), timeout.filter(|_| is_sync)))
}

fn weighted_link(reference: &Value, name: &str, check: &mut Check) {
    let Value::Object(fields) = reference else {
        check.fail(&[name], "dict_type", "Input should be a valid dictionary");
        return;
    };
    check.names(fields, &[name], &["url", "weight"]);
    check.link(fields.get("url"), &[name, "url"]);
    let weight = present(fields, "weight").map(Value::as_f64);
    if weight.is_some_and(|weight| weight.is_none_or(|weight| !(0.0..=1.0).contains(&weight))) {
        check.fail(&[name, "weight"], "less_than_equal", "Input should be a number from 0 to 1");
    }
}

fn character(fields: &Map<String, Value>, check: &mut Check) {
    let Some(reference) = check.object(fields, &[], "character_ref") else { return };
    check.names(reference, &["character_ref"], &["identity0"]);
    let Some(identity) = check.object(reference, &["character_ref"], "identity0") else { return };
    let place = ["character_ref", "identity0"];
    check.names(identity, &place, &["images"]);
    for link in check.list(identity, &place, "images", 4) {
        check.link(Some(link), &["character_ref", "identity0", "images"]);
    }
}

fn order(
    fields: &Map<String, Value>,
    model: &str,
    prompt: String,
    file: MediaSpec,
    earlier: Vec<String>,
    sync_seconds: Option<f64>,
) -> Order {
    let callback_url = present(fields, "callback_url").and_then(Value::as_str).map(str::to_owned);
    Order { model: model.to_owned(), prompt, file, callback_url, earlier, sync_seconds }
}
