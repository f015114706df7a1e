//! How much is left: for records, for callers.

use std::{fmt, time::Duration};

use serde::Serialize;

/// How much one limit leaves, once a call was decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitState {
    /// The id of the rule; `@rate_limit` of what policies grant.
    pub rule: String,
    /// Which of its ceilings.
    pub of: Ceiling,
    /// What is left of it: calls or bytes. Nothing is what refused the call.
    pub remaining: u64,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ceiling {
    /// Calls, which come back evenly.
    Rate,
    /// Calls under way.
    Concurrent,
    /// Calls on a day of UTC.
    CallsPerDay,
    /// Bytes of answers on a day of UTC.
    ResultBytesPerDay,
}

/// What is left of one ceiling of one budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) of: Ceiling,
    pub(super) remaining: u64,
    pub(super) limit: u64,
    /// Until all of it is there again; of calls under way nobody knows.
    pub(super) reset: Option<Duration>,
    /// Whether there was any for this call.
    pub(super) room: bool,
}

impl fmt::Display for LimitState {
    /// As logs have it: `per-caller:rate=3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}={}", self.rule, self.of.as_str(), self.remaining)
    }
}

impl Ceiling {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Concurrent => "concurrent",
            Self::CallsPerDay => "calls-per-day",
            Self::ResultBytesPerDay => "result-bytes-per-day",
        }
    }

    /// Whether a call takes one of it.
    pub(super) fn counts_calls(self) -> bool {
        self != Self::ResultBytesPerDay
    }
}

impl Left {
    pub(super) fn of_count(
        of: Ceiling,
        (count, most): (u32, u32),
        reset: Option<Duration>,
        room: bool,
    ) -> Self {
        let remaining = u64::from(most.saturating_sub(count));
        Self { of, remaining, limit: most.into(), reset, room }
    }
}

/// Of each rule's ceiling the least that is left.
pub(super) fn states<'a>(left: impl Iterator<Item = (&'a str, &'a Left)>) -> Vec<LimitState> {
    let mut states: Vec<LimitState> = Vec::new();
    for (rule, Left { of, remaining, .. }) in left {
        match states.iter_mut().find(|state| state.rule == rule && state.of == *of) {
            Some(state) => state.remaining = state.remaining.min(*remaining),
            None => {
                states.push(LimitState { rule: rule.to_owned(), of: *of, remaining: *remaining })
            }
        }
    }
    states
}

/// What the caller is told with its answer: the calls that are left where fewest are, and the bytes.
/// JSON; nothing when neither is counted.
pub(super) fn note<'a>(left: impl Iterator<Item = &'a Left> + Clone) -> Option<String> {
    let calls = left.clone().filter(|l| matches!(l.of, Ceiling::Rate | Ceiling::CallsPerDay));
    let tightest = calls.min_by_key(|l| (l.remaining, std::cmp::Reverse(l.reset)));
    let bytes = left.filter(|l| l.of == Ceiling::ResultBytesPerDay).map(|l| l.remaining).min();
    let calls = tightest.map(|Left { remaining, limit, reset, .. }| {
        let reset = reset.unwrap_or_default().as_micros().div_ceil(1_000);
        format!(r#""remaining":{remaining},"limit":{limit},"resetAfterMs":{reset}"#)
    });
    let bytes = bytes.map(|remaining| format!(r#""resultBytesRemaining":{remaining}"#));
    match (calls, bytes) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(format!("{{{one}}}")),
        (Some(calls), Some(bytes)) => Some(format!("{{{calls},{bytes}}}")),
    }
}
