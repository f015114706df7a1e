//! How a member of a pool fares.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::model::Failure;

/// How a member fares, as all conversations of the pool have seen it.
#[derive(Debug, Default)]
pub(super) struct Health {
    // Held for a few instructions; conversations in several tasks write it.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Turns in a row that it did not give.
    failures: u32,
    /// Until when it is best left alone.
    until: Option<Instant>,
}

impl Health {
    /// It has given a turn.
    pub(super) fn is_well(&self) {
        *self.state() = State::default();
    }

    /// It has given none, though it was asked as often as is useful: it is left alone for a while,
    /// each time for twice as long, within bounds.
    pub(super) fn failed(&self, failure: &Failure, now: Instant) {
        let mut state = self.state();
        let rest = match failure {
            // What was asked was wrong; the next may be right.
            Failure::Refused { .. } => return,
            Failure::Unauthorized(_) => LONGEST_REST,
            Failure::RateLimited { retry_after: Some(wait) } => *wait,
            Failure::RateLimited { retry_after: None }
            | Failure::Unreachable(_)
            | Failure::TimedOut(_)
            | Failure::Failed { .. }
            | Failure::Broken(_)
            | Failure::AllFailed(_) => {
                FIRST_REST.saturating_mul(2_u32.saturating_pow(state.failures))
            }
        };
        state.failures = state.failures.saturating_add(1);
        state.until = Some(now + rest.min(LONGEST_REST));
    }

    /// For how much longer it is best left alone; zero when it is well.
    pub(super) fn left_alone(&self, now: Instant) -> Duration {
        let until = self.state().until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About what a provider needs to come back after a hiccup.
const FIRST_REST: Duration = Duration::from_secs(5);
/// After this it is tried again whatever happened: keys are replaced, outages end.
const LONGEST_REST: Duration = Duration::from_secs(300);
