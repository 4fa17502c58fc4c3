//! Around every request: its span, its place in the caller's trace, its log line.

use std::time::Instant;

use atelier_domain::ports::Telemetry;
use atelier_domain::trace::TraceParent;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method};
use tracing::{Instrument as _, debug, info};

use crate::extract::Recognized;
use crate::state::ApiState;

/// W3C Trace Context asks for at least 512 characters to be passed on.
const MAX_TRACESTATE: usize = 512;

/// Where a request stands in a trace. There is always a trace, if only for its id.
#[derive(Debug, Clone)]
pub(crate) struct RequestTrace {
    /// The span of the request; where nothing is recorded, the caller's context or a made-up one.
    pub(crate) context: TraceParent,
    /// Vendor data of the caller's context.
    pub(crate) tracestate: Option<String>,
}

/// The outermost layer.
pub(crate) async fn observe(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = method_name(request.method());

    let parent = traceparent(request.headers());
    let span = state.telemetry.request(method, route, parent);
    let context =
        state.telemetry.context_of(&span).or(parent).unwrap_or_else(|| unrecorded(&*state.telemetry));
    let tracestate = parent.and_then(|_| tracestate(request.headers()));
    let request_id = request_id(request.headers());
    let recognized = Recognized::default();
    request.extensions_mut().insert(RequestTrace { context, tracestate });
    request.extensions_mut().insert(recognized.clone());

    let mut response = next.run(request).instrument(span.clone()).await;

    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let workspace = recognized.0.get().map(|id| id.as_str());
    let status = status.as_u16();
    span.in_scope(|| match route {
        // Asked every few seconds by the cluster.
        "/healthz" | "/readyz" if status < 500 => {
            debug!(
                http.request.method = method,
                http.route = route,
                http.response.status_code = status,
                duration_ms,
                "request answered"
            );
        }
        _ => {
            info!(
                http.request.method = method,
                http.route = route,
                http.response.status_code = status,
                duration_ms,
                workspace.id = workspace,
                "request answered"
            );
        }
    });
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&format!("{:032x}", context.trace_id)) {
        headers.insert("x-request-id", request_id.unwrap_or_else(|| value.clone()));
        headers.insert("x-trace-id", value);
    }
    harden(headers);
    response
}

/// What a browser that is led here may do with an answer: nothing but show it. Without headers for other origins none of
/// their scripts reads one.
fn harden(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    // Answers are for the holder of a key.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The caller's name for its request, given back as it is; one that is long or strange is no name.
fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    let value = headers.get("x-request-id")?;
    let is_fit = (1..=128).contains(&value.len()) && value.as_bytes().iter().all(fits);
    is_fit.then(|| value.clone())
}

/// A context for a process that records nothing: a job needs a trace id all the same.
fn unrecorded(telemetry: &dyn Telemetry) -> TraceParent {
    let part = || u128::from(telemetry.fresh_span_id());
    TraceParent {
        trace_id: (part() << 64 | part()).max(1),
        span_id: telemetry.fresh_span_id().max(1),
        is_sampled: false,
    }
}

/// The caller's context. One that is broken counts as none, as the standard says.
fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all("traceparent").iter();
    let only = values.next().filter(|_| values.next().is_none());
    only?.to_str().ok()?.parse().ok()
}

fn tracestate(headers: &HeaderMap) -> Option<String> {
    let parts: Option<Vec<&str>> =
        headers.get_all("tracestate").iter().map(|value| value.to_str().ok()).collect();
    parts.map(|parts| parts.join(",")).filter(|text| !text.is_empty() && text.len() <= MAX_TRACESTATE)
}

/// A word of a fixed set: a caller may invent methods, but not label values.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
