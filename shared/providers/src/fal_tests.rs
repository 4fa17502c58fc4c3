use atelier_domain::job::JobSpec;
use serde_json::json;

use super::*;
use crate::fixture::{asked, assert_table, call, endpoint, key, load, now, shown};

fn wire() -> Fal {
    Fal::new(FalOptions::default())
}

fn image(model: &str, config: Value) -> SubmitCall {
    call(Provider::Fal, Operation::ImageGen, model, config)
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
    let models = ["", "flux", "a//b", "a/../b", "a/b?fal_webhook=x", "a/b#c", "/a/b"]
        .map(|model| image(model, json!({})));
    for call in models.into_iter().chain([silent, speech]) {
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
        Some(decode_result),
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
                "ready COMPLETED cost unknown: https://v3.fal.media/files/penguin/a.jpeg image/jpeg, https://v3.fal.media/files/penguin/b.jpeg image/jpeg",
            ),
            (
                "result_200_image",
                "ready COMPLETED cost unknown: https://v3.fal.media/files/one.png image/png",
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
                "ready COMPLETED cost unknown: https://v3.fal.media/files/penguin/fine.jpeg image/jpeg",
            ),
            ("result_200_data_uri", "malformed [200] a result file has no http URL"),
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
