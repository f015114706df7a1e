//! What operators are told in numbers and traces. It decides nothing, nothing waits for it, and
//! none of its labels is of a caller's choosing.
//!
//! - `measures`: counters, levels, histograms.
//! - `flight`: one request from arrival to end; `steps`: what its questions took.
//! - `tools`: decisions by tool and reason, for tools that policies know.
//! - `readings`: every metric by name, and where it is counted; `family`: in which form.
//! - `prometheus`: the same as text for a scraper.
//! - `spans`, `trace_context`: what a request is a part of, and what it is for the upstream.
//! - `otlp`, `collector`, `export`: spans and metrics on their way to a collector.

mod collector;
#[cfg(test)]
mod deployed;
mod export;
mod family;
mod flight;
mod measures;
mod otlp;
#[cfg(feature = "testing")]
mod pretended;
mod process;
pub(crate) mod prometheus;
pub(crate) mod readings;
mod spans;
mod steps;
mod tools;
mod trace_context;

use std::time::SystemTime;

use tokio::sync::mpsc;

use crate::{
    authz::Policies,
    config::{Exported, TelemetryConfig},
    ledger::Decision,
    watch::{Detector, Finding, Severity},
};
pub use collector::UnusableTelemetry;
pub(crate) use export::Exporter;
pub(crate) use flight::Flight;
pub(crate) use measures::{Counter, Histogram, Level};
#[cfg(feature = "testing")]
pub use pretended::Measured;
pub(crate) use steps::Step;
pub use steps::StepTimes;
pub(crate) use tools::{ABANDONED, CalledTool, PERMITTED};
pub(crate) use trace_context::{CallersTrace, PassedOn, TRACEPARENT, TRACESTATE};

use collector::Collector;
use export::Exports;
use spans::Spans;
use tools::{ByReason, Decisions};

/// What is counted of requests; shared by all of them. Other parts count what is theirs.
#[derive(Debug)]
pub(crate) struct Telemetry {
    started: SystemTime,
    decisions: Decisions,
    pub(crate) outcomes: ByReason,
    in_flight: Level,
    /// Of permitted requests, and of others.
    durations: [Histogram; 2],
    steps: [Histogram; Step::ALL.len()],
    request_bytes: Counter,
    pub(crate) answer_bytes: Counter,
    findings: [[Counter; Severity::ALL.len()]; Detector::ALL.len()],
    /// 1 when the latest request could not reach it.
    upstream_is_away: Level,
    exports: Exports,
    /// Nothing where no traces are exported.
    spans: Option<Spans>,
}

impl Default for Telemetry {
    /// Counts, and exports nothing.
    fn default() -> Self {
        Self {
            started: SystemTime::now(),
            decisions: Decisions::default(),
            outcomes: ByReason::and([ANSWERED, BROKEN_OFF]),
            in_flight: Level::default(),
            durations: std::array::from_fn(|_| Histogram::of_durations()),
            steps: std::array::from_fn(|_| Histogram::of_durations()),
            request_bytes: Counter::default(),
            answer_bytes: Counter::default(),
            findings: std::array::from_fn(|_| std::array::from_fn(|_| Counter::default())),
            upstream_is_away: Level::default(),
            exports: Exports::default(),
            spans: None,
        }
    }
}

impl Telemetry {
    /// As configured, with what exports it.
    pub(crate) fn new(
        config: Option<&TelemetryConfig>,
    ) -> Result<(Self, Option<Exporter>), UnusableTelemetry> {
        let Some(config) = config else { return Ok((Self::default(), None)) };
        let collector = Collector::new(config)?;
        let (queue, ended) = mpsc::channel(export::MAX_WAITING);
        let spans = Spans::new(queue, config.callers_context, config.sample_ratio);
        let spans = (config.signals.traces == Exported::Yes).then_some(spans);
        let exporter = Exporter::new(collector, config.clone(), ended);
        Ok((Self { spans, ..Self::default() }, Some(exporter)))
    }

    /// A tool by the label that it has under these policies.
    pub(crate) fn tool(&self, name: &str, policies: &Policies) -> CalledTool {
        self.decisions.tool(name, &policies.summary().version, || policies.tools())
    }

    /// Something odd was noticed.
    pub(crate) fn noticed(&self, finding: &Finding) {
        if let Some(counter) = self.raised(finding.detector, finding.severity) {
            counter.one_more();
        }
    }

    /// The upstream could not be reached.
    pub(crate) fn upstream_is_away(&self) {
        self.upstream_is_away.set(1);
    }

    fn upstream_answered(&self) {
        // Mostly it is so already, and others read it.
        if !self.upstream_is_reachable() {
            self.upstream_is_away.set(0);
        }
    }

    /// Whether the latest request reached it, as far as there was one.
    pub(crate) fn upstream_is_reachable(&self) -> bool {
        self.upstream_is_away.get() == 0
    }

    fn raised(&self, detector: Detector, severity: Severity) -> Option<&Counter> {
        let detector = Detector::ALL.iter().position(|one| *one == detector)?;
        let severity = Severity::ALL.iter().position(|one| *one == severity)?;
        self.findings.get(detector)?.get(severity)
    }

    fn duration(&self, outcome: Decision) -> &Histogram {
        let [allowed, denied] = &self.durations;
        if outcome == Decision::Allow { allowed } else { denied }
    }

    fn step(&self, step: Step) -> &Histogram {
        let [token, message, authz, limits, ledger, upstream] = &self.steps;
        match step {
            Step::Token => token,
            Step::Message => message,
            Step::Authz => authz,
            Step::Limits => limits,
            Step::Ledger => ledger,
            Step::Upstream => upstream,
        }
    }
}

/// What came of a request whose answer was relayed to its end.
pub(crate) const ANSWERED: &str = "answered";
/// What came of one whose caller or upstream left before.
pub(crate) const BROKEN_OFF: &str = "broken-off";
