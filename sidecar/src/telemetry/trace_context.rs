//! W3C Trace Context: which trace a request is part of, as its caller says and as the upstream is
//! told.

use data_encoding::HEXLOWER;
use http::HeaderMap;

use crate::message::json::{Json, Object};

/// A `traceparent` and what goes with it, as a caller wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallersTrace {
    pub(super) trace: TraceId,
    pub(super) parent: SpanId,
    pub(super) sampled: bool,
    /// `tracestate`, passed on as it is.
    pub(super) state: Option<String>,
}

/// Names a trace. Not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(pub(super) [u8; 16]);

/// Names a span of it. Not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(pub(super) [u8; 8]);

/// What is passed on to the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PassedOn {
    pub(crate) traceparent: String,
    pub(crate) tracestate: Option<String>,
}

impl CallersTrace {
    /// What the headers say, if each is there once and well-formed.
    pub(crate) fn in_headers(headers: &HeaderMap) -> Option<Self> {
        let single = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let (value, more) = (values.next()?, values.next());
            value.to_str().ok().filter(|_| more.is_none())
        };
        Self::read(single(TRACEPARENT)?, single(TRACESTATE))
    }

    /// Reads a `traceparent` (W3C Trace Context section 3.2); nothing of one that is malformed. Of
    /// a later version its first parts count, as section 4.3 says.
    pub(crate) fn read(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = parent.split('-');
        let [version, trace, span, flags] =
            [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let [version] = digits(version)?;
        let [flags] = digits(flags)?;
        let (trace, span) = (TraceId(digits(trace)?), SpanId(digits(span)?));
        let more = parts.next().is_some();
        let is_one = version != 0xff && !(version == 0 && more);
        if !is_one || trace.0 == [0; 16] || span.0 == [0; 8] {
            return None;
        }
        let state = state.filter(|state| is_state(state)).map(str::to_owned);
        Some(Self { trace, parent: span, sampled: flags & SAMPLED != 0, state })
    }

    /// The trace, in hexadecimal digits.
    pub(crate) fn trace_id(&self) -> String {
        self.trace.to_string()
    }
}

/// So many bytes in lower-case hexadecimal digits.
fn digits<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut out = [0; BYTES];
    let fits = text.len() == 2 * BYTES;
    let read = fits.then(|| HEXLOWER.decode_mut(text.as_bytes(), &mut out).ok()).flatten();
    read.map(|_| out)
}

/// Section 3.3.1.1, but for what a list member may hold: visible ASCII, tabs and blanks. What is
/// longer than everybody must pass on is not passed on.
fn is_state(state: &str) -> bool {
    (1..=MAX_STATE_BYTES).contains(&state.len())
        && state.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))
}

impl PassedOn {
    /// Says so in `params._meta`, in the place of what is said there.
    pub(crate) fn write_into(&self, meta: &mut Object) {
        meta.set(TRACEPARENT, Json::from(self.traceparent.as_str()));
        match &self.tracestate {
            Some(state) => meta.set(TRACESTATE, Json::from(state.as_str())),
            None => drop(meta.remove(TRACESTATE)),
        }
    }

    pub(super) fn new(
        trace: TraceId,
        span: SpanId,
        sampled: bool,
        tracestate: Option<String>,
    ) -> Self {
        let flags = if sampled { SAMPLED } else { 0 };
        Self { traceparent: format!("00-{trace}-{span}-{flags:02x}"), tracestate }
    }
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl std::fmt::Display for SpanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// The header, and the member of `params._meta` (MCP 2026-07-28, reserved keys).
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
/// The one flag of version 0.
const SAMPLED: u8 = 1;
/// Section 3.3.1.5.
const MAX_STATE_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_known_by_its_well_formed_parent_alone() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for (parent, known) in [
            (format!("00-{trace}-{span}-01"), true),
            (format!("00-{trace}-{span}-00"), true),
            (format!("01-{trace}-{span}-01-more"), true),
            (format!("00-{trace}-{span}-01-more"), false),
            (format!("ff-{trace}-{span}-01"), false),
            (format!("00-{}-{span}-01", "0".repeat(32)), false),
            (format!("00-{trace}-{}-01", "0".repeat(16)), false),
            (format!("00-{}-{span}-01", trace.to_uppercase()), false),
            (format!("00-{trace}a-{span}-01"), false),
            (format!("00-{trace}-{span}"), false),
            (format!("00-{trace}-{span}-1"), false),
            (format!("00-{trace}-{span}-0g"), false),
            (String::new(), false),
        ] {
            let read = CallersTrace::read(&parent, None);
            let told = read.as_ref().map(CallersTrace::trace_id);
            assert_eq!(told.as_deref(), known.then_some(trace), "{parent}");
            if let Some(read) = read {
                assert_eq!(read.sampled, parent.contains("-01"), "{parent}");
                assert_eq!(read.parent.to_string(), span);
            }
        }
    }

    #[test]
    fn a_state_that_could_not_be_a_header_is_left_out() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let long = "a".repeat(513);
        for (state, passed) in [
            ("vendor=1,other=2", true),
            ("", false),
            ("line\r\nbreak", false),
            ("\u{e9}", false),
            (&long, false),
        ] {
            let read = CallersTrace::read(parent, Some(state)).unwrap();
            assert_eq!(read.state.as_deref(), passed.then_some(state));
        }
    }

    #[test]
    fn of_two_headers_neither_counts() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        assert_eq!(CallersTrace::in_headers(&headers), None);
        headers.append(TRACEPARENT, parent.parse().unwrap());
        assert!(CallersTrace::in_headers(&headers).is_some());
        headers.append(TRACEPARENT, parent.parse().unwrap());
        assert_eq!(CallersTrace::in_headers(&headers), None);
    }
}
