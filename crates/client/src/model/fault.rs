//! What went wrong, in words of our own: from the library's errors, from what providers say.

use std::{error::Error as _, time::Duration};

use genai::webc::{self, StreamTimeout};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Failure,
    provider::{Limits, Provider},
};

/// What is needed to tell a failure.
#[derive(Debug)]
pub(super) struct Faults {
    limits: Limits,
    secrets: Secrets,
}

/// What may not come out.
struct Secrets(Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Faults {
    pub(super) fn of(provider: &Provider) -> Self {
        Self { limits: provider.limits, secrets: Secrets(provider.secrets()) }
    }

    /// What an error of the library means.
    pub(super) fn failure(&self, error: &genai::Error) -> Failure {
        match error {
            genai::Error::HttpError { status, body, headers, .. } => {
                self.of_status(*status, headers, body)
            }
            genai::Error::WebStream { error, .. } => self.of_stream(error.as_ref()),
            genai::Error::WebModelCall { webc_error: webc::Error::Reqwest(error), .. } => {
                self.of_http(error)
            }
            genai::Error::ChatResponse { body, .. } => self.of_event(body),
            genai::Error::StreamParse { serde_error, .. } => {
                self.broken(&format!("a frame cannot be read: {serde_error}"))
            }
            other => self.broken(&other.to_string()),
        }
    }

    fn of_stream(&self, error: &(dyn std::error::Error + Send + Sync + 'static)) -> Failure {
        if let Some(error) = error.downcast_ref::<genai::Error>() {
            return self.failure(error);
        }
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return self.of_http(error);
        }
        match error.downcast_ref::<StreamTimeout>() {
            Some(StreamTimeout::Headers) => Failure::TimedOut(self.limits.first_byte),
            Some(StreamTimeout::Read) => Failure::TimedOut(self.limits.between_chunks),
            None => self.broken(&format!("it is no text: {error}")),
        }
    }

    /// What an error of the HTTP client means.
    pub(super) fn of_http(&self, error: &reqwest::Error) -> Failure {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        let causes = if causes.is_empty() { error.to_string() } else { causes.join(": ") };
        if error.is_connect() || (error.is_request() && !error.is_timeout()) {
            Failure::Unreachable(self.said(&causes))
        } else if error.is_timeout() {
            Failure::TimedOut(self.limits.first_byte)
        } else {
            self.broken(&format!("it broke off: {causes}"))
        }
    }

    /// What a status that is no success means.
    pub(super) fn of_status(&self, status: StatusCode, headers: &HeaderMap, body: &str) -> Failure {
        let said = self.said(&message(body));
        match status.as_u16() {
            401 | 403 => Failure::Unauthorized(said),
            // Gemini's way to say it.
            400 if body.contains("API_KEY_INVALID") => Failure::Unauthorized(said),
            429 => Failure::RateLimited { retry_after: retry_after(headers, Timestamp::now()) },
            408 | 500.. => Failure::Failed { status: status.as_u16(), said },
            400.. => Failure::Refused { status: status.as_u16(), said },
            300.. => Failure::Broken(format!(
                "it redirects with status {status}, and a key is not carried elsewhere"
            )),
            _ => Failure::Broken(format!("it answers with status {status}")),
        }
    }

    /// What an error in the middle of an answer means.
    fn of_event(&self, body: &Value) -> Failure {
        let error = body.get("error").unwrap_or(body);
        let said = self.said(&message(&error.to_string()));
        let status = ["code", "status", "status_code"]
            .iter()
            .find_map(|name| error.get(name).and_then(as_status));
        if let Some(status) = status {
            return self.of_status(status, &HeaderMap::new(), &error.to_string());
        }
        let kinds = ["type", "code", "status"].iter().filter_map(|name| error.get(name)?.as_str());
        for kind in kinds {
            match kind.to_ascii_lowercase().as_str() {
                "authentication_error"
                | "permission_error"
                | "invalid_api_key"
                | "unauthenticated"
                | "permission_denied" => return Failure::Unauthorized(said),
                "rate_limit_error" | "rate_limit_exceeded" | "resource_exhausted" => {
                    return Failure::RateLimited { retry_after: None };
                }
                "overloaded_error" => return Failure::Failed { status: 529, said },
                "invalid_request_error" | "invalid_argument" => {
                    return Failure::Refused { status: 400, said };
                }
                _ => {}
            }
        }
        Failure::Broken(format!("an error in the middle of the answer: {said}"))
    }

    /// An answer that is not what it should be.
    pub(super) fn broken(&self, what: &str) -> Failure {
        Failure::Broken(self.said(what))
    }

    /// Text of another's: without keys, on one line, not too long.
    fn said(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets.0 {
            text = text.replace(secret.as_str(), "***");
        }
        let mut shown = String::new();
        for (place, character) in text.trim().chars().enumerate() {
            if place >= LONGEST_SAID {
                shown.push('…');
                break;
            }
            if character.is_control() || is_bidirectional(character) {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
        }
        shown
    }
}

/// What a body of an error says, whichever of the usual forms it has.
fn message(body: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    // Gemini puts it into a list when asked for a stream.
    let value = value.get(0).unwrap_or(&value);
    let places = ["/error/message", "/message", "/error", "/detail"];
    let text = places.iter().find_map(|place| value.pointer(place)?.as_str());
    text.map_or_else(|| body.to_owned(), str::to_owned)
}

fn as_status(code: &Value) -> Option<StatusCode> {
    let code = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    let status = StatusCode::from_u16(u16::try_from(code).ok()?).ok()?;
    (status.as_u16() >= 400).then_some(status)
}

/// How long to wait, in seconds or until a date (RFC 9110 section 10.2.3), or in milliseconds as
/// some providers say more exactly.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(milliseconds) = text("retry-after-ms").and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(milliseconds));
    }
    let written = text("retry-after")?;
    if let Ok(seconds) = written.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(written).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// Characters that show text in another order than it is written.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters of a provider's text that are shown.
const LONGEST_SAID: usize = 300;

#[cfg(test)]
mod tests;
