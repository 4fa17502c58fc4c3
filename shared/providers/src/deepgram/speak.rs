//! Deepgram's text to speech: `POST /v1/speak`, whose answer is the sound.

use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::money::{PriceUnit, ReportedCost};
use atelier_domain::ports::SubmitCall;
use http::Method;
use serde_json::{Value, json};

use super::listen::append;
use crate::asked::{options, prompt};
use crate::exchange::{Body, Expects, HttpRequest, ReplyHead};
use crate::wire::{Endpoint, MediaFacts, claimed_media, invalid, key_header};

/// What the names of all voices begin with.
pub(super) const VOICE_PREFIX: &str = "aura-";
const LINEAR_RATE: u64 = 24_000;
const COMPANDED_RATE: u64 = 8_000;

pub(super) fn encode(call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
    let spec = &call.spec;
    let text = prompt(spec).ok_or_else(|| invalid("a prompt is needed: the text to speak"))?;
    if !spec.model.starts_with(VOICE_PREFIX) {
        return Err(invalid(format!(
            "`{}` is no voice; their names begin with `{VOICE_PREFIX}`",
            spec.model
        )));
    }
    let encoding = encoding(spec)?;
    let mut url = endpoint.url(["v1", "speak"]);
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("model", &spec.model).append_pair("encoding", encoding);
        for (name, value) in options(spec) {
            if name == "encoding" {
                continue;
            }
            if !applicable(encoding, name) {
                return Err(invalid(format!("`{name}` does not go with the encoding `{encoding}`")));
            }
            append(&mut query, name, value)?;
        }
    }
    Ok(HttpRequest {
        method: Method::POST,
        url,
        template: Some("/v1/speak"),
        headers: vec![key_header("authorization", "Token ", &call.key)?],
        body: Body::Json(json!({ "text": text })),
        expects: Expects::Media,
    })
}

pub(super) fn decode(head: &ReplyHead, spec: &JobSpec) -> Result<MediaFacts, ProviderError> {
    let claimed = claimed_media(head, "audio")?;
    // What was asked for says more than the header, whose parameters are not told apart everywhere.
    let by_request = encoding(spec).ok().and_then(|encoding| content_type_of(encoding, spec));
    let characters = head.header("dg-char-count").and_then(|text| text.parse().ok());
    Ok(MediaFacts {
        content_type: by_request.or(claimed),
        request_id: head.header("dg-request-id").map(str::to_owned),
        seed: None,
        cost: characters.map(|count| ReportedCost::units(PriceUnit::Character, count)),
    })
}

/// The encoding that is asked for, or the one that the other wishes need.
fn encoding(spec: &JobSpec) -> Result<&str, ProviderError> {
    let option = |name: &str| spec.config.get(name).filter(|value| !value.is_null());
    match (option("encoding"), option("container"), option("sample_rate")) {
        (Some(Value::String(name)), _, _) => Ok(name),
        (Some(_), _, _) => Err(invalid("`encoding` must be a text")),
        (None, Some(container), _) if container == "ogg" => Ok("opus"),
        (None, Some(_), _) | (None, None, Some(_)) => Ok("linear16"),
        (None, None, None) => Ok("mp3"),
    }
}

/// Whether an encoding takes a parameter. Names that are not known go to the provider as they are.
fn applicable(encoding: &str, name: &str) -> bool {
    !matches!(
        (name, encoding),
        ("container", "mp3" | "flac" | "aac")
            | ("sample_rate", "mp3" | "aac" | "opus")
            | ("bit_rate", "linear16" | "mulaw" | "alaw" | "flac")
    )
}

/// The media type of what was asked for. Samples without a container are told apart by their rate: linear16 is 16 bit
/// little-endian mono. `None` for an encoding that is newer than this table.
fn content_type_of(encoding: &str, spec: &JobSpec) -> Option<String> {
    let container = spec.config.get("container").and_then(Value::as_str);
    let rate = |usual| spec.config.get("sample_rate").and_then(Value::as_u64).unwrap_or(usual);
    let name = match (encoding, container) {
        ("linear16" | "mulaw" | "alaw", None | Some("wav")) => "audio/wav".to_owned(),
        ("linear16", _) => format!("audio/pcm;rate={}", rate(LINEAR_RATE)),
        ("mulaw", _) => match rate(COMPANDED_RATE) {
            COMPANDED_RATE => "audio/basic".to_owned(),
            rate => format!("audio/x-mulaw;rate={rate}"),
        },
        ("alaw", _) => match rate(COMPANDED_RATE) {
            COMPANDED_RATE => "audio/x-alaw-basic".to_owned(),
            rate => format!("audio/x-alaw;rate={rate}"),
        },
        ("mp3", _) => "audio/mpeg".to_owned(),
        ("opus", _) => "audio/ogg".to_owned(),
        ("flac", _) => "audio/flac".to_owned(),
        ("aac", _) => "audio/aac".to_owned(),
        _ => return None,
    };
    Some(name)
}
