//! Deepgram's speech to text: `POST /v1/listen`, whose answer is the transcript.

use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::money::{PriceUnit, ReportedCost};
use atelier_domain::operation::Provider;
use atelier_domain::ports::{Finished, PreparedInput, SubmitCall};
use http::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::speak::VOICE_PREFIX;
use crate::asked::{options, plain_text, recording};
use crate::exchange::{Body, Expects, HttpRequest};
use crate::transcript::{Transcript, Utterance, Word, joined};
use crate::wire::{Endpoint, invalid, key_header};

/// Parameters that no option may set: the model is the job's, and results go nowhere else.
const OWN_PARAMETERS: [&str; 3] = ["model", "callback", "callback_method"];

pub(super) fn encode(
    call: &SubmitCall,
    callback: Option<&str>,
    max_bytes: u64,
    endpoint: &Endpoint,
) -> Result<HttpRequest, ProviderError> {
    let spec = &call.spec;
    if spec.model.starts_with(VOICE_PREFIX) {
        return Err(invalid(format!("`{}` is a voice; it hears nothing", spec.model)));
    }
    let body = match recording(call, max_bytes)? {
        PreparedInput::Url(url) => Body::Json(json!({ "url": url })),
        PreparedInput::Bytes { content_type, bytes } => {
            Body::Bytes { content_type: content_type.clone(), bytes: bytes.clone() }
        }
    };
    let mut url = endpoint.url(["v1", "listen"]);
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("model", &spec.model);
        for (name, value) in options(spec) {
            append(&mut query, name, value)?;
        }
        if let Some(callback) = callback {
            query.append_pair("callback", callback);
        }
    }
    Ok(HttpRequest {
        method: Method::POST,
        url,
        template: Some("/v1/listen"),
        headers: vec![key_header("authorization", "Token ", &call.key)?],
        body,
        expects: Expects::LargeText,
    })
}

/// One option as a parameter; a list as one of the same name each.
pub(super) fn append(
    query: &mut form_urlencoded::Serializer<'_, url::UrlQuery<'_>>,
    name: &str,
    value: &Value,
) -> Result<(), ProviderError> {
    if OWN_PARAMETERS.contains(&name) {
        return Err(invalid(format!("`{name}` cannot be set")));
    }
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    for value in values {
        let text = plain_text(value).ok_or_else(|| {
            invalid(format!("`{name}` must be a text, a number, true or false, or a list of them"))
        })?;
        query.append_pair(name, &text);
    }
    Ok(())
}

/// The result in a transcription's answer, which is the same in a callback; there the job is not at hand, and what it
/// asked for is read from the answer. `None` when there is no transcript in it.
pub(super) fn finished(body: Value, spec: Option<&JobSpec>) -> Option<Finished> {
    let metadata = body.get("metadata").unwrap_or(&Value::Null);
    let results = body.get("results")?;
    let channels = results.get("channels")?.as_array()?;
    let best: Vec<&Value> = channels.iter().map(best_alternative).collect::<Option<_>>()?;
    let texts: Vec<&str> = best.iter().map(|best| text_of(best, "transcript")).collect::<Option<_>>()?;
    let is_apart = channels.len() > 1;
    let text = joined(texts);
    let words = best.iter().zip(0..).flat_map(|(best, channel)| {
        let words = best.get("words").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        words.iter().map(move |word| word_of(word, is_apart.then_some(channel)))
    });
    let utterances = results.get("utterances").and_then(Value::as_array);
    let utterances = utterances.map(|list| list.iter().map(|entry| utterance(entry, is_apart)).collect());
    let seconds = metadata.get("duration").and_then(Value::as_f64);
    let cost = seconds.map(|seconds| seconds * channels.len() as f64);
    let transcript = Transcript {
        language: language(channels, &best, spec),
        duration_s: seconds,
        words: words.collect(),
        utterances,
        provider: Provider::Deepgram,
        model: spec.map_or_else(|| model_of(metadata), |spec| spec.model.clone()),
        text,
        provider_result: Value::Null,
    };
    let request_id = text_of(metadata, "request_id").filter(|id| !id.is_empty()).map(str::to_owned);
    let transcript = Transcript { provider_result: body, ..transcript };
    Some(Finished {
        outputs: transcript.files(),
        text: Some(transcript.text),
        request_id,
        cost: cost.and_then(|seconds| ReportedCost::seconds(PriceUnit::AudioSecond, seconds)),
    })
}

fn best_alternative(channel: &Value) -> Option<&Value> {
    channel.get("alternatives")?.as_array()?.first()
}

fn text_of<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

fn number_of(value: &Value, name: &str) -> Option<f64> {
    value.get(name)?.as_f64()
}

fn speaker(value: &Value) -> Option<String> {
    value.get("speaker")?.as_u64().map(|number| format!("speaker_{number}"))
}

fn word_of(word: &Value, channel: Option<u64>) -> Word {
    let text = text_of(word, "punctuated_word").or_else(|| text_of(word, "word"));
    Word {
        text: text.unwrap_or_default().to_owned(),
        start_s: number_of(word, "start"),
        end_s: number_of(word, "end"),
        speaker: speaker(word),
        confidence: number_of(word, "confidence"),
        channel,
    }
}

fn utterance(entry: &Value, is_apart: bool) -> Utterance {
    Utterance {
        text: text_of(entry, "transcript").unwrap_or_default().to_owned(),
        start_s: number_of(entry, "start"),
        end_s: number_of(entry, "end"),
        speaker: speaker(entry),
        channel: entry.get("channel").and_then(Value::as_u64).filter(|_| is_apart),
    }
}

/// The language that was found, the first of several, or the one that was asked for.
fn language(channels: &[Value], best: &[&Value], spec: Option<&JobSpec>) -> Option<String> {
    let detected = channels.iter().find_map(|channel| text_of(channel, "detected_language"));
    let several = || best.iter().find_map(|best| best.get("languages")?.as_array()?.first()?.as_str());
    let asked = || spec?.config.get("language")?.as_str().filter(|language| *language != "multi");
    detected.or_else(several).or_else(asked).map(str::to_owned)
}

/// The name of the first model that was used.
fn model_of(metadata: &Value) -> String {
    let id = metadata.get("models").and_then(Value::as_array).and_then(|models| models.first()?.as_str());
    let info = id.and_then(|id| metadata.get("model_info")?.get(id)?.get("arch")?.as_str());
    info.or(id).unwrap_or_default().to_owned()
}
