use std::time::{Duration, Instant};

use atelier_simulator::{Fault, Rule};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::{Stage, text};

const CORE: &str = "generate/core";
const SD3: &str = "generate/sd3";

impl Stage {
    pub fn stability(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(&format!("/stability{path}")));
        request.header("authorization", "Bearer sk-key")
    }

    fn ask(&self, path: &str, form: Form, accept: &str) -> RequestBuilder {
        self.stability(Method::POST, &format!("/v2beta/stable-image/{path}"))
            .header("accept", accept)
            .multipart(form)
    }

    async fn image(&self, path: &str, form: Form) -> Response {
        let response = self.ask(path, form, "image/*").send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response
    }

    /// The status and the first complaint about a request.
    async fn refused(&self, path: &str, form: Form) -> (u16, String) {
        complaint(self.ask(path, form, "image/*").send().await.unwrap()).await
    }

    /// A picture to send: a PNG of this size.
    pub fn picture(width: u32, height: u32) -> Part {
        // Only the head is looked at.
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
        Part::bytes(bytes).file_name("picture.png").mime_str("image/png").unwrap()
    }
}

async fn complaint(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert!(!text(&body, "id").is_empty());
    (status, format!("{}: {}", text(&body, "name"), body["errors"][0].as_str().unwrap()))
}

fn form(fields: &[(&'static str, &str)]) -> Form {
    fields.iter().fold(Form::new(), |form, (name, value)| form.text(*name, (*value).to_owned()))
}

fn prompted() -> Form {
    form(&[("prompt", "a cat")])
}

/// Width and height of a PNG.
fn size_of(png: &[u8]) -> (u32, u32) {
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert!(png.starts_with(b"\x89PNG"));
    (side(16), side(20))
}

async fn png_size(response: Response) -> (u32, u32) {
    size_of(&response.bytes().await.unwrap())
}

#[tokio::test]
async fn an_image_comes_as_bytes_with_its_facts_in_headers() {
    let stage = Stage::new().await;
    let response = stage.image(CORE, prompted().text("seed", "7")).await;
    assert_eq!(response.headers()["content-type"], "image/png");
    assert_eq!(response.headers()["finish-reason"], "SUCCESS");
    assert_eq!(response.headers()["seed"], "7");
    assert_eq!(response.headers()["x-request-id"].len(), 32);
    let length = response.content_length().unwrap();
    let bytes = response.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, length);
    let (width, height) = size_of(&bytes);
    assert_eq!(width, height);
    assert!((1_400_000..1_700_000).contains(&(width * height)), "{width}");
}

#[tokio::test]
async fn an_image_comes_as_json_when_that_is_wanted() {
    let stage = Stage::new().await;
    let wanted = form(&[("prompt", "a cat"), ("output_format", "webp")]);
    let response = stage.ask(CORE, wanted, "application/json").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json; type=image/webp");
    assert!(!response.headers().contains_key("seed"));
    assert!(!response.headers().contains_key("finish-reason"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["finish_reason"], "SUCCESS");
    assert!(body["seed"].as_u64().is_some_and(|seed| seed > 0));
    let json_image = Bytes::from(STANDARD.decode(text(&body, "image")).unwrap());
    assert!(json_image.starts_with(b"RIFF"));
    let wanted = form(&[("prompt", "a cat"), ("output_format", "webp")]);
    assert_eq!(stage.image(CORE, wanted).await.bytes().await.unwrap(), json_image);
}

#[tokio::test]
async fn formats_and_ratios_are_as_asked_for() {
    let stage = Stage::new().await;
    let formats: [(&str, &str, &[u8]); 3] = [
        ("png", "image/png", b"\x89PNG"),
        ("jpeg", "image/jpeg", b"\xff\xd8"),
        ("webp", "image/webp", b"RIFF"),
    ];
    for (format, content_type, start) in formats {
        for path in ["generate/ultra", CORE, SD3] {
            let response = stage.image(path, prompted().text("output_format", format)).await;
            assert_eq!(response.headers()["content-type"], content_type);
            assert!(response.bytes().await.unwrap().starts_with(start), "{path} {format}");
        }
    }
    for (ratio, expected) in [("1:1", (1024, 1024)), ("16:9", (1344, 768)), ("9:21", (640, 1536))] {
        let response = stage.image("generate/ultra", prompted().text("aspect_ratio", ratio)).await;
        assert_eq!(png_size(response).await, expected);
    }
}

#[tokio::test]
async fn edits_have_the_size_of_their_image() {
    let stage = Stage::new().await;
    let image = || Form::new().part("image", Stage::picture(320, 200));
    let with = |fields: &[(&'static str, &str)]| {
        fields.iter().fold(image(), |form, (name, value)| form.text(*name, (*value).to_owned()))
    };
    let styles = |fields: &[(&'static str, &str)]| {
        form(fields)
            .part("init_image", Stage::picture(320, 200))
            .part("style_image", Stage::picture(4_000, 70))
    };
    let prompt = ("prompt", "a cat");
    let same = (320, 200);
    for (path, form, expected) in [
        ("edit/erase", image().part("mask", Stage::picture(32, 20)).text("grow_mask", "20"), same),
        ("edit/inpaint", with(&[prompt, ("grow_mask", "100"), ("style_preset", "anime")]), same),
        ("edit/search-and-replace", with(&[prompt, ("search_prompt", "dog")]), same),
        ("edit/search-and-recolor", with(&[prompt, ("select_prompt", "dog")]), same),
        ("edit/remove-background", with(&[("output_format", "png")]), same),
        ("edit/outpaint", with(&[("left", "100"), ("down", "60")]), (420, 260)),
        ("control/sketch", with(&[prompt, ("control_strength", "0.2")]), same),
        ("control/structure", with(&[prompt]), same),
        ("control/style", with(&[prompt, ("fidelity", "1"), ("aspect_ratio", "3:2")]), (1216, 832)),
        ("control/style-transfer", styles(&[("change_strength", "0.1")]), same),
        ("upscale/fast", image(), (1280, 800)),
        ("upscale/fast", Form::new().part("image", Stage::picture(32, 32)), (128, 128)),
        ("upscale/conservative", with(&[prompt, ("creativity", "0.3")]), (1280, 800)),
        (SD3, with(&[prompt, ("mode", "image-to-image"), ("strength", "0.5")]), same),
        ("generate/ultra", with(&[prompt, ("strength", "0.5")]), (1024, 1024)),
    ] {
        assert_eq!(png_size(stage.image(path, form).await).await, expected, "{path}");
    }
}

#[tokio::test]
async fn slow_work_is_asked_about() {
    let stage = Stage::with(|options| options.timing.image = Duration::from_millis(300)).await;
    let image = || Form::new().part("image", Stage::picture(128, 128)).text("prompt", "a cat");
    let relight = Form::new()
        .part("subject_image", Stage::picture(128, 128))
        .text("background_prompt", "a beach")
        .text("light_source_direction", "left");
    for (path, form) in [("upscale/creative", image()), ("edit/replace-background-and-relight", relight)] {
        let response = stage.ask(path, form, "application/json").send().await.unwrap();
        assert_eq!(response.status(), 200);
        let created: Value = response.json().await.unwrap();
        let id = text(&created, "id").to_owned();
        assert_eq!(id.len(), 64);
        let result = async |accept: &str| {
            let request = stage.stability(Method::GET, &format!("/v2beta/results/{id}"));
            request.header("accept", accept).send().await.unwrap()
        };
        let first = result("image/*").await;
        assert_eq!(first.status(), 202);
        let body: Value = first.json().await.unwrap();
        assert_eq!(body, json!({"id": id, "status": "in-progress"}));
        let begun = Instant::now();
        while result("image/*").await.status() == 202 {
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let bytes = result("image/*").await;
        assert_eq!(bytes.headers()["finish-reason"], "SUCCESS");
        assert!(bytes.bytes().await.unwrap().starts_with(b"\x89PNG"));
        let body: Value = result("application/json").await.json().await.unwrap();
        assert_eq!(body["finish_reason"], "SUCCESS");
        assert_eq!(complaint(result("*/*").await).await.0, 400);
    }
    let other = stage.stability(Method::GET, "/v2beta/results/nothing").header("accept", "image/*");
    let (status, told) = complaint(other.send().await.unwrap()).await;
    assert_eq!((status, told.as_str()), (404, "generation_not_found: the generation was not found"));
}

#[tokio::test]
async fn what_an_endpoint_does_not_take_is_refused() {
    let stage = Stage::new().await;
    let image = || Form::new().part("image", Stage::picture(100, 100));
    let long = "x".repeat(10_001);
    let rows: Vec<(&str, Form, &str)> = vec![
        (CORE, form(&[("seed", "1")]), "prompt: is required"),
        (CORE, form(&[("prompt", "")]), "prompt: is required"),
        (CORE, form(&[("prompt", &long)]), "prompt: must be a text of at most 10000 characters"),
        (CORE, prompted().text("model", "sd3.5-large"), "model: is not allowed"),
        (CORE, prompted().text("cfg_scale", "5"), "cfg_scale: is not allowed"),
        (CORE, prompted().part("image", Stage::picture(64, 64)), "image: is not allowed"),
        (CORE, prompted().text("seed", "4294967295"), "seed: must be a whole number from 0 to 4294967294"),
        (CORE, prompted().text("output_format", "gif"), "output_format: must be one of png, jpeg, webp"),
        (CORE, prompted().text("aspect_ratio", "4:3"), "aspect_ratio: must be one of"),
        (CORE, prompted().text("style_preset", "noir"), "style_preset: must be one of"),
        (CORE, prompted().text("none", "full"), "none: is not allowed"),
        ("generate/ultra", image().text("prompt", "x"), "strength: is required when image is provided"),
        (SD3, image().text("prompt", "x"), "image, strength: are only allowed when mode is image-to-image"),
        (SD3, prompted().text("mode", "image-to-image"), "image, strength: are required when mode is"),
        (SD3, prompted().text("model", "sd9"), "model: must be one of"),
        (SD3, prompted().text("cfg_scale", "11"), "cfg_scale: must be a number from 1 to 10"),
        (
            SD3,
            image()
                .text("prompt", "x")
                .text("mode", "image-to-image")
                .text("strength", "1")
                .text("aspect_ratio", "1:1"),
            "aspect_ratio: is not allowed when mode is image-to-image",
        ),
        ("edit/outpaint", image(), "at least one of left, right, up or down must be greater than 0"),
        (
            "edit/outpaint",
            image().text("left", "0"),
            "at least one of left, right, up or down must be greater",
        ),
        ("edit/outpaint", image().text("left", "2001"), "left: must be a whole number from 0 to 2000"),
        ("edit/outpaint", image().text("bottom", "10"), "bottom: is not allowed"),
        (
            "edit/remove-background",
            image().text("output_format", "jpeg"),
            "output_format: must be one of png, webp",
        ),
        ("edit/erase", image().text("grow_mask", "21"), "grow_mask: must be a whole number from 0 to 20"),
        ("edit/erase", image().text("prompt", "x"), "prompt: is not allowed"),
        ("edit/erase", form(&[("seed", "1")]), "image: is required"),
        ("edit/erase", form(&[("image", "text")]), "image: must be an image (jpeg, png or webp)"),
        (
            "edit/erase",
            Form::new().part("image", Stage::picture(63, 100)),
            "image: sides must have 64 to 16383 pixels",
        ),
        (
            "edit/erase",
            Form::new().part("image", Stage::picture(4000, 4000)),
            "image: must have 4096 to 9437184",
        ),
        (
            "edit/remove-background",
            Form::new().part("image", Stage::picture(2049, 2048)),
            "image: must have 4096 to 4194304 pixels",
        ),
        (
            "upscale/fast",
            Form::new().part("image", Stage::picture(1537, 100)),
            "image: sides must have 32 to 1536 pixels",
        ),
        (
            "upscale/fast",
            Form::new().part("image", Stage::picture(1200, 1200)),
            "image: must have 1024 to 1048576 pixels",
        ),
        (
            "upscale/creative",
            prompted().part("image", Stage::picture(1025, 1024)),
            "image: must have 4096 to 1048576 pixels",
        ),
        (
            "upscale/creative",
            image().text("prompt", "x").text("creativity", "0.6"),
            "creativity: must be a number from 0.1 to 0.5",
        ),
        (
            "upscale/conservative",
            image().text("prompt", "x").text("creativity", "0.1"),
            "creativity: must be a number from 0.2 to 0.5",
        ),
        (
            "control/style-transfer",
            Form::new().part("init_image", Stage::picture(100, 100)),
            "style_image: is required",
        ),
        (
            "edit/replace-background-and-relight",
            Form::new()
                .part("subject_image", Stage::picture(100, 100))
                .text("background_prompt", "x")
                .text("light_source_strength", "0.5"),
            "light_source_strength: requires light_reference or light_source_direction",
        ),
        ("edit/search-and-replace", image().text("prompt", "x"), "search_prompt: is required"),
        (
            "edit/replace-background-and-relight",
            Form::new().part("subject_image", Stage::picture(100, 100)),
            "background_reference or background_prompt: is required",
        ),
    ];
    for (path, form, expected) in rows {
        let (status, told) = stage.refused(path, form).await;
        assert_eq!(status, 400, "{path} {expected}: {told}");
        assert!(told.starts_with(&format!("bad_request: {expected}")), "{path}: {told}");
    }
    assert_eq!(stage.refused("generate/video", prompted()).await.0, 404);
    assert_eq!(stage.simulator.journal().submits().iter().filter(|entry| entry.accepted).count(), 0);
}

#[tokio::test]
async fn some_operations_want_images_of_moderate_ratio() {
    let stage = Stage::new().await;
    let tall = || Stage::picture(100, 251);
    let wanted = |image: &'static str| {
        let searched = form(&[("search_prompt", "dog")]).part(image, tall());
        match image {
            "subject_image" => form(&[("background_prompt", "x")]).part(image, tall()),
            "init_image" => Form::new().part(image, tall()).part("style_image", tall()),
            _ => searched,
        }
    };
    for (path, image, is_refused) in [
        ("control/sketch", "image", true),
        ("control/structure", "image", true),
        ("control/style", "image", true),
        ("control/style-transfer", "init_image", true),
        ("edit/outpaint", "image", true),
        ("edit/search-and-replace", "image", true),
        ("edit/search-and-recolor", "image", true),
        ("edit/replace-background-and-relight", "subject_image", true),
        ("upscale/conservative", "image", true),
        ("edit/erase", "image", false),
        ("edit/inpaint", "image", true),
        ("edit/remove-background", "image", false),
        ("generate/ultra", "image", false),
        ("upscale/fast", "image", false),
        ("upscale/creative", "image", false),
    ] {
        let response = stage.ask(path, wanted(image), "image/*").send().await.unwrap();
        let told = response.text().await.unwrap();
        assert_eq!(
            told.contains("aspect ratio must be between 1:2.5 and 2.5:1"),
            is_refused,
            "{path}: {told}"
        );
    }
}

#[tokio::test]
async fn the_form_of_a_request_is_checked() {
    let stage = Stage::new().await;
    let url = "/v2beta/stable-image/generate/core";
    let post = || stage.stability(Method::POST, url).header("accept", "image/*");
    for request in [
        post().json(&json!({"prompt": "x"})),
        post().header("content-type", "application/x-www-form-urlencoded").body("prompt=x"),
    ] {
        let (status, told) = complaint(request.send().await.unwrap()).await;
        assert_eq!((status, told.as_str()), (400, "bad_request: content-type: must be multipart/form-data"));
    }
    for accept in ["*/*", "image/png", "text/html"] {
        let refused = stage.ask(CORE, prompted(), accept).send().await.unwrap();
        let (status, told) = complaint(refused).await;
        assert_eq!(
            (status, told.as_str()),
            (400, "bad_request: accept: must be one of: image/*, application/json")
        );
    }
    let large = Part::bytes(vec![0; 10 << 20]);
    let (status, told) = stage.refused(CORE, prompted().part("image", large)).await;
    assert_eq!((status, told.starts_with("payload_too_large")), (413, true));
    // The provider's own examples force a form this way.
    stage.image(CORE, prompted().part("none", Part::text("").file_name("none"))).await;
}

#[tokio::test]
async fn keys_decide_who_is_let_in() {
    let stage = Stage::new().await;
    let url = stage.url("/stability/v2beta/stable-image/generate/core");
    for (key, expected) in [
        ("Bearer bad-key", (401, "unauthorized")),
        ("sk-key", (401, "unauthorized")),
        ("Bearer no-money", (402, "payment_required")),
    ] {
        let request = stage.client.post(&url).header("authorization", key).header("accept", "image/*");
        let (status, told) = complaint(request.multipart(prompted()).send().await.unwrap()).await;
        assert_eq!((status, told.split(':').next().unwrap()), expected);
    }
}

#[tokio::test]
async fn refusals_and_failures_are_the_providers() {
    let stage = Stage::new().await;
    let ask = |prompt: &str| stage.ask(CORE, form(&[("prompt", prompt)]), "image/*");
    for (prompt, expected) in [
        ("[sim:moderation]", (403, "content_moderation")),
        ("[sim:moderation=refusal]", (403, "content_moderation")),
        ("[sim:fail=public_figure]", (422, "public_figure")),
        ("[sim:fail=invalid_language]", (422, "invalid_language")),
        ("[sim:fail=internal_error]", (500, "internal_error")),
        ("[sim:status=429]", (429, "rate_limit_exceeded")),
    ] {
        let (status, told) = complaint(ask(prompt).send().await.unwrap()).await;
        assert_eq!((status, told.split(':').next().unwrap()), expected, "{prompt}");
    }
    assert_eq!(stage.simulator.journal().submits().iter().filter(|entry| entry.accepted).count(), 0);
    let filtered = stage.image(CORE, form(&[("prompt", "[sim:moderation=nsfw_flag]")])).await;
    assert_eq!(filtered.headers()["finish-reason"], "CONTENT_FILTERED");
    let wanted = form(&[("prompt", "[sim:moderation=nsfw_flag]")]);
    let body: Value = stage.ask(CORE, wanted, "application/json").send().await.unwrap().json().await.unwrap();
    assert_eq!(body["finish_reason"], "CONTENT_FILTERED");
}

#[tokio::test]
async fn slow_work_fails_in_its_result() {
    let stage = Stage::new().await;
    let wanted =
        |prompt: &str| Form::new().part("image", Stage::picture(128, 128)).text("prompt", prompt.to_owned());
    let end = async |prompt: &str| {
        let response = stage.image("upscale/creative", wanted(prompt)).await;
        let created: Value = response.json().await.unwrap();
        let path = format!("/v2beta/results/{}", text(&created, "id"));
        let mut words = Vec::new();
        loop {
            let request = stage.stability(Method::GET, &path).header("accept", "application/json");
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let body: Value = response.json().await.unwrap();
            if status != 202 {
                return (status, body, words);
            }
            words.push(text(&body, "status").to_owned());
            words.dedup();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (status, body, _) = end("[sim:fail=internal_error]").await;
    assert_eq!((status, text(&body, "name")), (500, "internal_error"));
    let (status, body, _) = end("[sim:moderation=nsfw_flag]").await;
    assert_eq!((status, text(&body, "finish_reason")), (200, "CONTENT_FILTERED"));
    let (_, _, words) = end("[sim:progress=queued]").await;
    assert_eq!(words[0], "queued");
    assert_eq!(stage.refused("upscale/creative", wanted("[sim:moderation]")).await.0, 403);
}

#[tokio::test]
async fn body_faults_strike_the_image() {
    let stage = Stage::new().await;
    let huge = stage.image(CORE, form(&[("prompt", "[sim:huge=5000001]")])).await;
    assert_eq!(huge.bytes().await.unwrap().len(), 5_000_001);
    let cut = stage.image(CORE, form(&[("prompt", "[sim:truncated]")])).await;
    assert!(cut.bytes().await.is_err());
    let page = stage.image(CORE, form(&[("prompt", "[sim:wrong_type]")])).await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let malformed = Rule::new(Fault::Malformed).times(1);
    stage.simulator.script(malformed);
    let body = stage.ask(CORE, prompted(), "application/json").send().await.unwrap();
    assert!(body.json::<Value>().await.is_err());
}

#[tokio::test]
async fn a_lost_answer_is_billed() {
    let stage = Stage::new().await;
    let lost = stage.ask(CORE, form(&[("prompt", "[sim:lost]")]), "image/*").send().await;
    assert!(lost.is_err());
    assert_eq!(stage.simulator.journal().submits_of("[sim:lost]"), 1);
}
