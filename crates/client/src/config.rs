//! What the client is told: a file, variables, options; in that order, the later ones win.

mod environment;
mod raw;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{agent::Bounds, model::ModelName, secret::Secret, session::Era, token::Proof};
pub use environment::Environment;
use raw::{RawClient, RawConfig, RawProvider};

/// All that the client needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The MCP endpoint.
    pub gate: String,
    /// The one authority to trust for the gate and its authorization server; else the system's.
    pub ca: Option<PathBuf>,
    /// Models, the first being asked first.
    pub models: Vec<ModelName>,
    /// Providers that have been said something of, or whose key is in the environment.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// The OAuth client of all providers without a zone.
    pub client: ClientSettings,
    /// OAuth clients of zones.
    pub zones: BTreeMap<String, ClientSettings>,
    /// What models are told first.
    pub instructions: String,
    /// In which era to speak.
    pub era: Era,
    /// How much one question may take.
    pub bounds: Bounds,
}

/// A provider.
#[derive(Debug, Clone, Default)]
pub struct ProviderSettings {
    /// Its wire format, where that is not known from its name.
    pub wire: Option<WireName>,
    /// Where it is, where that is not known from its name.
    pub base_url: Option<String>,
    /// Its key.
    pub api_key: Option<Secret>,
    /// Whose OAuth client its calls go out under.
    pub zone: Option<String>,
    /// Tokens that a turn may have.
    pub max_tokens: Option<u32>,
}

/// A wire format by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WireName {
    /// Chat completions.
    Openai,
    /// Messages.
    Anthropic,
    /// Chat completions with call ids of nine letters and digits.
    Mistral,
    /// `generateContent`.
    Gemini,
}

/// An OAuth client.
#[derive(Debug, Clone, Default)]
pub struct ClientSettings {
    /// `client_id`; without one the client registers itself where it may.
    pub id: Option<String>,
    /// How it proves itself.
    pub proof_of_client: ProofOfClient,
    /// Scopes that are asked for from the start.
    pub scopes: Vec<String>,
    /// The only issuer to be trusted; else the first that the gate names.
    pub issuer: Option<String>,
    /// What a token's audience may be besides the gate itself.
    pub audiences: Vec<String>,
    /// Whether tokens are bound to a key (RFC 9449).
    pub proof: Proof,
    /// Where tokens are kept for other processes, if anywhere.
    pub token_cache: Option<PathBuf>,
}

/// How an OAuth client proves itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProofOfClient {
    /// It does not: a person signs in.
    #[default]
    Person,
    /// `client_secret`.
    Secret(Secret),
    /// `private_key_jwt`, with the key in this file.
    PrivateKey {
        /// PEM.
        file: PathBuf,
        /// Its `kid`.
        key_id: Option<String>,
    },
}

/// What is wrong with the configuration: all of it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

/// What options say; they win over everything.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--gate`.
    pub gate: Option<String>,
    /// `--ca`.
    pub ca: Option<PathBuf>,
    /// `--model`.
    pub models: Vec<ModelName>,
    /// `--client-id`.
    pub client_id: Option<String>,
    /// `--client-secret-file`.
    pub client_secret_file: Option<PathBuf>,
    /// `--client-key-file`.
    pub client_key_file: Option<PathBuf>,
    /// `--scope`.
    pub scopes: Vec<String>,
    /// `--base-url`, of the provider of the only model.
    pub base_url: Option<String>,
    /// `--token-cache`.
    pub token_cache: Option<PathBuf>,
    /// `--legacy`.
    pub legacy: bool,
}

impl Config {
    /// Reads `file`, when there is one, and lets the environment and the options win over it.
    pub fn load(
        file: Option<&Path>,
        environment: &Environment,
        options: Options,
    ) -> Result<Self, ConfigError> {
        let folder = file.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let raw = RawConfig::read(file, environment)?;
        let mut wrong = Vec::new();
        let mut client = resolved(&raw.client, "client", &folder, &mut wrong);
        take(&mut client, &options, environment, &mut wrong);
        let zones: BTreeMap<_, _> = raw
            .zones
            .iter()
            .map(|(name, zone)| {
                let key = format!("zones.{name}");
                (name.clone(), resolved(zone, &key, &folder, &mut wrong))
            })
            .collect();
        let mut providers = environment.providers();
        for (name, provider) in &raw.providers {
            let place = providers.entry(name.clone()).or_default();
            provider_over(place, provider, name, (&folder, environment), &mut wrong);
        }
        unknown_zones(&providers, &zones, &mut wrong);
        let models = if !options.models.is_empty() {
            options.models
        } else if !raw.models.is_empty() {
            raw.models
        } else {
            environment.models()
        };
        if let Some(url) = options.base_url {
            match models.as_slice() {
                [only] => {
                    providers.entry(only.provider().to_owned()).or_default().base_url = Some(url);
                }
                _ => wrong.push("--base-url: give exactly one --model with it".to_owned()),
            }
        }
        let gate = options.gate.or(raw.gate).or_else(|| environment.value("MCP_SERVER_URL"));
        if !wrong.is_empty() {
            return Err(ConfigError(wrong));
        }
        Ok(Self {
            gate: gate.unwrap_or_else(|| DEMO_GATE.to_owned()),
            ca: options.ca.or_else(|| raw.ca.map(|path| folder.join(path))),
            models,
            providers,
            client,
            zones,
            instructions: raw.instructions.unwrap_or_else(|| crate::agent::INSTRUCTIONS.to_owned()),
            era: if options.legacy { Era::Legacy } else { raw.era.into() },
            bounds: raw.bounds.into(),
        })
    }
}

fn resolved(raw: &RawClient, key: &str, folder: &Path, wrong: &mut Vec<String>) -> ClientSettings {
    let proof_of_client = match (&raw.secret_file, &raw.key_file) {
        (Some(_), Some(_)) => {
            wrong.push(format!("{key}: give `secret_file` or `key_file`, not both"));
            ProofOfClient::Person
        }
        (Some(file), None) => match secret(&folder.join(file)) {
            Ok(secret) => ProofOfClient::Secret(secret),
            Err(cause) => {
                wrong.push(format!("{key}.secret_file: {cause}"));
                ProofOfClient::Person
            }
        },
        (None, Some(file)) => {
            ProofOfClient::PrivateKey { file: folder.join(file), key_id: raw.key_id.clone() }
        }
        (None, None) => ProofOfClient::Person,
    };
    if proof_of_client != ProofOfClient::Person && raw.id.is_none() {
        wrong.push(format!("{key}.id: missing; whose secret or key is it?"));
    }
    ClientSettings {
        id: raw.id.clone(),
        proof_of_client,
        scopes: raw.scopes.clone(),
        issuer: raw.issuer.clone(),
        audiences: raw.audiences.clone(),
        proof: raw.proof,
        token_cache: raw.token_cache.as_ref().map(|path| folder.join(path)),
    }
}

/// What the options and the environment say of the one OAuth client.
fn take(
    client: &mut ClientSettings,
    options: &Options,
    environment: &Environment,
    wrong: &mut Vec<String>,
) {
    if let Some(id) = options.client_id.clone().or_else(|| environment.value("OAUTH_CLIENT_ID")) {
        client.id = Some(id);
    }
    if let Some(secret) = environment.value("OAUTH_CLIENT_SECRET") {
        client.proof_of_client = ProofOfClient::Secret(Secret::new(secret));
    }
    if let Some(file) = &options.client_secret_file {
        match secret(file) {
            Ok(secret) => client.proof_of_client = ProofOfClient::Secret(secret),
            Err(cause) => wrong.push(format!("--client-secret-file: {cause}")),
        }
    }
    if let Some(file) = &options.client_key_file {
        client.proof_of_client = ProofOfClient::PrivateKey { file: file.clone(), key_id: None };
    }
    if !options.scopes.is_empty() {
        client.scopes.clone_from(&options.scopes);
    }
    if let Some(path) = &options.token_cache {
        client.token_cache = Some(path.clone());
    }
}

fn provider_over(
    place: &mut ProviderSettings,
    raw: &RawProvider,
    name: &str,
    (folder, environment): (&Path, &Environment),
    wrong: &mut Vec<String>,
) {
    let key = match (&raw.api_key_file, &raw.api_key_variable) {
        (Some(_), Some(_)) => Err("give `api_key_file` or `api_key_variable`, not both".to_owned()),
        (Some(file), None) => secret(&folder.join(file)).map(Some),
        (None, Some(variable)) => match environment.value(variable) {
            Some(value) => Ok(Some(Secret::new(value))),
            None => Err(format!("the variable `{variable}` is not set")),
        },
        (None, None) => Ok(place.api_key.take()),
    };
    match key {
        Ok(key) => place.api_key = key,
        Err(cause) => wrong.push(format!("providers.{name}: {cause}")),
    }
    place.wire = raw.wire.or(place.wire);
    place.base_url = raw.base_url.clone().or_else(|| place.base_url.take());
    place.zone.clone_from(&raw.zone);
    place.max_tokens = raw.max_tokens;
}

fn unknown_zones(
    providers: &BTreeMap<String, ProviderSettings>,
    zones: &BTreeMap<String, ClientSettings>,
    wrong: &mut Vec<String>,
) {
    for (name, provider) in providers {
        if let Some(zone) = provider.zone.as_ref().filter(|zone| !zones.contains_key(*zone)) {
            wrong.push(format!("providers.{name}.zone: there is no `[zones.{zone}]`"));
        }
    }
}

/// A secret from a file, without the line's end.
fn secret(path: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| format!("cannot read `{}`: {cause}", path.display()))?;
    match text.trim() {
        "" => Err(format!("`{}` is empty", path.display())),
        secret => Ok(Secret::new(secret)),
    }
}

/// Where `cargo run --release` serves.
const DEMO_GATE: &str = "https://127.0.0.1:8443/mcp";

#[cfg(test)]
mod tests;
