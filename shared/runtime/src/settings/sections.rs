//! The sections that every program has. A field without a default must be set.

use std::time::Duration;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::Problems;

/// `[shutdown]`: how long the process may take to end.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownSettings {
    /// From the signal to the end of all work, in milliseconds. 25000: Kubernetes kills after 30 s by default, and the
    /// last spans need some of the rest.
    pub grace_ms: u64,
}

impl Default for ShutdownSettings {
    fn default() -> Self {
        Self { grace_ms: 25_000 }
    }
}

impl ShutdownSettings {
    /// The time from the signal to the end.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// OTLP over gRPC, usually port 4317.
    Grpc,
    /// OTLP as protobuf over HTTP, usually port 4318.
    Http,
}

/// Whether prompts stand on the media span. A job's `capture_prompt: false` is stricter than any of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapturePrompts {
    /// The prompt, cut at `prompt_limit_bytes`.
    On,
    /// Its length only.
    Off,
    /// Its length and its SHA-256. Short prompts can be guessed from it.
    Hash,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people at a terminal.
    Text,
}

/// `[telemetry]`: spans and logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// Base URL of an OTLP receiver, as in `http://tempo:4317`; `/v1/traces` is added for HTTP. Without it the
    /// standard variables `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` and `OTEL_EXPORTER_OTLP_ENDPOINT` count; without those
    /// spans get ids but go nowhere.
    pub otlp_endpoint: Option<String>,
    /// Without it `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL` and `OTEL_EXPORTER_OTLP_PROTOCOL` count; without those gRPC,
    /// which every collector takes.
    pub otlp_protocol: Option<OtlpProtocol>,
    /// Longest wait for a receiver to take one batch, in milliseconds. 10000 is OpenTelemetry's own default; no job
    /// waits for it.
    pub otlp_timeout_ms: u64,
    /// `service.instance.id`. Without it the host's name, which in a cluster is the pod's.
    pub service_instance: Option<String>,
    /// Share of traces kept when the caller did not decide, from 0 to 1. 1: media jobs are few and expensive.
    pub sample_ratio: f64,
    /// `on`: the product promises the prompt on the span.
    pub capture_prompts: CapturePrompts,
    /// Longest prompt on a span, in bytes. 2048: all usual prompts, and far from what receivers refuse.
    pub prompt_limit_bytes: usize,
    /// `json`: logs are read by machines first.
    pub log_format: LogFormat,
    /// Which lines are written, in the notation of `tracing` (`warn,atelier_worker=debug`). `info`: a line for each
    /// change of a job's state; without `apalis_core`, which repeats what our own lines say better. Spans do not depend
    /// on it.
    pub log_filter: String,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_protocol: None,
            otlp_timeout_ms: 10_000,
            service_instance: None,
            sample_ratio: 1.0,
            capture_prompts: CapturePrompts::On,
            prompt_limit_bytes: 2_048,
            log_format: LogFormat::Json,
            log_filter: "info,apalis_core=off".to_owned(),
        }
    }
}

impl TelemetrySettings {
    /// Reports what makes no sense.
    pub fn validate(&self, problems: &mut Problems<'_>) {
        let is_url = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        if self.otlp_endpoint.as_deref().is_some_and(|endpoint| !is_url(endpoint)) {
            problems.report("otlp_endpoint", "no http or https URL", "http://collector:4317 would be right");
        }
        positive(problems, "otlp_timeout_ms", self.otlp_timeout_ms);
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            problems.report("sample_ratio", "out of range", "a number from 0 to 1 would be right");
        }
        if self.prompt_limit_bytes > 65_536 {
            problems.report("prompt_limit_bytes", "too large for a span", "at most 65536 would be right");
        }
        if EnvFilter::builder().parse(&self.log_filter).is_err() {
            problems.report(
                "log_filter",
                "not readable",
                "a filter such as `info,atelier_worker=debug` would be right",
            );
        }
    }
}

fn positive(problems: &mut Problems<'_>, key: &str, value_ms: u64) {
    if value_ms == 0 {
        problems.report(key, "0 leaves no time at all", "at least 1 millisecond would be right");
    }
}
