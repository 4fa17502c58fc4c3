//! Runway's uploads over real sockets: the bytes go to a foreign address, without the key, and only to a public one.

use atelier_domain::error::ProviderError;
use atelier_domain::foreign::Exceptions;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{InputForms, PreparedInput, Providers, SubmitCall, Submitted};
use atelier_providers::{ProviderSettings, Registry};
use bytes::Bytes;
use serde_json::json;

use crate::adapters::{KEY, RUNWAY, key, now};
use crate::stand::{Seen, Stand, answer, install_crypto, json as json_answer};

const NAME: &str = "runway://uploads/1";

fn registry(base: &str, exceptions: &[String]) -> Registry {
    install_crypto();
    let settings: ProviderSettings = serde_json::from_value(
        json!({"runway": {"base_url": base, "options": {"max_inline_image_bytes": 100}}}),
    )
    .unwrap();
    Registry::new(&settings, Exceptions::new(exceptions.iter().cloned())).unwrap()
}

fn call(length: usize) -> SubmitCall {
    let mut spec = RUNWAY.spec();
    spec.operation = Operation::VideoFromImage;
    spec.model = "gen4_turbo".to_owned();
    let bytes = Bytes::from(vec![b'p'; length]);
    let input = PreparedInput::Bytes { content_type: "image/png".to_owned(), bytes };
    SubmitCall { spec, input: Some(input), files: Default::default(), key: key(), callback_url: None }
}

/// The provider and, on another address, its storage, which answers with this status.
async fn stands(status: u16) -> (Stand, Stand) {
    let storage = Stand::start(move |_, _| answer(status, "text/plain", "")).await;
    let address = format!("{}/bucket", storage.base());
    let provider = Stand::start(move |seen, base| {
        if seen.target == "/v1/uploads" {
            let fields = json!({"key": "uploads/1", "policy": "POLICY"});
            let body = json!({"uploadUrl": address, "fields": fields, "runwayUri": NAME});
            return json_answer(200, body);
        }
        RUNWAY.good(seen, base)
    })
    .await;
    (provider, storage)
}

#[tokio::test]
async fn a_large_image_is_uploaded_before_the_paid_call() {
    let (stand, storage) = stands(204).await;
    let registry = registry(&stand.base(), &[storage.address.to_string()]);
    let provider = registry.get(Provider::Runway).unwrap();
    let call = provider.upload_inputs(call(1_000)).await.unwrap();
    assert_eq!(call.input, Some(PreparedInput::Url(NAME.to_owned())));
    assert!(matches!(provider.submit(call, now()).await.unwrap(), Submitted::Accepted { .. }));

    let targets: Vec<String> = stand.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/v1/uploads", "/v1/image_to_video"]);
    assert!(stand.seen()[1].body.contains(NAME));

    let seen: Vec<Seen> = storage.seen();
    let [upload] = seen.as_slice() else { panic!("{seen:?}") };
    let content_type = upload.headers.get("content-type").unwrap().to_str().unwrap();
    assert!(content_type.starts_with("multipart/form-data; boundary="), "{content_type}");
    let places = ["name=\"key\"", "name=\"policy\"", "name=\"file\"; filename=\"file.png\"", "pppp"];
    let places: Vec<usize> = places.iter().map(|part| upload.body.find(part).unwrap()).collect();
    assert!(places.is_sorted(), "the file comes last: {}", upload.body);
    assert!(!upload.headers.contains_key("authorization") && !upload.body.contains(KEY));
}

#[tokio::test]
async fn a_small_image_is_not_uploaded() {
    let (stand, storage) = stands(204).await;
    let registry = registry(&stand.base(), &[storage.address.to_string()]);
    let call = registry.get(Provider::Runway).unwrap().upload_inputs(call(100)).await.unwrap();
    assert!(matches!(call.input, Some(PreparedInput::Bytes { .. })));
    assert_eq!((stand.seen().len(), storage.seen().len()), (0, 0));
}

#[tokio::test]
async fn inv8_bytes_go_to_no_private_address() {
    let (stand, storage) = stands(204).await;
    let registry = registry(&stand.base(), &[]);
    let refused = registry.get(Provider::Runway).unwrap().upload_inputs(call(1_000)).await;
    assert!(matches!(refused, Err(ProviderError::Malformed { .. })), "{refused:?}");
    assert_eq!(storage.seen().len(), 0);
}

#[tokio::test]
async fn a_storage_that_refuses_leaves_nothing_paid() {
    let (stand, storage) = stands(503).await;
    let registry = registry(&stand.base(), &[storage.address.to_string()]);
    let refused = registry.get(Provider::Runway).unwrap().upload_inputs(call(1_000)).await;
    assert!(matches!(refused, Err(ProviderError::Unavailable { .. })), "{refused:?}");
    assert_eq!(stand.seen().len(), 1);
}

#[tokio::test]
async fn bytes_are_taken_up_to_the_largest_image() {
    let registry = registry("http://127.0.0.1:9", &[]);
    let forms = registry.get(Provider::Runway).unwrap().input_forms(&call(1).spec, None);
    assert_eq!(forms, InputForms { takes_url: true, max_bytes: Some(16_000_000) });
}
