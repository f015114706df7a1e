//! A request of which nothing happens but that it is measured, for a benchmark.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::{CallersTrace, Exporter, Flight, PERMITTED, Step, Telemetry};
use crate::{
    config::{CallersContext, Exported, Signals, TelemetryConfig},
    ledger::{Decision, DecisionRecord},
};

/// Measures requests that nobody makes.
#[derive(Debug)]
pub struct Measured {
    telemetry: Arc<Telemetry>,
    record: DecisionRecord,
    /// Holds the queue, which is never emptied.
    _exporter: Option<Exporter>,
}

impl Measured {
    /// With this part of traces exported, or without any.
    pub fn new(sample_ratio: Option<f64>) -> Option<Self> {
        let config = |sample_ratio| {
            Some(TelemetryConfig {
                endpoint: "http://127.0.0.1:4318".parse().ok()?,
                signals: Signals { traces: Exported::Yes, metrics: Exported::No },
                headers: None,
                ca: None,
                sample_ratio,
                callers_context: CallersContext::Parent,
                metrics_interval: std::time::Duration::from_secs(60),
                timeout: std::time::Duration::from_secs(10),
                resource: std::collections::BTreeMap::new(),
            })
        };
        let config = sample_ratio.and_then(config);
        let (telemetry, exporter) = Telemetry::new(config.as_ref()).ok()?;
        let mut record = DecisionRecord::new(([192, 0, 2, 1], 1).into());
        record.decision = Decision::Allow;
        record.reason = PERMITTED;
        record.method = Some("tools/call".to_owned());
        record.policies = vec!["customer-read".to_owned()];
        Some(Self { telemetry: Arc::new(telemetry), record, _exporter: exporter })
    }

    /// Everything that is measured of a permitted call.
    pub fn request(&self, headers: &HeaderMap) {
        let trace = CallersTrace::in_headers(headers);
        let mut flight = Flight::new(Arc::clone(&self.telemetry), trace);
        flight.enters(Step::Token);
        flight.caller_is_known();
        flight.enters(Step::Message);
        flight.received(170);
        drop(flight.passed_on());
        flight.enters(Step::Authz);
        let names = || ["get_customer_info", "create_support_ticket"].into_iter();
        flight.calls(self.telemetry.decisions.tool("get_customer_info", "1", names), false);
        flight.enters(Step::Limits);
        flight.enters(None);
        drop(flight.trace_id());
        flight.enters(Step::Ledger);
        flight.enters(None);
        flight.decided(&self.record);
        flight.forwarded();
        flight.upstream_answered(StatusCode::OK);
        flight.answered(StatusCode::OK);
        self.telemetry.outcomes.count(super::ANSWERED);
        self.telemetry.answer_bytes.add(500);
    }
}
