//! Transcripts of all providers in one form.

use atelier_domain::operation::Provider;
use atelier_domain::ports::FinishedOutput;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

/// A transcript as it is kept: the JSON of its second file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Transcript {
    pub(crate) text: String,
    /// The provider's code for the language, where it tells one.
    pub(crate) language: Option<String>,
    pub(crate) duration_s: Option<f64>,
    pub(crate) words: Vec<Word>,
    /// What was said without a break, where the provider was asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) utterances: Option<Vec<Utterance>>,
    pub(crate) provider: Provider,
    pub(crate) model: String,
    /// The provider's own answer.
    pub(crate) provider_result: Value,
}

/// A word, or a sound in brackets that is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) start_s: Option<f64>,
    pub(crate) end_s: Option<f64>,
    pub(crate) speaker: Option<String>,
    /// 0 to 1.
    pub(crate) confidence: Option<f64>,
    /// Counts from 0; only where channels were heard apart.
    pub(crate) channel: Option<u64>,
}

/// What was said without a break.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Utterance {
    pub(crate) text: String,
    pub(crate) start_s: Option<f64>,
    pub(crate) end_s: Option<f64>,
    pub(crate) speaker: Option<String>,
    pub(crate) channel: Option<u64>,
}

impl Transcript {
    /// Its two files: the text, and everything as JSON.
    pub(crate) fn files(&self) -> Vec<FinishedOutput> {
        // A recording in which nothing is said is no failure, but an empty file would pass for one.
        let text = if self.text.is_empty() { "\n" } else { &self.text };
        // Texts and numbers always have a JSON form.
        let json = serde_json::to_vec(self).unwrap_or_default();
        vec![file(text.to_owned(), "text/plain; charset=utf-8"), file(json, "application/json")]
    }
}

/// One file of a result.
pub(crate) fn file(bytes: impl Into<Bytes>, content_type: &str) -> FinishedOutput {
    FinishedOutput {
        bytes: bytes.into(),
        content_type: Some(content_type.to_owned()),
        seed: None,
        revised_prompt: None,
    }
}

/// The texts of several channels as one: those that are not empty, a line each.
pub(crate) fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn transcript(text: &str) -> Transcript {
        Transcript {
            text: text.to_owned(),
            language: None,
            duration_s: Some(1.5),
            words: vec![Word { text: "hello".to_owned(), start_s: Some(0.1), ..Word::default() }],
            utterances: None,
            provider: Provider::Deepgram,
            model: "nova-3".to_owned(),
            provider_result: json!({"own": true}),
        }
    }

    #[test]
    fn a_transcript_is_a_text_and_a_json_file() {
        let files = transcript("hello").files();
        assert_eq!(files[0].bytes, "hello");
        let document: Value = serde_json::from_slice(&files[1].bytes).unwrap();
        assert_eq!(
            document,
            json!({
                "text": "hello", "language": null, "duration_s": 1.5, "provider": "deepgram", "model": "nova-3",
                "words": [{
                    "text": "hello", "start_s": 0.1, "end_s": null, "speaker": null, "confidence": null, "channel": null
                }],
                "provider_result": {"own": true}
            })
        );
    }

    #[test]
    fn silence_is_not_an_empty_file() {
        assert_eq!(transcript("").files()[0].bytes, "\n");
    }

    #[test]
    fn channels_are_lines() {
        assert_eq!(joined(["one", "", "two"]), "one\ntwo");
    }
}
