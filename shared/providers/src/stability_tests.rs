use atelier_domain::job::RemoteOperation;
use atelier_domain::operation::Operation;
use atelier_domain::ports::PreparedInput;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::fixture::{asked, assert_table, call, endpoint, key, load, now, shown, with_file, with_input};

const SDXL: &str = "stable-diffusion-xl-1024-v1-0";
const BASE: &str = "http://stability.test";

fn wire() -> Stability {
    Stability::new(StabilityOptions::default())
}

fn png(length: usize) -> PreparedInput {
    PreparedInput::Bytes { content_type: "image/png".to_owned(), bytes: Bytes::from(vec![7; length]) }
}

fn generate(model: &str, config: Value) -> SubmitCall {
    call(Provider::Stability, Operation::ImageGen, model, config)
}

fn edit(model: &str, config: Value) -> SubmitCall {
    with_input(call(Provider::Stability, Operation::ImageEdit, model, config), png(9))
}

fn without_prompt(mut call: SubmitCall) -> SubmitCall {
    call.spec.prompt = None;
    call
}

fn request(call: &SubmitCall) -> HttpRequest {
    wire().encode_submit(call, &endpoint(BASE)).unwrap()
}

/// Path and body; the headers of all calls are tested once.
fn sent(call: &SubmitCall) -> String {
    let shown = shown(&request(call));
    let (line, rest) = shown.split_once('\n').unwrap();
    let (_, body) = rest.split_once("accept: ").unwrap();
    let (accept, body) = body.split_once('\n').unwrap();
    format!("{} -> {accept}\n{body}", line.strip_prefix(&format!("POST {BASE}")).unwrap())
}

fn refused(call: &SubmitCall) -> String {
    wire().encode_submit(call, &endpoint(BASE)).unwrap_err().to_string()
}

// ---------------------------------------------------------------- requests

#[test]
fn a_call_is_a_form_with_the_key_in_its_header() {
    let call =
        generate("stable-image-core", json!({"aspect_ratio": "16:9", "seed": 7, "style_preset": null}));
    assert_eq!(
        shown(&request(&call)),
        "POST http://stability.test/v2beta/stable-image/generate/core\n\
         authorization: Bearer KEY\naccept: image/*\n\
         prompt = a fox\naspect_ratio = 16:9\nseed = 7"
    );
    assert_eq!(request(&call).expects, Expects::Media);
    let wire = Stability::new(serde_json::from_value(json!({"client_id": "acme"})).unwrap());
    let request = wire.encode_submit(&call, &endpoint(BASE)).unwrap();
    assert!(shown(&request).contains("stability-client-id: acme"));
}

#[test]
fn text_to_image_names_no_model_but_for_sd3() {
    assert_eq!(
        sent(&generate("stable-image-ultra", json!({"output_format": "webp"}))),
        "/v2beta/stable-image/generate/ultra -> image/*\nprompt = a fox\noutput_format = webp"
    );
    for model in [
        "sd3.5-large",
        "sd3.5-large-turbo",
        "sd3.5-medium",
        "sd3.5-flash",
        "sd3-large",
        "sd3-large-turbo",
        "sd3-medium",
    ] {
        assert_eq!(
            sent(&generate(model, json!({"cfg_scale": 4.5}))),
            format!(
                "/v2beta/stable-image/generate/sd3 -> image/*\nprompt = a fox\nmodel = {model}\ncfg_scale = 4.5"
            )
        );
    }
}

#[test]
fn image_to_image_has_its_mode_and_strength() {
    assert_eq!(
        sent(&edit("sd3.5-large", json!({"strength": 0.5}))),
        "/v2beta/stable-image/generate/sd3 -> image/*\nprompt = a fox\nmodel = sd3.5-large\n\
         mode = image-to-image\nimage = file file.png image/png 9 bytes\nstrength = 0.5"
    );
    assert_eq!(
        sent(&edit("stable-image-ultra", json!({"strength": 0.2, "aspect_ratio": "2:3"}))),
        "/v2beta/stable-image/generate/ultra -> image/*\nprompt = a fox\n\
         image = file file.png image/png 9 bytes\naspect_ratio = 2:3\nstrength = 0.2"
    );
}

#[test]
fn every_edit_has_its_path_and_fields() {
    let image = "image = file file.png image/png 9 bytes";
    let prompt = "prompt = a fox";
    for (call, expected) in [
        (
            with_file(edit("inpaint", json!({"grow_mask": 9})), "mask", png(3)),
            format!(
                "edit/inpaint -> image/*\n{prompt}\n{image}\nmask = file file.png image/png 3 bytes\ngrow_mask = 9"
            ),
        ),
        (
            with_file(without_prompt(edit("erase", json!({"seed": 1}))), "mask", png(3)),
            format!("edit/erase -> image/*\n{image}\nmask = file file.png image/png 3 bytes\nseed = 1"),
        ),
        (
            without_prompt(edit("outpaint", json!({"left": 10, "down": 0}))),
            format!("edit/outpaint -> image/*\n{image}\ndown = 0\nleft = 10"),
        ),
        (
            edit("search-and-replace", json!({"search_prompt": "dog"})),
            format!("edit/search-and-replace -> image/*\n{prompt}\n{image}\nsearch_prompt = dog"),
        ),
        (
            edit("search-and-recolor", json!({"select_prompt": "dog"})),
            format!("edit/search-and-recolor -> image/*\n{prompt}\n{image}\nselect_prompt = dog"),
        ),
        (
            without_prompt(edit("remove-background", json!({"output_format": "webp"}))),
            format!("edit/remove-background -> image/*\n{image}\noutput_format = webp"),
        ),
        (
            edit("control-sketch", json!({"control_strength": 0.7})),
            format!("control/sketch -> image/*\n{prompt}\n{image}\ncontrol_strength = 0.7"),
        ),
        (
            edit("control-structure", json!({"control_strength": 1})),
            format!("control/structure -> image/*\n{prompt}\n{image}\ncontrol_strength = 1"),
        ),
        (
            edit("control-style", json!({"fidelity": 0.5})),
            format!("control/style -> image/*\n{prompt}\n{image}\nfidelity = 0.5"),
        ),
        (
            with_file(
                without_prompt(edit("control-style-transfer", json!({"change_strength": 0.9}))),
                "style_image",
                png(3),
            ),
            "control/style-transfer -> image/*\ninit_image = file file.png image/png 9 bytes\n\
             style_image = file file.png image/png 3 bytes\nchange_strength = 0.9"
                .to_owned(),
        ),
        (without_prompt(edit("upscale-fast", json!({}))), format!("upscale/fast -> image/*\n{image}")),
        (
            edit("upscale-conservative", json!({"creativity": 0.35})),
            format!("upscale/conservative -> image/*\n{prompt}\n{image}\ncreativity = 0.35"),
        ),
        (
            edit("upscale-creative", json!({})),
            format!("upscale/creative -> application/json\n{prompt}\n{image}"),
        ),
        (
            edit(
                "replace-background-and-relight",
                json!({"light_source_direction": "left", "keep_original_background": true}),
            ),
            "edit/replace-background-and-relight -> application/json\nbackground_prompt = a fox\n\
             subject_image = file file.png image/png 9 bytes\nkeep_original_background = true\n\
             light_source_direction = left"
                .to_owned(),
        ),
    ] {
        assert_eq!(sent(&call), format!("/v2beta/stable-image/{expected}"));
    }
}

#[test]
fn the_older_api_takes_json_for_text() {
    let call = generate(SDXL, json!({"samples": 2, "size": "1344x768", "negative_prompt": "blurry"}));
    assert_eq!(
        sent(&call),
        "/v1/generation/stable-diffusion-xl-1024-v1-0/text-to-image -> application/json\n\
         {\"height\":768,\"samples\":2,\"text_prompts\":[{\"text\":\"a fox\"},{\"text\":\"blurry\",\"weight\":-1}],\
         \"width\":1344}"
    );
    assert_eq!(request(&call).expects, Expects::LargeText);
    assert!(sent(&generate(SDXL, json!({}))).contains("\"width\":1024"));
}

#[test]
fn the_older_api_takes_a_form_for_images() {
    let path = "/v1/generation/stable-diffusion-xl-1024-v1-0/image-to-image";
    assert_eq!(
        sent(&edit(SDXL, json!({"image_strength": 0.35, "negative_prompt": "blurry", "samples": 3}))),
        format!(
            "{path} -> application/json\ntext_prompts[0][text] = a fox\ntext_prompts[1][text] = blurry\n\
             text_prompts[1][weight] = -1\ninit_image = file file.png image/png 9 bytes\nsamples = 3\n\
             image_strength = 0.35"
        )
    );
    let masked = with_file(edit(SDXL, json!({"mask_source": "MASK_IMAGE_BLACK"})), "mask", png(3));
    assert_eq!(
        sent(&masked),
        format!(
            "{path}/masking -> application/json\ntext_prompts[0][text] = a fox\n\
             init_image = file file.png image/png 9 bytes\nmask_source = MASK_IMAGE_BLACK\n\
             mask_image = file file.png image/png 3 bytes"
        )
    );
    let alpha = sent(&edit(SDXL, json!({"mask_source": "INIT_IMAGE_ALPHA"})));
    assert!(alpha.contains("/masking") && !alpha.contains("mask_image"), "{alpha}");
}

#[test]
fn what_cannot_be_asked_for_is_refused_before_it_is_sent() {
    let url = PreparedInput::Url("https://example.com/fox.png".to_owned());
    let relight = without_prompt(edit("replace-background-and-relight", json!({})));
    for (call, part) in [
        (generate("stable-image-best", json!({})), "no model `stable-image-best` for `image_gen`"),
        (generate("inpaint", json!({})), "no model `inpaint` for `image_gen`"),
        (edit("stable-image-core", json!({})), "no model `stable-image-core` for `image_edit`"),
        (without_prompt(generate("stable-image-core", json!({}))), "a prompt is needed"),
        (without_prompt(generate(SDXL, json!({}))), "a prompt is needed"),
        (edit("erase", json!({})), "erase takes no prompt"),
        (generate("stable-image-core", json!({"model": "sd3"})), "`model` is not known"),
        (generate("sd3.5-large", json!({"strength": 1})), "`strength` is not known"),
        (edit("sd3.5-large", json!({"strength": 1, "aspect_ratio": "1:1"})), "`aspect_ratio` is not known"),
        (edit("sd3.5-large", json!({})), "`strength` is needed"),
        (edit("search-and-replace", json!({})), "`search_prompt` is needed"),
        (edit("outpaint", json!({})), "at least one of: left, right, up, down"),
        (edit("outpaint", json!({"left": 0})), "at least one of: left, right, up, down"),
        (relight.clone(), "at least one of: background_prompt, background_reference"),
        (generate("stable-image-core", json!({"seed": [1]})), "`seed` must be a text, a number"),
        (with_file(edit("outpaint", json!({"left": 1})), "mask", png(1)), "`mask` is not known"),
        (with_input(edit("inpaint", json!({})), url), "`image` must be sent as bytes"),
        (call(Provider::Stability, Operation::ImageEdit, "inpaint", json!({})), "an input image is needed"),
        (with_input(edit("inpaint", json!({})), png(10 << 20)), "at most 10485760 can be sent"),
        (edit("control-style-transfer", json!({})), "`style_image` is needed"),
        (generate(SDXL, json!({"size": "large"})), "`size` must be width and height"),
        (generate(SDXL, json!({"width": 1})), "`width` is not known"),
        (generate(SDXL, json!({"negative_prompt": 1})), "`negative_prompt` must be a text"),
        (
            with_file(edit(SDXL, json!({"image_strength": 1})), "mask", png(1)),
            "`image_strength` cannot be combined with a mask",
        ),
        (edit(SDXL, json!({"mask_source": "MASK_IMAGE_BLACK"})), "needs the option `mask`"),
        (
            with_file(edit(SDXL, json!({"mask_source": "INIT_IMAGE_ALPHA"})), "mask", png(1)),
            "there is no mask to send",
        ),
        (edit(SDXL, json!({"size": "1024x1024"})), "`size` is not known"),
        (with_file(edit(SDXL, json!({})), "other", png(1)), "`other` is not known"),
    ] {
        let told = refused(&call);
        assert!(told.contains(part), "{told}\nexpected {part}");
    }
    let with_reference = with_file(relight, "background_reference", png(1));
    assert!(sent(&with_reference).contains("background_reference = file"));
}

#[test]
fn files_are_taken_as_bytes_within_the_whole_request() {
    let spec = edit("inpaint", json!({})).spec;
    for option in [None, Some("mask")] {
        let forms = wire().input_forms(&spec, option);
        assert!(!forms.takes_url);
        assert_eq!(forms.max_bytes, Some((10 << 20) - (128 << 10)));
    }
    // The largest file that is let in fits beside the longest prompts.
    let largest = usize::try_from(wire().input_forms(&spec, None).max_bytes.unwrap()).unwrap();
    let mut call = with_input(edit("inpaint", json!({"negative_prompt": "ä".repeat(10_000)})), png(largest));
    call.spec.prompt = Some("🦊".repeat(10_000));
    request(&call);
}

#[test]
fn a_result_is_asked_for_as_json_at_our_own_address() {
    let call = edit("upscale-creative", json!({}));
    let remote = RemoteOperation {
        id: "abc".to_owned(),
        submitted_at: now(),
        urls: [("get".to_owned(), "https://evil.test/".to_owned())].into(),
    };
    let look = Look { spec: &call.spec, remote: &remote, key: &key() };
    let question = wire().encode_check(&look, &endpoint(BASE)).unwrap();
    assert_eq!(
        shown(&asked(question)),
        "GET http://stability.test/v2beta/results/abc\nauthorization: Bearer KEY\naccept: application/json\n"
    );
    assert!(wire().encode_abandon(&look, &endpoint(BASE)).unwrap().is_none());
}

// ---------------------------------------------------------------- replies

#[test]
fn every_reply_has_its_meaning() {
    let rows = [
        (
            "media_200_png",
            "media Some(\"image/png\") request Some(\"0a1b2c3d4e5f60718293a4b5c6d7e8f9\") cost unknown seed 343940597",
        ),
        ("media_200_webp_without_headers", "media Some(\"image/webp\") request None cost unknown"),
        ("media_200_filtered", "rejected [CONTENT_FILTERED] the image was blurred by the content filter"),
        (
            "media_200_unknown_reason",
            "media Some(\"image/png\") request Some(\"0a1b2c3d4e5f60718293a4b5c6d7e8f9\") cost unknown",
        ),
        ("media_200_json", "malformed [200] it answered `application/json` where an image was expected"),
        ("media_200_html", "malformed [200] it answered `text/html` where an image was expected"),
        (
            "submit_200_ticket",
            "accepted e52772ac75b2b9d3dfb3c8d5f3a1c0b9e52772ac75b2b9d3dfb3c8d5f3a1c0b9 \"\" urls []",
        ),
        (
            "submit_200_without_id",
            "unknown_outcome [] it answered HTTP 200 but named no generation (the body was whole)",
        ),
        (
            "submit_200_dot_id",
            "unknown_outcome [] it answered HTTP 200 but named no generation (the body was whole)",
        ),
        (
            "submit_200_cut",
            "unknown_outcome [] it answered HTTP 200 but named no generation (the body was whole)",
        ),
        (
            "submit_200_html",
            "unknown_outcome [] it answered HTTP 200 but named no generation (the body was whole)",
        ),
        (
            "submit_307_redirect",
            "malformed [307] it redirects, which is not followed; the base URL may be wrong",
        ),
        ("submit_400_bad_request", "invalid [bad_request] prompt: is required; seed: must be a number"),
        ("submit_400_v1_bad_request", "invalid [invalid_samples] samples: must be at most 10"),
        ("submit_400_v1_prompts", "rejected [invalid_prompts] Invalid prompts detected"),
        ("submit_401_unauthorized", "unauthorized [] authorization: missing or invalid"),
        ("submit_402_payment_required", "quota [] you lack sufficient credits"),
        (
            "submit_403_content_moderation",
            "rejected [content_moderation] Your request was flagged by our content moderation system",
        ),
        (
            "submit_403_v1_permission_denied",
            "unauthorized [] You do not have permission to perform this action",
        ),
        ("submit_403_page", "unauthorized [] it answered HTTP 403 without a readable reason"),
        ("submit_404_not_found", "model_retired [] the requested resource was not found"),
        ("submit_404_page", "invalid [404] it answered HTTP 404 without a readable reason"),
        ("submit_408_text", "unavailable [408] request timed out"),
        ("submit_410_gone", "model_retired [] this endpoint was removed"),
        ("submit_413_payload_too_large", "invalid [payload_too_large] request must not exceed 10MiB"),
        ("submit_413_page", "invalid [413] it answered HTTP 413 without a readable reason"),
        ("submit_422_invalid_language", "invalid [invalid_language] prompt: only English is supported"),
        ("submit_422_public_figure", "rejected [public_figure] the image seems to show a public figure"),
        (
            "submit_429_rate_limit",
            "rate_limited [Some(60s)] You have exceeded the rate limit of 150 requests within a 10 second period, and have been timed out for 60 seconds.",
        ),
        ("submit_429_hint", "rate_limited [Some(7s)] slow down"),
        ("submit_500_internal_error", "unavailable [internal_error] An unexpected server error has occurred"),
        ("submit_500_v1_server_error", "unavailable [server_error] An unexpected server error has occurred"),
        ("submit_500_page", "unknown_outcome [] HTTP 500: it answered HTTP 500 without a readable reason"),
        ("submit_502_page", "unknown_outcome [] HTTP 502: it answered HTTP 502 without a readable reason"),
        ("submit_503_text", "unavailable [503] down for maintenance"),
        ("submit_504_page", "unknown_outcome [] HTTP 504: it answered HTTP 504 without a readable reason"),
        ("submit_524_page", "unknown_outcome [] HTTP 524: it answered HTTP 524 without a readable reason"),
        ("check_202_in_progress", "working in-progress"),
        ("check_202_unknown_status", "working queued"),
        ("check_202_not_json", "working in-progress"),
        (
            "check_200_png",
            "ready SUCCESS cost unknown: data:image/png;base64,iVBORw0KGgo= image/png seed 343940597",
        ),
        (
            "check_200_untyped_webp",
            "ready SUCCESS cost unknown: data:image/webp;base64,UklGRg== image/webp seed 7",
        ),
        ("check_200_unknown_type", "ready SUCCESS cost unknown: data:;base64,AAAA "),
        (
            "check_200_filtered",
            "failed cost unknown: rejected [CONTENT_FILTERED] the image was blurred by the content filter",
        ),
        ("check_200_without_image", "malformed [200] the result holds no image"),
        ("check_200_cut", "malformed [200] the result holds no image"),
        ("check_400_bad_request", "malformed [400] id: is not an id"),
        ("check_401", "unauthorized [] authorization: missing or invalid"),
        (
            "check_403_content_moderation",
            "failed cost unknown: rejected [content_moderation] Your request was flagged",
        ),
        ("check_403", "unauthorized [] not yours"),
        ("check_404_generation_not_found", "unknown_operation [] the generation was not found"),
        ("check_429_rate_limit", "rate_limited [Some(60s)] slow down"),
        ("check_500_internal_error", "unavailable [500] An unexpected server error has occurred"),
        ("check_502_page", "unavailable [502] it answered HTTP 502 without a readable reason"),
    ];
    assert_table(&wire(), &edit("upscale-creative", json!({})), &endpoint(BASE), None, &rows);
}

#[test]
fn several_images_come_in_one_answer() {
    let spec = generate(SDXL, json!({})).spec;
    let told = |name: &str| {
        let reply = load(Provider::Stability, name);
        wire().decode_submit(&reply, &spec, &endpoint(BASE), now())
    };
    let seeds = |name: &str| match told(name) {
        Ok(Answered::Finished(finished)) => {
            assert!(finished.outputs.iter().all(|output| output.bytes.starts_with(b"\x89PNG")));
            let quantity = crate::fixture::told_cost(finished.cost);
            assert_eq!(quantity, format!("{} Image", finished.outputs.len()));
            finished.outputs.iter().map(|output| output.seed.unwrap()).collect::<Vec<_>>()
        }
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(seeds("v1_200_two"), [1_050_625_087, 1_050_625_088]);
    assert_eq!(seeds("v1_200_one_filtered"), [2]);
    let error = |name: &str| told(name).unwrap_err();
    assert!(matches!(error("v1_200_all_filtered"), ProviderError::Rejected { .. }));
    assert!(matches!(error("v1_200_error"), ProviderError::WorkFailed { is_retryable: true, .. }));
    for name in ["v1_200_none", "v1_200_not_base64", "v1_200_empty_image", "v1_200_cut"] {
        assert!(matches!(error(name), ProviderError::UnknownOutcome { .. }), "{name}");
    }
}

#[test]
fn an_image_that_was_read_like_text_is_an_unknown_outcome() {
    let reply = load(Provider::Stability, "submit_200_html");
    let spec = generate("stable-image-core", json!({})).spec;
    let error = wire().decode_submit(&reply, &spec, &endpoint(BASE), now()).unwrap_err();
    assert!(matches!(error, ProviderError::UnknownOutcome { .. }), "{error:?}");
}
