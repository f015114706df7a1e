//! An MCP server as a child process that speaks over its standard streams, shared by all callers.
//!
//! On such streams there is one conversation, so the gate holds it: it introduces itself, gives
//! every request an id of its own and puts the caller's back into the answer. What the child says
//! without being asked goes only to whom it can be attributed, and else to nobody.
//! (MCP 2025-11-25 and 2026-07-28, transports: stdio.)

mod call;
mod child;
mod connection;
mod flight;
mod introduction;
mod lines;
mod listeners;
mod pending;
mod reply;
mod subscription;
mod supervisor;
mod translation;
mod wire;

use std::sync::{Arc, Once};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream::BoxStream};
use tokio::sync::watch;

use crate::{
    config::{Limits, StdioUpstream},
    message::{Message, json::Json},
    rejection::Rejection,
};
use call::Call;
use listeners::Subscribed;
use supervisor::{Shared, Up, supervise};
use wire::Outcome;

/// Who asks: the principal and its session, told apart by all of their parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CallerKey(Arc<[String]>);

/// What a caller gets. Messages bear the caller's own id.
pub(super) enum Reply {
    /// A notification has no answer.
    Accepted,
    /// One JSON-RPC message.
    Json(Bytes),
    /// Server-sent events, the last of which is the answer.
    Events(BoxStream<'static, Bytes>),
}

/// Keeps one child running, from the first need until this is dropped.
pub(super) struct StdioServer {
    shared: Arc<Shared>,
    supervised: Once,
    /// Says `true` when the child must end; so does its end.
    stop: watch::Sender<bool>,
}

impl CallerKey {
    pub(super) fn new(parts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(parts.into_iter().map(Into::into).collect())
    }

    /// One of several things that this caller does at a time.
    fn and(&self, part: String) -> Self {
        Self(self.0.iter().cloned().chain([part]).collect())
    }
}

impl StdioServer {
    /// Starts nothing yet.
    pub(super) fn new(command: StdioUpstream, limits: &Limits) -> Self {
        Self {
            shared: Arc::new(Shared::new(command, limits)),
            supervised: Once::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// Starts the child, if that has not been done.
    pub(super) fn start(&self) {
        self.supervised.call_once(|| {
            tokio::spawn(supervise(Arc::clone(&self.shared), self.stop.subscribe()));
        });
    }

    /// Ends the child in order: its input is closed, and only if that does not move it, it is
    /// signalled. Nobody listens any more.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        self.shared.listeners.hang_up();
        if self.supervised.is_completed() {
            self.shared.stopped().await;
        }
    }

    /// Passes on one permitted message of one caller, or answers it here.
    pub(super) async fn exchange(
        &self,
        message: &Message,
        caller: &CallerKey,
    ) -> Result<Reply, Rejection> {
        self.answer(Call::of(message), caller).await
    }

    /// Events of what concerns every caller, and of the resources this one subscribed to. A new
    /// listener takes the place of the caller's last one.
    pub(super) fn listen(&self, caller: &CallerKey) -> impl Stream<Item = Bytes> + use<> {
        self.start();
        self.shared.listeners.listen(caller).map(|news| news.event(None))
    }

    /// A session has ended, and with it its subscriptions.
    pub(super) fn forget(&self, caller: &CallerKey) {
        self.shared.listeners.forget(caller, |uri| self.shared.unsubscribe(uri));
    }

    async fn answer(&self, call: Call<'_>, caller: &CallerKey) -> Result<Reply, Rejection> {
        let Some(id) = call.id else {
            self.notified(&call, caller).await;
            return Ok(Reply::Accepted);
        };
        let here = |result| Ok(json(id, Outcome::Result(result)));
        match call.method {
            // Of a shared child there is one level of logging, and no caller reads its log.
            "ping" | "logging/setLevel" => here(wire::empty()),
            "initialize" => here(self.up().await?.introduction.initialize_result(&call)),
            "server/discover" => here(self.up().await?.introduction.discover_result()),
            "subscriptions/listen" => self.listen_to(&call, id, caller).await,
            "resources/subscribe" => self.subscribe(&call, caller).await,
            "resources/unsubscribe" => self.unsubscribe(&call, caller),
            _ => reply::relayed(&call, id, caller, &*self.up().await?).await,
        }
    }

    /// Of notifications only a cancellation is about one request; what else a caller could say
    /// would be taken for everybody's.
    async fn notified(&self, call: &Call<'_>, caller: &CallerKey) {
        let cancelled =
            call.param("requestId").filter(|_| call.method == "notifications/cancelled");
        if let (Some(id), Some(up)) = (cancelled, self.shared.up_now()) {
            up.connection.cancel(caller, id).await;
        }
    }

    async fn subscribe(&self, call: &Call<'_>, caller: &CallerKey) -> Result<Reply, Rejection> {
        let (Some(id), Some(uri)) = (call.id, call.text("uri")) else {
            return Err(Rejection::InvalidParams);
        };
        Ok(json(id, self.subscribe_to(uri, caller).await?))
    }

    /// The child is asked on behalf of the first subscriber of a resource; who joins in is not
    /// told what it answers to that.
    async fn subscribe_to(&self, uri: &str, caller: &CallerKey) -> Result<Outcome, Rejection> {
        let up = self.up().await?;
        let outcome = match self.shared.listeners.subscribe(caller, uri)? {
            Subscribed::Joined => Ok(Outcome::Result(wire::empty())),
            Subscribed::First => up.connection.ask("resources/subscribe", wire::of_uri(uri)).await,
        };
        match outcome {
            Ok(Outcome::Result(_)) => {}
            Ok(Outcome::Error(_)) => self.shared.listeners.refuse(uri),
            Err(_) => self.shared.listeners.unsubscribe(caller, uri, |_| {}),
        }
        outcome
    }

    /// The child is told after the last.
    fn unsubscribe(&self, call: &Call<'_>, caller: &CallerKey) -> Result<Reply, Rejection> {
        let (Some(id), Some(uri)) = (call.id, call.text("uri")) else {
            return Err(Rejection::InvalidParams);
        };
        self.shared.listeners.unsubscribe(caller, uri, |uri| self.shared.unsubscribe(uri));
        Ok(json(id, Outcome::Result(wire::empty())))
    }

    async fn up(&self) -> Result<Arc<Up>, Rejection> {
        self.start();
        self.shared.up().await
    }
}

fn json(id: &Json, outcome: Outcome) -> Reply {
    Reply::Json(wire::response(id, outcome).into())
}

#[cfg(test)]
mod tests;
