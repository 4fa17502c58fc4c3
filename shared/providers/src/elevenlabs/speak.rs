//! ElevenLabs' text to speech: `POST /v1/text-to-speech/{voice_id}`, whose answer is the sound.

use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::ports::SubmitCall;
use http::Method;
use serde_json::{Map, Value};
use url::Url;

use crate::asked::{options, prompt};
use crate::exchange::{Body, Expects, HttpRequest, ReplyHead};
use crate::wire::{Endpoint, claimed_media, invalid, key_header};

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
    "use_pvc_as_ivc",
];
/// Options that travel inside `voice_settings`.
const VOICE_OPTIONS: &[&str] =
    &["stability", "similarity_boost", "style", "use_speaker_boost", "speed", "clone_strength"];

pub(super) fn encode(call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
    let spec = &call.spec;
    let text = prompt(spec).ok_or_else(|| invalid("a prompt is needed: the text to speak"))?;
    let mut body = Map::new();
    body.insert("text".to_owned(), Value::from(text));
    body.insert("model_id".to_owned(), Value::from(spec.model.as_str()));
    let mut voice_settings = Map::new();
    for (name, value) in options(spec) {
        match name {
            "voice_id" | "output_format" | "enable_logging" | "optimize_streaming_latency" => {}
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
    append_logging(&mut url, spec)?;
    if let Some(level) = spec.config.get("optimize_streaming_latency").filter(|value| !value.is_null()) {
        let level =
            level.as_u64().ok_or_else(|| invalid("`optimize_streaming_latency` must be a whole number"))?;
        url.query_pairs_mut().append_pair("optimize_streaming_latency", &level.to_string());
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

/// The media type of an answer's body.
pub(super) fn content_type(head: &ReplyHead, spec: &JobSpec) -> Result<Option<String>, ProviderError> {
    let claimed = claimed_media(head, "audio")?;
    // The header is documented for mp3 only, so the format that was asked for tells what the bytes are.
    let by_format = output_format(spec).ok().and_then(content_type_of);
    Ok(by_format.or(claimed))
}

/// Whether the provider may keep what it is sent; its own rule when the job does not say.
pub(super) fn append_logging(url: &mut Url, spec: &JobSpec) -> Result<(), ProviderError> {
    match spec.config.get("enable_logging") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(flag)) => {
            url.query_pairs_mut().append_pair("enable_logging", if *flag { "true" } else { "false" });
        }
        Some(_) => return Err(invalid("`enable_logging` must be true or false")),
    }
    Ok(())
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
pub(super) fn content_type_of(output_format: &str) -> Option<String> {
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
