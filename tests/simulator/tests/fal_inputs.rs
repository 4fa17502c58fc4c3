//! What each of Fal's models asks of its input, and what it makes of it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Stage, text};

const KLING: &str = "fal-ai/kling-video/v2.5-turbo/pro";
const WAN: &str = "fal-ai/wan/v2.2-a14b";
const PIKA: &str = "fal-ai/pika";

/// A picture of the simulator's own as a data URI.
async fn picture(stage: &Stage, width: u32, height: u32, format: &str) -> String {
    let size = json!({"width": width, "height": height});
    let body = json!({"prompt": "in", "image_size": size, "output_format": format, "sync_mode": true});
    let output = output(stage, "fal-ai/flux/dev", body).await;
    text(&output["images"][0], "url").to_owned()
}

async fn output(stage: &Stage, model: &str, body: Value) -> Value {
    let submitted = stage.fal_submit(model, &body).await;
    let result = stage.fal_result(&submitted).await;
    assert_eq!(result.status(), 200, "{model}");
    result.json().await.unwrap()
}

/// The `detail` list of a refusal: each entry's place and type.
async fn refusal(stage: &Stage, model: &str, body: &Value) -> Vec<(String, String)> {
    let answer = stage.fal(Method::POST, &format!("/{model}")).json(body).send().await.unwrap();
    assert_eq!(answer.status(), 422, "{model} {body}");
    assert_eq!(answer.headers()["x-fal-retryable"], "false");
    let answer: Value = answer.json().await.unwrap();
    let entries = answer["detail"].as_array().unwrap().iter();
    entries.map(|entry| (place(&entry["loc"]), text(entry, "type").to_owned())).collect()
}

fn place(parts: &Value) -> String {
    let part = |part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned);
    parts.as_array().unwrap().iter().map(part).collect::<Vec<_>>().join(".")
}

#[tokio::test]
async fn edits_have_the_size_of_their_picture() {
    let stage = Stage::new().await;
    for (format, content_type) in [("png", "image/png"), ("jpeg", "image/jpeg")] {
        let image = picture(&stage, 320, 200, format).await;
        assert!(image.starts_with(&format!("data:{content_type};base64,")));
        let rows = [
            ("fal-ai/flux/dev/image-to-image", json!({"strength": 0.5}), (320, 200)),
            ("fal-ai/flux-pro/kontext", json!({}), (320, 200)),
            ("fal-ai/flux-pro/kontext", json!({"aspect_ratio": "1:1"}), (1024, 1024)),
            ("fal-ai/flux-pro/v1/fill", json!({"mask_url": image}), (320, 200)),
            ("fal-ai/stable-diffusion-v3-medium/image-to-image", json!({}), (320, 200)),
            ("fal-ai/stable-diffusion-v3-medium/image-to-image", json!({"image_size": "square"}), (512, 512)),
            ("fal-ai/fast-sdxl/image-to-image", json!({}), (512, 512)),
            ("fal-ai/fast-sdxl/inpainting", json!({"mask_url": image}), (1024, 1024)),
            ("fal-ai/nano-banana/edit", json!({"image_urls": [image], "aspect_ratio": "auto"}), (320, 200)),
        ];
        for (model, mut body, expected) in rows {
            body["prompt"] = "a hat".into();
            body["image_url"] = image.clone().into();
            let output = output(&stage, model, body).await;
            let image = &output["images"][0];
            let size = (image["width"].as_u64().unwrap(), image["height"].as_u64().unwrap());
            assert_eq!(size, expected, "{model}");
        }
    }
}

#[tokio::test]
async fn models_tell_what_is_theirs_beside_the_media() {
    let stage = Stage::new().await;
    let prompt = json!({"prompt": "p", "seed": 5});
    let names = async |model: &str| {
        let output = output(&stage, model, prompt.clone()).await;
        let mut names: Vec<String> = output.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names("fal-ai/flux-pro/new").await, "has_nsfw_concepts images prompt seed timings");
    let sd3 = "has_nsfw_concepts images num_images prompt seed timings";
    assert_eq!(names("fal-ai/stable-diffusion-v3-medium").await, sd3);
    assert_eq!(names("fal-ai/nano-banana").await, "description images");
    assert_eq!(names(&format!("{KLING}/text-to-video")).await, "video");
    assert_eq!(names(&format!("{PIKA}/v2.1/text-to-video")).await, "video");
    assert_eq!(names("fal-ai/ltx-video").await, "seed video");
    assert_eq!(names(&format!("{WAN}/text-to-video")).await, "prompt seed video");
    let ultra = output(&stage, "fal-ai/flux-pro/v1.1-ultra", prompt.clone()).await;
    assert_eq!(ultra["images"][0]["width"], 2784);
    let nano = output(&stage, "fal-ai/nano-banana", json!({"prompt": "p", "output_format": "webp"})).await;
    assert_eq!(nano["images"][0]["content_type"], "image/webp");
}

#[tokio::test]
async fn every_wrong_field_is_named_with_its_place_and_type() {
    let stage = Stage::new().await;
    let sdxl = "fal-ai/fast-sdxl/inpainting";
    type Row<'a> = (&'a str, Value, &'a [(&'a str, &'a str)]);
    let rows: [Row<'_>; 16] = [
        ("fal-ai/flux/dev", json!({"prompt": 5}), &[("body.prompt", "string_type")]),
        ("fal-ai/flux/dev", json!({"prompt": ""}), &[("body.prompt", "sequence_too_short")]),
        ("fal-ai/flux/dev", json!([]), &[("body", "dict_type")]),
        (
            "fal-ai/flux/schnell",
            json!({"prompt": "p", "num_inference_steps": 13}),
            &[("body.num_inference_steps", "less_than_equal")],
        ),
        (
            "fal-ai/flux/dev",
            json!({"prompt": "p", "image_size": {"width": 4, "height": "x"}}),
            &[("body.image_size.width", "greater_than_equal"), ("body.image_size.height", "int_type")],
        ),
        ("fal-ai/flux-pro/kontext", json!({"prompt": "p"}), &[("body.image_url", "missing")]),
        (
            sdxl,
            json!({"prompt": "p", "image_url": "ftp://x/a.png", "strength": 1.5}),
            &[
                ("body.image_url", "file_download_error"),
                ("body.mask_url", "missing"),
                ("body.strength", "less_than_equal"),
            ],
        ),
        (
            sdxl,
            json!({"prompt": "p", "loras": {}, "format": "webp"}),
            &[
                ("body.format", "one_of"),
                ("body.loras", "list_type"),
                ("body.image_url", "missing"),
                ("body.mask_url", "missing"),
            ],
        ),
        (
            "fal-ai/flux-pro/v1.1",
            json!({"prompt": "p", "safety_tolerance": 2}),
            &[("body.safety_tolerance", "one_of")],
        ),
        (
            "fal-ai/nano-banana",
            json!({"prompt": "p", "aspect_ratio": "9:21"}),
            &[("body.aspect_ratio", "one_of")],
        ),
        (
            &format!("{KLING}/text-to-video"),
            json!({"prompt": "p", "duration": 5, "cfg_scale": 2}),
            &[("body.duration", "one_of"), ("body.cfg_scale", "less_than_equal")],
        ),
        (
            &format!("{WAN}/text-to-video"),
            json!({"prompt": "p", "num_frames": 5, "resolution": "1080p"}),
            &[("body.num_frames", "greater_than_equal"), ("body.resolution", "one_of")],
        ),
        ("fal-ai/ltx-video", json!({"prompt": "p", "seed": 0.5}), &[("body.seed", "int_type")]),
        (
            &format!("{PIKA}/v2.1/text-to-video"),
            json!({"prompt": "p", "duration": 10}),
            &[("body.duration", "one_of")],
        ),
        (
            &format!("{PIKA}/v2.2/image-to-video"),
            json!({"image_url": "https://x/a.png"}),
            &[("body.prompt", "missing")],
        ),
        (
            &format!("{PIKA}/v2.2/text-to-video"),
            json!({"prompt": "p", "aspect_ratio": "21:9", "resolution": "480p", "duration": "7"}),
            &[("body.resolution", "one_of"), ("body.duration", "one_of"), ("body.aspect_ratio", "one_of")],
        ),
    ];
    for (model, body, expected) in rows {
        let found = refusal(&stage, model, &body).await;
        let found: Vec<(&str, &str)> =
            found.iter().map(|(place, kind)| (place.as_str(), kind.as_str())).collect();
        assert_eq!(found, expected, "{model} {body}");
    }
    assert!(stage.simulator.journal().submits().iter().all(|entry| !entry.accepted));
}

#[tokio::test]
async fn broken_pictures_are_refused_and_unseen_ones_are_not() {
    let stage = Stage::new().await;
    let whole = picture(&stage, 64, 64, "png").await;
    let (head, data) = whole.split_once(',').unwrap();
    let mut bytes = STANDARD.decode(data).unwrap();
    bytes.truncate(bytes.len() - 20);
    let model = "fal-ai/flux-pro/kontext";
    for broken in [
        format!("{head},{}", STANDARD.encode(&bytes)),
        format!("{head},%%%"),
        format!("data:image/png,{data}"),
        format!("data:text/plain;base64,{}", STANDARD.encode("hello")),
        "data:image/png;base64".to_owned(),
    ] {
        let found = refusal(&stage, model, &json!({"prompt": "p", "image_url": broken})).await;
        let expected = ("body.image_url".to_owned(), "image_load_error".to_owned());
        assert_eq!(found, [expected], "{broken}");
    }
    stage.fal_submit(model, &json!({"prompt": "p", "image_url": "https://example.com/a.png"})).await;
}

#[tokio::test]
async fn pika_takes_seconds_in_both_forms_and_follows_its_picture() {
    let stage = Stage::new().await;
    for version in ["v2.2", "v2.1", "v2/turbo"] {
        for duration in [json!(5), json!("5")] {
            let body = json!({"prompt": "p", "duration": duration, "aspect_ratio": "4:5"});
            stage.fal_submit(&format!("{PIKA}/{version}/text-to-video"), &body).await;
        }
    }
    let image = picture(&stage, 300, 400, "jpeg").await;
    let body = json!({"prompt": "p", "image_url": image, "resolution": "1080p", "duration": 10});
    let submitted = stage.fal_submit(&format!("{PIKA}/v2.2/image-to-video"), &body).await;
    let id = text(&submitted, "request_id");
    let expected = stage.url(&format!("/fal/fal-ai/pika/requests/{id}"));
    assert_eq!(submitted["response_url"], expected, "version and task are dropped");
    let output: Value = stage.fal_result(&submitted).await.json().await.unwrap();
    let file = stage.client.get(text(&output["video"], "url")).send().await.unwrap();
    let bytes = file.bytes().await.unwrap();
    // Width and height stand at the end of the track header, in fixed point.
    let header = bytes.windows(4).position(|name| name == b"tkhd").unwrap() + 80;
    assert_eq!(bytes[header..header + 8], [0x04, 0x38, 0, 0, 0x05, 0xa0, 0, 0], "1080 x 1440");
}

#[tokio::test]
async fn pikaframes_need_a_transition_for_each_gap() {
    let stage = Stage::new().await;
    let model = format!("{PIKA}/v2.2/pikaframes");
    let image = picture(&stage, 64, 64, "png").await;
    let body =
        json!({"image_urls": [image, image, image], "transitions": [{"duration": 2}, {"prompt": "zoom"}]});
    let output = output(&stage, &model, body).await;
    assert_eq!(output["video"]["content_type"], "video/mp4");
    let urls = |count: usize| vec!["https://example.com/a.png"; count];
    let rows: [(Value, &str, &str); 6] = [
        (json!({}), "body.image_urls", "missing"),
        (json!({"image_urls": urls(1)}), "body.image_urls", "sequence_too_short"),
        (json!({"image_urls": urls(6)}), "body.image_urls", "sequence_too_long"),
        (json!({"image_urls": ["https://x/a", "nowhere"]}), "body.image_urls.1", "file_download_error"),
        (json!({"image_urls": urls(3), "transitions": [{}]}), "body.transitions", "value_error"),
        (
            json!({"image_urls": urls(5), "transitions": vec![json!({"duration": 10}); 4]}),
            "body.transitions",
            "value_error",
        ),
    ];
    for (body, place, kind) in rows {
        let found = refusal(&stage, &model, &body).await;
        assert_eq!(found, [(place.to_owned(), kind.to_owned())], "{body}");
    }
}

#[tokio::test]
async fn the_headers_of_a_submit_are_checked() {
    let stage = Stage::with(|options| options.timing.video = Duration::from_secs(20)).await;
    let submit = |name: &'static str, value: &'static str| {
        let request = stage.fal(Method::POST, &format!("/{KLING}/text-to-video"));
        request.header(name, value).json(&json!({"prompt": "p"})).send()
    };
    for (name, good, bad) in [
        ("x-fal-queue-priority", "low", "high"),
        ("x-fal-no-retry", "1", "yes"),
        ("x-fal-store-io", "0", "no"),
        ("x-fal-request-timeout", "30", "soon"),
        ("x-fal-object-lifecycle-preference", r#"{"expiration_duration_seconds": 60}"#, "60"),
    ] {
        assert_eq!(submit(name, good).await.unwrap().status(), 200, "{name}");
        let answer = submit(name, bad).await.unwrap();
        assert_eq!(answer.status(), 422, "{name}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(place(&answer["detail"][0]["loc"]), format!("header.{name}"));
    }
    assert_eq!(submit("x-fal-runner-hint", "any").await.unwrap().status(), 200);
}

#[tokio::test]
async fn work_that_does_not_begin_in_time_is_given_up() {
    let stage = Stage::with(|options| options.timing.video = Duration::from_secs(20)).await;
    let request = stage.fal(Method::POST, &format!("/{KLING}/text-to-video"));
    let request = request.header("x-fal-request-timeout", "0.05").json(&json!({"prompt": "p"}));
    let submitted: Value = request.send().await.unwrap().json().await.unwrap();
    let result = stage.fal_result(&submitted).await;
    assert_eq!(result.status(), 504);
    assert_eq!(result.headers()["x-fal-request-timeout-type"], "user");
    assert_eq!(result.headers()["x-fal-error-type"], "request_timeout");
}

#[tokio::test]
async fn direct_calls_answer_with_the_output() {
    let stage = Stage::new().await;
    let ask = async |body: Value| {
        let answer = stage.fal(Method::POST, "/run/fal-ai/flux/dev").json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, body) = ask(json!({"prompt": "now"})).await;
    assert_eq!(status, 200);
    let file = stage.client.get(text(&body["images"][0], "url")).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "image/jpeg");
    assert_eq!(stage.simulator.journal().submits_of("now"), 1);
    let (status, body) = ask(json!({"prompt": "[sim:fail=generation_timeout]"})).await;
    assert_eq!((status, text(&body["detail"][0], "type")), (504, "generation_timeout"));
    assert_eq!(ask(json!({})).await.0, 422);
}
