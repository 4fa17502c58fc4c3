use std::collections::BTreeMap;

use bytes::Bytes;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::*;
use crate::fixture::now;

const ID: &str = "764cabcf-b745-4b3e-ae38-1200304cf45b";
const TOLERANCE: Duration = Duration::from_secs(300);

fn signer(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn key_set(signers: &[u8]) -> Vec<u8> {
    let key = |seed: &u8| {
        let x = URL_SAFE_NO_PAD.encode(signer(*seed).public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": seed.to_string()})
    };
    json!({"keys": signers.iter().map(key).collect::<Vec<_>>()}).to_string().into_bytes()
}

/// A webhook as Fal sends it, signed by that key so many seconds from now.
fn webhook(seed: u8, seconds: i64, body: Value) -> CallbackRequest {
    let body = Bytes::from(body.to_string());
    let time = (now().as_second() + seconds).to_string();
    let digest = hex(digest(&SHA256, &body).as_ref());
    let signature = signer(seed).sign([ID, "user", &time, &digest].join("\n").as_bytes());
    let headers = [
        ("x-fal-webhook-request-id", ID.to_owned()),
        ("x-fal-webhook-user-id", "user".to_owned()),
        ("x-fal-webhook-timestamp", time),
        ("x-fal-webhook-signature", hex(signature.as_ref())),
        ("content-type", "application/json".to_owned()),
    ];
    let headers: BTreeMap<String, String> =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    CallbackRequest { headers, body }
}

fn genuine() -> CallbackRequest {
    webhook(1, 0, json!({"request_id": ID, "status": "OK", "payload": {}}))
}

fn judged(request: &CallbackRequest) -> Result<Callback, CallbackRefusal> {
    judge(request, &key_set(&[1]), TOLERANCE, now())
}

fn reason(request: &CallbackRequest) -> &'static str {
    match judged(request) {
        Err(CallbackRefusal::NotGenuine { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_genuine_webhook_says_that_it_is_time_to_ask() {
    let ended = Ok(Callback { remote_id: Some(ID.to_owned()), news: News::Ended });
    assert_eq!(judged(&genuine()), ended);
    for body in [
        json!({"request_id": ID, "status": "ERROR", "error": "Unexpected status code: 422", "payload": null}),
        json!({"request_id": ID, "status": "OK", "payload": {}, "something_new": [1]}),
        json!({"request_id": ID, "status": "PAUSED"}),
        json!({"request_id": ID, "gateway_request_id": "other"}),
    ] {
        assert_eq!(judged(&webhook(1, 0, body.clone())), ended, "{body}");
    }
}

#[test]
fn any_of_the_published_keys_may_have_signed() {
    assert!(judge(&genuine(), &key_set(&[3, 2, 1]), TOLERANCE, now()).is_ok());
    let mixed = json!({"keys": [
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "OKP", "crv": "X25519", "x": "AA"}, {"kty": "OKP", "x": 5}, 7,
        serde_json::from_slice::<Value>(&key_set(&[1])).unwrap()["keys"][0],
    ]});
    assert!(judge(&genuine(), mixed.to_string().as_bytes(), TOLERANCE, now()).is_ok());
    let mut padded: Value = serde_json::from_slice(&key_set(&[1])).unwrap();
    let x = format!("{}=", padded["keys"][0]["x"].as_str().unwrap());
    padded["keys"][0]["x"] = x.into();
    assert!(judge(&genuine(), padded.to_string().as_bytes(), TOLERANCE, now()).is_ok(), "{padded}");
}

#[test]
fn forgeries_are_refused() {
    let body = json!({"request_id": ID, "status": "OK"});
    let unsigned = "no key of the provider made the signature";
    assert_eq!(reason(&webhook(2, 0, body)), unsigned, "another key");
    let mut changed = genuine();
    changed.body = Bytes::from_static(b"{}");
    assert_eq!(reason(&changed), unsigned, "another body");
    for (name, value) in [
        ("x-fal-webhook-request-id", "other"),
        ("x-fal-webhook-user-id", "other"),
        ("x-fal-webhook-signature", &"00".repeat(64)),
    ] {
        let mut changed = genuine();
        changed.headers.insert(name.to_owned(), value.to_owned());
        assert_eq!(reason(&changed), unsigned, "another {name}");
    }
    let mut later = genuine();
    let time = (now().as_second() + 1).to_string();
    later.headers.insert("x-fal-webhook-timestamp".to_owned(), time);
    assert_eq!(reason(&later), unsigned, "another time");
}

#[test]
fn a_header_that_is_missing_or_odd_is_refused() {
    for name in ["request-id", "user-id", "timestamp", "signature"] {
        let mut request = genuine();
        request.headers.remove(&format!("x-fal-webhook-{name}"));
        assert_eq!(reason(&request), "a header of the signature is missing");
    }
    for (name, value, expected) in [
        ("signature", "xyz", "the signature cannot be read"),
        ("signature", "0", "the signature cannot be read"),
        ("signature", "00ff", "the signature cannot be read"),
        ("timestamp", "yesterday", "the time is no number"),
        ("timestamp", "-9223372036854775808", "it was signed too long ago, or in the future"),
    ] {
        let mut request = genuine();
        request.headers.insert(format!("x-fal-webhook-{name}"), value.to_owned());
        assert_eq!(reason(&request), expected, "{value}");
    }
}

#[test]
fn a_webhook_is_good_for_five_minutes() {
    let body = json!({"request_id": ID});
    for seconds in [-300, 300] {
        assert!(judged(&webhook(1, seconds, body.clone())).is_ok(), "{seconds}");
    }
    for seconds in [-301, 301] {
        let request = webhook(1, seconds, body.clone());
        assert_eq!(reason(&request), "it was signed too long ago, or in the future", "{seconds}");
    }
}

#[test]
fn a_signed_body_must_be_about_the_signed_request() {
    for body in [json!({"request_id": "other"}), json!({}), json!([]), json!({"request_id": 5})] {
        let expected = "its body names another request than its signature";
        assert_eq!(reason(&webhook(1, 0, body.clone())), expected, "{body}");
    }
}

#[test]
fn keys_that_cannot_be_read_are_no_verdict() {
    for document in
        ["", "{}", "[]", "not json", r#"{"keys": 5}"#, r#"{"keys": []}"#, r#"{"keys": [{"kty": "RSA"}]}"#]
    {
        let judged = judge(&genuine(), document.as_bytes(), TOLERANCE, now());
        assert!(matches!(judged, Err(CallbackRefusal::Unavailable { .. })), "{document}: {judged:?}");
    }
}
