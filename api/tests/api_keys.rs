//! API keys: what each may do, for how long, and how often.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use atelier_api::ApiSettings;
use atelier_domain::ids::DocumentId;
use axum::body::Body;
use serde_json::{Value, json};

use crate::fakes::{Api, MemoryTelemetry, image, request};

const KEYS: &str = "/api/v1/api-keys";
const JOBS: &str = "/api/v1/media/jobs";

/// A new key with these scopes: its id and itself.
async fn key(api: &Api, scopes: Value) -> (String, String) {
    let answer = api.post(KEYS, &json!({"name": "ci", "scopes": scopes})).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let text = |name: &str| answer.json["data"][name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

#[tokio::test]
async fn a_key_is_shown_once_and_kept_as_a_digest() {
    let api = Api::default();
    let (id, key) = key(&api, json!(["jobs:*"])).await;
    assert!(key.starts_with(&format!("atl_{id}_")));
    assert_eq!(api.ask(&key, "GET", JOBS, None).await.status, 200);
    let shown = api.get(&format!("{KEYS}/{id}")).await;
    assert_eq!(shown.json["data"]["scopes"], json!(["jobs:read", "jobs:write"]));
    let list = api.get(KEYS).await;
    assert_eq!(list.json["meta"]["total"], 1);
    for text in [shown.json.to_string(), list.json.to_string(), api.documents.dump()] {
        assert!(!text.contains(&key), "{text}");
        assert!(!text.contains(key.rsplit('_').next().unwrap()), "{text}");
    }
    let last_used = &api.get(&format!("{KEYS}/{id}")).await.json["data"]["last_used_at"];
    assert!(last_used.is_string(), "{last_used}");
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_no_more() {
    let api = Api::default();
    let (_, reader) = key(&api, json!(["jobs:read"])).await;
    let job = api.admitted(&image()).await;
    assert_eq!(api.ask(&reader, "GET", &format!("{JOBS}/{job}"), None).await.status, 200);
    for (method, path, needed) in [
        ("POST", JOBS.to_owned(), "jobs:write"),
        ("POST", format!("{JOBS}/{job}/cancel"), "jobs:write"),
        ("GET", format!("/api/v1/assets/{job}"), "assets:read"),
        ("GET", "/api/v1/credentials".to_owned(), "credentials:read"),
        ("POST", "/api/v1/credentials".to_owned(), "credentials:write"),
        ("GET", KEYS.to_owned(), "admin"),
        ("POST", KEYS.to_owned(), "admin"),
        ("GET", "/api/v1/vault".to_owned(), "admin"),
    ] {
        let message = api.ask(&reader, method, &path, Some(&image())).await.refused(403, "forbidden");
        assert_eq!(message, format!("the API key has the scopes jobs:read; this needs {needed}"));
    }
    assert!(!api.store.jobs()[0].state.is_terminal());
}

#[tokio::test]
async fn nobody_makes_a_key_that_may_do_more() {
    let api = Api::default();
    let (_, admin) = key(&api, json!(["admin"])).await;
    let made = api.ask(&admin, "POST", KEYS, Some(&json!({"name": "x", "scopes": ["admin"]}))).await;
    assert_eq!(made.status, 201);
    let foreign = json!({"name": "x", "scopes": ["admin"], "workspace_id": "beta"});
    assert_eq!(api.ask(&admin, "POST", KEYS, Some(&foreign)).await.fields(), ["workspace_id"]);
}

#[tokio::test]
async fn an_operator_makes_keys_for_others() {
    let settings =
        ApiSettings { operators: BTreeSet::from(["acme".parse().unwrap()]), ..ApiSettings::default() };
    let api = Api::with(MemoryTelemetry::default(), settings);
    let body = json!({"name": "first", "scopes": ["*"], "workspace_id": "new-team"});
    let made = api.post(KEYS, &body).await;
    assert_eq!(made.json["data"]["workspace_id"], "new-team");
    let key = made.json["data"]["key"].as_str().unwrap().to_owned();
    let job = api.ask(&key, "POST", JOBS, Some(&image())).await;
    assert_eq!(job.json["data"]["workspace_id"], "new-team");
    assert_eq!(api.get(JOBS).await.json["meta"]["total"], 0);
}

#[tokio::test]
async fn a_revoked_key_lets_nobody_in() {
    let api = Api::default();
    let (id, key) = key(&api, json!(["jobs:read"])).await;
    assert_eq!(api.ask(&key, "GET", JOBS, None).await.status, 200);
    assert_eq!(api.ask("beta-key", "DELETE", &format!("{KEYS}/{id}"), None).await.status, 404);
    assert_eq!(api.ask(&key, "GET", JOBS, None).await.status, 200);
    assert_eq!(api.ask("acme-key", "DELETE", &format!("{KEYS}/{id}"), None).await.status, 204);
    api.ask(&key, "GET", JOBS, None).await.refused(401, "unauthorized");
    api.ask("acme-key", "DELETE", &format!("{KEYS}/{id}"), None).await.refused(404, "not_found");
    api.get(&format!("{KEYS}/{id}")).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_key_that_another_process_revoked_lets_nobody_in_after_a_while() {
    use atelier_domain::ports::{DocumentKind, Documents as _};
    let settings = ApiSettings { key_cache_ms: 0, ..ApiSettings::default() };
    let api = Api::with(MemoryTelemetry::default(), settings);
    let (id, key) = key(&api, json!(["jobs:read"])).await;
    assert_eq!(api.ask(&key, "GET", JOBS, None).await.status, 200);
    let id: DocumentId = id.parse().unwrap();
    assert!(api.documents.remove(DocumentKind::ApiKey, &"acme".parse().unwrap(), &id).await.unwrap());
    api.ask(&key, "GET", JOBS, None).await.refused(401, "unauthorized");
}

#[tokio::test]
async fn an_expired_key_is_told_so() {
    let api = Api::default();
    let body = json!({"name": "short", "scopes": ["jobs:read"], "expires_in_s": 1});
    let key = api.post(KEYS, &body).await.json["data"]["key"].as_str().unwrap().to_owned();
    let expired = async {
        loop {
            let answer = api.ask(&key, "GET", JOBS, None).await;
            if answer.status != 200 {
                return answer.refused(401, "unauthorized");
            }
        }
    };
    let message = tokio::time::timeout(std::time::Duration::from_secs(10), expired).await.unwrap();
    assert_eq!(message, "the API key has expired");
}

#[tokio::test]
async fn a_known_key_costs_no_look_up_and_neither_does_a_text_of_another_form() {
    let api = Api::default();
    let (_, key) = key(&api, json!(["jobs:read"])).await;
    api.ask(&key, "GET", JOBS, None).await;
    let before = api.documents.looked_up.load(Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(api.ask(&key, "GET", JOBS, None).await.status, 200);
        api.ask("a-made-up-key", "GET", JOBS, None).await.refused(401, "unauthorized");
    }
    let made_up = format!("atl_{}_{}", DocumentId::new(), "x".repeat(43));
    for _ in 0..10 {
        api.ask(&made_up, "GET", JOBS, None).await.refused(401, "unauthorized");
    }
    assert_eq!(
        api.documents.looked_up.load(Ordering::SeqCst),
        before + 1,
        "the made-up one is looked up once"
    );
}

#[tokio::test]
async fn without_the_store_a_stored_key_is_not_called_wrong() {
    let api = Api::default();
    let (_, key) = key(&api, json!(["jobs:read"])).await;
    api.documents.is_down.store(true, Ordering::SeqCst);
    let message = api.ask(&key, "GET", JOBS, None).await.refused(503, "unavailable");
    assert!(!message.contains("redis"), "{message}");
    assert_eq!(api.get(JOBS).await.status, 200, "a key of the settings needs no store");
}

#[tokio::test]
async fn a_key_that_asks_too_often_waits() {
    let settings = ApiSettings { rate_per_s: 2, ..ApiSettings::default() };
    let api = Api::with(MemoryTelemetry::default(), settings);
    let mut refused = None;
    for _ in 0..20 {
        let answer = api.get(JOBS).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.headers["retry-after"], "1");
    let message = refused.refused(429, "rate_limited");
    assert!(
        message.starts_with("the key may make 2 requests a second; the next one is free in 0."),
        "{message}"
    );
    let other = api.send(request("GET", JOBS, &[("x-api-key", "beta-key")], Body::empty())).await;
    assert_eq!(other.status, 200, "another key has a count of its own");
}

#[tokio::test]
async fn a_limit_of_its_own_goes_before_the_usual_one() {
    let api = Api::default();
    let made = api.post(KEYS, &json!({"name": "slow", "scopes": ["jobs:read"], "rate_per_s": 1})).await;
    assert_eq!(made.json["data"]["rate_per_s"], 1);
    let key = made.json["data"]["key"].as_str().unwrap();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(api.ask(key, "GET", JOBS, None).await.status.as_u16());
    }
    assert_eq!(statuses[0], 200);
    assert!(statuses.contains(&429), "{statuses:?}");
    for _ in 0..50 {
        assert_eq!(api.get(JOBS).await.status, 200);
    }
}

#[tokio::test]
async fn every_problem_of_a_new_key_is_named() {
    let api = Api::default();
    let answer = api.post(KEYS, &json!({"scopes": ["jobs"], "expires_at": "soon"})).await;
    answer.refused(400, "bad_request");
    assert_eq!(answer.fields(), ["name", "scopes", "expires_at"]);
    assert_eq!(api.get(KEYS).await.json["meta"]["total"], 0);
}
