//! Variables that others use for the same things. Read here and nowhere else.

use std::collections::BTreeMap;

use super::{Key, ProviderSettings, WireName};
use crate::model::ModelName;

/// The environment, as it was when the program started.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own.
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// These variables and no others.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    /// A variable that is set to something.
    pub fn value(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.trim().is_empty()).cloned()
    }

    /// Providers of which a key or a place is known.
    pub(super) fn providers(&self) -> BTreeMap<String, ProviderSettings> {
        let known = USUAL.iter().filter_map(|usual| {
            let api_key = usual.keys.iter().find_map(|name| self.value(name)).map(Key);
            let base_url = self.value(usual.base_url).map(|url| (usual.place)(url));
            (api_key.is_some() || base_url.is_some()).then(|| {
                let wire = Some(usual.wire);
                let settings =
                    ProviderSettings { wire, base_url, api_key, ..ProviderSettings::default() };
                (usual.provider.to_owned(), settings)
            })
        });
        known.collect()
    }

    /// The usual model of each of those providers.
    pub(super) fn models(&self) -> Vec<ModelName> {
        let known = self.providers();
        let named = USUAL.iter().filter(|usual| known.contains_key(usual.provider));
        named
            .filter_map(|usual| {
                let model = self.value(usual.model).or_else(|| usual.otherwise.map(str::to_owned));
                format!("{}/{}", usual.provider, model?).parse().ok()
            })
            .collect()
    }

    /// Every variable with this prefix, for settings of our own.
    pub(super) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| {
            name.strip_prefix(prefix).map(|rest| (rest, value.as_str()))
        })
    }
}

fn text((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

/// What a provider's own programs read.
struct Usual {
    provider: &'static str,
    wire: WireName,
    keys: &'static [&'static str],
    base_url: &'static str,
    /// What the variable holds is not always what the wire format starts from.
    place: fn(String) -> String,
    model: &'static str,
    /// Where the variable does not name one.
    otherwise: Option<&'static str>,
}

const USUAL: [Usual; 4] = [
    Usual {
        provider: "openai",
        wire: WireName::Openai,
        keys: &["OPENAI_API_KEY"],
        base_url: "OPENAI_BASE_URL",
        place: |url| url,
        model: "OPENAI_MODEL",
        otherwise: Some("gpt-4.1"),
    },
    Usual {
        provider: "anthropic",
        wire: WireName::Anthropic,
        keys: &["ANTHROPIC_API_KEY"],
        base_url: "ANTHROPIC_BASE_URL",
        // Anthropic's own programs add `/v1` themselves.
        place: |url| match url.trim_end_matches('/') {
            whole if whole.ends_with("/v1") => whole.to_owned(),
            root => format!("{root}/v1"),
        },
        model: "ANTHROPIC_MODEL",
        otherwise: Some("claude-sonnet-4-5"),
    },
    Usual {
        provider: "gemini",
        wire: WireName::Gemini,
        keys: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        base_url: "GEMINI_BASE_URL",
        place: |url| url,
        model: "GEMINI_MODEL",
        otherwise: Some("gemini-2.5-flash"),
    },
    Usual {
        provider: "ollama",
        wire: WireName::Openai,
        keys: &["OLLAMA_API_KEY"],
        base_url: "OLLAMA_BASE_URL",
        // Ollama speaks the OpenAI format below `/v1`.
        place: |url| match url.trim_end_matches('/') {
            whole if whole.ends_with("/v1") => whole.to_owned(),
            root => format!("{root}/v1"),
        },
        model: "OLLAMA_MODEL",
        otherwise: None,
    },
];
