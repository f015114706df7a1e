//! What went wrong with a session or a call, told apart by what can be done about it.

use std::time::Duration;

use rmcp::{ErrorData, ServiceError, transport::streamable_http_client::HttpStatusError};
use serde_json::Value;

use crate::token::TokenError;

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
    if let Some(challenge) = error.auth_challenge()
        && challenge.contains("insufficient_scope")
        && let Some((_, rest)) = challenge.split_once("scope=\"")
        && let Some((scopes, _)) = rest.split_once('"')
    {
        // RFC 6750 section 3.1: the scopes that the challenge names.
        return SessionError::StepUp { required: scopes.split(' ').map(str::to_owned).collect() };
    }
    if let ServiceError::TransportSend(sent) = &error
        && let Some(status) = http_status(sent.error.as_ref())
        && status.status == 429
    {
        let seconds = status.retry_after.as_deref().and_then(|value| value.trim().parse().ok());
        return SessionError::Limited { after: seconds.map(Duration::from_secs) };
    }
    SessionError::Call(with_causes(&error))
}

fn from_answer(error: &ErrorData) -> SessionError {
    let data = |name: &str| error.data.as_ref().and_then(|data| data.get(name));
    if error.code.0 == 429 {
        let after = data("retryAfterMs").and_then(Value::as_u64).map(Duration::from_millis);
        return SessionError::Limited { after };
    }
    let reason = data("reason").and_then(Value::as_str);
    if reason == Some("insufficient-scope")
        && let Some(Value::Array(scopes)) = data("requiredScopes")
    {
        let required = scopes.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        return SessionError::StepUp { required };
    }
    SessionError::Refused {
        code: error.code.0.into(),
        reason: reason.map(str::to_owned),
        message: error.message.to_string(),
    }
}

fn http_status<'a>(
    mut error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a HttpStatusError> {
    loop {
        if let Some(status) = error.downcast_ref() {
            return Some(status);
        }
        error = error.source()?;
    }
}

pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn wait(after: Option<&Duration>) -> String {
    after.map_or_else(String::new, |after| {
        let seconds =
            Duration::from_secs(after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
        format!("; it can be tried again in {}", humantime::format_duration(seconds))
    })
}
