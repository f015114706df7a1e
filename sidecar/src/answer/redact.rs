//! Redaction: what `@redact` names is taken out of what a tool yields before its caller sees it.
//!
//! Nothing passes unredacted. A text that is no JSON may say anything and is replaced whole, as are
//! images, sounds and links; what the specification does not name is left out. What a tool tells on
//! its way (progress, log messages, questions to the client) is no result and stays as it is.

use std::collections::BTreeSet;

use super::revision::unreadable;
use crate::{
    message::{
        META_RELATED_TASK,
        json::{Json, Object, same_but_for_case},
    },
    rejection::Rejection,
};

/// Members that are kept from a caller: paths of names. A path leads through every element of a
/// list, and to names that differ from it in case alone, which some readers take for the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Redactions(BTreeSet<String>);

impl Redactions {
    /// `paths` are names with a dot between.
    pub(crate) fn of(paths: BTreeSet<String>) -> Self {
        Self(paths)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the answer to a call, or to a question about a task.
    pub(super) fn in_answer(&self, message: &mut Object) -> Result<(), Rejection> {
        if self.is_empty() {
            return Ok(());
        }
        message.retain(|name| ANSWER.contains(&name));
        match message.get_mut("result") {
            None => {}
            Some(Json::Object(result)) => {
                // The server's own note, which the caller gets sealed.
                let state = result.remove("requestState");
                self.in_result(result)?;
                state.into_iter().for_each(|state| result.set("requestState", state));
            }
            Some(_) => return Err(unreadable("its result is no object")),
        }
        match message.get_mut("error") {
            None => {}
            Some(Json::Object(error)) => self.in_error(error),
            Some(_) => return Err(unreadable("its error is no object")),
        }
        Ok(())
    }

    /// In a notification about a task.
    pub(super) fn in_notification(&self, message: &mut Object) -> Result<(), Rejection> {
        if self.is_empty() {
            return Ok(());
        }
        message.retain(|name| NOTIFICATION.contains(&name));
        match message.get_mut("params") {
            Some(Json::Object(params)) => self.in_result(params),
            _ => Err(unreadable("it tells nothing")),
        }
    }

    /// In the result of a tool, or in a task, which may hold one.
    pub(super) fn in_result(&self, result: &mut Object) -> Result<(), Rejection> {
        if self.is_empty() {
            return Ok(());
        }
        result.retain(|name| RESULT.contains(&name) || PLAIN.contains(&name));
        for name in PLAIN {
            if matches!(result.get(name), Some(Json::Array(_) | Json::Object(_))) {
                result.remove(name);
            }
        }
        let mut structured = match result.get_mut("structuredContent") {
            None | Some(Json::Null) => None,
            Some(value) => {
                self.in_value(value);
                Some(text_of(value)?)
            }
        };
        match result.get_mut("content") {
            None | Some(Json::Null) => {}
            Some(Json::Array(items)) => {
                for item in items {
                    *item = self.item(item, &mut structured)?;
                }
            }
            Some(_) => return Err(unreadable("its content is no list")),
        }
        if let Some(meta) = result.get_mut("_meta") {
            keep_protocols_own(meta);
        }
        self.in_task(result)
    }

    /// In what a task has beside.
    fn in_task(&self, task: &mut Object) -> Result<(), Rejection> {
        for name in ["result", "task", "error", "statusMessage"] {
            match task.get_mut(name) {
                None => {}
                Some(Json::Object(error)) if name == "error" => self.in_error(error),
                Some(Json::Object(object)) => self.in_result(object)?,
                Some(Json::String(text)) => *text = self.text(text, &mut None)?,
                Some(Json::Array(_)) => return Err(unreadable("a list stands in its place")),
                Some(other) => self.in_value(other),
            }
        }
        Ok(())
    }

    /// An error can tell what a result would. Its code is left, and what clients of the protocol
    /// act on.
    fn in_error(&self, error: &mut Object) {
        error.retain(|name| ["code", "message", "data"].contains(&name));
        if error.get("message").is_some() {
            error.set("message", Json::from(REDACTED));
        }
        match error.get_mut("data") {
            None => {}
            Some(Json::Object(data)) => data.retain(|name| DATA.contains(&name)),
            Some(_) => drop(error.remove("data")),
        }
    }

    /// One of `content`. Of an item its kind and its text are left: address and description of a
    /// resource, too, are texts of which nobody knows what they say.
    fn item(&self, item: &Json, structured: &mut Option<String>) -> Result<Json, Rejection> {
        let member = |holder: &Json, name: &str| {
            let value = holder.as_object()?.get(name)?;
            Some(value.clone())
        };
        let kind = member(item, "type");
        let mut redacted = Object::default();
        match kind.as_ref().and_then(Json::as_str) {
            Some("text") => {
                let text = member(item, "text");
                let text = text.as_ref().and_then(Json::as_str).unwrap_or_default();
                redacted.set("type", Json::from("text"));
                redacted.set("text", Json::String(self.text(text, structured)?));
            }
            Some("resource") => {
                let text = member(item, "resource").and_then(|resource| member(&resource, "text"));
                let Some(Json::String(text)) = text else { return Ok(placeholder()) };
                let mut resource = Object::default();
                resource.set("uri", Json::from(REDACTED_URI));
                resource.set("text", Json::String(self.text(&text, structured)?));
                redacted.set("type", Json::from("resource"));
                redacted.set("resource", Json::Object(resource));
            }
            _ => return Ok(placeholder()),
        }
        Ok(Json::Object(redacted))
    }

    /// A text: redacted inside where it is JSON with members. What else stands in one the gate
    /// cannot know, so that it is replaced whole, by what `structured` says if there is that. Once:
    /// many texts would make much of one.
    fn text(&self, text: &str, structured: &mut Option<String>) -> Result<String, Rejection> {
        match Json::read_answer(text.as_bytes()) {
            Ok(mut value @ (Json::Array(_) | Json::Object(_))) => {
                self.within(&mut value);
                text_of(&value)
            }
            _ => Ok(structured.take().unwrap_or_else(|| REDACTED.to_owned())),
        }
    }

    /// A value that has members, or is not known to have none.
    fn in_value(&self, value: &mut Json) {
        match value {
            Json::Array(_) | Json::Object(_) => self.within(value),
            Json::Null => {}
            _ => *value = Json::from(REDACTED),
        }
    }

    /// Servers wrap what is no object into one whose only member is `result`, and write the text
    /// beside it without: a path holds on either side, whichever it was written for.
    fn within(&self, value: &mut Json) {
        for path in &self.0 {
            let names: Vec<&str> = path.split('.').collect();
            redact(value, &names, TEXTS_WITHIN);
            if let Some((&WRAPPER, unwrapped)) = names.split_first()
                && !unwrapped.is_empty()
            {
                redact(value, unwrapped, TEXTS_WITHIN);
            }
            if let Json::Object(object) = value
                && object.iter().count() == 1
                && let Some(wrapped) = object.get_mut(WRAPPER)
            {
                redact(wrapped, &names, TEXTS_WITHIN);
            }
        }
    }
}

/// Replaces what `names` lead to. A text that stands where there should be members may hold them,
/// and be read as JSON so many times within each other.
fn redact(value: &mut Json, names: &[&str], texts: u8) {
    let Some((name, rest)) = names.split_first() else {
        *value = Json::from(REDACTED);
        return;
    };
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| redact(item, names, texts)),
        Json::Object(object) => {
            for (_, value) in object.iter_mut().filter(|(own, _)| same_but_for_case(own, name)) {
                redact(value, rest, texts);
            }
        }
        Json::String(text) => *text = redacted_text(text, names, texts),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn redacted_text(text: &str, names: &[&str], texts: u8) -> String {
    let read = texts.checked_sub(1).map(|left| (left, Json::read_answer(text.as_bytes())));
    let Some((left, Ok(mut value @ (Json::Array(_) | Json::Object(_))))) = read else {
        return REDACTED.to_owned();
    };
    redact(&mut value, names, left);
    text_of(&value).unwrap_or_else(|_| REDACTED.to_owned())
}

/// Of `_meta` what belongs to the protocol: of which task, for which subscription, by which server.
fn keep_protocols_own(meta: &mut Json) {
    let Json::Object(meta) = meta else {
        *meta = Json::Object(Object::default());
        return;
    };
    let known = [META_RELATED_TASK, META_SUBSCRIPTION, META_SERVER];
    meta.retain(|name| known.contains(&name));
    if let Some(Json::Object(related)) = meta.get_mut(META_RELATED_TASK) {
        related.retain(|name| name == "taskId");
    }
    if let Some(Json::Object(server)) = meta.get_mut(META_SERVER) {
        server.retain(|name| ["name", "title", "version"].contains(&name));
    }
}

fn text_of(value: &Json) -> Result<String, Rejection> {
    let mut out = Vec::with_capacity(256);
    value.write(&mut out);
    String::from_utf8(out).map_err(unreadable)
}

fn placeholder() -> Json {
    let mut text = Object::default();
    text.set("type", Json::from("text"));
    text.set("text", Json::from(REDACTED));
    Json::Object(text)
}

/// What stands in the place of what is kept from a caller.
const REDACTED: &str = "[redacted]";
/// The same where there has to be a URI.
const REDACTED_URI: &str = "cedargate:redacted";
const WRAPPER: &str = "result";
/// JSON in a text in JSON is seen, once more within is not, and each takes as much of the stack as
/// an answer may be deep.
const TEXTS_WITHIN: u8 = 2;
const ANSWER: [&str; 4] = ["jsonrpc", "id", "result", "error"];
const NOTIFICATION: [&str; 3] = ["jsonrpc", "method", "params"];
/// What a tool's result and a task are made of (MCP 2025-11-25, tools and tasks; 2026-07-28, MRTR
/// and SEP-2663), but for what has no members.
const RESULT: [&str; 8] = [
    "content",
    "structuredContent",
    "_meta",
    "inputRequests",
    "task",
    "statusMessage",
    "result",
    "error",
];
/// Kinds, states, ids and times.
const PLAIN: [&str; 12] = [
    "resultType",
    "isError",
    "taskId",
    "status",
    "createdAt",
    "lastUpdatedAt",
    "ttl",
    "ttlMs",
    "ttlSeconds",
    "pollInterval",
    "pollIntervalMs",
    "pollIntervalMilliseconds",
];
/// What of an error's data clients act on.
const DATA: [&str; 4] = ["elicitations", "requiredCapabilities", "supported", "requested"];
const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

#[cfg(test)]
mod tests;
