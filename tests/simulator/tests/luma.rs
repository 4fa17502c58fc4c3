use std::time::Duration;

use atelier_simulator::{Fault, Kind, Rule};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Stage, text};

const DREAM: &str = "/luma/dream-machine/v1";
const AGENTS: &str = "/luma/agents/v1";

fn call(stage: &Stage, method: Method, path: &str) -> RequestBuilder {
    stage.client.request(method, stage.url(path)).header("authorization", "Bearer luma-key")
}

async fn post(stage: &Stage, path: &str, body: &Value) -> (u16, Value) {
    let response = call(stage, Method::POST, path).json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn get(stage: &Stage, path: &str) -> Value {
    call(stage, Method::GET, path).send().await.unwrap().json().await.unwrap()
}

/// The generation once it has ended.
async fn end(stage: &Stage, api: &str, id: &str) -> Value {
    loop {
        let generation = get(stage, &format!("{api}/generations/{id}")).await;
        if ["completed", "failed"].contains(&text(&generation, "state")) {
            return generation;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn made(stage: &Stage, api: &str, path: &str, body: &Value) -> Value {
    let (status, created) = post(stage, &format!("{api}{path}"), body).await;
    assert_eq!((status, &created["state"]), (201, &json!("queued")), "{created}");
    end(stage, api, text(&created, "id")).await
}

async fn fetch(stage: &Stage, link: &Value) -> Response {
    stage.client.get(link.as_str().unwrap()).send().await.unwrap()
}

#[tokio::test]
async fn a_video_is_queued_then_dreamt_then_there() {
    let stage = Stage::with(|options| options.timing.video = Duration::from_millis(400)).await;
    let body =
        json!({"model": "ray-2", "prompt": "waves", "resolution": "540p", "duration": "5s", "loop": true});
    let (status, created) = post(&stage, &format!("{DREAM}/generations/video"), &body).await;
    assert_eq!(status, 201);
    assert_eq!(created["assets"], Value::Null);
    assert_eq!(created["request"]["duration"], "5s");
    assert_eq!(created["request"]["generation_type"], "video");
    let path = format!("{DREAM}/generations/{}", text(&created, "id"));
    let mut seen = vec!["queued".to_owned()];
    let last = loop {
        let generation = get(&stage, &path).await;
        seen.push(text(&generation, "state").to_owned());
        seen.dedup();
        if generation["state"] == "completed" {
            break generation;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(seen, ["queued", "dreaming", "completed"]);
    let file = fetch(&stage, &last["assets"]["video"]).await;
    assert_eq!(file.headers()["content-type"], "video/mp4");
    assert_eq!(&file.bytes().await.unwrap()[4..12], b"ftypisom");
    assert_eq!(stage.simulator.journal().submits_of("waves"), 1);
}

#[tokio::test]
async fn the_older_path_makes_videos_too() {
    let stage = Stage::new().await;
    let done = made(&stage, DREAM, "/generations", &json!({"model": "ray-flash-2", "prompt": "old"})).await;
    assert!(text(&done["assets"], "video").ends_with("-0.mp4"));
}

#[tokio::test]
async fn photon_makes_images_at_once_or_later() {
    let stage = Stage::new().await;
    let body = json!({"model": "photon-1", "prompt": "a cat", "aspect_ratio": "1:1", "format": "png"});
    let done = made(&stage, DREAM, "/generations/image", &body).await;
    let bytes = fetch(&stage, &done["assets"]["image"]).await.bytes().await.unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert_eq!(bytes[16..24], [0, 0, 4, 0, 0, 0, 4, 0]);

    let sync = json!({"model": "photon-flash-1", "prompt": "now", "sync": true});
    let (status, done) = post(&stage, &format!("{DREAM}/generations/image"), &sync).await;
    assert_eq!((status, &done["state"]), (201, &json!("completed")));
    let file = fetch(&stage, &done["assets"]["image"]).await;
    assert_eq!(file.headers()["content-type"], "image/jpeg");

    let impatient = json!({"model": "photon-1", "prompt": "now", "sync": true, "sync_timeout": 0.01});
    let (status, waiting) = post(&stage, &format!("{DREAM}/generations/image"), &impatient).await;
    assert_eq!((status, &waiting["state"]), (201, &json!("dreaming")));
}

#[tokio::test]
async fn wrong_fields_are_listed_and_wrong_wishes_told() {
    let stage = Stage::new().await;
    let refused = async |path: &str, change: Value| {
        let mut body = json!({"model": if path == "image" { "photon-1" } else { "ray-2" }, "prompt": "x"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        post(&stage, &format!("{DREAM}/generations/{path}"), &body).await
    };
    let image = |url: &str| json!({"keyframes": {"frame0": {"type": "image", "url": url}}});
    for (path, change, place) in [
        ("video", json!({"seed": 1}), "seed"),
        ("video", json!({"model": "photon-1"}), "model"),
        ("video", json!({"model": null}), "model"),
        ("video", json!({"duration": 5}), "duration"),
        ("video", json!({"duration": "6s"}), "duration"),
        ("video", json!({"resolution": "360p"}), "resolution"),
        ("video", json!({"aspect_ratio": "2:1"}), "aspect_ratio"),
        ("video", json!({"keyframes": {"frame2": {}}}), "keyframes"),
        ("video", json!({"keyframes": {"frame1": {"type": "video"}}}), "keyframes"),
        ("video", image("data:image/png;base64,AAAA"), "keyframes"),
        ("video", image("http://127.0.0.1/a.png"), "keyframes"),
        ("image", json!({"duration": "5s"}), "duration"),
        ("image", json!({"format": "webp"}), "format"),
        ("image", json!({"image_ref": [{"url": "https://a.example/b", "weight": 2}]}), "image_ref"),
        ("image", json!({"modify_image_ref": {"url": "file"}}), "modify_image_ref"),
    ] {
        let (status, body) = refused(path, change.clone()).await;
        assert_eq!((status, body["detail"][0]["loc"][1].as_str()), (422, Some(place)), "{change} {body}");
    }
    for (path, change, words) in [
        ("video", json!({"prompt": ""}), "400: prompt"),
        ("video", json!({"model": "ray-1-6"}), "no longer"),
        ("video", json!({"model": "ray-flash-2", "concepts": [{"key": "push_in"}]}), "not supported"),
        ("video", json!({"concepts": [{"key": "unheard_of"}]}), "unknown concept"),
        (
            "video",
            json!({"keyframes": {"frame0": {"type": "generation", "id": "none"}}}),
            "no completed video",
        ),
        ("image", json!({"prompt": null}), "400: prompt"),
    ] {
        let (status, body) = refused(path, change.clone()).await;
        assert_eq!(status, 400, "{change} {body}");
        assert!(text(&body, "detail").contains(words), "{change} {body}");
    }
    assert_eq!(
        refused("video", json!({"prompt": null, "keyframes": image("https://a.example/b.png")["keyframes"]}))
            .await
            .0,
        201
    );
    assert_eq!(stage.simulator.journal().submits().iter().filter(|entry| entry.accepted).count(), 1);
}

#[tokio::test]
async fn a_finished_video_can_be_continued() {
    let stage = Stage::new().await;
    let done = made(&stage, DREAM, "/generations/video", &json!({"model": "ray-2", "prompt": "first"})).await;
    let frame = json!({"type": "generation", "id": done["id"]});
    let body = json!({"model": "ray-2", "prompt": "then", "keyframes": {"frame0": frame}});
    assert_eq!(made(&stage, DREAM, "/generations/video", &body).await["state"], "completed");
}

#[tokio::test]
async fn keys_decide_who_is_let_in() {
    let stage = Stage::new().await;
    let video = json!({"model": "ray-2", "prompt": "x"});
    let agents = json!({"model": "uni-1", "prompt": "x"});
    for (api, path, body, no_money) in
        [(DREAM, "/generations/video", &video, 400), (AGENTS, "/generations", &agents, 402)]
    {
        let url = stage.url(&format!("{api}{path}"));
        for (key, expected) in [(None, 401), (Some("bad-key"), 401), (Some("no-money"), no_money)] {
            let mut request = stage.client.post(&url).json(body);
            if let Some(key) = key {
                request = request.header("authorization", format!("Bearer {key}"));
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), expected);
            let body: Value = response.json().await.unwrap();
            assert_eq!(text(&body, "detail").contains("Insufficient"), expected == no_money, "{body}");
        }
    }
    assert!(stage.simulator.journal().submits().iter().all(|entry| !entry.accepted));
}

#[tokio::test]
async fn generations_are_listed_and_deleted() {
    let stage = Stage::new().await;
    for prompt in ["one", "two", "three"] {
        made(&stage, DREAM, "/generations/image", &json!({"model": "photon-1", "prompt": prompt})).await;
    }
    let page = get(&stage, &format!("{DREAM}/generations?limit=2")).await;
    assert_eq!((&page["count"], &page["has_more"]), (&json!(2), &json!(true)));
    assert_eq!(page["generations"][0]["request"]["prompt"], "three");
    let rest = get(&stage, &format!("{DREAM}/generations?limit=2&offset=2")).await;
    assert_eq!((&rest["count"], &rest["has_more"]), (&json!(1), &json!(false)));

    let path = format!("{DREAM}/generations/{}", text(&page["generations"][0], "id"));
    let deleted = call(&stage, Method::DELETE, &path).send().await.unwrap();
    assert_eq!((deleted.status().as_u16(), deleted.bytes().await.unwrap().len()), (204, 0));
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(call(&stage, method, &path).send().await.unwrap().status(), 404);
    }
    assert_eq!(stage.simulator.journal().cancels()[0].prompt.as_deref(), Some("three"));
    assert_eq!(get(&stage, &format!("{DREAM}/generations")).await["count"], 2);
    assert_eq!(get(&stage, &format!("{DREAM}/ping")).await, json!({"message": "pong"}));
    assert!(get(&stage, &format!("{DREAM}/credits")).await["credit_balance"].as_f64().unwrap() > 0.0);
    assert!(get(&stage, &format!("{DREAM}/generations/concepts/list")).await[0].is_string());
}

#[tokio::test]
async fn work_faults_decide_what_becomes_of_it() {
    let stage = Stage::new().await;
    let video = |prompt: &str| json!({"model": "ray-2", "prompt": prompt});
    let agents = |prompt: &str| json!({"model": "uni-1", "prompt": prompt});
    let moderated = made(&stage, DREAM, "/generations/video", &video("[sim:moderation]")).await;
    assert!(text(&moderated, "failure_reason").contains("moderation"));
    let failed = made(&stage, DREAM, "/generations/video", &video("[sim:fail=OUT_OF_DREAMS]")).await;
    assert_eq!((&failed["state"], &failed["assets"]), (&json!("failed"), &Value::Null));
    let (status, refused) =
        post(&stage, &format!("{DREAM}/generations/video"), &video("[sim:moderation=refusal]")).await;
    assert_eq!(status, 400);
    assert!(text(&refused, "detail").starts_with("400: "));

    let moderated = made(&stage, AGENTS, "/generations", &agents("[sim:moderation]")).await;
    assert_eq!(moderated["failure_code"], "content_moderated");
    let failed = made(&stage, AGENTS, "/generations", &agents("[sim:fail=budget_exhausted]")).await;
    assert_eq!(failed["failure_code"], "budget_exhausted");

    for (api, path, body) in [
        (DREAM, "/generations/video", video("[sim:progress=dreaming,odd]")),
        (AGENTS, "/generations", agents("[sim:progress=dreaming,odd]")),
    ] {
        let (_, created) = post(&stage, &format!("{api}{path}"), &body).await;
        let path = format!("{api}/generations/{}", text(&created, "id"));
        for word in ["dreaming", "odd"] {
            assert_eq!(get(&stage, &path).await["state"], word);
        }
        assert_eq!(end(&stage, api, text(&created, "id")).await["state"], "completed");
    }
    let (_, stuck) = post(&stage, &format!("{DREAM}/generations/video"), &video("[sim:stuck]")).await;
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert_eq!(
        get(&stage, &format!("{DREAM}/generations/{}", text(&stuck, "id"))).await["state"],
        "dreaming"
    );
}

#[tokio::test]
async fn answer_and_body_faults_have_the_providers_form() {
    let stage = Stage::new().await;
    let limited = Fault::Status { code: 429, retry_after_s: Some(2), html: false, accepted: false };
    stage.simulator.script(Rule::new(limited).kind(Kind::Submit).times(1));
    let body = json!({"model": "ray-2", "prompt": "x"});
    let response =
        call(&stage, Method::POST, &format!("{DREAM}/generations/video")).json(&body).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"2".parse().unwrap())
    );
    assert!(text(&response.json().await.unwrap(), "detail").contains("requests"));

    let done = made(
        &stage,
        DREAM,
        "/generations/video",
        &json!({"model": "ray-2", "prompt": "[sim:gone=404 times=1]"}),
    )
    .await;
    let link = &done["assets"]["video"];
    assert_eq!(fetch(&stage, link).await.status(), 404);
    assert_eq!(fetch(&stage, link).await.status(), 200);
}

#[tokio::test]
async fn agents_sign_their_links_and_name_their_version() {
    let stage = Stage::new().await;
    let request = call(&stage, Method::POST, &format!("{AGENTS}/generations")).header("x-request-id", "mine");
    let body = json!({"model": "ray-3.2", "type": "video", "prompt": "sea", "video": {"resolution": "360p"}});
    let response = request.json(&body).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-request-id"]),
        (201, &"mine".parse().unwrap())
    );
    assert_eq!(response.headers()["x-api-version"], "2026-04-01");
    let created: Value = response.json().await.unwrap();
    let done = end(&stage, AGENTS, text(&created, "id")).await;
    assert_eq!(done["output"][0]["type"], "video");
    let link = text(&done["output"][0], "url");
    assert_eq!(fetch(&stage, &json!(link)).await.headers()["content-type"], "video/mp4");
    let bare = link.split_once('?').unwrap().0;
    assert_eq!(fetch(&stage, &json!(bare)).await.status(), 403);
    let again = get(&stage, &format!("{AGENTS}/generations/{}", text(&done, "id"))).await;
    assert_ne!(again["output"][0]["url"], link, "each reading signs anew");
    let elsewhere =
        call(&stage, Method::GET, &format!("{DREAM}/generations/{}", text(&done, "id"))).send().await;
    assert_eq!(elsewhere.unwrap().status(), 404, "the two APIs do not know each other's work");
}

#[tokio::test]
async fn agents_refuse_what_does_not_go_together() {
    let stage = Stage::new().await;
    let image = json!({"url": "https://a.example/b.png"});
    let data = json!({"data": "iVBORw0KGgo=", "media_type": "image/png"});
    let video =
        |options: Value| json!({"model": "ray-3.2", "type": "video", "prompt": "x", "video": options});
    let edit =
        |source: &Value| json!({"model": "uni-1", "type": "image_edit", "prompt": "x", "source": source});
    let anchor = json!({"keyframes": [image], "keyframe_indexes": [0], "duration": "10s"});
    for good in [
        json!({"prompt": "x"}),
        json!({"prompt": "x", "image_ref": [image, data], "aspect_ratio": "3:1", "output_format": "jpeg"}),
        edit(&image),
        edit(&data),
        video(json!({"start_frame": image, "end_frame": data, "loop": true})),
        video(anchor),
    ] {
        assert_eq!(post(&stage, &format!("{AGENTS}/generations"), &good).await.0, 201, "{good}");
    }
    for bad in [
        json!({"prompt": ""}),
        json!({"prompt": "x".repeat(6001)}),
        json!({"prompt": "x", "seed": 1}),
        json!({"prompt": "x", "model": "ray-3.2"}),
        json!({"prompt": "x", "model": "uni-1", "type": "video"}),
        json!({"prompt": "x", "aspect_ratio": "9:21"}),
        json!({"prompt": "x", "type": "image_edit"}),
        json!({"prompt": "x", "source": image}),
        edit(&json!({"url": "https://a.example/b", "data": "AAAA", "media_type": "image/png"})),
        edit(&json!({"data": "AAAA"})),
        edit(&json!({"data": "?", "media_type": "image/png"})),
        video(json!({"duration": "9s"})),
        video(json!({"duration": "10s", "loop": true})),
        video(json!({"duration": "10s", "start_frame": image})),
        video(json!({"hdr": true, "resolution": "360p"})),
        video(json!({"exr_export": true})),
        video(json!({"keyframes": [image]})),
        video(json!({"keyframes": [image], "keyframe_indexes": [121]})),
        video(json!({"keyframes": [image], "keyframe_indexes": [0], "start_frame": image})),
    ] {
        let (status, body) = post(&stage, &format!("{AGENTS}/generations"), &bad).await;
        assert_eq!(status, 422, "{bad}");
        assert!(body["detail"][0]["msg"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn the_end_is_told_to_the_callback_url_until_it_is_taken() {
    let stage = Stage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/callbacks/token", listener.local_addr().unwrap());
    for (prompt, state) in [("good", "completed"), ("[sim:moderation]", "failed")] {
        let body = json!({"model": "ray-2", "prompt": prompt, "callback_url": url});
        let (_, created) = post(&stage, &format!("{DREAM}/generations/video"), &body).await;
        for answer in [500, 200] {
            let told = receive(&listener, answer).await;
            assert_eq!((&told["id"], &told["state"]), (&created["id"], &json!(state)));
        }
    }
}

/// The body of the next call, which is answered with this status.
async fn receive(listener: &TcpListener, status: u16) -> Value {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let body = loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "it ended early");
        let whole = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("POST /callbacks/token "), "{head}");
        if let Ok(body) = serde_json::from_str(body) {
            break body;
        }
    };
    let answer = format!("HTTP/1.1 {status} Any\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    body
}
