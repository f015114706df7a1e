//! What a refusal says, whichever way it is said: status, challenge, JSON-RPC error.

use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use rmcp::model::{ErrorData, ServerJsonRpcMessage};
use serde_json::Value;

use crate::token::Challenge;

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The JSON-RPC error's code.
    pub code: Option<i32>,
    /// What it says, in words.
    pub message: String,
    /// The reason's code, as the gate tells it in `data.reason`.
    pub reason: Option<String>,
    /// All that the request needs, where more scope would help (RFC 6750 section 3.1).
    pub required_scopes: Vec<String>,
    /// How long to leave the server alone.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// What an answer without success says.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let challenge = Challenge::of(headers);
        let error = match serde_json::from_slice(body) {
            Ok(ServerJsonRpcMessage::Error(error)) => Some(error.error),
            _ => None,
        };
        let code = error.as_ref().map(|error| error.code.0);
        let data = error.as_ref().and_then(|error| error.data.as_ref());
        let needs_scope = challenge.wants_scope();
        Self {
            status: status.as_u16(),
            code,
            reason: data.and_then(|data| data.get("reason")?.as_str()).map(str::to_owned),
            required_scopes: match needs_scope {
                true => challenge.scopes.into_iter().collect(),
                false => Vec::new(),
            },
            retry_after: data.and_then(told_wait).or_else(|| header_wait(headers)),
            message: words(status, error, challenge.error),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Refusal {}

fn words(status: StatusCode, error: Option<ErrorData>, challenged: Option<String>) -> String {
    let said = error.map(|error| error.message.into_owned()).or(challenged);
    match said {
        Some(said) => said.chars().take(MAX_WORDS).collect(),
        None => format!("the server answered {status}"),
    }
}

/// The gate's own, to the millisecond.
fn told_wait(data: &Value) -> Option<Duration> {
    data.get("retryAfterMs")?.as_u64().map(Duration::from_millis)
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn header_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

/// Of what somebody says, in characters.
const MAX_WORDS: usize = 2000;
