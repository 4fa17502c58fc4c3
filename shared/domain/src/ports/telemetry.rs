//! Spans that cross processes.

use crate::job::Job;
use crate::operation::Step;
use crate::trace::TraceParent;

/// Spans that cross processes. Spans within a process are made with `tracing` where they belong.
pub trait Telemetry: Send + Sync {
    /// The SERVER span of a request; `parent` is the caller's `traceparent`.
    fn request(&self, method: &str, route: &str, parent: Option<TraceParent>) -> tracing::Span;
    /// The PRODUCER span of an admission, child of the current span.
    fn send(&self, queue: Step) -> tracing::Span;
    /// The CONSUMER span of a step, placed in the job's trace and linked to what scheduled it.
    fn step(&self, job: &Job, step: Step) -> tracing::Span;
    /// The context that others can hang their spans under. `None` when nothing is recorded.
    fn context_of(&self, span: &tracing::Span) -> Option<TraceParent>;
    /// A span id for a span that will be written later.
    fn fresh_span_id(&self) -> u64;
    /// Writes the media span of a job that has ended, with its true start and end.
    fn media(&self, job: &Job);
}
