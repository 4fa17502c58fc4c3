//! Who may ask for what.

use atelier_domain::ids::{AssetId, JobId};
use axum::body::Body;
use serde_json::json;

use crate::fakes::{Api, asset_of, image, request};

#[tokio::test]
async fn every_route_of_the_api_needs_a_known_key() {
    let api = Api::default();
    let id = JobId::new();
    for (method, path) in [
        ("POST", "/api/v1/media/jobs".to_owned()),
        ("POST", "/api/v1/media/jobs/cancel".to_owned()),
        ("GET", "/api/v1/media/events".to_owned()),
        ("GET", "/api/v1/media/jobs".to_owned()),
        ("GET", format!("/api/v1/media/jobs/{id}")),
        ("POST", format!("/api/v1/media/jobs/{id}/cancel")),
        ("POST", format!("/api/v1/media/jobs/{id}/retry")),
        ("GET", format!("/api/v1/media/jobs/{id}/timeline")),
        ("GET", format!("/api/v1/media/jobs/{id}/events")),
        ("GET", format!("/api/v1/assets/{id}")),
        ("GET", format!("/api/v1/assets/{id}/signed-url")),
        ("GET", format!("/api/v1/assets/{id}/content")),
        ("DELETE", format!("/api/v1/assets/{id}")),
        ("GET", "/api/v1/assets".to_owned()),
        ("POST", "/api/v1/assets".to_owned()),
    ] {
        for headers in [
            &[][..],
            &[("x-api-key", "")],
            &[("x-api-key", "wrong")],
            &[("x-api-key", "acme-key2")],
            &[("authorization", "acme-key")],
            &[("authorization", "Basic acme-key")],
            &[("authorization", "Bearer wrong")],
            &[("x-api-key", "wrong"), ("authorization", "Bearer acme-key")],
        ] {
            let answer = api.send(request(method, &path, headers, Body::empty())).await;
            let message = answer.refused(401, "unauthorized");
            assert!(!message.contains("wrong"), "no key is sent back: {message}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn both_headers_carry_a_key() {
    let api = Api::default();
    for header in [
        ("x-api-key", "acme-key"),
        ("authorization", "Bearer acme-key"),
        ("authorization", "bearer  acme-key"),
    ] {
        let answer = api.send(request("GET", "/api/v1/media/jobs", &[header], Body::empty())).await;
        assert_eq!(answer.status, 200, "{header:?}");
    }
}

#[tokio::test]
async fn nothing_is_read_before_the_key_is_known() {
    let api = Api::default();
    let unreadable = Body::new(http_body_util::StreamBody::new(Unread));
    let answer = api.send(request("POST", "/api/v1/media/jobs", &[("x-api-key", "wrong")], unreadable)).await;
    answer.refused(401, "unauthorized");
}

/// A body that must not be touched.
struct Unread;

impl futures::Stream for Unread {
    type Item = Result<hyper::body::Frame<axum::body::Bytes>, std::convert::Infallible>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        panic!("the body was read before the caller was known")
    }
}

/// Every route with an id, and how it is asked.
const BY_ID: &[(&str, &str)] = &[
    ("GET", "/api/v1/media/jobs/{id}"),
    ("POST", "/api/v1/media/jobs/{id}/cancel"),
    ("POST", "/api/v1/media/jobs/{id}/retry"),
    ("POST", "/api/v1/media/jobs/{id}/resolve"),
    ("GET", "/api/v1/media/jobs/{id}/events"),
    ("GET", "/api/v1/media/jobs/{id}/timeline"),
    ("GET", "/api/v1/assets/{id}"),
    ("DELETE", "/api/v1/assets/{id}"),
    ("GET", "/api/v1/assets/{id}/signed-url"),
    ("GET", "/api/v1/assets/{id}/content"),
    ("HEAD", "/api/v1/assets/{id}/content"),
    ("GET", "/api/v1/credentials/{id}"),
    ("PATCH", "/api/v1/credentials/{id}"),
    ("DELETE", "/api/v1/credentials/{id}"),
    ("POST", "/api/v1/credentials/{id}/set-default"),
    ("POST", "/api/v1/credentials/{id}/default"),
    ("POST", "/api/v1/credentials/{id}/check"),
    ("GET", "/api/v1/api-keys/{id}"),
    ("DELETE", "/api/v1/api-keys/{id}"),
];

#[test]
fn no_route_with_an_id_is_left_out() {
    let routes = include_str!("../src/routes.rs");
    let paths = routes.lines().filter_map(|line| line.strip_prefix("const ")?.split('"').nth(1));
    let with_id: Vec<&str> = paths.filter(|path| path.contains("{id}")).collect();
    assert!(with_id.len() > 10, "{with_id:?}");
    for path in with_id {
        assert!(BY_ID.iter().any(|(_, known)| *known == path), "{path}");
    }
}

#[tokio::test]
async fn a_foreign_workspace_sees_nothing() {
    let api = Api::default();
    let job = api.admitted(&image()).await;
    api.store.keep_asset(asset_of(&job.parse().unwrap(), "acme", "image/png"));
    let asset = AssetId::of(&job.parse().unwrap(), 0).to_string();
    let made = async |path: &str, body: serde_json::Value| {
        let made = api.post(path, &body).await;
        assert_eq!(made.status, 201, "{}", made.json);
        made.json["data"]["id"].as_str().unwrap().to_owned()
    };
    let body = json!({"name": "main", "type": "fal", "value": "good-key"});
    let credential = made("/api/v1/credentials", body).await;
    let key = made("/api/v1/api-keys", json!({"name": "ci", "scopes": ["admin"]})).await;
    for (method, route) in BY_ID {
        let id = match route.split('/').nth(3) {
            Some("media") => &job,
            Some("assets") => &asset,
            Some("credentials") => &credential,
            _ => &key,
        };
        let path = route.replace("{id}", id);
        let body = match path.ends_with("/resolve") {
            true => json!({"decision": "give_up"}),
            false => json!({"name": "mine"}),
        };
        let headers = [("x-api-key", "beta-key"), ("content-type", "application/json")];
        let asked = request(method, &path, &headers, Body::from(body.to_string()));
        let (status, _, _) = api.raw(asked).await;
        assert_eq!(status, 404, "{method} {path}");
    }
    for path in ["/api/v1/media/jobs", "/api/v1/assets", "/api/v1/credentials", "/api/v1/api-keys"] {
        let list = api.send(request("GET", path, &[("x-api-key", "beta-key")], Body::empty())).await;
        assert_eq!((&list.json["data"], &list.json["meta"]["total"]), (&json!([]), &json!(0)), "{path}");
        assert_eq!(api.get(path).await.json["meta"]["total"], 1, "{path}");
    }
    assert!(!api.store.jobs()[0].state.is_terminal());
}
