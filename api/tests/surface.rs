//! What holds for every request: JSON, tracing, health.

use std::sync::atomic::Ordering;

use atelier_api::ApiSettings;
use atelier_domain::trace::TraceParent;
use axum::body::Body;
use serde_json::json;

use crate::fakes::{Api, MemoryTelemetry, image, request};

const JOBS: &str = "/api/v1/media/jobs";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn an_unknown_route_is_a_json_404() {
    let api = Api::default();
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/media",
        "/api/v1/media/jobs/",
        "/api/v1/media/jobs/a/b/c",
        "/api/v2/media/jobs",
        "/favicon.ico",
    ] {
        let message = api.send(request("GET", path, &[], Body::empty())).await.refused(404, "not_found");
        assert!(message.contains(path), "{message}");
    }
    let secret = api.send(request("GET", "/nothing?key=secret", &[], Body::empty())).await;
    assert!(!secret.refused(404, "not_found").contains("secret"));
}

#[tokio::test]
async fn a_wrong_method_is_a_json_404_that_names_the_right_one() {
    let api = Api::default();
    for (method, path, right) in [
        ("DELETE", JOBS, "GET and POST"),
        ("PUT", JOBS, "GET and POST"),
        ("OPTIONS", JOBS, "GET and POST"),
        ("POST", "/api/v1/media/jobs/x", "GET"),
        ("DELETE", "/api/v1/media/jobs/x", "GET"),
        ("GET", "/api/v1/media/jobs/x/cancel", "POST"),
        ("PUT", "/api/v1/assets", "GET and POST"),
        ("POST", "/api/v1/assets/x", "GET and DELETE"),
        ("POST", "/api/v1/assets/x/content", "GET and HEAD"),
        ("POST", "/api/v1/assets/x/signed-url", "GET"),
        ("POST", "/healthz", "GET"),
        ("BREW", "/readyz", "GET"),
    ] {
        let answer = api.send(request(method, path, &[("x-api-key", "acme-key")], Body::empty())).await;
        let message = answer.refused(404, "not_found");
        assert!(
            message.contains(method) && message.ends_with(&format!("; {right} would be right")),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_panic_is_a_json_500_and_the_next_request_works() {
    let api = Api::default();
    api.store.panics.store(true, Ordering::SeqCst);
    let message = api.get(JOBS).await.refused(500, "internal");
    assert!(!message.contains("on purpose"), "{message}");
    api.store.panics.store(false, Ordering::SeqCst);
    assert_eq!(api.get(JOBS).await.status, 200);
}

#[tokio::test]
async fn health_needs_no_key_and_no_store() {
    let api = Api::default();
    api.store.jobs_are_down.store(true, Ordering::SeqCst);
    let answer = api.send(request("GET", "/healthz", &[], Body::empty())).await;
    assert_eq!((answer.status.as_u16(), answer.json), (200, json!({"data": {"status": "ok"}})));
}

#[tokio::test]
async fn readiness_names_the_store_that_is_away() {
    let api = Api::default();
    let ready = || api.send(request("GET", "/readyz", &[], Body::empty()));
    assert_eq!(ready().await.json["data"]["status"], "ready");
    for (jobs, assets, words) in [(true, false, "Redis"), (false, true, "S3"), (true, true, "neither")] {
        api.store.jobs_are_down.store(jobs, Ordering::SeqCst);
        api.store.assets_are_down.store(assets, Ordering::SeqCst);
        let answer = ready().await;
        assert!(answer.refused(503, "unavailable").contains(words), "{}", answer.json);
        let word = |is_down| if is_down { "unavailable" } else { "ok" };
        let checks = json!({"job_store": word(jobs), "asset_store": word(assets)});
        assert_eq!(answer.json["error"]["details"]["checks"], checks);
    }
}

#[tokio::test]
async fn a_process_that_ends_is_not_ready_but_still_answers() {
    let api = Api::default();
    api.draining.cancel();
    let answer = api.send(request("GET", "/readyz", &[], Body::empty())).await;
    assert!(answer.refused(503, "unavailable").contains("shutting down"));
    assert_eq!(api.get(JOBS).await.status, 200);
}

async fn admitted_with(api: &Api, headers: &[(&str, &str)]) -> (atelier_domain::trace::JobTrace, String) {
    let mut all = vec![("x-api-key", "acme-key")];
    all.extend_from_slice(headers);
    let answer = api.send(request("POST", JOBS, &all, Body::from(image().to_string()))).await;
    assert_eq!(answer.status, 201);
    let trace = api.store.jobs().pop().unwrap().body.trace;
    let shown = answer.headers["x-trace-id"].to_str().unwrap().to_owned();
    assert_eq!(answer.json["data"]["trace_id"], shown.as_str(), "header and job name the same trace");
    assert_eq!(trace.trace_id(), shown);
    (trace, shown)
}

#[tokio::test]
async fn the_callers_trace_goes_on_in_the_job() {
    let own: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01".parse().unwrap();
    let api = Api::with(MemoryTelemetry::recording(own), ApiSettings::default());
    let (trace, shown) =
        admitted_with(&api, &[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]).await;
    assert_eq!(shown, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(trace.producer, own);
    assert_eq!(trace.tracestate.as_deref(), Some("a=1,b=2"));
    assert_ne!(trace.media_span_id, 0);
    let requests = api.telemetry.requests.lock().unwrap();
    assert_eq!(*requests, [("POST".to_owned(), JOBS.to_owned(), Some(PARENT.parse().unwrap()))]);
}

#[tokio::test]
async fn the_callers_trace_goes_on_even_when_nothing_is_recorded() {
    let api = Api::default();
    let (trace, _) = admitted_with(&api, &[("traceparent", PARENT)]).await;
    assert_eq!(trace.producer.to_string(), PARENT);
}

#[tokio::test]
async fn a_broken_traceparent_counts_as_none() {
    let api = Api::default();
    for headers in [
        &[("traceparent", "00-zz-00f067aa0ba902b7-01"), ("tracestate", "a=1")][..],
        &[("traceparent", ""), ("tracestate", "a=1")],
        &[("traceparent", PARENT), ("traceparent", PARENT), ("tracestate", "a=1")],
        &[("tracestate", "a=1")],
    ] {
        let (trace, shown) = admitted_with(&api, headers).await;
        assert!(!trace.producer.is_sampled && shown != "0".repeat(32));
        assert_ne!(shown, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.tracestate, None, "vendor data without a parent means nothing");
    }
}

#[tokio::test]
async fn a_long_tracestate_is_dropped_and_not_the_request() {
    let api = Api::default();
    let long = "a".repeat(513);
    let (trace, _) = admitted_with(&api, &[("traceparent", PARENT), ("tracestate", &long)]).await;
    assert_eq!(trace.tracestate, None);
    let fits = "a".repeat(512);
    let (trace, _) = admitted_with(&api, &[("traceparent", PARENT), ("tracestate", &fits)]).await;
    assert_eq!(trace.tracestate, Some(fits));
}

#[tokio::test]
async fn spans_are_named_by_route_and_not_by_path() {
    let api = Api::default();
    api.get("/api/v1/media/jobs/some-id").await;
    api.send(request("BREW", "/coffee/17", &[], Body::empty())).await;
    let names: Vec<_> = api
        .telemetry
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|(method, route, _)| format!("{method} {route}"))
        .collect();
    assert_eq!(names, ["GET /api/v1/media/jobs/{id}", "_OTHER unmatched"]);
}

#[tokio::test]
async fn no_answer_may_be_kept_framed_or_guessed_at() {
    let api = Api::default();
    for path in [JOBS, "/nothing", "/healthz"] {
        let headers = api.get(path).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
        assert!(headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{path}");
    }
}

#[tokio::test]
async fn a_request_has_the_name_that_its_caller_gave_or_that_of_its_trace() {
    let api = Api::default();
    let asked = async |id: Option<&str>| {
        let mut headers = vec![("x-api-key", "acme-key")];
        headers.extend(id.map(|id| ("x-request-id", id)));
        api.send(request("GET", JOBS, &headers, Body::empty())).await.headers
    };
    assert_eq!(asked(Some("order-17:2")).await["x-request-id"], "order-17:2");
    for id in [None, Some(""), Some("a b"), Some(&*"x".repeat(129))] {
        let headers = asked(id).await;
        assert_eq!(headers["x-request-id"], headers["x-trace-id"], "{id:?}");
    }
}
