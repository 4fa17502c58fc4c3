//! Files that come with a request: base64, data URIs, forms.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use atelier_api::ApiSettings;
use atelier_domain::job::Input;

use crate::fakes::{Answer, Api, MemoryTelemetry, request, video};

const JOBS: &str = "/api/v1/media/jobs";

/// The corpus of the asset store: 33 x 17 pixels, and 40 x 24.
const PNG: &[u8] = include_bytes!("../../shared/s3-store/tests/corpus/picture.png");
const GIF: &[u8] = include_bytes!("../../shared/s3-store/tests/corpus/picture.gif");
const WAV: &[u8] = include_bytes!("../../shared/s3-store/tests/corpus/tone.wav");

fn without_url(changes: Value) -> Value {
    let mut body = video();
    body["input_url"] = Value::Null;
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content_type, bytes) in parts {
        let file = if *name == "job" { String::new() } else { "; filename=\"f\"".to_owned() };
        let head = format!(
            "--edge\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\nContent-Type: {content_type}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    body
}

async fn post_form(api: &Api, body: Vec<u8>) -> Answer {
    let headers = [("x-api-key", "acme-key"), ("content-type", "multipart/form-data; boundary=edge")];
    api.send(request("POST", JOBS, &headers, Body::from(body))).await
}

/// The one staged input of the last job: its type, and its bytes in the store.
fn staged(api: &Api) -> (String, Vec<u8>) {
    let jobs = api.store.jobs();
    let Some(Input::Staged(staged)) = &jobs.last().unwrap().body.spec.input else {
        panic!("nothing was staged")
    };
    assert!(staged.key.starts_with("inputs/acme/") && staged.key.contains(&staged.sha256), "{}", staged.key);
    (staged.content_type.clone(), api.store.objects()[&staged.key].clone())
}

#[tokio::test]
async fn bytes_in_any_of_three_ways_are_kept_before_the_job_is() {
    let base64 = STANDARD.encode(PNG);
    for body in [
        without_url(json!({"input_base64": base64})),
        without_url(json!({"input_base64": format!("data:image/png;base64,{base64}")})),
        without_url(json!({"input_url": format!("data:image/png;base64,{base64}")})),
    ] {
        let api = Api::default();
        api.admitted(&body).await;
        assert_eq!(staged(&api), ("image/png".to_owned(), PNG.to_vec()));
    }
    let api = Api::default();
    let job = without_url(json!({})).to_string();
    let parts = [("job", "application/json", job.as_bytes()), ("input", "image/png", PNG)];
    let answer = post_form(&api, form(&parts)).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    assert_eq!(staged(&api), ("image/png".to_owned(), PNG.to_vec()));
}

#[tokio::test]
async fn the_same_bytes_and_key_give_the_same_job_and_one_object() {
    let api = Api::default();
    let body = without_url(json!({"input_base64": STANDARD.encode(PNG), "idempotency_key": "k"}));
    let first = api.admitted(&body).await;
    let again = api.post(JOBS, &body).await;
    assert_eq!((again.status.as_u16(), again.json["data"]["id"].as_str()), (200, Some(first.as_str())));
    assert_eq!(api.store.objects().len(), 1);
}

#[tokio::test]
async fn a_file_that_does_not_fit_is_refused_and_not_kept() {
    for (body, field, expected) in [
        (without_url(json!({"input_base64": STANDARD.encode(GIF)})), "input_url", "image/webp"),
        (without_url(json!({"input_base64": STANDARD.encode(WAV)})), "input_url", "image/webp"),
        (without_url(json!({"input_base64": STANDARD.encode("plain words")})), "input_url", "an image"),
        (without_url(json!({"input_base64": "?"})), "input_base64", "base64"),
        (
            without_url(json!({"input_base64": STANDARD.encode(PNG), "input_url": "https://x.com/a.png"})),
            "input_base64",
            "only one",
        ),
        (
            without_url(json!({"input_base64": STANDARD.encode(PNG), "prompt": "x".repeat(1001)})),
            "prompt",
            "at most 1000",
        ),
    ] {
        let api = Api::default();
        let answer = api.post(JOBS, &body).await;
        let message = answer.refused(400, "bad_request");
        assert_eq!(answer.fields(), [field], "{}", answer.json);
        assert!(answer.json.to_string().contains(expected), "{message}");
        assert!(api.store.objects().is_empty() && api.store.jobs().is_empty());
    }
}

#[tokio::test]
async fn a_form_that_cannot_be_used_says_why() {
    let api = Api::default();
    let job = without_url(json!({})).to_string();
    for (body, part) in [
        (form(&[("input", "image/png", PNG)]), "no part `job`"),
        (form(&[("job", "application/json", b"{"), ("input", "image/png", PNG)]), "not valid JSON"),
        (b"--edge\r\nnonsense".to_vec(), "form cannot be read"),
        (form(&[("job", "application/json", job.as_bytes()), ("", "image/png", PNG)]), "no usable name"),
        (
            form(&[
                ("job", "application/json", job.as_bytes()),
                ("input", "image/png", PNG),
                ("mask", "image/png", PNG),
            ]),
            "config.mask",
        ),
    ] {
        let message = post_form(&api, body).await.refused(400, "bad_request");
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(api.store.objects().is_empty());
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused() {
    let settings = ApiSettings { attachment_limit_bytes: 2_000, ..ApiSettings::default() };
    let api = Api::with(MemoryTelemetry::default(), settings);
    let body = without_url(json!({"input_base64": STANDARD.encode(WAV)}));
    let answer = api.post(JOBS, &body).await;
    assert!(answer.refused(400, "bad_request").contains("at most 2000 bytes"), "{}", answer.json);
}

#[tokio::test]
async fn without_the_asset_store_nothing_is_admitted() {
    let api = Api::default();
    api.store.assets_are_down.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = api.post(JOBS, &without_url(json!({"input_base64": STANDARD.encode(PNG)}))).await;
    answer.refused(503, "unavailable");
    assert!(api.store.jobs().is_empty());
}
