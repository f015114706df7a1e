//! What is left of every budget, in this process.
//!
//! A call is tried on all of its budgets and taken from all or from none, under one lock, so that of
//! concurrent calls exactly as many pass as there is room for. Look-ups and arithmetic alone happen
//! under it, and a sweep now and then.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::nanos::Nanos;

use super::{
    arithmetic::{draw, returned},
    clock::{Moment, Timepiece},
    state::{Ceiling, Left},
};
use crate::config::{Ceilings, Rate};

/// What a call asks of one budget. Nothing in it is of this process alone: a store that is shared
/// between instances can be asked the same.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    /// Which budget. Names its rule and everything that tells it from the rule's others.
    pub(super) key: Box<str>,
    pub(super) ceilings: Ceilings,
}

/// What a demand is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A call of a tool.
    Call,
    /// More of what a call yields: bytes alone count.
    Yield,
}

/// What is left after a call; in the order of its demands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken(pub(super) Vec<(usize, Left)>);

/// Why nothing was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom {
    /// Until there may be some.
    pub(super) wait: Duration,
    /// What is left all the same, nothing where there was no room.
    pub(super) left: Vec<(usize, Left)>,
}

/// Budgets of this process.
#[derive(Debug)]
pub(super) struct Store {
    clock: Timepiece,
    most: usize,
    budgets: Mutex<Budgets>,
}

#[derive(Debug)]
struct Budgets {
    by: HashMap<Box<str>, Budget>,
    swept: Nanos,
}

/// What was taken of one budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Budget {
    /// When all calls of its rate will have come back.
    full_at: Nanos,
    under_way: u32,
    /// On which day calls and bytes were counted.
    day: i64,
    calls: u32,
    bytes: u64,
}

impl Store {
    pub(super) fn new(clock: Timepiece, most: usize) -> Self {
        let swept = clock.now().at;
        Self { clock, most, budgets: Mutex::new(Budgets { by: HashMap::new(), swept }) }
    }

    /// Takes a call from all budgets, or from none. Of no two demands the keys are the same.
    pub(super) fn take(&self, demands: &[Demand], purpose: Purpose) -> Result<Taken, NoRoom> {
        let mut budgets = self.locked();
        let now = self.clock.now();
        self.make_room(&mut budgets, demands, &now)?;
        let mut after = Vec::with_capacity(demands.len());
        let mut left = Vec::with_capacity(demands.len());
        let mut wait = None;
        for (number, Demand { key, ceilings }) in demands.iter().enumerate() {
            let mut budget = budgets.by.get(key).copied().unwrap_or_default();
            let told = |what| left.push((number, what));
            wait = wait.max(budget.try_to_take(ceilings, purpose, &now, told));
            after.push(budget);
        }
        if let Some(wait) = wait {
            // Where there was room nothing was taken.
            let told = left.iter_mut().filter(|(_, left)| left.room && left.of.counts_calls());
            told.for_each(|(_, left)| left.remaining += 1);
            return Err(NoRoom { wait, left });
        }
        for (Demand { key, .. }, after) in demands.iter().zip(after) {
            match budgets.by.get_mut(key) {
                Some(budget) => *budget = after,
                None => drop(budgets.by.insert(key.clone(), after)),
            }
        }
        Ok(Taken(left))
    }

    /// Gives back a call that was taken and is not made.
    pub(super) fn give_back(&self, demands: &[Demand]) {
        let (mut budgets, now) = (self.locked(), self.clock.now());
        for Demand { key, ceilings } in demands {
            let Some(budget) = budgets.by.get_mut(key) else { continue };
            budget.under_way =
                budget.under_way.saturating_sub(ceilings.concurrent.map_or(0, |_| 1));
            if let Some(rate) = ceilings.rate {
                budget.full_at = returned(rate, budget.full_at);
            }
            if ceilings.calls_per_day.is_some() && budget.day >= now.day {
                budget.calls = budget.calls.saturating_sub(1);
            }
        }
    }

    /// Notes that calls have ended.
    pub(super) fn leave(&self, keys: &[Box<str>]) {
        let mut budgets = self.locked();
        for key in keys {
            if let Some(budget) = budgets.by.get_mut(key) {
                budget.under_way = budget.under_way.saturating_sub(1);
            }
        }
    }

    /// Notes what calls yielded.
    pub(super) fn count(&self, keys: &[Box<str>], bytes: u64) {
        let (mut budgets, now) = (self.locked(), self.clock.now());
        for key in keys {
            // Swept since, when a day began. There is room: it was there when the call was taken.
            let budget = budgets.by.entry(key.clone()).or_default();
            budget.begin_day(now.day);
            budget.bytes = budget.bytes.saturating_add(bytes);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Budgets> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that these budgets are or can be among the others. Of those none is forgotten in
    /// their favour: whoever was forgotten would have a full one.
    fn make_room(
        &self,
        budgets: &mut Budgets,
        demands: &[Demand],
        now: &Moment,
    ) -> Result<(), NoRoom> {
        let full = |budgets: &Budgets| {
            let new = demands.iter().filter(|demand| !budgets.by.contains_key(&demand.key));
            budgets.by.len() + demands.len() > self.most
                && budgets.by.len() + new.count() > self.most
        };
        let sweep_after = if full(budgets) { SWEEP_WHEN_FULL } else { SWEEP };
        if now.at.saturating_sub(budgets.swept) >= sweep_after.into() {
            budgets.by.retain(|_, budget| !budget.is_untouched(now));
            budgets.swept = now.at;
        }
        if full(budgets) {
            tracing::warn!(
                "more callers of limited tools than can be counted; a new one is refused"
            );
            return Err(NoRoom { wait: SWEEP_WHEN_FULL, left: Vec::new() });
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.locked().by.len()
    }
}

impl Budget {
    /// Whether it is as if nobody had ever taken anything.
    fn is_untouched(&self, now: &Moment) -> bool {
        let counted = self.day >= now.day && (self.calls > 0 || self.bytes > 0);
        self.full_at <= now.at && self.under_way == 0 && !counted
    }

    /// A clock that is set back begins no day anew.
    fn begin_day(&mut self, day: i64) {
        if day > self.day {
            (self.day, self.calls, self.bytes) = (day, 0, 0);
        }
    }

    /// Takes one call where there is room, and says how long it may take until there is, where there
    /// is none.
    fn try_to_take(
        &mut self,
        ceilings: &Ceilings,
        purpose: Purpose,
        now: &Moment,
        mut left: impl FnMut(Left),
    ) -> Option<Duration> {
        self.begin_day(now.day);
        let mut wait = None;
        if let Some(most) = ceilings.result_bytes_per_day {
            let remaining = most.saturating_sub(self.bytes);
            left(Left {
                of: Ceiling::ResultBytesPerDay,
                remaining,
                limit: most,
                reset: Some(now.left_of_day),
                room: remaining > 0,
            });
            wait = (remaining == 0).then_some(now.left_of_day);
        }
        if purpose == Purpose::Yield {
            return wait;
        }
        if let Some(rate) = ceilings.rate {
            wait = wait.max(self.draw(rate, now, &mut left));
        }
        if let Some(most) = ceilings.calls_per_day {
            let room = one_more(&mut self.calls, most);
            let reset = Some(now.left_of_day);
            left(Left::of_count(Ceiling::CallsPerDay, (self.calls, most), reset, room));
            wait = wait.max((!room).then_some(now.left_of_day));
        }
        if let Some(most) = ceilings.concurrent {
            let room = one_more(&mut self.under_way, most);
            left(Left::of_count(Ceiling::Concurrent, (self.under_way, most), None, room));
            // When one of them ends nobody knows.
            wait = wait.max((!room).then_some(SOON));
        }
        wait
    }

    fn draw(&mut self, rate: Rate, now: &Moment, left: &mut impl FnMut(Left)) -> Option<Duration> {
        let drawn = draw(rate, self.full_at, now.at);
        let remaining = drawn.map_or(0, |drawn| drawn.remaining);
        self.full_at = drawn.map_or(self.full_at, |drawn| drawn.full_at);
        left(Left {
            of: Ceiling::Rate,
            remaining: remaining.into(),
            limit: rate.burst.into(),
            reset: Some(self.full_at.saturating_sub(now.at).into()),
            room: drawn.is_ok(),
        });
        drawn.err()
    }
}

/// Counts one more, if there may be one.
fn one_more(count: &mut u32, most: u32) -> bool {
    let room = *count < most;
    *count += u32::from(room);
    room
}

/// Each looks at all budgets: a millisecond or two for a hundred thousand.
const SWEEP: Duration = Duration::from_secs(60);
const SWEEP_WHEN_FULL: Duration = Duration::from_secs(1);
/// After so long it is worth trying again.
const SOON: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
