//! ElevenLabs' transcripts: words with the blanks between them, and the same in other formats.

use serde_json::{Map, Value, json};

use crate::elevenlabs_stt_input::{Granularity, Order};
use crate::transcript::{Heard, Word, joined};

/// What is heard at the end of a recording that the simulator did not make.
const EVENT: &str = "(music)";
/// Codes of three letters for those of two that callers are most likely to send.
const LANGUAGES: [(&str, &str); 8] = [
    ("en", "eng"),
    ("de", "deu"),
    ("es", "spa"),
    ("fr", "fra"),
    ("it", "ita"),
    ("ja", "jpn"),
    ("nl", "nld"),
    ("tr", "tur"),
];

pub(crate) fn body(order: &Order, heard: &Heard, transcription_id: Option<&str>) -> Value {
    let channels = if order.multichannel { heard.channels } else { 1 };
    let mut body = if channels > 1 && !order.combines_channels {
        json!({"transcripts": (0..channels).map(|index| chunk(order, heard, &[index])).collect::<Vec<_>>()})
    } else {
        let all: Vec<u32> = (0..channels).collect();
        chunk(order, heard, &all)
    };
    if let Value::Object(body) = &mut body {
        body.insert("transcription_id".to_owned(), json!(transcription_id));
        body.insert("audio_duration_secs".to_owned(), heard.seconds.into());
    }
    body
}

/// Why the simulator does not make an export.
pub(crate) fn unfit_export(export: &Value) -> Option<String> {
    let name = export_name(export);
    matches!(name, "docx" | "pdf").then(|| format!("The simulator makes no {name}."))
}

fn chunk(order: &Order, heard: &Heard, channels: &[u32]) -> Value {
    let words = entries(order, heard, channels);
    let text: String = words.iter().filter_map(|word| word.get("text").and_then(Value::as_str)).collect();
    let (language, probability) = match order.language.as_deref() {
        None => ("eng", 0.98),
        Some(code) => {
            let long = LANGUAGES.iter().find(|(short, _)| *short == code).map(|(_, long)| *long);
            (long.unwrap_or(code), 1.0)
        }
    };
    let mut chunk = json!({
        "language_code": language, "language_probability": probability, "text": text, "words": words,
    });
    if let Value::Object(chunk) = &mut chunk {
        if let (true, [channel]) = (order.multichannel, channels) {
            chunk.insert("channel_index".to_owned(), (*channel).into());
        }
        if order.detects_entities {
            chunk.insert("entities".to_owned(), json!([]));
        }
        if order.edit.is_some() {
            let edited = json!({"kind": "transcript", "text": text, "edited_text": text});
            chunk.insert("edited_transcript".to_owned(), edited);
        }
        if !order.exports.is_empty() {
            let exports: Vec<Value> =
                order.exports.iter().map(|export| exported(export, order, heard)).collect();
            chunk.insert("additional_formats".to_owned(), exports.into());
        }
    }
    chunk
}

/// Words, blanks and events in order. Channels that are combined say the same at the same time.
fn entries(order: &Order, heard: &Heard, channels: &[u32]) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut last_end = 0.0;
    for (index, word) in heard.words.iter().enumerate() {
        for (place, channel) in channels.iter().enumerate() {
            if index + place > 0 {
                entries.push(entry(
                    order,
                    " ",
                    "spacing",
                    (last_end, word.start.max(last_end)),
                    word,
                    *channel,
                ));
            }
            entries.push(entry(order, &word.text, "word", (word.start, word.end), word, *channel));
        }
        last_end = word.end;
    }
    if let (Some(word), Some(channel), true) =
        (heard.words.last(), channels.last(), order.tags_events && !heard.is_known)
    {
        entries.push(entry(order, " ", "spacing", (word.end, word.end), word, *channel));
        let end = heard.seconds.max(word.end);
        entries.push(entry(order, EVENT, "audio_event", (word.end, end), word, *channel));
    }
    entries
}

fn entry(order: &Order, text: &str, kind: &str, time: (f64, f64), word: &Word, channel: u32) -> Value {
    let (start, end) = time;
    let mut entry = Map::new();
    entry.insert("text".to_owned(), text.into());
    entry.insert("type".to_owned(), kind.into());
    entry.insert("logprob".to_owned(), word.confidence.ln().into());
    if order.granularity != Granularity::None {
        entry.insert("start".to_owned(), start.into());
        entry.insert("end".to_owned(), end.into());
    }
    if order.granularity == Granularity::Character && kind == "word" {
        let count = text.chars().count();
        let step = (end - start) / count.max(1) as f64;
        let characters = text.chars().enumerate().map(|(index, character)| {
            let start = start + index as f64 * step;
            json!({"text": character, "start": start, "end": start + step})
        });
        entry.insert("characters".to_owned(), characters.collect());
    }
    if let Some(name) = speaker(order, word) {
        entry.insert("speaker_id".to_owned(), name.into());
    }
    if order.multichannel {
        entry.insert("channel_index".to_owned(), channel.into());
    }
    entry.into()
}

/// Speakers take turns, a sentence each.
fn speaker(order: &Order, word: &Word) -> Option<String> {
    let number = word.sentence % order.speakers?.max(1);
    Some(match (order.names_roles, number) {
        (false, number) => format!("speaker_{number}"),
        (true, 0) => "agent".to_owned(),
        (true, _) => "customer".to_owned(),
    })
}

fn export_name(export: &Value) -> &str {
    export.get("format").and_then(Value::as_str).unwrap_or_default()
}

/// One of the `additional_formats`.
fn exported(export: &Value, order: &Order, heard: &Heard) -> Value {
    let name = export_name(export);
    let segments = Segment::all(export, order, heard);
    let (extension, content_type, content) = match name {
        "srt" => ("srt", "text/srt", srt(&segments)),
        "html" => ("html", "text/html", html(&segments)),
        "segmented_json" => ("json", "application/json", segmented(&segments)),
        _ => ("txt", "text/plain", txt(&segments, export)),
    };
    json!({
        "requested_format": name, "file_extension": extension, "content_type": content_type,
        "is_base64_encoded": false, "content": content,
    })
}

/// A sentence of an export.
struct Segment {
    text: String,
    start: f64,
    end: f64,
}

impl Segment {
    fn all(export: &Value, order: &Order, heard: &Heard) -> Vec<Self> {
        let names_speakers = export.get("include_speakers").and_then(Value::as_bool).unwrap_or(false);
        let sentences = heard.words.chunk_by(|word, next| word.sentence == next.sentence);
        sentences
            .filter_map(|words| {
                let (first, last) = (words.first()?, words.last()?);
                let text = joined(words);
                let name = speaker(order, first).filter(|_| names_speakers);
                let text = name.map_or(text.clone(), |name| format!("[{name}] {text}"));
                Some(Self { text, start: first.start, end: last.end })
            })
            .collect()
    }
}

fn srt(segments: &[Segment]) -> String {
    let numbered = segments.iter().enumerate();
    numbered
        .map(|(index, Segment { text, start, end })| {
            format!("{}\n{} --> {}\n{text}\n\n", index + 1, clock(*start), clock(*end))
        })
        .collect()
}

fn txt(segments: &[Segment], export: &Value) -> String {
    let tells_times = export.get("include_timestamps").and_then(Value::as_bool).unwrap_or(false);
    let line = |Segment { text, start, end }: &Segment| match tells_times {
        true => format!("[{start:.2} - {end:.2}] {text}"),
        false => text.clone(),
    };
    segments.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn html(segments: &[Segment]) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let paragraphs: String =
        segments.iter().map(|segment| format!("<p>{}</p>", escaped(&segment.text))).collect();
    format!("<!DOCTYPE html>\n<html><body>{paragraphs}</body></html>\n")
}

fn segmented(segments: &[Segment]) -> String {
    let list =
        segments.iter().map(|Segment { text, start, end }| json!({"text": text, "start": start, "end": end}));
    json!({"segments": list.collect::<Vec<_>>()}).to_string()
}

/// Hours, minutes, seconds and thousandths as subtitles have them.
fn clock(seconds: f64) -> String {
    let thousandths = (seconds * 1000.0).round() as u64;
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    format!("{:02}:{:02}:{:02},{rest:03}", whole / 3600, whole / 60 % 60, whole % 60)
}
