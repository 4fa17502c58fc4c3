//! Checks a prediction's `input` against its model, and reads from it what is to be made.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::models::{Family, Field, Form, Model, Shape};
use super::refusal::Invalid;
use crate::media::{ImageFormat, MediaSpec};

/// Pixels of the aspect ratios at one megapixel.
const RATIOS: [(&str, u32, u32); 13] = [
    ("1:1", 1024, 1024),
    ("16:9", 1344, 768),
    ("21:9", 1536, 640),
    ("3:2", 1216, 832),
    ("2:3", 832, 1216),
    ("4:5", 896, 1088),
    ("5:4", 1088, 896),
    ("3:4", 896, 1152),
    ("4:3", 1152, 896),
    ("9:16", 768, 1344),
    ("9:21", 640, 1536),
    ("2:1", 1440, 720),
    ("1:2", 720, 1440),
];
/// Sides that fit into the memory of the simulated hardware.
const SIDES: std::ops::RangeInclusive<u64> = 64..=4096;
const MOST_IMAGES: u64 = 4;
const FRAMES_PER_SECOND: u32 = 24;

/// What a prediction makes.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) prompt: String,
    pub(crate) seed: u64,
    pub(crate) files: Vec<MediaSpec>,
    pub(crate) is_video: bool,
    /// Why the run fails, where the schema allows what the model cannot do.
    pub(crate) failure: Option<String>,
}

/// What is wrong with an input. Properties that the model does not declare are ignored, as the real ones are.
pub(crate) fn check(model: &Model, input: &Map<String, Value>) -> Vec<Invalid> {
    let missing = |field: &&Field| field.is_required && !input.contains_key(field.name);
    let mut invalid: Vec<Invalid> = model
        .fields
        .iter()
        .filter(missing)
        .map(|field| Invalid::new("required", "input", format!("{} is required", field.name)))
        .collect();
    for field in model.fields {
        if let Some((kind, description)) = input.get(field.name).and_then(|value| wrong(field, value)) {
            invalid.push(Invalid::new(kind, &format!("input.{}", field.name), description));
        }
    }
    invalid
}

/// The properties of an input that its model does not declare.
pub(crate) fn unknown<'a>(model: &Model, input: &'a Map<String, Value>) -> Vec<&'a str> {
    let is_known =
        |name: &str| model.fields.is_empty() || model.fields.iter().any(|field| field.name == name);
    input.keys().map(String::as_str).filter(|name| !is_known(name)).collect()
}

/// The order of an input that was checked.
pub(crate) fn order(model: &Model, input: &Map<String, Value>) -> Order {
    let prompt = prompt(model, input);
    let given = input.get("seed").and_then(Value::as_u64);
    let seed = given.unwrap_or_else(|| seed_of(&prompt));
    let is_video = matches!(model.family, Family::Seedance | Family::Kling | Family::OpenVideo);
    if is_video {
        let files = vec![video(model.family, input, &prompt)];
        return Order { prompt, seed, files, is_video, failure: None };
    }
    let sides = sides(model.family, input);
    let failure = model_failure(model.family, sides);
    let files = if failure.is_some() { Vec::new() } else { images(model, input, &prompt, given, sides) };
    Order { prompt, seed, files, is_video, failure }
}

/// The text that the work is about; `text` where a model calls it so.
pub(crate) fn prompt_of(input: &Value) -> Option<String> {
    let named = |name: &str| input.get(name).and_then(Value::as_str);
    named("prompt").or_else(|| named("text")).map(str::to_owned)
}

fn prompt(model: &Model, input: &Map<String, Value>) -> String {
    let given = prompt_of(&Value::Object(input.clone()));
    given.unwrap_or_else(|| {
        let field = model.fields.iter().find(|field| field.name == "prompt");
        match field.map(|field| &field.form) {
            Some(Form::Text(Some(default))) => (*default).to_owned(),
            _ => String::new(),
        }
    })
}

/// Type and description of what is wrong with a value.
fn wrong(field: &Field, value: &Value) -> Option<(&'static str, String)> {
    let invalid_type = |expected: &str| {
        let description = format!("Invalid type. Expected: {expected}, given: {}", type_of(value));
        Some(("invalid_type", description))
    };
    match &field.form {
        Form::Text(_) if value.is_string() => None,
        Form::Uri if value.as_str().is_some_and(is_uri) => None,
        Form::Uri if value.is_string() => Some(("format", "Does not match format 'uri'".to_owned())),
        Form::Text(_) | Form::Uri => invalid_type("string"),
        Form::Flag(_) if value.is_boolean() => None,
        Form::Flag(_) => invalid_type("boolean"),
        Form::Integer { least, most, .. } => match value.as_i64() {
            Some(number) => {
                out_of_range(number as f64, least.map(|least| least as f64), most.map(|most| most as f64))
            }
            None => invalid_type("integer"),
        },
        Form::Number { least, most, .. } => match value.as_f64() {
            Some(number) => out_of_range(number, Some(*least), Some(*most)),
            None => invalid_type("number"),
        },
        Form::Word(_, words) => {
            (!value.as_str().is_some_and(|word| words.contains(&word))).then(|| not_one_of(field.name, words))
        }
        Form::Count(_, counts) => (!value.as_i64().is_some_and(|count| counts.contains(&count)))
            .then(|| not_one_of(field.name, counts)),
    }
}

fn out_of_range(number: f64, least: Option<f64>, most: Option<f64>) -> Option<(&'static str, String)> {
    if let Some(least) = least.filter(|least| number < *least) {
        return Some(("number_gte", format!("Must be greater than or equal to {least}")));
    }
    let most = most.filter(|most| number > *most)?;
    Some(("number_lte", format!("Must be less than or equal to {most}")))
}

fn not_one_of<T: serde::Serialize>(name: &str, allowed: &[T]) -> (&'static str, String) {
    let allowed: Vec<String> = allowed.iter().map(|value| json!(value).to_string()).collect();
    ("enum", format!("{name} must be one of the following: {}", allowed.join(", ")))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_uri(text: &str) -> bool {
    text.starts_with("data:")
        || Url::parse(text).is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
}

fn sides(family: Family, input: &Map<String, Value>) -> (u64, u64) {
    let side = |name: &str| input.get(name).and_then(Value::as_u64);
    let word = |name: &str| input.get(name).and_then(Value::as_str);
    let shaped = |default: &str| {
        let ratio = word("aspect_ratio").unwrap_or(default);
        let known = RATIOS.iter().find(|(name, ..)| *name == ratio);
        known.map_or((1024, 1024), |(_, width, height)| (u64::from(*width), u64::from(*height)))
    };
    let multiple = |side: u64| (side + 16) / 32 * 32;
    match family {
        Family::Sdxl => (side("width").unwrap_or(1024), side("height").unwrap_or(1024)),
        Family::Flux if word("megapixels") == Some("0.25") => {
            let (width, height) = shaped("1:1");
            (width / 2, height / 2)
        }
        Family::FluxPro if word("aspect_ratio") == Some("custom") => {
            (multiple(side("width").unwrap_or(1024)), multiple(side("height").unwrap_or(1024)))
        }
        // The input image, whose ratio Kontext keeps by default, is not fetched: square.
        Family::Flux | Family::FluxPro | Family::Kontext => shaped("1:1"),
        Family::OpenImage | Family::OpenVideo | Family::Seedance | Family::Kling => {
            let bounded = |name: &str| side(name).filter(|side| SIDES.contains(side)).unwrap_or(1024);
            (bounded("width"), bounded("height"))
        }
    }
}

fn model_failure(family: Family, (width, height): (u64, u64)) -> Option<String> {
    if family != Family::Sdxl {
        return None;
    }
    if !SIDES.contains(&width) || !SIDES.contains(&height) {
        return Some(format!("CUDA out of memory: no room for {width}x{height}"));
    }
    (width % 8 != 0 || height % 8 != 0)
        .then(|| format!("`height` and `width` have to be divisible by 8 but are {height} and {width}."))
}

fn images(
    model: &Model,
    input: &Map<String, Value>,
    prompt: &str,
    seed: Option<u64>,
    sides: (u64, u64),
) -> Vec<MediaSpec> {
    let pixels = |side: u64| u32::try_from(side).unwrap_or(1024);
    let count = match model.shape {
        Shape::List => input.get("num_outputs").and_then(Value::as_u64).unwrap_or(1),
        Shape::Single | Shape::Object => 1,
    };
    let default = match model.family {
        Family::Flux | Family::FluxPro => "webp",
        _ => "png",
    };
    let format = match input.get("output_format").and_then(Value::as_str).unwrap_or(default) {
        "webp" => ImageFormat::Webp,
        "jpg" | "jpeg" => ImageFormat::Jpeg,
        _ => ImageFormat::Png,
    };
    let picture = |index: u64| MediaSpec::Image {
        // The first image without a seed shows the digest of the prompt itself; others differ from it.
        prompt: if index == 0 && seed.is_none() {
            prompt.to_owned()
        } else {
            format!("{prompt}\n{}", seed.unwrap_or_else(|| seed_of(prompt)).wrapping_add(index))
        },
        width: pixels(sides.0),
        height: pixels(sides.1),
        format,
        blank: false,
    };
    (0..count.clamp(1, MOST_IMAGES)).map(picture).collect()
}

fn video(family: Family, input: &Map<String, Value>, prompt: &str) -> MediaSpec {
    let word = |name: &str| input.get(name).and_then(Value::as_str);
    let seconds = input.get("duration").and_then(Value::as_u64).filter(|seconds| (1..=20).contains(seconds));
    let lines = match (family, word("resolution"), word("mode")) {
        (Family::Seedance, Some("480p"), _) => 480,
        (Family::Seedance, Some("720p"), _) | (Family::OpenVideo, ..) => 720,
        (Family::Kling, _, mode) if mode != Some("pro") => 720,
        _ => 1080,
    };
    // Kling follows its start image, which is not fetched.
    let ratio = if family == Family::Seedance { word("aspect_ratio").unwrap_or("16:9") } else { "16:9" };
    let (width, height) = screen(ratio, lines);
    MediaSpec::Video {
        prompt: prompt.to_owned(),
        width,
        height,
        frames: u32::try_from(seconds.unwrap_or(5)).unwrap_or(5) * FRAMES_PER_SECOND,
        frames_per_second: FRAMES_PER_SECOND,
    }
}

/// Width and height where the shorter side has this many lines.
fn screen(ratio: &str, lines: u32) -> (u32, u32) {
    let parts =
        ratio.split_once(':').and_then(|(across, down)| Some((across.parse().ok()?, down.parse().ok()?)));
    let (across, down): (u32, u32) =
        parts.filter(|(across, down)| *across > 0 && *down > 0).unwrap_or((16, 9));
    let long = |long: u32, short: u32| (lines * long).div_ceil(short).next_multiple_of(16);
    if across >= down { (long(across, down), lines) } else { (lines, long(down, across)) }
}

fn seed_of(prompt: &str) -> u64 {
    Sha256::digest(prompt.as_bytes()).iter().take(4).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replicate::models::named;

    fn invalid(owner: &str, name: &str, input: Value) -> Vec<(String, String)> {
        let checked = check(named(owner, name).unwrap(), input.as_object().unwrap());
        checked.into_iter().map(|invalid| (invalid.kind.to_owned(), invalid.field)).collect()
    }

    fn schnell(input: Value) -> Vec<(String, String)> {
        invalid("black-forest-labs", "flux-schnell", input)
    }

    fn one(kind: &str, field: &str) -> Vec<(String, String)> {
        vec![(kind.to_owned(), field.to_owned())]
    }

    #[test]
    fn each_wrong_field_is_named_with_its_fault() {
        assert_eq!(schnell(json!({"prompt": "x"})), vec![]);
        assert_eq!(schnell(json!({})), one("required", "input"));
        assert_eq!(schnell(json!({"prompt": 1})), one("invalid_type", "input.prompt"));
        assert_eq!(schnell(json!({"prompt": null})), one("invalid_type", "input.prompt"));
        assert_eq!(schnell(json!({"prompt": "x", "num_outputs": 5})), one("number_lte", "input.num_outputs"));
        assert_eq!(schnell(json!({"prompt": "x", "num_outputs": 0})), one("number_gte", "input.num_outputs"));
        assert_eq!(
            schnell(json!({"prompt": "x", "num_outputs": 1.5})),
            one("invalid_type", "input.num_outputs")
        );
        assert_eq!(
            schnell(json!({"prompt": "x", "output_format": "gif"})),
            one("enum", "input.output_format")
        );
        assert_eq!(schnell(json!({"prompt": "x", "go_fast": "yes"})), one("invalid_type", "input.go_fast"));
        assert_eq!(
            invalid("kwaivgi", "kling-v2.1", json!({"prompt": "x", "start_image": "cat.png", "duration": 7})),
            [
                ("format".to_owned(), "input.start_image".to_owned()),
                ("enum".to_owned(), "input.duration".to_owned())
            ]
        );
    }

    #[test]
    fn unknown_properties_are_ignored_and_listed() {
        let model = named("black-forest-labs", "flux-schnell").unwrap();
        let input = json!({"prompt": "x", "guidance_scale": 7.5});
        let input = input.as_object().unwrap();
        assert_eq!(check(model, input), []);
        assert_eq!(unknown(model, input), ["guidance_scale"]);
    }

    #[test]
    fn sizes_follow_from_the_input() {
        let sides_of = |owner: &str, name: &str, input: Value| {
            let order = order(named(owner, name).unwrap(), input.as_object().unwrap());
            match order.files.first() {
                Some(MediaSpec::Image { width, height, .. } | MediaSpec::Video { width, height, .. }) => {
                    (*width, *height)
                }
                _ => (0, 0),
            }
        };
        let flux = "black-forest-labs";
        assert_eq!(
            sides_of(flux, "flux-schnell", json!({"prompt": "x", "aspect_ratio": "16:9"})),
            (1344, 768)
        );
        assert_eq!(sides_of(flux, "flux-dev", json!({"prompt": "x", "megapixels": "0.25"})), (512, 512));
        let custom = json!({"prompt": "x", "aspect_ratio": "custom", "width": 500, "height": 700});
        assert_eq!(sides_of(flux, "flux-1.1-pro", custom), (512, 704));
        let tall = json!({"prompt": "x", "resolution": "480p", "aspect_ratio": "9:16"});
        assert_eq!(sides_of("bytedance", "seedance-1-pro", tall), (480, 864));
        assert_eq!(sides_of("kwaivgi", "kling-v2.1", json!({"prompt": "x"})), (1280, 720));
        assert_eq!(sides_of("stability-ai", "sdxl", json!({"width": 1000, "height": 30_000})), (0, 0));
    }
}
