//! Policy refuses one principal many times in a short time.
//!
//! Rule: `refusals` refusals by policy within `window`. Low when they are of one or two calls over
//! and over, since that is what a broken retry loop does; medium when they are of `calls` or more
//! different calls, since that is what somebody does who looks for a gap. Refused tokens, malformed
//! messages, rate limits, and what is refused for findings that are open are not counted.
//!
//! False alarms: an agent loop that does not understand a refusal; the first minutes after a policy
//! was tightened, for everybody it concerns.

use std::{collections::BTreeSet, num::NonZeroU8, time::Duration};

use serde::Deserialize;

use super::{
    act::Act,
    finding::{Detector, Severity, Suspicion},
    recent::Recent,
    times,
};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rule {
    /// How close together refusals are a burst.
    #[serde(with = "humantime_serde")]
    window: Duration,
    /// How many refusals are a burst.
    refusals: NonZeroU8,
    /// Of how many different calls they are when somebody looks for a gap.
    calls: NonZeroU8,
}

impl Default for Rule {
    fn default() -> Self {
        Self { window: Duration::from_secs(2 * 60), refusals: times(8), calls: times(3) }
    }
}

/// The newest refusals of one principal, each with a digest of the call.
pub(super) type Memory = Recent<Option<u64>>;

impl Rule {
    pub(super) fn look(&self, memory: &mut Memory, act: &Act<'_>) -> Option<Suspicion> {
        if !act.outcome.is_policy_refusal() {
            return None;
        }
        let refusals = usize::from(self.refusals.get());
        memory.forget_before(act.at, self.window);
        memory.note(act, act.call.map(|call| call.whole), refusals);
        if memory.len() < refusals {
            return None;
        }
        let calls: BTreeSet<_> = memory.like(|_| true).map(|seen| seen.what).collect();
        let is_search = calls.len() >= usize::from(self.calls.get());
        Some(Suspicion {
            detector: Detector::RefusalBurst,
            severity: if is_search { Severity::Medium } else { Severity::Low },
            explanation: format!(
                "policy refused {refusals} requests, {} of them different, within {} seconds",
                calls.len(),
                self.window.as_secs(),
            ),
            evidence: memory.records(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::sequence::{Step, severities};

    fn refusals(
        reason: &'static str,
        apart: i64,
        arguments: &[&'static str],
    ) -> Vec<Step<'static>> {
        let step = |n: i64| Step {
            second: n * apart,
            reason,
            arguments: arguments[usize::try_from(n).unwrap() % arguments.len()],
            ..Step::default()
        };
        (0..12).map(step).collect()
    }

    fn found(steps: &[Step<'_>]) -> Vec<(usize, Severity)> {
        severities(Detector::RefusalBurst, steps)
    }

    #[test]
    fn a_burst_is_found_and_told_once() {
        assert_eq!(found(&refusals("denied", 1, &["a", "b", "c"])), [(8, Severity::Medium)]);
        assert_eq!(found(&refusals("hidden", 17, &["a", "b", "c"])), [(8, Severity::Medium)]);
        assert_eq!(found(&refusals("insufficient-scope", 1, &["a"])), [(8, Severity::Low)]);
    }

    #[test]
    fn what_is_slower_or_no_refusal_by_policy_is_not() {
        assert_eq!(found(&refusals("denied", 18, &["a", "b", "c"])), []);
        for reason in ["permitted", "rate-limited", "invalid-arguments", "unknown-session"] {
            assert_eq!(found(&refusals(reason, 1, &["a", "b", "c"])), [], "{reason}");
        }
    }

    #[test]
    fn what_is_refused_for_a_finding_raises_no_other() {
        let mut steps = refusals("denied", 1, &["a", "b", "c"]);
        steps.iter_mut().for_each(|step| step.for_risk = true);
        assert_eq!(found(&steps), []);
    }
}
