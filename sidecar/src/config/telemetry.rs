//! What is told to a collector, and in which form.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use url::Url;

use super::raw::{Problems, is_trusted_transport};

/// Where traces and metrics go, over OTLP.
#[derive(Debug, Clone)]
pub(crate) struct TelemetryConfig {
    /// The base, to which `/v1/traces` and `/v1/metrics` are added.
    pub(crate) endpoint: Url,
    pub(crate) signals: Signals,
    /// A file with a header a line, which may be secrets.
    pub(crate) headers: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
    /// How many of those requests that are nobody's trace yet begin one: from 0 to 1.
    pub(crate) sample_ratio: f64,
    pub(crate) callers_context: CallersContext,
    pub(crate) metrics_interval: Duration,
    /// For one exchange with the collector, and for the last ones together.
    pub(crate) timeout: Duration,
    /// What tells this gate from others, beside `service.*`.
    pub(crate) resource: BTreeMap<String, String>,
}

/// Which signals are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signals {
    pub(crate) traces: Exported,
    pub(crate) metrics: Exported,
}

/// Whether something is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exported {
    Yes,
    No,
}

/// What the trace context of a verified caller counts for. That of a stranger is never more than a
/// link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CallersContext {
    /// The request is a part of the caller's trace, and sampled if that is.
    #[default]
    Parent,
    /// A trace of its own, with a link to the caller's.
    Link,
    /// Nothing.
    Ignore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTelemetry {
    endpoint: String,
    #[serde(default)]
    protocol: Protocol,
    #[serde(default = "both")]
    signals: Vec<Signal>,
    headers_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    #[serde(default = "one_in_ten")]
    sample_ratio: f64,
    #[serde(default)]
    accept_trace_context: CallersContext,
    #[serde(default = "a_minute", with = "humantime_serde")]
    metrics_interval: Duration,
    #[serde(default = "ten_seconds", with = "humantime_serde")]
    timeout: Duration,
    #[serde(default)]
    resource: BTreeMap<String, String>,
}

/// In which form; there is one so far.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
enum Protocol {
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Signal {
    Traces,
    Metrics,
}

fn both() -> Vec<Signal> {
    vec![Signal::Traces, Signal::Metrics]
}

fn one_in_ten() -> f64 {
    0.1
}

fn a_minute() -> Duration {
    Duration::from_secs(60)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

impl RawTelemetry {
    pub(super) fn resolve(self, folder: &Path, problems: &mut Problems) -> Option<TelemetryConfig> {
        let Protocol::HttpProtobuf = self.protocol;
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            problems.add("telemetry.sample_ratio", "must be from 0 to 1");
        }
        for (key, duration) in [
            ("telemetry.metrics_interval", self.metrics_interval),
            ("telemetry.timeout", self.timeout),
        ] {
            if duration < SHORTEST {
                problems.add(key, "must be 100ms at least");
            }
        }
        if self.signals.is_empty() {
            problems.add("telemetry.signals", "must name `traces`, `metrics` or both");
        }
        let endpoint = problems.url("telemetry.endpoint", &self.endpoint)?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            problems.add("telemetry.endpoint", "must be http or https");
        }
        if self.headers_file.is_some() && !is_trusted_transport(&endpoint) {
            problems.add(
                "telemetry.endpoint",
                "must be https, or http on a loopback address, where headers are sent",
            );
        }
        let exported = |signal| {
            if self.signals.contains(&signal) { Exported::Yes } else { Exported::No }
        };
        Some(TelemetryConfig {
            signals: Signals {
                traces: exported(Signal::Traces),
                metrics: exported(Signal::Metrics),
            },
            endpoint,
            headers: self.headers_file.map(|file| folder.join(file)),
            ca: self.ca.map(|file| folder.join(file)),
            sample_ratio: self.sample_ratio,
            callers_context: self.accept_trace_context,
            metrics_interval: self.metrics_interval,
            timeout: self.timeout,
            resource: self.resource,
        })
    }
}

/// More often than any collector wants to hear.
const SHORTEST: Duration = Duration::from_millis(100);
