//! Between the trace context of a job and that of OpenTelemetry.

use std::str::FromStr;

use atelier_domain::trace::TraceParent;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};

/// A span of another process. Vendor data that cannot be read is left out.
pub(super) fn remote(parent: TraceParent, tracestate: Option<&str>) -> SpanContext {
    let flags = TraceFlags::default().with_sampled(parent.is_sampled);
    let state = tracestate.and_then(|text| TraceState::from_str(text).ok()).unwrap_or_default();
    SpanContext::new(TraceId::from(parent.trace_id), SpanId::from(parent.span_id), flags, true, state)
}

/// A context in which new spans are children of `parent`.
pub(super) fn below(parent: SpanContext) -> Context {
    Context::new().with_remote_span_context(parent)
}

/// The other way round; `None` when there is no span.
pub(super) fn parent_of(context: &Context) -> Option<TraceParent> {
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| TraceParent {
        trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(span.span_id().to_bytes()),
        is_sampled: span.is_sampled(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_survives_the_way_there_and_back() {
        for text in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        ] {
            let parent: TraceParent = text.parse().unwrap();
            assert_eq!(parent_of(&below(remote(parent, Some("vendor=1")))), Some(parent));
        }
        assert_eq!(parent_of(&Context::new()), None);
    }

    #[test]
    fn broken_vendor_data_costs_only_itself() {
        let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        assert_eq!(remote(parent, Some("a=1,b=2")).trace_state().header(), "a=1,b=2");
        assert_eq!(remote(parent, Some("no state")).trace_state().header(), "");
    }
}
