//! OTLP 1: what was read and what was spanned as the official protobuf messages.

use std::{
    collections::BTreeMap,
    iter::zip,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use uuid::Uuid;

use super::family::{Kind, LabelValues, Reading, Readings, Value};

/// Who tells all this.
#[derive(Debug, Clone)]
pub(super) struct Source {
    resource: Resource,
    started_ns: u64,
}

/// One attribute.
pub(super) fn attribute(key: &str, value: impl Into<Told>) -> KeyValue {
    let Told(value) = value.into();
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// The value of an attribute.
pub(super) struct Told(any_value::Value);

impl From<&str> for Told {
    fn from(text: &str) -> Self {
        Self(any_value::Value::StringValue(text.to_owned()))
    }
}

impl From<String> for Told {
    fn from(text: String) -> Self {
        Self(any_value::Value::StringValue(text))
    }
}

impl From<i64> for Told {
    fn from(number: i64) -> Self {
        Self(any_value::Value::IntValue(number))
    }
}

impl Source {
    /// This process; what is configured goes before what is known.
    pub(super) fn new(configured: &BTreeMap<String, String>) -> Self {
        let instance = Uuid::new_v4().to_string();
        let known = [
            ("service.name", SCOPE),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", &instance),
        ];
        let known = known.into_iter().filter(|(key, _)| !configured.contains_key(*key));
        let mut attributes: Vec<KeyValue> =
            known.map(|(key, value)| attribute(key, value)).collect();
        attributes.extend(configured.iter().map(|(key, value)| attribute(key, value.as_str())));
        let resource = Resource { attributes, ..Resource::default() };
        Self { resource, started_ns: nanoseconds(SystemTime::now()) }
    }

    pub(super) fn spans(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope_spans = ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![scope_spans],
                ..ResourceSpans::default()
            }],
        }
    }

    pub(super) fn metrics(&self, readings: &Readings) -> ExportMetricsServiceRequest {
        let now_ns = nanoseconds(SystemTime::now());
        let metrics = readings.iter().map(|reading| self.metric(reading, now_ns)).collect();
        let scope_metrics =
            ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![scope_metrics],
                ..ResourceMetrics::default()
            }],
        }
    }

    fn metric(&self, Reading { family, points }: &Reading, now_ns: u64) -> Metric {
        let temporality = AggregationTemporality::Cumulative.into();
        let numbers = || {
            let of = |(labels, value): &(LabelValues, Value)| NumberDataPoint {
                attributes: attributes(family.labels, labels),
                start_time_unix_nano: self.started_ns,
                time_unix_nano: now_ns,
                value: number(value),
                ..NumberDataPoint::default()
            };
            points.iter().map(of).collect()
        };
        let data = match family.kind {
            Kind::Counter => metric::Data::Sum(Sum {
                data_points: numbers(),
                aggregation_temporality: temporality,
                is_monotonic: true,
            }),
            Kind::Gauge => metric::Data::Gauge(Gauge { data_points: numbers() }),
            Kind::Histogram => metric::Data::Histogram(Histogram {
                data_points: points
                    .iter()
                    .filter_map(|(labels, value)| {
                        let labels = attributes(family.labels, labels);
                        self.distribution(labels, value, now_ns)
                    })
                    .collect(),
                aggregation_temporality: temporality,
            }),
        };
        Metric {
            name: family.stem().to_owned(),
            description: family.help.to_owned(),
            unit: unit_of(family.stem()).to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn distribution(
        &self,
        attributes: Vec<KeyValue>,
        value: &Value,
        now_ns: u64,
    ) -> Option<HistogramDataPoint> {
        let Value::Distribution(read) = value else { return None };
        Some(HistogramDataPoint {
            attributes,
            start_time_unix_nano: self.started_ns,
            time_unix_nano: now_ns,
            count: read.count(),
            sum: Some(read.sum),
            bucket_counts: read.counts.clone(),
            explicit_bounds: read.bounds.clone(),
            ..HistogramDataPoint::default()
        })
    }
}

fn attributes(names: &[&str], values: &LabelValues) -> Vec<KeyValue> {
    zip(names, values).map(|(name, value)| attribute(name, value.as_ref())).collect()
}

fn number(value: &Value) -> Option<number_data_point::Value> {
    match value {
        Value::Whole(value) => {
            Some(number_data_point::Value::AsInt(i64::try_from(*value).unwrap_or(i64::MAX)))
        }
        Value::Real(value) => Some(number_data_point::Value::AsDouble(*value)),
        Value::Distribution(_) => None,
    }
}

/// In UCUM, by the name's ending.
fn unit_of(name: &str) -> &'static str {
    [("_seconds", "s"), ("_bytes", "By")]
        .into_iter()
        .find(|(ending, _)| name.ends_with(ending))
        .map_or("", |(_, unit)| unit)
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Since 1970.
pub(super) fn nanoseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

const SCOPE: &str = "cedargate";
