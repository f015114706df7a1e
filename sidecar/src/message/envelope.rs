//! The outside of a message: one JSON-RPC request, notification or response, read strictly.

use http::{HeaderMap, header};

use super::{
    META_CAPABILITIES, META_RELATED_TASK, META_VERSION, RequestId,
    json::{Json, JsonFault, Object},
};
use crate::{
    rejection::Rejection,
    telemetry::{CallersTrace, TRACEPARENT, TRACESTATE},
};

/// One JSON-RPC message, its method not yet looked at.
pub(crate) struct Envelope {
    pub(super) id: Option<RequestId>,
    pub(super) content: Enclosed,
}

/// What an envelope holds.
pub(super) enum Enclosed {
    /// A request or a notification.
    Call { method: String, params: Option<Object> },
    /// The `result` or the `error` with which a client answers.
    Answer { member: &'static str, value: Json },
}

impl Envelope {
    /// Reads `body` as one message.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Rejection> {
        require_json(headers)?;
        let mut object = match Json::read(body).map_err(Rejection::Json)? {
            Json::Object(object) => object,
            Json::Array(_) => return Err(Rejection::Batch),
            _ => return Err(Rejection::NotAMessage),
        };
        let id = object.remove("id");
        let version = object.remove("jsonrpc");
        let content = Enclosed::in_members(
            object.remove("method"),
            object.remove("params"),
            object.remove("result"),
            object.remove("error"),
        )?;
        let more = object.iter().next().is_some();
        if more || version.as_ref().and_then(Json::as_str) != Some("2.0") {
            return Err(Rejection::NotAMessage);
        }
        let id = match id {
            None => None,
            Some(id) => {
                let id = RequestId::from_json(id).filter(RequestId::is_plain);
                Some(id.ok_or(Rejection::NotAMessage)?)
            }
        };
        if id.is_none() && matches!(content, Enclosed::Answer { .. }) {
            return Err(Rejection::NotAMessage);
        }
        let envelope = Self { id, content };
        envelope.refuse_near_names()?;
        Ok(envelope)
    }

    pub(crate) fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// Whether it answers something, and is not to be answered.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self.content, Enclosed::Answer { .. })
    }

    /// The method as written.
    pub(crate) fn method(&self) -> Option<&str> {
        match &self.content {
            Enclosed::Call { method, .. } => Some(method),
            Enclosed::Answer { .. } => None,
        }
    }

    /// The name or URI in `params`, as written.
    pub(crate) fn name_or_uri(&self) -> Option<&str> {
        self.param("name").or(self.param("uri"))?.as_str()
    }

    /// Whether the body claims the modern era; a claim to be confirmed.
    pub(crate) fn claims_modern(&self) -> bool {
        self.meta_member(META_VERSION).is_some()
    }

    /// The trace of which it says that it is a part (MCP 2026-07-28, `_meta`).
    pub(crate) fn callers_trace(&self) -> Option<CallersTrace> {
        let parent = self.meta_member(TRACEPARENT)?.as_str()?;
        CallersTrace::read(parent, self.meta_member(TRACESTATE).and_then(Json::as_str))
    }

    pub(super) fn param(&self, name: &str) -> Option<&Json> {
        match &self.content {
            Enclosed::Call { params, .. } => params.as_ref()?.get(name),
            Enclosed::Answer { .. } => None,
        }
    }

    pub(super) fn meta_member(&self, name: &str) -> Option<&Json> {
        self.param("_meta")?.as_object()?.get(name)
    }

    /// Some servers read `Arguments` as `arguments`; here it would be judged as nothing. A name
    /// that differs in case alone from one of the protocol's is refused, also when it stands alone.
    fn refuse_near_names(&self) -> Result<(), Rejection> {
        let (holder, names): (_, &[&str]) = match &self.content {
            Enclosed::Call { params, .. } => (params.as_ref(), &PARAM_NAMES),
            Enclosed::Answer { value, .. } => (value.as_object(), &["_meta"]),
        };
        let meta = holder.and_then(|holder| holder.get("_meta")).and_then(Json::as_object);
        let near = |object: Option<&Object>, names: &[&str]| {
            object.is_some_and(|object| names.iter().any(|name| object.has_twin_of(name)))
        };
        if near(holder, names) || near(meta, &META_NAMES) {
            return Err(Rejection::Json(JsonFault::NamesDifferInCase));
        }
        Ok(())
    }
}

impl Enclosed {
    fn in_members(
        method: Option<Json>,
        params: Option<Json>,
        result: Option<Json>,
        error: Option<Json>,
    ) -> Result<Self, Rejection> {
        let params = match params {
            None => None,
            Some(Json::Object(params)) => Some(params),
            Some(_) => return Err(Rejection::NotAMessage),
        };
        let is_object = |value: &Json| value.as_object().is_some();
        match (method, result, error) {
            (Some(Json::String(method)), None, None) => Ok(Self::Call { method, params }),
            (None, Some(value), None) if params.is_none() && is_object(&value) => {
                Ok(Self::Answer { member: "result", value })
            }
            (None, None, Some(value)) if params.is_none() && is_object(&value) => {
                Ok(Self::Answer { member: "error", value })
            }
            _ => Err(Rejection::NotAMessage),
        }
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
const META_NAMES: [&str; 6] = [
    META_VERSION,
    META_CAPABILITIES,
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/logLevel",
    META_RELATED_TASK,
    "progressToken",
];
