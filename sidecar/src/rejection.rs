//! Every refusal: why, with which status, which challenge, which JSON-RPC error.
//!
//! The enum is closed and each variant has one reason code, listed in `sidecar/README.md`. What a
//! caller reads never holds text of the upstream, a path, a key id or a policy's text.

mod answer;

use http::StatusCode;

use crate::{
    config::{Disclosure, RefusalStyle},
    message::{Form, RequestId, TargetKind, json::JsonFault},
};

/// Why a request is not forwarded, or its answer not relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rejection {
    // before anyone is asked who they are
    WrongHost,
    ForeignOrigin,
    // who is asking (RFC 6750, RFC 9068)
    NoToken,
    SeveralCredentials,
    TokenInQuery,
    MalformedToken,
    WrongTokenType,
    WrongAlgorithm,
    NoKeyId,
    UnknownIssuer,
    UnknownKey,
    BadSignature,
    Expired,
    TooOld,
    NotYetActive,
    WrongAudience,
    MalformedClaims,
    Inactive,
    Revoked,
    IntrospectionUnavailable,
    NoProof,
    InvalidProof,
    ReplayedProof,
    UseNonce {
        nonce: String,
    },
    WrongCertificate,
    KeysUnavailable,
    Overloaded,
    // what do they ask (JSON-RPC 2.0, MCP)
    NotPost,
    NotJson,
    EncodedBody,
    BodyTooLarge,
    BodyTooSlow,
    BodyIncomplete,
    Json(JsonFault),
    Batch,
    NotAMessage,
    UnexpectedResponse,
    InvalidParams,
    HeaderMismatch(&'static str),
    RepeatedHeader(&'static str),
    UnsupportedVersion {
        requested: String,
    },
    MissingMeta,
    UnknownMethod,
    // may they (Cedar)
    InsufficientScope {
        required: Vec<String>,
        policies: Vec<String>,
    },
    Denied {
        policies: Vec<String>,
    },
    EvaluationFailed {
        policies: Vec<String>,
    },
    /// To the caller it does not exist, and nothing tells it from what is hidden.
    UnknownTarget(TargetKind, String),
    /// It exists, but could never be permitted; told as if it were unknown.
    HiddenTarget {
        kind: TargetKind,
        name: String,
        policies: Vec<String>,
    },
    InvalidArguments {
        path: String,
    },
    // what comes back
    UpstreamUnreachable,
    UpstreamTooSlow,
    UpstreamStatus,
    UpstreamAnswer,
}

/// To which message a refusal answers, once one has been read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) form: Option<Form>,
    pub(crate) id: Option<RequestId>,
    pub(crate) modern: bool,
    pub(crate) calls_a_tool: bool,
}

/// How refusals are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) style: RefusalStyle,
    pub(crate) policies: Disclosure,
}

impl Rejection {
    /// The reason code: kebab-case, stable, one for each variant.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::WrongHost => "wrong-host",
            Self::ForeignOrigin => "foreign-origin",
            Self::NotPost => "not-post",
            Self::Overloaded => "overloaded",
            Self::NoToken => "no-token",
            Self::SeveralCredentials => "several-credentials",
            Self::TokenInQuery => "token-in-query",
            Self::MalformedToken => "malformed-token",
            Self::WrongTokenType => "wrong-token-type",
            Self::WrongAlgorithm => "wrong-algorithm",
            Self::NoKeyId => "no-key-id",
            Self::UnknownIssuer => "unknown-issuer",
            Self::UnknownKey => "unknown-key",
            Self::BadSignature => "bad-signature",
            Self::Expired => "expired",
            Self::TooOld => "too-old",
            Self::NotYetActive => "not-yet-active",
            Self::WrongAudience => "wrong-audience",
            Self::MalformedClaims => "malformed-claims",
            Self::Inactive => "inactive-token",
            Self::Revoked => "revoked",
            Self::IntrospectionUnavailable => "introspection-unavailable",
            Self::NoProof => "no-proof",
            Self::InvalidProof => "invalid-proof",
            Self::ReplayedProof => "replayed-proof",
            Self::UseNonce { .. } => "use-nonce",
            Self::WrongCertificate => "wrong-certificate",
            Self::KeysUnavailable => "keys-unavailable",
            Self::NotJson => "not-json",
            Self::EncodedBody => "encoded-body",
            Self::BodyTooLarge => "body-too-large",
            Self::BodyTooSlow => "body-too-slow",
            Self::BodyIncomplete => "body-incomplete",
            Self::Json(JsonFault::NotUtf8) => "not-utf8",
            Self::Json(JsonFault::ByteOrderMark) => "byte-order-mark",
            Self::Json(JsonFault::Syntax) => "malformed-json",
            Self::Json(JsonFault::LoneSurrogate) => "lone-surrogate",
            Self::Json(JsonFault::TooDeep) => "too-deep",
            Self::Json(JsonFault::TooManyValues) => "too-many-values",
            Self::Json(JsonFault::NumberTooLong) => "number-too-long",
            Self::Json(JsonFault::RepeatedName) => "repeated-name",
            Self::Json(JsonFault::NamesDifferInCase) => "ambiguous-names",
            Self::Batch => "batch",
            Self::NotAMessage => "not-a-message",
            Self::UnexpectedResponse => "unexpected-response",
            Self::InvalidParams => "invalid-params",
            Self::HeaderMismatch(_) => "header-mismatch",
            Self::RepeatedHeader(_) => "repeated-header",
            Self::UnsupportedVersion { .. } => "unsupported-version",
            Self::MissingMeta => "missing-meta",
            Self::UnknownMethod => "unknown-method",
            Self::InsufficientScope { .. } => "insufficient-scope",
            Self::Denied { .. } => "denied",
            Self::EvaluationFailed { .. } => "evaluation-failed",
            Self::UnknownTarget(TargetKind::Prompt, _) => "unknown-prompt",
            Self::UnknownTarget(TargetKind::Resource, _) => "unknown-resource",
            Self::UnknownTarget(TargetKind::Tool | TargetKind::Server, _) => "unknown-tool",
            Self::HiddenTarget { .. } => "hidden",
            Self::InvalidArguments { .. } => "invalid-arguments",
            Self::UpstreamUnreachable => "upstream-unreachable",
            Self::UpstreamTooSlow => "upstream-too-slow",
            Self::UpstreamStatus => "upstream-status",
            Self::UpstreamAnswer => "upstream-answer",
        }
    }

    /// Whether the same token might be accepted later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::KeysUnavailable
                | Self::UnknownKey
                | Self::NoKeyId
                | Self::IntrospectionUnavailable
                | Self::Overloaded
                | Self::NotYetActive
        )
    }

    /// Ids of the policies behind the refusal, for the record.
    pub(crate) fn policies(&self) -> &[String] {
        match self {
            Self::InsufficientScope { policies, .. }
            | Self::Denied { policies }
            | Self::EvaluationFailed { policies }
            | Self::HiddenTarget { policies, .. } => policies,
            _ => &[],
        }
    }

    /// The HTTP status and the JSON-RPC error code. Codes of our own are the status itself; the
    /// specification reserves what is below zero.
    fn codes(&self) -> (StatusCode, i32) {
        let plain = |status: StatusCode| (status, i32::from(status.as_u16()));
        match self {
            Self::WrongHost => plain(StatusCode::MISDIRECTED_REQUEST),
            Self::ForeignOrigin => plain(StatusCode::FORBIDDEN),
            Self::NotPost => plain(StatusCode::METHOD_NOT_ALLOWED),
            Self::Overloaded | Self::KeysUnavailable | Self::IntrospectionUnavailable => {
                plain(StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::NoToken
            | Self::MalformedToken
            | Self::WrongTokenType
            | Self::WrongAlgorithm
            | Self::NoKeyId
            | Self::UnknownIssuer
            | Self::UnknownKey
            | Self::BadSignature
            | Self::Expired
            | Self::TooOld
            | Self::NotYetActive
            | Self::WrongAudience
            | Self::MalformedClaims
            | Self::Inactive
            | Self::Revoked
            | Self::NoProof
            | Self::InvalidProof
            | Self::ReplayedProof
            | Self::UseNonce { .. }
            | Self::WrongCertificate => plain(StatusCode::UNAUTHORIZED),
            Self::SeveralCredentials | Self::TokenInQuery => plain(StatusCode::BAD_REQUEST),
            Self::NotJson | Self::EncodedBody => plain(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::BodyTooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE),
            Self::BodyTooSlow => plain(StatusCode::REQUEST_TIMEOUT),
            Self::BodyIncomplete | Self::Json(_) => (StatusCode::BAD_REQUEST, -32700),
            Self::Batch | Self::NotAMessage | Self::UnexpectedResponse => {
                (StatusCode::BAD_REQUEST, -32600)
            }
            Self::InvalidParams | Self::MissingMeta | Self::InvalidArguments { .. } => {
                (StatusCode::BAD_REQUEST, -32602)
            }
            Self::HeaderMismatch(_) | Self::RepeatedHeader(_) => (StatusCode::BAD_REQUEST, -32020),
            Self::UnsupportedVersion { .. } => (StatusCode::BAD_REQUEST, -32022),
            Self::UnknownMethod => (StatusCode::NOT_FOUND, -32601),
            Self::InsufficientScope { .. }
            | Self::Denied { .. }
            | Self::EvaluationFailed { .. } => plain(StatusCode::FORBIDDEN),
            // As an upstream answers for what it does not have.
            Self::UnknownTarget(..) | Self::HiddenTarget { .. } => (StatusCode::OK, -32602),
            Self::UpstreamUnreachable | Self::UpstreamStatus | Self::UpstreamAnswer => {
                plain(StatusCode::BAD_GATEWAY)
            }
            Self::UpstreamTooSlow => plain(StatusCode::GATEWAY_TIMEOUT),
        }
    }

    /// What the caller reads.
    fn message(&self) -> String {
        let fixed = match self {
            Self::WrongHost => "this host is not served here",
            Self::ForeignOrigin => "requests from this origin are not accepted",
            Self::NotPost => "send messages with POST; there is no stream or session here",
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
            Self::UnknownMethod => "Method not found",
            Self::Denied { .. } => "policy does not permit this",
            Self::EvaluationFailed { .. } => "policy could not be evaluated for this request",
            Self::UpstreamUnreachable => "the upstream server cannot be reached",
            Self::UpstreamTooSlow => "the upstream server took too long",
            Self::UpstreamStatus | Self::UpstreamAnswer => {
                "the upstream server's answer cannot be relayed"
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
                    TargetKind::Tool | TargetKind::Server => format!("Unknown tool: {name}"),
                };
            }
            Self::InvalidArguments { path } => {
                return format!("argument `{path}` is missing, unknown or of the wrong type");
            }
        };
        fixed.to_owned()
    }
}

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
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Reason codes in the table of `sidecar/README.md`.
    fn documented() -> BTreeSet<&'static str> {
        let (_, refusals) = include_str!("../README.md").split_once("## Refusals").unwrap();
        refusals.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
    }

    /// Reason codes in `Rejection::reason`, which is a list of `=> "code",`.
    fn in_use() -> BTreeSet<&'static str> {
        let source = include_str!("rejection.rs");
        let (_, body) = source.split_once("fn reason(&self)").unwrap();
        let (body, _) = body.split_once("\n    }\n").unwrap();
        body.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn every_reason_is_documented_and_every_documented_reason_is_in_use() {
        assert_eq!(in_use(), documented());
        assert!(in_use().len() > 50);
    }

    #[test]
    fn reasons_are_kebab_case() {
        for reason in in_use() {
            assert!(
                reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit())
            );
        }
    }
}
