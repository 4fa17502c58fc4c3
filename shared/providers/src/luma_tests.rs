use std::collections::BTreeMap;

use atelier_domain::job::RemoteOperation;
use atelier_domain::operation::Operation;
use atelier_domain::ports::PreparedInput;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::fixture::{asked, assert_table, call, endpoint, key, load, now, shown, with_file, with_input};

const BASE: &str = "http://luma.test/dream-machine/v1";

fn wire() -> Luma {
    let agents_base_url = Some(Url::parse("http://agents.test/v1").unwrap());
    Luma::new(LumaOptions { agents_base_url, ..LumaOptions::default() })
}

fn make(operation: Operation, model: &str, config: Value) -> SubmitCall {
    call(Provider::Luma, operation, model, config)
}

fn picture() -> PreparedInput {
    PreparedInput::Url("https://example.com/fox.png".to_owned())
}

fn bytes() -> PreparedInput {
    PreparedInput::Bytes { content_type: "image/png".to_owned(), bytes: Bytes::from_static(b"png") }
}

fn encoded(call: &SubmitCall) -> Result<String, ProviderError> {
    wire().encode_submit(call, &endpoint(BASE)).map(|request| shown(&request))
}

#[test]
fn a_video_from_text_goes_to_dream_machine() {
    let mut call = make(
        Operation::VideoGen,
        "ray-2",
        json!({"duration": "9s", "concepts": ["orbit_left"], "loop": null}),
    );
    call.callback_url = Some("https://media.example.com/callbacks/luma/x/y".to_owned());
    assert_eq!(
        encoded(&call).unwrap(),
        "POST http://luma.test/dream-machine/v1/generations/video\nauthorization: Bearer KEY\n\
         {\"callback_url\":\"https://media.example.com/callbacks/luma/x/y\",\"concepts\":[{\"key\":\"orbit_left\"}],\
         \"duration\":\"9s\",\"model\":\"ray-2\",\"prompt\":\"a fox\"}"
    );
}

#[test]
fn pictures_are_keyframes() {
    let call = with_input(make(Operation::VideoFromImage, "ray-flash-2", json!({})), picture());
    let call = with_file(call, "end_image", picture());
    assert!(encoded(&call).unwrap().ends_with(
        "{\"keyframes\":{\"frame0\":{\"type\":\"image\",\"url\":\"https://example.com/fox.png\"},\
         \"frame1\":{\"type\":\"image\",\"url\":\"https://example.com/fox.png\"}},\"model\":\"ray-flash-2\",\"prompt\":\"a fox\"}"
    ));
}

#[test]
fn an_edit_is_an_image_with_a_reference() {
    let call = with_input(
        make(Operation::ImageEdit, "photon-1", json!({"weight": 0.5, "format": "png"})),
        picture(),
    );
    assert_eq!(
        encoded(&call).unwrap(),
        "POST http://luma.test/dream-machine/v1/generations/image\nauthorization: Bearer KEY\n\
         {\"format\":\"png\",\"model\":\"photon-1\",\"modify_image_ref\":{\"url\":\"https://example.com/fox.png\",\"weight\":0.5},\"prompt\":\"a fox\"}"
    );
}

#[test]
fn newer_models_go_to_the_agents_api_with_bytes_or_urls() {
    let config = json!({"resolution": "720p", "duration": "5s", "aspect_ratio": "16:9"});
    let call = with_input(make(Operation::VideoFromImage, "ray-3.2", config), bytes());
    assert_eq!(
        encoded(&call).unwrap(),
        "POST http://agents.test/v1/generations\nauthorization: Bearer KEY\n\
         {\"aspect_ratio\":\"16:9\",\"model\":\"ray-3.2\",\"prompt\":\"a fox\",\"type\":\"video\",\
         \"video\":{\"duration\":\"5s\",\"resolution\":\"720p\",\"start_frame\":{\"data\":\"cG5n\",\"media_type\":\"image/png\"}}}"
    );
    let call = with_input(make(Operation::ImageEdit, "uni-1", json!({"output_format": "png"})), picture());
    assert!(encoded(&call).unwrap().ends_with(
        "{\"model\":\"uni-1\",\"output_format\":\"png\",\"prompt\":\"a fox\",\
         \"source\":{\"url\":\"https://example.com/fox.png\"},\"type\":\"image_edit\"}"
    ));
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    let rows = [
        make(Operation::Tts, "ray-2", json!({})),
        make(Operation::Tts, "uni-1", json!({})),
        make(Operation::VideoGen, "ray-2", json!({"seed": 1})),
        make(Operation::ImageGen, "photon-1", json!({"duration": "5s"})),
        make(Operation::VideoGen, "ray-3.2", json!({"concepts": []})),
        make(Operation::VideoFromImage, "ray-2", json!({})),
        make(Operation::ImageEdit, "uni-1", json!({})),
        with_input(make(Operation::VideoFromImage, "ray-2", json!({})), bytes()),
    ];
    for call in rows {
        let outcome = encoded(&call);
        assert!(matches!(outcome, Err(ProviderError::Invalid { .. })), "{:?}: {outcome:?}", call.spec);
    }
}

#[test]
fn only_the_agents_api_takes_bytes() {
    let forms =
        |model: &str| wire().input_forms(&make(Operation::VideoFromImage, model, json!({})).spec, None);
    assert_eq!(forms("ray-2"), InputForms { takes_url: true, max_bytes: None });
    assert_eq!(forms("ray-3.2"), InputForms { takes_url: true, max_bytes: Some(10_000_000) });
}

#[test]
fn checks_and_cancels_go_to_the_api_of_the_model() {
    let remote = RemoteOperation { id: "a/b".to_owned(), submitted_at: now(), urls: BTreeMap::new() };
    let endpoint = endpoint(BASE);
    for (model, base, can_cancel) in [("ray-2", BASE, true), ("uni-1", "http://agents.test/v1", false)] {
        let spec = make(Operation::ImageGen, model, json!({})).spec;
        let look = Look { spec: &spec, remote: &remote, key: &key() };
        let own = format!("{base}/generations/a%2Fb\nauthorization: Bearer KEY\n");
        assert_eq!(shown(&asked(wire().encode_check(&look, &endpoint).unwrap())), format!("GET {own}"));
        let cancel = wire().encode_abandon(&look, &endpoint).unwrap().map(|request| shown(&request));
        assert_eq!(cancel, can_cancel.then(|| format!("DELETE {own}")));
    }
}

#[test]
fn a_callback_is_a_hint_and_never_more() {
    let judged = |body: &str| {
        let request = CallbackRequest { headers: BTreeMap::new(), body: Bytes::from(body.to_owned()) };
        wire().decode_callback(&request, None, now())
    };
    let said = |state: &str| {
        judged(&format!(
            "{{\"id\": \"g1\", \"state\": \"{state}\", \"assets\": {{\"video\": \"https://evil.example\"}}}}"
        ))
        .unwrap()
    };
    assert_eq!(said("completed"), Callback { remote_id: Some("g1".to_owned()), news: News::Ended });
    assert_eq!(said("failed").news, News::Ended);
    assert_eq!(said("dreaming").news, News::Progress);
    for body in ["", "x", "{}", "[]", "{\"state\": 5}"] {
        assert!(matches!(judged(body), Err(CallbackRefusal::NotGenuine { .. })), "{body}");
    }
}

#[test]
fn the_agents_api_tells_outputs_and_codes() {
    let spec = make(Operation::ImageGen, "uni-1", json!({})).spec;
    let remote = RemoteOperation { id: "id-1".to_owned(), submitted_at: now(), urls: BTreeMap::new() };
    let look = Look { spec: &spec, remote: &remote, key: &key() };
    for (name, expected) in [
        (
            "agents_200_completed",
            "Ready { outputs: [Output { source: Link(\"https://cdn.agents.example/a.png?sig=SECRET\")",
        ),
        ("agents_200_processing", "Working { status: \"processing\""),
        ("agents_200_failed_moderated", "Failed { error: Rejected"),
        ("agents_200_failed_retry", "is_retryable: true"),
        ("agents_200_failed_budget", "Failed { error: Quota"),
        ("agents_200_failed_input", "Failed { error: Invalid"),
    ] {
        let step = wire().decode_check(&load(Provider::Luma, name), &look, &endpoint(BASE)).unwrap();
        let told = format!("{step:?}");
        assert!(told.contains(expected), "{name}: {told}");
    }
}

#[test]
fn every_documented_reply_has_its_meaning() {
    let id = "d2b1f0d4-1c4b-4c46-8e3a-2f0d1a7f1c55";
    let accepted = format!("accepted {id} \"queued\" urls []");
    let unreadable = "unknown_outcome [] it answered HTTP 201 but named no generation (the body was whole)";
    assert_table(
        &wire(),
        &make(Operation::VideoGen, "ray-2", json!({})),
        &endpoint(BASE),
        None,
        &[
            ("submit_201", &accepted),
            ("submit_201_without_id", unreadable),
            ("submit_201_dot_id", unreadable),
            ("submit_201_not_json", unreadable),
            ("submit_400", "invalid [400] 400: concepts are not supported for this model"),
            ("submit_400_moderated", "rejected [400] 400: Prompt moderated"),
            ("submit_400_credits", "quota [] 400: Insufficient credits"),
            ("submit_400_model_gone", "model_retired [] 400: model ray-1-6 is no longer available"),
            ("submit_401", "unauthorized [] Invalid API key is provided"),
            ("submit_402", "quota [] The balance does not suffice."),
            ("submit_403", "unauthorized [] Invalid API key is provided"),
            ("submit_413", "invalid [413] The image is larger than 50 MB."),
            ("submit_422", "invalid [422] duration: Input should be 5s or 9s"),
            ("submit_429", "rate_limited [Some(7s)] Too many concurrent generations"),
            ("submit_500", "unknown_outcome [] HTTP 500: Internal server error"),
            (
                "submit_502_page",
                "unknown_outcome [] HTTP 502: it answered HTTP 502 without a readable reason",
            ),
            ("submit_503", "unavailable [503] Overloaded"),
            (
                "submit_302_redirect",
                "malformed [302] it redirects, which is not followed; the base URL may be wrong",
            ),
            ("check_200_queued", "working queued"),
            ("check_200_dreaming", "working dreaming"),
            ("check_200_unknown_state", "working imagining"),
            ("check_200_without_state", "malformed [200] the generation names no state"),
            ("check_200_not_json", "malformed [200] the generation names no state"),
            (
                "check_200_completed",
                "ready completed cost unknown: https://storage.cdn-luma.com/dream_machine/a/video.mp4 video/mp4",
            ),
            (
                "check_200_completed_image",
                "ready completed cost unknown: https://storage.cdn-luma.com/dream_machine/a/image.jpg ",
            ),
            ("check_200_completed_without_asset", "malformed [200] the completed generation has no http URL"),
            ("check_200_completed_odd_link", "malformed [200] the completed generation has no http URL"),
            (
                "check_200_failed",
                "failed cost unknown: work_failed [failed] Something went wrong while dreaming",
            ),
            ("check_200_failed_moderated", "failed cost unknown: rejected [failed] The output was moderated"),
            (
                "check_200_failed_silent",
                "failed cost unknown: work_failed [failed] the generation failed without a reason",
            ),
            ("check_401", "unauthorized [] Invalid API key is provided"),
            ("check_404", "unknown_operation [] Generation not found"),
            ("check_429", "rate_limited [Some(3s)] Too many requests"),
            ("check_500", "unavailable [500] Internal server error"),
            ("abandon_204", "Stopped"),
            ("abandon_404", "TooLate"),
            ("abandon_500", "unavailable [500] Internal server error"),
        ],
    );
}
