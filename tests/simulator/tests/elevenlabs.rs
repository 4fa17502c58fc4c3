use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Stage;

#[tokio::test]
async fn speech_is_mp3_with_cost_and_request_id() {
    let stage = Stage::new().await;
    let response = stage.speak("fifteen letters and then some more words").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "audio/mpeg");
    assert_eq!(response.headers()["character-cost"], "40");
    assert!(response.headers().contains_key("request-id"));
    let length = response.content_length().unwrap();
    let bytes = response.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, length);
    assert_eq!(bytes[..2], [0xff, 0xfb]);
    // 40 characters at 15 a second and 128 kbit/s, in whole frames.
    assert!((42_000..44_000).contains(&bytes.len()), "{}", bytes.len());
}

#[tokio::test]
async fn other_formats_are_what_they_say() {
    let stage = Stage::new().await;
    for (format, content_type, start) in [
        ("wav_16000", "audio/wav", b"RIFF".as_slice()),
        ("opus_48000_64", "audio/ogg", b"OggS"),
        ("pcm_8000", "audio/pcm", b""),
        ("ulaw_8000", "audio/basic", b""),
    ] {
        let response = stage.speak_as("hello", format).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], content_type);
        assert!(response.bytes().await.unwrap().starts_with(start), "{format}");
    }
}

#[tokio::test]
async fn wrong_requests_get_the_providers_bodies() {
    let stage = Stage::new().await;
    let path = "/v1/text-to-speech/voice";
    let post = |path: &str, body: Value| stage.elevenlabs(Method::POST, path).json(&body);

    let response = post(path, json!({})).send().await.unwrap();
    assert_eq!(response.status(), 422);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["detail"][0]["loc"], json!(["body", "text"]));

    let response = stage.speak_as("x", "mp3_1_2").send().await.unwrap();
    assert_eq!(response.status(), 422);
    let response = post(path, json!({"text": "x", "model_id": "nope"})).send().await.unwrap();
    assert_eq!(response.status(), 404);
    let response = post("/v1/text-to-speech/missing-voice", json!({"text": "x"})).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap()["detail"]["code"], "voice_not_found");
    let response = stage.speak(&"x".repeat(10_001)).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(response.json::<Value>().await.unwrap()["detail"]["status"], "max_character_limit_exceeded");
    assert_eq!(stage.simulator.journal().submits().iter().filter(|entry| entry.accepted).count(), 0);
}

#[tokio::test]
async fn keys_decide_who_is_let_in() {
    let stage = Stage::new().await;
    let url = stage.url("/elevenlabs/v1/text-to-speech/v");
    let body = json!({"text": "x"});
    for (key, code) in [("bad-key", "invalid_api_key"), ("no-money", "quota_exceeded")] {
        let response = stage.client.post(&url).header("xi-api-key", key).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.json::<Value>().await.unwrap()["detail"]["status"], code);
    }
    assert_eq!(stage.client.post(&url).json(&body).send().await.unwrap().status(), 401);
    assert_eq!(stage.elevenlabs(Method::GET, "/v1/user").send().await.unwrap().status(), 200);
    assert_eq!(stage.elevenlabs(Method::GET, "/v1/models").send().await.unwrap().status(), 200);
}
