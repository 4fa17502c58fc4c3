use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::{Stage, text};

const TEXT: &str = "Hello there, friend. How are you today?";
const URL: (&str, &str) = ("source_url", "https://example.com/a.mp3?signature=1");

/// A form of text fields, and a file with its name.
fn form(stage: &Stage, fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> RequestBuilder {
    form_to(stage, "/v1/speech-to-text", fields, file)
}

fn form_to(
    stage: &Stage,
    path: &str,
    fields: &[(&str, &str)],
    file: Option<(&str, &[u8])>,
) -> RequestBuilder {
    let boundary = "simulator-test-boundary";
    let mut body = Vec::new();
    for (name, value) in fields {
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(head.into_bytes());
    }
    if let Some((name, bytes)) = file {
        let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
        body.extend(format!("--{boundary}\r\n{head}\r\nContent-Type: audio/mpeg\r\n\r\n").into_bytes());
        body.extend(bytes);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{boundary}--\r\n").into_bytes());
    let request = stage.elevenlabs(Method::POST, path);
    request.header("content-type", format!("multipart/form-data; boundary={boundary}")).body(body)
}

async fn recording(stage: &Stage) -> bytes::Bytes {
    stage.speak(TEXT).send().await.unwrap().bytes().await.unwrap()
}

async fn json_of(request: RequestBuilder, status: u16) -> Value {
    let response: Response = request.send().await.unwrap();
    assert_eq!(response.status(), status);
    response.json().await.unwrap()
}

#[tokio::test]
async fn our_own_speech_is_transcribed_word_for_word() {
    let stage = Stage::new().await;
    let audio = recording(&stage).await;
    let request = form(&stage, &[("model_id", "scribe_v2")], Some(("speech.mp3", &audio)));
    let body = json_of(request, 200).await;
    assert_eq!(body["text"], TEXT);
    assert_eq!(body["language_code"], "eng");
    let seconds = body["audio_duration_secs"].as_f64().unwrap();
    assert!((TEXT.len() as f64 / 15.0 - seconds).abs() < 0.06, "{seconds}");
    let words = body["words"].as_array().unwrap();
    assert_eq!(words.len(), 7 + 6, "seven words, and blanks between them");
    assert_eq!((text(&words[0], "text"), text(&words[0], "type")), ("Hello", "word"));
    assert_eq!((text(&words[1], "text"), text(&words[1], "type")), (" ", "spacing"));
    assert_eq!(words[1]["start"], words[0]["end"]);
    assert!(words.iter().all(|word| word["logprob"].as_f64().unwrap() <= 0.0));
    assert!(words.iter().all(|word| word.get("speaker_id").is_none() && word.get("characters").is_none()));
    assert_eq!(stage.simulator.journal().submits().iter().filter(|entry| entry.accepted).count(), 2);
}

#[tokio::test]
async fn a_transcript_has_what_was_asked_for() {
    let stage = Stage::new().await;
    let audio = recording(&stage).await;
    let formats =
        r#"[{"format": "srt"}, {"format": "txt", "include_speakers": true}, {"format": "segmented_json"}]"#;
    let fields = [
        ("model_id", "scribe_v1"),
        ("language_code", "en"),
        ("diarize", "true"),
        ("timestamps_granularity", "character"),
        ("entity_detection", "all"),
        ("additional_formats", formats),
    ];
    let body = json_of(form(&stage, &fields, Some(("a.mp3", &audio))), 200).await;
    assert_eq!(body["language_probability"], 1.0);
    assert_eq!(body["entities"], json!([]));
    let words = body["words"].as_array().unwrap();
    let first = &words[0];
    assert_eq!(first["characters"][0]["text"], "H");
    assert_eq!(first["characters"][4]["end"], first["end"]);
    let speakers: Vec<&str> = words.iter().map(|word| text(word, "speaker_id")).collect();
    assert_eq!((speakers[0], speakers[12]), ("speaker_0", "speaker_1"));
    let formats = body["additional_formats"].as_array().unwrap();
    assert_eq!((text(&formats[0], "requested_format"), text(&formats[0], "file_extension")), ("srt", "srt"));
    let srt = text(&formats[0], "content");
    assert!(srt.starts_with("1\n00:00:00,000 --> 00:00:01,3"), "{srt}");
    assert!(srt.contains("\n\n2\n00:00:01,4") && srt.contains("\nHow are you today?\n"), "{srt}");
    assert_eq!(formats[1]["content"], "[speaker_0] Hello there, friend.\n[speaker_1] How are you today?");
    let segments: Value = serde_json::from_str(text(&formats[2], "content")).unwrap();
    assert_eq!(segments["segments"][1]["text"], "How are you today?");

    let fields = [("model_id", "scribe_v1"), ("timestamps_granularity", "none")];
    let body = json_of(form(&stage, &fields, Some(("a.mp3", &audio))), 200).await;
    assert!(body["words"][0].get("start").is_none());
}

#[tokio::test]
async fn other_sound_ends_with_an_event_unless_that_is_switched_off() {
    let stage = Stage::new().await;
    let body = json_of(form(&stage, &[("model_id", "scribe_v1"), URL], None), 200).await;
    let last = body["words"].as_array().unwrap().last().unwrap();
    assert_eq!((text(last, "type"), text(last, "text")), ("audio_event", "(music)"));
    assert!(text(&body, "text").ends_with(" (music)"));
    let fields = [("model_id", "scribe_v1"), ("tag_audio_events", "false"), URL];
    let body = json_of(form(&stage, &fields, None), 200).await;
    assert!(text(&body, "text").ends_with('.'));
    let old = ("cloud_storage_url", "https://example.com/a.mp3?signature=2");
    let fields = [("model_id", "scribe_v1"), ("tag_audio_events", "false"), old];
    assert_eq!(json_of(form(&stage, &fields, None), 200).await["text"], body["text"]);
    let samples = vec![7; 32_000];
    let fields = [("model_id", "scribe_v1"), ("file_format", "pcm_s16le_16")];
    let body = json_of(form(&stage, &fields, Some(("raw", &samples))), 200).await;
    assert_eq!((&body["audio_duration_secs"], &body["text"]), (&json!(1.0), &json!("")));
}

#[tokio::test]
async fn channels_are_heard_apart_or_together() {
    let stage = Stage::new().await;
    // One second of two channels at 8 kHz that is not silent.
    let mut wav =
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x02\0\x40\x1f\0\0\0\x7d\0\0\x04\0\x10\0data".to_vec();
    wav.extend(96_000_u32.to_le_bytes());
    wav.extend((0..96_000_u32).map(|index| (index % 100) as u8));
    let fields = [("model_id", "scribe_v1"), ("use_multi_channel", "true")];
    let apart = json_of(form(&stage, &fields, Some(("a.wav", &wav))), 200).await;
    assert_eq!(apart["audio_duration_secs"], 3.0);
    let transcripts = apart["transcripts"].as_array().unwrap();
    assert_eq!(transcripts.len(), 2);
    assert_eq!(transcripts[1]["channel_index"], 1);
    assert_eq!(transcripts[1]["words"][0]["channel_index"], 1);
    let fields = [&fields[..], &[("multichannel_output_style", "combined")]].concat();
    let together = json_of(form(&stage, &fields, Some(("a.wav", &wav))), 200).await;
    assert!(together.get("transcripts").is_none());
    let channels: Vec<&Value> =
        together["words"].as_array().unwrap().iter().map(|word| &word["channel_index"]).collect();
    assert!(channels.contains(&&json!(0)) && channels.contains(&&json!(1)));
}

#[tokio::test]
async fn a_transcript_can_be_fetched_later_and_deleted() {
    let stage = Stage::with(|options| options.timing.speech = Duration::from_millis(150)).await;
    let fields =
        [("model_id", "scribe_v2"), ("webhook", "true"), ("webhook_metadata", r#"{"order": 17}"#), URL];
    let taken = json_of(form(&stage, &fields, None), 202).await;
    assert!(!text(&taken, "message").is_empty() && !text(&taken, "request_id").is_empty());
    let path = format!("/v1/speech-to-text/transcripts/{}", text(&taken, "transcription_id"));
    let get = || stage.elevenlabs(Method::GET, &path);
    let early = json_of(get(), 404).await;
    assert_eq!(early["detail"]["code"], "transcript_not_found");
    let body = loop {
        let response = get().send().await.unwrap();
        if response.status() == 200 {
            break response.json::<Value>().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(body["transcription_id"], taken["transcription_id"]);
    assert!(!text(&body, "text").is_empty());
    json_of(stage.elevenlabs(Method::DELETE, &path), 200).await;
    json_of(get(), 404).await;
    json_of(stage.elevenlabs(Method::DELETE, &path), 404).await;
    assert_eq!(stage.simulator.journal().cancels().len(), 2);
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not_there() {
    let stage = Stage::new().await;
    let request = form(&stage, &[("model_id", "scribe_v1"), URL], None);
    let kept = json_of(request, 200).await;
    let path = format!("/v1/speech-to-text/transcripts/{}", text(&kept, "transcription_id"));
    assert_eq!(json_of(stage.elevenlabs(Method::GET, &path), 200).await, kept);
    let request =
        form_to(&stage, "/v1/speech-to-text?enable_logging=false", &[("model_id", "scribe_v1"), URL], None);
    assert_eq!(json_of(request, 200).await["transcription_id"], Value::Null);
}

#[tokio::test]
async fn wrong_forms_get_a_list_of_what_is_wrong() {
    let stage = Stage::new().await;
    let audio = recording(&stage).await;
    let model = ("model_id", "scribe_v1");
    let deep = r#"{"a": {"b": {"c": 1}}}"#;
    let cases: [(&str, Vec<(&str, &str)>); 18] = [
        ("model_id", vec![URL]),
        ("file", vec![model]),
        ("file", vec![model, URL, ("cloud_storage_url", "https://example.com/b.mp3")]),
        ("source_url", vec![model, ("source_url", "http://example.com/a.mp3")]),
        ("diarize", vec![model, URL, ("diarize", "perhaps")]),
        ("num_speakers", vec![model, URL, ("num_speakers", "33")]),
        ("timestamps_granularity", vec![model, URL, ("timestamps_granularity", "letter")]),
        ("diarization_threshold", vec![model, URL, ("diarization_threshold", "0.4")]),
        ("additional_formats", vec![model, URL, ("additional_formats", r#"[{"format": "mp3"}]"#)]),
        ("temperature", vec![model, URL, ("temperature", "3")]),
        ("seed", vec![model, URL, ("seed", "2147483648")]),
        ("language_code", vec![model, URL, ("language_code", "english")]),
        ("webhook_metadata", vec![model, URL, ("webhook", "true"), ("webhook_metadata", deep)]),
        ("webhook_id", vec![model, URL, ("webhook_id", "w")]),
        ("keyterms", vec![model, URL, ("keyterms", "<b>")]),
        ("no_verbatim", vec![model, URL, ("no_verbatim", "true")]),
        ("numbers_format", vec![model, URL, ("numbers_format", "digits")]),
        ("detect_speaker_roles", vec![model, URL, ("detect_speaker_roles", "true")]),
    ];
    for (field, fields) in cases {
        let body = json_of(form(&stage, &fields, None), 422).await;
        assert_eq!(body["detail"][0]["loc"], json!(["body", field]), "{fields:?}: {body}");
    }
    let body = json_of(form(&stage, &[("num_speakers", "0"), ("seed", "x"), URL], None), 422).await;
    assert_eq!(body["detail"].as_array().unwrap().len(), 3, "all of it at once: {body}");
    let both = form(&stage, &[model, URL], Some(("a.mp3", &audio)));
    json_of(both, 422).await;
    let no_form =
        stage.elevenlabs(Method::POST, "/v1/speech-to-text").json(&json!({"model_id": "scribe_v1"}));
    json_of(no_form, 422).await;
    let body = json_of(form(&stage, &[("model_id", "scribe_v9"), URL], None), 400).await;
    assert_eq!(body["detail"]["code"], "invalid_model_id");
    let body = json_of(form(&stage, &[model], Some(("a.mp3", b"not a recording"))), 400).await;
    assert_eq!(body["detail"]["code"], "invalid_audio");
    let fields = [model, URL, ("additional_formats", r#"[{"format": "pdf"}]"#)];
    assert_eq!(json_of(form(&stage, &fields, None), 400).await["detail"]["code"], "not_simulated");
    assert_eq!(stage.simulator.journal().submits().iter().filter(|entry| entry.accepted).count(), 1);
}

#[tokio::test]
async fn keys_and_faults_work_as_for_speech() {
    let stage = Stage::new().await;
    let fields = [("model_id", "scribe_v1"), URL];
    let with_key = |key: &str| {
        let mut request = form(&stage, &fields, None).build().unwrap();
        request.headers_mut().insert("xi-api-key", key.parse().unwrap());
        RequestBuilder::from_parts(stage.client.clone(), request)
    };
    let body = json_of(with_key("bad-key"), 401).await;
    assert_eq!(body["detail"]["code"], "invalid_api_key");
    let body = json_of(with_key("no-money"), 401).await;
    assert_eq!(body["detail"]["status"], "quota_exceeded");

    let audio = recording(&stage).await;
    let model = [("model_id", "scribe_v1")];
    let named = |name: &str| form(&stage, &model, Some((name, &audio)));
    assert!(named("[sim:lost].mp3").send().await.is_err());
    assert_eq!(stage.simulator.journal().submits_of("[sim:lost].mp3"), 1);
    let body = json_of(named("[sim:moderation].mp3"), 400).await;
    assert_eq!(body["detail"]["code"], "content_against_policy");
    json_of(named("[sim:fail=system_busy].mp3"), 429).await;
    let stuck = named("[sim:stuck].mp3").timeout(Duration::from_millis(200)).send().await;
    assert!(stuck.unwrap_err().is_timeout());
    let fields =
        [("model_id", "scribe_v1"), ("source_url", "https://example.com/[sim:status=503].mp3?secret=1")];
    json_of(form(&stage, &fields, None), 503).await;
    let entry = stage.simulator.journal().submits().pop().unwrap();
    assert_eq!(entry.prompt.as_deref(), Some("https://example.com/[sim:status=503].mp3"));
}
