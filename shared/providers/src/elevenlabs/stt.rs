//! ElevenLabs' speech to text: a form to `POST /v1/speech-to-text`, whose answer is the transcript.

use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::money::{PriceUnit, ReportedCost};
use atelier_domain::operation::Provider;
use atelier_domain::ports::{Finished, FinishedOutput, PreparedInput, SubmitCall};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::Value;

use super::speak::append_logging;
use crate::asked::{options, plain_text, recording};
use crate::exchange::{Body, Expects, FormPart, HttpRequest};
use crate::transcript::{Transcript, Word, file, joined};
use crate::wire::{Endpoint, invalid, key_header};

/// Options that are one field each.
const FIELDS: &[&str] = &[
    "language_code",
    "tag_audio_events",
    "num_speakers",
    "timestamps_granularity",
    "diarize",
    "diarization_threshold",
    "file_format",
    "temperature",
    "seed",
    "use_multi_channel",
    "multichannel_output_style",
    "entity_redaction_mode",
    "no_verbatim",
    "use_speaker_library",
    "detect_speaker_roles",
    "numbers_format",
    "transcript_edit",
];
/// Options that are a field for each entry.
const REPEATED_FIELDS: &[&str] = &["keyterms", "secondary_language_codes"];
/// Options that are JSON within a field.
const JSON_FIELDS: &[&str] = &["additional_formats", "entity_detection", "entity_redaction"];

pub(super) fn encode(
    call: &SubmitCall,
    max_bytes: u64,
    endpoint: &Endpoint,
) -> Result<HttpRequest, ProviderError> {
    let spec = &call.spec;
    let mut parts = vec![FormPart::text("model_id", &spec.model), source(call, max_bytes)?];
    for (name, value) in options(spec) {
        match name {
            "enable_logging" => {}
            name if FIELDS.contains(&name) => parts.push(FormPart::text(name, plain(name, value)?)),
            name if REPEATED_FIELDS.contains(&name) => {
                let entries = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                for entry in entries {
                    parts.push(FormPart::text(name, plain(name, entry)?));
                }
            }
            // A single word may stand without its quotes.
            name if JSON_FIELDS.contains(&name) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                parts.push(FormPart::text(name, text));
            }
            other => return Err(invalid(format!("the option `{other}` is not known for elevenlabs"))),
        }
    }
    let mut url = endpoint.url(["v1", "speech-to-text"]);
    append_logging(&mut url, spec)?;
    Ok(HttpRequest {
        method: Method::POST,
        url,
        template: Some("/v1/speech-to-text"),
        headers: vec![key_header("xi-api-key", "", &call.key)?],
        body: Body::Form(parts),
        expects: Expects::LargeText,
    })
}

/// The result in an answer; `None` when no transcript is in it.
pub(super) fn finished(mut body: Value, spec: &JobSpec) -> Option<Finished> {
    let transcripts = match body.get("transcripts") {
        Some(list) => list.as_array()?.iter().collect(),
        None => vec![&body],
    };
    let texts: Vec<&str> =
        transcripts.iter().map(|entry| entry.get("text")?.as_str()).collect::<Option<_>>()?;
    let text = joined(texts);
    let words: Vec<Word> = transcripts.iter().copied().flat_map(words_of).collect();
    let language = transcripts.iter().find_map(|entry| entry.get("language_code")?.as_str());
    let exports: Vec<FinishedOutput> = transcripts.iter().copied().flat_map(exports_of).collect();
    // Older answers do not tell the length; the last word ends not long before it.
    let told = body.get("audio_duration_secs").and_then(Value::as_f64);
    let seconds = told.or_else(|| words.iter().filter_map(|word| word.end_s).reduce(f64::max));
    // Channels that are heard apart are billed each, also when they come as one transcript.
    let channels =
        words.iter().filter_map(|word| word.channel).max().map_or(1, |last| last.saturating_add(1));
    let channels = channels.max(transcripts.len() as u64);
    let language = language.map(str::to_owned);
    let request_id = body.get("transcription_id").and_then(Value::as_str).map(str::to_owned);
    // They are files of their own.
    remove_exports(&mut body);
    let transcript = Transcript {
        text,
        language,
        duration_s: seconds,
        words,
        utterances: None,
        provider: Provider::ElevenLabs,
        model: spec.model.clone(),
        provider_result: body,
    };
    let mut outputs = transcript.files();
    outputs.extend(exports);
    Some(Finished {
        outputs,
        text: Some(transcript.text),
        request_id,
        cost: seconds
            .and_then(|seconds| ReportedCost::seconds(PriceUnit::AudioSecond, seconds * channels as f64)),
    })
}

fn source(call: &SubmitCall, max_bytes: u64) -> Result<FormPart, ProviderError> {
    Ok(match recording(call, max_bytes)? {
        PreparedInput::Url(url) => FormPart::text("source_url", url),
        PreparedInput::Bytes { content_type, bytes } => FormPart::file("file", content_type, bytes.clone()),
    })
}

fn plain(name: &str, value: &Value) -> Result<String, ProviderError> {
    plain_text(value).ok_or_else(|| invalid(format!("`{name}` must be a text, a number, or true or false")))
}

/// The words and the sounds between them; blanks are left out.
fn words_of(transcript: &Value) -> impl Iterator<Item = Word> + '_ {
    let own_channel = transcript.get("channel_index").and_then(Value::as_u64);
    let entries = transcript.get("words").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_blank = |entry: &Value| entry.get("type").and_then(Value::as_str) == Some("spacing");
    entries.iter().filter(move |entry| !is_blank(entry)).map(move |entry| {
        let number = |name: &str| entry.get(name).and_then(Value::as_f64);
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
        Word {
            text: text("text").unwrap_or_default(),
            start_s: number("start"),
            end_s: number("end"),
            speaker: text("speaker_id"),
            // A probability, given as its logarithm; four digits are more than it is worth.
            confidence: number("logprob")
                .map(|log| (log.exp().clamp(0.0, 1.0) * 10_000.0).round() / 10_000.0),
            channel: entry.get("channel_index").and_then(Value::as_u64).or(own_channel),
        }
    })
}

/// The further formats that were asked for, in their order.
fn exports_of(transcript: &Value) -> Vec<FinishedOutput> {
    let list = transcript.get("additional_formats").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(|export| {
            let content = export.get("content")?.as_str()?;
            if export.get("is_base64_encoded").and_then(Value::as_bool) == Some(true) {
                let claimed = export.get("content_type").and_then(Value::as_str);
                let bytes = STANDARD.decode(content).ok()?;
                return Some(file(bytes, claimed.unwrap_or("application/octet-stream")));
            }
            // Pages and subtitles are kept as the texts that they are.
            let is_json = export.get("file_extension").and_then(Value::as_str) == Some("json");
            let content_type = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
            (!content.is_empty()).then(|| file(content.to_owned(), content_type))
        })
        .collect()
}

fn remove_exports(body: &mut Value) {
    let lists = body.get_mut("transcripts").and_then(Value::as_array_mut);
    for entry in lists.into_iter().flatten() {
        remove_exports(entry);
    }
    if let Value::Object(fields) = body {
        fields.remove("additional_formats");
    }
}
