//! `governor`'s arithmetic (GCRA) over a state that is kept elsewhere: one number, the time at which
//! everything will have come back. So a call can be tried on several budgets before it is taken from
//! any.

use std::{cell::Cell, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};

use crate::config::Rate;

/// What a budget would be after one more call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawn {
    /// When everything will have come back.
    pub(super) full_at: Nanos,
    /// Calls that could follow at once.
    pub(super) remaining: u32,
}

/// One call out of a budget that will be full at `full_at`, or how long until there is one.
pub(super) fn draw(rate: Rate, full_at: Nanos, now: Nanos) -> Result<Drawn, Duration> {
    // Times are told from the clock's start on, whichever budget it is.
    let hand = Cell::new(Nanos::default());
    let limiter: RateLimiter<_, _, _, StateInformationMiddleware> =
        RateLimiter::new(quota(rate), Kept(Cell::new(full_at)), Hand(&hand));
    hand.set(now);
    match limiter.check() {
        Ok(after) => {
            let remaining = after.remaining_burst_capacity();
            Ok(Drawn { full_at: limiter.into_state_store().0.get(), remaining })
        }
        Err(until) => Err(until.wait_time_from(now)),
    }
}

/// The state without a call that was taken.
pub(super) fn returned(rate: Rate, full_at: Nanos) -> Nanos {
    full_at.saturating_sub(rate.every().into())
}

fn quota(rate: Rate) -> Quota {
    let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(rate.every());
    quota.unwrap_or_else(|| Quota::per_second(burst)).allow_burst(burst)
}

struct Hand<'a>(&'a Cell<Nanos>);

impl Clock for Hand<'_> {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.get()
    }
}

struct Kept(Cell<Nanos>);

impl StateStore for Kept {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, full_at) = measure(Some(self.0.get()))?;
        self.0.set(full_at);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::RateLimit;

    fn rate(text: &str, burst: Option<u32>) -> Rate {
        let limit = RateLimit::read(text).unwrap();
        Rate { burst: burst.unwrap_or(limit.calls), ..Rate::of(limit) }
    }

    fn seconds(seconds: u64) -> Nanos {
        Duration::from_secs(seconds).into()
    }

    #[test]
    fn every_rate_that_can_be_written_can_be_drawn_from() {
        let rates = ["1/day", "4294967295/second", "4294967295/day", "1/second"];
        for rate in rates.map(|text| rate(text, None)) {
            assert_eq!(quota(rate).burst_size().get(), rate.burst);
            // After a century.
            let now = seconds(3_600_000_000);
            let drawn = draw(rate, Nanos::default(), now).unwrap();
            assert_eq!(drawn.remaining, rate.burst - 1);
            assert!(drawn.full_at > now);
        }
    }

    #[test]
    fn a_burst_is_what_can_be_had_at_once() {
        let rate = rate("30/minute", Some(2));
        let one = draw(rate, Nanos::default(), seconds(100)).unwrap();
        assert_eq!(one, Drawn { full_at: seconds(102), remaining: 1 });
        let two = draw(rate, one.full_at, seconds(100)).unwrap();
        assert_eq!(two, Drawn { full_at: seconds(104), remaining: 0 });
        assert_eq!(draw(rate, two.full_at, seconds(100)), Err(Duration::from_secs(2)));
        assert_eq!(draw(rate, two.full_at, seconds(102)).unwrap().remaining, 0);
        assert_eq!(returned(rate, two.full_at), one.full_at);
    }
}
