//! Findings that are not over yet: one of each kind about each principal or tool.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use moka::{policy::EvictionPolicy, sync::Cache};
use uuid::Uuid;

use super::finding::{About, Detector, Finding, Severity, Suspicion};

/// All that is open.
#[derive(Debug)]
pub(super) struct Board {
    /// A list holds one finding of each detector at most. Only look-ups happen under its lock.
    open: Cache<About, Arc<Mutex<Vec<Finding>>>>,
}

/// What is open about one principal, for policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OpenFindings {
    /// How many of each severity.
    pub(crate) low: usize,
    /// See `low`.
    pub(crate) medium: usize,
    /// See `low`.
    pub(crate) high: usize,
    /// See `low`.
    pub(crate) critical: usize,
    /// The codes of the detectors that raised them.
    pub(crate) detectors: BTreeSet<&'static str>,
}

impl Board {
    pub(super) fn new(most: u64) -> Self {
        let eviction = EvictionPolicy::lru();
        Self { open: Cache::builder().max_capacity(most).eviction_policy(eviction).build() }
    }

    /// Opens a finding, or refreshes the one that is open. `Some` when there is something new to
    /// tell: it was not open, or has become worse.
    pub(super) fn raise(
        &self,
        about: About,
        suspicion: Suspicion,
        at: Timestamp,
        open_for: Duration,
    ) -> Option<Finding> {
        let open = self.open.get_with_by_ref(&about, Arc::default);
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|finding| finding.expires > at);
        let expires = at.checked_add(open_for).unwrap_or(Timestamp::MAX);
        match open.iter_mut().find(|finding| finding.detector == suspicion.detector) {
            Some(finding) => finding.refresh(suspicion, expires).then(|| finding.clone()),
            None => {
                let finding = Finding::new(about, suspicion, at, expires);
                open.push(finding.clone());
                Some(finding)
            }
        }
    }

    pub(super) fn about(&self, about: &About, now: Timestamp) -> OpenFindings {
        let Some(open) = self.open.get(about) else { return OpenFindings::default() };
        let open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let still_open = open.iter().filter(|finding| finding.expires > now);
        still_open.map(|finding| (finding.detector, finding.severity)).collect()
    }

    /// Everything that is open, worst first.
    pub(super) fn all(&self, now: Timestamp) -> Vec<Finding> {
        let mut all = Vec::new();
        for (_, open) in &self.open {
            let open = open.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(open.iter().filter(|finding| finding.expires > now).cloned());
        }
        all.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.at));
        all
    }
}

impl OpenFindings {
    /// How many of any severity.
    pub(crate) fn all(&self) -> usize {
        self.low + self.medium + self.high + self.critical
    }
}

impl FromIterator<(Detector, Severity)> for OpenFindings {
    fn from_iter<T: IntoIterator<Item = (Detector, Severity)>>(findings: T) -> Self {
        let mut open = Self::default();
        for (detector, severity) in findings {
            let counter = match severity {
                Severity::Low => &mut open.low,
                Severity::Medium => &mut open.medium,
                Severity::High => &mut open.high,
                Severity::Critical => &mut open.critical,
            };
            *counter += 1;
            open.detectors.insert(detector.code());
        }
        open
    }
}

impl Finding {
    fn new(about: About, suspicion: Suspicion, at: Timestamp, expires: Timestamp) -> Self {
        let mut finding = Self {
            id: Uuid::now_v7(),
            detector: suspicion.detector,
            severity: suspicion.severity,
            about,
            explanation: suspicion.explanation,
            evidence: Vec::new(),
            at,
            expires,
        };
        finding.adduce(suspicion.evidence);
        finding
    }

    /// Whether it has become worse.
    fn refresh(&mut self, suspicion: Suspicion, expires: Timestamp) -> bool {
        let is_worse = suspicion.severity > self.severity;
        self.severity = self.severity.max(suspicion.severity);
        self.explanation = suspicion.explanation;
        self.expires = self.expires.max(expires);
        self.adduce(suspicion.evidence);
        is_worse
    }

    fn adduce(&mut self, evidence: Vec<Uuid>) {
        self.evidence.retain(|known| !evidence.contains(known));
        self.evidence.extend(evidence);
        let surplus = self.evidence.len().saturating_sub(MAX_EVIDENCE);
        self.evidence.drain(..surplus);
    }
}

/// Enough to see what happened; the ledger has the rest.
const MAX_EVIDENCE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn suspicion(severity: Severity, evidence: &[Uuid]) -> Suspicion {
        Suspicion {
            detector: Detector::RefusalBurst,
            severity,
            explanation: "x".to_owned(),
            evidence: evidence.to_vec(),
        }
    }

    fn alice() -> About {
        About::Principal("alice".to_owned())
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    #[test]
    fn a_repeated_finding_is_refreshed_and_told_again_only_when_worse() {
        let board = Board::new(9);
        let first = board.raise(alice(), suspicion(Severity::Low, &[]), at(0), HOUR).unwrap();
        assert_eq!(board.raise(alice(), suspicion(Severity::Low, &[]), at(50), HOUR), None);
        let worse = board.raise(alice(), suspicion(Severity::High, &[]), at(55), HOUR).unwrap();
        assert_eq!((worse.id, worse.at, worse.expires), (first.id, at(0), at(115)));
        assert_eq!(board.raise(alice(), suspicion(Severity::Low, &[]), at(56), HOUR), None);
        let open = board.about(&alice(), at(100));
        assert_eq!((open.low, open.high), (0, 1), "it does not become better");
        assert_eq!(open.detectors, BTreeSet::from(["refusal-burst"]));
        assert_eq!(board.all(at(115)).len(), 1);
    }

    #[test]
    fn a_finding_that_is_over_counts_no_more_and_the_next_is_another() {
        let board = Board::new(9);
        let first = board.raise(alice(), suspicion(Severity::High, &[]), at(0), HOUR).unwrap();
        assert_eq!(board.about(&alice(), at(59)).high, 1);
        assert_eq!(board.about(&alice(), at(60)), OpenFindings::default());
        assert!(board.all(at(60)).is_empty());
        let next = board.raise(alice(), suspicion(Severity::Low, &[]), at(60), HOUR).unwrap();
        assert_ne!(next.id, first.id);
        assert_eq!(next.severity, Severity::Low);
    }

    #[test]
    fn evidence_is_the_newest_and_each_record_once() {
        let board = Board::new(9);
        let ids: Vec<Uuid> = (0..40).map(|_| Uuid::now_v7()).collect();
        for ids in ids.windows(3) {
            board.raise(alice(), suspicion(Severity::Low, ids), at(0), HOUR);
        }
        assert_eq!(board.all(at(0))[0].evidence, ids[24..]);
    }

    #[test]
    fn there_is_an_end_to_those_about_whom_something_is_open() {
        let board = Board::new(10);
        for name in 0..500 {
            let about = About::Principal(name.to_string());
            board.raise(about, suspicion(Severity::Low, &[]), at(0), HOUR);
        }
        board.open.run_pending_tasks();
        assert_eq!(board.open.entry_count(), 10);
        assert!(board.open.contains_key(&About::Principal("499".to_owned())), "the newest stay");
    }
}
