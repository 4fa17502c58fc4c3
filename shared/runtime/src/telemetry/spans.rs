//! The spans of a job's way: request, send, step, media. Structure: [`super`].

use atelier_domain::job::Job;
use atelier_domain::operation::Step;
use atelier_domain::ports::Telemetry;
use atelier_domain::trace::TraceParent;
use opentelemetry::Context;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::media::{self, View};
use super::scope::Scope;
use super::{ids, names, propagation};

/// The telemetry of one service. Cheap to share; a process may have several.
#[derive(Debug, Clone)]
pub struct OtelTelemetry {
    scope: Scope,
    view: View,
}

impl OtelTelemetry {
    pub(super) fn new(scope: Scope, view: View) -> Self {
        Self { scope, view }
    }

    /// The `service.name` of the spans.
    pub fn service(&self) -> &'static str {
        self.scope.service
    }

    /// Hangs a fresh span below `parent` in this service. A span that no layer records has no parent to set.
    fn place(&self, span: &Span, parent: &Context) {
        if let Err(error) = span.set_parent(self.scope.within(parent)) {
            tracing::debug!(%error, "span has no place in a trace");
        }
    }
}

impl Telemetry for OtelTelemetry {
    /// Record `url.path`, `http.response.status_code`, and on a 5xx `error.type` and `otel.status_code = "ERROR"` on it
    /// when they are known; `job.id` and `workspace.id` show up in log lines, too.
    fn request(&self, method: &str, route: &str, parent: Option<TraceParent>) -> Span {
        let span = tracing::info_span!(
            parent: None,
            "request",
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            otel.status_code = Empty,
            otel.status_description = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            url.path = Empty,
            "error.type" = Empty,
            workspace.id = Empty,
            job.id = Empty,
        );
        let parent =
            parent.map_or_else(Context::new, |parent| propagation::below(propagation::remote(parent, None)));
        self.place(&span, &parent);
        span
    }

    /// Record `job.id` on it when it is known.
    fn send(&self, queue: Step) -> Span {
        let parent = Span::current().context();
        let span = tracing::info_span!(
            "send",
            otel.name = format!("send {queue}"),
            otel.kind = "producer",
            otel.status_code = Empty,
            job.id = Empty,
        );
        self.place(&span, &parent);
        messaging(&span, names::SEND, queue);
        span
    }

    fn step(&self, job: &Job, step: Step) -> Span {
        let spec = &job.body.spec;
        let span = tracing::info_span!(
            parent: None,
            "step",
            otel.name = format!("process {step}"),
            otel.kind = "consumer",
            otel.status_code = Empty,
            otel.status_description = Empty,
            "error.type" = Empty,
            step = step.as_str(),
            job.id = %job.id,
            workspace.id = %job.body.workspace_id,
            provider.id = spec.provider.as_str(),
        );
        let trace = &job.body.trace;
        let state = trace.tracestate.as_deref();
        let is_submit = step == Step::Submit;
        let parent = if is_submit { trace.producer } else { trace.media() };
        self.place(&span, &propagation::below(propagation::remote(parent, state)));
        let producer = is_submit.then_some(trace.producer);
        for linked in producer.into_iter().chain(trace.scheduled_by.filter(|by| Some(*by) != producer)) {
            span.add_link(propagation::remote(linked, state));
        }
        messaging(&span, names::PROCESS, step);
        let id = job.id.to_string();
        span.set_attribute(names::MESSAGING_CONVERSATION_ID, id.clone());
        span.set_attribute(names::MEDIA_JOB_ID, id);
        span.set_attribute(names::MEDIA_KIND, job.media_kind().as_str());
        span.set_attribute(names::MEDIA_OPERATION, spec.operation.as_str());
        span.set_attribute(names::GEN_AI_PROVIDER_NAME, spec.provider.as_str());
        span.set_attribute(names::GEN_AI_REQUEST_MODEL, spec.model.clone());
        // The number of the call that this very step makes: the records count it only once it is made.
        span.set_attribute(names::MEDIA_ATTEMPT, i64::from(job.body.attempts) + i64::from(is_submit));
        span.set_attribute(names::MEDIA_POLL_COUNT, i64::from(job.checks) + i64::from(step == Step::Check));
        span
    }

    /// Also for a span that is not sampled: its context carries that decision on. `None` without a span.
    fn context_of(&self, span: &Span) -> Option<TraceParent> {
        propagation::parent_of(&span.context())
    }

    fn fresh_span_id(&self) -> u64 {
        ids::fresh()
    }

    fn media(&self, job: &Job) {
        media::write(job, &self.view, &self.scope);
    }
}

fn messaging(span: &Span, operation: &'static str, queue: Step) {
    span.set_attribute(names::MESSAGING_SYSTEM, names::REDIS);
    span.set_attribute(names::MESSAGING_OPERATION_NAME, operation);
    span.set_attribute(names::MESSAGING_OPERATION_TYPE, operation);
    span.set_attribute(names::MESSAGING_DESTINATION_NAME, queue.as_str());
}
