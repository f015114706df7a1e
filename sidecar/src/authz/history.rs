//! What each caller did in the last minutes, for policies that look at `context.history`.
//!
//! Of this process only, and forgotten with it. Requests that are decided at the same moment do not
//! see each other: a limit that must be exact is none of policy's.

use std::{
    collections::{BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use moka::sync::Cache;

/// The last minutes of all callers.
#[derive(Debug, Clone)]
pub(crate) struct Histories {
    window: Duration,
    /// By principal.
    known: Cache<String, Arc<Mutex<History>>>,
}

/// The last minutes of one caller, in slices.
#[derive(Debug, Default)]
struct History(VecDeque<Slice>);

#[derive(Debug)]
struct Slice {
    began: Instant,
    calls: i64,
    denials: i64,
    /// Digests of the names of tools that were called.
    tools: BTreeSet<u64>,
}

/// What there was in the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) calls: i64,
    pub(crate) denials: i64,
    pub(crate) tools: i64,
}

impl Histories {
    pub(crate) fn new(window: Duration) -> Self {
        let known = Cache::builder().max_capacity(MAX_PRINCIPALS).time_to_idle(window * 2).build();
        Self { window, known }
    }

    /// What a principal did in the window that ends now.
    pub(crate) fn tally(&self, principal: &str, now: Instant) -> Tally {
        let Some(history) = self.known.get(principal) else { return Tally::default() };
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.forget_before(now, self.kept());
        history.tally()
    }

    /// How long after its beginning a slice is known: until all of it is out of the window.
    fn kept(&self) -> Duration {
        self.window + self.window / SLICES
    }

    /// Remembers a decision.
    pub(crate) fn note(&self, principal: &str, permitted: bool, tool: Option<&str>, now: Instant) {
        let history = self.known.get_with_by_ref(principal, Arc::default);
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.forget_before(now, self.kept());
        history.note(permitted, tool, now, self.window / SLICES);
    }
}

impl History {
    fn forget_before(&mut self, now: Instant, kept: Duration) {
        while self.0.front().is_some_and(|slice| now.duration_since(slice.began) >= kept) {
            self.0.pop_front();
        }
    }

    fn note(&mut self, permitted: bool, tool: Option<&str>, now: Instant, length: Duration) {
        if self.0.back().is_none_or(|slice| now.duration_since(slice.began) >= length) {
            self.0.push_back(Slice { began: now, calls: 0, denials: 0, tools: BTreeSet::new() });
        }
        let Some(slice) = self.0.back_mut() else { return };
        if permitted {
            slice.calls += 1
        } else {
            slice.denials += 1
        }
        if let Some(tool) = tool.filter(|_| slice.tools.len() < MAX_TOOLS) {
            let mut hasher = DefaultHasher::new();
            tool.hash(&mut hasher);
            slice.tools.insert(hasher.finish());
        }
    }

    fn tally(&self) -> Tally {
        let tools: BTreeSet<u64> = self.0.iter().flat_map(|slice| &slice.tools).copied().collect();
        Tally {
            calls: self.0.iter().map(|slice| slice.calls).sum(),
            denials: self.0.iter().map(|slice| slice.denials).sum(),
            tools: i64::try_from(tools.len()).unwrap_or(i64::MAX),
        }
    }
}

/// A window moves on by a tenth of itself, and may be longer by as much.
const SLICES: u32 = 10;
/// Of whom nothing has been heard for longest is forgotten first.
const MAX_PRINCIPALS: u64 = 100_000;
/// Names in one slice; whoever calls more has called many.
const MAX_TOOLS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let histories = Histories::new(Duration::from_secs(100));
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        histories.note("a", true, Some("x"), at(0));
        histories.note("a", false, Some("y"), at(50));
        histories.note("a", true, Some("x"), at(60));
        histories.note("b", true, None, at(60));
        assert_eq!(histories.tally("a", at(60)), Tally { calls: 2, denials: 1, tools: 2 });
        assert_eq!(histories.tally("a", at(109)), Tally { calls: 2, denials: 1, tools: 2 });
        assert_eq!(histories.tally("a", at(110)), Tally { calls: 1, denials: 1, tools: 2 });
        assert_eq!(histories.tally("a", at(165)), Tally { calls: 1, denials: 0, tools: 1 });
        assert_eq!(histories.tally("a", at(170)), Tally::default());
        assert_eq!(histories.tally("c", at(60)), Tally::default());
    }
}
