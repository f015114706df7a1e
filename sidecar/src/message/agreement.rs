//! Body and headers agree, or there is no message: the body decides, the headers confirm.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    Content, META_CAPABILITIES, META_VERSION, Message, Route,
    envelope::{Enclosed, Envelope},
    era::{Era, ProtocolVersion},
    json::{Json, Object},
    method::{ENDING, Eras, Form, LISTENING, Method, RESPONSE, TargetKind},
    mirrored,
};
use crate::rejection::Rejection;

impl Envelope {
    /// The message, once its headers agree with its body.
    pub(crate) fn confirmed_by(self, headers: &HeaderMap) -> Result<Message, Rejection> {
        let era = self.era(headers)?;
        let Enclosed::Call { method, .. } = &self.content else {
            return self.confirmed_answer(era, headers);
        };
        let method = self.known_method(method, era)?;
        if method.target == TargetKind::Task && era.is_modern() {
            self.require_extension(TASKS_EXTENSION)?;
        }
        let target = self.target(method)?;
        confirm(headers, mirrored::METHOD, Some(method.name), era.is_modern())?;
        let named = target.as_ref().map(|(_, name)| name.as_str());
        confirm(headers, mirrored::NAME, named, era.is_modern() && method.mirrors_its_target())?;
        let mirrors = method.mirrors_its_target() || headers.contains_key(mirrored::NAME);
        let arguments = self.param("arguments");
        if arguments.is_some_and(|a| a.as_object().is_none()) {
            return Err(Rejection::InvalidParams);
        }
        if method.name == "subscriptions/listen" {
            self.require_known_filter()?;
        }
        let params_in_headers = match era {
            Era::Modern(_) => params_in_headers(headers, arguments)?,
            Era::Legacy(_) => Vec::new(),
        };
        let mut route = Route::default();
        if !era.is_modern() && method.name != "initialize" {
            route.session = mirrored::single(headers, mirrored::SESSION)?.map(String::from);
        }
        let Enclosed::Call { params, .. } = self.content else {
            return Err(Rejection::NotAMessage);
        };
        Ok(Message {
            id: self.id,
            method,
            era,
            mirror: target.as_ref().filter(|_| mirrors).map(|(_, name)| name.clone()),
            target,
            content: Content::Params(params),
            route,
            params_in_headers,
            answering: Vec::new(),
            passed_on: None,
        })
    }

    /// An answer, of which only its owner's seal will tell what it answers.
    fn confirmed_answer(self, era: Era, headers: &HeaderMap) -> Result<Message, Rejection> {
        let Enclosed::Answer { member, value } = self.content else {
            return Err(Rejection::NotAMessage);
        };
        // In the modern era clients answer in the next request (MCP 2026-07-28, MRTR).
        if era.is_modern() || headers.contains_key(mirrored::METHOD) {
            return Err(Rejection::UnexpectedResponse);
        }
        let session = mirrored::single(headers, mirrored::SESSION)?.map(String::from);
        let route = Route { session, ..Route::default() };
        Ok(Message {
            id: self.id,
            content: Content::Answer(member, value),
            ..Message::bare(&RESPONSE, era, route)
        })
    }

    fn known_method(&self, name: &str, era: Era) -> Result<&'static Method, Rejection> {
        let method = Method::named(name)
            .filter(|method| match method.eras {
                Eras::Both => true,
                Eras::LegacyOnly => !era.is_modern(),
                Eras::ModernOnly => era.is_modern(),
            })
            .ok_or(Rejection::UnknownMethod)?;
        if (method.form == Form::Request) != self.id.is_some() {
            return Err(Rejection::NotAMessage);
        }
        Ok(method)
    }

    /// Every way in which body and headers can disagree about the era is refused.
    fn era(&self, headers: &HeaderMap) -> Result<Era, Rejection> {
        let Some(claim) = self.meta_member(META_VERSION) else {
            return match version_in(headers)? {
                Some(version) if version.is_modern() && self.is_answer() => {
                    Err(Rejection::UnexpectedResponse)
                }
                Some(version) if version.is_modern() => Err(Rejection::MissingMeta),
                version => Ok(Era::Legacy(version)),
            };
        };
        let claim = claim.as_str().ok_or(Rejection::InvalidParams)?;
        // Whether the two agree comes before whether what they say is served.
        if mirrored::single(headers, mirrored::PROTOCOL_VERSION)?.as_deref() != Some(claim) {
            return Err(Rejection::HeaderMismatch(mirrored::PROTOCOL_VERSION));
        }
        let claimed = known_version(claim)?;
        if !claimed.is_modern() {
            return Err(Rejection::UnsupportedVersion { requested: claim.to_owned() });
        }
        if self.method() == Some("initialize") {
            return Err(Rejection::UnknownMethod);
        }
        if self.meta_member(META_CAPABILITIES).and_then(Json::as_object).is_none() {
            return Err(Rejection::MissingMeta);
        }
        Ok(Era::Modern(claimed))
    }

    /// What is subscribed to is named as the specification names it, or it could not be judged
    /// (MCP 2026-07-28, `subscriptions/listen`).
    fn require_known_filter(&self) -> Result<(), Rejection> {
        let filter = self.param("notifications").and_then(Json::as_object);
        let is_text = |item: &Json| item.as_str().is_some();
        let known = |(name, value): (&str, &Json)| match (name, value) {
            ("toolsListChanged" | "promptsListChanged" | "resourcesListChanged", flag) => {
                matches!(flag, Json::Bool(_))
            }
            ("resourceSubscriptions" | "taskIds", Json::Array(items)) => items.iter().all(is_text),
            _ => false,
        };
        match filter {
            Some(filter) if Object::iter(filter).all(known) => Ok(()),
            _ => Err(Rejection::InvalidParams),
        }
    }

    /// MCP 2026-07-28, extensions: what a client has not declared it is not served.
    fn require_extension(&self, name: &'static str) -> Result<(), Rejection> {
        let capabilities = self.meta_member(META_CAPABILITIES).and_then(Json::as_object);
        let extensions = capabilities.and_then(|c| c.get("extensions")).and_then(Json::as_object);
        match extensions.and_then(|extensions| extensions.get(name)) {
            Some(_) => Ok(()),
            None => Err(Rejection::MissingExtension(name)),
        }
    }

    fn target(&self, method: &Method) -> Result<Option<(TargetKind, String)>, Rejection> {
        if method.target == TargetKind::Reference {
            return self.reference().map(Some);
        }
        let Some(member) = method.target.member() else { return Ok(None) };
        Ok(Some((method.target, usable_name(self.param(member))?)))
    }

    /// What a completion is for (MCP, completion: `ref/prompt` or `ref/resource`).
    fn reference(&self) -> Result<(TargetKind, String), Rejection> {
        let named = self.param("ref").and_then(Json::as_object).ok_or(Rejection::InvalidParams)?;
        let (kind, member) = match named.get("type").and_then(Json::as_str) {
            Some("ref/prompt") => (TargetKind::Prompt, "name"),
            Some("ref/resource") => (TargetKind::Resource, "uri"),
            _ => return Err(Rejection::InvalidParams),
        };
        if ["type", "name", "uri"].iter().any(|name| named.has_twin_of(name)) {
            return Err(Rejection::InvalidParams);
        }
        Ok((kind, usable_name(named.get(member))?))
    }
}

impl Message {
    /// A GET or a DELETE, which are the legacy era's: to listen, and to end a session.
    pub(crate) fn without_body(
        method: &http::Method,
        headers: &HeaderMap,
    ) -> Result<Self, Rejection> {
        let method = match *method {
            http::Method::GET => &LISTENING,
            http::Method::DELETE => &ENDING,
            _ => return Err(Rejection::NotPost),
        };
        let era = match version_in(headers)? {
            Some(version) if version.is_modern() => return Err(Rejection::NotPost),
            version => Era::Legacy(version),
        };
        let single = |name| Ok(mirrored::single(headers, name)?.map(String::from));
        let mut route = Route { session: single(mirrored::SESSION)?, ..Route::default() };
        if method.form == Form::Listening {
            route.after_event = single(mirrored::LAST_EVENT_ID)?;
        }
        Ok(Self::bare(method, era, route))
    }
}

fn usable_name(named: Option<&Json>) -> Result<String, Rejection> {
    match named {
        Some(Json::String(name)) if (1..=MAX_TARGET_BYTES).contains(&name.len()) => {
            Ok(name.clone())
        }
        _ => Err(Rejection::InvalidParams),
    }
}

fn version_in(headers: &HeaderMap) -> Result<Option<ProtocolVersion>, Rejection> {
    let header = mirrored::single(headers, mirrored::PROTOCOL_VERSION)?;
    header.as_deref().map(known_version).transpose()
}

fn known_version(text: &str) -> Result<ProtocolVersion, Rejection> {
    let unknown = || Rejection::UnsupportedVersion { requested: text.to_owned() };
    ProtocolVersion::named(text).ok_or_else(unknown)
}

/// A mirrored header says what the body says, if it is there, and is there where it must be.
fn confirm(
    headers: &HeaderMap,
    name: &'static str,
    in_body: Option<&str>,
    required: bool,
) -> Result<(), Rejection> {
    let in_header = mirrored::single(headers, name)?;
    match (in_header, in_body) {
        (Some(header), Some(body)) if header == body => Ok(()),
        (None, Some(_)) if !required => Ok(()),
        (None, None) => Ok(()),
        (Some(_), _) | (None, Some(_)) => Err(Rejection::HeaderMismatch(name)),
    }
}

/// The `Mcp-Param-*` headers, each of which repeats some argument (MCP 2026-07-28, `x-mcp-header`).
///
/// Which argument only the tool's schema tells, and its server holds them against each other; here
/// a value that is no argument's at all is refused, so that no header says what was not judged.
fn params_in_headers(
    headers: &HeaderMap,
    arguments: Option<&Json>,
) -> Result<Vec<(HeaderName, HeaderValue)>, Rejection> {
    let mut kept = Vec::new();
    for name in headers.keys().filter(|name| name.as_str().starts_with(mirrored::PARAM_PREFIX)) {
        let mismatch = Rejection::HeaderMismatch("mcp-param-*");
        let value = mirrored::single_of(headers, name)?.unwrap_or_default();
        if kept.len() == MAX_PARAM_HEADERS || !arguments.is_some_and(|a| says(a, &value)) {
            return Err(mismatch);
        }
        kept.push((name.clone(), mirrored::encoded(&value).ok_or(mismatch)?));
    }
    Ok(kept)
}

/// Whether some string, whole number or boolean in `json` is `text`.
fn says(json: &Json, text: &str) -> bool {
    match json {
        Json::String(own) => own == text,
        Json::Bool(own) => own.to_string() == text,
        Json::Number(own) => match Json::read(text.as_bytes()) {
            Ok(Json::Number(other)) => {
                own == &other || own.scaled(0).is_some_and(|own| other.scaled(0) == Some(own))
            }
            _ => false,
        },
        Json::Object(object) => Object::iter(object).any(|(_, value)| says(value, text)),
        Json::Null | Json::Array(_) => false,
    }
}

/// SEP-2663.
const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Longer than any tool's name, and as long as the longest URI that servers commonly take.
const MAX_TARGET_BYTES: usize = 8 * 1024;
/// More than any tool annotates.
const MAX_PARAM_HEADERS: usize = 64;
