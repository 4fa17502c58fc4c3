//! Credentials: values come in and never go out.

use atelier_domain::ids::DocumentId;
use serde_json::{Value, json};

use crate::fakes::{Answer, Api, image};

const CREDENTIALS: &str = "/api/v1/credentials";
const VALUE: &str = "good-key-0123456789-ZqsA";

async fn created(api: &Api, body: Value) -> String {
    let answer = api.post(CREDENTIALS, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    answer.json["data"]["id"].as_str().unwrap().to_owned()
}

fn fal(name: &str) -> Value {
    json!({"name": name, "type": "fal", "category": "image", "value": VALUE})
}

async fn patch(api: &Api, id: &str, body: Value) -> Answer {
    api.ask("acme-key", "PATCH", &format!("{CREDENTIALS}/{id}"), Some(&body)).await
}

#[tokio::test]
async fn inv7_a_value_is_sealed_and_never_comes_back() {
    let api = Api::default();
    let made = api.post(CREDENTIALS, &fal("main")).await;
    let id = made.json["data"]["id"].as_str().unwrap();
    let changed = patch(&api, id, json!({"value": "good-other-value-9876"})).await;
    let checked = api.post(&format!("{CREDENTIALS}/{id}/check"), &json!({})).await;
    let listed = api.get(CREDENTIALS).await;
    for text in [&made.json, &changed.json, &checked.json, &listed.json].map(Value::to_string) {
        for value in [VALUE, "good-other-value-9876"] {
            assert!(!text.contains(value), "{text}");
        }
    }
    assert!(!api.documents.dump().contains("good-"), "{}", api.documents.dump());
    assert_eq!(made.json["data"]["masked_content"], "good...ZqsA");
    assert_eq!(changed.json["data"]["masked_content"], "good...9876");
}

#[tokio::test]
async fn it_has_the_names_that_the_published_clients_read() {
    let api = Api::default();
    let made = api.post(CREDENTIALS, &fal("main")).await.json;
    let data = &made["data"];
    for (name, value) in [
        ("workspace_id", json!("acme")),
        ("name", json!("main")),
        ("type", json!("fal")),
        ("provider", json!("fal")),
        ("category", json!("image")),
        ("description", Value::Null),
        ("is_default", json!(true)),
        ("is_valid", json!(true)),
        ("checked_at", Value::Null),
        ("has_schema", json!(false)),
        ("created_by_id", Value::Null),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    let go = json!({"name": "go", "provider": "openai", "api_key": "good-key"});
    let made = api.post(CREDENTIALS, &go).await.json;
    assert_eq!((&made["data"]["type"], &made["data"]["category"]), (&json!("openai"), &json!("llm")));
}

#[tokio::test]
async fn one_of_a_type_is_the_default() {
    let api = Api::default();
    let first = created(&api, fal("first")).await;
    let second = created(&api, fal("second")).await;
    let luma = created(&api, json!({"name": "l", "type": "luma", "value": VALUE})).await;
    let defaults = async || {
        let list = api.get(CREDENTIALS).await.json;
        let data = list["data"].as_array().unwrap().clone();
        let default = data.into_iter().filter(|one| one["is_default"] == true);
        default.map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(defaults().await, [luma.clone(), first.clone()]);
    for path in ["set-default", "default"] {
        let id = if path == "default" { &first } else { &second };
        let answer = api.ask("acme-key", "POST", &format!("{CREDENTIALS}/{id}/{path}"), None).await;
        assert_eq!((answer.status.as_u16(), &answer.json["data"]["is_default"]), (200, &json!(true)));
        assert_eq!(defaults().await, [luma.clone(), id.clone()]);
    }
    assert_eq!(patch(&api, &second, json!({"is_default": true})).await.json["data"]["is_default"], true);
    assert_eq!(api.ask("acme-key", "DELETE", &format!("{CREDENTIALS}/{second}"), None).await.status, 204);
    assert_eq!(defaults().await, [luma]);
}

#[tokio::test]
async fn a_check_tells_what_the_provider_says_about_this_value() {
    let api = Api::default();
    let id = created(&api, fal("main")).await;
    let path = format!("{CREDENTIALS}/{id}/check");
    let check = async || api.ask("acme-key", "POST", &path, None).await.json["data"].clone();
    let good = check().await;
    assert_eq!(
        (&good["ok"], &good["outcome"], &good["is_valid"]),
        (&json!(true), &json!("valid"), &json!(true))
    );
    assert!(good["checked_at"].is_string());
    let changed = patch(&api, &id, json!({"value": "wrong-key"})).await;
    assert_eq!(changed.json["data"]["checked_at"], Value::Null, "a new value has not been checked");
    let bad = check().await;
    assert_eq!((&bad["ok"], &bad["is_valid"]), (&json!(false), &json!(false)));
    assert_eq!(bad["message"], "the provider says so");
    patch(&api, &id, json!({"value": "unsure-key"})).await;
    let unsure = check().await;
    assert_eq!((&unsure["outcome"], &unsure["is_valid"]), (&json!("unknown"), &json!(true)));
}

#[tokio::test]
async fn a_change_leaves_what_it_does_not_name() {
    let api = Api::default();
    let id = created(&api, json!({"name": "a", "type": "fal", "value": VALUE, "description": "d"})).await;
    let changed = patch(&api, &id, json!({"name": "b"})).await.json;
    let data = &changed["data"];
    assert_eq!(
        (&data["name"], &data["description"], &data["masked_content"]),
        (&json!("b"), &json!("d"), &json!("good...ZqsA"))
    );
    assert_eq!(patch(&api, &id, json!({"type": "luma"})).await.fields(), ["type"]);
    assert_eq!(patch(&api, &id, json!({"description": ""})).await.json["data"]["description"], Value::Null);
}

#[tokio::test]
async fn a_foreign_workspace_sees_nothing() {
    let api = Api::default();
    let id = created(&api, fal("main")).await;
    for (method, path) in [
        ("GET", format!("{CREDENTIALS}/{id}")),
        ("PATCH", format!("{CREDENTIALS}/{id}")),
        ("DELETE", format!("{CREDENTIALS}/{id}")),
        ("POST", format!("{CREDENTIALS}/{id}/set-default")),
        ("POST", format!("{CREDENTIALS}/{id}/default")),
        ("POST", format!("{CREDENTIALS}/{id}/check")),
    ] {
        let answer = api.ask("beta-key", method, &path, Some(&json!({"name": "mine"}))).await;
        let message = answer.refused(404, "not_found");
        assert_eq!(message, "there is no such credential in this workspace", "{method} {path}");
        let unknown = path.replace(&id, "no-id");
        api.ask("acme-key", method, &unknown, Some(&json!({"name": "x"}))).await.refused(404, "not_found");
    }
    assert_eq!(api.ask("beta-key", "GET", CREDENTIALS, None).await.json["meta"]["total"], 0);
    assert_eq!(api.get(&format!("{CREDENTIALS}/{id}")).await.json["data"]["name"], "main");
}

#[tokio::test]
async fn a_job_names_a_credential_of_its_workspace_and_provider() {
    let api = Api::default();
    let id = created(&api, fal("main")).await;
    let luma = created(&api, json!({"name": "l", "type": "luma", "value": VALUE})).await;
    let with = |id: &str| {
        let mut body = image();
        body["credential_id"] = json!(id);
        body
    };
    let job = api.post("/api/v1/media/jobs", &with(&id)).await;
    assert_eq!((job.status.as_u16(), &job.json["data"]["credential_id"]), (201, &json!(id)));
    for wrong in [luma.as_str(), DocumentId::new().as_str(), "no-id"] {
        let answer = api.post("/api/v1/media/jobs", &with(wrong)).await;
        answer.refused(400, "bad_request");
        assert_eq!(answer.fields(), ["credential_id"]);
    }
    let foreign = api.ask("beta-key", "POST", "/api/v1/media/jobs", Some(&with(&id))).await;
    assert_eq!(foreign.fields(), ["credential_id"]);
    assert_eq!(api.store.jobs().len(), 1);
}

#[tokio::test]
async fn every_problem_of_a_credential_is_named() {
    let api = Api::default();
    let answer = api.post(CREDENTIALS, &json!({"type": "sora", "sort": 1})).await;
    answer.refused(400, "bad_request");
    assert_eq!(answer.fields(), ["sort", "name", "type", "value"]);
    assert_eq!(api.get(CREDENTIALS).await.json["meta"]["total"], 0);
}
