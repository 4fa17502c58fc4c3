use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{Stage, text};

const TEXT: &str = "/v1/generation/stable-diffusion-xl-1024-v1-0/text-to-image";
const IMAGE: &str = "/v1/generation/stable-diffusion-xl-1024-v1-0/image-to-image";
const MASKING: &str = "/v1/generation/stable-diffusion-xl-1024-v1-0/image-to-image/masking";

impl Stage {
    async fn v1(&self, body: &Value) -> (u16, Value) {
        let response = self.stability(Method::POST, TEXT).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn v1_form(&self, path: &str, form: Form) -> (u16, Value) {
        let response = self.stability(Method::POST, path).multipart(form).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

fn wish(more: Value) -> Value {
    let mut body = json!({"text_prompts": [{"text": "a cat"}, {"text": "blurry", "weight": -1}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn image_form() -> Form {
    Form::new().part("init_image", Stage::picture(1024, 1024)).text("text_prompts[0][text]", "a cat")
}

fn png_sides(artifact: &Value) -> (u32, u32) {
    let png = STANDARD.decode(text(artifact, "base64")).unwrap();
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (side(16), side(20))
}

#[tokio::test]
async fn several_images_come_in_one_answer() {
    let stage = Stage::new().await;
    let (status, body) =
        stage.v1(&wish(json!({"samples": 3, "seed": 9, "width": 1344, "height": 768}))).await;
    assert_eq!(status, 200);
    let artifacts = body["artifacts"].as_array().unwrap();
    assert_eq!(artifacts.len(), 3);
    for (index, artifact) in artifacts.iter().enumerate() {
        assert_eq!(artifact["finishReason"], "SUCCESS");
        assert_eq!(artifact["seed"], 9 + index);
        assert_eq!(png_sides(artifact), (1344, 768));
    }
    assert_ne!(artifacts[0]["base64"], artifacts[1]["base64"]);
}

#[tokio::test]
async fn one_image_comes_as_bytes_when_that_is_wanted() {
    let stage = Stage::new().await;
    let request = stage.stability(Method::POST, TEXT).header("accept", "image/png");
    let response = request.json(&wish(json!({"seed": 4}))).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "image/png");
    assert_eq!(response.headers()["finish-reason"], "SUCCESS");
    assert_eq!(response.headers()["seed"], "4");
    assert!(response.bytes().await.unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn images_are_changed_by_form() {
    let stage = Stage::new().await;
    let form = image_form()
        .text("text_prompts[0][weight]", "0.5")
        .text("init_image_mode", "IMAGE_STRENGTH")
        .text("image_strength", "0.35")
        .text("samples", "2");
    let (status, body) = stage.v1_form(IMAGE, form).await;
    assert_eq!((status, body["artifacts"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(png_sides(&body["artifacts"][0]), (1024, 1024));
    let mask = Stage::picture(1024, 1024);
    let masked = image_form().text("mask_source", "MASK_IMAGE_WHITE").part("mask_image", mask);
    assert_eq!(stage.v1_form(MASKING, masked).await.0, 200);
    assert_eq!(stage.v1_form(MASKING, image_form().text("mask_source", "INIT_IMAGE_ALPHA")).await.0, 200);
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let stage = Stage::new().await;
    for (more, name) in [
        (json!({"width": 1000}), "invalid_height_or_width"),
        (json!({"width": 512}), "invalid_sdxl_v1_dimensions"),
        (json!({"width": 1024, "height": 1152}), "invalid_sdxl_v1_dimensions"),
        (json!({"samples": 0}), "invalid_samples"),
        (json!({"samples": 11}), "invalid_samples"),
        (json!({"steps": 51}), "bad_request"),
        (json!({"cfg_scale": 36}), "bad_request"),
        (json!({"sampler": "EULER"}), "bad_request"),
        (json!({"style_preset": "noir"}), "bad_request"),
        (json!({"clip_guidance_preset": "FAST"}), "bad_request"),
        (json!({"seed": 4294967296_u64}), "bad_request"),
        (json!({"prompt": "x"}), "bad_request"),
        (json!({"text_prompts": []}), "invalid_prompts"),
        (json!({"text_prompts": [{"text": "x".repeat(2001)}]}), "invalid_prompts"),
    ] {
        let (status, body) = stage.v1(&wish(more.clone())).await;
        assert_eq!((status, text(&body, "name")), (400, name), "{more}: {body}");
        assert!(body["message"].is_string());
    }
    for (path, form, name) in [
        (IMAGE, Form::new().text("text_prompts[0][text]", "x"), "invalid_mime_type"),
        (IMAGE, image_form().text("width", "1024"), "bad_request"),
        (IMAGE, image_form().text("text_prompts[0][colour]", "red"), "bad_request"),
        (IMAGE, image_form().part("mask_image", Stage::picture(64, 64)), "bad_request"),
        (MASKING, image_form(), "bad_request"),
        (MASKING, image_form().text("mask_source", "MASK_IMAGE_BLACK"), "invalid_mask_image"),
        (MASKING, image_form().text("mask_source", "MASK"), "invalid_mask_image"),
        (
            MASKING,
            image_form().text("mask_source", "MASK_IMAGE_WHITE").part("mask_image", Stage::picture(64, 64)),
            "invalid_mask_image",
        ),
        (
            IMAGE,
            Form::new().part("init_image", Stage::picture(320, 240)).text("text_prompts[0][text]", "x"),
            "invalid_sdxl_v1_dimensions",
        ),
        (IMAGE, Form::new().part("init_image", Part::bytes(vec![0; 10 << 20])), "payload_too_large"),
    ] {
        let (status, body) = stage.v1_form(path, form).await;
        assert_eq!(text(&body, "name"), name, "{status} {body}");
    }
    let json_as_form = stage.stability(Method::POST, TEXT).multipart(image_form()).send().await.unwrap();
    assert_eq!(json_as_form.status(), 400);
    let other = stage.stability(Method::POST, "/v1/generation/sdxl/text-to-image");
    assert_eq!(other.json(&wish(json!({}))).send().await.unwrap().status(), 404);
    let accept = stage.stability(Method::POST, TEXT).header("accept", "image/*");
    assert_eq!(accept.json(&wish(json!({}))).send().await.unwrap().status(), 400);
    assert!(stage.simulator.journal().submits().iter().all(|entry| !entry.accepted));
}

#[tokio::test]
async fn refusals_have_the_older_shape() {
    let stage = Stage::new().await;
    let prompt = |text: &str| json!({"text_prompts": [{"text": text}]});
    let (status, body) = stage.v1(&prompt("[sim:moderation]")).await;
    assert_eq!((status, text(&body, "name")), (400, "invalid_prompts"));
    let (status, body) = stage.v1(&prompt("[sim:fail=server_error]")).await;
    assert_eq!((status, text(&body, "name")), (500, "server_error"));
    let (status, body) = stage.v1(&prompt("[sim:moderation=nsfw_flag]")).await;
    assert_eq!((status, text(&body["artifacts"][0], "finishReason")), (200, "CONTENT_FILTERED"));
}

#[tokio::test]
async fn the_account_is_told() {
    let stage = Stage::new().await;
    let get = async |path: &str, key: &str| {
        let url = stage.url(&format!("/stability{path}"));
        let response =
            stage.client.get(url).header("authorization", format!("Bearer {key}")).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(get("/v1/user/balance", "sk-key").await, (200, json!({"credits": 1000.5})));
    assert_eq!(get("/v1/user/balance", "no-money").await, (200, json!({"credits": 0.0})));
    let (status, body) = get("/v1/user/balance", "bad-key").await;
    assert_eq!((status, text(&body, "name")), (401, "unauthorized"));
    assert!(get("/v1/user/account", "sk-key").await.1["organizations"].is_array());
    let engines = get("/v1/engines/list", "sk-key").await.1;
    assert_eq!(engines[0]["id"], "stable-diffusion-xl-1024-v1-0");
    assert_eq!(get("/v1/nothing", "sk-key").await.0, 404);
}
