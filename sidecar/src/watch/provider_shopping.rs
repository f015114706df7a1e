//! What one provider's model was refused is tried through another.
//!
//! Rule: within `window` after policy refused a call, the same principal makes the same call, with
//! the same arguments, through another provider or zone; or tries the same tool, with any arguments,
//! through `ways` of them in all, each but the last having been refused. A call without a named
//! provider counts as one more way, so that leaving the name out is no way around.
//!
//! False alarms: a pool of providers whose client repeats every failed call through the next one,
//! refusals included; such a client should not retry what was refused. A refusal by rate limit is
//! not counted, since waiting and trying again is what it asks for. A principal that several people
//! share can look as if it went shopping.

use std::{collections::BTreeSet, num::NonZeroU8, time::Duration};

use serde::Deserialize;

use super::{
    act::{Act, Outcome, quoted},
    finding::{Detector, Severity, Suspicion},
    recent::Recent,
    times,
};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rule {
    /// How long a refusal is remembered.
    #[serde(with = "humantime_serde")]
    window: Duration,
    /// Through how many providers a tool is tried before that is shopping, whatever the arguments.
    ways: NonZeroU8,
}

impl Default for Rule {
    fn default() -> Self {
        Self { window: Duration::from_secs(10 * 60), ways: times(3) }
    }
}

/// The calls that policy refused one principal lately.
pub(super) type Memory = Recent<Refused>;

#[derive(Debug)]
pub(super) struct Refused {
    tool: u64,
    whole: u64,
    way: u64,
}

impl Rule {
    pub(super) fn look(&self, memory: &mut Memory, act: &Act<'_>) -> Option<Suspicion> {
        let call = act.call?;
        memory.forget_before(act.at, self.window);
        let elsewhere = |refused: &Refused| refused.tool == call.tool && refused.way != act.way;
        let same_call = memory.like(|refused| elsewhere(refused) && refused.whole == call.whole);
        let mut evidence: Vec<_> = same_call.map(|seen| seen.record).collect();
        let the_same = !evidence.is_empty();
        if !the_same {
            let ways: BTreeSet<u64> = memory.like(elsewhere).map(|seen| seen.what.way).collect();
            if ways.len() + 1 >= usize::from(self.ways.get()) {
                evidence = memory.like(elsewhere).map(|seen| seen.record).collect();
            }
        }
        evidence.push(act.record);
        let is_noted = act.outcome.is_policy_refusal();
        let is_refused = is_noted || act.outcome == Outcome::ForRisk;
        if is_noted {
            let refused = Refused { tool: call.tool, whole: call.whole, way: act.way };
            memory.note(act, refused, MAX_REFUSED);
        }
        (evidence.len() > 1).then(|| Suspicion {
            detector: Detector::ProviderShopping,
            severity: if is_refused { Severity::Medium } else { Severity::High },
            explanation: format!(
                "a call of {} was refused and then tried {} through {}, where it was {}",
                quoted(call.name),
                if the_same { "with the same arguments" } else { "with other arguments" },
                act.through(),
                if is_refused { "refused too" } else { "not refused by policy" },
            ),
            evidence,
        })
    }
}

/// In one window; each takes some fifty bytes.
const MAX_REFUSED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::sequence::{Step, severities};

    fn refused(second: i64, provider: &'static str, arguments: &'static str) -> Step<'static> {
        Step { second, provider, arguments, reason: "denied", ..Step::default() }
    }

    fn permitted(second: i64, provider: &'static str, arguments: &'static str) -> Step<'static> {
        Step { reason: "permitted", ..refused(second, provider, arguments) }
    }

    fn found(steps: &[Step<'_>]) -> Vec<(usize, Severity)> {
        severities(Detector::ProviderShopping, steps)
    }

    #[test]
    fn the_same_call_through_another_provider_is_found() {
        let retried = [refused(0, "a", "x"), permitted(599, "b", "x")];
        assert_eq!(found(&retried), [(2, Severity::High)]);
        let refused_again = [refused(0, "a", "x"), refused(5, "b", "x"), permitted(9, "c", "x")];
        assert_eq!(found(&refused_again), [(2, Severity::Medium), (3, Severity::High)]);
        let unnamed = [refused(0, "a", "x"), permitted(1, "", "x")];
        assert_eq!(found(&unnamed), [(2, Severity::High)]);
        let other_zone = [refused(0, "a", "x"), Step { zone: "z", ..permitted(1, "a", "x") }];
        assert_eq!(found(&other_zone), [(2, Severity::High)]);
    }

    #[test]
    fn a_tool_tried_everywhere_is_found_whatever_the_arguments() {
        let steps = [refused(0, "a", "x"), refused(5, "b", "y"), refused(9, "c", "z")];
        assert_eq!(found(&steps), [(3, Severity::Medium)]);
    }

    #[test]
    fn honest_work_is_not() {
        let same_provider = [refused(0, "a", "x"), permitted(1, "a", "x")];
        let other_work = [refused(0, "a", "x"), permitted(1, "b", "y")];
        let next_day = [refused(0, "a", "x"), permitted(600, "b", "x")];
        let waited =
            [Step { reason: "rate-limited", ..refused(0, "a", "x") }, permitted(1, "b", "x")];
        for steps in [&same_provider, &other_work, &next_day, &waited] {
            assert_eq!(found(steps), [], "{steps:?}");
        }
        let other_tool = [refused(0, "a", "x"), Step { tool: "u", ..permitted(1, "b", "x") }];
        assert_eq!(found(&other_tool), []);
    }

    #[test]
    fn what_is_refused_for_a_finding_is_neither_remembered_nor_a_success() {
        let for_risk = |second, provider| Step { for_risk: true, ..refused(second, provider, "a") };
        let only_for_risk = [for_risk(0, "x"), for_risk(1, "y"), for_risk(2, "z")];
        assert_eq!(severities(Detector::ProviderShopping, &only_for_risk), []);
        let then = [refused(0, "x", "a"), refused(1, "y", "a"), for_risk(2, "z")];
        let found = severities(Detector::ProviderShopping, &then);
        assert_eq!(found, [(2, Severity::Medium)], "and not worse");
    }
}
