//! The catalogue as callers see it.

use serde_json::Value;

use crate::fakes::Api;

const MODELS: &str = "/api/v1/media/models";

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn models_come_with_options_limits_and_prices() {
    let api = Api::default();
    let answer = api.get(&format!("{MODELS}?provider=runway&operation=video_from_image")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(ids(&answer.json), ["gen4.5", "gen4_turbo", "gen3a_turbo"]);
    assert_eq!(answer.json["meta"]["total"], 3);
    let turbo = &answer.json["data"][1];
    assert_eq!(turbo["provider"], "runway");
    assert_eq!(turbo["default_for"], serde_json::json!(["video_from_image"]));
    assert_eq!(turbo["prompt_limit"]["length"], 1000);
    assert_eq!(turbo["options"]["duration"]["default"], 5);
    assert_eq!(turbo["options"]["duration"]["max"], 10.0);
    assert_eq!((&turbo["price"]["unit"], &turbo["price"]["micro_usd"]), (&"second".into(), &50_000.into()));
    assert_eq!(turbo["input"]["types"][0], "image/jpeg");
    assert_eq!(answer.json["data"][2]["retired_on"], "2026-07-30");
}

#[tokio::test]
async fn all_providers_are_listed_and_wrong_filters_are_named() {
    let api = Api::default();
    let all = api.get(MODELS).await;
    assert!(ids(&all.json).len() >= 15);
    let answer = api.get(&format!("{MODELS}?provider=sora&page=2")).await;
    answer.refused(400, "bad_request");
    assert_eq!(answer.fields(), ["provider", "page"]);
    let nobody = api.send(crate::fakes::request("GET", MODELS, &[], axum::body::Body::empty())).await;
    nobody.refused(401, "unauthorized");
}
