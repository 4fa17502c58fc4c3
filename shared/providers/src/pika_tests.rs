use atelier_domain::job::RemoteOperation;
use atelier_domain::ports::PreparedInput;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::exchange::Body;
use crate::fixture::{asked, assert_table, call, endpoint, key, load, now, shown, with_input};

fn fal() -> Pika {
    Pika::new(PikaOptions::default())
}

fn direct() -> Pika {
    Pika::new(PikaOptions { mode: PikaMode::Direct, ..PikaOptions::default() })
}

fn video(model: &str, config: Value) -> SubmitCall {
    call(Provider::Pika, Operation::VideoGen, model, config)
}

fn from_image(model: &str, config: Value) -> SubmitCall {
    let image = PreparedInput::Url("https://example.com/fox.png".to_owned());
    with_input(call(Provider::Pika, Operation::VideoFromImage, model, config), image)
}

fn submit(call: &SubmitCall) -> Result<HttpRequest, ProviderError> {
    fal().encode_submit(call, &endpoint("http://fal.test"))
}

fn look<R>(spec: &JobSpec, use_look: impl FnOnce(&Look<'_>) -> R) -> R {
    let remote = RemoteOperation { id: "id-1".to_owned(), submitted_at: now(), urls: Default::default() };
    use_look(&Look { spec, remote: &remote, key: &key() })
}

#[test]
fn each_model_has_an_endpoint_for_each_operation() {
    for (model, version) in [("pika-2.2", "v2.2"), ("pika-2.1", "v2.1"), ("pika-2-turbo", "v2/turbo")] {
        let url = |call: &SubmitCall| submit(call).unwrap().url.to_string();
        let base = format!("http://fal.test/fal-ai/pika/{version}");
        assert_eq!(url(&video(model, json!({}))), format!("{base}/text-to-video"));
        assert_eq!(url(&from_image(model, json!({}))), format!("{base}/image-to-video"));
    }
}

#[test]
fn a_request_holds_the_options_and_the_picture() {
    let config = json!({"duration": "10", "resolution": "1080p", "aspect_ratio": "4:5", "seed": 5, "negative_prompt": "x"});
    assert_eq!(
        shown(&submit(&video("pika-2.2", config)).unwrap()),
        "POST http://fal.test/fal-ai/pika/v2.2/text-to-video\n\
         authorization: Key KEY\n\
         {\"aspect_ratio\":\"4:5\",\"duration\":10,\"negative_prompt\":\"x\",\"prompt\":\"a fox\",\"resolution\":\"1080p\",\"seed\":5}"
    );
    let mut call = from_image("pika-2.1", json!({"duration": 5, "seed": null}));
    call.callback_url = Some("https://atelier.example/c".to_owned());
    assert_eq!(
        shown(&submit(&call).unwrap()),
        "POST http://fal.test/fal-ai/pika/v2.1/image-to-video?fal_webhook=https%3A%2F%2Fatelier.example%2Fc\n\
         authorization: Key KEY\n\
         {\"duration\":5,\"image_url\":\"https://example.com/fox.png\",\"prompt\":\"a fox\"}"
    );
    let small =
        PreparedInput::Bytes { content_type: "image/png".to_owned(), bytes: Bytes::from_static(b"png") };
    let Body::Json(body) = submit(&with_input(call, small)).unwrap().body else { panic!("no JSON") };
    assert_eq!(body["image_url"], "data:image/png;base64,cG5n");
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    let mut silent = video("pika-2.2", json!({}));
    silent.spec.prompt = Some("  ".to_owned());
    let mut blind = from_image("pika-2.2", json!({}));
    blind.input = None;
    let mut image = video("pika-2.2", json!({}));
    image.spec.operation = Operation::ImageGen;
    for call in [
        silent,
        blind,
        image,
        video("pika-9", json!({})),
        video("pika-2.2", json!({"camera": "pan"})),
        video("pika-2.2", json!({"duration": "long"})),
        from_image("pika-2.2", json!({"aspect_ratio": "1:1"})),
    ] {
        let outcome = submit(&call);
        assert!(matches!(outcome, Err(ProviderError::Invalid { .. })), "{:?}", call.spec);
    }
}

#[test]
fn retired_models_are_called_so_without_a_call() {
    for model in ["pika-1.0", "pika-1.5"] {
        for call in [video(model, json!({})), from_image(model, json!({}))] {
            let error = submit(&call).unwrap_err();
            assert!(matches!(error, ProviderError::ModelRetired { .. }), "{error:?}");
        }
    }
}

#[test]
fn later_calls_keep_the_application_only() {
    let spec = from_image("pika-2-turbo", json!({})).spec;
    let endpoint = endpoint("http://fal.test/q");
    let own = "http://fal.test/q/fal-ai/pika/requests/id-1";
    let status = look(&spec, |look| asked(fal().encode_check(look, &endpoint).unwrap()));
    assert_eq!(shown(&status), format!("GET {own}/status\nauthorization: Key KEY\n"));
    let cancel = look(&spec, |look| fal().encode_abandon(look, &endpoint).unwrap().unwrap());
    assert_eq!(shown(&cancel), format!("PUT {own}/cancel\nauthorization: Key KEY\n"));
}

#[test]
fn files_and_keys_are_where_fal_has_them() {
    let endpoint = endpoint("https://queue.fal.run");
    let content = Bytes::from(vec![7; 300_000]);
    let file = FileBytes { content_type: "image/png", bytes: &content };
    let spec = from_image("pika-2.2", json!({})).spec;
    let request = fal().encode_upload(&file, &spec, &key(), &endpoint).unwrap().unwrap();
    assert!(
        request.url.as_str().starts_with("https://rest.fal.ai/storage/upload/initiate?"),
        "{}",
        request.url
    );
    let reply = load(Provider::Fal, "upload_200");
    assert!(matches!(fal().decode_upload(&reply, &file, &endpoint), Ok(UploadStep::Then { .. })));
    assert!(fal().callback_keys(&endpoint).unwrap().url.as_str().ends_with("/.well-known/jwks.json"));
    assert_eq!(fal().input_forms(&spec, None).max_bytes, Some(32 * 1024 * 1024));
}

#[test]
fn every_documented_reply_has_its_meaning() {
    let id = "764cabcf-b745-4b3e-ae38-1200304cf45b";
    let accepted = format!("accepted {id} \"IN_QUEUE\" urls [\"cancel\", \"response\", \"status\"]");
    assert_table(
        &fal(),
        &video("pika-2.2", json!({})),
        &endpoint("http://fal.test"),
        Some(queue::result),
        &[
            ("submit_200", &accepted),
            (
                "submit_200_not_json",
                "unknown_outcome [] it answered HTTP 200 but named no request (the body was whole)",
            ),
            ("submit_401", "unauthorized [] Authentication is required to access this application."),
            ("submit_403_locked", "quota [] User is locked. Reason: Exhausted balance."),
            ("submit_404", "model_retired [] Path /v2.2/text-to-video not found"),
            ("submit_422_policy", "rejected [content_policy_violation] prompt: The content was flagged."),
            ("submit_422_duration", "invalid [one_of] duration: Input should be 5 or 10"),
            ("submit_429", "rate_limited [Some(3s)] Too many concurrent requests"),
            (
                "submit_502_page",
                "unknown_outcome [] HTTP 502: it answered HTTP 502 without a readable reason",
            ),
            ("check_202_in_queue", "working IN_QUEUE"),
            ("check_202_in_progress", "working IN_PROGRESS"),
            ("check_200_completed", "then GET http://fal.test/fal-ai/pika/requests/id-1"),
            ("check_404", "unknown_operation [] Request not found"),
            (
                "result_200_video",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/pika.mp4 video/mp4",
            ),
            ("result_200_bare_video", "ready COMPLETED cost unknown: https://v3.fal.media/files/pika.mp4 "),
            (
                "result_422_no_media",
                "failed cost unknown: invalid [no_media_generated] No media was generated",
            ),
            (
                "result_499_cancelled",
                "failed cost unknown: work_failed [client_cancelled] Request was cancelled",
            ),
            (
                "result_504_timeout",
                "failed cost unknown: work_failed [generation_timeout, retryable] Generation timed out",
            ),
            ("abandon_202", "Stopped"),
            ("abandon_400_completed", "TooLate"),
        ],
    );
}

// ---------------------------------------------------------------- direct

#[test]
fn the_direct_mode_needs_an_address_of_the_operators() {
    for (text, is_good) in [
        (r#"{"pika": {"options": {"mode": "direct"}}}"#, false),
        (r#"{"pika": {"base_url": "https://queue.fal.run/x", "options": {"mode": "direct"}}}"#, false),
        (r#"{"pika": {"base_url": "https://pika.example", "options": {"mode": "direct"}}}"#, true),
        (r#"{"pika": {"options": {"fal": {"max_inline_bytes": 5}}}}"#, true),
    ] {
        let settings: crate::settings::ProviderSettings = serde_json::from_str(text).unwrap();
        let problems = settings.problems();
        assert_eq!(problems.is_empty(), is_good, "{problems:?}");
        assert!(is_good || problems[0].starts_with("pika.base_url must"), "{problems:?}");
    }
}

#[test]
fn the_direct_mode_sends_text_with_its_options_beside_it() {
    let endpoint = endpoint("https://pika.example");
    let call = video("pika-1.0", json!({"duration": 5, "aspect_ratio": "1:1"}));
    assert_eq!(
        shown(&direct().encode_submit(&call, &endpoint).unwrap()),
        "POST https://pika.example/v1/generate\n\
         authorization: Bearer KEY\n\
         {\"aspect_ratio\":\"1:1\",\"duration\":5,\"model\":\"pika-1.0\",\"promptText\":\"a fox\"}"
    );
    let error = direct().encode_submit(&from_image("pika-2.2", json!({})), &endpoint).unwrap_err();
    assert!(matches!(error, ProviderError::Invalid { .. }), "{error:?}");
    let forms = direct().input_forms(&call.spec, None);
    assert_eq!((forms.takes_url, forms.max_bytes), (false, None));
    look(&call.spec, |look| {
        let request = asked(direct().encode_check(look, &endpoint).unwrap());
        assert_eq!(shown(&request), "GET https://pika.example/v1/generate/id-1\nauthorization: Bearer KEY\n");
        assert!(direct().encode_abandon(look, &endpoint).unwrap().is_none());
    });
    assert!(direct().callback_keys(&endpoint).is_none());
    let request = CallbackRequest { headers: Default::default(), body: Bytes::new() };
    let refusal = direct().decode_callback(&request, None, now());
    assert_eq!(refusal, Err(CallbackRefusal::NotExpected { provider: Provider::Pika }));
}

#[test]
fn answers_of_the_direct_mode_are_called_unofficial() {
    let endpoint = endpoint("https://pika.example");
    let spec = video("pika-2.2", json!({})).spec;
    let said = "the unofficial address of pika said";
    for (name, expected) in [
        ("direct_submit_401", format!("Unauthorized {{ message: \"{said}: bad key\" }}")),
        ("direct_submit_402", format!("Quota {{ message: \"{said}: no credits\" }}")),
        ("direct_submit_404", format!("Invalid {{ message: \"{said}: no such path\", status: \"404\" }}")),
        (
            "direct_submit_422",
            format!("Invalid {{ message: \"{said}: promptText is missing\", status: \"422\" }}"),
        ),
        ("direct_submit_429", format!("RateLimited {{ message: \"{said}: slow down\", retry_after: None }}")),
        ("direct_submit_500", format!("UnknownOutcome {{ message: \"{said}: oops\" }}")),
        (
            "direct_submit_200_without_id",
            "UnknownOutcome { message: \"it answered HTTP 200 but named no generation (the body was whole)\" }"
                .to_owned(),
        ),
    ] {
        let reply = load(Provider::Pika, name);
        let error = direct().decode_submit(&reply, &spec, &endpoint, now()).unwrap_err();
        assert_eq!(format!("{error:?}"), expected, "{name}");
    }
    let reply = load(Provider::Pika, "direct_submit_200");
    let Ok(Answered::Accepted(accepted)) = direct().decode_submit(&reply, &spec, &endpoint, now()) else {
        panic!("not accepted")
    };
    assert_eq!((accepted.remote.id.as_str(), accepted.status.as_deref()), ("gen_1", Some("queued")));
}

#[test]
fn a_direct_video_is_found_by_its_status() {
    let endpoint = endpoint("https://pika.example");
    let spec = video("pika-2.2", json!({})).spec;
    let step = |name: &str| {
        let step = look(&spec, |look| direct().decode_check(&load(Provider::Pika, name), look, &endpoint));
        step.map_or_else(|error| format!("{error:?}"), |step| format!("{step:?}"))
    };
    for (name, words) in [
        ("direct_check_200_pending", &["Working", "\"pending\""][..]),
        ("direct_check_200_completed", &["Ready", "https://cdn.pika.art/a.mp4", "video/mp4", "cost: None"]),
        ("direct_check_200_failed", &["Failed", "WorkFailed", "said: flagged", "is_retryable: false"]),
        ("direct_check_200_without_video", &["Malformed"]),
        ("direct_check_200_without_status", &["Malformed"]),
        ("direct_check_404", &["UnknownOperation", "said: Generation not found"]),
        ("direct_check_503_page", &["Unavailable"]),
    ] {
        let found = step(name);
        assert!(words.iter().all(|word| found.contains(word)), "{name}: {found}");
    }
}
