//! What Runway asks of a request body (contract sheet, sections 4 and 10).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use url::{Host, Url};

/// Longest prompt in UTF-16 code units.
const PROMPT_UNITS: usize = 1000;
/// Longest image URL.
const URL_CHARACTERS: usize = 2048;
/// Largest data URI, as text.
const DATA_URI_BYTES: usize = 5 * 1024 * 1024;
/// Seconds when `gen4_turbo` is not told (assumed from older documentation).
const DEFAULT_SECONDS: u64 = 10;

/// A model that lives.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    credits_per_second: u64,
    takes_text_alone: bool,
    needs_prompt: bool,
    needs_duration: bool,
}

pub(crate) const MODELS: [Model; 2] = [
    Model {
        name: "gen4.5",
        credits_per_second: 12,
        takes_text_alone: true,
        needs_prompt: true,
        needs_duration: true,
    },
    Model {
        name: "gen4_turbo",
        credits_per_second: 5,
        takes_text_alone: false,
        needs_prompt: false,
        needs_duration: false,
    },
];

const TEXT_RATIOS: &[&str] = &["1280:720", "720:1280"];
const IMAGE_RATIOS: &[&str] = &["1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    TextToVideo,
    ImageToVideo,
}

/// A request that may run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) seconds: u64,
    pub(crate) credits_per_second: u64,
    /// Ids of uploaded files that it names.
    pub(crate) uploads: Vec<String>,
}

/// Why it may not.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// `{"error": text}`
    Plain(String),
    /// The list under `issues`.
    Issues(Vec<Value>),
}

pub(crate) fn parse(body: &Value, endpoint: Endpoint, allow_loopback_http: bool) -> Result<Order, Refusal> {
    let Value::Object(fields) = body else {
        return Err(Refusal::Issues(vec![issue("invalid_type", None, "Expected object")]));
    };
    let Some(name) = fields.get("model").and_then(Value::as_str) else {
        return Err(Refusal::Issues(vec![issue("invalid_type", Some("model"), "Required")]));
    };
    let known = MODELS.iter().find(|model| model.name == name);
    let Some(model) = known.filter(|model| endpoint == Endpoint::ImageToVideo || model.takes_text_alone)
    else {
        return Err(Refusal::Plain(format!("Model variant {name} is not available.")));
    };
    let mut issues = Vec::new();
    let prompt = prompt(fields, model, &mut issues);
    let ratio = ratio(fields, endpoint, &mut issues);
    let seconds = seconds(fields, model, &mut issues);
    if endpoint == Endpoint::ImageToVideo {
        image(fields, allow_loopback_http, &mut issues);
    }
    optional_fields(fields, &mut issues);
    if !issues.is_empty() {
        return Err(Refusal::Issues(issues));
    }
    if let Some(format) = fields.get("outputFormat").and_then(Value::as_str).filter(|format| *format != "mp4")
    {
        return Err(Refusal::Plain(format!("The simulator makes mp4 only, not {format}.")));
    }
    let (width, height) = ratio;
    Ok(Order {
        model: name.to_owned(),
        prompt,
        width,
        height,
        seconds,
        credits_per_second: model.credits_per_second,
        uploads: uploads(fields),
    })
}

fn uploads(fields: &Map<String, Value>) -> Vec<String> {
    let image = fields.get("promptImage");
    let listed = image.and_then(Value::as_array).into_iter().flatten().filter_map(|image| image.get("uri"));
    let named = image.into_iter().chain(listed).filter_map(Value::as_str);
    named.filter_map(|uri| uri.strip_prefix("runway://uploads/")).map(str::to_owned).collect()
}

fn prompt(fields: &Map<String, Value>, model: &Model, issues: &mut Vec<Value>) -> String {
    let prompt = match fields.get("promptText") {
        None if model.needs_prompt => {
            issues.push(issue("invalid_type", Some("promptText"), "Required"));
            ""
        }
        None => "",
        Some(Value::String(text)) => text,
        Some(_) => {
            issues.push(issue("invalid_type", Some("promptText"), "Expected string"));
            ""
        }
    };
    if prompt.is_empty() && model.needs_prompt && fields.contains_key("promptText") {
        issues.push(issue("too_small", Some("promptText"), "String must contain at least 1 character(s)"));
    }
    if prompt.encode_utf16().count() > PROMPT_UNITS {
        issues.push(issue("too_big", Some("promptText"), "String must contain at most 1000 character(s)"));
    }
    prompt.to_owned()
}

fn ratio(fields: &Map<String, Value>, endpoint: Endpoint, issues: &mut Vec<Value>) -> (u32, u32) {
    let allowed = match endpoint {
        Endpoint::TextToVideo => TEXT_RATIOS,
        Endpoint::ImageToVideo => IMAGE_RATIOS,
    };
    let named = fields.get("ratio").and_then(Value::as_str);
    let sides = named.filter(|ratio| allowed.contains(ratio)).and_then(|ratio| {
        let (width, height) = ratio.split_once(':')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    });
    if sides.is_none() {
        let (code, message) = match named {
            None => ("invalid_type", "Required".to_owned()),
            Some(ratio) => {
                ("invalid_enum_value", format!("Expected {}, received '{ratio}'", allowed.join(" | ")))
            }
        };
        issues.push(issue(code, Some("ratio"), &message));
    }
    sides.unwrap_or((1280, 720))
}

fn seconds(fields: &Map<String, Value>, model: &Model, issues: &mut Vec<Value>) -> u64 {
    let Some(value) = fields.get("duration") else {
        if model.needs_duration {
            issues.push(issue("invalid_type", Some("duration"), "Required"));
        }
        return DEFAULT_SECONDS;
    };
    match value.as_u64() {
        Some(seconds) if (2..=10).contains(&seconds) => seconds,
        Some(_) => {
            issues.push(issue("out_of_range", Some("duration"), "Number must be from 2 to 10"));
            DEFAULT_SECONDS
        }
        None => {
            issues.push(issue("invalid_type", Some("duration"), "Expected integer"));
            DEFAULT_SECONDS
        }
    }
}

fn image(fields: &Map<String, Value>, allow_loopback_http: bool, issues: &mut Vec<Value>) {
    let problem = match fields.get("promptImage") {
        None => Some("Required"),
        Some(Value::String(uri)) => image_problem(uri, allow_loopback_http),
        Some(Value::Array(images)) if images.len() == 1 => images.first().and_then(|image| {
            if image.get("position").and_then(Value::as_str) != Some("first") {
                return Some("Only the position `first` is supported by this model");
            }
            match image.get("uri").and_then(Value::as_str) {
                Some(uri) => image_problem(uri, allow_loopback_http),
                None => Some("An image needs a `uri`"),
            }
        }),
        Some(Value::Array(_)) => Some("Expected exactly one image"),
        Some(_) => Some("Expected string or array"),
    };
    if let Some(problem) = problem {
        issues.push(issue("custom", Some("promptImage"), problem));
    }
}

/// What is wrong with an image's URI. The image itself is not fetched.
fn image_problem(uri: &str, allow_loopback_http: bool) -> Option<&'static str> {
    if uri.starts_with("data:") {
        return data_uri_problem(uri);
    }
    if let Some(upload) = uri.strip_prefix("runway://") {
        return upload.is_empty().then_some("Invalid runway:// URI");
    }
    if uri.chars().count() > URL_CHARACTERS {
        return Some("URL must be at most 2048 characters");
    }
    let Ok(url) = Url::parse(uri) else { return Some("Invalid URL") };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if allow_loopback_http && is_loopback && matches!(url.scheme(), "http" | "https") {
        return None;
    }
    if url.scheme() != "https" {
        return Some("URL must use HTTPS, runway://, or be a data URI");
    }
    match url.host() {
        Some(Host::Domain(_)) => None,
        _ => Some("URL must name a host, not an IP address"),
    }
}

fn data_uri_problem(uri: &str) -> Option<&'static str> {
    if uri.len() > DATA_URI_BYTES {
        return Some("Data URI must be at most 5 MB");
    }
    let Some((head, data)) = uri.split_once(',') else { return Some("Invalid data URI") };
    let types = [
        "data:image/png;base64",
        "data:image/jpeg;base64",
        "data:image/jpg;base64",
        "data:image/webp;base64",
    ];
    if !types.contains(&head) {
        return Some("Data URI must be a base64 JPEG, PNG or WebP image");
    }
    let is_filled = STANDARD.decode(data).is_ok_and(|bytes| !bytes.is_empty());
    (!is_filled).then_some("Data URI holds no valid base64")
}

fn optional_fields(fields: &Map<String, Value>, issues: &mut Vec<Value>) {
    let seed = fields.get("seed");
    if seed.is_some_and(|seed| seed.as_u64().is_none_or(|seed| seed > u64::from(u32::MAX))) {
        issues.push(issue("invalid_type", Some("seed"), "Expected integer from 0 to 4294967295"));
    }
    if let Some(moderation) = fields.get("contentModeration") {
        let threshold = moderation.get("publicFigureThreshold").map(Value::as_str);
        if !moderation.is_object() || !matches!(threshold, None | Some(Some("auto" | "low"))) {
            issues.push(issue("invalid_enum_value", Some("contentModeration"), "Expected 'auto' | 'low'"));
        }
    }
}

fn issue(code: &str, field: Option<&str>, message: &str) -> Value {
    let path: Vec<&str> = field.into_iter().collect();
    json!({"code": code, "path": path, "message": message})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(changes: Value) -> Value {
        let mut body = json!({"model": "gen4_turbo", "promptText": "pan", "ratio": "1280:720", "duration": 5,
            "promptImage": "https://example.com/a.png"});
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                body.as_object_mut().unwrap().remove(name);
            } else {
                body[name] = value.clone();
            }
        }
        body
    }

    fn refused_fields(changes: Value) -> Vec<String> {
        match parse(&body(changes), Endpoint::ImageToVideo, false) {
            Ok(_) => Vec::new(),
            Err(Refusal::Plain(text)) => vec![text],
            Err(Refusal::Issues(issues)) => {
                issues.iter().map(|issue| issue["path"][0].as_str().unwrap_or_default().to_owned()).collect()
            }
        }
    }

    #[test]
    fn each_missing_or_wrong_field_is_named() {
        assert_eq!(refused_fields(json!({})), Vec::<String>::new());
        assert_eq!(refused_fields(json!({"ratio": null})), ["ratio"]);
        assert_eq!(refused_fields(json!({"ratio": "16:9"})), ["ratio"]);
        assert_eq!(refused_fields(json!({"duration": 11})), ["duration"]);
        assert_eq!(refused_fields(json!({"duration": "5"})), ["duration"]);
        assert_eq!(refused_fields(json!({"promptImage": null})), ["promptImage"]);
        assert_eq!(refused_fields(json!({"seed": -1, "ratio": null})), ["ratio", "seed"]);
    }

    #[test]
    fn prompts_are_counted_in_utf16_units() {
        assert_eq!(refused_fields(json!({"promptText": "\u{1f600}".repeat(500)})), Vec::<String>::new());
        assert_eq!(refused_fields(json!({"promptText": "\u{1f600}".repeat(501)})), ["promptText"]);
    }

    #[test]
    fn images_are_https_uploads_or_data() {
        for good in ["https://example.com/x", "runway://uploads/1", "data:image/png;base64,AAAA"] {
            assert_eq!(refused_fields(json!({"promptImage": good})), Vec::<String>::new(), "{good}");
        }
        for bad in [
            "http://example.com/x",
            "https://10.0.0.1/x",
            "data:image/gif;base64,AAAA",
            "data:image/png;base64,",
            "x",
        ] {
            assert_eq!(refused_fields(json!({"promptImage": bad})), ["promptImage"], "{bad}");
        }
        let local = body(json!({"promptImage": "http://127.0.0.1:9/x.png"}));
        assert!(parse(&local, Endpoint::ImageToVideo, false).is_err());
        assert!(parse(&local, Endpoint::ImageToVideo, true).is_ok());
    }

    #[test]
    fn the_retired_model_is_refused_like_an_unknown_one() {
        let text = |name: &str| refused_fields(json!({"model": name}))[0].replace(name, "X");
        assert_eq!(text("gen3a_turbo"), text("no_such_model"));
    }
}
