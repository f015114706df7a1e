//! Spans: one of the server's for each request, one of the client's for its way to the upstream
//! (OpenTelemetry semantic conventions for MCP). They hold what policy, configuration and protocol
//! know, and nothing that a caller wrote.

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use http::StatusCode;
use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{Span, Status, span, status},
};
use tokio::sync::mpsc;

use super::{
    flight::Caller,
    measures::Counter,
    otlp::{attribute, nanoseconds},
    trace_context::{CallersTrace, PassedOn, SpanId, TraceId},
};
use crate::{
    config::CallersContext,
    ledger::{Decision, DecisionRecord},
    message::Method,
};

/// Begins spans, and hands on those that are sampled.
#[derive(Debug)]
pub(crate) struct Spans {
    queue: mpsc::Sender<[Option<Span>; 2]>,
    /// Spans for which there was no room.
    pub(super) dropped: Counter,
    callers_context: CallersContext,
    /// A new trace is sampled if its number is less.
    sampled_below: u64,
}

/// A span of a request under way, and the one of its way to the upstream.
#[derive(Debug)]
pub(crate) struct OpenSpan {
    trace: TraceId,
    id: SpanId,
    upstream_id: SpanId,
    parent: Option<SpanId>,
    link: Option<CallersTrace>,
    state: Option<String>,
    sampled: bool,
    name: String,
    attributes: Vec<KeyValue>,
    error: Option<&'static str>,
    /// Whether it was the gate or the upstream that failed, and not the caller.
    failed: bool,
    upstream: Option<Exchange>,
}

/// From when to when, after the arrival, and what came of it.
#[derive(Debug)]
struct Exchange {
    began: Duration,
    ended: Option<Duration>,
    status: Option<StatusCode>,
    error: Option<&'static str>,
}

impl Spans {
    pub(super) fn new(
        queue: mpsc::Sender<[Option<Span>; 2]>,
        callers_context: CallersContext,
        sample_ratio: f64,
    ) -> Self {
        let dropped = Counter::default();
        Self { queue, dropped, callers_context, sampled_below: sampled_below(sample_ratio) }
    }

    /// A new span; nothing where the system yields no random bytes.
    pub(super) fn begin(&self, callers: Option<&CallersTrace>, caller: Caller) -> Option<OpenSpan> {
        let mut random = [0; 32];
        rand::fill(&mut random).ok()?;
        let (trace, rest) = random.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (upstream_id, _) = rest.split_first_chunk()?;
        let mut span = OpenSpan {
            trace: TraceId(*trace),
            id: SpanId(*id),
            upstream_id: SpanId(*upstream_id),
            parent: None,
            link: None,
            state: None,
            sampled: number_of(trace) < self.sampled_below,
            name: UNNAMED.to_owned(),
            attributes: Vec::new(),
            error: None,
            failed: false,
            upstream: None,
        };
        match (callers, self.callers_context) {
            (Some(theirs), CallersContext::Parent) if caller == Caller::Verified => {
                (span.trace, span.parent) = (theirs.trace, Some(theirs.parent));
                (span.sampled, span.state) = (theirs.sampled, theirs.state.clone());
            }
            (Some(theirs), CallersContext::Parent | CallersContext::Link) => {
                span.link = Some(theirs.clone());
            }
            (_, CallersContext::Ignore) | (None, _) => {}
        }
        Some(span)
    }

    /// Hands on what is sampled. Where there is no room it is lost; nobody waits.
    pub(super) fn end(&self, span: OpenSpan, arrived_at: SystemTime, took: Duration) {
        if span.sampled && self.queue.try_send(span.ended(arrived_at, took)).is_err() {
            self.dropped.one_more();
        }
    }
}

/// Below which number a trace has to be to be sampled: such a part of all of them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the ratio is from 0 to 1, and a cast of a float is bounded"
)]
fn sampled_below(ratio: f64) -> u64 {
    if ratio >= 1.0 { u64::MAX } else { (ratio * LAST_OF_A_TRACE as f64) as u64 }
}

/// The last seven bytes of a trace, which are random wherever it began (W3C Trace Context level 2,
/// section 5).
fn number_of(trace: &[u8; 16]) -> u64 {
    let last = trace.last_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(last) & LAST_OF_A_TRACE
}

impl OpenSpan {
    pub(super) fn trace_id(&self) -> String {
        self.trace.to_string()
    }

    /// For the upstream, whose parent is the span of the way there.
    pub(super) fn passed_on(&self) -> PassedOn {
        PassedOn::new(self.trace, self.upstream_id, self.sampled, self.state.clone())
    }

    /// Notes what was decided; names are only those of the protocol and of tools in force.
    pub(super) fn decided(&mut self, record: &DecisionRecord, tool: Option<&str>) {
        if !self.sampled {
            return;
        }
        let method = record.method.as_deref().and_then(Method::named);
        if let Some(Method { name, .. }) = method {
            self.attributes.push(attribute("mcp.method.name", *name));
            self.name = match tool {
                Some(tool) => format!("{name} {tool}"),
                None => (*name).to_owned(),
            };
        }
        if let Some(tool) = tool {
            self.attributes.push(attribute("gen_ai.operation.name", "execute_tool"));
            self.attributes.push(attribute("gen_ai.tool.name", tool));
        }
        let request_id = record.request_id.to_string();
        for (key, value) in [
            ("cedargate.request_id", request_id.as_str()),
            ("cedargate.decision", record.decision.as_str()),
            ("cedargate.reason", record.reason),
        ] {
            self.attributes.push(attribute(key, value));
        }
        if let Some(version) = &record.policy_version {
            self.attributes.push(attribute("cedargate.policy_version", version.as_str()));
        }
        if !record.policies.is_empty() {
            self.attributes.push(attribute("cedargate.policies", record.policies.join(" ")));
        }
        if record.decision == Decision::Deny {
            self.error = Some(record.reason);
        }
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.failed |= status.is_server_error();
        if self.sampled {
            let status = i64::from(status.as_u16());
            self.attributes.push(attribute("http.response.status_code", status));
        }
    }

    pub(super) fn forwarded(&mut self, at: Duration) {
        self.upstream = Some(Exchange { began: at, ended: None, status: None, error: None });
    }

    pub(super) fn upstream_answered(&mut self, at: Duration, status: StatusCode) {
        if let Some(exchange) = &mut self.upstream {
            (exchange.ended, exchange.status) = (Some(at), Some(status));
        }
    }

    pub(super) fn failed(&mut self, at: Duration, reason: &'static str) {
        (self.error, self.failed) = (Some(reason), true);
        if let Some(exchange) = self.upstream.as_mut().filter(|it| it.ended.is_none()) {
            (exchange.ended, exchange.error) = (Some(at), Some(reason));
        }
    }

    fn ended(self, arrived_at: SystemTime, took: Duration) -> [Option<Span>; 2] {
        let state = self.state.clone().unwrap_or_default();
        let at = |after: Duration| nanoseconds(arrived_at + after);
        let base = Span {
            trace_id: self.trace.0.to_vec(),
            trace_state: state,
            name: self.name.clone(),
            ..Span::default()
        };
        let upstream = self.upstream.map(|exchange| {
            let mut attributes = self.attributes.clone();
            attributes
                .retain(|it| ["mcp.method.name", "gen_ai.tool.name"].contains(&it.key.as_str()));
            if let Some(status) = exchange.status {
                let status = i64::from(status.as_u16());
                attributes.push(attribute("http.response.status_code", status));
            }
            Span {
                span_id: self.upstream_id.0.to_vec(),
                parent_span_id: self.id.0.to_vec(),
                kind: span::SpanKind::Client.into(),
                start_time_unix_nano: at(exchange.began),
                end_time_unix_nano: at(exchange.ended.unwrap_or(took)),
                attributes: with_error(attributes, exchange.error),
                status: status_of(exchange.error),
                ..base.clone()
            }
        });
        let links = self.link.into_iter().map(|theirs| span::Link {
            trace_id: theirs.trace.0.to_vec(),
            span_id: theirs.parent.0.to_vec(),
            ..span::Link::default()
        });
        let server = Span {
            span_id: self.id.0.to_vec(),
            parent_span_id: self.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
            kind: span::SpanKind::Server.into(),
            start_time_unix_nano: at(Duration::ZERO),
            end_time_unix_nano: at(took),
            attributes: with_error(self.attributes, self.error),
            links: links.collect(),
            status: status_of(self.error.filter(|_| self.failed)),
            ..base
        };
        [Some(server), upstream]
    }
}

fn with_error(mut attributes: Vec<KeyValue>, error: Option<&'static str>) -> Vec<KeyValue> {
    attributes.extend(error.map(|error| attribute("error.type", error)));
    attributes
}

fn status_of(error: Option<&'static str>) -> Option<Status> {
    let of = |reason: &str| Status {
        code: status::StatusCode::Error.into(),
        message: reason.to_owned(),
    };
    error.map(of)
}

/// A request whose method is none of the protocol's, or was not read.
const UNNAMED: &str = "mcp";
/// As large as seven bytes are.
const LAST_OF_A_TRACE: u64 = 0x00ff_ffff_ffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(context: CallersContext, ratio: f64) -> (Spans, mpsc::Receiver<[Option<Span>; 2]>) {
        let (queue, ended) = mpsc::channel(2);
        (Spans::new(queue, context, ratio), ended)
    }

    fn theirs(flags: &str) -> CallersTrace {
        let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        CallersTrace::read(&parent, Some("vendor=1")).unwrap()
    }

    #[test]
    fn a_verified_callers_trace_is_continued_as_it_is_sampled() {
        for (flags, ratio) in [("01", 0.0), ("00", 1.0)] {
            let (spans, _) = spans(CallersContext::Parent, ratio);
            let theirs = theirs(flags);
            let span = spans.begin(Some(&theirs), Caller::Verified).unwrap();
            assert_eq!((span.trace, span.parent), (theirs.trace, Some(theirs.parent)));
            assert_eq!(span.sampled, flags == "01");
            let passed = span.passed_on();
            assert_eq!(
                passed.traceparent,
                format!("00-{}-{}-{flags}", span.trace, span.upstream_id)
            );
            assert_eq!(passed.tracestate.as_deref(), Some("vendor=1"));
        }
    }

    #[test]
    fn what_a_stranger_says_is_a_link_at_most_and_samples_nothing() {
        for (context, caller, linked) in [
            (CallersContext::Parent, Caller::Stranger, true),
            (CallersContext::Link, Caller::Verified, true),
            (CallersContext::Ignore, Caller::Verified, false),
        ] {
            let (spans, _) = spans(context, 0.0);
            let theirs = theirs("01");
            let span = spans.begin(Some(&theirs), caller).unwrap();
            assert!(span.trace != theirs.trace && span.parent.is_none() && !span.sampled);
            assert_eq!((span.link.is_some(), &span.state), (linked, &None), "{context:?}");
        }
    }

    #[test]
    fn about_as_many_traces_are_sampled_as_were_asked_for() {
        for (ratio, range) in [(0.0, 0..=0), (0.25, 700..=1_300), (1.0, 4_000..=4_000)] {
            let (spans, _) = spans(CallersContext::Parent, ratio);
            let begun = (0..4_000).filter_map(|_| spans.begin(None, Caller::Stranger));
            let sampled = begun.filter(|span| span.sampled).count();
            assert!(range.contains(&sampled), "{ratio}: {sampled}");
        }
    }

    #[test]
    fn nobody_waits_for_room() {
        let (spans, mut ended) = spans(CallersContext::Parent, 1.0);
        for _ in 0..5 {
            let mut span = spans.begin(None, Caller::Stranger).unwrap();
            span.forwarded(Duration::from_millis(1));
            span.failed(Duration::from_millis(2), "upstream-unreachable");
            spans.end(span, SystemTime::UNIX_EPOCH, Duration::from_millis(3));
        }
        assert_eq!(spans.dropped.get(), 3);
        let [server, upstream] = ended.try_recv().unwrap().map(Option::unwrap);
        assert_eq!(upstream.parent_span_id, server.span_id);
        assert_eq!(
            (upstream.start_time_unix_nano, upstream.end_time_unix_nano),
            (1_000_000, 2_000_000)
        );
        assert_eq!((server.start_time_unix_nano, server.end_time_unix_nano), (0, 3_000_000));
        assert_eq!(server.status.unwrap().message, "upstream-unreachable");
    }
}
