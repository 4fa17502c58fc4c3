use std::time::Duration;

use atelier_simulator::{Fault, Kind, ModerationForm, Provider, Rule};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::support::{Stage, text};

const TEXT: &str = "Hello there, friend. How are you today?";

fn speak(stage: &Stage, query: &str, text: &str) -> RequestBuilder {
    stage.deepgram(Method::POST, &format!("/v1/speak{query}")).json(&json!({"text": text}))
}

fn listen(stage: &Stage, query: &str, audio: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = stage.deepgram(Method::POST, &format!("/v1/listen?{query}"));
    request.header("content-type", "audio/wav").body(audio)
}

fn listen_to_url(stage: &Stage, query: &str, url: &str) -> RequestBuilder {
    stage.deepgram(Method::POST, &format!("/v1/listen?{query}")).json(&json!({"url": url}))
}

/// A recording of a text as WAV.
async fn recording(stage: &Stage, text: &str) -> bytes::Bytes {
    let response = speak(stage, "?encoding=linear16", text).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap()
}

async fn refused(request: RequestBuilder) -> (u16, Value) {
    let response: Response = request.send().await.unwrap();
    assert!(response.headers().contains_key("dg-request-id"));
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn speech_says_what_it_is_and_what_it_cost() {
    let stage = Stage::new().await;
    let response = speak(&stage, "?model=aura-2-thalia-en", TEXT).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "audio/mpeg");
    assert_eq!(response.headers()["dg-char-count"], TEXT.len().to_string());
    assert_eq!(response.headers()["dg-model-name"], "aura-2-thalia-en");
    let request_id = response.headers()["dg-request-id"].to_str().unwrap().to_owned();
    assert_eq!(stage.simulator.journal().submits()[0].remote_id.as_ref(), Some(&request_id));
    // MPEG-2 at 22,050 Hz and 48 kbit/s.
    let bytes = response.bytes().await.unwrap();
    assert_eq!(bytes[..2], [0xff, 0xf3]);
    assert!((15_600..15_900).contains(&bytes.len()), "{}", bytes.len());
}

#[tokio::test]
async fn every_encoding_is_what_its_type_says() {
    let stage = Stage::new().await;
    for (query, content_type, start) in [
        ("encoding=mp3&bit_rate=32000", "audio/mpeg", b"\xff\xf3".as_slice()),
        ("encoding=linear16", "audio/wav", b"RIFF"),
        ("encoding=linear16&container=none", "audio/l16;rate=24000", b""),
        ("encoding=linear16&container=none&sample_rate=8000", "audio/l16;rate=8000", b""),
        ("encoding=mulaw&container=wav&sample_rate=16000", "audio/wav", b"RIFF"),
        ("encoding=mulaw&container=none", "audio/mulaw;rate=8000", b""),
        ("encoding=alaw&container=none&sample_rate=16000", "audio/alaw;rate=16000", b""),
        ("encoding=opus&container=ogg&bit_rate=24000", "audio/ogg;codecs=opus", b"OggS"),
        ("encoding=flac&sample_rate=16000", "audio/flac", b"fLaC"),
        ("encoding=aac&bit_rate=64000", "audio/aac", b"\xff\xf1"),
    ] {
        let response = speak(&stage, &format!("?{query}"), TEXT).send().await.unwrap();
        assert_eq!(response.status(), 200, "{query}");
        assert_eq!(response.headers()["content-type"], content_type, "{query}");
        assert!(response.bytes().await.unwrap().starts_with(start), "{query}");
    }
}

#[tokio::test]
async fn an_encoding_takes_only_its_own_parameters() {
    let stage = Stage::new().await;
    for query in [
        "encoding=mp3&container=wav",
        "container=none",
        "encoding=mp3&sample_rate=22050",
        "encoding=mp3&bit_rate=64000",
        "encoding=linear16&container=ogg",
        "encoding=linear16&sample_rate=44100",
        "encoding=linear16&bit_rate=48000",
        "encoding=alaw&sample_rate=24000",
        "encoding=opus&container=none",
        "encoding=opus&sample_rate=48000",
        "encoding=opus&bit_rate=1000",
        "encoding=flac&container=wav",
        "encoding=flac&sample_rate=24000",
        "encoding=aac&sample_rate=22050",
        "encoding=aac&bit_rate=200000",
        "encoding=ogg",
    ] {
        let (status, body) = refused(speak(&stage, &format!("?{query}"), TEXT)).await;
        assert_eq!((status, text(&body, "err_code")), (400, "UNSUPPORTED_AUDIO_FORMAT"), "{query}");
    }
    let (_, body) = refused(speak(&stage, "?encoding=mp3&container=none", TEXT)).await;
    assert_eq!(body["err_msg"], "Unsupported audio format: container is not applicable when encoding=mp3.");
    assert_eq!(stage.simulator.journal().submits().iter().filter(|entry| entry.accepted).count(), 0);
}

#[tokio::test]
async fn faster_voices_are_sooner_done() {
    let stage = Stage::new().await;
    let size = async |query: &str| {
        let response = speak(&stage, query, TEXT).send().await.unwrap();
        response.content_length().unwrap()
    };
    let usual = size("?model=aura-2-zeus-en&encoding=linear16&container=none").await;
    let fast = size("?model=aura-2-zeus-en&encoding=linear16&container=none&speed=1.25").await;
    assert_eq!(fast, usual * 4 / 5);
    let (status, _) = refused(speak(&stage, "?model=aura-zeus-en&speed=1.2", TEXT)).await;
    assert_eq!(status, 400);
    let (status, _) = refused(speak(&stage, "?model=aura-2-zeus-en&speed=3", TEXT)).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn wrong_texts_are_refused() {
    let stage = Stage::new().await;
    let (status, body) = refused(speak(&stage, "", " ")).await;
    assert_eq!((status, text(&body, "err_code")), (400, "PAYLOAD_ERROR"));
    assert_eq!(speak(&stage, "", &"x".repeat(2_000)).send().await.unwrap().status(), 200);
    let (status, body) = refused(speak(&stage, "", &"x".repeat(2_001))).await;
    assert_eq!((status, text(&body, "err_code")), (413, "PAYLOAD_TOO_LARGE"));
    let (status, _) = refused(speak(&stage, "?model=aura-9-nobody-en", TEXT)).await;
    assert_eq!(status, 400);
    let request = stage.deepgram(Method::POST, "/v1/speak");
    let (status, body) = refused(request.json(&json!({"txt": "x"}))).await;
    assert_eq!((status, text(&body, "err_code")), (400, "PAYLOAD_ERROR"));
    let request = stage.deepgram(Method::POST, "/v1/speak").header("content-type", "application/json");
    let (status, body) = refused(request.body("{")).await;
    assert_eq!((status, text(&body, "category")), (400, "INVALID_JSON"));
    let request = stage.deepgram(Method::POST, "/v1/speak").header("content-type", "text/plain");
    assert_eq!(refused(request.body("x")).await.0, 415);
}

#[tokio::test]
async fn keys_and_their_scheme_decide_who_is_let_in() {
    let stage = Stage::new().await;
    let url = stage.url("/deepgram/v1/projects");
    for (authorization, status, code) in [
        ("Token bad-key", 401, "INVALID_AUTH"),
        ("Bearer key", 401, "INVALID_AUTH"),
        ("key", 401, "INVALID_AUTH"),
    ] {
        let request = stage.client.get(&url).header("authorization", authorization);
        let (found, body) = refused(request).await;
        assert_eq!((found, text(&body, "err_code")), (status, code), "{authorization}");
    }
    assert_eq!(stage.client.get(&url).send().await.unwrap().status(), 401);
    let jwt = stage.client.get(&url).header("authorization", "Bearer head.claims.signature");
    assert_eq!(jwt.send().await.unwrap().status(), 200);

    let poor = |path: &str| {
        let url = stage.url(&format!("/deepgram{path}"));
        stage.client.post(url).header("authorization", "Token no-money")
    };
    let (status, body) = refused(poor("/v1/speak").json(&json!({"text": "x"}))).await;
    assert_eq!((status, text(&body, "err_code")), (402, "ASR_PAYMENT_REQUIRED"));
    let url = json!({"url": "https://example.com/a.mp3"});
    let (status, body) = refused(poor("/v1/listen?model=nova-3").json(&url)).await;
    assert_eq!((status, text(&body, "err_code")), (402, "ASR_PAYMENT_REQUIRED"));
}

#[tokio::test]
async fn accounts_and_models_are_listed() {
    let stage = Stage::new().await;
    let get = async |path: &str| {
        let response = stage.deepgram(Method::GET, path).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let json = |(status, text): (u16, String)| {
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let models = json(get("/v1/models").await);
    let has = |list: &str, name: &str| {
        models[list].as_array().unwrap().iter().any(|model| model["canonical_name"] == name)
    };
    assert!(has("tts", "aura-2-thalia-en") && has("tts", "aura-zeus-en") && has("stt", "general-nova-3"));
    let projects = json(get("/v1/projects").await);
    let id = text(&projects["projects"][0], "project_id");
    let balances = json(get(&format!("/v1/projects/{id}/balances")).await);
    assert!(balances["balances"][0]["amount"].as_f64().unwrap() > 0.0);
    let other = "11111111-2222-4333-8444-555555555555";
    assert_eq!(get(&format!("/v1/projects/{other}/balances")).await.0, 404);
    assert_eq!(get("/v1/nothing").await, (404, "Not Found".to_owned()));
}

#[tokio::test]
async fn our_own_speech_is_understood_in_every_encoding() {
    let stage = Stage::new().await;
    for query in
        ["", "?encoding=aac", "?encoding=flac", "?encoding=opus", "?encoding=linear16", "?encoding=alaw"]
    {
        let audio = speak(&stage, query, TEXT).send().await.unwrap().bytes().await.unwrap();
        let response = listen(&stage, "model=nova-3&smart_format=true", audio).send().await.unwrap();
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["results"]["channels"][0]["alternatives"][0]["transcript"], TEXT, "{query}");
        let seconds = body["metadata"]["duration"].as_f64().unwrap();
        assert!((TEXT.len() as f64 / 15.0 - seconds).abs() < 0.06, "{query}: {seconds}");
    }
}

#[tokio::test]
async fn a_transcript_has_what_was_asked_for() {
    let stage = Stage::new().await;
    let audio = recording(&stage, TEXT).await;
    let plain: Value =
        listen(&stage, "model=nova-2", audio.clone()).send().await.unwrap().json().await.unwrap();
    let alternative = &plain["results"]["channels"][0]["alternatives"][0];
    assert_eq!(alternative["transcript"], "hello there friend how are you today");
    assert_eq!(alternative["words"][1]["word"], "there");
    assert!(alternative["words"][0].get("punctuated_word").is_none());
    assert!(alternative.get("paragraphs").is_none() && plain["results"].get("utterances").is_none());
    assert_eq!(plain["metadata"]["channels"], 1);
    let model = plain["metadata"]["models"][0].as_str().unwrap();
    assert_eq!(plain["metadata"]["model_info"][model]["arch"], "nova-2");

    let query = "model=nova-3&smart_format=true&diarize=true&utterances=true&detect_language=true&summarize=v2\
                 &search=you&tag=first&tag=second&extra=order:17";
    let response = listen(&stage, query, audio).send().await.unwrap();
    let header = response.headers()["dg-request-id"].to_str().unwrap().to_owned();
    let full: Value = response.json().await.unwrap();
    assert_eq!(full["metadata"]["request_id"], header.as_str());
    assert_eq!(full["metadata"]["tags"], json!(["first", "second"]));
    assert_eq!(full["metadata"]["extra"], json!({"order": "17"}));
    let channel = &full["results"]["channels"][0];
    assert_eq!(channel["detected_language"], "en");
    assert_eq!(channel["search"][0]["hits"][0]["snippet"], "you");
    let alternative = &channel["alternatives"][0];
    assert_eq!(alternative["words"][1]["punctuated_word"], "there,");
    assert_eq!(alternative["words"][2]["speaker"], 0);
    assert_eq!(alternative["words"][3]["speaker"], 1);
    let paragraphs = alternative["paragraphs"]["paragraphs"].as_array().unwrap();
    assert_eq!(paragraphs.len(), 2);
    assert_eq!(paragraphs[1]["sentences"][0]["text"], "How are you today?");
    assert_eq!(full["results"]["utterances"][0]["transcript"], "Hello there, friend.");
    assert_eq!(full["results"]["summary"]["short"], "Hello there, friend.");
}

#[tokio::test]
async fn sound_that_is_not_ours_gives_the_same_words_each_time() {
    let stage = Stage::new().await;
    let samples: Vec<u8> = (0..80_000_u32).map(|index| (index * 7 % 251) as u8).collect();
    let transcript = async |query: &str, samples: Vec<u8>| {
        let body: Value = listen(&stage, query, samples).send().await.unwrap().json().await.unwrap();
        (text(&body["results"]["channels"][0]["alternatives"][0], "transcript").to_owned(), body)
    };
    let query = "model=nova-3&encoding=linear16&sample_rate=8000&multichannel=true&channels=2";
    let (first, body) = transcript(query, samples.clone()).await;
    assert!(!first.is_empty());
    assert_eq!(body["metadata"]["duration"], 2.5);
    assert_eq!(body["results"]["channels"].as_array().unwrap().len(), 2);
    assert_eq!(transcript(query, samples.clone()).await.0, first);
    let (silence, _) = transcript(query, vec![0; 80_000]).await;
    assert_eq!(silence, "", "silence is no error");

    let url =
        listen_to_url(&stage, "model=nova-3", "https://example.com/a.mp3?signature=1").send().await.unwrap();
    let url: Value = url.json().await.unwrap();
    let again =
        listen_to_url(&stage, "model=nova-3", "https://example.com/a.mp3?signature=2").send().await.unwrap();
    let again: Value = again.json().await.unwrap();
    assert_eq!(url["results"], again["results"], "a signature changes nothing");
    assert!(url["metadata"]["duration"].as_f64().unwrap() >= 5.0);
}

#[tokio::test]
async fn wrong_questions_are_refused() {
    let stage = Stage::new().await;
    let audio = recording(&stage, TEXT).await;
    let no_model = "Bad Request: No such model/language/tier combination found.";
    for (query, code, message) in [
        ("model=nova-9", "Bad Request", no_model),
        ("model=nova-3-medical&language=de", "Bad Request", no_model),
        ("model=base&language=multi", "Bad Request", no_model),
        ("model=nova-3&language=klingon", "Bad Request", no_model),
        ("model=nova-2&keyterm=atelier", "Bad Request", "Keyterms"),
        ("model=nova-3&keywords=atelier:2", "Bad Request", "Keywords"),
        ("model=nova-3&punctuate=yes", "INVALID_QUERY_PARAMETER", "`true` or `false`"),
        ("model=nova-3&utt_split=soon", "INVALID_QUERY_PARAMETER", "utt_split"),
        ("model=nova-3&diarize_model=v9", "INVALID_QUERY_PARAMETER", "diarize_model"),
        ("model=nova-3&callback=nowhere", "Bad Request", "callback"),
        ("model=nova-3&callback=https%3A%2F%2Fexample.com%3A9999%2F", "Bad Request", "port"),
    ] {
        let (status, body) = refused(listen(&stage, query, audio.clone())).await;
        assert_eq!((status, text(&body, "err_code")), (400, code), "{query}");
        assert!(text(&body, "err_msg").contains(message), "{query}: {body}");
    }
    for body in [Vec::new(), b"<html>not a recording</html>".to_vec()] {
        let (status, body) = refused(listen(&stage, "model=nova-3", body)).await;
        assert_eq!(status, 400);
        assert!(text(&body, "err_msg").contains("corrupt or unsupported data"), "{body}");
    }
    let (_, body) = refused(listen_to_url(&stage, "model=nova-3", "https://missing.example/a.mp3")).await;
    assert_eq!(body["err_code"], "REMOTE_CONTENT_ERROR");
    let request = stage.deepgram(Method::POST, "/v1/listen?model=nova-3");
    let (_, body) = refused(request.json(&json!({"link": "x"}))).await;
    assert_eq!(body["category"], "INVALID_JSON");
    let accepted = stage.simulator.journal().submits().iter().filter(|entry| entry.accepted).count();
    assert_eq!(accepted, 1, "only the recording was billed");
}

#[tokio::test]
async fn a_transcript_is_sent_to_the_callback() {
    let stage = Stage::new().await;
    let mut receiver = Receiver::answering(&[503, 200]).await;
    let callback = receiver.url.replace("http://", "http://user:secret@");
    let audio = recording(&stage, TEXT).await;
    let query = format!("model=nova-3&punctuate=true&callback={callback}");
    let taken: Value = listen(&stage, &query, audio).send().await.unwrap().json().await.unwrap();
    let request_id = text(&taken, "request_id");
    assert!(taken.get("results").is_none());
    let refused = receiver.next().await;
    let call = receiver.next().await;
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/callback"));
    assert_eq!(call.body, refused.body, "the second try is the same");
    assert_eq!(call.headers["content-type"], "application/json");
    assert_eq!(call.headers["authorization"], "Basic dXNlcjpzZWNyZXQ=");
    assert_eq!(call.headers["dg-token"].len(), 36);
    assert!(!call.headers["dg-token"].contains("key"));
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(body["metadata"]["request_id"], request_id);
    assert_eq!(body["results"]["channels"][0]["alternatives"][0]["transcript"], TEXT);
    assert_eq!(stage.simulator.journal().of_kind(Kind::Webhook).len(), 2);
}

#[tokio::test]
async fn speech_is_sent_to_the_callback() {
    let stage = Stage::new().await;
    let mut receiver = Receiver::answering(&[200]).await;
    let query = format!("?encoding=linear16&callback={}&callback_method=PUT", receiver.url);
    let taken: Value = speak(&stage, &query, TEXT).send().await.unwrap().json().await.unwrap();
    let call = receiver.next().await;
    assert_eq!(call.method, "PUT");
    assert_eq!(call.headers["content-type"], "audio/wav");
    assert_eq!(call.headers["dg-request-id"], text(&taken, "request_id"));
    assert_eq!(call.body, recording(&stage, TEXT).await);
}

#[tokio::test]
async fn failures_in_callback_mode_come_by_callback() {
    let stage = Stage::new().await;
    let mut receiver = Receiver::answering(&[200]).await;
    let query = format!("model=nova-3&tag=[sim:fail=REMOTE_CONTENT_ERROR]&callback={}", receiver.url);
    let request = listen_to_url(&stage, &query, "https://example.com/a.mp3");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let body: Value = serde_json::from_slice(&receiver.next().await.body).unwrap();
    assert_eq!(body["err_code"], "REMOTE_CONTENT_ERROR");

    let query = format!("model=nova-3&tag=[sim:stuck]&callback={}", receiver.url);
    let request = listen_to_url(&stage, &query, "https://example.com/a.mp3");
    assert_eq!(request.send().await.unwrap().status(), 200);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(receiver.waiting(), 0, "stuck work is never told of");
}

#[tokio::test]
async fn faults_are_asked_for_in_texts_tags_and_addresses() {
    let stage = Stage::new().await;
    assert!(speak(&stage, "", "[sim:lost]").send().await.is_err());
    assert_eq!(stage.simulator.journal().submits_of("[sim:lost]"), 1);
    let response = speak(&stage, "", "[sim:truncated=1000]").send().await.unwrap();
    assert!(response.bytes().await.is_err());
    let response = speak(&stage, "", "[sim:huge=1MB]").send().await.unwrap();
    assert_eq!(response.content_length(), Some(1_000_000));

    let audio = recording(&stage, TEXT).await;
    let tagged = listen(&stage, "model=nova-3&tag=[sim:status=429%20retry_after=2s]", audio.clone());
    let response = tagged.send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"2".parse().unwrap())
    );
    assert_eq!(response.json::<Value>().await.unwrap()["err_code"], "TOO_MANY_REQUESTS");
    let request = listen_to_url(&stage, "model=nova-3", "https://example.com/[sim:malformed]/a.mp3?secret=1");
    let body = request.send().await.unwrap().text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&body).is_err());
    let prompt = "https://example.com/[sim:malformed]/a.mp3";
    assert_eq!(stage.simulator.journal().submits_of(prompt), 1, "the query may be a secret");
    let stuck = listen(&stage, "model=nova-3&tag=[sim:stuck]", audio.clone());
    assert!(stuck.timeout(Duration::from_millis(200)).send().await.unwrap_err().is_timeout());

    let rule = Rule::new(Fault::Moderation { form: ModerationForm::Model }).provider(Provider::Deepgram);
    stage.simulator.script(rule);
    let (status, body) = refused(listen(&stage, "model=nova-3", audio)).await;
    assert_eq!((status, text(&body, "err_code")), (400, "CONTENT_REFUSED"));
    let entry = stage.simulator.journal().submits().pop().unwrap();
    assert!(entry.prompt.unwrap().starts_with("sha256:") && !entry.accepted);
}
