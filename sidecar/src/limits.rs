//! Have they had enough? What `@rate_limit` grants each subject, through whichever clients: so many
//! calls of a tool at once, and as many again spread evenly over each such time.
//!
//! Of this process only. Calls that different rates apply to count apart, so that a reload leaves
//! budgets as they are while their rate stays the same.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference as _},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

use crate::{
    authz::{Authorized, RateLimit},
    message::Message,
    rejection::Rejection,
    session::{Owner, Subject},
};

/// What is left to whom.
#[derive(Debug)]
pub(crate) struct CallLimits<C: Clock = DefaultClock> {
    clock: C,
    most: usize,
    /// Look-ups, and a sweep now and then, alone happen under the lock.
    budgets: Mutex<Budgets<C>>,
}

#[derive(Debug)]
struct Budgets<C: Clock> {
    by: HashMap<Key, Budget<C>>,
    swept: C::Instant,
}

/// For what a budget is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    subject: Subject,
    tool: String,
    rate: RateLimit,
}

#[derive(Debug)]
struct Budget<C: Clock> {
    left: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    /// When something was taken out of it; after the time of its rate it is full again.
    used: C::Instant,
}

impl CallLimits {
    pub(crate) fn new() -> Self {
        Self::with(DefaultClock::default(), MAX_BUDGETS)
    }
}

impl<C: Clock + Clone> CallLimits<C> {
    fn with(clock: C, most: usize) -> Self {
        let budgets = Budgets { by: HashMap::new(), swept: clock.now() };
        Self { clock, most, budgets: Mutex::new(budgets) }
    }

    /// Takes a permitted call out of its caller's budget, or refuses it and takes nothing.
    pub(crate) fn spend(
        &self,
        owner: &Owner,
        authorized: &Authorized<Message>,
    ) -> Result<(), Rejection> {
        let (Some(rate), Some(tool)) =
            (authorized.obligations().rate_limit, authorized.get().called_tool())
        else {
            return Ok(());
        };
        let key = Key { subject: owner.subject(), tool: tool.to_owned(), rate };
        self.take(key).map_err(|wait| Rejection::RateLimited {
            wait,
            policies: authorized.determining_policies().to_vec(),
        })
    }

    /// One call, or how long until there is one.
    fn take(&self, key: Key) -> Result<(), Duration> {
        let mut budgets = self.room(&key)?;
        let (rate, now) = (key.rate, self.clock.now());
        let budget = budgets.by.entry(key).or_insert_with(|| Budget {
            left: RateLimiter::direct_with_clock(quota(rate), self.clock.clone()),
            used: now,
        });
        match budget.left.check() {
            Ok(()) => {
                budget.used = self.clock.now();
                Ok(())
            }
            Err(until) => Err(until.wait_time_from(self.clock.now())),
        }
    }

    /// The budgets, when this one is or can be among them. Of many others none is forgotten in its
    /// favour: whoever was forgotten would have a full one.
    fn room(&self, key: &Key) -> Result<MutexGuard<'_, Budgets<C>>, Duration> {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let full =
            |budgets: &Budgets<C>| budgets.by.len() >= self.most && !budgets.by.contains_key(key);
        let sweep_after = if full(&budgets) { SWEEP_WHEN_FULL } else { SWEEP };
        if elapsed::<C>(budgets.swept, now) >= sweep_after {
            budgets.by.retain(|key, budget| elapsed::<C>(budget.used, now) < key.rate.per);
            budgets.swept = now;
        }
        if full(&budgets) {
            tracing::warn!(
                "more callers of limited tools than can be counted; a new one is refused"
            );
            return Err(SWEEP_WHEN_FULL);
        }
        Ok(budgets)
    }
}

fn elapsed<C: Clock>(since: C::Instant, now: C::Instant) -> Duration {
    now.duration_since(since).into()
}

fn quota(rate: RateLimit) -> Quota {
    let calls = NonZeroU32::new(rate.calls).unwrap_or(NonZeroU32::MIN);
    // More often than every nanosecond is as often as can be.
    let every = (rate.per / calls.get()).max(Duration::from_nanos(1));
    Quota::with_period(every).unwrap_or_else(|| Quota::per_second(calls)).allow_burst(calls)
}

/// Some hundred bytes each.
const MAX_BUDGETS: usize = 100_000;
/// Each looks at all budgets: a millisecond or two when there are as many as can be.
const SWEEP: Duration = Duration::from_secs(60);
const SWEEP_WHEN_FULL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::token::Claims;

    fn key(subject: &str, tool: &str, rate: &str) -> Key {
        let subject = Owner::of(&Claims::for_test(subject, &[])).subject();
        Key { subject, tool: tool.to_owned(), rate: rate.parse().unwrap() }
    }

    fn limits(most: usize) -> (FakeRelativeClock, CallLimits<FakeRelativeClock>) {
        let clock = FakeRelativeClock::default();
        (clock.clone(), CallLimits::with(clock, most))
    }

    fn taken(limits: &CallLimits<FakeRelativeClock>, tries: usize, key: fn() -> Key) -> usize {
        (0..tries).filter(|_| limits.take(key()).is_ok()).count()
    }

    #[test]
    fn a_budget_is_spent_and_fills_again_evenly() {
        let (clock, limits) = limits(9);
        let alice = || key("alice", "t", "30/minute");
        assert_eq!(taken(&limits, 100, alice), 30);
        assert_eq!(limits.take(alice()), Err(Duration::from_secs(2)));
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(limits.take(alice()), Err(Duration::from_millis(500)), "it took nothing");
        clock.advance(Duration::from_millis(500));
        assert_eq!(taken(&limits, 100, alice), 1);
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(taken(&limits, 100, alice), 30, "it is never more than full");
    }

    #[test]
    fn another_subject_tool_or_rate_has_a_budget_of_its_own() {
        let (_, limits) = limits(9);
        let budgets: [fn() -> Key; 4] = [
            || key("alice", "t", "2/hour"),
            || key("bob", "t", "2/hour"),
            || key("alice", "u", "2/hour"),
            || key("alice", "t", "2/day"),
        ];
        for budget in budgets {
            assert_eq!(taken(&limits, 5, budget), 2);
        }
    }

    #[test]
    fn of_concurrent_calls_exactly_as_many_pass() {
        for _ in 0..20 {
            let limits = CallLimits::new();
            let passed: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            (0..50).filter(|_| limits.take(key("a", "t", "77/day")).is_ok()).count()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(passed, 77);
        }
    }

    #[test]
    fn there_is_an_end_to_budgets_and_none_is_forgotten_early() {
        let (clock, limits) = limits(2);
        assert!(limits.take(key("alice", "t", "1/minute")).is_ok());
        assert!(limits.take(key("bob", "t", "9/day")).is_ok());
        let carol = || key("carol", "t", "1/minute");
        assert_eq!(limits.take(carol()), Err(SWEEP_WHEN_FULL));
        assert!(limits.take(key("bob", "t", "9/day")).is_ok(), "who is known is served");
        clock.advance(Duration::from_secs(59));
        assert_eq!(limits.take(carol()), Err(SWEEP_WHEN_FULL));
        assert!(limits.take(key("alice", "t", "1/minute")).is_err());
        clock.advance(Duration::from_secs(1));
        assert!(limits.take(carol()).is_ok(), "alice's is full again and need not be known");
        assert_eq!(limits.budgets.lock().unwrap().by.len(), 2);
    }

    #[test]
    fn what_is_full_again_is_forgotten_now_and_then() {
        let (clock, limits) = limits(100);
        for name in ["a", "b", "c"] {
            assert!(limits.take(key(name, "t", "5/second")).is_ok());
        }
        clock.advance(SWEEP);
        assert!(limits.take(key("d", "t", "5/second")).is_ok());
        assert_eq!(limits.budgets.lock().unwrap().by.len(), 1);
    }

    #[test]
    fn every_rate_that_can_be_written_has_a_quota() {
        for rate in ["1/day", "4294967295/second", "4294967295/day", "1/second"] {
            let rate: RateLimit = rate.parse().unwrap();
            assert_eq!(quota(rate).burst_size().get(), rate.calls);
        }
    }
}
