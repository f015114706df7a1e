//! JSON-RPC messages as they are written, and events that hold one.

use bytes::Bytes;

use crate::{
    message::json::{Json, Object},
    rejection::Rejection,
};

/// What a request came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Result(Json),
    Error(Json),
}

impl Outcome {
    pub(super) fn error(code: i64, message: &str) -> Self {
        let error = [("code", Json::whole(code)), ("message", Json::from(message))];
        Self::Error(Json::Object(object(error)))
    }

    /// JSON-RPC 2.0 section 5.1.
    pub(super) fn unknown_method() -> Self {
        Self::error(-32601, "Method not found")
    }

    /// Its own caller gave it up, and waits for nothing.
    pub(super) fn cancelled() -> Self {
        Self::error(499, "cancelled by the caller")
    }

    /// What is said when headers have been sent already.
    pub(super) fn failed(rejection: &Rejection) -> Self {
        let reason = object([("reason", Json::from(rejection.reason()))]);
        let (code, message) = match rejection {
            Rejection::UpstreamTooSlow => (504, "the upstream server took too long"),
            _ => (502, "the upstream server did not answer to the end"),
        };
        Self::Error(Json::Object(object([
            ("code", Json::whole(code)),
            ("message", Json::from(message)),
            ("data", Json::Object(reason)),
        ])))
    }
}

pub(super) fn request(id: i64, method: &str, params: Option<Object>) -> Vec<u8> {
    message([("id", Json::whole(id)), ("method", Json::from(method))], params)
}

pub(super) fn notification(method: &str, params: Option<Object>) -> Vec<u8> {
    message([("method", Json::from(method))], params)
}

/// The answer to the request with this id.
pub(super) fn response(id: &Json, outcome: Outcome) -> Vec<u8> {
    let outcome = match outcome {
        Outcome::Result(result) => ("result", result),
        Outcome::Error(error) => ("error", error),
    };
    message([("id", id.clone()), outcome], None)
}

/// A server-sent event that holds `message`.
// relies on INVARIANT (one-line)
pub(super) fn event(message: &[u8]) -> Bytes {
    [b"event: message\ndata: ", message, b"\n\n"].concat().into()
}

fn message<const N: usize>(members: [(&str, Json); N], params: Option<Object>) -> Vec<u8> {
    let mut whole = object([("jsonrpc", Json::from("2.0"))]);
    for (name, value) in members {
        whole.set(name, value);
    }
    if let Some(params) = params {
        whole.set("params", Json::Object(params));
    }
    let mut out = Vec::with_capacity(256);
    whole.write(&mut out);
    out
}

/// An object of these members.
pub(super) fn object<const N: usize>(members: [(&str, Json); N]) -> Object {
    let mut object = Object::default();
    for (name, value) in members {
        object.set(name, value);
    }
    object
}

/// Sets a member of `_meta`.
pub(super) fn set_meta(params: &mut Object, name: &str, value: Json) {
    match params.get_mut("_meta") {
        Some(Json::Object(meta)) => meta.set(name, value),
        _ => params.set("_meta", Json::Object(object([(name, value)]))),
    }
}

/// The result that says nothing.
pub(super) fn empty() -> Json {
    Json::Object(Object::default())
}

/// Params that name one resource.
pub(super) fn of_uri(uri: &str) -> Object {
    object([("uri", Json::from(uri))])
}

/// Names of the protocol in `_meta`.
pub(super) const PROTOCOL_PREFIX: &str = "io.modelcontextprotocol/";
