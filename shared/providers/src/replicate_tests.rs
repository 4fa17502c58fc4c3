use atelier_domain::job::OutputSource;
use atelier_domain::money::{PriceUnit, ReportedCost};
use atelier_domain::ports::{Checked, News};
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::fixture::{asked, assert_table, call, endpoint, key, load, now, shown, with_file, with_input};

const SDXL: &str = "stability-ai/sdxl";
const SCHNELL: &str = "black-forest-labs/flux-schnell";
const KONTEXT: &str = "black-forest-labs/flux-kontext-pro";
const SEEDANCE: &str = "bytedance/seedance-1-pro";
const VERSION: &str = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b";
const URL: &str = "https://example.com/fox.png";

fn wire() -> Replicate {
    wire_with(json!({}))
}

fn wire_with(options: Value) -> Replicate {
    Replicate::new(serde_json::from_value(options).unwrap())
}

fn image(model: &str, config: Value) -> SubmitCall {
    call(Provider::Replicate, Operation::ImageGen, model, config)
}

fn with_image(operation: Operation, model: &str, config: Value) -> SubmitCall {
    with_input(call(Provider::Replicate, operation, model, config), PreparedInput::Url(URL.to_owned()))
}

fn png(length: usize) -> PreparedInput {
    PreparedInput::Bytes { content_type: "image/png".to_owned(), bytes: Bytes::from(vec![7; length]) }
}

fn encoded(call: &SubmitCall) -> String {
    shown(&wire().encode_submit(call, &endpoint("http://replicate.test")).unwrap())
}

fn sent_input(call: &SubmitCall) -> Value {
    let request = wire().encode_submit(call, &endpoint("http://replicate.test")).unwrap();
    let Body::Json(body) = request.body else { panic!("no JSON") };
    body["input"].clone()
}

fn remote(urls: &[(&str, &str)]) -> RemoteOperation {
    let urls = urls.iter().map(|(name, url)| ((*name).to_owned(), (*url).to_owned())).collect();
    RemoteOperation { id: "id-1".to_owned(), submitted_at: now(), urls }
}

fn checked(model: &str, prediction: Value) -> Checked {
    let spec = image(model, json!({})).spec;
    let status = prediction["status"].as_str().unwrap().to_owned();
    prediction::checked(&prediction, &status, &spec)
}

// ---------------------------------------------------------------- requests

#[test]
fn an_official_model_is_called_by_its_name() {
    let call = image(SCHNELL, json!({"num_outputs": 2, "aspect_ratio": "16:9", "seed": null}));
    assert_eq!(
        encoded(&call),
        "POST http://replicate.test/v1/models/black-forest-labs/flux-schnell/predictions\n\
         authorization: Bearer KEY\n\
         {\"input\":{\"aspect_ratio\":\"16:9\",\"num_outputs\":2,\"prompt\":\"a fox\"}}"
    );
}

#[test]
fn a_community_model_is_called_by_its_version() {
    let newest = "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc";
    let both = format!("{SDXL}:{VERSION}");
    for (model, version) in [(SDXL, newest), (VERSION, VERSION), (both.as_str(), VERSION)] {
        assert_eq!(
            encoded(&image(model, json!({}))),
            format!(
                "POST http://replicate.test/v1/predictions\n\
                 authorization: Bearer KEY\n\
                 {{\"input\":{{\"prompt\":\"a fox\"}},\"version\":\"{version}\"}}"
            )
        );
    }
}

#[test]
fn a_deployment_is_called_by_its_own_path() {
    let request = encoded(&image("deployments/acme/foxes", json!({})));
    assert!(
        request.starts_with("POST http://replicate.test/v1/deployments/acme/foxes/predictions\n"),
        "{request}"
    );
}

#[test]
fn the_operator_names_the_versions_that_are_run() {
    let wire = wire_with(json!({"versions": {"somebody/model": VERSION}}));
    let request =
        wire.encode_submit(&image("somebody/model", json!({})), &endpoint("http://r.test")).unwrap();
    assert_eq!(request.body, Body::Json(json!({"version": VERSION, "input": {"prompt": "a fox"}})));
}

#[test]
fn each_model_has_its_own_name_for_the_image() {
    for (operation, model, field) in [
        (Operation::ImageEdit, SDXL, "image"),
        (Operation::ImageEdit, "black-forest-labs/flux-dev", "image"),
        (Operation::ImageEdit, KONTEXT, "input_image"),
        (Operation::VideoFromImage, SEEDANCE, "image"),
        (Operation::VideoFromImage, "kwaivgi/kling-v2.1", "start_image"),
        (Operation::VideoFromImage, "somebody/something", "image"),
    ] {
        let input = sent_input(&with_image(operation, model, json!({})));
        assert_eq!(input, json!({"prompt": "a fox", field: URL}), "{model}");
    }
}

#[test]
fn the_caller_names_the_fields_of_an_unlisted_model() {
    let config = json!({"input_field": "first_frame", "prompt_field": "text", "steps": 4});
    let call = with_image(Operation::VideoFromImage, "somebody/something", config);
    assert_eq!(sent_input(&call), json!({"text": "a fox", "first_frame": URL, "steps": 4}));
}

#[test]
fn the_prompt_of_the_job_wins_and_may_be_absent() {
    assert_eq!(sent_input(&image("a/b", json!({"prompt": "other"}))), json!({"prompt": "a fox"}));
    let mut silent = image("a/b", json!({"prompt": "other"}));
    silent.spec.prompt = None;
    assert_eq!(sent_input(&silent), json!({"prompt": "other"}));
}

#[test]
fn small_files_go_along_and_further_files_have_their_option() {
    let call = with_input(call(Provider::Replicate, Operation::ImageEdit, SDXL, json!({})), png(3));
    let call = with_file(call, "mask", PreparedInput::Url("https://example.com/mask.png".to_owned()));
    assert_eq!(
        sent_input(&call),
        json!({"prompt": "a fox", "image": "data:image/png;base64,BwcH", "mask": "https://example.com/mask.png"})
    );
}

#[test]
fn a_webhook_is_asked_for_where_there_is_an_address() {
    let mut call = image(SCHNELL, json!({}));
    call.callback_url = Some("https://atelier.example/callbacks/token".to_owned());
    let request = wire().encode_submit(&call, &endpoint("http://r.test")).unwrap();
    assert_eq!(
        request.body,
        Body::Json(json!({
            "input": {"prompt": "a fox"},
            "webhook": "https://atelier.example/callbacks/token",
            "webhook_events_filter": ["completed"],
        }))
    );
}

#[test]
fn the_operator_may_set_a_deadline() {
    let wire = wire_with(json!({"cancel_after_s": 90}));
    let request = wire.encode_submit(&image(SCHNELL, json!({})), &endpoint("http://r.test")).unwrap();
    assert!(shown(&request).contains("\ncancel-after: 90s\n"));
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    let tts = call(Provider::Replicate, Operation::Tts, SCHNELL, json!({}));
    let no_image = call(Provider::Replicate, Operation::ImageEdit, KONTEXT, json!({}));
    let large = with_input(no_image.clone(), png(256_001));
    let short = format!("a/b:{}", VERSION.trim_start_matches('3'));
    let models = ["", "flux", "a//b", "a/../b", "a/b?x=1", "a/b#c", "/a/b", "a/b/c", "a/b:latest", &short]
        .map(|model| image(model, json!({})));
    for call in models.into_iter().chain([tts, no_image, large]) {
        let outcome = wire().encode_submit(&call, &endpoint("http://r.test"));
        assert!(matches!(outcome, Err(ProviderError::Invalid { .. })), "{:?}", call.spec.model);
    }
}

#[test]
fn the_key_goes_to_the_configured_origin_only() {
    let spec = image(SCHNELL, json!({})).spec;
    let shown_for = |urls: &[(&str, &str)]| {
        let remote = remote(urls);
        let look = Look { spec: &spec, remote: &remote, key: &key() };
        let endpoint = endpoint("http://r.test/replicate");
        let check = shown(&asked(wire().encode_check(&look, &endpoint).unwrap()));
        let abandon = shown(&wire().encode_abandon(&look, &endpoint).unwrap().unwrap());
        (check, abandon)
    };
    let built = (
        "GET http://r.test/replicate/v1/predictions/id-1\nauthorization: Bearer KEY\n".to_owned(),
        "POST http://r.test/replicate/v1/predictions/id-1/cancel\nauthorization: Bearer KEY\n".to_owned(),
    );
    assert_eq!(shown_for(&[]), built);
    for foreign in
        ["https://r.test/x", "http://r.test:81/x", "http://evil.test/x", "http://u:p@r.test/x", "x"]
    {
        assert_eq!(shown_for(&[("get", foreign), ("cancel", foreign)]), built, "{foreign}");
    }
    let (check, abandon) = shown_for(&[("get", "http://r.test/a"), ("cancel", "http://r.test/b")]);
    assert!(check.starts_with("GET http://r.test/a\n") && abandon.starts_with("POST http://r.test/b\n"));
}

// ---------------------------------------------------------------- uploads

fn upload(length: usize) -> Result<Option<HttpRequest>, ProviderError> {
    let bytes = Bytes::from(vec![7; length]);
    let file = FileBytes { content_type: "image/png", bytes: &bytes };
    let wire = wire_with(json!({"max_upload_bytes": 300_000}));
    wire.encode_upload(&file, &image(SCHNELL, json!({})).spec, &key(), &endpoint("http://r.test"))
}

#[test]
fn large_files_are_uploaded_first() {
    assert!(upload(256_000).unwrap().is_none());
    assert_eq!(
        shown(&upload(256_001).unwrap().unwrap()),
        "POST http://r.test/v1/files\n\
         authorization: Bearer KEY\n\
         content = file file.png image/png 256001 bytes"
    );
    assert!(matches!(upload(300_001), Err(ProviderError::Invalid { .. })));
    let forms = wire().input_forms(&image(SCHNELL, json!({})).spec, None);
    assert_eq!((forms.takes_url, forms.max_bytes), (true, Some(100_000_000)));
}

#[test]
fn an_upload_is_named_by_the_address_that_it_got() {
    let bytes = Bytes::from_static(b"x");
    let file = FileBytes { content_type: "image/png", bytes: &bytes };
    let outcome = |name: &str| {
        wire().decode_upload(&load(Provider::Replicate, name), &file, &endpoint("http://r.test"))
    };
    let Ok(UploadStep::Done { url }) = outcome("upload_201") else { panic!("not done") };
    assert_eq!(url, "https://api.replicate.com/v1/files/NGZiNmY2YzQtMThhZi00ZjcyLWFhZjktODg4NTY0NWNlMDEy");
    for (name, label) in [
        ("upload_201_odd_url", "malformed"),
        ("upload_201_not_json", "malformed"),
        ("upload_401", "unauthorized"),
        ("upload_413", "invalid"),
        ("upload_429", "rate_limited"),
        ("upload_503_page", "unavailable"),
    ] {
        assert_eq!(outcome(name).unwrap_err().label(), label, "{name}");
    }
}

// ---------------------------------------------------------------- replies

#[test]
fn every_documented_reply_has_its_meaning() {
    let urls = "urls [\"cancel\", \"get\"]";
    let id = "gm3qorzdhgbfurvjtvhg6dckhu";
    let accepted = |status: &str| format!("accepted {id} \"{status}\" {urls}");
    let (starting, processing, failed) = (accepted("starting"), accepted("processing"), accepted("failed"));
    let foreign = format!("accepted {id} \"starting\" urls []");
    let bare = format!("accepted {id} \"\" urls []");
    let unreadable = "unknown_outcome [] it answered HTTP 201 but named no prediction (the body was whole)";
    let files = "https://replicate.delivery/xezq/abc";
    let list = format!(
        "ready succeeded cost 4.182 ComputeSecond: {files}/out-0.png image/png seed 16010, {files}/out-1.png image/png seed 16010"
    );
    let link = format!("ready succeeded cost 60 ComputeSecond: {files}/tmp.mp4 video/mp4");
    let object =
        format!("ready succeeded cost unknown: {files}/a.webp image/webp, {files}/mask.jpg image/jpeg");
    let untyped = format!("ready succeeded cost unknown: {files}/file?x=.png ");
    let odd_time = format!("ready succeeded cost unknown: {files}/a.png image/png");
    assert_table(
        &wire(),
        &image(SDXL, json!({})),
        &endpoint("https://api.replicate.com"),
        None,
        &[
            ("submit_201_starting", &starting),
            ("submit_202_processing", &processing),
            ("submit_201_early_output", &processing),
            ("submit_201_failed_at_once", &failed),
            ("submit_201_foreign_urls", &foreign),
            ("submit_201_id_only", &bare),
            ("submit_201_without_id", unreadable),
            ("submit_201_dot_id", unreadable),
            ("submit_201_not_json", unreadable),
            ("submit_201_cut", unreadable),
            ("submit_307", "malformed [307] it redirects, which is not followed; the base URL may be wrong"),
            ("submit_400", "invalid [400] The request body is not valid JSON."),
            ("submit_401", "unauthorized [] You did not pass a valid authentication token"),
            ("submit_402", "quota [] You have insufficient credit to run this model."),
            ("submit_403", "unauthorized [] You do not have permission to run this model."),
            ("submit_404", "model_retired [] The requested resource could not be found."),
            ("submit_413_page", "invalid [413] it answered HTTP 413 without a readable reason"),
            (
                "submit_422_validation",
                "invalid [required] - input: prompt is required - input.num_inference_steps: Must be less than or equal to 4",
            ),
            (
                "submit_422_model_in_body",
                "invalid [required] - version is required - Additional property model is not allowed",
            ),
            (
                "submit_422_version",
                "model_retired [] The specified version does not exist (or perhaps you don't have permission to use it?)",
            ),
            (
                "submit_429_body",
                "rate_limited [Some(9s)] Request was throttled. Your rate limit resets in ~9s.",
            ),
            ("submit_429_header", "rate_limited [Some(4s)] Request was throttled."),
            ("submit_429_without_hint", "rate_limited [None] Request was throttled."),
            ("submit_500", "unknown_outcome [] HTTP 500: Internal server error"),
            (
                "submit_502_page",
                "unknown_outcome [] HTTP 502: it answered HTTP 502 without a readable reason",
            ),
            ("submit_503", "unavailable [503] Service unavailable"),
            ("submit_503_page", "unavailable [503] it answered HTTP 503 without a readable reason"),
            (
                "submit_504_page",
                "unknown_outcome [] HTTP 504: it answered HTTP 504 without a readable reason",
            ),
            ("check_200_starting", "working starting"),
            ("check_200_processing", "working processing 38%"),
            ("check_200_processing_odd_bar", "working processing"),
            ("check_200_early_output", "working processing"),
            ("check_200_succeeded_list", &list),
            ("check_200_succeeded_link", &link),
            ("check_200_succeeded_object", &object),
            (
                "check_200_succeeded_data",
                "ready succeeded cost 1 ComputeSecond: data:image/webp;base64,UklGRg==  seed 7",
            ),
            ("check_200_succeeded_untyped", &untyped),
            (
                "check_200_succeeded_text",
                "failed cost 2.5 ComputeSecond: malformed [succeeded] the prediction succeeded without a file",
            ),
            (
                "check_200_succeeded_nothing",
                "failed cost unknown: malformed [succeeded] the prediction succeeded without a file",
            ),
            ("check_200_succeeded_odd_time", &odd_time),
            (
                "check_200_removed",
                "failed cost unknown: malformed [succeeded] the provider has removed the output",
            ),
            (
                "check_200_failed_nsfw",
                "failed cost 2 ComputeSecond: rejected [failed] NSFW content detected. Try running it again, or try a different prompt.",
            ),
            (
                "check_200_failed_sensitive",
                "failed cost 2 ComputeSecond: rejected [E005] The input or output was flagged as sensitive. Please try again with different inputs. (E005) (uIJ6l3ruRD)",
            ),
            (
                "check_200_failed_interrupted",
                "failed cost unknown: work_failed [PA, retryable] Prediction interrupted; please retry (code: PA)",
            ),
            (
                "check_200_failed_platform",
                "failed cost unknown: work_failed [E9828, retryable] Director: unexpected error handling prediction (E9828)",
            ),
            (
                "check_200_failed_model",
                "failed cost 2 ComputeSecond: work_failed [failed] CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0)",
            ),
            (
                "check_200_failed_lookalike_code",
                "failed cost 2 ComputeSecond: work_failed [failed] The step (E) of (EVIL) and (E12x) failed",
            ),
            (
                "check_200_failed_without_reason",
                "failed cost 2 ComputeSecond: work_failed [failed] the prediction failed without a reason",
            ),
            (
                "check_200_canceled",
                "failed cost 1.5 ComputeSecond: work_failed [canceled] the prediction was canceled at the provider",
            ),
            (
                "check_200_aborted",
                "failed cost 0: work_failed [aborted, retryable] the prediction did not start before its deadline",
            ),
            ("check_200_unknown_status", "working queued"),
            ("check_200_without_status", "malformed [200] the prediction names no status"),
            ("check_200_not_json", "malformed [200] the prediction names no status"),
            ("check_200_cut", "malformed [200] the prediction names no status"),
            ("check_401", "unauthorized [] You did not pass a valid authentication token"),
            ("check_404", "unknown_operation [] The requested resource could not be found."),
            ("check_429", "rate_limited [Some(2s)] Request was throttled. Your rate limit resets in ~2s."),
            ("check_500", "unavailable [500] Internal server error"),
            ("check_502_page", "unavailable [502] it answered HTTP 502 without a readable reason"),
            ("abandon_200_canceled", "Stopped"),
            ("abandon_200_still_processing", "Stopped"),
            ("abandon_200_succeeded", "TooLate"),
            ("abandon_200_not_json", "Stopped"),
            ("abandon_401", "unauthorized [] You did not pass a valid authentication token"),
            ("abandon_404", "TooLate"),
            ("abandon_429", "rate_limited [Some(1s)] Request was throttled."),
            ("abandon_503", "unavailable [503] Service unavailable"),
        ],
    );
}

#[test]
fn a_model_that_was_never_listed_was_named_wrong() {
    let spec = image("somebody/something", json!({})).spec;
    for name in ["submit_404", "submit_422_version"] {
        let reply = load(Provider::Replicate, name);
        let outcome = wire().decode_submit(&reply, &spec, &endpoint("http://r.test"), now());
        assert_eq!(outcome.unwrap_err().label(), "invalid", "{name}");
    }
}

#[test]
fn what_is_paid_for_is_counted() {
    let files = json!(["https://r.test/a.png", "https://r.test/b.png"]);
    let done = json!({"status": "succeeded", "output": files, "metrics": {"predict_time": 1.25}});
    let failed = json!({"status": "failed", "error": "x", "metrics": {"predict_time": 1.25}});
    let cost = |model: &str, prediction: &Value| match checked(model, prediction.clone()) {
        Checked::Ready { cost, .. } | Checked::Failed { cost, .. } => cost,
        Checked::Working { .. } => panic!("still working"),
    };
    let compute = ReportedCost::seconds(PriceUnit::ComputeSecond, 1.25);
    for model in [SDXL, "somebody/something", VERSION] {
        assert_eq!((cost(model, &done), cost(model, &failed)), (compute, compute), "{model}");
    }
    assert_eq!(cost(SCHNELL, &done), Some(ReportedCost::units(PriceUnit::Image, 2)));
    assert_eq!(cost(SCHNELL, &failed), None);
    assert_eq!((cost(SEEDANCE, &done), cost(SEEDANCE, &failed)), (None, None));
}

#[test]
fn a_number_of_files_is_bounded_and_so_is_their_depth() {
    let many = json!({"status": "succeeded", "output": vec!["https://r.test/a.png"; 500]});
    let Checked::Ready { outputs, .. } = checked(SDXL, many) else { panic!("not ready") };
    assert_eq!(outputs.len(), 100);
    let mut deep = json!("https://r.test/a.png");
    for _ in 0..50 {
        deep = json!([deep]);
    }
    let found = checked(SDXL, json!({"status": "succeeded", "output": deep}));
    assert!(matches!(found, Checked::Failed { .. }), "{found:?}");
}

#[test]
fn links_are_kept_as_they_came() {
    let link = "https://replicate.delivery/a/b%20c.PNG?x=1#y";
    let Checked::Ready { outputs, .. } = checked(SDXL, json!({"status": "succeeded", "output": link})) else {
        panic!("not ready")
    };
    assert_eq!(outputs[0].source, OutputSource::Link(link.to_owned()));
    assert_eq!(outputs[0].content_type.as_deref(), Some("image/png"));
}

// ---------------------------------------------------------------- webhooks

#[test]
fn a_webhook_without_a_secret_is_a_hint() {
    let request = CallbackRequest {
        headers: BTreeMap::new(),
        body: Bytes::from(r#"{"id":"p1","status":"succeeded"}"#),
    };
    let callback = wire().decode_callback(&request, None, now()).unwrap();
    assert_eq!((callback.remote_id.as_deref(), callback.news), (Some("p1"), News::Ended));
}

#[test]
fn a_webhook_with_a_secret_must_be_signed() {
    let request = CallbackRequest {
        headers: BTreeMap::new(),
        body: Bytes::from(r#"{"id":"p1","status":"succeeded"}"#),
    };
    let wire = wire_with(json!({"webhook_secret": "whsec_c2VjcmV0IGJ5dGVz"}));
    let outcome = wire.decode_callback(&request, None, now());
    assert!(matches!(outcome, Err(CallbackRefusal::NotGenuine { .. })), "{outcome:?}");
}

#[test]
fn inv7_the_options_show_no_secret() {
    let options: ReplicateOptions =
        serde_json::from_value(json!({"webhook_secret": "whsec_hunter2"})).unwrap();
    assert!(!format!("{options:?}").contains("hunter2"));
}
