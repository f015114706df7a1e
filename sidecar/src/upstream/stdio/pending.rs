//! Requests in flight: who waits for the answer to which id of the gate's.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{broadcast, oneshot};
use uuid::Uuid;

use super::{CallerKey, wire::Outcome};
use crate::{message::json::Json, rejection::Rejection};

/// All requests in flight to one child; shared by callers and the child's reader.
pub(super) struct Pending {
    most: usize,
    // A mutex, not a task: every use is one look-up.
    table: Mutex<Table>,
}

struct Table {
    open: bool,
    /// How many there have been.
    count: u64,
    waiters: HashMap<i64, Waiter>,
}

struct Waiter {
    /// Later ones have a higher one.
    turn: u64,
    asker: Option<Asker>,
    /// The caller's progress token, and where progress goes.
    progress: Option<(Json, broadcast::Sender<Bytes>)>,
    answer: oneshot::Sender<Result<Outcome, Rejection>>,
}

/// Whose request it is, and by what id; requests of the gate's own are nobody's.
pub(super) struct Asker {
    pub(super) caller: CallerKey,
    pub(super) id: Json,
}

/// What is on its way to the one who asked.
pub(super) struct Arrivals {
    pub(super) progress: Option<broadcast::Receiver<Bytes>>,
    pub(super) answer: oneshot::Receiver<Result<Outcome, Rejection>>,
}

impl Pending {
    pub(super) fn new(most: usize) -> Self {
        let table = Table { open: true, count: 0, waiters: HashMap::new() };
        Self { most, table: Mutex::new(table) }
    }

    /// A new id, and what will come for it.
    pub(super) fn register(
        &self,
        asker: Option<Asker>,
        token: Option<Json>,
    ) -> Result<(i64, Arrivals), Rejection> {
        let mut table = self.table();
        if !table.open {
            return Err(Rejection::UpstreamUnreachable);
        }
        if table.waiters.len() >= self.most {
            return Err(Rejection::Overloaded);
        }
        let (answer, answered) = oneshot::channel();
        let progress = token.map(|token| (token, broadcast::Sender::new(MAX_PROGRESS)));
        let arrivals = Arrivals {
            progress: progress.as_ref().map(|(_, sender)| sender.subscribe()),
            answer: answered,
        };
        let number = unguessable();
        table.count += 1;
        let turn = table.count;
        table.waiters.insert(number, Waiter { turn, asker, progress, answer });
        Ok((number, arrivals))
    }

    /// Gives the answer to whoever waits for it.
    pub(super) fn settle(&self, id: &Json, outcome: Result<Outcome, Rejection>) {
        let number = number(id);
        let mut table = self.table();
        let waiter = number.and_then(|number| table.waiters.remove(&number));
        drop(table);
        match waiter {
            // Who went away in this moment does not miss it.
            Some(waiter) => drop(waiter.answer.send(outcome)),
            None => tracing::debug!(?number, "nobody waits for this answer, or not any more"),
        }
    }

    /// Gives progress to whose token it is: `written` with the caller's own.
    pub(super) fn progress(&self, token: &Json, written: impl FnOnce(Json) -> Option<Vec<u8>>) {
        let table = self.table();
        let waiter = number(token).and_then(|number| table.waiters.get(&number));
        let progress = waiter.and_then(|waiter| waiter.progress.as_ref());
        let Some((token, sender)) = progress.map(|(token, sender)| (token.clone(), sender.clone()))
        else {
            return tracing::debug!("progress of nothing that is in flight");
        };
        drop(table);
        if let Some(note) = written(token) {
            // Who went away in this moment does not miss it.
            drop(sender.send(note.into()));
        }
    }

    /// Ends a caller's own request: its latest by that id.
    pub(super) fn cancel(&self, caller: &CallerKey, id: &Json) -> Option<i64> {
        let mut table = self.table();
        let is_theirs = |waiter: &Waiter| {
            waiter.asker.as_ref().is_some_and(|a| a.caller == *caller && same_id(&a.id, id))
        };
        let theirs = table.waiters.iter().filter(|(_, waiter)| is_theirs(waiter));
        let (&number, _) = theirs.max_by_key(|(_, waiter)| waiter.turn)?;
        let waiter = table.waiters.remove(&number)?;
        drop(table);
        drop(waiter.answer.send(Ok(Outcome::cancelled())));
        Some(number)
    }

    /// Whether it was still in flight; now it is not.
    pub(super) fn withdraw(&self, number: i64) -> bool {
        self.table().waiters.remove(&number).is_some()
    }

    /// Nothing will be answered any more: whoever waits learns it, and nobody begins to.
    pub(super) fn close(&self) {
        let mut table = self.table();
        table.open = false;
        let waiters = std::mem::take(&mut table.waiters);
        drop(table);
        drop(waiters);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new id. A child may print what a caller gave it, so that a caller who knew the next id could
/// answer another's request.
fn unguessable() -> i64 {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    // Every reader of numbers holds 53 bits exactly; below the version's bits all are random.
    i64::try_from(high >> 16).unwrap_or_default()
}

/// An id of the gate's making; those are whole numbers.
fn number(id: &Json) -> Option<i64> {
    match id {
        Json::Number(number) => number.scaled(0),
        _ => None,
    }
}

/// The same string, or the same whole number.
fn same_id(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one.scaled(0) == other.scaled(0),
        _ => one == other,
    }
}

/// Progress is of use while it is new.
const MAX_PROGRESS: usize = 16;
