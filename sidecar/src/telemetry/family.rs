//! What is told of what: every metric by its name, its labels and what it means, and what it is at
//! some moment. Both the text for Prometheus and what goes to a collector are made of it.

use std::borrow::Cow;

use super::measures::{Distribution, Histogram};

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Family {
    /// As Prometheus knows it. A histogram's has `_bucket`, `_sum` and `_count` added.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The names of its labels; never of values that a caller chooses.
    pub(crate) labels: &'static [&'static str],
    /// One sentence.
    pub(crate) help: &'static str,
}

/// What may become of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Grows; its name ends in `_total`.
    Counter,
    Gauge,
    Histogram,
}

/// Values for a family's labels, in their order.
pub(crate) type LabelValues = Vec<Cow<'static, str>>;

/// A metric at some moment.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) family: &'static Family,
    pub(crate) points: Vec<(LabelValues, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Of a counter or a gauge.
    Whole(u64),
    Real(f64),
    Distribution(Distribution),
}

/// Everything at some moment.
#[derive(Debug, Default)]
pub(crate) struct Readings(Vec<Reading>);

impl Family {
    pub(super) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Counter, labels, help }
    }

    pub(super) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Gauge, labels, help }
    }

    pub(super) const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram, labels, help }
    }

    /// The name of the family: a counter's is without what is added to its samples.
    pub(crate) fn stem(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }
}

impl Kind {
    /// As Prometheus calls it.
    #[cfg(test)]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Readings {
    /// Notes one value of a family.
    pub(super) fn add(
        &mut self,
        family: &'static Family,
        labels: impl IntoIterator<Item = impl Into<Cow<'static, str>>>,
        value: Value,
    ) {
        let point = (labels.into_iter().map(Into::into).collect(), value);
        match self.0.iter_mut().find(|reading| reading.family == family) {
            Some(reading) => reading.points.push(point),
            None => self.0.push(Reading { family, points: vec![point] }),
        }
    }

    /// Notes the value of a family without labels.
    pub(super) fn one(&mut self, family: &'static Family, value: impl Into<Value>) {
        self.add(family, NO_LABELS, value.into());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Reading> {
        self.0.iter()
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(u64::try_from(value).unwrap_or(u64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(u64::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&Histogram> for Value {
    fn from(histogram: &Histogram) -> Self {
        Self::Distribution(histogram.read())
    }
}

const NO_LABELS: [&str; 0] = [];
