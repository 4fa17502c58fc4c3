//! What ElevenLabs asks of a form that orders a transcript (contract sheet, section 3).

use std::ops::RangeInclusive;

use bytes::Bytes;
use serde_json::{Value, json};
use url::Url;

use crate::call::{Call, FormPart};

/// Models that live, and whether they can leave out filler words.
pub(crate) const MODELS: [(&str, bool); 5] = [
    ("scribe_v1", false),
    ("scribe_v1_experimental", false),
    ("scribe_v2", true),
    ("scribe_v2_medical", true),
    ("scribe_v3", true),
];
const EXPORTS: [&str; 6] = ["docx", "html", "pdf", "segmented_json", "srt", "txt"];
const KEYTERMS: usize = 1_000;
const KEYTERM_CHARACTERS: usize = 50;
const KEYTERM_WORDS: usize = 5;
const KEYTERM_SIGNS: [char; 7] = ['<', '>', '{', '}', '[', ']', '\\'];
const METADATA_BYTES: usize = 16 << 10;
const METADATA_DEPTH: usize = 2;
const EDIT_CHARACTERS: usize = 2_000;

/// A form that may be worked on.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) source: Source,
    pub(crate) model: String,
    pub(crate) language: Option<String>,
    pub(crate) tags_events: bool,
    pub(crate) granularity: Granularity,
    /// How many speakers are told apart; `None` = none are.
    pub(crate) speakers: Option<usize>,
    pub(crate) names_roles: bool,
    pub(crate) exports: Vec<Value>,
    pub(crate) multichannel: bool,
    pub(crate) combines_channels: bool,
    pub(crate) is_webhook: bool,
    pub(crate) detects_entities: bool,
    pub(crate) edit: Option<String>,
}

/// Where the sound comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File {
        bytes: Bytes,
        /// 16 bit samples at 16 kHz without a header.
        is_raw: bool,
    },
    Url(String),
}

/// Which times are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granularity {
    None,
    Word,
    Character,
}

/// Reads the form, or lists what is wrong with it.
pub(crate) fn parse(call: &Call, allow_loopback_http: bool) -> Result<Order, Vec<Value>> {
    let Some(parts) = call.form() else {
        return Err(vec![issue(&["body", "model_id"], "Field required", "missing")]);
    };
    let mut fields = Fields { parts, issues: Vec::new() };
    let order = fields.order(allow_loopback_http);
    match order {
        Some(order) if fields.issues.is_empty() => Ok(order),
        _ => Err(fields.issues),
    }
}

/// The file or the address that a form names, for the journal.
pub(crate) enum Named {
    File { name: Option<String>, bytes: Bytes },
    Url(String),
}

/// What a form's source is called, whether or not the form is right.
pub(crate) fn named(call: &Call) -> Option<Named> {
    let parts = call.form()?;
    let url = parts.iter().find(|part| matches!(part.name.as_str(), "source_url" | "cloud_storage_url"));
    if let Some(url) = url.and_then(FormPart::text) {
        return Some(Named::Url(url.to_owned()));
    }
    let file = parts.into_iter().find(|part| part.name == "file")?;
    Some(Named::File { name: file.file_name, bytes: file.bytes })
}

struct Fields {
    parts: Vec<FormPart>,
    issues: Vec<Value>,
}

impl Fields {
    fn order(&mut self, allow_loopback_http: bool) -> Option<Order> {
        let model = self.text("model_id").map(str::to_owned);
        if model.is_none() {
            self.wrong("model_id", "Field required", "missing");
        }
        let source = self.source(allow_loopback_http);
        let speakers = self.speakers();
        let granularity = match self.word("timestamps_granularity", &["none", "word", "character"]) {
            Some("none") => Granularity::None,
            Some("character") => Granularity::Character,
            _ => Granularity::Word,
        };
        let multichannel = self.flag("use_multi_channel", false);
        let style = self.word("multichannel_output_style", &["separate", "combined"]);
        let combines_channels = multichannel && style == Some("combined");
        let names_roles = self.flag("detect_speaker_roles", false);
        let entities = self.json("entity_detection");
        let redaction = self.json("entity_redaction");
        let edit = self.text("transcript_edit").map(str::to_owned);
        let no_verbatim = self.flag("no_verbatim", false);
        self.check_ranges();
        self.check_lists();
        self.check_metadata();
        let order = Order {
            source: source?,
            model: model?,
            language: self.language(),
            tags_events: self.flag("tag_audio_events", true) && !no_verbatim,
            granularity,
            speakers,
            names_roles,
            exports: self.exports(),
            multichannel,
            combines_channels,
            is_webhook: self.flag("webhook", false),
            detects_entities: entities.is_some() && redaction.is_none(),
            edit,
        };
        self.check_model(&order, no_verbatim);
        self.check_combinations(&order, entities.is_some(), redaction.is_some());
        Some(order)
    }

    /// The field's text; the published SDK writes `null` for some fields that it leaves out.
    fn text(&self, name: &str) -> Option<&str> {
        let part = self.parts.iter().find(|part| part.name == name && part.file_name.is_none())?;
        part.text().map(str::trim).filter(|text| !text.is_empty() && *text != "null")
    }

    fn list(&self, name: &str) -> Vec<&str> {
        self.parts.iter().filter(|part| part.name == name).filter_map(FormPart::text).collect()
    }

    fn wrong(&mut self, name: &str, message: &str, kind: &str) {
        self.issues.push(issue(&["body", name], message, kind));
    }

    fn flag(&mut self, name: &str, usual: bool) -> bool {
        let word = self.text(name).map(str::to_lowercase);
        match word.as_deref() {
            None => usual,
            Some("true" | "1" | "yes" | "on") => true,
            Some("false" | "0" | "no" | "off") => false,
            Some(_) => {
                self.wrong(
                    name,
                    "Input should be a valid boolean, unable to interpret input",
                    "bool_parsing",
                );
                usual
            }
        }
    }

    fn word<'a>(&mut self, name: &str, words: &[&'a str]) -> Option<&'a str> {
        let text = self.text(name)?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let message = format!("Input should be one of {}", words.join(", "));
            self.wrong(name, &message, "enum");
        }
        found
    }

    fn json(&self, name: &str) -> Option<Value> {
        let text = self.text(name)?;
        Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
    }

    fn source(&mut self, allow_loopback_http: bool) -> Option<Source> {
        let file = self.parts.iter().find(|part| part.name == "file").map(|part| part.bytes.clone());
        let urls = [self.text("source_url"), self.text("cloud_storage_url")];
        let url = urls.iter().flatten().next().map(|url| (*url).to_owned());
        let count = usize::from(file.is_some()) + urls.iter().flatten().count();
        if count != 1 {
            self.wrong("file", "Provide exactly one of file, source_url or cloud_storage_url", "value_error");
            return None;
        }
        let is_raw = self.word("file_format", &["other", "pcm_s16le_16"]) == Some("pcm_s16le_16");
        match (file, url) {
            (Some(bytes), _) if bytes.is_empty() => {
                self.wrong("file", "The file is empty", "value_error");
                None
            }
            (Some(bytes), _) => Some(Source::File { bytes, is_raw }),
            (None, Some(url)) if is_fetched(&url, allow_loopback_http) => Some(Source::Url(url)),
            (None, _) => {
                self.wrong("source_url", "Input should be a valid https URL", "url_parsing");
                None
            }
        }
    }

    fn speakers(&mut self) -> Option<usize> {
        let number = self.number("num_speakers", 1.0..=32.0).map(|number| number as usize);
        let diarizes = self.flag("diarize", false);
        let threshold = self.number("diarization_threshold", 0.0..=1.0);
        if threshold.is_some() && (!diarizes || number.is_some()) {
            let message = "Can only be set when diarize is true and num_speakers is not set";
            self.wrong("diarization_threshold", message, "value_error");
        }
        diarizes.then(|| number.unwrap_or(2).min(2))
    }

    fn language(&mut self) -> Option<String> {
        let code = self.text("language_code")?.to_owned();
        if !matches!(code.len(), 2 | 3) || !code.bytes().all(|byte| byte.is_ascii_lowercase()) {
            self.wrong("language_code", "Input should be an ISO 639-1 or ISO 639-3 code", "value_error");
        }
        Some(code)
    }

    fn exports(&mut self) -> Vec<Value> {
        let Some(value) = self.json("additional_formats") else { return Vec::new() };
        let list = value.as_array().cloned().unwrap_or_default();
        let is_right = value.is_array()
            && list.iter().all(|export| {
                export.get("format").and_then(Value::as_str).is_some_and(|name| EXPORTS.contains(&name))
            });
        if !is_right {
            let message =
                format!("Input should be a list of objects whose format is one of {}", EXPORTS.join(", "));
            self.wrong("additional_formats", &message, "union_tag_invalid");
        }
        list
    }

    fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let text = self.text(name)?.to_owned();
        let number = text.parse::<f64>().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("Input should be a number from {} to {}", range.start(), range.end());
            self.wrong(name, &message, "value_error");
        }
        number
    }

    fn check_ranges(&mut self) {
        self.number("temperature", 0.0..=2.0);
        self.number("seed", 0.0..=f64::from(i32::MAX));
        if self.text("transcript_edit").is_some_and(|text| text.chars().count() > EDIT_CHARACTERS) {
            self.wrong("transcript_edit", "String should have at most 2000 characters", "string_too_long");
        }
        self.word("numbers_format", &["digits", "words"]);
        self.word("entity_redaction_mode", &["redacted", "entity_type", "enumerated_entity_type"]);
    }

    fn check_lists(&mut self) {
        let terms = self.list("keyterms");
        let is_right = terms.len() <= KEYTERMS
            && terms.iter().all(|term| {
                term.chars().count() <= KEYTERM_CHARACTERS
                    && term.split_whitespace().count() <= KEYTERM_WORDS
                    && !term.contains(KEYTERM_SIGNS)
            });
        if !is_right {
            let message = "At most 1000 terms of at most 50 characters and 5 words, without <>{}[]\\";
            self.wrong("keyterms", message, "value_error");
        }
    }

    fn check_metadata(&mut self) {
        let Some(text) = self.text("webhook_metadata") else { return };
        let is_small = text.len() <= METADATA_BYTES;
        let value = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
        if !is_small || value.is_none_or(|value| depth(&value) > METADATA_DEPTH) {
            let message = "Input should be a JSON object of at most 16 KB and two levels";
            self.wrong("webhook_metadata", message, "value_error");
        }
    }

    /// Fields that not every model takes.
    fn check_model(&mut self, order: &Order, no_verbatim: bool) {
        let is_verbatim_only = MODELS.iter().any(|(id, leaves_out)| *id == order.model && !leaves_out);
        let is_v3 = order.model == "scribe_v3";
        let unfit = [
            ("no_verbatim", no_verbatim && is_verbatim_only),
            ("secondary_language_codes", !self.list("secondary_language_codes").is_empty() && !is_v3),
            ("numbers_format", self.text("numbers_format").is_some() && !is_v3),
        ];
        for (name, _) in unfit.into_iter().filter(|(_, is_unfit)| *is_unfit) {
            self.wrong(name, "Not supported by this model", "value_error");
        }
    }

    fn check_combinations(&mut self, order: &Order, has_entities: bool, has_redaction: bool) {
        let rules = [
            (
                "webhook_id",
                self.text("webhook_id").is_some() && !order.is_webhook,
                "Can only be set when webhook is true",
            ),
            ("entity_redaction", has_redaction && !has_entities, "Must be a subset of entity_detection"),
            (
                "detect_speaker_roles",
                order.names_roles && (order.speakers.is_none() || order.multichannel),
                "Needs diarize and one channel",
            ),
            (
                "transcript_edit",
                order.edit.is_some() && (has_entities || has_redaction || order.multichannel),
                "Cannot be combined with entities or several channels",
            ),
            (
                "multichannel_output_style",
                order.combines_channels && (order.granularity == Granularity::None || has_entities),
                "combined needs timestamps and no entity detection",
            ),
            (
                "diarize",
                order.speakers.is_some() && order.multichannel,
                "Cannot be combined with use_multi_channel",
            ),
        ];
        for (name, _, message) in rules.into_iter().filter(|(_, is_broken, _)| *is_broken) {
            self.wrong(name, message, "value_error");
        }
    }
}

/// Whether the provider would fetch this: https, or http on this machine where that is allowed.
fn is_fetched(text: &str, allow_loopback_http: bool) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.scheme() == "https" || url.scheme() == "http" && is_local && allow_loopback_http
}

/// How deeply objects and lists lie in each other.
fn depth(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

fn issue(location: &[&str], message: &str, kind: &str) -> Value {
    json!({"loc": location, "msg": message, "type": kind})
}
