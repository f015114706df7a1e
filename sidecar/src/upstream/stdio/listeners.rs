//! Who listens, and to which resources: what the child says of its own accord goes to them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{Stream, stream};
use tokio::sync::broadcast;

use super::{CallerKey, wire};
use crate::{
    message::json::{Json, Object},
    rejection::Rejection,
};

/// What the child says without being asked.
#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) method: Arc<str>,
    /// The resource that has changed.
    uri: Option<Arc<str>>,
}

/// Listening callers and subscriptions; they outlive the child.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Table>);

#[derive(Default)]
struct Table {
    // One channel a caller and one reader a channel: who is slow loses the oldest and delays nobody.
    ears: HashMap<CallerKey, broadcast::Sender<News>>,
    subscriptions: HashMap<CallerKey, BTreeSet<String>>,
}

/// What a subscription is to the child.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subscribed {
    First,
    Joined,
}

impl News {
    /// As an event, which says to which subscription it belongs (MCP 2026-07-28).
    pub(super) fn event(&self, subscription: Option<&Json>) -> Bytes {
        let mut params = self.uri.as_deref().map(wire::of_uri);
        if let Some(id) = subscription {
            let params = params.get_or_insert_with(Object::default);
            wire::set_meta(params, META_SUBSCRIPTION, id.clone());
        }
        wire::event(&wire::notification(&self.method, params))
    }
}

impl Listeners {
    pub(super) fn listen(&self, caller: &CallerKey) -> impl Stream<Item = News> + use<> {
        let (sender, receiver) = broadcast::channel(MAX_EVENTS);
        let mut table = self.table();
        table.ears.retain(|_, sender| sender.receiver_count() > 0);
        table.ears.insert(caller.clone(), sender);
        drop(table);
        stream::unfold(receiver, |mut receiver| async {
            Some((next(&mut receiver).await?, receiver))
        })
    }

    /// A notification for everybody, such as a changed list; it says no more than its name.
    pub(super) fn tell_all(&self, method: &str) {
        let news = News { method: method.into(), uri: None };
        for sender in self.table().ears.values() {
            // One that nobody reads is forgotten with the next listener.
            drop(sender.send(news.clone()));
        }
    }

    /// A resource has changed; its subscribers hear of it.
    pub(super) fn tell_subscribers(&self, uri: &str) {
        let method = "notifications/resources/updated";
        let news = News { method: method.into(), uri: Some(uri.into()) };
        let table = self.table();
        let theirs = table.subscriptions.iter().filter(|(_, uris)| uris.contains(uri));
        for sender in theirs.filter_map(|(caller, _)| table.ears.get(caller)) {
            drop(sender.send(news.clone()));
        }
    }

    pub(super) fn subscribe(&self, caller: &CallerKey, uri: &str) -> Result<Subscribed, Rejection> {
        let mut table = self.table();
        let known = table.has_subscriber(uri);
        if !table.subscriptions.contains_key(caller) && table.subscriptions.len() >= MAX_SUBSCRIBERS
        {
            table.forget_the_deaf();
            if table.subscriptions.len() >= MAX_SUBSCRIBERS {
                return Err(Rejection::Overloaded);
            }
        }
        let uris = table.subscriptions.entry(caller.clone()).or_default();
        if uris.len() >= MAX_SUBSCRIPTIONS && !uris.contains(uri) {
            return Err(Rejection::Overloaded);
        }
        uris.insert(uri.to_owned());
        Ok(if known { Subscribed::Joined } else { Subscribed::First })
    }

    /// The child refuses to tell of a resource: nobody subscribes to it, also not who joined while
    /// it was asked.
    pub(super) fn refuse(&self, uri: &str) {
        let mut table = self.table();
        table.subscriptions.retain(|_, uris| {
            uris.remove(uri);
            !uris.is_empty()
        });
    }

    /// Ends one subscription; `unheard` is told when it was the last, before anyone can subscribe
    /// again.
    pub(super) fn unsubscribe(&self, caller: &CallerKey, uri: &str, unheard: impl FnOnce(&str)) {
        let mut table = self.table();
        let Some(uris) = table.subscriptions.get_mut(caller) else { return };
        let was_there = uris.remove(uri);
        if uris.is_empty() {
            table.subscriptions.remove(caller);
        }
        if was_there && !table.has_subscriber(uri) {
            unheard(uri);
        }
    }

    /// Ends all that a caller has; `unheard` is told of what nobody subscribes to any more.
    pub(super) fn forget(&self, caller: &CallerKey, unheard: impl Fn(&str)) {
        let mut table = self.table();
        table.ears.remove(caller);
        let uris = table.subscriptions.remove(caller).unwrap_or_default();
        uris.iter().filter(|uri| !table.has_subscriber(uri)).for_each(|uri| unheard(uri));
    }

    /// Ends every listener's stream.
    pub(super) fn hang_up(&self) {
        self.table().ears.clear();
    }

    /// Everything that anybody subscribes to.
    pub(super) fn subscribed(&self) -> BTreeSet<String> {
        self.table().subscriptions.values().flatten().cloned().collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Subscriptions of sessions that nobody listens to take no other's place. What only they
    /// subscribed to the child goes on telling, to nobody.
    fn forget_the_deaf(&mut self) {
        self.ears.retain(|_, sender| sender.receiver_count() > 0);
        let Self { ears, subscriptions } = self;
        subscriptions.retain(|caller, _| ears.contains_key(caller));
    }

    fn has_subscriber(&self, uri: &str) -> bool {
        self.subscriptions.values().any(|uris| uris.contains(uri))
    }
}

/// The next that has not been lost; nothing after the last.
pub(super) async fn next<T: Clone>(receiver: &mut broadcast::Receiver<T>) -> Option<T> {
    loop {
        match receiver.recv().await {
            Ok(said) => return Some(said),
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                tracing::debug!(lost, "a slow listener has lost events");
            }
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

pub(super) const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// More than arrive while a network stalls.
const MAX_EVENTS: usize = 64;
/// Of one caller; a client subscribes to what it shows.
const MAX_SUBSCRIPTIONS: usize = 100;
/// Callers whose sessions never end must not fill the memory.
const MAX_SUBSCRIBERS: usize = 10_000;
