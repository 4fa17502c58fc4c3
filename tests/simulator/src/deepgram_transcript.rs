//! Deepgram's answer to a transcription.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::deepgram_listen::{Model, Order};
use crate::state::uuid;
use crate::transcript::{Heard, Word, joined};

const SENTENCES_OF_PARAGRAPH: usize = 3;
/// Two speakers take turns, a sentence each.
const SPEAKERS: usize = 2;
const VERSION: &str = "2025-07-31.0";

pub(crate) fn body(order: &Order, heard: &Heard, request_id: &str) -> Value {
    let channels = if order.multichannel { heard.channels.max(1) } else { 1 };
    let mut results = Map::new();
    results.insert("channels".to_owned(), (0..channels).map(|_| channel(order, heard)).collect());
    if order.utterances {
        let utterances = (0..channels).flat_map(|index| utterances(order, heard, request_id, index));
        results.insert("utterances".to_owned(), utterances.collect());
    }
    if order.summarizes {
        let short = sentences(&heard.words).first().map_or_else(String::new, |words| joined(words));
        results.insert("summary".to_owned(), json!({"result": "success", "short": short}));
    }
    json!({"metadata": metadata(order, heard, request_id), "results": results})
}

/// The id of a model.
pub(crate) fn model_id(model: Model) -> String {
    uuid(&Sha256::digest(canonical_name(model)).into())
}

/// The name of a model in answers.
pub(crate) fn canonical_name(model: Model) -> String {
    format!("{}-{}", model.variant, model.family)
}

/// The description of a model in answers.
pub(crate) fn model_info(model: Model) -> Value {
    json!({"name": canonical_name(model), "version": VERSION, "arch": model.family})
}

fn metadata(order: &Order, heard: &Heard, request_id: &str) -> Value {
    let id = model_id(order.model);
    let mut metadata = json!({
        "transaction_key": "deprecated",
        "request_id": request_id,
        "sha256": heard.sha256(),
        "created": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        "duration": heard.seconds,
        "channels": heard.channels,
        "models": [id],
    });
    let mut add = |name: &str, value: Value| {
        if let Value::Object(metadata) = &mut metadata {
            metadata.insert(name.to_owned(), value);
        }
    };
    let models: Map<String, Value> = [(id, model_info(order.model))].into_iter().collect();
    add("model_info", models.into());
    if let Some(diarizer) = order.diarizes {
        let id = uuid(&Sha256::digest(format!("diarizer {diarizer}")).into());
        add("diarize_info", json!({"model_uuid": id, "arch": diarizer}));
    }
    if order.summarizes {
        let id = uuid(&Sha256::digest("summarizer").into());
        add("summary_info", json!({"model_uuid": id, "input_tokens": heard.words.len(), "output_tokens": 8}));
    }
    if !order.tags.is_empty() {
        add("tags", json!(order.tags));
    }
    if !order.extra.is_empty() {
        let pairs = order.extra.iter().filter_map(|pair| pair.split_once(':'));
        add(
            "extra",
            pairs.map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>().into(),
        );
    }
    metadata
}

fn channel(order: &Order, heard: &Heard) -> Value {
    let words: Vec<Value> = heard.words.iter().map(|word| word_entry(order, word)).collect();
    let confidence = average(&heard.words);
    let mut alternative = json!({
        "transcript": transcript(order, &heard.words), "confidence": confidence, "words": words,
    });
    if order.paragraphs
        && let Value::Object(alternative) = &mut alternative
    {
        alternative.insert("paragraphs".to_owned(), paragraphs(order, &heard.words));
    }
    if order.language.as_deref() == Some("multi")
        && let Value::Object(alternative) = &mut alternative
    {
        alternative.insert("languages".to_owned(), json!(["en"]));
    }
    let mut channel = json!({"alternatives": [alternative]});
    if let Value::Object(channel) = &mut channel {
        if order.detects_language {
            channel.insert("detected_language".to_owned(), "en".into());
            channel.insert("language_confidence".to_owned(), 0.99.into());
        }
        if !order.search.is_empty() {
            let found = order.search.iter().map(|query| json!({"query": query, "hits": hits(query, heard)}));
            channel.insert("search".to_owned(), found.collect());
        }
    }
    channel
}

fn word_entry(order: &Order, word: &Word) -> Value {
    let mut entry = json!({
        "word": plain(&word.text), "start": word.start, "end": word.end, "confidence": word.confidence,
    });
    if let Value::Object(entry) = &mut entry {
        if order.punctuates {
            entry.insert("punctuated_word".to_owned(), word.text.clone().into());
        }
        if order.diarizes.is_some() {
            entry.insert("speaker".to_owned(), speaker(word).into());
            entry.insert("speaker_confidence".to_owned(), word.confidence.into());
        }
    }
    entry
}

fn paragraphs(order: &Order, words: &[Word]) -> Value {
    let sentences = sentences(words);
    // Nobody shares a paragraph with another speaker.
    let length = if order.diarizes.is_some() { 1 } else { SENTENCES_OF_PARAGRAPH };
    let mut texts = Vec::new();
    let paragraphs: Vec<Value> = sentences
        .chunks(length)
        .map(|group| {
            let text = group.iter().map(|words| joined(words)).collect::<Vec<_>>().join(" ");
            let (start, end) = bounds(&group.concat());
            let entries: Vec<Value> = group
                .iter()
                .map(|words| {
                    let (start, end) = bounds(words);
                    json!({"text": joined(words), "start": start, "end": end})
                })
                .collect();
            let count: usize = group.iter().map(|words| words.len()).sum();
            let mut paragraph = json!({"sentences": entries, "num_words": count, "start": start, "end": end});
            match (order.diarizes, group.iter().flat_map(|words| words.first()).next(), &mut paragraph) {
                (Some(_), Some(word), Value::Object(paragraph)) => {
                    paragraph.insert("speaker".to_owned(), speaker(word).into());
                    texts.push(format!("\nSpeaker {}: {text}", speaker(word)));
                }
                _ => texts.push(text),
            }
            paragraph
        })
        .collect();
    json!({"transcript": texts.join("\n\n"), "paragraphs": paragraphs})
}

fn utterances(order: &Order, heard: &Heard, request_id: &str, channel: u32) -> Vec<Value> {
    let entry = |(index, words): (usize, &&[Word])| {
        let (start, end) = bounds(words);
        let entries: Vec<Value> = words.iter().map(|word| word_entry(order, word)).collect();
        let id = uuid(&Sha256::digest(format!("{request_id} {channel} {index}")).into());
        let mut utterance = json!({
            "start": start, "end": end, "confidence": average(words), "channel": channel,
            "transcript": transcript(order, words), "words": entries, "id": id,
        });
        if let (Some(_), Some(word), Value::Object(utterance)) =
            (order.diarizes, words.first(), &mut utterance)
        {
            utterance.insert("speaker".to_owned(), speaker(word).into());
        }
        utterance
    };
    sentences(&heard.words).iter().enumerate().map(entry).collect()
}

/// The places where a text that was searched for is heard.
fn hits(query: &str, heard: &Heard) -> Vec<Value> {
    let wanted: Vec<String> = query.split_whitespace().map(plain).collect();
    let places = heard.words.windows(wanted.len().max(1));
    let found = places.filter(|words| words.iter().map(|word| plain(&word.text)).eq(wanted.iter().cloned()));
    found
        .map(|words| {
            let (start, end) = bounds(words);
            json!({"confidence": average(words), "start": start, "end": end, "snippet": joined(words)})
        })
        .collect()
}

fn sentences(words: &[Word]) -> Vec<&[Word]> {
    words.chunk_by(|word, next| word.sentence == next.sentence).collect()
}

fn transcript(order: &Order, words: &[Word]) -> String {
    if order.punctuates {
        return joined(words);
    }
    words.iter().map(|word| plain(&word.text)).collect::<Vec<_>>().join(" ")
}

/// A word in small letters without the signs around it.
fn plain(text: &str) -> String {
    let bare = text.trim_matches(|character: char| !character.is_alphanumeric());
    if bare.is_empty() { text.to_lowercase() } else { bare.to_lowercase() }
}

fn speaker(word: &Word) -> usize {
    word.sentence % SPEAKERS
}

fn bounds(words: &[Word]) -> (f64, f64) {
    (words.first().map_or(0.0, |word| word.start), words.last().map_or(0.0, |word| word.end))
}

/// The mean confidence; nothing was heard with none.
fn average(words: &[Word]) -> f64 {
    words.iter().map(|word| word.confidence).sum::<f64>() / words.len().max(1) as f64
}
