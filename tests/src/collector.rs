//! A collector that takes OTLP over HTTP and keeps it, made of the official protobuf messages.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
};
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value},
    metrics::v1::Metric,
    trace::v1::Span,
};
use prost::Message as _;

/// A collector for one test.
#[derive(Debug, Clone)]
pub struct CollectorDouble {
    address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

/// What it was sent.
#[derive(Debug, Default)]
struct Taken {
    headers: Vec<HeaderMap>,
    bytes: Vec<u8>,
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
}

impl CollectorDouble {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let double = Self { address: listener.local_addr().unwrap(), taken: Arc::default() };
        let router = Router::new()
            .route("/otlp/v1/{signal}", axum::routing::post(take))
            .with_state(Arc::clone(&double.taken));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        double
    }

    /// The base URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}/otlp", self.address)
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock().unwrap();
        let scopes = taken.traces.iter().flat_map(|it| &it.resource_spans);
        scopes.flat_map(|it| &it.scope_spans).flat_map(|it| it.spans.clone()).collect()
    }

    /// The latest metrics.
    pub fn metrics(&self) -> Vec<Metric> {
        let taken = self.taken.lock().unwrap();
        let latest = taken.metrics.last().into_iter().flat_map(|it| &it.resource_metrics);
        latest.flat_map(|it| &it.scope_metrics).flat_map(|it| it.metrics.clone()).collect()
    }

    /// What the latest metrics are said to be of.
    pub fn resource(&self) -> BTreeMap<String, String> {
        let taken = self.taken.lock().unwrap();
        let latest = taken.metrics.last().and_then(|it| it.resource_metrics.first());
        let resource = latest.and_then(|it| it.resource.as_ref());
        resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default()
    }

    /// The headers of every exchange.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.taken.lock().unwrap().headers.clone()
    }

    /// Whether any body held this.
    pub fn was_sent(&self, text: &str) -> bool {
        let taken = self.taken.lock().unwrap();
        taken.bytes.windows(text.len()).any(|some| some == text.as_bytes())
    }
}

async fn take(
    State(taken): State<Arc<Mutex<Taken>>>,
    Path(signal): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut taken = taken.lock().unwrap();
    assert_eq!(headers.get("content-type").unwrap(), "application/x-protobuf");
    taken.headers.push(headers);
    taken.bytes.extend_from_slice(&body);
    match signal.as_str() {
        "traces" => taken.traces.push(ExportTraceServiceRequest::decode(body).unwrap()),
        "metrics" => taken.metrics.push(ExportMetricsServiceRequest::decode(body).unwrap()),
        _ => return StatusCode::NOT_FOUND,
    }
    StatusCode::OK
}

/// Attributes as text, by name.
pub fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |it: &KeyValue| match it.value.clone().and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|it| (it.key.clone(), text(it))).collect()
}
