//! What a refusal says to people and models. Never text of the upstream, a path, a key id or a
//! policy's text.

use super::Rejection;
use crate::message::{TargetKind, json::JsonFault};

impl Rejection {
    /// What the caller reads.
    pub(super) fn message(&self) -> String {
        let fixed = match self {
            Self::WrongHost => "this host is not served here",
            Self::ForeignOrigin => "requests from this origin are not accepted",
            Self::NotPost => {
                "there is nothing to listen to or to end here; send messages with POST"
            }
            Self::UnknownSession => "Session not found",
            Self::Overloaded => "too many requests at once, try again",
            Self::NoToken => "an access token is required",
            Self::SeveralCredentials => "more than one Authorization header",
            Self::TokenInQuery => "send the access token in the Authorization header",
            Self::MalformedToken => "the access token is malformed",
            Self::WrongTokenType => "this is not an access token",
            Self::WrongAlgorithm => {
                "the access token is signed with an algorithm not accepted here"
            }
            Self::NoKeyId => "the access token names no key",
            Self::UnknownIssuer => "the access token is from an issuer not accepted here",
            Self::UnknownKey => "the access token names a key its issuer does not publish",
            Self::BadSignature => "the access token's signature does not verify",
            Self::Expired => "the access token has expired",
            Self::TooOld => "the access token is older than accepted here",
            Self::NotYetActive => "the access token is not active yet",
            Self::WrongAudience => "the access token is for another resource",
            Self::MalformedClaims => "a claim of the access token is missing or of the wrong type",
            Self::Inactive => "the access token is not active at its issuer",
            Self::Revoked => "the access token has been revoked",
            Self::IntrospectionUnavailable => {
                "the issuer cannot be asked about the access token, try again"
            }
            Self::NoProof => "this access token needs proof of possession of its key",
            Self::InvalidProof => "the DPoP proof does not fit this request and its access token",
            Self::ReplayedProof => "this DPoP proof was used before",
            Self::UseNonce { .. } => "the DPoP proof must hold the nonce that is sent along",
            Self::WrongCertificate => {
                "the access token must be bound to the client certificate of this connection"
            }
            Self::KeysUnavailable => "the issuer's keys are not available, try again",
            Self::LedgerUnavailable => "the request cannot be put on record, try again",
            Self::NotJson => "the body must be application/json in UTF-8",
            Self::EncodedBody => "the body must not be compressed",
            Self::BodyTooLarge => "the body is too large",
            Self::BodyTooSlow => "the body took too long to arrive",
            Self::BodyIncomplete => "the body ended early",
            Self::Json(fault) => fault.message(),
            Self::Batch => "batches are not accepted; send one message",
            Self::NotAMessage => "the body is not one JSON-RPC request or notification",
            Self::UnexpectedResponse => "no request of ours is open for this response",
            Self::InvalidParams => "a required member of params is missing or of the wrong type",
            Self::MissingMeta => {
                "params._meta must name the protocol version and the client's capabilities"
            }
            Self::MissingExtension(_) => "Missing required client capability",
            Self::UnknownMethod => "Method not found",
            Self::Denied { .. } => "policy does not permit this",
            Self::EvaluationFailed { .. } => "policy could not be evaluated for this request",
            Self::RateLimited { .. } => "too many calls for now, try again later",
            Self::UpstreamUnreachable => "the upstream server cannot be reached",
            Self::UpstreamTooSlow => "the upstream server took too long",
            Self::UpstreamStatus | Self::UpstreamAnswer => {
                "the upstream server's answer cannot be relayed"
            }
            Self::UpstreamRefused { .. } => "the upstream server does not take this request",
            Self::UpstreamBrokeOff => "the upstream server broke off its answer",
            Self::QuestionDenied { .. } => {
                "policy does not permit what the upstream server asks of the client"
            }
            Self::HeaderMismatch(name) => {
                return format!("header `{name}` does not match the body");
            }
            Self::RepeatedHeader(name) => return format!("header `{name}` stands more than once"),
            Self::UnsupportedVersion { .. } => "Unsupported protocol version",
            Self::InsufficientScope { required, .. } => {
                return format!("insufficient scope: this needs `{}`", required.join(" "));
            }
            Self::UnknownTarget(kind, name) | Self::HiddenTarget { kind, name, .. } => {
                return match kind {
                    TargetKind::Prompt => format!("Unknown prompt: {name}"),
                    TargetKind::Resource => format!("Resource not found: {name}"),
                    TargetKind::Task => "Task not found".to_owned(),
                    _ => format!("Unknown tool: {name}"),
                };
            }
            Self::InvalidArguments { path, what } if path.is_empty() => {
                return format!("the arguments do not fit: {}", shortened(what));
            }
            Self::InvalidArguments { path, what } => {
                return format!("argument `{}` does not fit: {}", shortened(path), shortened(what));
            }
        };
        fixed.to_owned()
    }
}

/// Names of members are the caller's own, and as long as the caller likes.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Enough for a list of the values that there may be.
const MAX_WORDS: usize = 300;

impl JsonFault {
    fn message(self) -> &'static str {
        match self {
            Self::NotUtf8 => "the body is not UTF-8",
            Self::ByteOrderMark => "the body starts with a byte order mark",
            Self::Syntax => "the body is not JSON",
            Self::LoneSurrogate => "a string holds half a surrogate pair",
            Self::TooDeep => "the body is nested too deeply",
            Self::TooManyValues => "the body holds too many values",
            Self::NumberTooLong => "a number has too many digits",
            Self::RepeatedName => "an object repeats a name",
            Self::NamesDifferInCase => "two names of an object differ in case alone",
            Self::PrototypeName => "a member is named `__proto__`",
        }
    }
}
