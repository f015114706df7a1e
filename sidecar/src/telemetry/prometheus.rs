//! The text that Prometheus scrapes: OpenMetrics 1.0, which its older readers understand as well.

use std::{fmt, iter::zip};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use super::family::{Family, Kind, LabelValues, Reading, Readings, Value};

/// What the text is said to be.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that was read, as text.
pub(crate) fn text_of(readings: Readings) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Told(readings)));
    let mut out = String::with_capacity(32 * 1024);
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Told(Readings);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|reading| encode(reading, &mut encoder))
    }
}

fn encode(
    Reading { family, points }: &Reading,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    let mut metric = encoder.encode_descriptor(family.stem(), family.help, None, kind)?;
    for (labels, value) in points {
        let labels = labelled(family, labels);
        if labels.is_empty() {
            encode_value(family.kind, value, &mut metric)?;
        } else {
            encode_value(family.kind, value, &mut metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn labelled<'a>(family: &Family, values: &'a LabelValues) -> Vec<(&'static str, &'a str)> {
    zip(family.labels, values).map(|(name, value)| (*name, value.as_ref())).collect()
}

fn encode_value(kind: Kind, value: &Value, metric: &mut MetricEncoder<'_>) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => {
            metric.encode_counter::<NoLabelSet, _, f64>(value, None)
        }
        (Kind::Counter, Value::Real(value)) => {
            metric.encode_counter::<NoLabelSet, _, f64>(value, None)
        }
        (Kind::Gauge, Value::Whole(value)) => metric.encode_gauge(value),
        (Kind::Gauge, Value::Real(value)) => metric.encode_gauge(value),
        (_, Value::Distribution(read)) => {
            let bounds = read.bounds.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<_> = zip(bounds, read.counts.iter().copied()).collect();
            metric.encode_histogram::<NoLabelSet>(read.sum, read.count(), &buckets, None)
        }
        // There is no such family.
        (Kind::Histogram, Value::Whole(_) | Value::Real(_)) => Err(fmt::Error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::measures::Histogram;

    #[test]
    fn the_text_is_as_openmetrics_says() {
        static COUNTED: Family = Family::counter("c_total", &["a", "b"], "Some.");
        static MEASURED: Family = Family::histogram("h", &[], "Others.");
        static LEVEL: Family = Family::gauge("g_seconds", &[], "More.");
        let histogram = Histogram::of_counts();
        [1, 2, 3, 1_000].iter().for_each(|value| histogram.observe(*value));
        let mut readings = Readings::default();
        readings.add(&COUNTED, ["1", "say \"\\\n"], Value::Whole(2));
        readings.add(&COUNTED, ["2", ""], Value::Whole(1));
        readings.one(&MEASURED, &histogram);
        readings.one(&LEVEL, 0.5);
        let text = text_of(readings).unwrap();
        let expected = "\
# HELP c Some.
# TYPE c counter
c_total{a=\"1\",b=\"say \\\"\\\\\\n\"} 2
c_total{a=\"2\",b=\"\"} 1
# HELP h Others.
# TYPE h histogram
h_sum 1006.0
h_count 4
h_bucket{le=\"1.0\"} 1
h_bucket{le=\"2.0\"} 2
h_bucket{le=\"4.0\"} 3
";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("h_bucket{le=\"+Inf\"} 4\n# HELP g_seconds"), "{text}");
        assert!(text.ends_with("g_seconds 0.5\n# EOF\n"), "{text}");
    }
}
