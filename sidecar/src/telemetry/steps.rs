//! How long each of the questions took.

use std::time::{Duration, Instant};

use serde::Serialize;

/// A step on the path of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Who is asking?
    Token,
    /// What do they ask? With the time that the body takes to arrive.
    Message,
    /// May they?
    Authz,
    /// Have they had enough?
    Limits,
    /// On record before it leaves.
    Ledger,
    /// Until the upstream's answer begins.
    Upstream,
}

/// A stopwatch that always runs for one step.
#[derive(Debug)]
pub(crate) struct Steps {
    current: Option<Step>,
    since: Instant,
    /// Nothing of steps that were not reached.
    took: [Option<Duration>; Step::ALL.len()],
}

/// What each step of a decision took, in microseconds; nothing of those that were not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StepTimes {
    /// Verifying the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// Receiving and reading the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
    /// Asking policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authz: Option<u64>,
    /// Counting the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<u64>,
}

impl Step {
    pub(super) const ALL: [Self; 6] =
        [Self::Token, Self::Message, Self::Authz, Self::Limits, Self::Ledger, Self::Upstream];

    /// The value of the label `step`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Message => "message",
            Self::Authz => "authz",
            Self::Limits => "limits",
            Self::Ledger => "ledger",
            Self::Upstream => "upstream",
        }
    }
}

impl Steps {
    pub(super) fn starting(at: Instant) -> Self {
        Self { current: None, since: at, took: [None; Step::ALL.len()] }
    }

    /// Ends the step that runs and starts the next, if there is one.
    pub(super) fn enter(&mut self, next: Option<Step>) {
        let now = Instant::now();
        if let Some(took) = self.current.and_then(|current| self.took.get_mut(current as usize)) {
            *took = Some(took.unwrap_or_default() + now.duration_since(self.since));
        }
        (self.current, self.since) = (next, now);
    }

    pub(super) fn taken(&self) -> impl Iterator<Item = (Step, Duration)> {
        std::iter::zip(Step::ALL, self.took).filter_map(|(step, took)| Some((step, took?)))
    }

    /// Those of the decision.
    pub(super) fn times(&self) -> StepTimes {
        let of = |step: Step| {
            let took = self.took.get(step as usize).copied().flatten()?;
            u64::try_from(took.as_micros()).ok()
        };
        StepTimes {
            token: of(Step::Token),
            message: of(Step::Message),
            authz: of(Step::Authz),
            limits: of(Step::Limits),
        }
    }
}

impl StepTimes {
    /// Whether no step was reached.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_to_the_step_that_runs() {
        let mut steps = Steps::starting(Instant::now());
        steps.enter(Some(Step::Token));
        steps.since -= Duration::from_millis(5);
        steps.enter(Some(Step::Authz));
        steps.since -= Duration::from_secs(2);
        steps.enter(None);
        steps.enter(None);
        let times = steps.times();
        assert!((5_000..1_000_000).contains(&times.token.unwrap()), "{times:?}");
        assert!((2_000_000..3_000_000).contains(&times.authz.unwrap()), "{times:?}");
        assert_eq!((times.message, times.limits), (None, None));
        assert_eq!(steps.taken().count(), 2);
    }

    #[test]
    fn a_step_has_the_number_of_its_place() {
        for (place, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, place);
        }
    }
}
