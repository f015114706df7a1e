//! Calls come far faster than this principal's usually do.
//!
//! Rule: the calls of the last minute (those of this clock minute, and of the one before as much as
//! of it still lies in the last sixty seconds) are at least `calls`, more than the usual number by
//! `deviations` usual deviations, and more than `peaks` times the usual peak. Usual are the
//! exponentially weighted mean and deviation over the last `memory` minutes in which the principal
//! called at all, and its largest such minute, fading as slowly: people work in bursts, which a
//! deviation alone does not tell. Quiet minutes are not counted, so that a night does not make the
//! morning a spike. A minute of an alarm is learned as no more than twice what would just
//! not have raised it. Nothing is found before `warm_up` minutes with calls.
//!
//! Low; medium from twice, and high from five times what would just not have raised it.
//!
//! False alarms: the first batch job of somebody who until then only asked questions; a deployment
//! that multiplies an agent. Who becomes faster little by little is not found, and what goes on after
//! an alarm becomes usual: rate limits are for that.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::{
    act::{Act, quoted},
    finding::{Detector, Severity, Suspicion},
    recent::Recent,
};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rule {
    /// Fewer calls in a minute are no spike, whatever is usual.
    calls: NonZeroU32,
    /// How many usual deviations above the usual number a spike is.
    deviations: f64,
    /// How many times the usual peak a spike is.
    peaks: f64,
    /// Over how many minutes with calls the usual is remembered.
    memory: NonZeroU32,
    /// Before so many minutes with calls nothing is usual.
    warm_up: NonZeroU32,
}

impl Default for Rule {
    fn default() -> Self {
        let times = |n: u32| NonZeroU32::MIN.saturating_add(n - 1);
        Self {
            calls: times(8),
            deviations: 6.0,
            peaks: 1.5,
            memory: times(200),
            warm_up: times(100),
        }
    }
}

/// What is usual of one principal.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Since 1970.
    minute: i64,
    calls: u32,
    calls_before: u32,
    /// Minutes with calls, but not this one.
    minutes: u32,
    mean: f64,
    variance: f64,
    peak: f64,
    newest: Recent<()>,
}

impl Rule {
    pub(super) fn look(&self, memory: &mut Memory, act: &Act<'_>) -> Option<Suspicion> {
        let call = act.call?;
        self.turn_to(memory, act.at.div_euclid(MINUTE));
        memory.calls = memory.calls.saturating_add(1);
        memory.newest.note(act, (), EVIDENCE);
        let usual = self.most_usual(memory);
        let now = memory.in_the_last_minute(act.at);
        let is_spike = memory.minutes >= self.warm_up.get() && now > usual;
        is_spike.then(|| Suspicion {
            detector: Detector::RateSpike,
            severity: match now / usual {
                times if times >= 5.0 => Severity::High,
                times if times >= 2.0 => Severity::Medium,
                _ => Severity::Low,
            },
            explanation: format!(
                "{now:.0} calls in a minute, the last of {}, where {:.1} are usual and {usual:.0} \
                 would not be strange",
                quoted(call.name),
                memory.mean,
            ),
            evidence: memory.newest.records(),
        })
    }

    /// The largest number of calls in a minute that is no spike.
    fn most_usual(&self, memory: &Memory) -> f64 {
        // Who was like clockwork until now may vary a little.
        let deviation = memory.variance.sqrt().max(memory.mean / 10.0).max(1.0);
        let fewest = f64::from(self.calls.get()) - 1.0;
        let above_mean = memory.mean + self.deviations * deviation;
        above_mean.max(self.peaks * memory.peak).max(fewest)
    }

    fn turn_to(&self, memory: &mut Memory, minute: i64) {
        // A record that comes a little late belongs to this minute too.
        if minute <= memory.minute {
            return;
        }
        if memory.calls > 0 {
            self.learn(memory);
        }
        memory.calls_before = if minute == memory.minute + 1 { memory.calls } else { 0 };
        memory.calls = 0;
        memory.minute = minute;
    }

    /// Takes a minute that is over into the usual.
    fn learn(&self, memory: &mut Memory) {
        let mut calls = f64::from(memory.calls);
        if memory.minutes >= self.warm_up.get() {
            calls = calls.min(2.0 * self.most_usual(memory));
        }
        memory.minutes = memory.minutes.saturating_add(1);
        let weight = 1.0 / f64::from(memory.minutes.min(self.memory.get()));
        let fading = 1.0 / f64::from(self.memory.get());
        memory.peak = calls.max(memory.peak * (1.0 - fading));
        let difference = calls - memory.mean;
        memory.mean += weight * difference;
        memory.variance = (1.0 - weight) * (memory.variance + weight * difference * difference);
    }
}

impl Memory {
    fn in_the_last_minute(&self, at: i64) -> f64 {
        let gone = i32::try_from(at.rem_euclid(MINUTE)).unwrap_or_default();
        let left = 1.0 - f64::from(gone) / MILLISECONDS;
        f64::from(self.calls) + f64::from(self.calls_before) * left
    }
}

const MINUTE: i64 = 60_000;
const MILLISECONDS: f64 = 60_000.0;
/// The newest calls, as many as a finding shows.
const EVIDENCE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::sequence::{Step, severities};

    /// So many minutes with so many calls, ten minutes apart.
    fn usual(minutes: i64, calls: i64) -> Vec<Step<'static>> {
        let at = |minute: i64, call: i64| Step { second: minute * 600 + call, ..Step::default() };
        (0..minutes).flat_map(|minute| (0..calls).map(move |call| at(minute, call))).collect()
    }

    fn then(mut steps: Vec<Step<'static>>, second: i64, calls: usize) -> Vec<(usize, Severity)> {
        let before = steps.len();
        steps.extend(vec![Step { second: 1_000_000 + second, ..Step::default() }; calls]);
        let found = severities(Detector::RateSpike, &steps);
        found.into_iter().map(|(step, severity)| (step - before, severity)).collect()
    }

    #[test]
    fn a_minute_far_above_the_usual_is_found_and_grows_worse() {
        let found = then(usual(110, 1), 20, 60);
        assert_eq!(found, [(8, Severity::Low), (14, Severity::Medium), (35, Severity::High)]);
    }

    #[test]
    fn a_spike_over_the_end_of_a_minute_is_found() {
        let mut steps = usual(110, 1);
        let minute = 1_000_000 / 60 * 60;
        let at = |second: i64| Step { second: minute + second, ..Step::default() };
        steps.extend((54..66).map(at));
        let found = severities(Detector::RateSpike, &steps);
        assert!(found.first().is_some_and(|(step, _)| *step <= 110 + 10), "{found:?}");
    }

    #[test]
    fn what_is_fast_for_one_is_usual_for_another() {
        assert_eq!(then(usual(110, 30), 0, 48), []);
        assert_eq!(then(usual(110, 30), 0, 60), [(49, Severity::Low)]);
    }

    #[test]
    fn a_burst_is_usual_for_whom_it_was_before_and_not_for_ever() {
        let after_burst = |minutes: i64| {
            let mut steps = usual(30, 1);
            steps.extend(vec![Step { second: 30 * 600, ..Step::default() }; 20]);
            let later = |step: Step<'static>| Step { second: step.second + 31 * 600, ..step };
            steps.extend(usual(minutes, 1).into_iter().map(later));
            then(steps, 20, 30)
        };
        assert_eq!(after_burst(80), [(21, Severity::Low)]);
        assert_eq!(after_burst(600).first(), Some(&(8, Severity::Low)));
    }

    #[test]
    fn nothing_is_found_before_anything_is_usual_nor_of_a_few_calls() {
        assert_eq!(then(usual(99, 1), 0, 100), []);
        assert_eq!(then(usual(110, 1), 0, 7), []);
    }

    #[test]
    fn the_night_does_not_make_the_morning_a_spike() {
        let mut steps = usual(110, 10);
        let morning = 5 * 86_400;
        steps.extend((0..12).map(|n| Step { second: morning + n, ..Step::default() }));
        assert_eq!(severities(Detector::RateSpike, &steps), []);
    }
}
