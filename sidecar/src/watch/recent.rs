//! What was seen lately: the newest so many things within a time.

use std::{collections::VecDeque, time::Duration};

use uuid::Uuid;

use super::act::Act;

/// Oldest first.
#[derive(Debug)]
pub(super) struct Recent<T>(VecDeque<Seen<T>>);

#[derive(Debug)]
pub(super) struct Seen<T> {
    pub(super) record: Uuid,
    pub(super) what: T,
    at: i64,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Recent<T> {
    /// Forgets what is not in the window that ends with `now`.
    pub(super) fn forget_before(&mut self, now: i64, window: Duration) {
        let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let begin = now.saturating_sub(window);
        while self.0.front().is_some_and(|seen| seen.at <= begin) {
            self.0.pop_front();
        }
    }

    /// Remembers something, and forgets the oldest when there are more than `most`.
    pub(super) fn note(&mut self, act: &Act<'_>, what: T, most: usize) {
        while self.0.len() >= most.max(1) {
            self.0.pop_front();
        }
        self.0.push_back(Seen { record: act.record, what, at: act.at });
    }

    /// Those that satisfy `matching`, oldest first.
    pub(super) fn like<'a>(
        &'a self,
        matching: impl Fn(&T) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Seen<T>> {
        self.0.iter().filter(move |seen| matching(&seen.what))
    }

    pub(super) fn drop_like(&mut self, matching: impl Fn(&T) -> bool) {
        self.0.retain(|seen| !matching(&seen.what));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn records(&self) -> Vec<Uuid> {
        self.0.iter().map(|seen| seen.record).collect()
    }
}
