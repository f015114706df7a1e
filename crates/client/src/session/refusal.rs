//! What went wrong with a session or a call, told apart by what can be done about it.

use std::time::Duration;

use rmcp::{ErrorData, ServiceError, service::ClientInitializeError};
use serde_json::Value;

use super::authorized::{HttpFailure, Refusal, failure_of, failure_of_opening};
use crate::token::{TokenError, with_causes};

/// Why a session or a call failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The session could not be opened.
    #[error("cannot open a session: {0}")]
    Open(String),
    /// More scopes would permit the call.
    #[error("the call needs more scope: `{}`", required.join(" "))]
    StepUp {
        /// All that the call needs.
        required: Vec<String>,
    },
    /// A limit is used up.
    #[error("called too often{}", wait(.after.as_ref()))]
    Limited {
        /// When it can be tried again, if that was said.
        after: Option<Duration>,
    },
    /// The gate or the server said no.
    #[error("{message}")]
    Refused {
        /// The JSON-RPC error code.
        code: i64,
        /// The gate's reason, such as `denied`; servers without a gate give none.
        reason: Option<String>,
        /// In words.
        message: String,
    },
    /// No token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The connection failed, or the answer is not what it should be.
    #[error("{0}")]
    Call(String),
}

impl SessionError {
    /// A short name, for reports and transcripts.
    pub fn reason(&self) -> &str {
        match self {
            Self::Open(_) => "no-session",
            Self::StepUp { .. } => "insufficient-scope",
            Self::Limited { .. } => "rate-limited",
            Self::Refused { reason, .. } => reason.as_deref().unwrap_or("refused"),
            Self::Token(_) => "no-token",
            Self::Call(_) => "failed",
        }
    }
}

/// Tells apart what rmcp reports.
pub(super) fn told(error: ServiceError) -> SessionError {
    if let ServiceError::McpError(error) = &error {
        return from_answer(error);
    }
    match failure_of(&error) {
        Some(HttpFailure::Refused(refusal)) => refused(refusal),
        Some(HttpFailure::Token(error)) => SessionError::Token(error.clone()),
        _ => SessionError::Call(with_causes(&error)),
    }
}

/// Why a session was not opened.
pub(super) fn not_opened(error: &ClientInitializeError) -> SessionError {
    match failure_of_opening(error) {
        Some(HttpFailure::Refused(refusal)) => SessionError::Open(refusal.message.clone()),
        Some(HttpFailure::Token(error)) => SessionError::Token(error.clone()),
        _ => SessionError::Open(with_causes(error)),
    }
}

fn refused(refusal: &Refusal) -> SessionError {
    let Refusal { code, reason, message, .. } = refusal;
    if !refusal.required_scopes.is_empty() {
        return SessionError::StepUp { required: refusal.required_scopes.clone() };
    }
    if refusal.status == 429 {
        return SessionError::Limited { after: refusal.retry_after };
    }
    match *code {
        Some(code) => SessionError::Refused {
            code: code.into(),
            reason: reason.clone(),
            message: message.clone(),
        },
        None => SessionError::Call(message.clone()),
    }
}

fn from_answer(error: &ErrorData) -> SessionError {
    let data = |name: &str| error.data.as_ref().and_then(|data| data.get(name));
    if error.code.0 == 429 {
        let after = data("retryAfterMs").and_then(Value::as_u64).map(Duration::from_millis);
        return SessionError::Limited { after };
    }
    let reason = data("reason").and_then(Value::as_str);
    // Scopes are taken from the gate's challenge alone: this may be the upstream's own answer.
    SessionError::Refused {
        code: error.code.0.into(),
        reason: reason.map(str::to_owned),
        message: shortened(&error.message),
    }
}

fn wait(after: Option<&Duration>) -> String {
    after.map_or_else(String::new, |after| {
        let seconds =
            Duration::from_secs(after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
        format!("; it can be tried again in {}", humantime::format_duration(seconds))
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_MESSAGE).collect()
}

/// Characters of a server's words.
const LONGEST_MESSAGE: usize = 2_000;
