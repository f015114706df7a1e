//! A provider: where it is, how it speaks, what it is told and how long it is waited for.

mod base_url;
mod known;

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue};

pub use super::provided::ProvidedModel;
pub use crate::secret::Secret;
pub use base_url::{BaseUrl, BaseUrlError, PlainHttp};
pub use known::{Key, KnownProvider};

/// Where a provider is, and how it is spoken to.
#[derive(Clone)]
pub struct Provider {
    /// Its wire format.
    pub wire: Wire,
    /// Base URL, with its `/v1/` where there is one; of Gemini with its `/v1beta/`.
    pub base_url: BaseUrl,
    /// API key; without one it is asked without.
    pub api_key: Option<Secret>,
    /// Tokens that a turn may have; else the provider's default, or the model's maximum.
    pub max_tokens: Option<u32>,
    /// Headers that it wants besides.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long it is waited for, and how much is listened to.
    pub limits: Limits,
}

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Chat completions: OpenAI itself, Ollama, vLLM, Groq, a LiteLLM proxy, the rehearsed model.
    OpenAi,
    /// Chat completions with call ids of nine letters and digits.
    Mistral,
    /// Messages.
    Anthropic,
    /// `streamGenerateContent`.
    Gemini,
}

/// Bounds of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until the provider begins to answer.
    pub first_byte: Duration,
    /// Between two pieces of an answer, signs of life included.
    pub between_chunks: Duration,
    /// Until the turn is whole.
    pub turn: Duration,
    /// Bytes of a turn, with everything around what is said.
    pub bytes: usize,
}

impl Provider {
    /// A provider without a key, with the usual bounds.
    pub fn at(wire: Wire, base_url: BaseUrl) -> Self {
        Self {
            wire,
            base_url,
            api_key: None,
            max_tokens: None,
            headers: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// The same with this key.
    #[must_use]
    pub fn with_key(mut self, key: Secret) -> Self {
        self.api_key = Some(key);
        self
    }

    /// The same with these bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Every header that it is sent, in the form of its wire.
    pub(super) fn all_headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![("user-agent".to_owned(), USER_AGENT.to_owned())];
        if self.wire == Wire::Anthropic {
            headers.push(("anthropic-version".to_owned(), "2023-06-01".to_owned()));
        }
        if let Some(key) = self.api_key.as_ref().map(Secret::expose) {
            headers.push(match self.wire {
                Wire::OpenAi | Wire::Mistral => {
                    ("authorization".to_owned(), format!("Bearer {key}"))
                }
                Wire::Anthropic => ("x-api-key".to_owned(), key.to_owned()),
                Wire::Gemini => ("x-goog-api-key".to_owned(), key.to_owned()),
            });
        }
        for (name, value) in &self.headers {
            if let Ok(value) = value.to_str() {
                headers.push((name.to_string(), value.to_owned()));
            }
        }
        headers
    }

    /// What must not come out in a message, should the provider repeat it.
    pub(super) fn secrets(&self) -> Vec<String> {
        let key = self.api_key.iter().map(|key| key.expose().to_owned());
        let values = self.headers.iter().filter_map(|(_, value)| value.to_str().ok());
        let secrets = key.chain(values.map(str::to_owned));
        secrets.filter(|secret| secret.len() >= SHORTEST_SECRET).collect()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Provider")
            .field("wire", &self.wire)
            .field("base_url", &self.base_url)
            .field("api_key", &self.api_key)
            .field("max_tokens", &self.max_tokens)
            .field("headers", &names)
            .field("limits", &self.limits)
            .finish()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Some models think for minutes before they say the first word.
            first_byte: Duration::from_secs(120),
            between_chunks: Duration::from_secs(60),
            turn: Duration::from_secs(600),
            // Thirty times what the longest answers take on the wire.
            bytes: 8 * 1024 * 1024,
        }
    }
}

/// Some providers turn away whoever does not say.
const USER_AGENT: &str = concat!("cedargate-chat/", env!("CARGO_PKG_VERSION"));
/// Shorter values are words such as `true`, which may be said.
const SHORTEST_SECRET: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_and_no_header_is_ever_shown() {
        let base_url = BaseUrl::parse("https://api.example.com/v1", PlainHttp::Loopback).unwrap();
        let mut provider =
            Provider::at(Wire::OpenAi, base_url).with_key(Secret::new("sk-very-secret"));
        provider.headers.push((
            HeaderName::from_static("x-tenant-key"),
            HeaderValue::from_static("tenant-secret"),
        ));
        let shown = format!("{provider:?} {provider:#?}");
        assert!(shown.contains("x-tenant-key"), "{shown}");
        assert!(!shown.contains("very-secret") && !shown.contains("tenant-secret"), "{shown}");
    }
}
