//! A tool and an hour that this principal has never used before, together.
//!
//! Rule: a principal that was active on `days` days calls tools it never called, in an hour of the
//! week in which it never called anything, nor in the hour before or after; `calls` such calls within
//! an hour. Either alone happens all the time, both together rarely. A day's hours and tools count as
//! used from the next day (UTC) on, so that a night's work does not excuse itself. Tools that do not
//! exist, or not for this principal, do not count: guessed names would crowd out the known ones.
//!
//! Always low: it is a hint, and worth most beside another finding.
//!
//! False alarms: another shift, a journey to another time zone, or a project's last weekend, with
//! new tasks at the same time. What lasts over midnight (UTC) is usual after it. Principals whose
//! habits were forgotten (a restart, more principals than are remembered) are strangers again, and
//! nothing is unusual of those.

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
    /// On how many days a principal was active before anything is unusual.
    days: NonZeroU8,
    /// How many unusual calls within an hour are told.
    calls: NonZeroU8,
}

impl Default for Rule {
    fn default() -> Self {
        Self { days: times(5), calls: times(3) }
    }
}

/// The habits of one principal.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Since 1970.
    today: i64,
    days: u32,
    before: Habits,
    since_today: Habits,
    unusual: Recent<()>,
}

#[derive(Debug, Default)]
struct Habits {
    /// One bit an hour of the week.
    hours: [u64; 3],
    /// Digests of names.
    tools: BTreeSet<u64>,
}

impl Rule {
    pub(super) fn look(&self, memory: &mut Memory, act: &Act<'_>) -> Option<Suspicion> {
        let exists = !matches!(act.outcome, Outcome::UnknownTool | Outcome::Hidden);
        let call = act.call.filter(|_| exists)?;
        memory.turn_to(act.at.div_euclid(DAY));
        let hour = hour_of_week(act.at);
        memory.since_today.note(hour, call.tool);
        let is_known = memory.days >= u32::from(self.days.get());
        if !is_known || !memory.before.makes_unusual(hour, call.tool) {
            return None;
        }
        let calls = usize::from(self.calls.get());
        memory.unusual.forget_before(act.at, WINDOW);
        memory.unusual.note(act, (), calls);
        (memory.unusual.len() >= calls).then(|| Suspicion {
            detector: Detector::UnusualActivity,
            severity: Severity::Low,
            explanation: format!(
                "calls of tools never used before, the last of {}, at a time of the week never used \
                 before, {}:00 to {}:59 UTC on a {}",
                quoted(call.name),
                hour % 24,
                hour % 24,
                // The first of January 1970 was one of these.
                ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"]
                    .get(usize::from(hour / 24))
                    .unwrap_or(&"day"),
            ),
            evidence: memory.unusual.records(),
        })
    }
}

impl Memory {
    fn turn_to(&mut self, day: i64) {
        // A record that comes a little late belongs to this day too.
        if day <= self.today {
            return;
        }
        self.today = day;
        if self.since_today.hours == [0; 3] {
            return;
        }
        self.days = self.days.saturating_add(1);
        let day = std::mem::take(&mut self.since_today);
        for (known, new) in self.before.hours.iter_mut().zip(day.hours) {
            *known |= new;
        }
        self.before.tools.extend(day.tools);
        while self.before.tools.len() > MAX_TOOLS {
            self.before.tools.pop_first();
        }
    }
}

impl Habits {
    fn note(&mut self, hour: u16, tool: u64) {
        if let Some(hours) = self.hours.get_mut(usize::from(hour / 64)) {
            *hours |= 1 << (hour % 64);
        }
        if self.tools.len() < MAX_TOOLS {
            self.tools.insert(tool);
        }
    }

    fn has_hour(&self, hour: u16) -> bool {
        self.hours.get(usize::from(hour / 64)).is_some_and(|hours| hours >> (hour % 64) & 1 == 1)
    }

    fn makes_unusual(&self, hour: u16, tool: u64) -> bool {
        let before = (hour + HOURS - 1) % HOURS;
        let after = (hour + 1) % HOURS;
        // Of somebody who uses everything nothing is unusual, and some of it may be forgotten.
        let is_new_tool = self.tools.len() < MAX_TOOLS && !self.tools.contains(&tool);
        is_new_tool && ![before, hour, after].into_iter().any(|hour| self.has_hour(hour))
    }
}

fn hour_of_week(at: i64) -> u16 {
    u16::try_from(at.div_euclid(HOUR).rem_euclid(i64::from(HOURS))).unwrap_or_default()
}

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const HOURS: u16 = 7 * 24;
const WINDOW: Duration = Duration::from_secs(3_600);
/// Of each principal; some twelve bytes each.
const MAX_TOOLS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::sequence::{NOTHING, Step, severities};

    /// So many days, each with a call at nine and one at ten.
    fn days(days: i64) -> Vec<Step<'static>> {
        (0..days)
            .flat_map(|day| [9, 10].map(|hour| day * 24 + hour))
            .map(|hour| Step { second: hour * 3_600, ..Step::default() })
            .collect()
    }

    /// After so many days, calls of a tool at an hour of the last.
    fn then(known: i64, hour: i64, tool: &'static str) -> Vec<usize> {
        let mut steps = days(known);
        let before = steps.len();
        let second = |n: i64| (known * 24 + hour) * 3_600 + n;
        steps.extend((0..6).map(|n| Step { second: second(n), tool, ..Step::default() }));
        let found = severities(Detector::UnusualActivity, &steps);
        found.into_iter().map(|(step, _)| step - before).collect()
    }

    #[test]
    fn a_new_tool_in_a_new_hour_is_found() {
        assert_eq!(then(5, 3, "export"), [3]);
        assert_eq!(then(6, 23, "export"), [3]);
        assert_eq!(then(20, 12, "export"), [3]);
    }

    #[test]
    fn either_alone_is_not() {
        assert_eq!(then(6, 3, "t"), NOTHING);
        assert_eq!(then(7, 9, "export"), NOTHING);
        assert_eq!(then(7, 11, "export"), NOTHING, "nor an hour later than ever");
        assert_eq!(then(7, 8, "export"), NOTHING, "nor an hour earlier");
    }

    #[test]
    fn guessed_names_neither_crowd_out_habits_nor_become_them() {
        let mut steps = days(5);
        let tried: Vec<String> =
            (0..400).map(|n| format!("guess-{n}")).chain(["x".into()]).collect();
        let refused =
            |tool| Step { second: 4 * 86_400 + 36_000, tool, reason: "hidden", ..Step::default() };
        steps.extend(tried.iter().map(|tool| refused(tool)));
        let before = steps.len();
        let stolen = Step { second: 5 * 86_400 + 3 * 3_600, tool: "x", ..Step::default() };
        steps.extend(vec![stolen; 3]);
        assert_eq!(severities(Detector::UnusualActivity, &steps), [(before + 3, Severity::Low)]);
    }

    #[test]
    fn of_a_stranger_nothing_is_unusual() {
        assert_eq!(then(4, 3, "export"), NOTHING);
    }

    #[test]
    fn a_few_unusual_calls_spread_over_a_night_are_not_told() {
        let mut steps = days(10);
        let at = |n: i64| Step { second: 864_000 + n * 1_801, tool: "x", ..Step::default() };
        steps.extend((0..8).map(at));
        assert_eq!(severities(Detector::UnusualActivity, &steps), []);
    }
}
