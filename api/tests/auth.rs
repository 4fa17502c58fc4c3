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

#[tokio::test]
async fn a_foreign_workspace_sees_nothing() {
    let api = Api::default();
    let id = api.admitted(&image()).await;
    let job = id.parse().unwrap();
    api.store.keep_asset(asset_of(&job, "acme", "image/png"));
    let asset = AssetId::of(&job, 0);
    for (method, path) in [
        ("GET", format!("/api/v1/media/jobs/{id}")),
        ("GET", format!("/api/v1/media/jobs/{id}?wait=25")),
        ("POST", format!("/api/v1/media/jobs/{id}/cancel")),
        ("POST", format!("/api/v1/media/jobs/{id}/retry")),
        ("GET", format!("/api/v1/media/jobs/{id}/timeline")),
        ("GET", format!("/api/v1/media/jobs/{id}/events")),
        ("GET", format!("/api/v1/assets/{asset}")),
        ("GET", format!("/api/v1/assets/{asset}/signed-url")),
    ] {
        let answer = api.send(request(method, &path, &[("x-api-key", "beta-key")], Body::empty())).await;
        answer.refused(404, "not_found");
    }
    let list =
        api.send(request("GET", "/api/v1/media/jobs", &[("x-api-key", "beta-key")], Body::empty())).await;
    assert_eq!((&list.json["data"], &list.json["meta"]["total"]), (&json!([]), &json!(0)));
    assert!(!api.store.jobs()[0].state.is_terminal());
}
