//! How the rehearsed model fails when its script says so.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum::http::StatusCode;

use super::wire::Wire;

/// A way to fail, and for how many requests.
#[derive(Debug)]
pub(super) struct Fault {
    /// On which wire; none means both.
    pub(super) wire: Option<Wire>,
    /// How many requests meet it; none means all.
    pub(super) times: Option<u32>,
    pub(super) manner: Manner,
    // How many have met it, counted over all connections.
    pub(super) met: AtomicU32,
}

/// How an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Manner {
    /// Before the first byte.
    pub(super) delay: Duration,
    /// Between two events of a stream.
    pub(super) pause: Duration,
    pub(super) end: End,
}

/// What becomes of an answer. Events are those of the stream; an answer that is not streamed
/// breaks in its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum End {
    /// It comes whole.
    #[default]
    Well,
    /// An error instead.
    Status { status: StatusCode, retry_after: Option<Duration> },
    /// The key is not taken.
    Unauthorized,
    /// Something that cannot be read.
    Garbage,
    /// The connection breaks after so many events.
    BrokenOff(usize),
    /// The stream ends after so many events as if that were all.
    Short(usize),
    /// The provider says after so many events that it failed.
    Failed(usize),
}

impl Fault {
    /// Whether the next request on `wire` meets it; from then on that one counts.
    fn meets(&self, wire: Wire) -> bool {
        if self.wire.is_some_and(|only| only != wire) {
            return false;
        }
        let Some(times) = self.times else { return true };
        let meet = |met: u32| (met < times).then_some(met + 1);
        self.met.fetch_update(Ordering::Relaxed, Ordering::Relaxed, meet).is_ok()
    }
}

/// The manner of the first fault that is not used up.
pub(super) fn next<'a>(faults: impl IntoIterator<Item = &'a Fault>, wire: Wire) -> Manner {
    let mut faults = faults.into_iter();
    faults.find(|fault| fault.meets(wire)).map(|fault| fault.manner).unwrap_or_default()
}
