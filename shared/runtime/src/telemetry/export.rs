//! Spans on their way to an OTLP receiver, on a thread of their own: no job ever waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter as Exporter};
use tokio::runtime::{Handle, Runtime};

use super::TelemetryError;
use crate::settings::{OtlpProtocol, TelemetrySettings};

/// Spans that may wait for export before new ones are dropped, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise. Four
/// times the SDK's default: a burst of jobs brings some ten spans each.
const QUEUE_LIMIT_SPANS: usize = 8_192;
const QUEUE_LIMIT_VARIABLE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) endpoint: String,
    pub(super) protocol: OtlpProtocol,
    pub(super) timeout: Duration,
}

impl Destination {
    /// The settings, else OpenTelemetry's own variables; `None` when neither names a receiver.
    pub(super) fn choose(
        settings: &TelemetrySettings,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TelemetryError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let protocol_name = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
        let protocol = match (settings.otlp_protocol, protocol_name.as_deref()) {
            (Some(protocol), _) => protocol,
            (None, None | Some("grpc")) => OtlpProtocol::Grpc,
            (None, Some("http/protobuf")) => OtlpProtocol::Http,
            (None, Some(other)) => return Err(TelemetryError::Protocol { name: other.to_owned() }),
        };
        let base = settings.otlp_endpoint.clone();
        // OTLP exporter specification: the signal's own variable is used as it is, a base gets the path.
        let endpoint = match (base, variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) {
            (Some(base), _) => Some(of_base(base, protocol)),
            (None, Some(endpoint)) => Some(endpoint),
            (None, None) => variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| of_base(base, protocol)),
        };
        let timeout = Duration::from_millis(settings.otlp_timeout_ms);
        Ok(endpoint.map(|endpoint| Self { endpoint, protocol, timeout }))
    }
}

fn of_base(base: String, protocol: OtlpProtocol) -> String {
    let path = "/v1/traces";
    let base = base.trim_end_matches('/');
    match protocol {
        OtlpProtocol::Http if !base.ends_with(path) => format!("{base}{path}"),
        OtlpProtocol::Http | OtlpProtocol::Grpc => base.to_owned(),
    }
}

/// The thread that talks to receivers. It is ours, so that export works whatever runtime the process has, and so that
/// a flush may block a thread of that runtime without waiting for itself.
pub(super) fn runtime() -> Result<Runtime, TelemetryError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("telemetry")
        .enable_all()
        .build()
        .map_err(TelemetryError::Thread)
}

/// A processor that batches spans and sends them to `destination`.
pub(super) fn processor(
    destination: &Destination,
    handle: &Handle,
) -> Result<BatchSpanProcessor, TelemetryError> {
    let exporter = exporter(destination, handle)?;
    let mut config = BatchConfigBuilder::default();
    if std::env::var_os(QUEUE_LIMIT_VARIABLE).is_none() {
        config = config.with_max_queue_size(QUEUE_LIMIT_SPANS);
    }
    Ok(BatchSpanProcessor::builder(exporter).with_batch_config(config.build()).build())
}

fn exporter(destination: &Destination, handle: &Handle) -> Result<OnHandle, TelemetryError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| TelemetryError::Receiver {
        endpoint: destination.endpoint.clone(),
        source,
    };
    let is_https = destination.endpoint.starts_with("https://");
    let Destination { endpoint, protocol, timeout } = destination;
    // The channel is bound to the runtime that is current when it is made.
    let _entered = handle.enter();
    let exporter = match protocol {
        OtlpProtocol::Grpc => {
            let builder = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(*timeout);
            let builder = match is_https {
                true => builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots()),
                false => builder,
            };
            builder.build()
        }
        OtlpProtocol::Http => {
            let builder = SpanExporter::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(endpoint)
                .with_timeout(*timeout);
            let builder = match is_https {
                true => {
                    builder.with_http_client(https_client(*timeout).map_err(|error| failed(error.into()))?)
                }
                false => builder.with_http_client(HyperClient::with_default_connector(*timeout, None)),
            };
            builder.build()
        }
    };
    let exporter = exporter.map_err(|error| failed(error.into()))?;
    Ok(OnHandle {
        exporter: Arc::new(exporter),
        handle: handle.clone(),
        limit: *timeout * 2,
        lost: AtomicU64::new(0),
    })
}

fn https_client(timeout: Duration) -> std::io::Result<HyperClient<HttpsConnector<HttpConnector>>> {
    crate::process::install_crypto();
    let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
    Ok(HyperClient::new(connector, timeout, None))
}

/// Runs the exporter on our thread; the SDK's own thread has no runtime, which hyper and tonic need.
#[derive(Debug)]
struct OnHandle {
    exporter: Arc<SpanExporter>,
    handle: Handle,
    /// For a batch with all its repetitions.
    limit: Duration,
    /// Spans lost since the receiver took the last batch.
    lost: AtomicU64,
}

impl Exporter for OnHandle {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let (exporter, limit) = (self.exporter.clone(), self.limit);
        let task =
            self.handle.spawn(async move { tokio::time::timeout(limit, exporter.export(batch)).await });
        let result = match task.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(OTelSdkError::Timeout(limit)),
            Err(error) => Err(OTelSdkError::InternalFailure(error.to_string())),
        };
        self.tell_of_changes(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Called before the first export, when nobody else holds the exporter.
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}

impl OnHandle {
    /// One line when the receiver goes and one when it comes back, however long it is away.
    fn tell_of_changes(&self, spans: u64, result: &OTelSdkResult) {
        match result {
            Ok(()) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::info!(spans.lost = lost, "spans are exported again");
                }
            }
            Err(error) => {
                if self.lost.fetch_add(spans, Ordering::Relaxed) == 0 {
                    tracing::warn!(%error, "spans cannot be exported");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(settings: &TelemetrySettings, variables: &[(&str, &str)]) -> Option<(String, OtlpProtocol)> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let destination = Destination::choose(settings, variable).unwrap();
        destination.map(|destination| (destination.endpoint, destination.protocol))
    }

    fn settings(endpoint: Option<&str>, protocol: Option<OtlpProtocol>) -> TelemetrySettings {
        let otlp_endpoint = endpoint.map(str::to_owned);
        TelemetrySettings { otlp_endpoint, otlp_protocol: protocol, ..TelemetrySettings::default() }
    }

    #[test]
    fn without_a_receiver_nothing_is_sent() {
        assert_eq!(endpoint(&settings(None, None), &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), None);
    }

    #[test]
    fn http_gets_the_path_of_the_signal_and_grpc_does_not() {
        let http = Some(("http://c:4318/v1/traces".to_owned(), OtlpProtocol::Http));
        for base in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(endpoint(&settings(Some(base), Some(OtlpProtocol::Http)), &[]), http, "{base}");
        }
        let grpc = Some(("http://c:4317".to_owned(), OtlpProtocol::Grpc));
        assert_eq!(endpoint(&settings(Some("http://c:4317"), None), &[]), grpc);
    }

    #[test]
    fn settings_beat_the_standard_variables() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ];
        let own = endpoint(&settings(Some("http://own:4317"), Some(OtlpProtocol::Grpc)), &variables);
        assert_eq!(own, Some(("http://own:4317".to_owned(), OtlpProtocol::Grpc)));
        let env = endpoint(&settings(None, None), &variables);
        assert_eq!(env, Some(("http://env:4318/v1/traces".to_owned(), OtlpProtocol::Http)));
        let exact = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://env/exact"), variables[0], variables[1]];
        assert_eq!(endpoint(&settings(None, None), &exact).unwrap().0, "http://env/exact");
    }

    #[test]
    fn a_receiver_behind_tls_can_be_named() {
        let runtime = runtime().unwrap();
        for protocol in [OtlpProtocol::Grpc, OtlpProtocol::Http] {
            let settings = settings(Some("https://collector.example:4317"), Some(protocol));
            let destination = Destination::choose(&settings, |_| None).unwrap().unwrap();
            assert!(exporter(&destination, runtime.handle()).is_ok(), "{protocol:?}");
        }
    }
}
