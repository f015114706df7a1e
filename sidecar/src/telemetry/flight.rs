//! One request from its arrival to the end of its answer, as far as it is measured.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;

use super::{
    CalledTool, Telemetry,
    spans::OpenSpan,
    steps::{Step, StepTimes, Steps},
    trace_context::{CallersTrace, PassedOn},
};
use crate::ledger::{Decision, DecisionRecord};

/// A request under way. Dropped, it has ended.
#[derive(Debug)]
pub(crate) struct Flight {
    telemetry: Arc<Telemetry>,
    arrived: Instant,
    arrived_at: SystemTime,
    steps: Steps,
    tool: CalledTool,
    decision: Decision,
    listens: bool,
    callers_trace: Option<CallersTrace>,
    caller: Caller,
    span: Option<Box<OpenSpan>>,
}

/// Whether it is known who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Stranger,
    Verified,
}

impl Flight {
    pub(crate) fn new(telemetry: Arc<Telemetry>, callers_trace: Option<CallersTrace>) -> Self {
        telemetry.in_flight.up();
        let arrived = Instant::now();
        Self {
            telemetry,
            arrived,
            arrived_at: SystemTime::now(),
            steps: Steps::starting(arrived),
            tool: CalledTool::None,
            decision: Decision::Deny,
            listens: false,
            callers_trace,
            caller: Caller::Stranger,
            span: None,
        }
    }

    /// Since the request arrived.
    pub(crate) fn elapsed(&self) -> Duration {
        self.arrived.elapsed()
    }

    /// The time from now on is that of another step, or of none.
    pub(crate) fn enters(&mut self, step: impl Into<Option<Step>>) {
        self.steps.enter(step.into());
    }

    /// What the steps of the decision took.
    pub(crate) fn step_times(&self) -> StepTimes {
        self.steps.times()
    }

    /// The caller's token has been verified.
    pub(crate) fn caller_is_known(&mut self) {
        self.caller = Caller::Verified;
    }

    /// The trace that the caller says this is a part of.
    pub(crate) fn callers_trace(&self) -> Option<&CallersTrace> {
        self.callers_trace.as_ref()
    }

    /// What the message itself says of that; headers, which whoever relayed it may have set, come
    /// first.
    pub(crate) fn traced_by_message(&mut self, read: impl FnOnce() -> Option<CallersTrace>) {
        if self.callers_trace.is_none() {
            self.callers_trace = read();
        }
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Notes which tool is called, and whether somebody merely listens.
    pub(crate) fn calls(&mut self, tool: CalledTool, listens: bool) {
        (self.tool, self.listens) = (tool, listens);
    }

    /// How many bytes of a request's body have been read.
    pub(crate) fn received(&self, bytes: usize) {
        self.telemetry.request_bytes.add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Begins the span, unless it has begun, and yields its trace. Nothing where none are exported.
    pub(crate) fn trace_id(&mut self) -> Option<String> {
        self.span().map(|span| span.trace_id())
    }

    /// What the upstream is told.
    pub(crate) fn passed_on(&mut self) -> Option<PassedOn> {
        self.span().map(|span| span.passed_on())
    }

    fn span(&mut self) -> Option<&mut OpenSpan> {
        if self.span.is_none() {
            let spans = self.telemetry.spans.as_ref()?;
            self.span = spans.begin(self.callers_trace.as_ref(), self.caller).map(Box::new);
        }
        self.span.as_deref_mut()
    }

    /// It is decided, and everybody has been told.
    pub(crate) fn decided(&mut self, record: &DecisionRecord) {
        self.decision = record.decision;
        self.telemetry.decisions.count(&self.tool, record.reason);
        let tool = self.tool.clone();
        if let Some(span) = self.span() {
            span.decided(record, tool.name());
        }
    }

    /// It is answered with this status.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        if let Some(span) = &mut self.span {
            span.answered(status);
        }
    }

    /// It leaves for the upstream.
    pub(crate) fn forwarded(&mut self) {
        self.enters(Step::Upstream);
        if let Some(span) = &mut self.span {
            span.forwarded(self.arrived.elapsed());
        }
    }

    /// The upstream has begun to answer.
    pub(crate) fn upstream_answered(&mut self, status: StatusCode) {
        self.enters(None);
        self.telemetry.upstream_answered();
        if let Some(span) = &mut self.span {
            span.upstream_answered(self.arrived.elapsed(), status);
        }
    }

    /// What came back of a forwarded request is not relayed, or not to its end.
    pub(crate) fn failed(&mut self, reason: &'static str) {
        self.enters(None);
        if let Some(span) = &mut self.span {
            span.failed(self.arrived.elapsed(), reason);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.steps.enter(None);
        let telemetry = &self.telemetry;
        telemetry.in_flight.down();
        for (step, took) in self.steps.taken() {
            telemetry.step(step).took(took);
        }
        let took = self.arrived.elapsed();
        if !self.listens {
            telemetry.duration(self.decision).took(took);
        }
        if let (Some(span), Some(spans)) = (self.span.take(), &telemetry.spans) {
            spans.end(*span, self.arrived_at, took);
        }
    }
}
