//! Spans over OTLP and log lines on standard output.
//!
//! ```text
//! SERVER    POST /api/v1/media/jobs           api     request(), child of the caller's traceparent
//! └ PRODUCER  send submit                     api     send(); its context is kept in the job
//!   ├ CONSUMER  process submit                worker  step(), link to the producer
//!   └ CLIENT    generate_video gen4_turbo     any     media(), written at the end with the id promised at admission
//!     ├ CONSUMER  process check               poller  step(), link to what scheduled it
//!     └ CONSUMER  process deliver             worker  step(), link to what scheduled it
//! ```
//!
//! So a job is one trace, however many processes work on it and however often one of them dies. `telemetry.md` would
//! make each scheduled step a trace of its own; here each is a child of the media span, because then one click shows
//! the whole job, and the link keeps what the sheet wanted: which step scheduled which.
//!
//! One process may hold several services ([`TelemetryGuard::service`]): they share subscriber and log, and each writes
//! its spans under its own `service.name`.
//!
//! Sampling follows the caller; where there is none, `sample_ratio`. `OTEL_TRACES_SAMPLER` is not read.

use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanExporter, TracerProviderBuilder};
use tokio::runtime::Runtime;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, filter};

pub use self::spans::OtelTelemetry;
use crate::settings::TelemetrySettings;

mod export;
mod ids;
mod log;
mod media;
pub mod names;
mod prompt;
mod propagation;
mod scope;
mod spans;

/// On steps and media spans, and in log lines.
pub(crate) const WORKSPACE_ID: &str = "workspace.id";

/// Spans and span events of these never travel: they are made by the export itself or say nothing of a job.
const NOISE: &[&str] = &["h2", "hyper", "hyper_util", "opentelemetry", "reqwest", "rustls", "tonic", "tower"];

/// Why there is no telemetry. A process should not start without.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Not a filter.
    #[error("failed to read the log filter `{filter}`")]
    Filter {
        /// As set.
        filter: String,
        /// Why.
        #[source]
        source: filter::ParseError,
    },
    /// Not a protocol of ours.
    #[error("OTLP protocol `{name}` is not known: grpc or http/protobuf would be right")]
    Protocol {
        /// As set in the environment.
        name: String,
    },
    /// Not a receiver.
    #[error("failed to prepare the export of spans to `{endpoint}`")]
    Receiver {
        /// As set.
        endpoint: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system gives no thread.
    #[error("failed to start the telemetry thread")]
    Thread(#[source] io::Error),
    /// This process has a subscriber already. Use [`TelemetryGuard::service`] for a second service.
    #[error("telemetry is already set up in this process")]
    AlreadySet,
}

/// Sets up logs and spans of the process. `bucket` is where its assets are, for `media.output.url`.
pub fn init(
    service: &'static str,
    bucket: Option<&str>,
    settings: &TelemetrySettings,
) -> Result<TelemetryGuard, TelemetryError> {
    let (guard, dispatch) = prepare(service, bucket, settings, io::stdout)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| TelemetryError::AlreadySet)?;
    Ok(guard)
}

/// Like [`init`], but sets nothing: the caller makes the dispatch its default, for a thread or the process. So several
/// can live in one test process. Log lines go to `writer`.
pub fn prepare<W>(
    service: &'static str,
    bucket: Option<&str>,
    settings: &TelemetrySettings,
    writer: W,
) -> Result<(TelemetryGuard, Dispatch), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let destination = export::Destination::choose(settings, |name| std::env::var(name).ok())?;
    let way = match destination {
        Some(destination) => Way::Otlp { destination, runtime: export::runtime()? },
        None => Way::Nowhere,
    };
    assemble(service, bucket, settings, way, writer)
}

/// Like [`prepare`], with spans going to `exporter` as soon as they end.
pub fn init_for_tests<W>(
    service: &'static str,
    bucket: Option<&str>,
    settings: &TelemetrySettings,
    exporter: impl SpanExporter + Clone + 'static,
    writer: W,
) -> Result<(TelemetryGuard, Dispatch), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let simple = move |builder: TracerProviderBuilder| builder.with_simple_exporter(exporter.clone());
    assemble(service, bucket, settings, Way::Given(Box::new(simple)), writer)
}

/// Keeps telemetry alive. End the process with [`Self::shutdown`], or the last spans are lost.
pub struct TelemetryGuard {
    telemetry: OtelTelemetry,
    settings: TelemetrySettings,
    way: Way,
    providers: Mutex<Vec<SdkTracerProvider>>,
}

/// How spans leave.
enum Way {
    Nowhere,
    Otlp { destination: export::Destination, runtime: Runtime },
    Given(Box<dyn Fn(TracerProviderBuilder) -> TracerProviderBuilder + Send + Sync>),
}

impl TelemetryGuard {
    /// The telemetry of the service that was named first.
    pub fn telemetry(&self) -> OtelTelemetry {
        self.telemetry.clone()
    }

    /// The telemetry of a further service in this process: it shares subscriber and log, and writes its spans under
    /// its own `service.name`. `OTEL_SERVICE_NAME` has no effect on it.
    pub fn service(
        &self,
        service: &'static str,
        bucket: Option<&str>,
    ) -> Result<OtelTelemetry, TelemetryError> {
        let provider =
            provider(resource(service, &self.settings, NameBy::Caller), &self.settings, &self.way)?;
        let telemetry = telemetry(service, bucket, &self.settings, tracer(&provider));
        self.keep(provider);
        Ok(telemetry)
    }

    /// Sends what is left and stops. Blocks for `timeout` at most; returns whether everything was sent.
    pub fn shutdown(self, timeout: Duration) -> bool {
        self.stop(timeout)
    }

    fn keep(&self, provider: SdkTracerProvider) {
        self.providers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(provider);
    }

    fn stop(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let providers =
            std::mem::take(&mut *self.providers.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let mut is_all_sent = true;
        for provider in providers {
            let left = deadline.saturating_duration_since(Instant::now());
            is_all_sent &= provider.shutdown_with_timeout(left).is_ok();
        }
        is_all_sent
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        // After `shutdown` there is nothing left to stop.
        self.stop(Duration::from_secs(1));
        if let Way::Otlp { runtime, .. } = std::mem::replace(&mut self.way, Way::Nowhere) {
            // Waiting for its thread is not allowed inside another runtime.
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for TelemetryGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryGuard").field("service", &self.telemetry.service()).finish_non_exhaustive()
    }
}

fn assemble<W>(
    service: &'static str,
    bucket: Option<&str>,
    settings: &TelemetrySettings,
    way: Way,
    writer: W,
) -> Result<(TelemetryGuard, Dispatch), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = EnvFilter::builder()
        .parse(&settings.log_filter)
        .map_err(|source| TelemetryError::Filter { filter: settings.log_filter.clone(), source })?;
    let provider = provider(resource(service, settings, NameBy::Environment), settings, &way)?;
    let first = tracer(&provider);
    let log = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(log::Lines { format: settings.log_format, service })
        .with_writer(writer)
        .with_filter(log::LineFilter(lines));
    let spans = tracing_opentelemetry::layer()
        .with_tracer(scope::Switch { first: first.clone() })
        .with_location(false)
        .with_threads(false)
        .with_filter(filter::filter_fn(travels).with_max_level_hint(LevelFilter::INFO));
    let dispatch = Dispatch::new(Registry::default().with(spans).with(log));
    let telemetry = telemetry(service, bucket, settings, first);
    let guard =
        TelemetryGuard { telemetry, settings: settings.clone(), way, providers: Mutex::new(vec![provider]) };
    Ok((guard, dispatch))
}

/// Whether a span, or an event as part of its span, is exported. Independent of the log filter.
fn travels(metadata: &Metadata<'_>) -> bool {
    let origin = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= LevelFilter::INFO && !NOISE.contains(&origin) && !origin.starts_with("opentelemetry")
}

fn telemetry(
    service: &'static str,
    bucket: Option<&str>,
    settings: &TelemetrySettings,
    tracer: SdkTracer,
) -> OtelTelemetry {
    let view = media::View {
        capture: settings.capture_prompts,
        prompt_limit_bytes: settings.prompt_limit_bytes,
        bucket: bucket.map(str::to_owned),
    };
    OtelTelemetry::new(scope::Scope { service, tracer }, view)
}

fn tracer(provider: &SdkTracerProvider) -> SdkTracer {
    let version = env!("CARGO_PKG_VERSION");
    let scope =
        InstrumentationScope::builder("atelier").with_version(version).with_schema_url(names::SCHEMA_URL);
    provider.tracer_with_scope(scope.build())
}

fn provider(
    resource: Resource,
    settings: &TelemetrySettings,
    way: &Way,
) -> Result<SdkTracerProvider, TelemetryError> {
    let root = Sampler::TraceIdRatioBased(settings.sample_ratio);
    let builder = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(root)))
        .with_id_generator(ids::PinnableIds::default())
        .with_resource(resource);
    let builder = match way {
        Way::Nowhere => builder,
        Way::Otlp { destination, runtime } => {
            builder.with_span_processor(export::processor(destination, runtime.handle())?)
        }
        Way::Given(add) => add(builder),
    };
    Ok(builder.build())
}

/// Who has the last word on `service.name`.
enum NameBy {
    /// `OTEL_SERVICE_NAME`, if it is set.
    Environment,
    /// The code: a process with several services cannot call them all the same.
    Caller,
}

/// Who sends. The SDK's builder reads `OTEL_RESOURCE_ATTRIBUTES`.
fn resource(service: &'static str, settings: &TelemetrySettings, name_by: NameBy) -> Resource {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = match name_by {
        NameBy::Environment => variable("OTEL_SERVICE_NAME").unwrap_or_else(|| service.to_owned()),
        NameBy::Caller => service.to_owned(),
    };
    let instance = settings.service_instance.clone().or_else(|| variable("HOSTNAME")).or_else(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    });
    let instance = instance.unwrap_or_else(|| format!("{:016x}", ids::fresh()));
    Resource::builder()
        .with_attributes([
            KeyValue::new(names::SERVICE_NAME, name),
            KeyValue::new(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            KeyValue::new(names::SERVICE_INSTANCE_ID, instance),
        ])
        .build()
}
