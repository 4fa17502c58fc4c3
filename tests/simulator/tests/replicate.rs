use std::time::{Duration, Instant};

use atelier_simulator::{Kind, Provider};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Stage, text};

const SDXL: &str = "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc";
const SCHNELL: &str = "/models/black-forest-labs/flux-schnell/predictions";

/// A version that begins with `feed` and these digits.
fn open_version(digits: &str) -> String {
    format!("feed{digits:0<60}")
}

impl Stage {
    async fn predict(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.replicate(Method::POST, path).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn prediction(&self, id: &str) -> Value {
        let path = format!("/predictions/{id}");
        self.replicate(Method::GET, &path).send().await.unwrap().json().await.unwrap()
    }

    /// The prediction once it has ended.
    async fn prediction_end(&self, id: &str) -> Value {
        loop {
            let prediction = self.prediction(id).await;
            if ["succeeded", "failed", "canceled", "aborted"].contains(&text(&prediction, "status")) {
                return prediction;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The end of a prediction that is accepted.
    async fn predicted(&self, path: &str, body: &Value) -> Value {
        let (status, created) = self.predict(path, body).await;
        assert_eq!(status, 201, "{created}");
        self.prediction_end(text(&created, "id")).await
    }

    async fn file(&self, url: &Value) -> (String, bytes::Bytes) {
        let response = self.client.get(url.as_str().unwrap()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        (content_type, response.bytes().await.unwrap())
    }
}

#[tokio::test]
async fn a_prediction_goes_through_its_states() {
    let stage = Stage::with(|options| options.timing.image = Duration::from_millis(400)).await;
    let (status, created) = stage.predict(SCHNELL, &json!({"input": {"prompt": "a cat"}})).await;
    assert_eq!((status, &created["status"]), (201, &json!("starting")));
    let id = text(&created, "id");
    assert!(
        id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
        "{id}"
    );
    assert_eq!(created["model"], "black-forest-labs/flux-schnell");
    assert_eq!(created["version"], "hidden");
    assert_eq!(created["urls"]["get"], stage.url(&format!("/replicate/v1/predictions/{id}")));
    let mut seen = vec!["starting".to_owned()];
    while seen.last().map(String::as_str) != Some("succeeded") {
        let prediction = stage.prediction(id).await;
        let word = text(&prediction, "status").to_owned();
        assert_eq!(prediction["started_at"].is_string(), word != "starting");
        assert_eq!(prediction["completed_at"].is_string(), word == "succeeded");
        assert_eq!(prediction["metrics"].is_object(), word == "succeeded");
        assert_eq!(prediction["output"].is_array(), word == "succeeded");
        seen.push(word);
        seen.dedup();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen, ["starting", "processing", "succeeded"]);
    let metrics = stage.prediction(id).await["metrics"].clone();
    assert_eq!((metrics["predict_time"].as_f64(), metrics["total_time"].as_f64()), (Some(0.32), Some(0.4)));
}

#[tokio::test]
async fn every_way_to_name_a_model_works() {
    let stage = Stage::new().await;
    let input = json!({"prompt": "name"});
    let named = async |path: &str, version: Option<&str>| {
        let body = match version {
            Some(version) => json!({"version": version, "input": input}),
            None => json!({"input": input}),
        };
        let (status, created) = stage.predict(path, &body).await;
        assert_eq!(status, 201, "{path} {version:?} {created}");
        (text(&created, "model").to_owned(), text(&created, "version").to_owned())
    };
    let sdxl = || ("stability-ai/sdxl".to_owned(), SDXL.to_owned());
    assert_eq!(named("/predictions", Some(SDXL)).await, sdxl());
    assert_eq!(named("/predictions", Some(&format!("stability-ai/sdxl:{SDXL}"))).await, sdxl());
    let (model, version) = named("/predictions", Some("black-forest-labs/flux-dev")).await;
    assert_eq!((model.as_str(), version.as_str()), ("black-forest-labs/flux-dev", "hidden"));
    let (model, version) = named("/deployments/acme/sdxl/predictions", None).await;
    assert_eq!(model, "stability-ai/sdxl");
    assert!(version.starts_with("dp-"), "{version}");
    let open = open_version("0000");
    let (model, version) = named("/predictions", Some(&format!("somebody/something:{open}"))).await;
    assert_eq!((model, version), ("somebody/something".to_owned(), open));
}

#[tokio::test]
async fn outputs_have_the_shape_and_type_of_their_model() {
    let stage = Stage::new().await;
    let images = stage
        .predicted(SCHNELL, &json!({"input": {"prompt": "x", "num_outputs": 2, "aspect_ratio": "16:9"}}))
        .await;
    assert_eq!(images["output"].as_array().unwrap().len(), 2);
    let (content_type, first) = stage.file(&images["output"][0]).await;
    assert_eq!(content_type, "image/webp");
    assert!(first.starts_with(b"RIFF"));
    assert_ne!(first, stage.file(&images["output"][1]).await.1);

    let sdxl = json!({"version": SDXL, "input": {"prompt": "x", "width": 768, "height": 512}});
    let sdxl = stage.predicted("/predictions", &sdxl).await;
    let (content_type, bytes) = stage.file(&sdxl["output"][0]).await;
    assert_eq!(content_type, "image/png");
    assert_eq!(bytes[16..24], [0, 0, 3, 0, 0, 0, 2, 0]);

    let kontext =
        json!({"input": {"prompt": "x", "input_image": "https://example.com/a.png", "output_format": "jpg"}});
    let kontext = stage.predicted("/models/black-forest-labs/flux-kontext-pro/predictions", &kontext).await;
    assert_eq!(stage.file(&kontext["output"]).await.0, "image/jpeg");

    let video = json!({"input": {"prompt": "x", "duration": 2, "resolution": "480p"}});
    let video = stage.predicted("/models/bytedance/seedance-1-pro/predictions", &video).await;
    let (content_type, bytes) = stage.file(&video["output"]).await;
    assert_eq!(content_type, "video/mp4");
    assert_eq!(&bytes[4..12], b"ftypisom");
}

#[tokio::test]
async fn open_models_take_any_input() {
    let stage = Stage::new().await;
    let output = async |digits: &str| {
        let input = json!({"prompt": "x", "anything": {"at": ["all"]}});
        let body = json!({"version": open_version(digits), "input": input});
        stage.predicted("/predictions", &body).await["output"].clone()
    };
    assert!(output("0000").await.is_array());
    assert!(output("0001").await.as_str().unwrap().ends_with(".png"));
    assert!(output("0002").await.as_str().unwrap().ends_with(".mp4"));
    assert!(output("0003").await["image"].is_string());
}

#[tokio::test]
async fn wrong_requests_get_the_providers_bodies() {
    let stage = Stage::new().await;
    let refused = async |path: &str, body: Value| {
        let response = stage.replicate(Method::POST, path).json(&body).send().await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["status"], status);
        (status, body)
    };
    let (status, body) = refused("/predictions", json!({"model": "a/b", "input": {}})).await;
    assert_eq!(status, 422);
    assert_eq!(text(&body, "detail"), "- version is required\n- Additional property model is not allowed\n");
    let (status, body) = refused(SCHNELL, json!({"input": {"num_outputs": 9}})).await;
    assert_eq!((status, &body["title"]), (422, &json!("Input validation failed")));
    assert_eq!(
        body["invalid_fields"],
        json!([
            {"type": "required", "field": "input", "description": "prompt is required"},
            {"type": "number_lte", "field": "input.num_outputs", "description": "Must be less than or equal to 4"},
        ])
    );
    for version in
        ["a/b", "stability-ai/sdxl", "stability-ai/sdxl:latest", &"0".repeat(64), &format!("a/b:{SDXL}")]
    {
        let (status, body) = refused("/predictions", json!({"version": version, "input": {}})).await;
        assert_eq!((status, text(&body, "title")), (422, "Invalid version or not permitted"), "{version}");
    }
    for path in
        ["/models/a/b/predictions", "/models/stability-ai/sdxl/predictions", "/deployments/a/b/predictions"]
    {
        assert_eq!(refused(path, json!({"input": {}})).await.0, 404, "{path}");
    }
    assert_eq!(refused("/predictions/none/cancel", json!(null)).await.0, 404);
    let response = stage.replicate(Method::POST, SCHNELL).body("{").send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(stage.simulator.journal().submits().iter().all(|entry| !entry.accepted));
}

#[tokio::test]
async fn keys_decide_who_is_let_in() {
    let stage = Stage::new().await;
    let url = stage.url(&format!("/replicate/v1{SCHNELL}"));
    let body = json!({"input": {"prompt": "x"}});
    for (key, expected) in [
        ("Bearer bad-key", 401),
        ("Key x", 401),
        ("Bearer no-money", 402),
        ("Token x", 201),
        ("Bearer x", 201),
    ] {
        let request = stage.client.post(&url).header("authorization", key).json(&body);
        assert_eq!(request.send().await.unwrap().status(), expected, "{key}");
    }
    let account: Value = stage.replicate(Method::GET, "/account").send().await.unwrap().json().await.unwrap();
    assert_eq!(account["username"], "simulated");
    let hardware: Value =
        stage.replicate(Method::GET, "/hardware").send().await.unwrap().json().await.unwrap();
    assert!(hardware[0]["sku"].is_string());
}

#[tokio::test]
async fn a_preference_to_wait_is_kept_to() {
    let stage = Stage::with(|options| {
        options.timing.image = Duration::from_millis(200);
        options.timing.video = Duration::from_secs(30);
    })
    .await;
    let wait = async |path: &str, prefer: &str, input: Value| {
        let request =
            stage.replicate(Method::POST, path).header("prefer", prefer).json(&json!({"input": input}));
        let response = request.send().await.unwrap();
        assert!(response.headers().contains_key("preference-applied"));
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let begun = Instant::now();
    let (status, done) = wait(SCHNELL, "wait", json!({"prompt": "soon"})).await;
    assert_eq!((status, text(&done, "status")), (201, "succeeded"));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let begun = Instant::now();
    let seedance = "/models/bytedance/seedance-1-pro/predictions";
    let (status, early) = wait(seedance, "wait=1", json!({"prompt": "later"})).await;
    assert_eq!((status, text(&early, "status")), (202, "starting"));
    assert!((1..10).contains(&begun.elapsed().as_secs()));
}

#[tokio::test]
async fn an_output_may_be_there_while_it_is_still_processing() {
    let stage = Stage::new().await;
    let body = json!({"input": {"prompt": "trap [sim:progress=processing]"}});
    let request = stage.replicate(Method::POST, SCHNELL).header("prefer", "wait").json(&body);
    let early: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(early["status"], "processing");
    assert!(early["output"][0].as_str().unwrap().starts_with("data:image/webp;base64,UklGR"));
    assert!(early.get("completed_at").is_none());
    let end = stage.prediction_end(text(&early, "id")).await;
    assert_eq!(end["status"], "succeeded");
    assert!(end["output"][0].as_str().unwrap().starts_with("http://"));
}

#[tokio::test]
async fn cancel_ends_what_runs_and_leaves_what_is_over() {
    let stage = Stage::with(|options| options.timing.video = Duration::from_secs(30)).await;
    let body = json!({"input": {"prompt": "cancel me"}});
    let (_, created) = stage.predict("/models/bytedance/seedance-1-pro/predictions", &body).await;
    let cancel = async |id: &str| {
        let path = format!("/predictions/{id}/cancel");
        let response = stage.replicate(Method::POST, &path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.unwrap()
    };
    let canceled = cancel(text(&created, "id")).await;
    assert_eq!(canceled["status"], "canceled");
    assert!(canceled["completed_at"].is_string() && canceled["output"].is_null());
    let done = stage.predicted(SCHNELL, &json!({"input": {"prompt": "over"}})).await;
    assert_eq!(cancel(text(&done, "id")).await["status"], "succeeded");
    let cancels = stage.simulator.journal().cancels();
    assert_eq!(cancels[0].prompt.as_deref(), Some("cancel me"));
}

#[tokio::test]
async fn a_deadline_stops_what_takes_too_long() {
    let stage = Stage::with(|options| options.timing.video = Duration::from_secs(30)).await;
    let after = async |deadline: &str, prompt: &str| {
        let request = stage.replicate(Method::POST, "/models/bytedance/seedance-1-pro/predictions");
        let request = request.header("cancel-after", deadline).json(&json!({"input": {"prompt": prompt}}));
        request.send().await.unwrap()
    };
    let created: Value = after("1s", "late").await.json().await.unwrap();
    assert!(created["deadline"].is_string());
    let aborted = stage.prediction_end(text(&created, "id")).await;
    assert_eq!(aborted["status"], "aborted");
    assert!(aborted.get("started_at").is_none() && aborted.get("metrics").is_none());
    assert_eq!(after("whenever", "never").await.status(), 400);
}

#[tokio::test]
async fn scripted_work_ends_as_the_provider_would_tell_it() {
    let stage = Stage::new().await;
    let end = async |prompt: &str| stage.predicted(SCHNELL, &json!({"input": {"prompt": prompt}})).await;
    let refused = end("[sim:moderation]").await;
    assert_eq!(refused["status"], "failed");
    assert!(text(&refused, "error").contains("NSFW"));
    assert!(refused["metrics"]["predict_time"].is_number());
    assert!(text(&end("[sim:fail=E8765]").await, "error").contains("(E8765)"));
    assert!(text(&end("[sim:fail=PA]").await, "error").contains("please retry"));
    assert_eq!(text(&end("[sim:fail=overflow]").await, "error"), "overflow");
    assert_eq!(end("[sim:fail=canceled]").await["status"], "canceled");
    assert_eq!(end("[sim:fail=aborted]").await["status"], "aborted");
    let odd = stage.predict(SCHNELL, &json!({"input": {"prompt": "[sim:progress=booting,odd]"}})).await.1;
    assert_eq!(stage.prediction(text(&odd, "id")).await["status"], "booting");
    assert_eq!(stage.prediction(text(&odd, "id")).await["status"], "odd");
    assert_eq!(stage.prediction_end(text(&odd, "id")).await["status"], "succeeded");
    let impossible = json!({"version": SDXL, "input": {"prompt": "x", "width": 1001}});
    let impossible = stage.predicted("/predictions", &impossible).await;
    assert!(text(&impossible, "error").contains("divisible by 8"));
}

#[tokio::test]
async fn limits_name_their_end_in_the_body() {
    let stage = Stage::new().await;
    let body = json!({"input": {"prompt": "[sim:status=429 retry_after=7s]"}});
    let response = stage.replicate(Method::POST, SCHNELL).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["retry_after"], 7);
    assert!(text(&body, "detail").contains("~7s"));
}

#[tokio::test]
async fn the_list_is_newest_first_and_has_pages() {
    let stage = Stage::new().await;
    let body = json!({"input": {"prompt": "one of many"}});
    let mut ids = Vec::new();
    for _ in 0..103 {
        ids.push(text(&stage.predict(SCHNELL, &body).await.1, "id").to_owned());
    }
    ids.reverse();
    let page = async |url: &str| {
        let request = stage.client.get(url).header("authorization", "Bearer key");
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let ids_of = |page: &Value| -> Vec<String> {
        page["results"].as_array().unwrap().iter().map(|one| text(one, "id").to_owned()).collect()
    };
    let first = page(&stage.url("/replicate/v1/predictions")).await;
    assert_eq!(ids_of(&first), ids[..100]);
    assert!(first["previous"].is_null());
    let second = page(text(&first, "next")).await;
    assert_eq!(ids_of(&second), ids[100..]);
    assert!(second["next"].is_null());
    assert_eq!(ids_of(&page(text(&second, "previous")).await), ids[..100]);
    let moment = text(&stage.prediction(&ids[0]).await, "created_at").to_owned();
    let recent = page(&stage.url(&format!("/replicate/v1/predictions?created_after={moment}"))).await;
    assert!(ids_of(&recent).contains(&ids[0]) && ids_of(&recent).len() < 100);
    let broken = stage.replicate(Method::GET, "/predictions?cursor=odd").send().await.unwrap();
    assert_eq!(broken.status(), 400);
}

#[tokio::test]
async fn models_and_versions_describe_their_input() {
    let stage = Stage::new().await;
    let get = async |path: &str| {
        let response = stage.replicate(Method::GET, path).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let (_, model) = get("/models/stability-ai/sdxl").await;
    assert_eq!(model["latest_version"]["id"], SDXL);
    let (_, version) = get(&format!("/models/stability-ai/sdxl/versions/{SDXL}")).await;
    let schemas = &version["openapi_schema"]["components"]["schemas"];
    assert_eq!(schemas["Input"]["properties"]["num_outputs"]["maximum"], 4);
    assert_eq!(schemas["scheduler"]["enum"].as_array().unwrap().len(), 7);
    assert_eq!(schemas["Output"]["type"], "array");
    let (_, schnell) = get("/models/black-forest-labs/flux-schnell").await;
    let input = &schnell["latest_version"]["openapi_schema"]["components"]["schemas"]["Input"];
    assert_eq!(input["required"], json!(["prompt"]));
    assert_eq!(get("/models/black-forest-labs/flux-schnell/versions").await.0, 404);
    assert_eq!(get("/models/stability-ai/sdxl/versions").await.1["results"].as_array().unwrap().len(), 2);
    assert_eq!(get("/models/a/b").await.0, 404);
    let (status, open) = get(&format!("/models/a/b/versions/{}", open_version("0002"))).await;
    assert_eq!((status, &open["openapi_schema"]["info"]["title"]), (200, &json!("Cog")));
}

#[tokio::test]
async fn uploaded_files_are_inputs_until_they_are_deleted() {
    let stage = Stage::new().await;
    let upload = async |parts: &[(&str, &str)]| {
        let part = |(head, content): &(&str, &str)| {
            format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
        };
        let body = format!("{}--b--\r\n", parts.iter().map(part).collect::<String>());
        let request = stage.replicate(Method::POST, "/files").body(body);
        request.header("content-type", "multipart/form-data; boundary=b").send().await.unwrap()
    };
    let content = "name=content; filename=cat.png\r\nContent-Type: image/png";
    let response = upload(&[(content, "PNG picture"), ("name=metadata", r#"{"of": "a cat"}"#)]).await;
    assert_eq!(response.status(), 201);
    let file: Value = response.json().await.unwrap();
    assert_eq!(
        (text(&file, "name"), text(&file, "content_type"), &file["size"]),
        ("cat.png", "image/png", &json!(11))
    );
    assert_eq!(file["metadata"], json!({"of": "a cat"}));
    let path = format!("/files/{}", text(&file, "id"));
    let known: Value = stage.replicate(Method::GET, &path).send().await.unwrap().json().await.unwrap();
    assert_eq!(known, file);
    let bytes = stage.replicate(Method::GET, &format!("{path}/download")).send().await.unwrap();
    assert_eq!(bytes.headers()["content-type"], "image/png");
    assert_eq!(bytes.bytes().await.unwrap().as_ref(), b"PNG picture");

    let edit = json!({"input": {"prompt": "x", "input_image": file["urls"]["get"]}});
    let kontext = "/models/black-forest-labs/flux-kontext-pro/predictions";
    assert_eq!(stage.predicted(kontext, &edit).await["status"], "succeeded");
    assert_eq!(stage.replicate(Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(stage.replicate(Method::GET, &path).send().await.unwrap().status(), 404);
    let failed = stage.predicted(kontext, &edit).await;
    assert!(text(&failed, "error").contains("Failed to download"));
    let empty = upload(&[("name=other", "x")]).await;
    assert_eq!(empty.status(), 422);
}

#[tokio::test]
async fn kinds_and_bills_stand_in_the_journal() {
    let stage = Stage::new().await;
    let end = stage.predicted(SCHNELL, &json!({"input": {"prompt": "journal"}})).await;
    stage.file(&end["output"][0]).await;
    let journal = stage.simulator.journal();
    assert_eq!(journal.submits_of("journal"), 1);
    for kind in [Kind::Submit, Kind::Status, Kind::Media] {
        let entries = journal.of_kind(kind);
        assert!(!entries.is_empty(), "{kind:?}");
        for entry in entries {
            assert_eq!(
                (entry.provider, entry.prompt.as_deref()),
                (Some(Provider::Replicate), Some("journal"))
            );
        }
    }
    let twice = json!({"input": {"prompt": "[sim:doubled]"}});
    assert_eq!(stage.predict(SCHNELL, &twice).await.0, 201);
    assert_eq!(journal.submits_of("[sim:doubled]"), 2);
}
