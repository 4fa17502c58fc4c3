//! Who may pause what, and what is refused.

use std::collections::BTreeSet;

use atelier_api::ApiSettings;
use serde_json::{Value, json};

use crate::fakes::{Api, MemoryTelemetry, request};

const PAUSES: &str = "/api/v1/media/pauses";
const RESUME: &str = "/api/v1/media/pauses/resume";

async fn scopes(api: &Api, key: &str) -> Vec<Value> {
    let answer = api.send(request("GET", PAUSES, &[("x-api-key", key)], axum::body::Body::empty())).await;
    answer.json["data"].as_array().unwrap().clone()
}

async fn post_as(api: &Api, key: &str, path: &str, body: &Value) -> crate::fakes::Answer {
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    api.send(request("POST", path, &headers, axum::body::Body::from(body.to_string()))).await
}

#[tokio::test]
async fn a_pause_is_shown_until_it_is_resumed() {
    let api = Api::default();
    let body = json!({"provider": "fal", "reason": "the budget is spent"});
    let answer = api.post(PAUSES, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    let shown = scopes(&api, "acme-key").await;
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (&shown[0]["workspace"], &shown[0]["provider"], &shown[0]["operation"], &shown[0]["reason"]),
        (&json!("acme"), &json!("fal"), &Value::Null, &json!("the budget is spent"))
    );
    assert!(shown[0].get("by").is_none() && shown[0]["since"].is_string() && shown[0]["held"] == 0);
    // The same scope again is the same pause.
    api.post(PAUSES, &json!({"provider": "fal"})).await;
    assert_eq!(scopes(&api, "acme-key").await.len(), 1);
    // Only the very same scope ends it.
    api.post(RESUME, &json!({})).await.refused(404, "not_found");
    let answer = api.post(RESUME, &json!({"provider": "fal"})).await;
    assert_eq!((answer.status.as_u16(), &answer.json["data"]["resumed"]), (200, &json!(0)));
    assert_eq!(scopes(&api, "acme-key").await, Vec::<Value>::new());
}

#[tokio::test]
async fn one_workspace_neither_sees_nor_makes_the_pauses_of_another() {
    let api = Api::default();
    api.post(PAUSES, &json!({})).await;
    assert_eq!(scopes(&api, "beta-key").await, Vec::<Value>::new());
    for body in [json!({"workspace": "beta"}), json!({"workspace": "*"})] {
        let refused = api.post(PAUSES, &body).await;
        refused.refused(400, "bad_request");
        assert_eq!(refused.fields(), ["workspace"]);
        let refused = post_as(&api, "beta-key", RESUME, &json!({"workspace": "acme"})).await;
        assert_eq!(refused.fields(), ["workspace"]);
    }
    assert_eq!(scopes(&api, "acme-key").await.len(), 1);
}

#[tokio::test]
async fn an_operator_pauses_for_all_and_sees_all() {
    let operators = BTreeSet::from(["beta".parse().unwrap()]);
    let settings = ApiSettings { operators, ..ApiSettings::default() };
    let api = Api::with(MemoryTelemetry::default(), settings);
    let all = json!({"workspace": "*", "provider": "luma"});
    assert_eq!(post_as(&api, "beta-key", PAUSES, &all).await.status, 201);
    api.post(PAUSES, &json!({})).await;
    let (own, operators) = (scopes(&api, "acme-key").await, scopes(&api, "beta-key").await);
    assert_eq!((own.len(), operators.len()), (2, 2));
    // To others it is told what holds their jobs, and not who did it or how many others it holds.
    let shared = own.iter().find(|pause| pause["workspace"].is_null()).unwrap();
    assert!(shared.get("by").is_none() && shared.get("held").is_none(), "{shared}");
    assert!(operators.iter().all(|pause| pause["by"].is_string() && pause["held"].is_u64()));
    assert_eq!(post_as(&api, "beta-key", RESUME, &json!({"workspace": "acme"})).await.status, 200);
    api.post(RESUME, &all).await.refused(400, "bad_request");
}
