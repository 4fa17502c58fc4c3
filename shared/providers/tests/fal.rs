//! Fal and Pika over real sockets: uploads, the ways of both modes, and webhooks with keys that change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use atelier_domain::error::ProviderError;
use atelier_domain::foreign::Exceptions;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{
    Abandoned, Callback, CallbackRefusal, CallbackRequest, Callbacks, Checked, News, PreparedInput,
    Providers, SubmitCall, Submitted,
};
use atelier_providers::{ProviderSettings, Registry};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::adapters::{FAL, OPERATION_ID, PIKA, key, now};
use crate::stand::{Stand, answer, install_crypto, json as json_answer};

/// `exceptions` are hosts that files may be put to although they are not public.
fn registry(settings: Value, exceptions: &[String]) -> Registry {
    install_crypto();
    let settings: ProviderSettings = serde_json::from_value(settings).unwrap();
    Registry::new(&settings, Exceptions::new(exceptions.iter().cloned())).unwrap()
}

/// A call with a picture that is too large for a data URI, and a mask.
fn large_edit() -> SubmitCall {
    let file = |length: usize| PreparedInput::Bytes {
        content_type: "image/png".to_owned(),
        bytes: Bytes::from(vec![b'p'; length]),
    };
    let mut spec = FAL.spec();
    spec.operation = Operation::ImageEdit;
    spec.model = "fal-ai/flux-pro/v1/fill".to_owned();
    let files = BTreeMap::from([("mask".to_owned(), file(3))]);
    SubmitCall { spec, input: Some(file(300_000)), files, key: key(), callback_url: None }
}

/// Storage and queue on one address.
async fn stand_with_storage() -> Stand {
    Stand::start(|seen, base| {
        if seen.target.starts_with("/storage/upload/initiate") {
            let (upload_url, file_url) = (format!("{base}/put/1?sig=x"), format!("{base}/files/1/input.png"));
            return json_answer(200, json!({"upload_url": upload_url, "file_url": file_url}));
        }
        if seen.target.starts_with("/put/") {
            return answer(200, "text/plain", "");
        }
        FAL.good(seen, base)
    })
    .await
}

#[tokio::test]
async fn a_large_picture_is_uploaded_before_the_paid_call() {
    let stand = stand_with_storage().await;
    let base = stand.base();
    let registry = registry(json!({"fal": {"base_url": base}}), &[stand.address.to_string()]);
    let provider = registry.get(Provider::Fal).unwrap();
    let call = provider.upload_inputs(large_edit()).await.unwrap();
    assert_eq!(call.input, Some(PreparedInput::Url(format!("{base}/files/1/input.png"))));
    assert!(matches!(call.files["mask"], PreparedInput::Bytes { .. }), "it is small");
    assert!(matches!(provider.submit(call, now()).await.unwrap(), Submitted::Accepted { .. }));

    let seen = stand.seen();
    let lines: Vec<String> = seen.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(
        lines,
        [
            "POST /storage/upload/initiate?storage_type=fal-cdn-v3",
            "PUT /put/1?sig=x",
            "POST /fal-ai/flux-pro/v1/fill"
        ]
    );
    let [announced, put, paid] = seen.as_slice() else { panic!("{lines:?}") };
    assert!(announced.headers.contains_key("authorization"));
    assert!(!put.headers.contains_key("authorization"), "the key stays with its owner");
    assert_eq!((put.headers["content-type"].to_str().unwrap(), put.body.len()), ("image/png", 300_000));
    let input: Value = serde_json::from_str(&paid.body).unwrap();
    assert_eq!(input["image_url"], format!("{base}/files/1/input.png"));
    assert_eq!(input["mask_url"], "data:image/png;base64,cHBw");
}

#[tokio::test]
async fn inv8_an_upload_to_a_private_address_is_refused() {
    let stand = stand_with_storage().await;
    let registry = registry(json!({"fal": {"base_url": stand.base()}}), &[]);
    let error = registry.get(Provider::Fal).unwrap().upload_inputs(large_edit()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Malformed { .. }), "{error:?}");
    assert_eq!(stand.seen().len(), 1, "nothing was put");
}

#[tokio::test]
async fn a_video_of_pika_goes_its_whole_way() {
    let stand = Stand::start(|seen, base| PIKA.good(seen, base)).await;
    let base = stand.base();
    let Submitted::Accepted { remote, .. } = PIKA.submit(&base).await.unwrap() else {
        panic!("not accepted")
    };
    let registry = PIKA.registry(&base);
    let provider = registry.get(Provider::Pika).unwrap();
    let found = provider.check(&PIKA.spec(), &remote, &key()).await.unwrap();
    let Checked::Ready { outputs, .. } = found else { panic!("{found:?}") };
    assert_eq!(outputs.len(), 1);
    assert_eq!(provider.abandon(&PIKA.spec(), &remote, &key()).await.unwrap(), Abandoned::Stopped);
    let lines: Vec<String> =
        stand.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    let own = format!("/fal-ai/pika/requests/{OPERATION_ID}");
    assert_eq!(
        lines,
        [
            "POST /fal-ai/pika/v2.2/text-to-video".to_owned(),
            format!("GET {own}/status"),
            format!("GET {own}"),
            format!("PUT {own}/cancel"),
        ]
    );
}

#[tokio::test]
async fn a_direct_video_of_pika_goes_its_whole_way() {
    let stand = Stand::start(|seen, base| {
        if seen.method == "POST" {
            return json_answer(200, json!({"id": "gen_1"}));
        }
        let video = json!({"url": format!("{base}/a.mp4"), "duration": 5});
        json_answer(200, json!({"id": "gen_1", "status": "completed", "video": video}))
    })
    .await;
    let base = stand.base();
    let registry = registry(json!({"pika": {"base_url": base, "options": {"mode": "direct"}}}), &[]);
    let provider = registry.get(Provider::Pika).unwrap();
    let call = SubmitCall {
        spec: PIKA.spec(),
        input: None,
        files: Default::default(),
        key: key(),
        callback_url: Some("https://atelier.example/c".to_owned()),
    };
    let Submitted::Accepted { remote, .. } = provider.submit(call, now()).await.unwrap() else {
        panic!("not accepted")
    };
    let found = provider.check(&PIKA.spec(), &remote, &key()).await.unwrap();
    assert!(matches!(found, Checked::Ready { .. }), "{found:?}");
    assert_eq!(provider.abandon(&PIKA.spec(), &remote, &key()).await.unwrap(), Abandoned::NotSupported);
    let lines: Vec<String> =
        stand.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(lines, ["POST /v1/generate", "GET /v1/generate/gen_1"]);
}

// ---------------------------------------------------------------- webhooks

fn signer(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn webhook(seed: u8) -> CallbackRequest {
    let body = Bytes::from(json!({"request_id": OPERATION_ID, "status": "OK", "payload": {}}).to_string());
    let time = now().as_second().to_string();
    let signed = [OPERATION_ID, "user", &time, &hex(digest(&SHA256, &body).as_ref())].join("\n");
    let signature = hex(signer(seed).sign(signed.as_bytes()).as_ref());
    let headers = [
        ("x-fal-webhook-request-id", OPERATION_ID.to_owned()),
        ("x-fal-webhook-user-id", "user".to_owned()),
        ("x-fal-webhook-timestamp", time),
        ("x-fal-webhook-signature", signature),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    CallbackRequest { headers, body }
}

#[tokio::test]
async fn webhooks_are_judged_by_keys_that_are_read_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let stand = Stand::start(move |seen, _| {
        assert_eq!(seen.target, "/.well-known/jwks.json");
        count.fetch_add(1, Ordering::SeqCst);
        let x = URL_SAFE_NO_PAD.encode(signer(1).public_key());
        json_answer(200, json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}))
    })
    .await;
    let base = stand.base();
    let settings = json!({"fal": {"base_url": base}, "pika": {"base_url": base}});
    let registry = registry(settings, &[]);
    for provider in [Provider::Fal, Provider::Pika] {
        for _ in 0..3 {
            let told = registry.judge(provider, &webhook(1), now()).await;
            let expected = Callback { remote_id: Some(OPERATION_ID.to_owned()), news: News::Ended };
            assert_eq!(told, Ok(expected));
            let forged = registry.judge(provider, &webhook(2), now()).await;
            assert!(matches!(forged, Err(CallbackRefusal::NotGenuine { .. })), "{forged:?}");
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2, "once for each provider, and not for a forgery");
}

#[tokio::test]
async fn without_keys_a_webhook_is_not_judged() {
    let stand = Stand::start(|_, _| json_answer(503, json!({"detail": "later"}))).await;
    let registry = registry(json!({"fal": {"base_url": stand.base()}}), &[]);
    let told = registry.judge(Provider::Fal, &webhook(1), now()).await;
    assert!(matches!(told, Err(CallbackRefusal::Unavailable { .. })), "{told:?}");
}
