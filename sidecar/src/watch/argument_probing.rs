//! One principal tries what arguments a tool takes.
//!
//! Rule: within `window`, `attempts` calls of one tool whose arguments do not fit its schema, each
//! with different arguments. A call that fits does not end it: a search has hits.
//!
//! False alarms: a weak model before a difficult schema, which usually gives up or succeeds after
//! two or three; a client whose schema is out of date and that calls the tool in a loop.

use std::{num::NonZeroU8, time::Duration};

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
    /// How long an attempt is remembered.
    #[serde(with = "humantime_serde")]
    window: Duration,
    /// How many attempts on one tool are probing.
    attempts: NonZeroU8,
}

impl Default for Rule {
    fn default() -> Self {
        Self { window: Duration::from_secs(10 * 60), attempts: times(7) }
    }
}

/// The unfit calls of one principal, each once.
pub(super) type Memory = Recent<Attempt>;

#[derive(Debug)]
pub(super) struct Attempt {
    tool: u64,
    whole: u64,
}

impl Rule {
    pub(super) fn look(&self, memory: &mut Memory, act: &Act<'_>) -> Option<Suspicion> {
        let call = act.call.filter(|_| act.outcome == Outcome::UnfitArguments)?;
        memory.forget_before(act.at, self.window);
        memory.drop_like(|attempt| attempt.whole == call.whole);
        let attempt = Attempt { tool: call.tool, whole: call.whole };
        let attempts = usize::from(self.attempts.get());
        memory.note(act, attempt, attempts.saturating_mul(TOOLS_AT_ONCE));
        let evidence: Vec<_> =
            memory.like(|attempt| attempt.tool == call.tool).map(|seen| seen.record).collect();
        (evidence.len() >= attempts).then(|| Suspicion {
            detector: Detector::ArgumentProbing,
            severity: Severity::Medium,
            explanation: format!(
                "{} was called {} times within {} minutes with different arguments that do not fit \
                 its schema",
                quoted(call.name),
                evidence.len(),
                self.window.as_secs() / 60,
            ),
            evidence,
        })
    }
}

/// Over how many tools one may spread attempts and still be found on each.
const TOOLS_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::sequence::{NOTHING, Step, severities};

    const ARGUMENTS: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

    fn unfit(second: i64, arguments: &'static str) -> Step<'static> {
        Step { second, arguments, reason: "invalid-arguments", ..Step::default() }
    }

    fn found(steps: &[Step<'_>]) -> Vec<usize> {
        let found = severities(Detector::ArgumentProbing, steps);
        found.into_iter().map(|(step, _)| step).collect()
    }

    #[test]
    fn different_unfit_arguments_of_one_tool_are_found() {
        let probing = ARGUMENTS.map(|arguments| unfit(1, arguments));
        assert_eq!(found(&probing), [7]);
        let fit = Step { reason: "permitted", ..unfit(1, "fits") };
        let with_hits: Vec<Step<'static>> =
            probing.into_iter().flat_map(|step| [step, fit.clone()]).collect();
        assert_eq!(found(&with_hits), [13]);
    }

    #[test]
    fn the_same_again_other_tools_or_slowly_are_not() {
        assert_eq!(found(&ARGUMENTS.map(|_| unfit(1, "a"))), NOTHING);
        assert_eq!(found(&ARGUMENTS.map(|tool| Step { tool, ..unfit(1, "a") })), NOTHING);
        let slowly: Vec<Step<'static>> =
            (0..).zip(ARGUMENTS).map(|(n, arguments)| unfit(n * 100, arguments)).collect();
        assert_eq!(found(&slowly), NOTHING);
        let denied = ARGUMENTS.map(|a| Step { reason: "denied", ..unfit(1, a) });
        assert_eq!(found(&denied), NOTHING);
    }
}
