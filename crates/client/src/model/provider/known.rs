//! Providers that need no base URL: what everyone calls them, where they are, how they are
//! configured elsewhere. Any other provider in one of the wire formats works as well.

use super::{BaseUrl, BaseUrlError, PlainHttp, Provider, Wire};

/// A provider that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownProvider {
    /// What it is called before the slash of a model's name.
    pub name: &'static str,
    /// Its wire format.
    pub wire: Wire,
    /// Where it is.
    pub base_url: &'static str,
    /// Environment variables in which its key usually is, the usual one first.
    pub key_variables: &'static [&'static str],
    /// Environment variables in which its base URL usually is.
    pub base_url_variables: &'static [&'static str],
    /// What those variables usually leave out at the end.
    pub left_out: &'static str,
    /// Whether it takes requests without a key.
    pub key: Key,
}

/// Whether a provider wants a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// It refuses whoever has none.
    Required,
    /// Usually it runs on the own machine and asks for none.
    Optional,
}

impl KnownProvider {
    /// All of them.
    pub fn all() -> &'static [Self] {
        &KNOWN
    }

    /// The provider at its usual place, without a key.
    pub fn provider(&self) -> Result<Provider, BaseUrlError> {
        Ok(Provider::at(self.wire, BaseUrl::parse(self.base_url, PlainHttp::Loopback)?))
    }

    /// A base URL as it is written in one of the variables, as it is written here.
    pub fn from_variable(&self, value: &str) -> String {
        let value = value.trim().trim_end_matches('/');
        if self.left_out.is_empty() || value.ends_with(&format!("/{}", self.left_out)) {
            return format!("{value}/");
        }
        format!("{value}/{}/", self.left_out)
    }
}

impl Provider {
    /// What is known of the provider of this name.
    pub fn known(name: &str) -> Option<&'static KnownProvider> {
        KNOWN.iter().find(|known| known.name == name)
    }
}

const fn open_ai(
    name: &'static str,
    base_url: &'static str,
    key_variables: &'static [&'static str],
) -> KnownProvider {
    KnownProvider {
        name,
        wire: Wire::OpenAi,
        base_url,
        key_variables,
        base_url_variables: &[],
        left_out: "",
        key: Key::Required,
    }
}

/// From the providers' own documentation.
const KNOWN: [KnownProvider; 18] = [
    KnownProvider {
        base_url_variables: &["OPENAI_BASE_URL"],
        ..open_ai("openai", "https://api.openai.com/v1/", &["OPENAI_API_KEY"])
    },
    KnownProvider {
        wire: Wire::Anthropic,
        base_url_variables: &["ANTHROPIC_BASE_URL"],
        left_out: "v1",
        ..open_ai("anthropic", "https://api.anthropic.com/v1/", &["ANTHROPIC_API_KEY"])
    },
    KnownProvider {
        wire: Wire::Gemini,
        base_url_variables: &["GEMINI_BASE_URL"],
        left_out: "v1beta",
        ..open_ai(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta/",
            &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        )
    },
    // Its own format carries arguments as objects and has no call ids; `/v1/` is in every version
    // since 0.1.24 and carries both as everyone else does.
    KnownProvider {
        base_url_variables: &["OLLAMA_BASE_URL", "OLLAMA_HOST"],
        left_out: "v1",
        key: Key::Optional,
        ..open_ai("ollama", "http://127.0.0.1:11434/v1/", &["OLLAMA_API_KEY"])
    },
    KnownProvider {
        wire: Wire::Mistral,
        ..open_ai("mistral", "https://api.mistral.ai/v1/", &["MISTRAL_API_KEY"])
    },
    KnownProvider {
        key: Key::Optional,
        base_url_variables: &["LITELLM_BASE_URL", "LITELLM_PROXY_API_BASE"],
        ..open_ai(
            "litellm",
            "http://127.0.0.1:4000/v1/",
            &["LITELLM_API_KEY", "LITELLM_PROXY_API_KEY"],
        )
    },
    KnownProvider {
        key: Key::Optional,
        base_url_variables: &["VLLM_BASE_URL"],
        ..open_ai("vllm", "http://127.0.0.1:8000/v1/", &["VLLM_API_KEY"])
    },
    KnownProvider {
        key: Key::Optional,
        ..open_ai("lmstudio", "http://127.0.0.1:1234/v1/", &["LMSTUDIO_API_KEY"])
    },
    open_ai("groq", "https://api.groq.com/openai/v1/", &["GROQ_API_KEY"]),
    open_ai("openrouter", "https://openrouter.ai/api/v1/", &["OPENROUTER_API_KEY"]),
    open_ai("together", "https://api.together.xyz/v1/", &["TOGETHER_API_KEY"]),
    open_ai("deepseek", "https://api.deepseek.com/v1/", &["DEEPSEEK_API_KEY"]),
    open_ai("xai", "https://api.x.ai/v1/", &["XAI_API_KEY"]),
    open_ai("fireworks", "https://api.fireworks.ai/inference/v1/", &["FIREWORKS_API_KEY"]),
    open_ai("cerebras", "https://api.cerebras.ai/v1/", &["CEREBRAS_API_KEY"]),
    open_ai("nvidia", "https://integrate.api.nvidia.com/v1/", &["NVIDIA_API_KEY"]),
    open_ai("moonshot", "https://api.moonshot.ai/v1/", &["MOONSHOT_API_KEY"]),
    open_ai("huggingface", "https://router.huggingface.co/v1/", &["HF_TOKEN"]),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_known_provider_has_a_name_of_its_own_and_a_place() {
        let mut names = HashSet::new();
        for known in KnownProvider::all() {
            assert!(names.insert(known.name), "{}", known.name);
            let provider = known.provider().unwrap();
            assert_eq!(provider.base_url.as_str(), known.base_url, "{}", known.name);
            assert_eq!(Provider::known(known.name), Some(known));
        }
        assert_eq!(Provider::known("nobody"), None);
    }

    #[test]
    fn variables_hold_what_they_hold_elsewhere() {
        for (name, value, base_url) in [
            ("openai", "https://proxy.example.com/v1", "https://proxy.example.com/v1/"),
            ("openai", "https://proxy.example.com", "https://proxy.example.com/"),
            ("anthropic", "https://api.anthropic.com", "https://api.anthropic.com/v1/"),
            ("anthropic", "https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/"),
            ("ollama", "http://localhost:11434/", "http://localhost:11434/v1/"),
            ("gemini", "https://example.com", "https://example.com/v1beta/"),
        ] {
            let known = Provider::known(name).unwrap();
            assert_eq!(known.from_variable(value), base_url, "{name} {value}");
        }
    }
}
