use atelier_domain::job::{JobSpec, RemoteOperation};
use atelier_domain::operation::{Operation, Priority};
use atelier_domain::ports::{Abandoned, PreparedInput};
use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::exchange::Body;
use crate::fixture::{asked, assert_table, call, endpoint, key, load, now, shown, with_file, with_input};

fn wire() -> Fal {
    Fal::new(FalOptions::default())
}

fn image(model: &str, config: Value) -> SubmitCall {
    call(Provider::Fal, Operation::ImageGen, model, config)
}

fn picture() -> PreparedInput {
    PreparedInput::Url("https://example.com/fox.png".to_owned())
}

fn bytes(content_type: &str, length: usize) -> PreparedInput {
    PreparedInput::Bytes { content_type: content_type.to_owned(), bytes: Bytes::from(vec![7; length]) }
}

fn edit(model: &str, config: Value) -> SubmitCall {
    with_input(call(Provider::Fal, Operation::ImageEdit, model, config), picture())
}

fn sent(call: &SubmitCall) -> Value {
    match wire().encode_submit(call, &endpoint("http://fal.test")).unwrap().body {
        Body::Json(input) => input,
        other => panic!("{other:?}"),
    }
}

fn remote(urls: &[(&str, &str)]) -> RemoteOperation {
    let urls = urls.iter().map(|(name, url)| ((*name).to_owned(), (*url).to_owned())).collect();
    RemoteOperation { id: "id-1".to_owned(), submitted_at: now(), urls }
}

fn status_url(spec: &JobSpec, remote: &RemoteOperation, base: &str) -> String {
    let look = Look { spec, remote, key: &key() };
    shown(&asked(wire().encode_check(&look, &endpoint(base)).unwrap()))
}

#[test]
fn the_input_is_the_config_under_its_own_names() {
    let call = image(
        "fal-ai/flux/dev",
        json!({"image_size": {"width": 512, "height": 512}, "num_images": 2, "sync_mode": true, "seed": null}),
    );
    assert_eq!(
        shown(&wire().encode_submit(&call, &endpoint("http://fal.test/queue")).unwrap()),
        "POST http://fal.test/queue/fal-ai/flux/dev\n\
         authorization: Key KEY\n\
         {\"image_size\":{\"height\":512,\"width\":512},\"num_images\":2,\"prompt\":\"a fox\"}"
    );
}

#[test]
fn the_prompt_of_the_job_wins_over_one_in_the_config() {
    let request = wire()
        .encode_submit(&image("a/b", json!({"prompt": "other"})), &endpoint("http://fal.test"))
        .unwrap();
    assert_eq!(request.body, Body::Json(json!({"prompt": "a fox"})));
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    let mut silent = image("a/b", json!({}));
    silent.spec.prompt = None;
    let mut speech = image("a/b", json!({}));
    speech.spec.operation = Operation::Tts;
    let mut blind = edit("a/b", json!({}));
    blind.input = None;
    let large = with_input(edit("a/b", json!({})), bytes("image/png", 256 * 1024 + 1));
    let large_mask = with_file(edit("a/b", json!({})), "mask", bytes("image/png", 256 * 1024 + 1));
    let models = ["", "flux", "a//b", "a/../b", "a/b?fal_webhook=x", "a/b#c", "/a/b"]
        .map(|model| image(model, json!({})));
    for call in models.into_iter().chain([silent, speech, blind, large, large_mask]) {
        let outcome = wire().encode_submit(&call, &endpoint("http://fal.test"));
        assert!(matches!(outcome, Err(ProviderError::Invalid { .. })), "{:?}", call.spec.model);
    }
}

#[test]
fn built_urls_drop_the_path_within_the_application() {
    let rows = [
        ("fal-ai/flux/dev/image-to-image", "http://fal.test/q/fal-ai/flux/requests/id-1/status"),
        ("fal-ai/fast-sdxl", "http://fal.test/q/fal-ai/fast-sdxl/requests/id-1/status"),
        ("workflows/acme/posters/v2", "http://fal.test/q/workflows/acme/posters/requests/id-1/status"),
    ];
    for (model, url) in rows {
        let spec = image(model, json!({})).spec;
        let request = status_url(&spec, &remote(&[]), "http://fal.test/q");
        assert_eq!(request, format!("GET {url}\nauthorization: Key KEY\n"));
    }
}

#[test]
fn the_key_goes_to_the_configured_origin_only() {
    let spec = image("fal-ai/flux/dev", json!({})).spec;
    let own = "http://fal.test/somewhere/else/status";
    let request = status_url(&spec, &remote(&[("status", own)]), "http://fal.test/q");
    assert!(request.starts_with(&format!("GET {own}\n")), "{request}");
    for foreign in [
        "https://fal.test/status",
        "http://fal.test:81/status",
        "http://evil.test/status",
        "http://u:p@fal.test/status",
        "no url",
    ] {
        let request = status_url(&spec, &remote(&[("status", foreign)]), "http://fal.test/q");
        assert!(
            request.starts_with("GET http://fal.test/q/fal-ai/flux/requests/id-1/status\n"),
            "{foreign}: {request}"
        );
    }
}

#[test]
fn a_cancel_is_a_put() {
    let spec = image("fal-ai/flux/dev", json!({})).spec;
    let look = Look { spec: &spec, remote: &remote(&[]), key: &key() };
    let request = wire().encode_abandon(&look, &endpoint("http://fal.test")).unwrap().unwrap();
    assert_eq!(
        shown(&request),
        "PUT http://fal.test/fal-ai/flux/requests/id-1/cancel\nauthorization: Key KEY\n"
    );
}

#[test]
fn only_urls_of_the_own_origin_are_kept() {
    let endpoint = endpoint("http://fal.test/queue");
    let spec = image("fal-ai/flux/dev", json!({})).spec;
    let reply = load(Provider::Fal, "submit_200");
    let Answered::Accepted(kept) = wire().decode_submit(&reply, &spec, &endpoint, now()).unwrap() else {
        panic!("not accepted")
    };
    assert_eq!(
        kept.remote.urls.get("cancel").map(String::as_str),
        Some("http://fal.test/fal-ai/flux/requests/764cabcf-b745-4b3e-ae38-1200304cf45b/cancel")
    );
    assert_eq!(kept.remote.submitted_at, now());
}

#[test]
fn every_documented_reply_has_its_meaning() {
    let endpoint = endpoint("http://fal.test/queue");
    let result = "then GET http://fal.test/queue/fal-ai/flux/requests/id-1";
    let id = "764cabcf-b745-4b3e-ae38-1200304cf45b";
    let accepted = format!("accepted {id} \"IN_QUEUE\" urls [\"cancel\", \"response\", \"status\"]");
    let accepted_foreign = format!("accepted {id} \"IN_QUEUE\" urls []");
    let accepted_bare = format!("accepted {id} \"\" urls []");
    assert_table(
        &wire(),
        &image("fal-ai/flux/dev", json!({})),
        &endpoint,
        Some(queue::result),
        &[
            ("submit_200", &accepted),
            ("submit_200_foreign_urls", &accepted_foreign),
            ("submit_202_id_only", &accepted_bare),
            (
                "submit_200_without_id",
                "unknown_outcome [] it answered HTTP 200 but named no request (the body was whole)",
            ),
            (
                "submit_200_dot_id",
                "unknown_outcome [] it answered HTTP 200 but named no request (the body was whole)",
            ),
            (
                "submit_200_not_json",
                "unknown_outcome [] it answered HTTP 200 but named no request (the body was whole)",
            ),
            ("submit_401", "unauthorized [] Authentication is required to access this application."),
            (
                "submit_403_locked",
                "quota [] User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
            ),
            ("submit_403", "unauthorized [] You do not have access to this application."),
            ("submit_404", "invalid [404] Application 'flux-9' not found"),
            (
                "submit_404_deprecated",
                "model_retired [] This model has been deprecated, please use fal-ai/flux-2 instead.",
            ),
            ("submit_410", "model_retired [] This endpoint is gone."),
            (
                "submit_422_no_longer_file",
                "invalid [file_download_error] image_url: The file is no longer available",
            ),
            (
                "submit_422_image",
                "invalid [image_load_error] image_url: Failed to load the image. Please ensure the image file is not corrupted and is in a supported format.",
            ),
            (
                "submit_422_policy",
                "rejected [content_policy_violation] prompt: The content could not be processed because it was flagged by a content checker.",
            ),
            (
                "submit_422_invalid",
                "invalid [less_than_equal] num_images: Input should be less than or equal to 4",
            ),
            ("submit_429", "rate_limited [Some(2s)] Too many requests."),
            ("submit_500", "unavailable [internal_error] Internal error"),
            (
                "submit_502_page",
                "unknown_outcome [] HTTP 502: it answered HTTP 502 without a readable reason",
            ),
            ("submit_503_page", "unavailable [503] it answered HTTP 503 without a readable reason"),
            ("submit_504_own", "unavailable [request_timeout] Request timed out"),
            (
                "submit_504_page",
                "unknown_outcome [] HTTP 504: it answered HTTP 504 without a readable reason",
            ),
            ("check_202_in_queue", "working IN_QUEUE"),
            ("check_202_in_progress", "working IN_PROGRESS"),
            ("check_200_completed", result),
            ("check_200_completed_with_error", result),
            ("check_200_unknown_word", "working PAUSED"),
            ("check_200_without_status", "malformed [200] the status answer names no status"),
            ("check_200_not_json", "malformed [200] the status answer names no status"),
            ("check_401", "unauthorized [] Invalid key."),
            ("check_403_locked", "quota [] User is locked. Reason: TOP_UP."),
            ("check_404", "unknown_operation [] Request not found"),
            ("check_429", "rate_limited [Some(1s)] Slow down."),
            ("check_503_page", "unavailable [503] it answered HTTP 503 without a readable reason"),
            (
                "result_200_images",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/penguin/a.jpeg image/jpeg seed 42, https://v3.fal.media/files/penguin/b.jpeg image/jpeg seed 42",
            ),
            (
                "result_200_image",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/one.png image/png seed 1",
            ),
            (
                "result_200_video",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/clip.mp4 video/mp4",
            ),
            (
                "result_200_nsfw",
                "failed cost unknown: rejected [has_nsfw_concepts] the provider's safety checker blanked the image",
            ),
            (
                "result_200_one_of_two_nsfw",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/penguin/fine.jpeg image/jpeg seed 42",
            ),
            ("result_200_data_uri", "ready COMPLETED cost unknown: data:image/png;base64,AAAA image/png"),
            (
                "result_200_edit",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/hat.png image/png seed 42",
            ),
            (
                "result_200_described",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/nano.png image/png",
            ),
            (
                "result_200_video_seed",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/wan.mp4  seed 7",
            ),
            (
                "result_200_videos",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/1.mp4 , https://v3.fal.media/files/2.mp4 video/mp4",
            ),
            ("result_200_odd_url", "malformed [200] a result file has no URL"),
            ("result_200_nothing", "ready COMPLETED cost unknown: "),
            ("result_200_not_json", "malformed [200] the result is not JSON"),
            ("result_400_still_in_progress", "working COMPLETED"),
            (
                "result_400_bad_request",
                "failed cost unknown: invalid [bad_request] The request is malformed.",
            ),
            (
                "result_400_downstream",
                "failed cost unknown: work_failed [downstream_service_error, retryable] The partner refused.",
            ),
            (
                "result_422_policy",
                "failed cost unknown: rejected [content_policy_violation] prompt: The content was flagged by a content checker.",
            ),
            ("result_422_invalid", "failed cost unknown: invalid [one_of] image_size: Unknown size"),
            (
                "result_499_cancelled",
                "failed cost unknown: work_failed [client_cancelled] The request was cancelled by the client.",
            ),
            (
                "result_500_model",
                "failed cost unknown: work_failed [internal_server_error, retryable] Internal server error",
            ),
            (
                "result_500_not_retryable",
                "failed cost unknown: work_failed [downstream_service_unavailable] Downstream service unavailable",
            ),
            (
                "result_503_needs_retry_older",
                "failed cost unknown: work_failed [runner_disconnected] Runner disconnected",
            ),
            (
                "result_504_timeout",
                "failed cost unknown: work_failed [generation_timeout, retryable] Generation timed out",
            ),
            ("result_502_page", "unavailable [502] it answered HTTP 502 without a readable reason"),
            ("result_401", "unauthorized [] Invalid key."),
            ("result_404", "unknown_operation [] Request not found"),
            ("abandon_202", "Stopped"),
            ("abandon_200", "Stopped"),
            ("abandon_400_completed", "TooLate"),
            ("abandon_404", "TooLate"),
            ("abandon_400_other", "malformed [400] Bad request"),
            ("abandon_500", "unavailable [500] Internal error"),
        ],
    );
}

#[test]
fn pictures_and_masks_go_under_the_names_of_the_model() {
    assert_eq!(
        sent(&edit("fal-ai/flux-pro/kontext", json!({"seed": 5}))),
        json!({"prompt": "a fox", "seed": 5, "image_url": "https://example.com/fox.png"})
    );
    let inpaint = with_file(
        with_input(edit("fal-ai/flux-pro/v1/fill", json!({})), bytes("image/png; charset=x", 3)),
        "mask",
        bytes("image/webp", 1),
    );
    assert_eq!(
        sent(&inpaint),
        json!({
            "prompt": "a fox", "image_url": "data:image/png;base64,BwcH", "mask_url": "data:image/webp;base64,Bw=="
        })
    );
    assert_eq!(
        sent(&edit("fal-ai/nano-banana/edit", json!({})))["image_urls"],
        json!(["https://example.com/fox.png"])
    );
    let model = "fal-ai/kling-video/v2.5-turbo/pro/image-to-video";
    let video = call(Provider::Fal, Operation::VideoFromImage, model, json!({}));
    let video = with_file(with_input(video, picture()), "tail_image", picture());
    assert_eq!(
        sent(&video),
        json!({
            "prompt": "a fox", "image_url": "https://example.com/fox.png",
            "tail_image_url": "https://example.com/fox.png"
        })
    );
}

#[test]
fn an_edit_may_go_without_a_prompt() {
    let mut call = edit("fal-ai/birefnet/v2", json!({}));
    call.spec.prompt = None;
    assert_eq!(sent(&call), json!({"image_url": "https://example.com/fox.png"}));
}

#[test]
fn kling_is_told_its_seconds_as_text_and_others_as_they_were_given() {
    let seconds = |model: &str, value: Value| {
        let call = call(Provider::Fal, Operation::VideoGen, model, json!({ "duration": value }));
        sent(&call)["duration"].clone()
    };
    let kling = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video";
    assert_eq!(seconds(kling, json!(5)), json!("5"));
    assert_eq!(seconds(kling, json!("10")), json!("10"));
    assert_eq!(seconds("fal-ai/pika/v2.1/text-to-video", json!(5)), json!(5));
    assert_eq!(seconds("fal-ai/veo3.1", json!("8s")), json!("8s"));
}

#[test]
fn a_submit_carries_what_the_operator_and_the_job_ask_for() {
    let options = FalOptions {
        output_lifetime_s: Some(3600),
        keeps_payloads: false,
        start_timeout_s: Some(600),
        is_retried_by_provider: false,
        ..FalOptions::default()
    };
    let mut call = image("fal-ai/flux/dev", json!({}));
    call.spec.priority = Priority::Low;
    call.callback_url = Some("https://atelier.example/callbacks/fal/t0ken?a=1&b=2".to_owned());
    let request = Fal::new(options).encode_submit(&call, &endpoint("http://fal.test")).unwrap();
    assert_eq!(
        shown(&request),
        "POST http://fal.test/fal-ai/flux/dev?fal_webhook=https%3A%2F%2Fatelier.example%2Fcallbacks%2Ffal%2Ft0ken%3Fa%3D1%26b%3D2\n\
         authorization: Key KEY\n\
         x-fal-queue-priority: low\n\
         x-fal-request-timeout: 600\n\
         x-fal-no-retry: 1\n\
         x-fal-store-io: 0\n\
         x-fal-object-lifecycle-preference: {\"expiration_duration_seconds\":3600}\n\
         {\"prompt\":\"a fox\"}"
    );
}

// ---------------------------------------------------------------- uploads

fn announced(length: usize, base: &str, options: FalOptions) -> Option<String> {
    let content = Bytes::from(vec![7; length]);
    let file = FileBytes { content_type: "image/jpeg", bytes: &content };
    let spec = edit("fal-ai/flux-pro/kontext", json!({})).spec;
    let request = Fal::new(options).encode_upload(&file, &spec, &key(), &endpoint(base)).unwrap();
    request.as_ref().map(shown)
}

#[test]
fn large_files_are_uploaded_and_small_ones_are_not() {
    let limit = FalOptions::default().max_inline_bytes;
    assert_eq!(announced(limit, "https://queue.fal.run", FalOptions::default()), None);
    assert_eq!(
        announced(limit + 1, "https://queue.fal.run", FalOptions::default()).unwrap(),
        "POST https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3\n\
         authorization: Key KEY\n\
         {\"content_type\":\"image/jpeg\",\"file_name\":\"input.jpg\"}"
    );
}

#[test]
fn the_storage_is_where_the_queue_is_unless_it_is_named() {
    let place = |base: &str, options: FalOptions| {
        let request = announced(300_000, base, options).unwrap();
        request.split_whitespace().nth(1).unwrap().split('?').next().unwrap().to_owned()
    };
    assert_eq!(
        place("http://127.0.0.1:8090/fal", FalOptions::default()),
        "http://127.0.0.1:8090/fal/storage/upload/initiate"
    );
    let named = r#"{"rest_base_url": "https://rest.example/fal", "storage_type": "gcs"}"#;
    let named: FalOptions = serde_json::from_str(named).unwrap();
    assert_eq!(
        place("https://queue.fal.run", named.clone()),
        "https://rest.example/fal/storage/upload/initiate"
    );
    assert_eq!(
        wire().callback_keys(&endpoint("https://queue.fal.run")).unwrap().url.as_str(),
        "https://rest.fal.ai/.well-known/jwks.json"
    );
    let keys = Fal::new(named).callback_keys(&endpoint("https://queue.fal.run")).unwrap();
    assert_eq!(shown(&keys), "GET https://rest.example/fal/.well-known/jwks.json\n\n", "no key is sent");
}

#[test]
fn the_bytes_go_to_the_named_address_without_the_key() {
    let content = Bytes::from_static(b"jpeg");
    let file = FileBytes { content_type: "image/jpeg; q=1", bytes: &content };
    let step = wire().decode_upload(&load(Provider::Fal, "upload_200"), &file, &endpoint("http://fal.test"));
    let UploadStep::Then { request, url } = step.unwrap() else { panic!("nothing is sent") };
    assert_eq!(url, "https://v3.fal.media/files/b/abc/input.png");
    assert_eq!(
        shown(&request),
        "PUT https://storage.googleapis.com/fal/abc?X-Goog-Signature=1\n\nimage/jpeg 4 bytes"
    );
}

#[test]
fn an_upload_that_fails_says_how() {
    let content = Bytes::from_static(b"jpeg");
    let file = FileBytes { content_type: "image/jpeg", bytes: &content };
    for (name, expected) in [
        ("upload_200_odd", "malformed"),
        ("upload_200_empty", "malformed"),
        ("upload_401", "unauthorized"),
        ("upload_503_page", "unavailable"),
    ] {
        let step = wire().decode_upload(&load(Provider::Fal, name), &file, &endpoint("http://fal.test"));
        assert_eq!(step.unwrap_err().label(), expected, "{name}");
    }
}

#[test]
fn files_come_as_urls_or_as_bytes_up_to_the_operators_limit() {
    let spec = edit("fal-ai/flux-pro/kontext", json!({})).spec;
    let forms = wire().input_forms(&spec, Some("mask"));
    assert_eq!((forms.takes_url, forms.max_bytes), (true, Some(32 * 1024 * 1024)));
    assert!(serde_json::from_str::<FalOptions>(r#"{"rest_base_url": "ftp://x"}"#).is_err());
    assert!(serde_json::from_str::<FalOptions>(r#"{"rest": "https://x"}"#).is_err());
}

#[test]
fn a_cut_answer_is_no_answer() {
    let endpoint = endpoint("http://fal.test");
    let spec = image("fal-ai/flux/dev", json!({})).spec;
    let mut reply = load(Provider::Fal, "submit_200");
    reply.is_cut = true;
    let error = wire().decode_submit(&reply, &spec, &endpoint, now()).unwrap_err();
    assert!(matches!(error, ProviderError::UnknownOutcome { .. }), "{error:?}");
    let mut reply = load(Provider::Fal, "result_200_images");
    reply.is_cut = true;
    assert!(matches!(queue::result(&reply), Err(ProviderError::Malformed { .. })));
}

#[test]
fn a_cancel_that_came_too_late_is_told() {
    assert_eq!(wire().decode_abandon(&load(Provider::Fal, "abandon_400_completed")), Ok(Abandoned::TooLate));
}
