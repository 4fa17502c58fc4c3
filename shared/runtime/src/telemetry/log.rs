//! Log lines: each with the ids of its trace and the facts of the spans around it.

use std::fmt;

use atelier_domain::Timestamp;
use atelier_domain::error::chain;
use opentelemetry::Context as OtelContext;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use super::scope;
use crate::settings::LogFormat;

/// Writes a line for each event. Fields of the event and of all spans around it stand side by side; the innermost wins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    pub(super) format: LogFormat,
    /// Named on lines that belong to no service of a process with several.
    pub(super) service: &'static str,
}

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let text =
                extensions.get::<FormattedFields<JsonFields>>().map_or("", |fields| fields.fields.as_str());
            if let Ok(Value::Object(fields)) = serde_json::from_str(text) {
                line.fields.extend(fields.into_iter().filter(|(name, _)| !name.starts_with("otel.")));
            }
        }
        event.record(&mut line);
        let ids = OtelContext::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            span.is_valid().then(|| (span.trace_id().to_string(), span.span_id().to_string()))
        });
        let head = Head {
            at: Timestamp::now(),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            service: scope::current_service().unwrap_or(self.service),
            ids,
        };
        match self.format {
            LogFormat::Json => line.write_json(&head, &mut writer),
            LogFormat::Text => line.write_text(&head, &mut writer),
        }
    }
}

/// What every line has.
struct Head<'a> {
    at: Timestamp,
    level: Level,
    target: &'a str,
    service: &'static str,
    ids: Option<(String, String)>,
}

/// What a line has of its own.
#[derive(Default)]
struct Line {
    message: String,
    fields: Map<String, Value>,
}

impl Line {
    fn write_json(self, head: &Head<'_>, writer: &mut Writer<'_>) -> fmt::Result {
        let mut first = vec![
            ("timestamp", format!("{:.6}", head.at)),
            ("level", head.level.to_string()),
            ("message", self.message),
            ("service", head.service.to_owned()),
            ("target", head.target.to_owned()),
        ];
        if let Some((trace_id, span_id)) = &head.ids {
            first.push(("trace_id", trace_id.clone()));
            first.push(("span_id", span_id.clone()));
        }
        let mut separator = '{';
        for (name, value) in first {
            write!(writer, "{separator}\"{name}\":{}", Value::String(value))?;
            separator = ',';
        }
        for (name, value) in self.fields {
            write!(writer, ",{}:{value}", Value::String(name))?;
        }
        writer.write_str("}\n")
    }

    fn write_text(self, head: &Head<'_>, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3} {:5} {} {}", head.at, head.level, head.service, self.message)?;
        for (name, value) in self.fields {
            match value {
                Value::String(text) if !text.contains([' ', '"']) => write!(writer, " {name}={text}")?,
                value => write!(writer, " {name}={value}")?,
            }
        }
        if let Some((trace_id, span_id)) = &head.ids {
            write!(writer, " trace_id={trace_id} span_id={span_id}")?;
        }
        writer.write_char('\n')
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.put(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            _ => self.put(field, value),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    /// An error with all its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, chain(value));
    }
}

/// The SDK's line for each batch that a receiver did not take. The exporter tells it once and better.
const REPEATED: &str = "BatchSpanProcessor.ExportError";

/// A filter of lines that lets spans pass: a warning must name its job even where `info` lines are off.
#[derive(Debug)]
pub(super) struct LineFilter(pub(super) EnvFilter);

impl LineFilter {
    fn is_kept_span(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && *metadata.level() <= Level::INFO
    }
}

impl<S> Filter<S> for LineFilter
where
    EnvFilter: Filter<S>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        let is_wanted = Self::is_kept_span(metadata) || Filter::enabled(&self.0, metadata, context);
        is_wanted && metadata.name() != REPEATED
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = Filter::<S>::callsite_enabled(&self.0, metadata);
        match metadata.name() {
            REPEATED => Interest::never(),
            _ if Self::is_kept_span(metadata) => Interest::always(),
            _ => interest,
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&self.0).map(|hint| hint.max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        Filter::on_new_span(&self.0, attributes, id, context);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        Filter::on_record(&self.0, id, values, context);
    }

    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        Filter::on_enter(&self.0, id, context);
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        Filter::on_exit(&self.0, id, context);
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        Filter::on_close(&self.0, id, context);
    }
}
