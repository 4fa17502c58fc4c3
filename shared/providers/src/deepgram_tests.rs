use std::collections::BTreeMap;

use atelier_domain::money::{PriceUnit, ReportedCost};
use atelier_domain::ports::PreparedInput;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::fixture::{assert_table, call, endpoint, load, now, shown, with_input};

const KEY_ID: &str = "11111111-2222-4333-8444-555555555555";
const REQUEST_ID: &str = "b8f1c2d3-0001-4a5b-8c6d-7e8f90a1b2c3";

fn wire() -> Deepgram {
    Deepgram::new(DeepgramOptions::default())
}

fn with_callbacks() -> Deepgram {
    let callback_key_id = Some(KEY_ID.to_owned());
    Deepgram::new(DeepgramOptions { use_callback: true, callback_key_id, ..DeepgramOptions::default() })
}

fn speech(config: Value) -> SubmitCall {
    call(Provider::Deepgram, Operation::Tts, "aura-2-thalia-en", config)
}

fn recording(config: Value) -> SubmitCall {
    let call = call(Provider::Deepgram, Operation::Stt, "nova-3", config);
    with_input(call, PreparedInput::Url("https://files.example/talk.mp3".to_owned()))
}

fn encoded(call: &SubmitCall) -> Result<HttpRequest, ProviderError> {
    wire().encode_submit(call, &endpoint("http://voice.test"))
}

#[test]
fn plain_speech_names_voice_and_encoding_only() {
    assert_eq!(
        shown(&encoded(&speech(json!({}))).unwrap()),
        "POST http://voice.test/v1/speak?model=aura-2-thalia-en&encoding=mp3\n\
         authorization: Token KEY\n\
         {\"text\":\"a fox\"}"
    );
}

#[test]
fn an_encoding_is_found_for_what_else_is_asked_for() {
    for (config, query) in [
        (json!({"container": "none"}), "encoding=linear16&container=none"),
        (json!({"container": "ogg"}), "encoding=opus&container=ogg"),
        (json!({"sample_rate": 16000}), "encoding=linear16&sample_rate=16000"),
        (json!({"bit_rate": 32000}), "encoding=mp3&bit_rate=32000"),
        (json!({"encoding": "mulaw", "container": "none"}), "encoding=mulaw&container=none"),
        (json!({"speed": 1.2, "tag": ["a b", "c"]}), "encoding=mp3&speed=1.2&tag=a+b&tag=c"),
        (json!({"encoding": "flac", "mip_opt_out": true}), "encoding=flac&mip_opt_out=true"),
    ] {
        let request = encoded(&speech(config)).unwrap();
        assert_eq!(request.url.query(), Some(format!("model=aura-2-thalia-en&{query}").as_str()));
    }
}

#[test]
fn a_recording_goes_as_a_url_or_as_bytes() {
    assert_eq!(
        shown(&encoded(&recording(json!({}))).unwrap()),
        "POST http://voice.test/v1/listen?model=nova-3\n\
         authorization: Token KEY\n\
         {\"url\":\"https://files.example/talk.mp3\"}"
    );
    let bytes = PreparedInput::Bytes {
        content_type: "audio/wav".to_owned(),
        bytes: Bytes::from_static(b"RIFF and so on"),
    };
    let call = with_input(recording(json!({"smart_format": true})), bytes);
    assert_eq!(
        shown(&encoded(&call).unwrap()),
        "POST http://voice.test/v1/listen?model=nova-3&smart_format=true\n\
         authorization: Token KEY\n\
         audio/wav 14 bytes"
    );
    assert_eq!(encoded(&call).unwrap().expects, crate::exchange::Expects::LargeText);
}

#[test]
fn every_wish_is_a_parameter_and_lists_are_repeated() {
    let call = recording(json!({
        "language": "multi", "detect_language": ["en", "es"], "diarize": false, "keyterm": ["At & elier", "fox"],
        "utt_split": 1.5, "summarize": "v2", "redact": null, "encoding": "linear16", "sample_rate": 8000
    }));
    let query: BTreeMap<String, Vec<String>> =
        encoded(&call).unwrap().url.query_pairs().fold(BTreeMap::new(), |mut query, (name, value)| {
            query.entry(name.into_owned()).or_insert_with(Vec::new).push(value.into_owned());
            query
        });
    let expected = [
        ("detect_language", vec!["en", "es"]),
        ("diarize", vec!["false"]),
        ("encoding", vec!["linear16"]),
        ("keyterm", vec!["At & elier", "fox"]),
        ("language", vec!["multi"]),
        ("model", vec!["nova-3"]),
        ("sample_rate", vec!["8000"]),
        ("summarize", vec!["v2"]),
        ("utt_split", vec!["1.5"]),
    ];
    let expected = expected
        .map(|(name, values)| (name.to_owned(), values.into_iter().map(str::to_owned).collect::<Vec<_>>()));
    assert_eq!(query, expected.into_iter().collect());
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    let mut silent = speech(json!({}));
    silent.spec.prompt = Some(" ".to_owned());
    let mut image = speech(json!({}));
    image.spec.operation = Operation::ImageGen;
    let mut no_voice = speech(json!({}));
    no_voice.spec.model = "nova-3".to_owned();
    let mut deaf = recording(json!({}));
    deaf.spec.model = "aura-zeus-en".to_owned();
    let mut nothing = recording(json!({}));
    nothing.input = None;
    let large = PreparedInput::Bytes {
        content_type: "audio/wav".to_owned(),
        bytes: vec![0; 32 * 1024 * 1024 + 1].into(),
    };
    let rows = [
        (silent, "a prompt is needed"),
        (image, "`tts` or `stt` was expected"),
        (no_voice, "is no voice"),
        (deaf, "is a voice"),
        (nothing, "an input is needed"),
        (with_input(recording(json!({})), large), "at most 33554432 are sent"),
        (speech(json!({"encoding": "mp3", "container": "wav"})), "`container` does not go with"),
        (speech(json!({"encoding": "opus", "sample_rate": 48000})), "`sample_rate` does not go with"),
        (speech(json!({"encoding": "linear16", "bit_rate": 48000})), "`bit_rate` does not go with"),
        (speech(json!({"encoding": 7})), "`encoding` must be a text"),
        (speech(json!({"callback": "https://evil.example"})), "`callback` cannot be set"),
        (recording(json!({"callback": "https://evil.example"})), "`callback` cannot be set"),
        (recording(json!({"model": "nova-2"})), "`model` cannot be set"),
        (recording(json!({"search": [{"a": 1}]})), "`search` must be"),
    ];
    for (call, part) in rows {
        match encoded(&call) {
            Err(ProviderError::Invalid { message, .. }) => assert!(message.contains(part), "{message}"),
            other => panic!("{part}: {other:?}"),
        }
    }
}

#[test]
fn only_recordings_are_inputs() {
    let forms =
        |operation| wire().input_forms(&call(Provider::Deepgram, operation, "m", json!({})).spec, None);
    assert_eq!(forms(Operation::Tts), InputForms { takes_url: false, max_bytes: None });
    assert_eq!(forms(Operation::Stt), InputForms { takes_url: true, max_bytes: Some(33_554_432) });
}

#[test]
fn transcriptions_are_waited_for_longer() {
    let endpoint = endpoint("http://voice.test");
    let timeout = |operation, model| {
        wire()
            .submit_timeout(&call(Provider::Deepgram, operation, model, json!({})).spec, &endpoint)
            .as_secs()
    };
    assert_eq!(timeout(Operation::Tts, "aura-zeus-en"), endpoint.submit_timeout.as_secs());
    assert_eq!(timeout(Operation::Stt, "nova-3"), 660);
    assert_eq!(timeout(Operation::Stt, "whisper-large"), 1_260);
}

#[test]
fn what_was_asked_for_tells_the_media_type() {
    let head = load(Provider::Deepgram, "media_200_mp3").head;
    for (config, expected) in [
        (json!({}), "audio/mpeg"),
        (json!({"encoding": "aac"}), "audio/aac"),
        (json!({"encoding": "flac"}), "audio/flac"),
        (json!({"encoding": "opus"}), "audio/ogg"),
        (json!({"encoding": "linear16"}), "audio/wav"),
        (json!({"encoding": "alaw", "container": "wav"}), "audio/wav"),
        (json!({"container": "none"}), "audio/pcm;rate=24000"),
        (json!({"encoding": "linear16", "container": "none", "sample_rate": 8000}), "audio/pcm;rate=8000"),
        (json!({"encoding": "mulaw", "container": "none"}), "audio/basic"),
        (json!({"encoding": "mulaw", "container": "none", "sample_rate": 16000}), "audio/x-mulaw;rate=16000"),
        (json!({"encoding": "alaw", "container": "none"}), "audio/x-alaw-basic"),
        (json!({"encoding": "speex"}), "audio/mpeg"),
    ] {
        let facts = wire().decode_media(&head, &speech(config.clone()).spec).unwrap();
        assert_eq!(facts.content_type.as_deref(), Some(expected), "{config}");
    }
}

#[test]
fn a_transcript_keeps_words_speakers_and_the_providers_own_answer() {
    let reply = load(Provider::Deepgram, "submit_200_smart");
    let found =
        wire().decode_submit(&reply, &recording(json!({})).spec, &endpoint("http://voice.test"), now());
    let Ok(Answered::Finished(finished)) = found else { panic!("{found:?}") };
    let document: Value = serde_json::from_slice(&finished.outputs[1].bytes).unwrap();
    assert_eq!(
        document["words"][1],
        json!({
            "text": "you.", "start_s": 0.5, "end_s": 0.9, "speaker": "speaker_1", "confidence": 0.97, "channel": null
        })
    );
    assert_eq!(
        document["utterances"],
        json!([{"text": "Hello, you.", "start_s": 0.1, "end_s": 0.9, "speaker": "speaker_0", "channel": null}])
    );
    assert_eq!((&document["language"], &document["duration_s"]), (&json!("en"), &json!(2.5)));
    assert_eq!((&document["provider"], &document["model"]), (&json!("deepgram"), &json!("nova-3")));
    assert_eq!(document["provider_result"], reply.json().unwrap());
}

#[test]
fn channels_are_told_apart_and_billed_each() {
    let reply = load(Provider::Deepgram, "submit_200_multichannel");
    let finished = listen::finished(reply.json().unwrap(), Some(&recording(json!({})).spec)).unwrap();
    assert_eq!(finished.text.as_deref(), Some("hello\nyou"));
    assert_eq!(finished.cost, ReportedCost::seconds(PriceUnit::AudioSecond, 5.0));
    let document: Value = serde_json::from_slice(&finished.outputs[1].bytes).unwrap();
    assert_eq!(document["words"][1]["channel"], 1);
    assert_eq!(document["utterances"][0]["channel"], 1);
}

#[test]
fn the_language_is_the_one_found_or_the_one_asked_for() {
    let language = |name: &str, config: Value| -> Value {
        let body = load(Provider::Deepgram, name).json().unwrap();
        let finished = listen::finished(body, Some(&recording(config).spec)).unwrap();
        serde_json::from_slice::<Value>(&finished.outputs[1].bytes).unwrap()["language"].clone()
    };
    assert_eq!(language("submit_200_multilingual", json!({"language": "multi"})), "es");
    assert_eq!(language("submit_200_plain", json!({"language": "de"})), "de");
    assert_eq!(language("submit_200_plain", json!({})), Value::Null);
    assert_eq!(language("submit_200_smart", json!({"language": "de"})), "en");
}

// ---------------------------------------------------------------- callbacks

fn callback(name: &str) -> CallbackRequest {
    let reply = load(Provider::Deepgram, name);
    let headers = reply
        .head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
        .collect();
    CallbackRequest { headers, body: reply.body }
}

fn judged(wire: &Deepgram, request: &CallbackRequest) -> Result<Callback, CallbackRefusal> {
    wire.decode_callback(request, None, now())
}

#[test]
fn a_callback_is_asked_for_only_when_that_is_switched_on() {
    let mut call = recording(json!({}));
    call.callback_url = Some("https://atelier.example/callbacks/deepgram/abc".to_owned());
    let url = |wire: &Deepgram| wire.encode_submit(&call, &endpoint("http://voice.test")).unwrap().url;
    assert_eq!(url(&wire()).query(), Some("model=nova-3"));
    assert_eq!(
        url(&with_callbacks()).query(),
        Some("model=nova-3&callback=https%3A%2F%2Fatelier.example%2Fcallbacks%2Fdeepgram%2Fabc")
    );
    let mut speech = speech(json!({}));
    speech.callback_url = call.callback_url.clone();
    let request = with_callbacks().encode_submit(&speech, &endpoint("http://voice.test")).unwrap();
    assert!(!request.url.as_str().contains("callback"), "speech comes with the answer");
}

#[test]
fn a_callback_brings_the_transcript() {
    let Ok(Callback { remote_id, news: News::Result(finished) }) =
        judged(&with_callbacks(), &callback("callback_transcript"))
    else {
        panic!("no result")
    };
    assert_eq!(remote_id.as_deref(), Some(REQUEST_ID));
    assert_eq!(finished.text.as_deref(), Some("Hello, you."));
    assert_eq!(finished.cost, ReportedCost::seconds(PriceUnit::AudioSecond, 2.5));
    let document: Value = serde_json::from_slice(&finished.outputs[1].bytes).unwrap();
    assert_eq!(document["model"], "nova-3", "from the answer, for the job is not at hand");
}

#[test]
fn a_failure_by_callback_ends_the_waiting() {
    assert_eq!(
        judged(&with_callbacks(), &callback("callback_error")),
        Ok(Callback { remote_id: Some(REQUEST_ID.to_owned()), news: News::Ended })
    );
}

#[test]
fn callbacks_that_are_not_genuine_are_refused() {
    let good = callback("callback_transcript");
    let refused = |request: &CallbackRequest| match judged(&with_callbacks(), request) {
        Err(CallbackRefusal::NotGenuine { reason }) => reason,
        other => panic!("{other:?}"),
    };
    let with_key = |value: Option<&str>| {
        let mut request = good.clone();
        request.headers.remove("dg-token");
        request.headers.extend(value.map(|value| ("dg-token".to_owned(), value.to_owned())));
        request
    };
    assert_eq!(refused(&with_key(Some("another"))), "it names another key");
    assert_eq!(refused(&with_key(None)), "it names another key");
    for body in ["", "{", "[]", "7", r#"{"metadata": {}}"#, r#"{"results": {"channels": 3}}"#] {
        refused(&CallbackRequest { body: Bytes::from_static(body.as_bytes()), ..good.clone() });
    }
    // Without its id nobody knows whose transcript it is.
    let mut body: Value = serde_json::from_slice(&good.body).unwrap();
    body["metadata"]["request_id"] = Value::Null;
    refused(&CallbackRequest { body: body.to_string().into(), ..good.clone() });
    assert!(
        judged(&wire(), &good).is_err_and(|refusal| {
            refusal == CallbackRefusal::NotExpected { provider: Provider::Deepgram }
        })
    );
    let anybody = Deepgram::new(DeepgramOptions { use_callback: true, ..DeepgramOptions::default() });
    assert!(judged(&anybody, &with_key(None)).is_ok());
}

#[test]
fn nobody_is_asked_while_a_callback_is_awaited() {
    let call = recording(json!({}));
    let remote = RemoteOperation { id: REQUEST_ID.to_owned(), submitted_at: now(), urls: BTreeMap::new() };
    let look = Look { spec: &call.spec, remote: &remote, key: &call.key };
    let question = wire().encode_check(&look, &endpoint("http://voice.test")).unwrap();
    assert!(matches!(question, Question::Known(Checked::Working { progress_percent: None, .. })));
}

// ---------------------------------------------------------------- replies

#[test]
fn every_documented_reply_has_its_meaning() {
    let id = "b8f1c2d3-0001-4a5b-8c6d-7e8f90a1b2c3";
    let media = |cost: &str| format!("media Some(\"audio/mpeg\") request Some(\"{id}\") cost {cost}");
    let billed = media("11 Character");
    let unbilled = media("unknown");
    let heard = |text: &str, seconds: &str, text_bytes: u32, json_bytes: u32| {
        format!(
            "finished text Some({text:?}) request Some(\"{id}\") cost {seconds} AudioSecond: \
             text/plain; charset=utf-8 {text_bytes} bytes, application/json {json_bytes} bytes"
        )
    };
    let accepted = format!("accepted {id} \"\" urls []");
    assert_table(
        &wire(),
        &recording(json!({})),
        &endpoint("http://voice.test"),
        None,
        &[
            ("media_200_mp3", &billed),
            ("media_200_without_count", &unbilled),
            ("media_200_unreadable_count", &unbilled),
            ("media_200_json", "malformed [200] it answered `application/json` where audio was expected"),
            ("media_200_html", "malformed [200] it answered `text/html` where audio was expected"),
            ("submit_200_accepted", &accepted),
            ("submit_200_plain", &heard("hello you", "2.5", 9, 855)),
            ("submit_200_smart", &heard("Hello, you.", "2.5", 11, 1766)),
            ("submit_200_multichannel", &heard("hello\nyou", "5", 9, 1161)),
            ("submit_200_multilingual", &heard("hola you", "2.5", 8, 587)),
            ("submit_200_silence", &heard("", "1", 1, 546)),
            (
                "submit_200_bare",
                "finished text Some(\"hello\") request Some(\"header-id\") cost unknown: \
                 text/plain; charset=utf-8 5 bytes, application/json 187 bytes",
            ),
            (
                "submit_200_no_transcript",
                "unknown_outcome [] it answered HTTP 200 but no transcript is in it (the body was whole)",
            ),
            (
                "submit_200_no_channel",
                "unknown_outcome [] it answered HTTP 200 but no transcript is in it (the body was whole)",
            ),
            (
                "submit_200_not_json",
                "unknown_outcome [] it answered HTTP 200 but the transcript cannot be read (the body was whole)",
            ),
            (
                "submit_200_error_body",
                "unknown_outcome [] it answered HTTP 200 but no transcript is in it (the body was whole)",
            ),
            (
                "submit_307_redirect",
                "malformed [307] it redirects, which is not followed; the base URL may be wrong",
            ),
            (
                "submit_400_no_such_model",
                "invalid [Bad Request] Bad Request: No such model/language/tier combination found.",
            ),
            (
                "submit_400_corrupt",
                "invalid [Bad Request] Bad Request: failed to process audio: corrupt or unsupported data",
            ),
            (
                "submit_400_invalid_json",
                "invalid [INVALID_JSON] Invalid JSON submitted. Json deserialize error: missing field `url` at line 1 column 2",
            ),
            (
                "submit_400_remote_content",
                "invalid [REMOTE_CONTENT_ERROR] The remote server hosting the media returned a client error: 404 Not Found.",
            ),
            (
                "submit_400_format",
                "invalid [UNSUPPORTED_AUDIO_FORMAT] Unsupported audio format: `container=none` is invalid when `encoding=opus`.",
            ),
            (
                "submit_400_query",
                "invalid [INVALID_QUERY_PARAMETER] Failed to deserialize query parameters: provided string was not `true` or `false`",
            ),
            (
                "submit_400_model_retired",
                "model_retired [] The model nova-general is deprecated and no longer served.",
            ),
            ("submit_401_invalid_auth", "unauthorized [] Invalid credentials."),
            ("submit_401_permissions", "unauthorized [] User does not have sufficient permissions."),
            (
                "submit_402_payment",
                "quota [] Project does not have enough credits for an ASR request and does not have an overage agreement.",
            ),
            ("submit_403_model", "unauthorized [] Project does not have access to the requested model."),
            ("submit_404_project", "invalid [PROJECT_NOT_FOUND] Project not found."),
            ("submit_404_text", "invalid [404] Not Found"),
            ("submit_408", "unavailable [Request Timeout] The request body did not arrive in time."),
            ("submit_411", "invalid [411] A Content-Length is needed."),
            ("submit_413_audio", "invalid [PAYLOAD_TOO_LARGE] Payload size exceeded the limit of 2 GB."),
            (
                "submit_413_text",
                "invalid [PAYLOAD_TOO_LARGE] Input text exceeds maximum character limit of 2000.",
            ),
            ("submit_414_page", "invalid [414] it answered HTTP 414 without a readable reason"),
            ("submit_415", "invalid [UNSUPPORTED_MEDIA_TYPE] Unsupported media type."),
            ("submit_422", "invalid [Unprocessable Entity] The text cannot be spoken."),
            ("submit_429_listen", "rate_limited [None] Too many requests. Please try again later"),
            ("submit_429_speak", "rate_limited [Some(7s)] Please try again later."),
            ("submit_499", "unknown_outcome [] HTTP 499: it answered HTTP 499 without a readable reason"),
            ("submit_500", "unavailable [Internal Server Error] Something went wrong."),
            (
                "submit_502_page",
                "unknown_outcome [] HTTP 502: it answered HTTP 502 without a readable reason",
            ),
            (
                "submit_503_other_key",
                "unavailable [Service Unavailable] The service is currently not available.",
            ),
            ("submit_503_text", "unavailable [503] no healthy upstream"),
            (
                "submit_504_own",
                "work_failed [Gateway Timeout] The request took longer than the allowed 10 minutes.",
            ),
            (
                "submit_504_page",
                "unknown_outcome [] HTTP 504: it answered HTTP 504 without a readable reason",
            ),
            ("submit_524", "unknown_outcome [] HTTP 524: it answered HTTP 524 without a readable reason"),
        ],
    );
}
