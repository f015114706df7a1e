//! The gate's side of the conversation with one running child: what is sent, and where what
//! comes goes.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, de::IgnoredAny};
use tokio::sync::mpsc;

use super::{
    CallerKey,
    flight::{Flight, WhenLeft},
    lines::printable,
    listeners::Listeners,
    pending::{Asker, Pending},
    wire::{self, Outcome},
};
use crate::{
    config::Limits,
    message::json::{Json, Object},
    rejection::Rejection,
};

/// Shared by the supervisor, who reads, and by all who wait for answers.
pub(super) struct Connection {
    queue: mpsc::Sender<Vec<u8>>,
    pub(super) pending: Pending,
    /// For how long nothing may be heard of a request.
    pub(super) patience: Duration,
}

/// A request as the child is to read it, but for its id.
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) params: Option<Object>,
    pub(super) asker: Option<Asker>,
    /// By which the caller knows the progress of this request, if it wants to.
    pub(super) progress_token: Option<Json>,
    pub(super) when_left: WhenLeft,
}

impl Connection {
    /// A connection, and what is to be written to the child.
    pub(super) fn new(limits: &Limits) -> (Arc<Self>, mpsc::Receiver<Vec<u8>>) {
        let (queue, written) = mpsc::channel(MAX_QUEUED);
        let pending = Pending::new(limits.max_concurrent_requests);
        (Arc::new(Self { queue, pending, patience: limits.response_timeout }), written)
    }

    /// Sends a request under an id of the gate's.
    pub(super) async fn send(self: &Arc<Self>, request: Request) -> Result<Flight, Rejection> {
        let Request { method, mut params, asker, progress_token, when_left } = request;
        let wants_progress = progress_token.is_some();
        let (number, arrivals) = self.pending.register(asker, progress_token)?;
        let flight = Flight::new(Arc::clone(self), number, arrivals, when_left);
        if wants_progress {
            wire::set_meta(params.get_or_insert_default(), "progressToken", Json::whole(number));
        }
        self.write(wire::request(number, method, params)).await?;
        Ok(flight)
    }

    /// Asks something in the gate's own name.
    pub(super) async fn ask(
        self: &Arc<Self>,
        method: &'static str,
        params: Object,
    ) -> Result<Outcome, Rejection> {
        let request = Request {
            method,
            params: Some(params),
            asker: None,
            progress_token: None,
            when_left: WhenLeft::GoesOn,
        };
        self.send(request).await?.answer().await
    }

    /// Asks something whose answer makes no difference.
    pub(super) fn ask_in_passing(&self, method: &str, params: Object) {
        if let Ok((number, _)) = self.pending.register(None, None) {
            self.pending.withdraw(number);
            self.write_now(wire::request(number, method, Some(params)));
        }
    }

    /// The same, waiting until the child has room for it.
    pub(super) async fn ask_before_long(
        &self,
        method: &str,
        params: Object,
    ) -> Result<(), Rejection> {
        let (number, _) = self.pending.register(None, None)?;
        self.pending.withdraw(number);
        self.write(wire::request(number, method, Some(params))).await
    }

    pub(super) fn notify(&self, method: &str, params: Option<Object>) {
        self.write_now(wire::notification(method, params));
    }

    /// Passes on that a caller gave up a request of its own; of another's, nothing happens.
    pub(super) async fn cancel(&self, caller: &CallerKey, id: &Json) {
        let Some(number) = self.pending.cancel(caller, id) else {
            return tracing::debug!("a cancellation of nothing that is the caller's");
        };
        let cancelled = wire::notification(CANCELLED, Some(of_request(number)));
        // A child that reads nothing has other troubles.
        drop(self.write(cancelled).await);
    }

    /// Tells the child that nobody waits for a request any more.
    pub(super) fn abandon(&self, number: i64) {
        self.notify(CANCELLED, Some(of_request(number)));
    }

    /// Takes one line of the child's; never waits.
    pub(super) fn received(&self, line: &[u8], listeners: &Listeners) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Ok(Json::Object(mut message)) = Json::read_answer(line) else {
            return self.unreadable(line);
        };
        let method = message.remove("method");
        let id = message.remove("id");
        let result = message.remove("result");
        let error = message.remove("error");
        if message.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
            return self.unreadable(line);
        }
        match (method, id, result, error) {
            (Some(Json::String(method)), None, None, None) => {
                self.notified(&method, &mut message, listeners);
            }
            (Some(Json::String(method)), Some(id), None, None) => self.asked(&method, &id),
            (None, Some(id), Some(result @ Json::Object(_)), None) => {
                self.pending.settle(&id, Ok(Outcome::Result(result)));
            }
            (None, Some(id), None, Some(error)) if is_error(&error) => {
                self.pending.settle(&id, Ok(Outcome::Error(error)));
            }
            _ => self.unreadable(line),
        }
    }

    /// A line that is no message is dropped. When it yet looks like an answer, whoever waits for
    /// that is told so, rather than left waiting.
    fn unreadable(&self, line: &[u8]) {
        #[derive(Deserialize)]
        struct Outline {
            id: i64,
            method: Option<IgnoredAny>,
        }
        tracing::warn!(bytes = line.len(), "the upstream wrote a line that is no message");
        tracing::debug!(target: "cedargate::upstream", "no message: {}", printable(line));
        if let Ok(Outline { id, method: None }) = serde_json::from_slice(line) {
            self.pending.settle(&Json::whole(id), Err(Rejection::UpstreamAnswer));
        }
    }

    /// A line that is too long to be read answers somebody all the same: it learns so, if the id
    /// stands at one of its ends. What merely looks like an id is nobody's: they are unguessable.
    pub(super) fn too_long(&self, beginning: &[u8], end: &[u8]) {
        tracing::warn!("the upstream wrote a line that is too long");
        let beginning = String::from_utf8_lossy(beginning.get(..ID_WITHIN).unwrap_or(beginning));
        let end = String::from_utf8_lossy(end);
        let first = beginning.split_once(ID_MEMBER).map(|(_, rest)| rest);
        let last = end.rsplit_once(ID_MEMBER).map(|(_, rest)| rest);
        for rest in first.into_iter().chain(last) {
            let digits: String =
                rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
            if let Ok(id) = digits.parse::<i64>() {
                self.pending.settle(&Json::whole(id), Err(Rejection::UpstreamAnswer));
            }
        }
    }

    fn notified(&self, method: &str, message: &mut Object, listeners: &Listeners) {
        let params = match message.remove("params") {
            Some(Json::Object(params)) => params,
            _ => Object::default(),
        };
        match method {
            "notifications/progress" => self.progressed(params),
            "notifications/resources/updated" => {
                if let Some(uri) = params.get("uri").and_then(Json::as_str) {
                    listeners.tell_subscribers(uri);
                }
            }
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed" => listeners.tell_all(method),
            // A log could be about any caller.
            "notifications/message" => {
                let mut said = Vec::new();
                params.write(&mut said);
                tracing::debug!(target: "cedargate::upstream", "message: {}", printable(&said));
            }
            _ => {
                let method = printable(method.as_bytes());
                tracing::debug!(method, "a notification that is for nobody");
            }
        }
    }

    fn progressed(&self, mut params: Object) {
        let Some(token) = params.remove("progressToken") else { return };
        self.pending.progress(&token, |token| {
            params.set("progressToken", token);
            let note = wire::notification("notifications/progress", Some(params));
            (note.len() <= MAX_PROGRESS_BYTES).then_some(note)
        });
    }

    /// What a shared child asks is of no caller in particular, so no caller is asked.
    fn asked(&self, method: &str, id: &Json) {
        let outcome = match method {
            "ping" => Outcome::Result(wire::empty()),
            _ => {
                let method = printable(method.as_bytes());
                tracing::debug!(method, "a request of the upstream's is refused");
                Outcome::unknown_method()
            }
        };
        self.write_now(wire::response(id, outcome));
    }

    async fn write(&self, message: Vec<u8>) -> Result<(), Rejection> {
        match tokio::time::timeout(self.patience, self.queue.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Rejection::UpstreamUnreachable),
            Err(_) => Err(Rejection::UpstreamTooSlow),
        }
    }

    /// Without waiting: for what may be lost when the child reads too slowly.
    fn write_now(&self, message: Vec<u8>) {
        if self.queue.try_send(message).is_err() {
            tracing::debug!("the upstream does not read; a message to it is left out");
        }
    }
}

/// JSON-RPC 2.0 section 5.1.
fn is_error(error: &Json) -> bool {
    error.as_object().is_some_and(|error| {
        matches!(error.get("code"), Some(Json::Number(_)))
            && matches!(error.get("message"), Some(Json::String(_)))
    })
}

fn of_request(number: i64) -> Object {
    wire::object([("requestId", Json::whole(number))])
}

/// Where in a long answer its id is looked for.
const ID_WITHIN: usize = 1024;
const ID_MEMBER: &str = "\"id\":";
const CANCELLED: &str = "notifications/cancelled";
/// Messages on their way to a child that reads slowly; each may be as long as a body.
const MAX_QUEUED: usize = 64;
/// A number and a sentence.
const MAX_PROGRESS_BYTES: usize = 8 * 1024;
