//! The file as written, and how it is resolved.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use serde::Deserialize;
use url::{Host, Url};

use crate::{authz::ScopeHierarchy, watch::WatchConfig};

use super::{
    AdminConfig, AnswerConfig, Config, Disclosure, IssuerConfig, Listed, ListenerConfig, LogFormat,
    PolicyConfig, Problem, ProofOfPossession, RefusalStyle, ResourceConfig,
    call_limits::{RawCallLimit, call_limits},
    issuer::{RawIssuer, issuers},
    ledger::{RawLedger, ledger},
    limits::{RawLimits, limits},
    telemetry::RawTelemetry,
    upstream::RawUpstream,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    listener: RawListener,
    resource: RawResource,
    issuers: Vec<RawIssuer>,
    policies: RawPolicies,
    upstream: RawUpstream,
    #[serde(default)]
    sessions: RawSessions,
    #[serde(default)]
    answers: RawAnswers,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    call_limits: Vec<RawCallLimit>,
    admin: Option<RawAdmin>,
    #[serde(default)]
    ledger: RawLedger,
    #[serde(default)]
    watch: WatchConfig,
    telemetry: Option<RawTelemetry>,
    #[serde(default)]
    log: RawLog,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAdmin {
    address: SocketAddr,
    token_file: Option<PathBuf>,
    revocations: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListener {
    address: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResource {
    public_url: String,
    scopes_supported: Option<Vec<String>>,
    initial_scopes: Option<Vec<String>>,
    #[serde(default)]
    dpop_nonces: bool,
    #[serde(default)]
    allowed_origins: Vec<String>,
    #[serde(default)]
    allowed_hosts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicies {
    directory: PathBuf,
    schema: Option<PathBuf>,
    lock: Option<PathBuf>,
    entities: Option<PathBuf>,
    #[serde(default)]
    scope_hierarchy: BTreeMap<String, BTreeSet<String>>,
    #[serde(default = "usual_history_window", with = "humantime_serde")]
    history_window: Duration,
}

fn usual_history_window() -> Duration {
    Duration::from_secs(10 * 60)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAnswers {
    refusals: RefusalStyle,
    disclose_policies: bool,
    disclose_denied_tools: bool,
    elicitation_origins: Vec<String>,
    listing: Listed,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSessions {
    sealing_key: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    format: LogFormat,
}

impl RawConfig {
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let overrides =
            Env::prefixed("CEDARGATE_").filter(|key| key.as_str().contains("__")).split("__");
        Figment::from(Toml::string(text)).merge(overrides).extract().map_err(
            |errors: figment::Error| {
                errors
                    .into_iter()
                    .map(|error| {
                        let from_environment =
                            error.metadata.as_ref().is_some_and(|m| m.name.contains("environment"));
                        let origin = if from_environment { " (from the environment)" } else { "" };
                        Problem {
                            key: error.path.join("."),
                            what: format!("{}{origin}", error.kind),
                        }
                    })
                    .collect()
            },
        )
    }

    pub(super) fn start_instead(&mut self, command: Vec<String>) {
        self.upstream.start_instead(command);
    }

    pub(super) fn resolve(self, folder: &Path) -> Result<Config, Vec<Problem>> {
        let mut problems = Problems::default();
        let resource = resource(self.resource, &mut problems);
        let issuers = issuers(self.issuers, folder, &mut problems);
        let wants = |issuer: &&IssuerConfig| issuer.rules.proof == ProofOfPossession::Certificate;
        if self.listener.client_ca.is_none() && issuers.iter().any(|issuer| wants(&issuer)) {
            problems.add("listener.client_ca", "is needed for proof = \"certificate\"");
        }
        let upstream = self.upstream.resolve(folder, &mut problems);
        origins("answers.elicitation_origins", &self.answers.elicitation_origins, &mut problems);
        let limits = limits(self.limits, &mut problems);
        let ledger = ledger(self.ledger, folder, &mut problems);
        let call_limits = call_limits(self.call_limits, &mut problems);
        let admin = self.admin.map(|raw| admin(raw, folder, &mut problems));
        let telemetry = self.telemetry.and_then(|raw| raw.resolve(folder, &mut problems));
        let policies = policies(self.policies, folder, &mut problems);
        let watch = watch(self.watch, folder, &mut problems);
        let told = |yes| {
            if yes { Disclosure::Told } else { Disclosure::Hidden }
        };
        match (resource, upstream) {
            (Some(resource), Some(upstream)) if problems.0.is_empty() => Ok(Config {
                listener: ListenerConfig {
                    address: self.listener.address,
                    certificate: folder.join(self.listener.certificate),
                    key: folder.join(self.listener.key),
                    client_ca: self.listener.client_ca.map(|ca| folder.join(ca)),
                },
                resource,
                issuers,
                policies,
                upstream,
                sealing_key: self.sessions.sealing_key.map(|file| folder.join(file)),
                answers: AnswerConfig {
                    refusals: self.answers.refusals,
                    policies: told(self.answers.disclose_policies),
                    denied_tools: told(self.answers.disclose_denied_tools),
                    listed: self.answers.listing,
                    elicitation_origins: self.answers.elicitation_origins,
                },
                limits,
                call_limits: call_limits.into(),
                admin,
                ledger,
                watch,
                telemetry,
                log_format: self.log.format,
            }),
            _ => Err(problems.0),
        }
    }
}

#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, key: impl Into<String>, what: impl Into<String>) {
        self.0.push(Problem { key: key.into(), what: what.into() });
    }

    /// An absolute URL without user, query or fragment.
    pub(super) fn url(&mut self, key: &str, text: &str) -> Option<Url> {
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(cause) => {
                self.add(key, format!("is not a URL: {cause}"));
                return None;
            }
        };
        let bare = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare || !url.has_host() {
            self.add(key, "must be an absolute URL without user, query or fragment");
            return None;
        }
        Some(url)
    }

    /// A URL whose answers decide who is trusted: https, or http on loopback.
    pub(super) fn trusted_url(&mut self, key: &str, text: &str) -> Option<Url> {
        let url = self.url(key, text)?;
        if !is_trusted_transport(&url) {
            self.add(key, "must be https, or http on a loopback address");
            return None;
        }
        Some(url)
    }
}

fn resource(raw: RawResource, problems: &mut Problems) -> Option<ResourceConfig> {
    let public_url = problems.url("resource.public_url", &raw.public_url);
    if public_url.as_ref().is_some_and(|url| url.scheme() != "https") {
        problems.add("resource.public_url", "must be https");
    }
    let initial_scopes = raw.initial_scopes.unwrap_or_default();
    let supported = raw.scopes_supported.as_deref();
    for (key, scopes) in [
        ("resource.scopes_supported", supported.unwrap_or_default()),
        ("resource.initial_scopes", initial_scopes.as_slice()),
    ] {
        for scope in scopes.iter().filter(|scope| !is_scope_token(scope)) {
            problems.add(key, format!("`{scope}` is not a scope (RFC 6749 section 3.3)"));
        }
    }
    let unknown = |scope: &&String| supported.is_some_and(|all| !all.contains(scope));
    for scope in initial_scopes.iter().filter(unknown) {
        problems.add("resource.initial_scopes", format!("`{scope}` is not in scopes_supported"));
    }
    origins("resource.allowed_origins", &raw.allowed_origins, problems);
    Some(ResourceConfig {
        identifier: raw.public_url,
        public_url: public_url?,
        scopes_supported: raw.scopes_supported,
        initial_scopes,
        dpop_nonces: raw.dpop_nonces,
        allowed_origins: raw.allowed_origins,
        allowed_hosts: raw.allowed_hosts,
    })
}

fn policies(raw: RawPolicies, folder: &Path, problems: &mut Problems) -> PolicyConfig {
    let scopes =
        raw.scope_hierarchy.iter().flat_map(|(scope, implied)| implied.iter().chain([scope]));
    for scope in scopes.filter(|scope| !is_scope_token(scope)) {
        let what = format!("`{scope}` is not a scope (RFC 6749 section 3.3)");
        problems.add("policies.scope_hierarchy", what);
    }
    if raw.history_window.is_zero() {
        problems.add("policies.history_window", "must be more than zero");
    }
    let directory = folder.join(raw.directory);
    let beside = |file: Option<PathBuf>, usual: &str| match file {
        Some(file) => folder.join(file),
        None => directory.join(usual),
    };
    PolicyConfig {
        schema: beside(raw.schema, "schema.cedarschema"),
        lock: beside(raw.lock, "tools.lock"),
        entities: beside(raw.entities, "entities.json"),
        scope_hierarchy: ScopeHierarchy::of(&raw.scope_hierarchy),
        history_window: raw.history_window,
        directory,
    }
}

fn watch(mut watch: WatchConfig, folder: &Path, problems: &mut Problems) -> WatchConfig {
    if let Some(webhook) = &mut watch.webhook {
        if !is_trusted_transport(&webhook.url) {
            problems.add("watch.webhook.url", "must be https, or http on a loopback address");
        }
        if webhook.timeout.is_zero() {
            problems.add("watch.webhook.timeout", "must be more than zero");
        }
        webhook.secret_file = folder.join(&webhook.secret_file);
        webhook.ca = webhook.ca.take().map(|ca| folder.join(ca));
    }
    watch
}

fn origins(key: &str, origins: &[String], problems: &mut Problems) {
    for origin in origins {
        let is_origin =
            Url::parse(origin).is_ok_and(|u| u.origin().ascii_serialization() == *origin);
        if !is_origin {
            let what = format!("`{origin}` is not an origin such as `https://app.example.com`");
            problems.add(key, what);
        }
    }
}

fn admin(raw: RawAdmin, folder: &Path, problems: &mut Problems) -> AdminConfig {
    if raw.token_file.is_some() && !raw.address.ip().is_loopback() {
        problems.add(
            "admin.address",
            "must be a loopback address to take revocations: the listener has no TLS",
        );
    }
    AdminConfig {
        address: raw.address,
        token_file: raw.token_file.map(|file| folder.join(file)),
        revocations: raw.revocations.map(|file| folder.join(file)),
    }
}

/// RFC 6749 section 3.3: visible ASCII but quote and backslash, so that it can stand in a header.
pub(crate) fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|b| matches!(b, b'!' | b'#'..=b'[' | b']'..=b'~'))
}

/// Whether what is fetched from `url` can be believed to come from there.
pub(crate) fn is_trusted_transport(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}
