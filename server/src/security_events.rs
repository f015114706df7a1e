//! What the server refused or failed at, most recent first, for `security://events`.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Info,
    Warning,
    Error,
}

#[derive(Debug, Clone, Serialize)]
struct Event {
    at: Timestamp,
    severity: Severity,
    kind: &'static str,
    /// A reason code or a tool's name; never anything that a caller wrote.
    detail: &'static str,
}

/// Counts since the start, and the latest events.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Summary {
    total_events: u64,
    recent_events: Vec<Event>,
    summary: Counts,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Counts {
    errors: u64,
    warnings: u64,
    info: u64,
}

#[derive(Debug, Default)]
struct Kept {
    counts: Counts,
    recent: VecDeque<Event>,
}

/// A bounded memory of events; strangers cannot make it grow.
#[derive(Debug, Default)]
pub(crate) struct SecurityEvents {
    // Held for a push or a copy of at most RECENT events, never across an await.
    kept: Mutex<Kept>,
}

impl SecurityEvents {
    pub(crate) fn record(&self, severity: Severity, kind: &'static str, detail: &'static str) {
        tracing::warn!(target: "security", ?severity, kind, detail, "security event");
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match severity {
            Severity::Info => &mut kept.counts.info,
            Severity::Warning => &mut kept.counts.warnings,
            Severity::Error => &mut kept.counts.errors,
        };
        *count = count.saturating_add(1);
        kept.recent.truncate(RECENT - 1);
        kept.recent.push_front(Event { at: Timestamp::now(), severity, kind, detail });
    }

    pub(crate) fn summary(&self) -> Summary {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Counts { errors, warnings, info } = kept.counts;
        Summary {
            total_events: errors.saturating_add(warnings).saturating_add(info),
            recent_events: kept.recent.iter().cloned().collect(),
            summary: kept.counts,
        }
    }
}

/// A screenful.
const RECENT: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_events_are_kept_and_all_are_counted() {
        let events = SecurityEvents::default();
        for _ in 0..60 {
            events.record(Severity::Warning, "caller-refused", "no-assertion");
        }
        events.record(Severity::Error, "store-failed", "get_customer_info");
        let summary = events.summary();
        assert_eq!(summary.total_events, 61);
        assert_eq!(summary.recent_events.len(), RECENT);
        assert_eq!(summary.recent_events[0].kind, "store-failed");
        assert_eq!((summary.summary.errors, summary.summary.warnings), (1, 60));
    }
}
