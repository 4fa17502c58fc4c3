//! A job's whole way at each provider, and what only one of them does.

use std::time::Duration;

use atelier_domain::error::ProviderError;
use atelier_domain::foreign::Exceptions;
use atelier_domain::job::Output;
use atelier_domain::money::{MicroUsd, PriceUnit, ReportedCost};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{Abandoned, Checked, PreparedInput, Providers, SubmitCall, Submitted};
use atelier_providers::{ProviderSettings, Registry, SetupError};
use axum::http::Response;

use crate::adapters::{
    Adapter, DEEPGRAM, DEEPGRAM_STT, ELEVENLABS, ELEVENLABS_STT, FAL, OPERATION_ID, REPLICATE, RUNWAY, key,
    now,
};
use crate::contract::collected;
use crate::stand::{Rude, RudeStand, Stand, install_crypto, json};

#[tokio::test]
async fn speech_comes_with_its_type_request_id_and_cost() {
    let stand = Stand::start(|_, _| {
        Response::builder()
            .header("content-type", "audio/mpeg")
            .header("request-id", "req_1")
            .header("character-cost", "21")
            .body("ID3 speech".into())
            .unwrap()
    })
    .await;
    let Submitted::Bytes { content_type, body, request_id, cost, .. } =
        ELEVENLABS.submit(&stand.base()).await.unwrap()
    else {
        panic!("accepted")
    };
    assert_eq!(content_type.as_deref(), Some("audio/mpeg"));
    assert_eq!(request_id.as_deref(), Some("req_1"));
    assert_eq!(cost, Some(ReportedCost::units(PriceUnit::Character, 21)));
    assert_eq!(collected(body).await.unwrap(), b"ID3 speech");
}

#[tokio::test]
async fn speech_that_stalls_ends_with_an_error_in_time() {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n3\r\nID3\r\n";
    let stand = RudeStand::start(Rude::SayAndHang(head.to_owned())).await;
    let Submitted::Bytes { body, .. } = ELEVENLABS.submit(&stand.base()).await.unwrap() else {
        panic!("accepted")
    };
    let broken = tokio::time::timeout(Duration::from_secs(5), collected(body)).await.unwrap().unwrap_err();
    assert!(broken.message.contains("no byte came for 300 ms"), "{broken}");
}

#[tokio::test]
async fn speech_has_no_operation_to_ask_about() {
    let error = ELEVENLABS.check("http://127.0.0.1:9").await.unwrap_err();
    assert!(matches!(error, ProviderError::UnknownOperation { .. }), "{error:?}");
    assert_eq!(ELEVENLABS.abandon("http://127.0.0.1:9").await.unwrap(), Abandoned::NotSupported);
}

#[tokio::test]
async fn deepgrams_speech_comes_with_its_type_request_id_and_cost() {
    let stand = Stand::start(|_, _| {
        Response::builder()
            .header("content-type", "audio/mpeg")
            .header("dg-request-id", "req_2")
            .header("dg-char-count", "21")
            .body("ID3 speech".into())
            .unwrap()
    })
    .await;
    let Submitted::Bytes { content_type, body, request_id, cost, .. } =
        DEEPGRAM.submit(&stand.base()).await.unwrap()
    else {
        panic!("accepted")
    };
    assert_eq!((content_type.as_deref(), request_id.as_deref()), (Some("audio/mpeg"), Some("req_2")));
    assert_eq!(cost, Some(ReportedCost::units(PriceUnit::Character, 21)));
    assert_eq!(collected(body).await.unwrap(), b"ID3 speech");
    let seen = &stand.seen()[0];
    assert_eq!(seen.target, "/v1/speak?model=aura-2-thalia-en&encoding=mp3");
    assert_eq!(seen.body, r#"{"text":"a very private prompt"}"#);
}

#[tokio::test]
async fn a_transcript_comes_whole_with_its_text_files_and_cost() {
    for adapter in [ELEVENLABS_STT, DEEPGRAM_STT] {
        let stand = Stand::start(move |seen, base| adapter.good(seen, base)).await;
        let Submitted::Finished(finished) = adapter.submit(&stand.base()).await.unwrap() else {
            panic!("{adapter:?} did not finish")
        };
        assert_eq!(finished.text.as_deref(), Some("Hello"), "{adapter:?}");
        assert_eq!(finished.cost, ReportedCost::seconds(PriceUnit::AudioSecond, 1.5), "{adapter:?}");
        let types: Vec<&str> =
            finished.outputs.iter().filter_map(|output| output.content_type.as_deref()).collect();
        assert_eq!(types, ["text/plain; charset=utf-8", "application/json"], "{adapter:?}");
        let seen = &stand.seen()[0];
        assert!(seen.body.contains("https://files.example.com/talk.mp3"), "{seen:?}");
        assert!(!seen.body.contains("private prompt") && !seen.target.contains("private"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_recording_is_sent_as_bytes_or_as_a_form() {
    for (adapter, content_type) in
        [(DEEPGRAM_STT, "audio/wav"), (ELEVENLABS_STT, "multipart/form-data; boundary=")]
    {
        let stand = Stand::start(move |seen, base| adapter.good(seen, base)).await;
        let registry = adapter.registry(&stand.base());
        let provider = registry.get(adapter.provider).unwrap();
        let forms = provider.input_forms(&adapter.spec(), None);
        assert!(forms.takes_url && forms.max_bytes.is_some());
        let bytes = b"RIFF pretend this is a recording".as_slice().into();
        let call = SubmitCall {
            spec: adapter.spec(),
            input: Some(PreparedInput::Bytes { content_type: "audio/wav".to_owned(), bytes }),
            files: Default::default(),
            key: key(),
            callback_url: None,
        };
        let call = provider.upload_inputs(call).await.unwrap();
        assert!(matches!(provider.submit(call, now()).await.unwrap(), Submitted::Finished(_)));
        let seen = &stand.seen()[0];
        assert!(seen.headers["content-type"].to_str().unwrap().starts_with(content_type), "{seen:?}");
        assert!(seen.body.contains("RIFF pretend this is a recording"), "{seen:?}");
    }
}

#[tokio::test]
async fn an_image_is_queued_asked_about_and_found() {
    let (submit_targets, found) = whole_way(FAL).await;
    let own = format!("/fal-ai/flux/requests/{OPERATION_ID}");
    assert_eq!(
        submit_targets,
        [
            "POST /fal-ai/flux/dev".to_owned(),
            format!("GET {own}/status"),
            format!("GET {own}"),
            format!("PUT {own}/cancel"),
        ]
    );
    let outputs = vec![link("https://v3.fal.media/files/a.png", "image/png")];
    assert_eq!(found, Checked::Ready { outputs, status: "COMPLETED".to_owned(), cost: None });
}

#[tokio::test]
async fn a_prediction_is_created_asked_about_and_found() {
    let (submit_targets, found) = whole_way(REPLICATE).await;
    let own = format!("/v1/predictions/{OPERATION_ID}");
    assert_eq!(
        submit_targets,
        [
            "POST /v1/models/black-forest-labs/flux-schnell/predictions".to_owned(),
            format!("GET {own}"),
            format!("POST {own}/cancel"),
        ]
    );
    let outputs = vec![link("https://replicate.delivery/xezq/a/out-0.webp", "image/webp")];
    let cost = Some(ReportedCost::units(PriceUnit::Image, 1));
    assert_eq!(found, Checked::Ready { outputs, status: "succeeded".to_owned(), cost });
}

#[tokio::test]
async fn a_large_image_is_uploaded_before_its_prediction() {
    let stand = Stand::start(move |seen, base| REPLICATE.good(seen, base)).await;
    let registry = REPLICATE.registry(&stand.base());
    let provider = registry.get(Provider::Replicate).unwrap();
    let bytes = |length: usize| PreparedInput::Bytes {
        content_type: "image/png".to_owned(),
        bytes: vec![b'.'; length].into(),
    };
    let mut spec = REPLICATE.spec();
    spec.operation = Operation::ImageEdit;
    spec.model = "stability-ai/sdxl".to_owned();
    let files = [("mask".to_owned(), bytes(3))].into();
    let call = SubmitCall { spec, input: Some(bytes(300_000)), files, key: key(), callback_url: None };
    let call = provider.upload_inputs(call).await.unwrap();
    provider.submit(call, now()).await.unwrap();
    let seen = stand.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].body.contains("name=\"content\"; filename=\"file.png\""));
    let sent: serde_json::Value = serde_json::from_str(&seen[1].body).unwrap();
    assert_eq!(sent["input"]["image"], format!("{}/v1/files/file-1", stand.base()));
    assert_eq!(sent["input"]["mask"], "data:image/png;base64,Li4u");
}

#[tokio::test]
async fn a_video_is_created_asked_about_and_found() {
    let (submit_targets, found) = whole_way(RUNWAY).await;
    assert_eq!(
        submit_targets,
        [
            "POST /v1/text_to_video".to_owned(),
            format!("GET /v1/tasks/{OPERATION_ID}"),
            format!("DELETE /v1/tasks/{OPERATION_ID}"),
        ]
    );
    let outputs = vec![link("https://cdn.example.com/a.mp4?_jwt=secret", "video/mp4")];
    let cost = Some(ReportedCost::Amount(MicroUsd(600_000)));
    assert_eq!(found, Checked::Ready { outputs, status: "SUCCEEDED".to_owned(), cost });
}

#[tokio::test]
async fn a_failed_image_is_found_behind_completed() {
    let stand = Stand::start(|seen, _| {
        if seen.target.ends_with("/status") {
            return json(200, serde_json::json!({"status": "COMPLETED", "error": "Unexpected status code: 422"}));
        }
        let detail = serde_json::json!([{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]);
        json(422, serde_json::json!({ "detail": detail }))
    })
    .await;
    let error = ProviderError::Rejected {
        message: "prompt: flagged".to_owned(),
        status: "content_policy_violation".to_owned(),
    };
    assert_eq!(FAL.check(&stand.base()).await.unwrap(), Checked::Failed { error, cost: None });
}

#[tokio::test]
async fn every_provider_has_its_adapter() {
    install_crypto();
    let registry = Registry::new(&ProviderSettings::default(), Exceptions::default()).unwrap();
    assert!(Provider::ALL.iter().all(|provider| registry.get(*provider).is_some()));
}

#[tokio::test]
async fn wrong_settings_are_refused_at_start() {
    install_crypto();
    let settings: ProviderSettings =
        serde_json::from_str(r#"{"fal": {"base_url": "queue.fal.run"}}"#).unwrap();
    assert!(
        matches!(Registry::new(&settings, Exceptions::default()), Err(SetupError::Settings(problems)) if problems.len() == 1)
    );
}

/// Submits, checks and abandons; gives the requests that were made and what the check found.
async fn whole_way(adapter: Adapter) -> (Vec<String>, Checked) {
    let stand = Stand::start(move |seen, base| adapter.good(seen, base)).await;
    let base = stand.base();
    let registry = adapter.registry(&base);
    let provider = registry.get(adapter.provider).unwrap();
    let Submitted::Accepted { remote, .. } = adapter.submit(&base).await.unwrap() else {
        panic!("bytes came")
    };
    assert_eq!((remote.id.as_str(), remote.submitted_at), (OPERATION_ID, now()));
    let found = provider.check(&adapter.spec(), &remote, &key()).await.unwrap();
    assert_eq!(provider.abandon(&adapter.spec(), &remote, &key()).await.unwrap(), Abandoned::Stopped);
    (stand.seen().into_iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect(), found)
}

fn link(url: &str, content_type: &str) -> Output {
    Output::link(url, Some(content_type.to_owned()))
}
