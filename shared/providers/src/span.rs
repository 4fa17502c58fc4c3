//! The client span of one HTTP exchange, with the names of the OpenTelemetry HTTP conventions. It never holds a key, a
//! body, a query or a header (INV-7).

use atelier_domain::foreign;
use tracing::{Span, field};

use crate::exchange::HttpRequest;

/// A span for this request. Each try and each redirect has its own.
pub(crate) fn client_span(request: &HttpRequest, peer: Option<&'static str>) -> Span {
    let method = request.method.as_str();
    let name = match request.template {
        Some(template) => format!("{method} {template}"),
        None => method.to_owned(),
    };
    tracing::info_span!(
        "http_client",
        otel.kind = "client",
        otel.name = name,
        otel.status_code = field::Empty,
        http.request.method = method,
        http.response.status_code = field::Empty,
        server.address = request.url.host_str(),
        server.port = request.url.port_or_known_default(),
        url.full = foreign::without_query(request.url.as_str()),
        url.template = request.template,
        peer.service = peer,
        error.type = field::Empty,
    )
}

/// Marks the span as failed, with a kind of low cardinality.
pub(crate) fn mark_failed(span: &Span, kind: &str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}
