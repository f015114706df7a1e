//! What do they ask? One JSON-RPC message, read once, and the only form in which it goes on.
//!
//! [`Envelope::read`] takes the body apart; [`Envelope::confirmed_by`] holds it against the
//! headers and yields a [`Message`]. The bytes that came in are dropped: upstream gets what
//! [`Message::write`] writes.

mod era;
pub(crate) mod json;
mod method;
pub(crate) mod mirrored;

use std::fmt;

use http::{HeaderMap, header};

pub(crate) use era::{Era, ProtocolVersion};
pub(crate) use method::{Form, Method, TargetKind};

use crate::rejection::Rejection;
use json::{Json, JsonFault, Object};
use method::Eras;

/// The id of a request: a string or a whole number, kept as written (JSON-RPC 2.0 section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(Json);

/// A JSON-RPC request or notification, its method not yet looked at.
pub(crate) struct Envelope {
    id: Option<RequestId>,
    method: String,
    params: Option<Object>,
}

/// One request or notification whose headers agree with its body.
///
/// What is authorized is a value of this type, and what is sent upstream is its own
/// serialization; nothing of the original bytes is kept.
pub struct Message {
    id: Option<RequestId>,
    method: &'static Method,
    era: Era,
    /// The target's name or URI, for methods that have one.
    target: Option<String>,
    params: Option<Object>,
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
    /// Without `params`: arguments are the caller's own and go into no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("method", &self.method.name)
            .field("target", &self.target)
            .field("era", &self.era)
            .finish_non_exhaustive()
    }
}

impl<'a> Target<'a> {
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
    fn from_json(json: Json) -> Option<Self> {
        let usable = match &json {
            Json::String(text) => text.len() <= MAX_ID_BYTES,
            Json::Number(number) => number.scaled(0).is_some(),
            _ => false,
        };
        usable.then_some(Self(json))
    }

    pub(crate) fn as_json(&self) -> &Json {
        &self.0
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

impl Envelope {
    /// Reads `body` as one request or notification.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Rejection> {
        require_json(headers)?;
        let mut object = match Json::read(body).map_err(Rejection::Json)? {
            Json::Object(object) => object,
            Json::Array(_) => return Err(Rejection::Batch),
            _ => return Err(Rejection::NotAMessage),
        };
        let id = object.remove("id");
        let method = object.remove("method");
        let params = object.remove("params");
        let version = object.remove("jsonrpc");
        let answers = object.remove("result").is_some() | object.remove("error").is_some();
        if answers && method.is_none() {
            return Err(Rejection::UnexpectedResponse);
        }
        if answers || object.iter().next().is_some() {
            return Err(Rejection::NotAMessage);
        }
        if version.as_ref().and_then(Json::as_str) != Some("2.0") {
            return Err(Rejection::NotAMessage);
        }
        let Some(Json::String(method)) = method else {
            return Err(Rejection::NotAMessage);
        };
        let id = match id {
            None => None,
            Some(id) => Some(RequestId::from_json(id).ok_or(Rejection::NotAMessage)?),
        };
        let params = match params {
            None => None,
            Some(Json::Object(params)) => Some(params),
            Some(_) => return Err(Rejection::NotAMessage),
        };
        let envelope = Self { id, method, params };
        envelope.refuse_near_names()?;
        Ok(envelope)
    }

    pub(crate) fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// The method as written.
    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// The name or URI in `params`, as written.
    pub(crate) fn name_or_uri(&self) -> Option<&str> {
        self.param("name").or(self.param("uri"))?.as_str()
    }

    /// Some servers read `Arguments` as `arguments`; here it would be judged as nothing. A name
    /// that differs in case alone from one of the protocol's is refused, also when it stands alone.
    fn refuse_near_names(&self) -> Result<(), Rejection> {
        let meta = self.param("_meta").and_then(Json::as_object);
        let near = |object: Option<&Object>, names: &[&str]| {
            object.is_some_and(|object| names.iter().any(|name| object.has_twin_of(name)))
        };
        if near(self.params.as_ref(), &PARAM_NAMES) || near(meta, &META_NAMES) {
            return Err(Rejection::Json(JsonFault::NamesDifferInCase));
        }
        Ok(())
    }

    /// Whether the body claims the modern era; a claim to be confirmed.
    pub(crate) fn claims_modern(&self) -> bool {
        self.meta_member(META_VERSION).is_some()
    }

    /// The message, once its headers agree with its body.
    pub(crate) fn confirmed_by(self, headers: &HeaderMap) -> Result<Message, Rejection> {
        let era = self.era(headers)?;
        let method = Method::named(&self.method)
            .filter(|method| match method.eras {
                Eras::Both => true,
                Eras::LegacyOnly => !era.is_modern(),
                Eras::ModernOnly => era.is_modern(),
            })
            .ok_or(Rejection::UnknownMethod)?;
        if (method.form == Form::Request) != self.id.is_some() {
            return Err(Rejection::NotAMessage);
        }
        let target = match method.target.member() {
            None => None,
            Some(member) => Some(self.named_target(member)?),
        };
        if method.calls_a_tool() && self.param("arguments").is_some_and(|a| a.as_object().is_none())
        {
            return Err(Rejection::InvalidParams);
        }
        confirm(headers, mirrored::METHOD, Some(&self.method), era)?;
        confirm(headers, mirrored::NAME, target.as_deref(), era)?;
        Ok(Message { id: self.id, method, era, target, params: self.params })
    }

    /// Every way in which body and headers can disagree about the era is refused.
    fn era(&self, headers: &HeaderMap) -> Result<Era, Rejection> {
        let header = mirrored::single(headers, mirrored::PROTOCOL_VERSION)?;
        let known = |text: &str| {
            ProtocolVersion::named(text)
                .ok_or_else(|| Rejection::UnsupportedVersion { requested: text.to_owned() })
        };
        let header_version = header.as_deref().map(known).transpose()?;
        let Some(claim) = self.meta_member(META_VERSION) else {
            return match header_version {
                Some(version) if version.is_modern() => Err(Rejection::MissingMeta),
                version => Ok(Era::Legacy(version)),
            };
        };
        let claimed = known(claim.as_str().ok_or(Rejection::InvalidParams)?)?;
        if header_version != Some(claimed) {
            return Err(Rejection::HeaderMismatch(mirrored::PROTOCOL_VERSION));
        }
        if !claimed.is_modern() || self.method == "initialize" {
            return Err(Rejection::UnsupportedVersion { requested: claimed.as_str().to_owned() });
        }
        if self.meta_member(META_CAPABILITIES).and_then(Json::as_object).is_none() {
            return Err(Rejection::MissingMeta);
        }
        Ok(Era::Modern(claimed))
    }

    fn named_target(&self, member: &str) -> Result<String, Rejection> {
        match self.param(member) {
            Some(Json::String(name)) if (1..=MAX_TARGET_BYTES).contains(&name.len()) => {
                Ok(name.clone())
            }
            _ => Err(Rejection::InvalidParams),
        }
    }

    fn param(&self, name: &str) -> Option<&Json> {
        self.params.as_ref()?.get(name)
    }

    fn meta_member(&self, name: &str) -> Option<&Json> {
        self.param("_meta")?.as_object()?.get(name)
    }
}

impl Message {
    pub(crate) fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    pub(crate) fn method(&self) -> &'static Method {
        self.method
    }

    pub(crate) fn era(&self) -> Era {
        self.era
    }

    pub(crate) fn target(&self) -> Target<'_> {
        match (self.method.target, &self.target) {
            (TargetKind::Tool, Some(name)) => Target::Tool(name),
            (TargetKind::Prompt, Some(name)) => Target::Prompt(name),
            (TargetKind::Resource, Some(uri)) => Target::Resource(uri),
            (_, None) | (TargetKind::Server, _) => Target::Server,
        }
    }

    /// The target's name or URI.
    pub(crate) fn target_name(&self) -> Option<&str> {
        self.target.as_deref()
    }

    pub(crate) fn params(&self) -> Option<&Object> {
        self.params.as_ref()
    }

    /// `params.arguments` of a tool call.
    pub(crate) fn arguments(&self) -> Option<&Object> {
        self.params.as_ref()?.get("arguments")?.as_object()
    }

    /// The serialization that goes upstream.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
        if let Some(RequestId(id)) = &self.id {
            out.extend_from_slice(b",\"id\":");
            id.write(&mut out);
        }
        out.extend_from_slice(b",\"method\":");
        json::write_string(self.method.name, &mut out);
        if let Some(params) = &self.params {
            out.extend_from_slice(b",\"params\":");
            params.write(&mut out);
        }
        out.push(b'}');
        out
    }
}

/// The media type, in any case and with no charset but UTF-8, and no content coding: a body that
/// some reader takes for something else is not looked at.
fn require_json(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let media_type = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = media_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|e| e.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|parameter| {
        let charset = parameter.split_once('=').filter(|(n, _)| n.eq_ignore_ascii_case("charset"));
        charset.is_some_and(|(_, value)| value.trim_matches('"').eq_ignore_ascii_case("utf-8"))
    });
    if types.next().is_some() || !is_json || !is_utf8 {
        return Err(Rejection::NotJson);
    }
    let encoded = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded { Err(Rejection::EncodedBody) } else { Ok(()) }
}

/// A mirrored header says what the body says. Modern requests must carry it, legacy ones may.
fn confirm(
    headers: &HeaderMap,
    name: &'static str,
    in_body: Option<&str>,
    era: Era,
) -> Result<(), Rejection> {
    let in_header = mirrored::single(headers, name)?;
    match (in_header, in_body) {
        (Some(header), Some(body)) if header == body => Ok(()),
        (None, Some(_)) if !era.is_modern() => Ok(()),
        (None, None) => Ok(()),
        (Some(_), _) | (None, Some(_)) => Err(Rejection::HeaderMismatch(name)),
    }
}

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Members of `params` that some method of the protocol gives a meaning.
const PARAM_NAMES: [&str; 22] = [
    "_meta",
    "argument",
    "arguments",
    "capabilities",
    "clientInfo",
    "context",
    "cursor",
    "inputResponses",
    "level",
    "message",
    "name",
    "notifications",
    "progress",
    "progressToken",
    "protocolVersion",
    "reason",
    "ref",
    "requestId",
    "requestState",
    "task",
    "taskId",
    "uri",
];
const META_NAMES: [&str; 5] = [
    META_VERSION,
    META_CAPABILITIES,
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/logLevel",
    "progressToken",
];
/// Longer than any tool's name, and as long as the longest URI that servers commonly take.
const MAX_TARGET_BYTES: usize = 8 * 1024;
/// Ids are echoed; longer ones than any client sends are not.
const MAX_ID_BYTES: usize = 256;

#[cfg(test)]
impl RequestId {
    pub(crate) fn for_test(text: &str) -> Self {
        Self::from_json(Json::read(text.as_bytes()).unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests;
