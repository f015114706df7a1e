//! An upstream that answers as a test says, and remembers what it was sent.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::{IntoResponse as _, Response},
    routing::any,
};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

/// An upstream that answers as a test says.
#[derive(Clone)]
pub struct Scripted {
    answer: Arc<dyn Fn(&Sent) -> Response + Send + Sync>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

/// A request that the upstream was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// POST, GET or DELETE.
    pub http_method: Method,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null when there is none.
    pub body: Value,
    /// Its body as it was written.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Scripted {
    /// Answers each request as `answer` says.
    pub fn new(answer: impl Fn(&Sent) -> Response + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), sent: Arc::default() }
    }

    /// To be served.
    pub fn router(&self) -> Router {
        let own = self.clone();
        Router::new().fallback(any(move |request: Request<Body>| async move {
            let (head, body) = request.into_parts();
            let bytes = to_bytes(body, 1 << 20).await.unwrap().to_vec();
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            let sent = Sent { http_method: head.method, headers: head.headers, body, bytes };
            own.sent.lock().unwrap().push(sent.clone());
            (own.answer)(&sent)
        }))
    }

    /// What was sent since it was last taken.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    /// What was sent so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

impl Sent {
    /// The JSON-RPC method.
    pub fn method(&self) -> &str {
        self.body.get("method").and_then(Value::as_str).unwrap_or_default()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer with this result.
    pub fn result(&self, result: &Value) -> Response {
        let answer = json!({ "jsonrpc": "2.0", "id": self.body.get("id"), "result": result });
        ([("content-type", "application/json")], answer.to_string()).into_response()
    }
}

/// A stream of these events, which ends then.
pub fn events(events: &[&str]) -> Response {
    let text: String = events.iter().map(|event| format!("{event}\n\n")).collect();
    ([("content-type", "text/event-stream")], text).into_response()
}

/// An event that holds a message.
pub fn message(message: &Value) -> String {
    format!("event: message\ndata: {message}")
}
