//! Every refusal: why, with which status, which challenge, which JSON-RPC error.
//!
//! The enum is closed and each variant has one reason code, listed in `sidecar/README.md`. What a
//! caller reads never holds text of the upstream, a path, a key id or a policy's text.

mod answer;
mod reasons;
mod words;

use std::time::Duration;

use http::StatusCode;

use crate::{
    config::{Disclosure, RefusalStyle},
    limits::LimitState,
    message::{Form, RequestId, TargetKind, json::JsonFault},
};
pub(crate) use reasons::REASONS;

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
    /// What was decided cannot be put on record.
    LedgerUnavailable,
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
    /// The client has not declared the extension that a method belongs to.
    MissingExtension(&'static str),
    UnknownMethod,
    /// A session or a stream that is not there, or is somebody else's.
    UnknownSession,
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
        /// In the schema's words, without what the caller wrote.
        what: String,
    },
    /// As many calls as policies and rules grant have been made.
    RateLimited {
        /// Until there is one more.
        wait: Duration,
        policies: Vec<String>,
        /// What each limit left; nothing is what refused it.
        limits: Vec<LimitState>,
    },
    // what comes back
    UpstreamUnreachable,
    UpstreamTooSlow,
    UpstreamStatus,
    /// It takes no such request: told as the upstream told it.
    UpstreamRefused {
        status: StatusCode,
    },
    UpstreamAnswer,
    UpstreamBrokeOff,
    /// The upstream asks something of the client that policy keeps from it.
    QuestionDenied {
        method: String,
    },
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
            Self::LedgerUnavailable => "ledger-unavailable",
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
            Self::Json(JsonFault::PrototypeName) => "ambiguous-names",
            Self::Batch => "batch",
            Self::NotAMessage => "not-a-message",
            Self::UnexpectedResponse => "unexpected-response",
            Self::InvalidParams => "invalid-params",
            Self::HeaderMismatch(_) => "header-mismatch",
            Self::RepeatedHeader(_) => "repeated-header",
            Self::UnsupportedVersion { .. } => "unsupported-version",
            Self::MissingMeta => "missing-meta",
            Self::MissingExtension(_) => "missing-extension",
            Self::UnknownMethod => "unknown-method",
            Self::UnknownSession => "unknown-session",
            Self::InsufficientScope { .. } => "insufficient-scope",
            Self::Denied { .. } => "denied",
            Self::EvaluationFailed { .. } => "evaluation-failed",
            Self::UnknownTarget(TargetKind::Prompt, _) => "unknown-prompt",
            Self::UnknownTarget(TargetKind::Resource, _) => "unknown-resource",
            Self::UnknownTarget(TargetKind::Task, _) => "unknown-task",
            Self::UnknownTarget(..) => "unknown-tool",
            Self::HiddenTarget { .. } => "hidden",
            Self::InvalidArguments { .. } => "invalid-arguments",
            Self::RateLimited { .. } => "rate-limited",
            Self::UpstreamUnreachable => "upstream-unreachable",
            Self::UpstreamTooSlow => "upstream-too-slow",
            Self::UpstreamStatus => "upstream-status",
            Self::UpstreamRefused { .. } => "upstream-refused",
            Self::UpstreamAnswer => "upstream-answer",
            Self::UpstreamBrokeOff => "upstream-broke-off",
            Self::QuestionDenied { .. } => "question-denied",
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
            | Self::RateLimited { policies, .. }
            | Self::HiddenTarget { policies, .. } => policies,
            _ => &[],
        }
    }

    /// What limits left, for the record.
    pub(crate) fn limits(&self) -> &[LimitState] {
        match self {
            Self::RateLimited { limits, .. } => limits,
            _ => &[],
        }
    }

    /// The scopes that would have permitted it, for the record.
    pub(crate) fn required_scopes(&self) -> &[String] {
        match self {
            Self::InsufficientScope { required, .. } => required,
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
            Self::Overloaded
            | Self::KeysUnavailable
            | Self::LedgerUnavailable
            | Self::IntrospectionUnavailable => plain(StatusCode::SERVICE_UNAVAILABLE),
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
            Self::MissingExtension(_) => (StatusCode::BAD_REQUEST, -32021),
            Self::UnknownMethod => (StatusCode::NOT_FOUND, -32601),
            Self::UnknownSession => plain(StatusCode::NOT_FOUND),
            Self::UpstreamRefused { status } => plain(*status),
            Self::InsufficientScope { .. }
            | Self::QuestionDenied { .. }
            | Self::Denied { .. }
            | Self::EvaluationFailed { .. } => plain(StatusCode::FORBIDDEN),
            Self::RateLimited { .. } => plain(StatusCode::TOO_MANY_REQUESTS),
            // As an upstream answers for what it does not have.
            Self::UnknownTarget(..) | Self::HiddenTarget { .. } => (StatusCode::OK, -32602),
            Self::UpstreamUnreachable
            | Self::UpstreamStatus
            | Self::UpstreamAnswer
            | Self::UpstreamBrokeOff => plain(StatusCode::BAD_GATEWAY),
            Self::UpstreamTooSlow => plain(StatusCode::GATEWAY_TIMEOUT),
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
    pub(super) fn in_use() -> BTreeSet<&'static str> {
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
