//! What the Agents API asks of a body.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Refusal;
use super::fields::{Check, image_size, present, video_size};
use crate::media::{ImageFormat, MediaSpec};

const MODELS: &[&str] = &["uni-1", "uni-1-max", "ray-3.2"];
const VIDEO_MODEL: &str = "ray-3.2";
const TYPES: &[&str] = &["image", "image_edit", "video"];
/// What the provider has, too, and the simulator does not play.
const OTHER_TYPES: &[&str] = &["video_edit", "video_reframe", "layering"];
const VIDEO_RATIOS: &[&str] = &["9:16", "3:4", "1:1", "4:3", "16:9", "21:9"];
const IMAGE_RATIOS: &[&str] =
    &["3:1", "2:1", "21:9", "16:9", "4:3", "3:2", "1:1", "3:4", "2:3", "9:16", "1:2", "1:3"];
const PROMPT_CHARACTERS: usize = 6000;
const IMAGE_BYTES: usize = 50 * 1024 * 1024;
const MOST_KEYFRAMES: usize = 64;
const FRAMES_PER_SECOND: u32 = 24;

const FIELDS: &[&str] = &[
    "prompt",
    "model",
    "type",
    "aspect_ratio",
    "video",
    "source",
    "image_ref",
    "output_format",
    "style",
    "user_id",
    "web_search",
];
const VIDEO_FIELDS: &[&str] = &[
    "resolution",
    "duration",
    "start_frame",
    "end_frame",
    "keyframes",
    "keyframe_indexes",
    "loop",
    "hdr",
    "exr_export",
];

/// A request that may run.
#[derive(Debug, PartialEq)]
pub(super) struct Order {
    pub(super) model: String,
    pub(super) kind: String,
    pub(super) prompt: String,
    pub(super) file: MediaSpec,
    /// Earlier generations that the request names.
    pub(super) earlier: Vec<String>,
}

/// The fields, what is wrong with them, and what else they name.
struct Reader<'a> {
    fields: &'a Map<String, Value>,
    check: Check,
    earlier: Vec<String>,
    is_too_large: bool,
}

pub(super) fn parse(body: &Value, allow_loopback_http: bool) -> Result<Order, Refusal> {
    let mut check = Check::new(allow_loopback_http);
    let Value::Object(fields) = body else {
        check.fail(&[], "model_attributes_type", "Input should be a valid dictionary");
        return Err(Refusal::faults(check.faults));
    };
    let kind = present(fields, "type").and_then(Value::as_str).unwrap_or("image");
    if OTHER_TYPES.contains(&kind) {
        return Err(Refusal::text(400, &format!("the simulator does not play the type {kind}")));
    }
    Reader { fields, check, earlier: Vec::new(), is_too_large: false }.order()
}

impl Reader<'_> {
    fn order(mut self) -> Result<Order, Refusal> {
        let fields = self.fields;
        self.check.names(fields, &[], FIELDS);
        let kind = self.check.word(fields, &[], "type", TYPES, "image");
        let is_video = kind == "video";
        let model = self.check.word(fields, &[], "model", MODELS, "uni-1");
        if is_video != (model == VIDEO_MODEL) {
            self.check.fail(&["model"], "value_error", "The model does not make this type");
        }
        let prompt = self.check.text(fields, &[], "prompt").unwrap_or_default();
        if !(1..=PROMPT_CHARACTERS).contains(&prompt.chars().count()) {
            self.check.fail(&["prompt"], "string_length", "Input should have 1 to 6000 characters");
        }
        self.check.text(fields, &[], "user_id");
        let file = if is_video { self.video(prompt) } else { self.image(kind, prompt) };
        if self.is_too_large {
            return Err(Refusal::text(413, "an image has more than 50 MB"));
        }
        if !self.check.faults.is_empty() {
            return Err(Refusal::faults(self.check.faults));
        }
        Ok(Order {
            model: model.to_owned(),
            kind: kind.to_owned(),
            prompt: prompt.to_owned(),
            file,
            earlier: self.earlier,
        })
    }

    fn image(&mut self, kind: &str, prompt: &str) -> MediaSpec {
        let fields = self.fields;
        let ratio = self.check.word(fields, &[], "aspect_ratio", IMAGE_RATIOS, "1:1");
        let format = self.check.word(fields, &[], "output_format", &["png", "jpeg"], "png");
        self.check.word(fields, &[], "style", &["auto", "manga"], "auto");
        self.check.flag(fields, &[], "web_search");
        if present(fields, "video").is_some() {
            self.check.fail(&["video"], "value_error", "Only for videos");
        }
        let is_edit = kind == "image_edit";
        match present(fields, "source") {
            Some(source) if is_edit => self.reference(source, &["source"]),
            Some(_) => self.check.fail(&["source"], "value_error", "Only for edits"),
            None if is_edit => self.check.fail(&["source"], "missing", "Field required"),
            None => {}
        }
        for reference in self.check.list(fields, &[], "image_ref", if is_edit { 8 } else { 9 }) {
            self.reference(reference, &["image_ref"]);
        }
        let (width, height) = image_size(ratio);
        let format = if format == "jpeg" { ImageFormat::Jpeg } else { ImageFormat::Png };
        MediaSpec::Image { prompt: prompt.to_owned(), width, height, format, blank: false }
    }

    fn video(&mut self, prompt: &str) -> MediaSpec {
        for name in ["source", "image_ref", "output_format", "style", "web_search"] {
            if present(self.fields, name).is_some() {
                self.check.fail(&[name], "value_error", "Not for videos");
            }
        }
        let ratio = self.check.word(self.fields, &[], "aspect_ratio", VIDEO_RATIOS, "16:9");
        let none = Map::new();
        let options = self.check.object(self.fields, &[], "video").unwrap_or(&none);
        let place = &["video"];
        self.check.names(options, place, VIDEO_FIELDS);
        let resolutions = &["360p", "540p", "720p", "1080p"];
        let resolution = self.check.word(options, place, "resolution", resolutions, "720p");
        let is_long = self.check.word(options, place, "duration", &["5s", "10s"], "5s") == "10s";
        let seconds = if is_long { 10 } else { 5 };
        let is_loop = self.check.flag(options, place, "loop");
        let is_hdr = self.check.flag(options, place, "hdr");
        let is_exr = self.check.flag(options, place, "exr_export");
        let frames: Vec<&str> = ["start_frame", "end_frame"]
            .into_iter()
            .filter(|name| present(options, name).is_some())
            .collect();
        for name in &frames {
            if let Some(reference) = present(options, name) {
                self.reference(reference, &["video", name]);
            }
        }
        let has_keyframes = self.keyframes(options, seconds * FRAMES_PER_SECOND);
        let wrong = [
            (is_loop && (is_long || is_hdr), "loop", "Not with 10s or hdr"),
            (is_hdr && resolution == "360p", "hdr", "Not with 360p"),
            (is_exr && !is_hdr, "exr_export", "Only with hdr"),
            (!frames.is_empty() && (is_long || is_hdr), "start_frame", "Not with 10s or hdr; use keyframes"),
            (has_keyframes && (is_loop || !frames.is_empty()), "keyframes", "Not with frames or loop"),
        ];
        for (_, name, message) in wrong.into_iter().filter(|(is_wrong, ..)| *is_wrong) {
            self.check.fail(&["video", name], "value_error", message);
        }
        let (width, height) = video_size(resolution, ratio);
        MediaSpec::Video {
            prompt: prompt.to_owned(),
            width,
            height,
            frames: seconds * FRAMES_PER_SECOND,
            frames_per_second: FRAMES_PER_SECOND,
        }
    }

    fn keyframes(&mut self, options: &Map<String, Value>, last: u32) -> bool {
        let frames = self.check.list(options, &["video"], "keyframes", MOST_KEYFRAMES);
        for frame in frames {
            self.reference(frame, &["video", "keyframes"]);
        }
        let indexes = self.check.list(options, &["video"], "keyframe_indexes", MOST_KEYFRAMES);
        let distinct: BTreeSet<u64> =
            indexes.iter().filter_map(Value::as_u64).filter(|index| *index <= u64::from(last)).collect();
        if distinct.len() != indexes.len() || indexes.len() != frames.len() {
            let message = "One place for each keyframe, each once and within the video";
            self.check.fail(&["video", "keyframe_indexes"], "value_error", message);
        }
        !frames.is_empty()
    }

    /// Exactly one of a link, data with its type, an earlier generation, and a file.
    fn reference(&mut self, reference: &Value, place: &[&str]) {
        let Value::Object(fields) = reference else {
            return self.check.fail(place, "dict_type", "Input should be a valid dictionary");
        };
        self.check.names(fields, place, &["url", "data", "media_type", "generation_id", "file_id"]);
        let given: Vec<&str> = ["url", "data", "generation_id", "file_id"]
            .into_iter()
            .filter(|name| present(fields, name).is_some())
            .collect();
        match given.as_slice() {
            ["url"] => self.check.link(fields.get("url"), &[place, &["url"]].concat()),
            ["generation_id"] => {
                let id = self.check.text(fields, place, "generation_id");
                self.earlier.extend(id.map(str::to_owned));
            }
            ["data"] => {
                let has_type = present(fields, "media_type")
                    .and_then(Value::as_str)
                    .is_some_and(|name| matches!(name, "image/png" | "image/jpeg" | "image/webp"));
                if !has_type {
                    let place = [place, &["media_type"]].concat();
                    self.check.fail(&place, "value_error", "Data needs the type of an image");
                }
                let data = self.check.text(fields, place, "data").unwrap_or_default();
                if data.len() / 4 * 3 > IMAGE_BYTES {
                    self.is_too_large = true;
                } else if STANDARD.decode(data).map_or(true, |bytes| bytes.is_empty()) {
                    self.check.fail(&[place, &["data"]].concat(), "value_error", "No valid base64");
                }
            }
            ["file_id"] => self.check.fail(place, "value_error", "The simulator keeps no files"),
            _ => self.check.fail(place, "value_error", "Exactly one of url, data, generation_id, file_id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_above_fifty_megabytes_is_too_large() {
        let source = json!({"data": "AAAA".repeat(18 << 20), "media_type": "image/png"});
        let body = json!({"type": "image_edit", "prompt": "x", "source": source});
        assert_eq!(parse(&body, false).unwrap_err().status, 413);
    }

    #[test]
    fn a_video_has_the_size_and_length_asked_for() {
        let body = json!({"model": "ray-3.2", "type": "video", "prompt": "x", "aspect_ratio": "3:4",
            "video": {"resolution": "540p", "duration": "10s"}});
        let size = match parse(&body, false).unwrap().file {
            MediaSpec::Video { width, height, frames, .. } => (width, height, frames),
            other => panic!("{other:?}"),
        };
        assert_eq!(size, (540, 720, 240));
    }
}
