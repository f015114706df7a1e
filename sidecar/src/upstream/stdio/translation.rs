//! Between the eras: a caller of one and a child of the other understand each other.
//!
//! (MCP 2026-07-28, changelog: `_meta` of requests, `resultType`, caching, error codes.)

use super::{
    call::Call,
    introduction,
    wire::{self, Outcome},
};
use crate::message::json::{Json, Object};

/// In which era the child speaks; that is its own choice, made once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildEra {
    Legacy,
    Modern,
}

/// Who is to understand whom, about what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Translation {
    method: &'static str,
    caller_is_modern: bool,
    child: ChildEra,
}

impl Translation {
    pub(super) fn of(call: &Call<'_>, child: ChildEra) -> Self {
        Self { method: call.method, caller_is_modern: call.era.is_modern(), child }
    }

    /// `params` as the child is to read them, and the caller's progress token taken out of them.
    pub(super) fn to_child(self, call: &Call<'_>) -> (Option<Object>, Option<Json>) {
        let mut params = call.params.cloned();
        let mut meta = match params.as_mut().and_then(|params| params.remove("_meta")) {
            Some(Json::Object(meta)) => meta,
            _ => Object::default(),
        };
        let token = meta.remove("progressToken");
        let token = token.filter(|token| matches!(token, Json::String(_) | Json::Number(_)));
        if !(self.caller_is_modern && self.child == ChildEra::Modern) {
            remove_protocol_members(&mut meta);
        }
        if !self.caller_is_modern && self.child == ChildEra::Modern {
            introduction::sign(&mut meta);
        }
        if let Some(trace) = call.trace {
            trace.write_into(&mut meta);
        }
        if meta.iter().next().is_some() {
            params.get_or_insert_default().set("_meta", Json::Object(meta));
        }
        (params, token)
    }

    /// What the child answered, as the caller is to read it.
    pub(super) fn to_caller(self, outcome: Outcome) -> Outcome {
        if !self.caller_is_modern || self.child == ChildEra::Modern {
            return outcome;
        }
        match outcome {
            Outcome::Result(Json::Object(mut result)) => {
                complete(self.method, &mut result);
                Outcome::Result(Json::Object(result))
            }
            Outcome::Error(Json::Object(mut error)) => {
                if error.get("code") == Some(&Json::whole(LEGACY_NOT_FOUND)) {
                    error.set("code", Json::whole(INVALID_PARAMS));
                }
                Outcome::Error(Json::Object(error))
            }
            other => other,
        }
    }
}

/// Adds what every complete result of the modern era says of itself. A child that is not asked
/// how long its answers keep does not say, so they do not.
pub(super) fn complete(method: &str, result: &mut Object) {
    result.set("resultType", Json::from("complete"));
    if CACHEABLE.contains(&method) {
        result.set("ttlMs", Json::whole(0));
        result.set("cacheScope", Json::from("private"));
    }
}

fn remove_protocol_members(meta: &mut Object) {
    let names: Vec<String> = meta
        .iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with(wire::PROTOCOL_PREFIX))
        .map(str::to_owned)
        .collect();
    for name in names {
        meta.remove(&name);
    }
}

/// Methods whose complete results carry `ttlMs` and `cacheScope`.
const CACHEABLE: [&str; 6] = [
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
];
/// "Resource not found", which the modern era says as "Invalid params".
const LEGACY_NOT_FOUND: i64 = -32002;
const INVALID_PARAMS: i64 = -32602;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::{
        message::{Envelope, Message},
        telemetry::PassedOn,
    };

    fn message(params: &str) -> Message {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list"{params}}}"#);
        Envelope::read(&headers, body.as_bytes()).unwrap().confirmed_by(&headers).unwrap()
    }

    #[test]
    fn a_child_is_told_of_the_trace_in_the_message() {
        let passed_on = PassedOn {
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            tracestate: Some("vendor=1".to_owned()),
        };
        for params in [
            "",
            r#","params":{}"#,
            r#","params":{"_meta":{"traceparent":"theirs","tracestate":"theirs=1"}}"#,
        ] {
            let mut message = message(params);
            message.pass_on(passed_on.clone());
            let call = Call::of(&message);
            let (told, _) = Translation::of(&call, ChildEra::Legacy).to_child(&call);
            let mut written = Vec::new();
            told.unwrap().write(&mut written);
            assert_eq!(
                String::from_utf8(written).unwrap(),
                format!(
                    r#"{{"_meta":{{"traceparent":"{}","tracestate":"vendor=1"}}}}"#,
                    passed_on.traceparent
                ),
                "{params}"
            );
        }
    }
}
