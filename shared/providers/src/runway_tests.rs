use std::collections::BTreeMap;

use atelier_domain::job::RemoteOperation;
use bytes::Bytes;

use super::*;
use crate::fixture::{asked, assert_table, call, endpoint, key, load, now, shown, with_input};

fn wire() -> Runway {
    Runway::new(RunwayOptions::default())
}

fn from_text(config: Value) -> SubmitCall {
    call(Provider::Runway, Operation::VideoGen, "gen4.5", config)
}

fn from_image(model: &str, config: Value) -> SubmitCall {
    let input = PreparedInput::Url("https://example.com/fox.png".to_owned());
    with_input(call(Provider::Runway, Operation::VideoFromImage, model, config), input)
}

fn from_bytes(content_type: &str, bytes: Vec<u8>) -> SubmitCall {
    let input = PreparedInput::Bytes { content_type: content_type.to_owned(), bytes: Bytes::from(bytes) };
    with_input(call(Provider::Runway, Operation::VideoFromImage, "gen4_turbo", json!({})), input)
}

fn encoded(call: &SubmitCall) -> Result<HttpRequest, ProviderError> {
    wire().encode_submit(call, &endpoint("http://video.test"))
}

fn body(call: &SubmitCall) -> Value {
    match encoded(call).unwrap().body {
        Body::Json(value) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn text_to_video_always_names_duration_and_ratio() {
    assert_eq!(
        shown(&encoded(&from_text(json!({}))).unwrap()),
        "POST http://video.test/v1/text_to_video\n\
         authorization: Bearer KEY\n\
         x-runway-version: 2024-11-06\n\
         {\"duration\":5,\"model\":\"gen4.5\",\"promptText\":\"a fox\",\"ratio\":\"1280:720\"}"
    );
}

#[test]
fn image_to_video_carries_every_option() {
    let call = from_image(
        "gen4_turbo",
        json!({"duration": 10, "ratio": "21:9", "seed": 4294967295_u64, "public_figure_threshold": "low"}),
    );
    assert_eq!(
        shown(&encoded(&call).unwrap()),
        "POST http://video.test/v1/image_to_video\n\
         authorization: Bearer KEY\n\
         x-runway-version: 2024-11-06\n\
         {\"contentModeration\":{\"publicFigureThreshold\":\"low\"},\"duration\":10,\"model\":\"gen4_turbo\",\
         \"promptImage\":\"https://example.com/fox.png\",\"promptText\":\"a fox\",\"ratio\":\"1584:672\",\
         \"seed\":4294967295}"
    );
}

#[test]
fn the_retired_model_keeps_its_last_contract() {
    let request = body(&from_image("gen3a_turbo", json!({"ratio": "9:16", "duration": 10})));
    assert_eq!((request["ratio"].as_str(), request["duration"].as_u64()), (Some("768:1280"), Some(10)));
    assert_eq!(body(&from_image("gen3a_turbo", json!({})))["ratio"], "1280:768");
}

#[test]
fn one_length_has_three_spellings() {
    for duration in [json!(8), json!(8.0), json!("8")] {
        assert_eq!(body(&from_text(json!({ "duration": duration })))["duration"], json!(8));
    }
}

#[test]
fn both_spellings_of_a_ratio_are_read() {
    for (given, sent) in
        [("1:1", "960:960"), ("960:960", "960:960"), ("3:4", "832:1104"), ("4:3", "1104:832")]
    {
        assert_eq!(body(&from_image("gen4.5", json!({ "ratio": given })))["ratio"], sent);
    }
}

#[test]
fn the_moderation_option_may_be_nested() {
    let nested = json!({"content_moderation": {"public_figure_threshold": "low"}});
    assert_eq!(body(&from_text(nested))["contentModeration"], json!({"publicFigureThreshold": "low"}));
    let empty = json!({"content_moderation": {"public_figure_threshold": null}});
    assert_eq!(body(&from_text(empty)).get("contentModeration"), None);
}

#[test]
fn gen4_turbo_needs_no_prompt() {
    let mut call = from_image("gen4_turbo", json!({}));
    call.spec.prompt = None;
    assert_eq!(body(&call).get("promptText"), None);
}

#[test]
fn bytes_become_a_data_uri() {
    let request = body(&from_bytes("image/jpg; q=1", vec![1, 2, 3]));
    assert_eq!(request["promptImage"], "data:image/jpeg;base64,AQID");
}

#[test]
fn what_cannot_be_right_is_not_sent_and_the_message_says_what_would_be() {
    let with_prompt = |mut call: SubmitCall, prompt: &str| {
        call.spec.prompt = Some(prompt.to_owned());
        call
    };
    let mut speech = from_text(json!({}));
    speech.spec.operation = Operation::Tts;
    let mut no_image = from_image("gen4_turbo", json!({}));
    no_image.input = None;
    let mut long_url = from_image("gen4_turbo", json!({}));
    long_url.input = Some(PreparedInput::Url(format!("https://example.com/{}", "x".repeat(2048))));
    let rows = [
        (speech, "`video_gen` or `video_from_image` was expected"),
        (call(Provider::Runway, Operation::VideoGen, "gen4_turbo", json!({})), "one of gen4.5 was expected"),
        (from_image("gen9", json!({})), "one of gen4.5, gen4_turbo, gen3a_turbo was expected"),
        (no_image, "an input image is needed"),
        (long_url, "2048 characters"),
        (from_bytes("image/gif", vec![1]), "one of image/jpeg, image/png, image/webp was expected"),
        (from_bytes("image/png", vec![0; 3_300_001]), "at most 3300000 can be sent inside the request"),
        (with_prompt(from_text(json!({})), " "), "`gen4.5` needs a prompt"),
        (with_prompt(from_text(json!({})), &"🦊".repeat(501)), "1002 UTF-16 code units"),
        (from_text(json!({"duration": 11})), "one of 2, 3, 4, 5, 6, 7, 8, 9, 10 seconds"),
        (from_text(json!({"duration": 2.5})), "`duration`"),
        (from_image("gen3a_turbo", json!({"duration": 6})), "one of 5, 10 seconds"),
        (from_text(json!({"ratio": "1:1"})), "16:9 (1280:720), 9:16 (720:1280)"),
        (from_text(json!({"ratio": 7})), "`ratio`"),
        (from_text(json!({"seed": -1})), "`seed`"),
        (from_text(json!({"seed": 4294967296_u64})), "`seed`"),
        (from_text(json!({"public_figure_threshold": "high"})), "`auto` or `low`"),
        (from_text(json!({"content_moderation": {"colour": "red"}})), "`content_moderation`"),
        (from_text(json!({"content_moderation": "low"})), "`content_moderation`"),
        (from_text(json!({"colour": "red"})), "`colour`"),
    ];
    for (call, part) in rows {
        match encoded(&call) {
            Err(ProviderError::Invalid { message, .. }) => {
                assert!(message.contains(part), "{part}: {message}")
            }
            other => panic!("{part}: {other:?}"),
        }
    }
}

fn upload_of(content_type: &str, length: usize) -> Result<Option<HttpRequest>, ProviderError> {
    let bytes = Bytes::from(vec![1; length]);
    let call = from_image("gen4_turbo", json!({}));
    let file = FileBytes { content_type, bytes: &bytes };
    wire().encode_upload(&file, &call.spec, &call.key, &endpoint("http://video.test"))
}

#[test]
fn a_large_image_asks_for_an_address() {
    assert_eq!(
        shown(&upload_of("image/jpg; q=1", 3_300_001).unwrap().unwrap()),
        "POST http://video.test/v1/uploads\n\
         authorization: Bearer KEY\n\
         x-runway-version: 2024-11-06\n\
         {\"filename\":\"image.jpg\",\"type\":\"ephemeral\"}"
    );
    assert!(upload_of("image/png", 3_300_000).unwrap().is_none(), "it fits into the request");
}

#[test]
fn an_image_that_no_upload_makes_right_is_refused() {
    for (content_type, length, part) in [
        ("image/gif", 3_300_001, "image/jpeg, image/png, image/webp was expected"),
        ("image/png", 16_000_001, "at most 16000000 are taken"),
    ] {
        match upload_of(content_type, length) {
            Err(ProviderError::Invalid { message, .. }) => assert!(message.contains(part), "{message}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_reply_to_an_upload_has_its_meaning() {
    let bytes = Bytes::from_static(b"png");
    let file = FileBytes { content_type: "image/png", bytes: &bytes };
    let told = |name: &str| {
        let reply = load(Provider::Runway, name);
        match wire().decode_upload(&reply, &file, &endpoint("http://video.test")) {
            Ok(UploadStep::Then { request, url }) => format!("{}\nas {url}", shown(&request)),
            Ok(UploadStep::Done { url }) => format!("done {url}"),
            Err(error) => format!("{} {error}", error.label()),
        }
    };
    assert_eq!(
        told("upload_200"),
        "POST https://uploads.example.com/bucket\n\nkey = uploads/1\npolicy = POLICY\n\
         file = file file.png image/png 3 bytes\nas runway://uploads/1"
    );
    for (name, expected) in [
        ("upload_200_no_fields", "malformed the fields"),
        ("upload_200_odd_field", "malformed the fields"),
        ("upload_200_odd_uri", "malformed the upload has no runway:// name"),
        ("upload_200_no_address", "malformed the upload names no address"),
        ("upload_200_not_json", "malformed the upload names no address"),
        ("upload_400_no_credits", "quota Uploads need purchased credits."),
        ("upload_400_validation", "invalid Validation of body failed; filename: Required"),
        ("upload_401", "unauthorized The API key you provided is invalid."),
        ("upload_404", "malformed Not found"),
        ("upload_429", "rate_limited Too Many Requests"),
        ("upload_502_page", "unavailable it answered HTTP 502"),
    ] {
        let told = told(name);
        let (label, message) = expected.split_once(' ').unwrap();
        assert!(told.starts_with(label) && told.contains(message), "{name}: {told}");
    }
}

#[test]
fn checks_and_cancels_address_the_task() {
    let spec = from_text(json!({})).spec;
    let remote = RemoteOperation { id: "a/b c".to_owned(), submitted_at: now(), urls: BTreeMap::new() };
    let look = Look { spec: &spec, remote: &remote, key: &key() };
    let endpoint = endpoint("http://video.test");
    let tail =
        "http://video.test/v1/tasks/a%2Fb%20c\nauthorization: Bearer KEY\nx-runway-version: 2024-11-06\n";
    assert_eq!(shown(&asked(wire().encode_check(&look, &endpoint).unwrap())), format!("GET {tail}"));
    assert_eq!(shown(&wire().encode_abandon(&look, &endpoint).unwrap().unwrap()), format!("DELETE {tail}"));
}

#[test]
fn a_502_is_load_shedding_only_with_the_operators_consent() {
    let reply = load(Provider::Runway, "submit_502_page");
    let spec = from_text(json!({})).spec;
    let decoded = |resubmit_on_load_shedding| {
        let wire = Runway::new(RunwayOptions { resubmit_on_load_shedding, ..RunwayOptions::default() });
        wire.decode_submit(&reply, &spec, &endpoint("http://video.test"), now()).unwrap_err().label()
    };
    assert_eq!((decoded(false), decoded(true)), ("unknown_outcome", "unavailable"));
}

#[test]
fn every_documented_reply_has_its_meaning() {
    let id = "17f20503-6c24-4c16-946b-35dbbce2af2f";
    let accepted = format!("accepted {id} \"\" urls []");
    assert_table(
        &wire(),
        &from_text(json!({})),
        &endpoint("http://video.test"),
        None,
        &[
            ("submit_200", &accepted),
            ("submit_201_without_estimate", &accepted),
            (
                "submit_200_without_id",
                "unknown_outcome [] it answered HTTP 200 but named no task (the body was whole)",
            ),
            (
                "submit_200_not_json",
                "unknown_outcome [] it answered HTTP 200 but named no task (the body was whole)",
            ),
            (
                "submit_400_validation",
                "invalid [400] Validation of body failed; promptText: String must contain at most 1000 character(s)",
            ),
            ("submit_400_model_refused", "model_retired [] Validation of body failed; model: Invalid input"),
            ("submit_400_model_retired_text", "model_retired [] The model gen3a_turbo has been retired."),
            ("submit_400_credits", "quota [] You do not have enough credits to run this task."),
            ("submit_400_asset", "invalid [400] Failed to fetch the asset at promptImage."),
            ("submit_401", "unauthorized [] The API key you provided is invalid."),
            ("submit_404", "invalid [404] Not found"),
            ("submit_405", "invalid [405] it answered HTTP 405 without a readable reason"),
            ("submit_422", "invalid [422] Unprocessable"),
            ("submit_429_daily_limit", "rate_limited [None] Your daily task limit has been reached."),
            ("submit_429_gateway", "rate_limited [Some(12s)] Too Many Requests"),
            ("submit_500", "unknown_outcome [] HTTP 500: Internal server error"),
            (
                "submit_502_page",
                "unknown_outcome [] HTTP 502: it answered HTTP 502 without a readable reason",
            ),
            ("submit_503", "unavailable [503] it answered HTTP 503 without a readable reason"),
            ("submit_504", "unknown_outcome [] HTTP 504: it answered HTTP 504 without a readable reason"),
            (
                "submit_302_redirect",
                "malformed [302] it redirects, which is not followed; the base URL may be wrong",
            ),
            ("check_200_pending", "working PENDING"),
            ("check_200_throttled", "working THROTTLED"),
            ("check_200_running", "working RUNNING 45%"),
            ("check_200_running_odd_progress", "working RUNNING 100%"),
            ("check_200_unknown_status", "working POSTPROCESSING"),
            (
                "check_200_succeeded",
                "ready SUCCEEDED cost 0.25: https://dnznrvs05pmza.cloudfront.net/clip.mp4?_jwt=SECRET video/mp4",
            ),
            (
                "check_200_succeeded_without_cost",
                "ready SUCCEEDED cost unknown: https://dnznrvs05pmza.cloudfront.net/clip.mp4 video/mp4",
            ),
            ("check_200_succeeded_empty", "ready SUCCEEDED cost 0.25: "),
            ("check_200_succeeded_odd_output", "malformed [200] an output is not an http URL"),
            (
                "check_200_failed_safety_input",
                "failed cost 0.25: rejected [SAFETY.INPUT.TEXT] Your prompt was flagged.",
            ),
            (
                "check_200_failed_safety_output",
                "failed cost 0.25: rejected [SAFETY.OUTPUT.VIDEO] The output was flagged.",
            ),
            ("check_200_failed_asset", "failed cost 0: invalid [ASSET.INVALID] The image is too narrow."),
            (
                "check_200_failed_bad_output",
                "failed cost 0: work_failed [INTERNAL.BAD_OUTPUT.CODE01, retryable] An unexpected error occurred.",
            ),
            (
                "check_200_failed_internal",
                "failed cost 0: work_failed [INTERNAL, retryable] An unexpected error occurred.",
            ),
            (
                "check_200_failed_preprocessing",
                "failed cost 0: work_failed [INPUT_PREPROCESSING.INTERNAL, retryable] Could not prepare the input.",
            ),
            (
                "check_200_failed_third_party",
                "failed cost 0: work_failed [THIRD_PARTY.UNAVAILABLE, retryable] The partner failed.",
            ),
            (
                "check_200_failed_without_code",
                "failed cost unknown: work_failed [FAILED, retryable] An unexpected error occurred.",
            ),
            ("check_200_failed_lookalike_code", "failed cost unknown: work_failed [SAFETYNET, retryable] ?"),
            (
                "check_200_cancelled",
                "failed cost 0.25: work_failed [CANCELLED] the task was cancelled at the provider",
            ),
            ("check_200_without_status", "malformed [200] the task names no status"),
            ("check_200_not_json", "malformed [200] the task names no status"),
            ("check_400", "malformed [400] Bad version"),
            ("check_401", "unauthorized [] The API key you provided is invalid."),
            ("check_404", "unknown_operation [] Not found"),
            ("check_429", "rate_limited [Some(5s)] Too Many Requests"),
            ("check_500", "unavailable [500] Internal server error"),
            ("check_502_page", "unavailable [502] it answered HTTP 502 without a readable reason"),
            ("check_503", "unavailable [503] it answered HTTP 503 without a readable reason"),
            ("abandon_204", "Stopped"),
            ("abandon_404", "TooLate"),
            ("abandon_401", "unauthorized [] The API key you provided is invalid."),
            ("abandon_503", "unavailable [503] it answered HTTP 503 without a readable reason"),
        ],
    );
}
