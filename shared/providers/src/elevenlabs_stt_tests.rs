use atelier_domain::ports::PreparedInput;
use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::exchange::Expects;
use crate::fixture::{call, endpoint, load, now, shown, told_cost, with_input};

fn wire() -> ElevenLabs {
    ElevenLabs::new(ElevenLabsOptions::default())
}

fn recording(config: Value) -> SubmitCall {
    let call = call(Provider::ElevenLabs, Operation::Stt, "scribe_v2", config);
    with_input(call, PreparedInput::Url("https://files.example/talk.mp3".to_owned()))
}

fn encoded(call: &SubmitCall) -> Result<HttpRequest, ProviderError> {
    wire().encode_submit(call, &endpoint("http://speech.test"))
}

fn answered(name: &str) -> Result<Answered, ProviderError> {
    let reply = load(Provider::ElevenLabs, name);
    wire().decode_submit(&reply, &recording(json!({})).spec, &endpoint("http://speech.test"), now())
}

fn finished(name: &str) -> Finished {
    match answered(name) {
        Ok(Answered::Finished(finished)) => finished,
        other => panic!("{name}: {other:?}"),
    }
}

fn document(finished: &Finished) -> Value {
    serde_json::from_slice(&finished.outputs[1].bytes).unwrap()
}

#[test]
fn a_recording_goes_as_a_url_or_as_a_file() {
    let request = encoded(&recording(json!({}))).unwrap();
    assert_eq!(
        shown(&request),
        "POST http://speech.test/v1/speech-to-text\n\
         xi-api-key: KEY\n\
         model_id = scribe_v2\n\
         source_url = https://files.example/talk.mp3"
    );
    assert_eq!(request.expects, Expects::LargeText);
    let bytes = PreparedInput::Bytes {
        content_type: "audio/mpeg".to_owned(),
        bytes: Bytes::from_static(b"ID3 and so on"),
    };
    let call = with_input(recording(json!({"enable_logging": false})), bytes);
    assert_eq!(
        shown(&encoded(&call).unwrap()),
        "POST http://speech.test/v1/speech-to-text?enable_logging=false\n\
         xi-api-key: KEY\n\
         model_id = scribe_v2\n\
         file = file file.mp3 audio/mpeg 13 bytes"
    );
}

#[test]
fn every_wish_is_a_field_and_lists_are_repeated_or_json() {
    let call = recording(json!({
        "diarize": true, "num_speakers": 3, "temperature": 0.5, "language_code": "en", "seed": null,
        "keyterms": ["fox", "lazy dog"], "secondary_language_codes": ["de"], "entity_detection": "all",
        "entity_redaction": ["pii"], "additional_formats": [{"format": "srt"}]
    }));
    let text = shown(&encoded(&call).unwrap());
    let mut fields: Vec<&str> = text.lines().skip(4).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "additional_formats = [{\"format\":\"srt\"}]",
            "diarize = true",
            "entity_detection = all",
            "entity_redaction = [\"pii\"]",
            "keyterms = fox",
            "keyterms = lazy dog",
            "language_code = en",
            "num_speakers = 3",
            "secondary_language_codes = de",
            "temperature = 0.5",
        ]
    );
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    let mut nothing = recording(json!({}));
    nothing.input = None;
    let large = PreparedInput::Bytes {
        content_type: "audio/wav".to_owned(),
        bytes: vec![0; 32 * 1024 * 1024 + 1].into(),
    };
    for (call, part) in [
        (nothing, "an input is needed"),
        (with_input(recording(json!({})), large), "at most 33554432 are sent"),
        (recording(json!({"webhook": true})), "`webhook` is not known"),
        (recording(json!({"source_url": "https://x.example"})), "`source_url` is not known"),
        (recording(json!({"diarize": {}})), "`diarize` must be"),
        (recording(json!({"keyterms": [["x"]]})), "`keyterms` must be"),
        (recording(json!({"enable_logging": 1})), "`enable_logging` must be"),
    ] {
        match encoded(&call) {
            Err(ProviderError::Invalid { message, .. }) => assert!(message.contains(part), "{message}"),
            other => panic!("{part}: {other:?}"),
        }
    }
}

#[test]
fn only_recordings_are_inputs_and_they_are_waited_for_longer() {
    let endpoint = endpoint("http://speech.test");
    let speech = call(Provider::ElevenLabs, Operation::Tts, "eleven_v3", json!({})).spec;
    let heard = recording(json!({})).spec;
    assert_eq!(wire().input_forms(&speech, None), InputForms { takes_url: false, max_bytes: None });
    assert_eq!(wire().input_forms(&heard, None), InputForms { takes_url: true, max_bytes: Some(33_554_432) });
    assert_eq!(wire().submit_timeout(&speech, &endpoint), endpoint.submit_timeout);
    assert_eq!(wire().submit_timeout(&heard, &endpoint).as_secs(), 900);
}

#[test]
fn a_transcript_keeps_words_and_sounds_without_blanks() {
    let finished = finished("transcript_200_single");
    assert_eq!(finished.text.as_deref(), Some("Hello you. (laughter)"));
    assert_eq!(finished.request_id.as_deref(), Some("req_stt"));
    assert_eq!(told_cost(finished.cost), "2.5 AudioSecond");
    assert_eq!(finished.outputs[0].bytes, "Hello you. (laughter)");
    let document = document(&finished);
    let texts: Vec<&str> =
        document["words"].as_array().unwrap().iter().map(|word| word["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Hello", "you.", "(laughter)"]);
    assert_eq!(
        document["words"][0],
        json!({
            "text": "Hello", "start_s": 0.1, "end_s": 0.4, "speaker": "speaker_0", "confidence": 0.9048, "channel": null
        })
    );
    assert_eq!((&document["language"], &document["duration_s"]), (&json!("eng"), &json!(2.5)));
    assert_eq!((&document["provider"], &document["model"]), (&json!("elevenlabs"), &json!("scribe_v2")));
    let own = load(Provider::ElevenLabs, "transcript_200_single").json().unwrap();
    assert_eq!(document["provider_result"], own);
}

#[test]
fn further_formats_are_further_files() {
    let finished = finished("transcript_200_formats");
    let files: Vec<(Option<&str>, &[u8])> =
        finished.outputs[2..].iter().map(|file| (file.content_type.as_deref(), &file.bytes[..])).collect();
    assert_eq!(
        files,
        [
            (Some("text/plain; charset=utf-8"), b"1\n00:00:00,100 --> 00:00:00,900\nHello you.\n".as_slice()),
            (Some("application/json"), b"{\"segments\": []}"),
            (Some("application/pdf"), b"%PDF-1.4"),
        ]
    );
    let document = document(&finished);
    assert!(document["provider_result"].get("additional_formats").is_none(), "they are not kept twice");
    assert_eq!(finished.request_id.as_deref(), Some("t-1"), "where no header names the request");
}

#[test]
fn channels_are_told_apart_and_billed_each() {
    for (name, text) in
        [("transcript_200_channels", "Hello\nyou."), ("transcript_200_combined", "Hello you.")]
    {
        let finished = finished(name);
        assert_eq!(finished.text.as_deref(), Some(text), "{name}");
        assert_eq!(told_cost(finished.cost), "5 AudioSecond", "{name}");
        let document = document(&finished);
        assert_eq!(document["words"][0]["channel"], 0, "{name}");
        assert_eq!(document["words"][1]["channel"], 1, "{name}");
    }
}

#[test]
fn the_length_is_the_one_told_or_the_end_of_the_last_word() {
    assert_eq!(told_cost(finished("transcript_200_without_length").cost), "0.9 AudioSecond");
    assert_eq!(told_cost(finished("transcript_200_without_times").cost), "1 AudioSecond");
    let silence = finished("transcript_200_silence");
    assert_eq!((silence.text.as_deref(), &silence.outputs[0].bytes[..]), (Some(""), b"\n".as_slice()));
}

#[test]
fn an_answer_without_a_transcript_is_an_unknown_outcome() {
    for name in ["transcript_202_webhook", "transcript_200_not_json", "transcript_200_odd_text"] {
        let found = answered(name);
        assert!(matches!(found, Err(ProviderError::UnknownOutcome { .. })), "{name}: {found:?}");
    }
}

#[test]
fn errors_mean_the_same_as_for_speech() {
    for (name, label) in [
        ("submit_401_quota_exceeded", "quota"),
        ("submit_422_validation", "invalid"),
        ("submit_429_rate_limit", "rate_limited"),
        ("submit_502_page", "unknown_outcome"),
    ] {
        assert_eq!(answered(name).unwrap_err().label(), label, "{name}");
    }
}
