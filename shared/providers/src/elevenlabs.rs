//! ElevenLabs: text to speech in one call. There is no job, so nothing to poll and nothing to cancel.
//!
//! | fact                                        | value                              | source                        | checked    | kind       |
//! |---------------------------------------------|------------------------------------|-------------------------------|------------|------------|
//! | base URL                                    | `https://api.elevenlabs.io`        | Python SDK 2.78.0             | 2026-11-22 | documented |
//! | key                                         | `xi-api-key: <key>`, no scheme     | Python SDK 2.78.0             | 2026-11-22 | observed   |
//! | repeat of a paid call                       | is billed again, no idempotency    | SDK and OpenAPI have none     | 2026-11-22 | documented |
//! | default output format                       | `mp3_44100_128`                    | OpenAPI                       | 2026-11-22 | documented |
//! | default voice                               | `21m00Tcm4TlvDq8ikWAM`             | product brief                 | 2026-11-22 | assumed    |
//! | voice ids are letters, digits, `-`, `_`     | up to 128                          | ids seen                      | 2026-11-22 | assumed    |
//! | media type per output format                | see `content_type_of`              | format names; opus is Ogg     | 2026-11-22 | assumed    |
//! | billed characters                           | header `character-cost`            | docs, generation headers      | 2026-11-22 | documented |
//! | `character-cost` counts characters          | not multiplied for flash and turbo | header's name                 | 2026-11-22 | assumed    |
//! | request id                                  | header `request-id`                | docs                          | 2026-11-22 | documented |
//! | four error bodies                           | `detail`: object, old object, list, text | docs, public samples    | 2026-11-22 | documented |
//! | `quota_exceeded` comes with 401             | quota, not credential              | public samples 2026           | 2026-11-22 | observed   |
//! | 402, plan gates `only_for_*`                | billing                            | public samples, docs          | 2026-11-22 | observed   |
//! | moderation codes                            | hold one of `MODERATION_MARKS`     | none                          | 2026-11-22 | assumed    |
//! | retired-model codes                         | hold one of `RETIRED_MARKS`        | none                          | 2026-11-22 | assumed    |
//! | waiting hint on 429                         | `retry-after`, not documented      | SDK reads it                  | 2026-11-22 | assumed    |
//! | 500 and 503                                 | the work was not done              | SDK retries them              | 2026-11-22 | assumed    |
//! | 502, 504 and other 5xx                      | the work may have been done        | gateways in front             | 2026-11-22 | assumed    |

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::money::{MicroUsd, PriceUnit, ReportedCost};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{InputForms, SubmitCall};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::exchange::{Body, Expects, HttpReply, HttpRequest, ReplyHead};
use crate::wire::{Answered, Endpoint, MediaFacts, Wire, invalid, key_header, malformed};

/// The provider's own host.
pub(crate) const BASE_URL: &str = "https://api.elevenlabs.io";
/// One credit of the multilingual models' price.
pub(crate) const PRICE_PER_CREDIT_MICRO_USD: MicroUsd = MicroUsd(80);

const DEFAULT_VOICE: &str = "21m00Tcm4TlvDq8ikWAM";
const DEFAULT_OUTPUT_FORMAT: &str = "mp3_44100_128";
/// Options that travel in the body under their own name.
const BODY_OPTIONS: &[&str] = &[
    "language_code",
    "seed",
    "previous_text",
    "next_text",
    "previous_request_ids",
    "next_request_ids",
    "apply_text_normalization",
    "apply_language_text_normalization",
    "pronunciation_dictionary_locators",
    "audio_effects",
];
/// Options that travel inside `voice_settings`.
const VOICE_OPTIONS: &[&str] = &["stability", "similarity_boost", "style", "use_speaker_boost", "speed"];
const MODERATION_MARKS: &[&str] =
    &["content_against_policy", "content_policy", "policy_violation", "moderation"];
const RETIRED_MARKS: &[&str] = &["model_retired", "model_deprecated", "model_sunset", "model_discontinued"];

/// What is particular to ElevenLabs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElevenLabsOptions {
    /// Whether the `character-cost` header counts credits, that is characters already multiplied by the model's
    /// factor. Uncertain; off, as the header's name says characters.
    pub is_character_cost_in_credits: bool,
    /// Millionths of a dollar for one credit; used when the header counts credits.
    pub price_per_credit_micro_usd: MicroUsd,
}

impl Default for ElevenLabsOptions {
    fn default() -> Self {
        Self { is_character_cost_in_credits: false, price_per_credit_micro_usd: PRICE_PER_CREDIT_MICRO_USD }
    }
}

/// The protocol of ElevenLabs.
pub(crate) struct ElevenLabs {
    options: ElevenLabsOptions,
}

impl ElevenLabs {
    pub(crate) fn new(options: ElevenLabsOptions) -> Self {
        Self { options }
    }

    /// What the reply says was used; `None` when the header is missing or unreadable.
    fn cost(&self, head: &ReplyHead) -> Option<ReportedCost> {
        let billed: u64 = head.header("character-cost")?.parse().ok()?;
        Some(if self.options.is_character_cost_in_credits {
            ReportedCost::Amount(MicroUsd(self.options.price_per_credit_micro_usd.0.saturating_mul(billed)))
        } else {
            ReportedCost::units(PriceUnit::Character, billed)
        })
    }
}

impl Wire for ElevenLabs {
    const PROVIDER: Provider = Provider::ElevenLabs;

    fn input_forms(&self, _spec: &JobSpec, _option: Option<&str>) -> InputForms {
        InputForms { takes_url: false, max_bytes: None }
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        let spec = &call.spec;
        if spec.operation != Operation::Tts {
            return Err(invalid(format!(
                "elevenlabs does not do `{}` here; `tts` was expected",
                spec.operation
            )));
        }
        let Some(text) = spec.prompt.as_deref().filter(|text| !text.trim().is_empty()) else {
            return Err(invalid("a prompt is needed: the text to speak"));
        };
        let mut body = Map::new();
        body.insert("text".to_owned(), Value::from(text));
        body.insert("model_id".to_owned(), Value::from(spec.model.as_str()));
        let mut voice_settings = Map::new();
        for (name, value) in spec.config.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "voice_id" | "output_format" | "enable_logging" => {}
                "voice_settings" => voice_settings.extend(object(name, value)?),
                name if VOICE_OPTIONS.contains(&name) => {}
                name if BODY_OPTIONS.contains(&name) => {
                    body.insert(name.to_owned(), value.clone());
                }
                other => {
                    return Err(invalid(format!("the option `{other}` is not known for elevenlabs")));
                }
            }
        }
        // A single option says more precisely what is wanted than the object it belongs to.
        for name in VOICE_OPTIONS {
            if let Some(value) = spec.config.get(*name).filter(|value| !value.is_null()) {
                voice_settings.insert((*name).to_owned(), value.clone());
            }
        }
        if !voice_settings.is_empty() {
            body.insert("voice_settings".to_owned(), Value::Object(voice_settings));
        }

        let voice = voice_id(spec)?;
        let mut url = endpoint.url(["v1", "text-to-speech", voice]);
        url.query_pairs_mut().append_pair("output_format", output_format(spec)?);
        match spec.config.get("enable_logging") {
            None | Some(Value::Null) => {}
            Some(Value::Bool(flag)) => {
                url.query_pairs_mut().append_pair("enable_logging", if *flag { "true" } else { "false" });
            }
            Some(_) => return Err(invalid("`enable_logging` must be true or false")),
        }
        Ok(HttpRequest {
            method: Method::POST,
            url,
            template: Some("/v1/text-to-speech/{voice_id}"),
            headers: vec![key_header("xi-api-key", "", &call.key)?],
            body: Body::Json(Value::Object(body)),
            expects: Expects::Media,
        })
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        _spec: &JobSpec,
        _endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        Err(failure(reply, now))
    }

    fn decode_media(&self, head: &ReplyHead, spec: &JobSpec) -> Result<MediaFacts, ProviderError> {
        let claimed = head.content_type();
        if claimed == "application/json" || claimed.starts_with("text/") {
            return Err(malformed(head.status, &format!("it answered `{claimed}` where audio was expected")));
        }
        // The header is documented for mp3 only, so the format that was asked for tells what the bytes are.
        let by_format = output_format(spec).ok().and_then(content_type_of);
        let content_type = by_format.or_else(|| (!claimed.is_empty()).then_some(claimed));
        Ok(MediaFacts {
            content_type,
            request_id: head.header("request-id").map(str::to_owned),
            seed: None,
            cost: self.cost(head),
        })
    }
}

fn voice_id(spec: &JobSpec) -> Result<&str, ProviderError> {
    let voice = text_option(spec, "voice_id")?.unwrap_or(DEFAULT_VOICE);
    let is_plain = voice.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if voice.is_empty() || voice.len() > 128 || !is_plain {
        return Err(invalid("`voice_id` must be 1 to 128 letters, digits, `-` or `_`"));
    }
    Ok(voice)
}

fn output_format(spec: &JobSpec) -> Result<&str, ProviderError> {
    Ok(text_option(spec, "output_format")?.unwrap_or(DEFAULT_OUTPUT_FORMAT))
}

fn text_option<'a>(spec: &'a JobSpec, name: &str) -> Result<Option<&'a str>, ProviderError> {
    match spec.config.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(format!("`{name}` must be a text"))),
    }
}

fn object(name: &str, value: &Value) -> Result<Map<String, Value>, ProviderError> {
    value.as_object().cloned().ok_or_else(|| invalid(format!("`{name}` must be an object")))
}

/// The media type of an output format: pcm is headerless 16 bit little-endian mono, ulaw and alaw are headerless
/// 8 kHz. `None` for a format that is newer than this table.
fn content_type_of(output_format: &str) -> Option<String> {
    let mut parts = output_format.split('_');
    let (codec, rate) = (parts.next()?, parts.next());
    match codec {
        "mp3" => Some("audio/mpeg".to_owned()),
        "opus" => Some("audio/ogg".to_owned()),
        "wav" => Some("audio/wav".to_owned()),
        "ulaw" => Some("audio/basic".to_owned()),
        "alaw" => Some("audio/x-alaw-basic".to_owned()),
        "pcm" => Some(rate.map_or("audio/pcm".to_owned(), |rate| format!("audio/pcm;rate={rate}"))),
        _ => None,
    }
}

// ---------------------------------------------------------------- errors

/// What an error body tells, whichever of the four shapes it has.
#[derive(Default)]
struct Detail {
    codes: Vec<String>,
    message: Option<String>,
}

impl Detail {
    fn of(reply: &HttpReply) -> Self {
        match reply.json().as_ref().and_then(|body| body.get("detail")) {
            Some(Value::Object(detail)) => Self {
                codes: ["code", "status", "type"]
                    .iter()
                    .filter_map(|name| detail.get(*name)?.as_str())
                    .map(str::to_owned)
                    .collect(),
                message: detail.get("message").and_then(Value::as_str).map(str::to_owned),
            },
            Some(Value::Array(items)) => Self {
                codes: Vec::new(),
                message: Some(items.iter().take(3).map(validation_text).collect::<Vec<_>>().join("; ")),
            },
            Some(Value::String(text)) => Self { codes: Vec::new(), message: Some(text.clone()) },
            Some(_) | None => Self::default(),
        }
    }

    fn has(&self, marks: &[&str]) -> bool {
        self.codes.iter().any(|code| marks.iter().any(|mark| code.contains(mark)))
    }
}

/// One entry of a validation list. Its `input` is left out: it repeats what the caller sent.
fn validation_text(item: &Value) -> String {
    let place = item.get("loc").and_then(Value::as_array).map(|parts| {
        parts
            .iter()
            .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
            .collect::<Vec<_>>()
    });
    let text = item.get("msg").and_then(Value::as_str).unwrap_or("is wrong");
    format!("{}: {text}", place.unwrap_or_default().join("."))
}

fn failure(reply: &HttpReply, now: Timestamp) -> ProviderError {
    let http_status = reply.head.status;
    let detail = Detail::of(reply);
    let status = detail.codes.first().cloned().unwrap_or_else(|| http_status.to_string());
    let message = detail.message.clone().unwrap_or_else(|| reply.plain_reason());
    let is_refusal = (400..500).contains(&http_status);
    // The code says more than the HTTP status: quota comes as 401.
    if is_refusal && detail.has(&["quota_exceeded"]) {
        return ProviderError::Quota { message };
    }
    if is_refusal && detail.has(MODERATION_MARKS) {
        return ProviderError::Rejected { message, status };
    }
    if is_refusal && detail.has(RETIRED_MARKS) {
        return ProviderError::ModelRetired { message };
    }
    match http_status {
        401 => ProviderError::Unauthorized { message },
        402 => ProviderError::Quota { message },
        403 if detail.has(&["only_for_", "paid_plan_required"]) => ProviderError::Quota { message },
        403 => ProviderError::Unauthorized { message },
        429 => ProviderError::RateLimited { message, retry_after: reply.head.retry_after(Some(now)) },
        408 | 425 | 500 | 503 => ProviderError::Unavailable { message, status },
        400..=499 => ProviderError::Invalid { message, status },
        // Whoever answered here does not know what the server behind it did with the paid call.
        501..=599 => ProviderError::UnknownOutcome { message: format!("HTTP {http_status}: {message}") },
        300..=399 => malformed(http_status, "it redirects, which is not followed; the base URL may be wrong"),
        _ => malformed(http_status, &message),
    }
}

#[cfg(test)]
#[path = "elevenlabs_tests.rs"]
mod tests;
