//! Which service of the process a span belongs to.
//!
//! `tracing` has one subscriber a process and with it one OpenTelemetry layer, yet the development stack runs api,
//! worker and poller in one process and each must write under its own `service.name`. So the layer's tracer is only a
//! switch: the service travels in the OpenTelemetry context, from the spans that [`super::OtelTelemetry`] makes to all
//! spans below them, and its own provider builds the span.

use opentelemetry::Context;
use opentelemetry::trace::{SpanBuilder, Tracer};
use opentelemetry_sdk::trace::{SdkTracer, Span};

/// A service of this process.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) service: &'static str,
    pub(super) tracer: SdkTracer,
}

impl Scope {
    /// The context with this service in it.
    pub(super) fn within(&self, context: &Context) -> Context {
        context.with_value(self.clone())
    }
}

/// Name of the service that the current context belongs to.
pub(super) fn current_service() -> Option<&'static str> {
    Context::map_current(|context| context.get::<Scope>().map(|scope| scope.service))
}

/// Builds each span with the tracer of its service; spans of no service belong to the first one.
#[derive(Debug, Clone)]
pub(super) struct Switch {
    pub(super) first: SdkTracer,
}

impl Tracer for Switch {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        let tracer = parent.get::<Scope>().map_or(&self.first, |scope| &scope.tracer);
        tracer.build_with_context(builder, parent)
    }
}
