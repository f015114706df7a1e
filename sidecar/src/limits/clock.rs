//! What time it is, for limits; in tests, what they say it is.

use std::time::{Duration, Instant};

use governor::nanos::Nanos;
use jiff::Timestamp;

/// Tells the time.
#[derive(Debug, Clone)]
pub(super) enum Timepiece {
    /// The machine's, from when this one was made.
    System(Instant),
    /// One that starts with a day of UTC and stands still until it is advanced.
    #[cfg(test)]
    Set(governor::clock::FakeRelativeClock),
}

/// One look at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Never goes back.
    pub(super) at: Nanos,
    /// Of UTC, counted from some day on; an operator can set it back.
    pub(super) day: i64,
    pub(super) left_of_day: Duration,
}

impl Timepiece {
    pub(super) fn system() -> Self {
        Self::System(Instant::now())
    }

    pub(super) fn now(&self) -> Moment {
        let (at, since_1970) = match self {
            Self::System(start) => (start.elapsed(), Timestamp::now().as_millisecond()),
            #[cfg(test)]
            Self::Set(clock) => {
                let at = Duration::from(governor::clock::Clock::now(clock));
                (at, i64::try_from(at.as_millis()).unwrap())
            }
        };
        let of_day = u64::try_from(since_1970.rem_euclid(DAY_MILLIS)).unwrap_or(0);
        Moment {
            at: at.into(),
            day: since_1970.div_euclid(DAY_MILLIS),
            left_of_day: crate::config::DAY.saturating_sub(Duration::from_millis(of_day)),
        }
    }
}

const DAY_MILLIS: i64 = 24 * 3600 * 1000;
