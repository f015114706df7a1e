//! What do they ask? One JSON-RPC message, read once, and the only form in which it goes on.
//!
//! [`Envelope::read`] takes the body apart; [`Envelope::confirmed_by`] holds it against the
//! headers and yields a [`Message`]; [`Message::owned_by`] opens the ids in it that are sealed to
//! their owner. The bytes that came in are dropped: upstream gets what [`Message::write`] writes.

mod agreement;
mod envelope;
mod era;
pub(crate) mod json;
mod method;
pub(crate) mod mirrored;
mod ownership;
mod request_state;

use std::fmt;

use http::{HeaderName, HeaderValue};

pub(crate) use envelope::Envelope;
pub(crate) use era::{Era, ProtocolVersion};
pub(crate) use method::{Form, METHODS, Method, TargetKind};
pub(crate) use ownership::sealed_task;
pub(crate) use request_state::RequestState;

use crate::telemetry::{PassedOn, TRACEPARENT, TRACESTATE};
use json::{Json, Object};

/// The id of a request: a string or a whole number, kept as written (JSON-RPC 2.0 section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(Json);

/// One message whose headers agree with its body.
///
/// What is authorized is a value of this type, and what is sent upstream is its own
/// serialization; nothing of the original bytes is kept.
pub struct Message {
    id: Option<RequestId>,
    method: &'static Method,
    era: Era,
    /// The target's name or URI, for methods that have one. Of a task it is the tool that made it,
    /// once the task's id has been opened.
    target: Option<(TargetKind, String)>,
    content: Content,
    route: Route,
    /// What `Mcp-Name` says upstream.
    mirror: Option<String>,
    params_in_headers: Vec<(HeaderName, HeaderValue)>,
    /// The questions of the upstream's that it answers.
    answering: Vec<&'static Method>,
    /// The trace that the upstream is told of.
    passed_on: Option<PassedOn>,
}

/// What a message carries.
enum Content {
    /// Of a request or a notification.
    Params(Option<Object>),
    /// `result` or `error`, of a client's answer.
    Answer(&'static str, Json),
}

/// Where a legacy message belongs, in the upstream's own ids once they have been opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// `Mcp-Session-Id`.
    pub(crate) session: Option<String>,
    /// `Last-Event-ID`.
    pub(crate) after_event: Option<String>,
    /// The request whose answer a stream that is taken up again carries.
    pub(crate) origin: Option<Origin>,
}

/// A request that a stream was opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) id: RequestId,
    pub(crate) method: &'static Method,
    /// The tool that was called or that made the task, the prompt or the resource.
    pub(crate) target: Option<(TargetKind, String)>,
}

impl Origin {
    /// What was asked about.
    pub(crate) fn target(&self) -> Target<'_> {
        Target::of(self.target.as_ref())
    }

    /// Its name or URI.
    pub(crate) fn target_name(&self) -> Option<&str> {
        self.target.as_ref().map(|(_, name)| name.as_str())
    }
}

/// What a message acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    Server,
    Tool(&'a str),
    Prompt(&'a str),
    Resource(&'a str),
}

impl fmt::Debug for Message {
    /// Without its content: arguments are the caller's own and go into no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("method", &self.method.name)
            .field("target", &self.target)
            .field("era", &self.era)
            .finish_non_exhaustive()
    }
}

impl<'a> Target<'a> {
    fn of(target: Option<&'a (TargetKind, String)>) -> Self {
        match target {
            Some((TargetKind::Tool | TargetKind::Task, name)) => Self::Tool(name),
            Some((TargetKind::Prompt, name)) => Self::Prompt(name),
            Some((TargetKind::Resource, uri)) => Self::Resource(uri),
            Some((TargetKind::Server | TargetKind::Reference, _)) | None => Self::Server,
        }
    }

    /// What kind of thing it is and what it is called; nothing for the server itself.
    pub(crate) fn named(self) -> Option<(TargetKind, &'a str)> {
        match self {
            Self::Server => None,
            Self::Tool(name) => Some((TargetKind::Tool, name)),
            Self::Prompt(name) => Some((TargetKind::Prompt, name)),
            Self::Resource(uri) => Some((TargetKind::Resource, uri)),
        }
    }
}

impl RequestId {
    pub(crate) fn from_json(json: Json) -> Option<Self> {
        let usable = match &json {
            Json::String(text) => text.len() <= MAX_ID_BYTES,
            Json::Number(number) => number.scaled(0).is_some(),
            _ => false,
        };
        usable.then_some(Self(json))
    }

    /// Whether it is no number with a fraction or an exponent, also where its value is whole: some
    /// readers take no id for `1.0`, and hence the request for a notification.
    fn is_plain(&self) -> bool {
        !matches!(&self.0, Json::Number(number) if !number.is_integer_literal())
    }

    pub(crate) fn as_json(&self) -> &Json {
        &self.0
    }

    /// As it is written in a message.
    pub(crate) fn to_text(&self) -> String {
        let mut out = Vec::with_capacity(16);
        self.0.write(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// The id of a request of the upstream's, which is to be sealed.
    pub(crate) fn from_upstream(text: &str) -> Option<Self> {
        Self::from_text(text).filter(|_| text.len() <= MAX_UPSTREAM_ID_BYTES)
    }

    /// What [`Self::to_text`] wrote.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::from_json(Json::read(text.as_bytes()).ok()?)
    }

    /// Whether `text` is this id: the same string, or the same whole number.
    pub(crate) fn is(&self, text: &str) -> bool {
        match (&self.0, Json::read(text.as_bytes())) {
            (Json::Number(own), Ok(Json::Number(other))) => own.scaled(0) == other.scaled(0),
            (own, Ok(other)) => *own == other,
            (_, Err(_)) => false,
        }
    }
}

impl Message {
    /// One that has nothing but its method and its place.
    fn bare(method: &'static Method, era: Era, route: Route) -> Self {
        Self {
            id: None,
            method,
            era,
            target: None,
            content: Content::Params(None),
            route,
            mirror: None,
            params_in_headers: Vec::new(),
            answering: Vec::new(),
            passed_on: None,
        }
    }

    /// Takes it into a trace: what it says itself of one is replaced, before anybody decides about
    /// it, and the upstream is told in a header or where there are none.
    pub(crate) fn pass_on(&mut self, passed_on: PassedOn) {
        let meta = self.params_mut().and_then(|params| params.get_mut("_meta"));
        if let Some(Json::Object(meta)) = meta
            && (meta.get(TRACEPARENT).is_some() || meta.get(TRACESTATE).is_some())
        {
            passed_on.write_into(meta);
        }
        self.passed_on = Some(passed_on);
    }

    pub(crate) fn passed_on(&self) -> Option<&PassedOn> {
        self.passed_on.as_ref()
    }

    /// The questions of the upstream's that it answers beside what it asks.
    pub(crate) fn answering(&self) -> &[&'static Method] {
        &self.answering
    }

    pub(crate) fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    pub(crate) fn method(&self) -> &'static Method {
        self.method
    }

    pub(crate) fn era(&self) -> Era {
        self.era
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    pub(crate) fn target(&self) -> Target<'_> {
        Target::of(self.target.as_ref())
    }

    /// The request that this is, for whatever stream answers it.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let id = self.id.as_ref().filter(|_| self.method.form == Form::Request)?.clone();
        Some(Origin { id, method: self.method, target: self.target.clone() })
    }

    /// The target's name or URI.
    pub(crate) fn target_name(&self) -> Option<&str> {
        self.target.as_ref().map(|(_, name)| name.as_str())
    }

    /// What `Mcp-Name` says upstream.
    pub(crate) fn mirror(&self) -> Option<&str> {
        self.mirror.as_deref()
    }

    /// `Mcp-Param-*`, each the value of some argument.
    pub(crate) fn params_in_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.params_in_headers
    }

    /// The tool that it calls.
    pub(crate) fn called_tool(&self) -> Option<&str> {
        self.target_name().filter(|_| self.method.calls_a_tool())
    }

    /// `params.arguments` of a call or of a prompt.
    pub(crate) fn arguments(&self) -> Option<&Object> {
        self.params()?.get("arguments")?.as_object()
    }

    pub(crate) fn params(&self) -> Option<&Object> {
        match &self.content {
            Content::Params(params) => params.as_ref(),
            Content::Answer(..) => None,
        }
    }

    fn params_mut(&mut self) -> Option<&mut Object> {
        match &mut self.content {
            Content::Params(params) => params.as_mut(),
            Content::Answer(..) => None,
        }
    }

    /// The resources that a subscription names, each kept when `wanted` says so
    /// (MCP 2026-07-28, `subscriptions/listen`).
    pub(crate) fn keep_subscriptions(&mut self, wanted: impl Fn(&str) -> bool) {
        let filter = self.params_mut().and_then(|params| params.get_mut("notifications"));
        if let Some(Json::Object(filter)) = filter
            && let Some(Json::Array(uris)) = filter.get_mut("resourceSubscriptions")
        {
            uris.retain(|uri| uri.as_str().is_some_and(&wanted));
        }
    }

    /// The serialization that goes upstream.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
        if let Some(RequestId(id)) = &self.id {
            out.extend_from_slice(b",\"id\":");
            id.write(&mut out);
        }
        match &self.content {
            Content::Params(params) => {
                out.extend_from_slice(b",\"method\":");
                json::write_string(self.method.name, &mut out);
                if let Some(params) = params {
                    out.extend_from_slice(b",\"params\":");
                    params.write(&mut out);
                }
            }
            Content::Answer(member, value) => {
                out.push(b',');
                json::write_string(member, &mut out);
                out.push(b':');
                value.write(&mut out);
            }
        }
        out.push(b'}');
        out
    }
}

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Legacy: of which task a message speaks (MCP 2025-11-25, tasks).
pub(crate) const META_RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
/// Ids are echoed; longer ones than any client sends are not, but for sealed ones.
const MAX_ID_BYTES: usize = 1024;
const MAX_UPSTREAM_ID_BYTES: usize = 256;

#[cfg(test)]
mod tests;
