//! Configuration: as written ([`raw`]), then as meant ([`Config`]). Nothing here is optional that
//! a check depends on, and there is no setting that weakens one.
//!
//! One TOML file; a variable `CEDARGATE_<SECTION>__<KEY>` overrides it. Relative paths are
//! relative to the file. Every problem is reported in one run, with its key.

mod call_limits;
mod issuer;
mod ledger;
mod limits;
mod raw;
mod telemetry;
mod upstream;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use url::Url;

use crate::{authz::ScopeHierarchy, watch::WatchConfig};

pub(crate) use call_limits::{CallLimit, Ceilings, DAY, Dimension, Rate};
pub(crate) use issuer::{
    ClaimPath, IntrospectionConfig, IssuerConfig, KeyLocation, ProofOfPossession, TokenRules,
    TokenType,
};
pub(crate) use ledger::{Durability, LedgerConfig, Retention};
use raw::RawConfig;
pub(crate) use raw::{is_scope_token, is_trusted_transport};
#[cfg(feature = "testing")]
pub(crate) use telemetry::Signals;
pub(crate) use telemetry::{CallersContext, Exported, TelemetryConfig};
pub(crate) use upstream::{
    HttpUpstream, StdioUpstream, UpstreamConfig, UpstreamIdentity, UpstreamTransport,
};

/// What `cedargate run` does, resolved and complete.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) listener: ListenerConfig,
    pub(crate) resource: ResourceConfig,
    pub(crate) issuers: Vec<IssuerConfig>,
    pub(crate) policies: PolicyConfig,
    pub(crate) upstream: UpstreamConfig,
    /// With what ids are sealed; `None`: a key of this process's own.
    pub(crate) sealing_key: Option<PathBuf>,
    pub(crate) answers: AnswerConfig,
    pub(crate) limits: Limits,
    pub(crate) call_limits: Arc<[CallLimit]>,
    pub(crate) admin: Option<AdminConfig>,
    pub(crate) ledger: LedgerConfig,
    pub(crate) watch: WatchConfig,
    /// `None`: nothing is exported.
    pub(crate) telemetry: Option<TelemetryConfig>,
    /// How the log is written.
    pub log_format: LogFormat,
}

#[derive(Debug, Clone)]
pub(crate) struct ListenerConfig {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Who vouches for clients' certificates; without it none is asked for.
    pub(crate) client_ca: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub(crate) struct ResourceConfig {
    /// As written: tokens' `aud` and clients' URLs are compared with it exactly.
    identifier: String,
    pub(crate) public_url: Url,
    /// `None`: those that policies speak of.
    pub(crate) scopes_supported: Option<Vec<String>>,
    pub(crate) initial_scopes: Vec<String>,
    pub(crate) dpop_nonces: bool,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) allowed_hosts: Vec<String>,
}

/// The listener for operators.
#[derive(Debug, Clone)]
pub(crate) struct AdminConfig {
    pub(crate) address: SocketAddr,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) revocations: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub(crate) struct PolicyConfig {
    pub(crate) directory: PathBuf,
    pub(crate) schema: PathBuf,
    /// What the upstream offers, as it was accepted.
    pub(crate) lock: PathBuf,
    /// Groups in groups and zones in zones; need not be there.
    pub(crate) entities: PathBuf,
    /// Which scopes imply which others.
    pub(crate) scope_hierarchy: ScopeHierarchy,
    /// How far back `context.history` goes.
    pub(crate) history_window: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct AnswerConfig {
    pub(crate) refusals: RefusalStyle,
    pub(crate) policies: Disclosure,
    pub(crate) denied_tools: Disclosure,
    pub(crate) listed: Listed,
    /// Where an elicitation by URL may lead.
    pub(crate) elicitation_origins: Vec<String>,
}

/// What a list of tools shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Listed {
    /// What the token permits.
    #[default]
    Permitted,
    /// What a step-up to advertised scopes would permit, too.
    Attainable,
}

/// How a refusal of one call reaches the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RefusalStyle {
    /// An HTTP status to modern clients, a JSON-RPC error under status 200 to legacy ones.
    #[default]
    Auto,
    /// Always an HTTP status.
    Http,
    /// Always a JSON-RPC error under status 200.
    JsonRpc,
    /// A tool result with `isError`, for models to read.
    ToolError,
}

/// Whether something is told to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disclosure {
    Told,
    Hidden,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text to a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max_body_bytes: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_peer: usize,
    pub(crate) max_concurrent_requests: usize,
    pub(crate) max_concurrent_requests_per_principal: usize,
    pub(crate) max_answer_bytes: usize,
    pub(crate) max_call_budgets: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) stream_idle_timeout: Duration,
    pub(crate) stream_timeout: Duration,
    pub(crate) drain_timeout: Duration,
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Problem {
    key: String,
    what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration `{}`", self.file.display())?;
        match self.problems.as_slice() {
            [Problem { key, what }] if key.is_empty() => write!(f, ": {what}"),
            [Problem { key, what }] => write!(f, ": `{key}` {what}"),
            several => {
                write!(f, " has {} problems:", several.len())?;
                several.iter().try_for_each(|p| write!(f, "\n  `{}` {}", p.key, p.what))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl ResourceConfig {
    /// The resource identifier (RFC 8707, RFC 9728): what `aud` must contain.
    pub(crate) fn identifier(&self) -> &str {
        &self.identifier
    }

    /// What its ledger is known as: the identifier without a scheme (tlog-checkpoint).
    pub(crate) fn origin(&self) -> String {
        let without_scheme = self.identifier.split_once("://").map(|(_, rest)| rest);
        without_scheme.unwrap_or(&self.identifier).replace(['+', ' '], "-")
    }
}

#[cfg(any(test, feature = "testing"))]
impl ResourceConfig {
    /// A resource of which nothing is configured but where it is.
    pub(crate) fn at(url: &str) -> Option<Self> {
        Some(Self {
            identifier: url.to_owned(),
            public_url: url.parse().ok()?,
            scopes_supported: None,
            initial_scopes: Vec::new(),
            dpop_nonces: false,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
        })
    }
}

impl Config {
    /// Reads and resolves the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_for(path, None)
    }

    /// The same, with an MCP server that `command` starts instead of the one that the file names.
    pub fn load_for(path: &Path, command: Option<Vec<String>>) -> Result<Self, ConfigError> {
        let failed = |problems| ConfigError { file: path.to_owned(), problems };
        let text = std::fs::read_to_string(path).map_err(|cause| {
            failed(vec![Problem { key: String::new(), what: format!("cannot be read: {cause}") }])
        })?;
        let mut raw = RawConfig::parse(&text).map_err(failed)?;
        if let Some(command) = command {
            raw.start_instead(command);
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        raw.resolve(folder).map_err(failed)
    }

    /// The address to listen on.
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// The first of the issuers.
    pub(crate) fn first_issuer(&self) -> &str {
        self.issuers.first().map_or("", |issuer| issuer.identifier.as_str())
    }

    /// The resource identifier, which is also the URL that clients are given.
    pub fn resource_identifier(&self) -> &str {
        &self.resource.identifier
    }
}

#[cfg(test)]
mod tests;
