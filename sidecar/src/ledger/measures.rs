//! How the ledger does, in numbers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::telemetry::{Counter, Histogram, Level};

/// Counted by the writer, read by whoever tells operators.
#[derive(Debug)]
pub(crate) struct Measures {
    /// 1 after a group that could not be written, until something can.
    is_stuck: Level,
    pub(crate) entries: Counter,
    /// Entries that were not written.
    pub(crate) lost: Counter,
    /// Groups that could not be written.
    pub(crate) failures: Counter,
    /// What a group took.
    pub(crate) write: Histogram,
    /// How many entries it had.
    pub(crate) group: Histogram,
    /// When everything was signed, in seconds since 1970.
    pub(crate) signed_at: Level,
}

impl Default for Measures {
    fn default() -> Self {
        let measures = Self {
            is_stuck: Level::default(),
            entries: Counter::default(),
            lost: Counter::default(),
            failures: Counter::default(),
            write: Histogram::of_durations(),
            group: Histogram::of_counts(),
            signed_at: Level::default(),
        };
        measures.all_signed();
        measures
    }
}

impl Measures {
    pub(crate) fn is_writable(&self) -> bool {
        self.is_stuck.get() == 0
    }

    /// A group of so many entries was written.
    pub(super) fn wrote(&self, entries: usize, took: Duration) {
        let entries = u64::try_from(entries).unwrap_or(u64::MAX);
        self.write.took(took);
        self.group.observe(entries);
        self.entries.add(entries);
        self.is_stuck.set(0);
    }

    /// A group was not written, and so many of its entries never will be.
    pub(super) fn failed(&self, lost: usize, took: Duration) {
        self.write.took(took);
        self.failures.one_more();
        self.lost.add(u64::try_from(lost).unwrap_or(u64::MAX));
        self.is_stuck.set(1);
    }

    /// Something else than a group could be written.
    pub(super) fn written_again(&self) {
        self.is_stuck.set(0);
    }

    /// Nothing is left to be signed.
    pub(super) fn all_signed(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.signed_at.set(now.as_secs());
    }
}
