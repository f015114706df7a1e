//! What counts: numbers that many tasks change and nobody waits for.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Only ever grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// Goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicU64);

/// How often something was at most so much.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [u64],
    /// One more than there are bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// How many observed make one of the unit that is told; divided by, so that bounds stay round.
    in_one: f64,
}

/// A histogram at some moment, in the unit that is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Distribution {
    /// Upper bounds, but for the last, which is infinite.
    pub(crate) bounds: Vec<f64>,
    /// Of each bucket alone, the last one included.
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: f64,
}

impl Counter {
    pub(crate) fn one_more(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Level {
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Only ever after an [`Self::up`].
    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Histogram {
    /// Of durations, told in seconds.
    pub(crate) fn of_durations() -> Self {
        Self::new(&DURATIONS_NS, 1e9)
    }

    /// Of numbers, told as they are.
    pub(crate) fn of_counts() -> Self {
        Self::new(&COUNTS, 1.0)
    }

    fn new(bounds: &'static [u64], in_one: f64) -> Self {
        let counts = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        Self { bounds, counts, sum: AtomicU64::new(0), in_one }
    }

    pub(crate) fn took(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn observe(&self, value: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound);
        if let Some(count) = self.counts.get(bucket.unwrap_or(self.bounds.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Distribution {
        Distribution {
            bounds: self.bounds.iter().map(|bound| *bound as f64 / self.in_one).collect(),
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed) as f64 / self.in_one,
        }
    }
}

impl Distribution {
    /// How many were observed.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// From what a look-up takes to what a patient caller waits; about 2.5 apart.
const DURATIONS_NS: [u64; 21] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];
const COUNTS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_first_bucket_that_holds_it() {
        let counts = Histogram::of_counts();
        for value in [0, 1, 2, 3, 256, 257, 100_000] {
            counts.observe(value);
        }
        let read = counts.read();
        assert_eq!(read.counts, [2, 1, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((read.count(), read.bounds[8]), (7, 256.0));
        let durations = Histogram::of_durations();
        durations.took(Duration::from_millis(1));
        durations.took(Duration::from_secs(3600));
        let read = durations.read();
        assert_eq!((read.counts[6], read.counts[21]), (1, 1));
        assert!((read.sum - 3600.001).abs() < 1e-6, "{read:?}");
    }
}
