//! The file as it is written.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment,
    providers::{Format as _, Serialized, Toml},
};
use serde::Deserialize;
use serde_json::Value;

use super::{ConfigError, Environment, WireName};
use crate::{agent::Bounds, model::ModelName, session::Era, token::Proof};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConfig {
    pub(super) gate: Option<String>,
    pub(super) ca: Option<PathBuf>,
    pub(super) models: Vec<ModelName>,
    pub(super) instructions: Option<String>,
    pub(super) era: RawEra,
    pub(super) client: RawClient,
    pub(super) zones: BTreeMap<String, RawClient>,
    pub(super) providers: BTreeMap<String, RawProvider>,
    pub(super) bounds: RawBounds,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawEra {
    #[default]
    Newest,
    Legacy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawClient {
    pub(super) id: Option<String>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) key_id: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) proof: Proof,
    pub(super) token_cache: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawProvider {
    pub(super) wire: Option<WireName>,
    pub(super) base_url: Option<String>,
    pub(super) api_key_file: Option<PathBuf>,
    pub(super) api_key_variable: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) max_tokens: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBounds {
    rounds: Option<usize>,
    calls: Option<usize>,
    tokens: Option<u64>,
    #[serde(with = "humantime_serde")]
    time: Option<Duration>,
    #[serde(with = "humantime_serde")]
    patience: Option<Duration>,
}

impl RawConfig {
    pub(super) fn read(
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|cause| {
                ConfigError(vec![format!("cannot read `{}`: {cause}", path.display())])
            })?;
            figment = figment.merge(Toml::string(&text));
        }
        for (name, value) in environment.with_prefix(PREFIX) {
            // `true`, `5` and `["a"]` are what they look like; everything else is text.
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            let key = name.to_ascii_lowercase().replace("__", ".");
            figment = figment.merge(Serialized::default(&key, value));
        }
        figment.extract().map_err(|errors| {
            let named = errors.into_iter().map(|error| match error.path.as_slice() {
                [] => error.kind.to_string(),
                path => format!("{}: {}", path.join("."), error.kind),
            });
            ConfigError(named.collect())
        })
    }
}

impl From<RawEra> for Era {
    fn from(era: RawEra) -> Self {
        match era {
            RawEra::Newest => Self::Newest,
            RawEra::Legacy => Self::Legacy,
        }
    }
}

impl From<RawBounds> for Bounds {
    fn from(raw: RawBounds) -> Self {
        let usual = Self::default();
        Self {
            rounds: raw.rounds.unwrap_or(usual.rounds),
            calls: raw.calls.unwrap_or(usual.calls),
            tokens: raw.tokens.or(usual.tokens),
            time: raw.time.unwrap_or(usual.time),
            patience: raw.patience.unwrap_or(usual.patience),
        }
    }
}

/// `CEDARGATE_CHAT_CLIENT__ID` is `client.id`.
const PREFIX: &str = "CEDARGATE_CHAT_";
