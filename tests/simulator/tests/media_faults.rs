use std::time::{Duration, Instant};

use atelier_simulator::{ClaimedType, Fault, Kind, Rule};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{Stage, text};

#[tokio::test]
async fn slow_bodies_trickle() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::Slow { bytes_per_second: 40_000 }));
    let start = Instant::now();
    let bytes = stage.speak("slow").send().await.unwrap().bytes().await.unwrap();
    let expected = bytes.len() as f64 / 40_000.0;
    let took = start.elapsed().as_secs_f64();
    assert!(took > expected * 0.9 && took < expected + 2.0, "{took} s for {expected} s");
}

#[tokio::test]
async fn truncated_bodies_end_before_their_length() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::Truncated { sent_bytes: Some(5_000) }));
    let response = stage.speak("cut").send().await.unwrap();
    assert!(response.content_length().unwrap() > 5_000);
    let mut body = response.bytes_stream();
    let (mut received, mut failed) = (0, false);
    while let Some(piece) = body.next().await {
        match piece {
            Ok(bytes) => received += bytes.len(),
            Err(_) => failed = true,
        }
    }
    assert_eq!((received, failed), (5_000, true));
    assert_eq!(stage.simulator.journal().all()[0].bytes_sent, 5_000);
}

#[tokio::test]
async fn clean_cuts_look_whole() {
    let stage = Stage::new().await;
    let whole = stage.speak("cut").send().await.unwrap().bytes().await.unwrap();
    stage.simulator.script(Rule::new(Fault::CutClean { missing_bytes: Some(1_000) }));
    let response = stage.speak("cut").send().await.unwrap();
    let claimed = response.content_length().unwrap();
    let cut = response.bytes().await.unwrap();
    assert_eq!((cut.len() as u64, cut.len()), (claimed, whole.len() - 1_000));
    assert_eq!(cut, whole[..cut.len()]);
}

#[tokio::test]
async fn wrong_bodies_tell_the_truth_or_lie_about_their_type() {
    let stage = Stage::new().await;
    let url = stage.runway_video("wrong").await;
    for (claims, expected) in
        [(ClaimedType::Html, "text/html; charset=utf-8"), (ClaimedType::Media, "video/mp4")]
    {
        stage.simulator.clear_script();
        stage.simulator.script(Rule::new(Fault::WrongType { claims }));
        let response = stage.client.get(&url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], expected);
        assert!(response.text().await.unwrap().contains("<html>"));
    }
}

#[tokio::test]
async fn gone_files_come_back() {
    let stage = Stage::new().await;
    let url = stage.runway_video("[sim:gone=403 times=2]").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(stage.client.get(&url).send().await.unwrap().status().as_u16());
    }
    assert_eq!(seen, [403, 403, 200]);
}

#[tokio::test]
async fn huge_files_have_the_size_that_was_asked_for() {
    let stage = Stage::new().await;
    let size = 20_000_123;
    stage.simulator.script(Rule::new(Fault::Huge { bytes: size }));
    let video = stage.runway_video("huge").await;
    let mut images = Vec::new();
    for format in ["png", "jpeg"] {
        let body = json!({"prompt": "huge", "output_format": format});
        let submitted = stage.fal_submit("fal-ai/flux/dev", &body).await;
        let output: Value = stage.fal_result(&submitted).await.json().await.unwrap();
        images.push(text(&output["images"][0], "url").to_owned());
    }
    for url in std::iter::once(&video).chain(&images) {
        let response = stage.client.get(url).send().await.unwrap();
        assert_eq!(response.content_length(), Some(size));
        assert_eq!(response.bytes().await.unwrap().len() as u64, size);
        let head = stage.client.head(url).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], size.to_string());
    }
    let speech = stage.speak("huge").send().await.unwrap().bytes().await.unwrap();
    assert_eq!(speech.len() as u64, size);
    assert!(speech.starts_with(b"ID3"));
}

#[tokio::test]
async fn half_a_gigabyte_is_streamed() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::Huge { bytes: 500_000_000 }).kind(Kind::Media));
    let url = stage.runway_video("half a gigabyte").await;
    let start = Instant::now();
    let mut body = stage.client.get(&url).send().await.unwrap().bytes_stream();
    let mut received = 0;
    while let Some(piece) = body.next().await {
        received += piece.unwrap().len();
    }
    assert_eq!(received, 500_000_000);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
