//! One request on its way: its progress, its answer, and its end when nobody waits any more.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::broadcast;

use super::{connection::Connection, listeners, pending::Arrivals, wire::Outcome};
use crate::rejection::Rejection;

/// A request in flight. Dropped before its answer has come, it is in flight no more.
pub(super) struct Flight {
    connection: Arc<Connection>,
    number: i64,
    arrivals: Arrivals,
    when_left: WhenLeft,
}

/// What becomes of a request whose caller has gone away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenLeft {
    /// To go away is to cancel (MCP 2026-07-28, transports).
    Cancelled,
    /// To go away says nothing (MCP 2025-11-25, transports).
    GoesOn,
}

/// What comes next.
pub(super) enum Step {
    /// A whole notification, with the caller's own token.
    Progress(Bytes),
    /// Nothing comes after it.
    Answer(Outcome),
}

impl Flight {
    pub(super) fn new(
        connection: Arc<Connection>,
        number: i64,
        arrivals: Arrivals,
        when_left: WhenLeft,
    ) -> Self {
        Self { connection, number, arrivals, when_left }
    }

    /// The next that arrives. All progress comes before the answer.
    pub(super) async fn next(&mut self) -> Result<Step, Rejection> {
        let Arrivals { progress, answer } = &mut self.arrivals;
        let step = async {
            tokio::select! {
                biased;
                Some(note) = next_note(progress) => Ok(Step::Progress(note)),
                answer = answer => match answer {
                    Ok(outcome) => outcome.map(Step::Answer),
                    Err(_) => Err(Rejection::UpstreamUnreachable),
                },
            }
        };
        if let Ok(step) = tokio::time::timeout(self.connection.patience, step).await {
            return step;
        }
        self.when_left = WhenLeft::Cancelled;
        Err(Rejection::UpstreamTooSlow)
    }

    /// The answer alone.
    pub(super) async fn answer(mut self) -> Result<Outcome, Rejection> {
        loop {
            if let Step::Answer(outcome) = self.next().await? {
                return Ok(outcome);
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let was_in_flight = self.connection.pending.withdraw(self.number);
        if was_in_flight && self.when_left == WhenLeft::Cancelled {
            self.connection.abandon(self.number);
        }
    }
}

async fn next_note(progress: &mut Option<broadcast::Receiver<Bytes>>) -> Option<Bytes> {
    listeners::next(progress.as_mut()?).await
}
