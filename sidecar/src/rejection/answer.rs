//! A refusal as it goes to the caller: status, challenge, JSON-RPC error.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};

use super::{Asked, Manner, Rejection};
use crate::{
    config::{Disclosure, RefusalStyle},
    limits::{self, LimitState},
    message::{
        Form, ProtocolVersion, RequestId,
        json::{Json, Object},
    },
    metadata::ResourceMetadata,
};

impl Rejection {
    /// The one place where a refusal becomes an answer.
    pub(crate) fn into_response(
        self,
        metadata: &ResourceMetadata,
        manner: Manner,
        asked: &Asked,
    ) -> Response {
        // Neither has an answer that its sender could read; it goes nowhere.
        if matches!(asked.form, Some(Form::Notification | Form::Response))
            && self.is_about_the_call()
        {
            return StatusCode::ACCEPTED.into_response();
        }
        let (status, code) = self.codes();
        let as_result = manner.style == RefusalStyle::ToolError
            && self.is_about_the_call()
            && asked.calls_a_tool;
        let body = if as_result {
            self.tool_error(asked)
        } else {
            self.json_rpc_error(code, manner, asked)
        };
        let status = self.status_for(status, manner, asked);
        let mut response = (status, Body::from(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge(metadata) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        match self {
            Self::NotPost => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            // RFC 9449 section 9.
            Self::UseNonce { nonce } => {
                if let Ok(nonce) = HeaderValue::try_from(nonce) {
                    headers.insert("dpop-nonce", nonce);
                }
            }
            Self::Overloaded
            | Self::KeysUnavailable
            | Self::LedgerUnavailable
            | Self::IntrospectionUnavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // RFC 6585 section 4: not before there is a call left.
            Self::RateLimited { wait, .. } => {
                let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
                if let Ok(seconds) = HeaderValue::try_from(seconds.to_string()) {
                    headers.insert(header::RETRY_AFTER, seconds);
                }
            }
            _ => {}
        }
        response
    }

    /// A JSON-RPC error where an answer was awaited, on a stream that has begun.
    pub(crate) fn in_place_of_an_answer(&self, id: &RequestId) -> Vec<u8> {
        let manner = Manner { style: RefusalStyle::JsonRpc, policies: Disclosure::Hidden };
        let asked = Asked { id: Some(id.clone()), ..Asked::default() };
        self.json_rpc_error(self.codes().1, manner, &asked)
    }

    /// Refusals of one call, after which the caller's session is as good as before. A limit is not
    /// among them: clients wait as `Retry-After` says on the status 429 alone.
    fn is_about_the_call(&self) -> bool {
        matches!(
            self,
            Self::Denied { .. }
                | Self::EvaluationFailed { .. }
                | Self::InvalidArguments { .. }
                | Self::UnknownTarget(..)
                | Self::HiddenTarget { .. }
                | Self::UnknownMethod
                | Self::QuestionDenied { .. }
        )
    }

    /// Clients of the legacy era lose their session on any status but success, so refusals of one
    /// call reach them as JSON-RPC errors (docs/decisions/0006).
    fn status_for(&self, status: StatusCode, manner: Manner, asked: &Asked) -> StatusCode {
        let softened = match manner.style {
            RefusalStyle::Auto => !asked.modern,
            RefusalStyle::Http => false,
            RefusalStyle::JsonRpc | RefusalStyle::ToolError => true,
        };
        if softened && asked.id.is_some() && self.is_about_the_call() {
            return StatusCode::OK;
        }
        status
    }

    /// RFC 6750 section 3 and RFC 9728 section 5.1. A denial that no scope cures has none: clients
    /// take any challenge on a 403 for a call to step up.
    fn challenge(&self, metadata: &ResourceMetadata) -> Option<HeaderValue> {
        let (status, _) = self.codes();
        match self {
            Self::NoToken => metadata.challenge(None, metadata.initial_scope()),
            Self::InsufficientScope { required, .. } => {
                metadata.challenge(Some("insufficient_scope"), &required.join(" "))
            }
            Self::SeveralCredentials | Self::TokenInQuery => {
                metadata.challenge(Some("invalid_request"), "")
            }
            Self::NoProof => metadata.proof_challenge("invalid_token"),
            Self::InvalidProof | Self::ReplayedProof => {
                metadata.proof_challenge("invalid_dpop_proof")
            }
            Self::UseNonce { .. } => metadata.proof_challenge("use_dpop_nonce"),
            _ if status == StatusCode::UNAUTHORIZED => {
                metadata.challenge(Some("invalid_token"), metadata.initial_scope())
            }
            _ => None,
        }
    }

    fn json_rpc_error(&self, code: i32, manner: Manner, asked: &Asked) -> Vec<u8> {
        let mut data = Object::default();
        // What a hidden thing and a thing that does not exist have in common: nothing more to say.
        if !matches!(self, Self::UnknownTarget(..) | Self::HiddenTarget { .. }) {
            data.set("reason", Json::from(self.reason()));
        }
        match self {
            Self::InsufficientScope { required, .. } => data.set("requiredScopes", list(required)),
            Self::Denied { policies } if manner.policies == Disclosure::Told => {
                data.set("policies", list(policies));
            }
            Self::RateLimited { wait, limits, policies } => {
                let millis = i64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX);
                data.set("retryAfterMs", Json::whole(millis.max(1)));
                if manner.policies == Disclosure::Told {
                    name_limits(&mut data, limits, policies);
                }
            }
            Self::InvalidArguments { path, .. } => data.set("path", Json::from(path.as_str())),
            Self::MissingExtension(name) => {
                let [mut extensions, mut required] = [Object::default(), Object::default()];
                extensions.set(name, Json::Object(Object::default()));
                required.set("extensions", Json::Object(extensions));
                data.set("requiredCapabilities", Json::Object(required));
            }
            Self::UnsupportedVersion { requested } => {
                let all = ProtocolVersion::ALL.map(|v| Json::from(v.as_str()));
                data.set("supported", Json::Array(all.into()));
                data.set("requested", Json::from(requested.as_str()));
            }
            _ => {}
        }
        let mut error = Object::default();
        error.set("code", Json::whole(code));
        error.set("message", Json::String(self.message()));
        if data.iter().next().is_some() {
            error.set("data", Json::Object(data));
        }
        answer(asked, "error", Json::Object(error))
    }

    /// The refusal as a result that a model reads (`refusals = "tool-error"`).
    fn tool_error(&self, asked: &Asked) -> Vec<u8> {
        let mut content = Object::default();
        content.set("type", Json::from("text"));
        content.set("text", Json::String(self.message()));
        let mut result = Object::default();
        if asked.modern {
            result.set("resultType", Json::from("complete"));
        }
        result.set("content", Json::Array(vec![Json::Object(content)]));
        result.set("isError", Json::Bool(true));
        answer(asked, "result", Json::Object(result))
    }
}

/// Which limits left nothing: rules by their ids, and the policies where it is theirs.
fn name_limits(data: &mut Object, limits: &[LimitState], policies: &[String]) {
    let spent = limits.iter().filter(|state| state.remaining == 0).map(|state| &state.rule);
    let (of_policies, mut rules): (Vec<_>, Vec<_>) =
        spent.cloned().partition(|rule| rule == limits::BY_POLICY);
    rules.dedup();
    if !of_policies.is_empty() {
        data.set("policies", list(policies));
    }
    if !rules.is_empty() {
        data.set("limits", list(&rules));
    }
}

fn answer(asked: &Asked, member: &str, value: Json) -> Vec<u8> {
    let mut answer = Object::default();
    answer.set("jsonrpc", Json::from("2.0"));
    answer.set("id", asked.id.as_ref().map_or(Json::Null, |id| id.as_json().clone()));
    answer.set(member, value);
    let mut out = Vec::with_capacity(256);
    answer.write(&mut out);
    out
}

fn list(words: &[String]) -> Json {
    Json::Array(words.iter().map(|word| Json::from(word.as_str())).collect())
}
