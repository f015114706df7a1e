//! Counts what a call yields, as it passes to the caller.

use super::Backend;

/// Counts bytes on budgets.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(super) backend: Backend,
    pub(super) keys: Vec<Box<str>>,
}

impl Meter {
    /// So many bytes more have passed.
    pub(crate) fn count(&self, bytes: u64) {
        self.backend.count(&self.keys, bytes);
    }
}
