//! One principal tries the names of tools.
//!
//! Rule: calls of `names` different tools within `window` that do not exist, are hidden from the
//! principal, or are denied to it. A missing scope is not counted: such a tool was offered.
//!
//! False alarms: a client that goes on with an old list after the upstream renamed its tools; a weak
//! model that makes names up. Who tries less than `names` in each `window` is not found.

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
    /// How long a tried name is remembered.
    #[serde(with = "humantime_serde")]
    window: Duration,
    /// How many names are a search.
    names: NonZeroU8,
}

impl Default for Rule {
    fn default() -> Self {
        Self { window: Duration::from_secs(30 * 60), names: times(6) }
    }
}

/// Digests of the names that one principal tried in vain, each once.
pub(super) type Memory = Recent<u64>;

impl Rule {
    pub(super) fn look(&self, memory: &mut Memory, act: &Act<'_>) -> Option<Suspicion> {
        let in_vain =
            matches!(act.outcome, Outcome::UnknownTool | Outcome::Hidden | Outcome::Denied);
        let call = act.call.filter(|_| in_vain)?;
        let names = usize::from(self.names.get());
        memory.forget_before(act.at, self.window);
        memory.drop_like(|name| *name == call.tool);
        memory.note(act, call.tool, names);
        (memory.len() >= names).then(|| Suspicion {
            detector: Detector::ToolEnumeration,
            severity: Severity::Medium,
            explanation: format!(
                "{names} different tools that do not exist or may not be called were tried within \
                 {} minutes, the last of them {}",
                self.window.as_secs() / 60,
                quoted(call.name),
            ),
            evidence: memory.records(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::sequence::{NOTHING, Step, severities};

    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

    fn tried(reason: &'static str, apart: i64, names: &[&'static str]) -> Vec<Step<'static>> {
        let seconds = (0..).map(|n| n * apart);
        let step =
            |(second, tool): (i64, &&'static str)| Step { second, tool, reason, ..Step::default() };
        seconds.zip(names).map(step).collect()
    }

    fn found(steps: &[Step<'_>]) -> Vec<usize> {
        let found = severities(Detector::ToolEnumeration, steps);
        found.into_iter().map(|(step, _)| step).collect()
    }

    #[test]
    fn many_names_tried_in_vain_are_found_once() {
        for reason in ["unknown-tool", "hidden", "denied"] {
            assert_eq!(found(&tried(reason, 1, &NAMES)), [6], "{reason}");
        }
        assert_eq!(found(&tried("unknown-tool", 359, &NAMES)), [6], "patience for half an hour");
    }

    #[test]
    fn few_names_many_times_or_what_was_offered_are_not() {
        assert_eq!(found(&tried("unknown-tool", 1, &NAMES.map(|_| "a"))), NOTHING);
        assert_eq!(found(&tried("denied", 1, &["a", "b", "c", "d", "e", "a", "b", "c"])), NOTHING);
        assert_eq!(found(&tried("permitted", 1, &NAMES)), NOTHING);
        assert_eq!(found(&tried("insufficient-scope", 1, &NAMES)), NOTHING);
        assert_eq!(found(&tried("unknown-tool", 360, &NAMES)), NOTHING);
    }
}
