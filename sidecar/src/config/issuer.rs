//! Issuers: whose tokens count, and by which rules.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use url::Url;

use super::raw::Problems;
use crate::token::{ALGORITHMS, named};

#[derive(Debug, Clone)]
pub(crate) struct IssuerConfig {
    /// As written: a token's `iss` is compared with it exactly.
    pub(crate) identifier: String,
    pub(crate) keys: KeyLocation,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) rules: TokenRules,
    pub(crate) introspection: Option<IntrospectionConfig>,
    pub(crate) refresh_every: Duration,
    pub(crate) max_stale: Duration,
}

/// Where an issuer's keys are found.
#[derive(Debug, Clone)]
pub(crate) enum KeyLocation {
    /// By metadata under the issuer's well-known paths.
    Discovery(Url),
    /// At a URL from the configuration.
    Jwks(Url),
    /// In a file, for networks without a way to the issuer.
    File(PathBuf),
}

/// How the issuer is asked about tokens that say nothing by themselves (RFC 7662).
#[derive(Debug, Clone)]
pub(crate) struct IntrospectionConfig {
    pub(crate) url: Url,
    pub(crate) client_id: String,
    pub(crate) client_secret_file: PathBuf,
    /// How long an answer counts, and so how long a revoked token may still work.
    pub(crate) cache_for: Duration,
}

/// What makes a token of this issuer acceptable.
#[derive(Debug, Clone)]
pub(crate) struct TokenRules {
    /// One of them must be in `aud`, exactly as written; `None` is the resource identifier.
    pub(crate) audiences: Option<Vec<String>>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) token_type: TokenType,
    pub(crate) leeway: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) proof: ProofOfPossession,
    pub(crate) claims: ClaimMapping,
}

/// What a token's header must call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum TokenType {
    /// RFC 9068 section 2.1.
    #[default]
    #[serde(rename = "at+jwt")]
    AccessToken,
    /// `JWT` or nothing, for issuers that know no better. Access tokens are then told from other
    /// tokens by their claims.
    #[serde(rename = "JWT")]
    Jwt,
}

/// What a caller must prove besides bearing the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProofOfPossession {
    /// Possession of the key that the token is bound to, if it is bound to one.
    #[default]
    IfBound,
    /// Every token must be bound to a DPoP key (RFC 9449).
    Dpop,
    /// Every token must be bound to a client certificate (RFC 8705).
    Certificate,
}

/// Which claims say what an issuer has no standard claim for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClaimMapping {
    /// Looked at after `client_id` and `azp`.
    pub(crate) client: Option<ClaimPath>,
    pub(crate) groups: Option<ClaimPath>,
    pub(crate) roles: Option<ClaimPath>,
    pub(crate) tenant: Option<ClaimPath>,
    pub(crate) zone: Option<ClaimPath>,
}

/// The name of a claim, or the names on the way to a claim inside others.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum ClaimPath {
    Name(String),
    Names(Vec<String>),
}

impl ClaimPath {
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::Name(name) => std::slice::from_ref(name),
            Self::Names(names) => names,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    issuer: String,
    jwks_url: Option<String>,
    jwks_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    audiences: Option<Vec<String>>,
    #[serde(default = "rs256")]
    algorithms: Vec<String>,
    #[serde(default)]
    token_type: TokenType,
    #[serde(default = "half_a_minute", with = "humantime_serde")]
    leeway: Duration,
    #[serde(default, with = "humantime_serde")]
    max_token_age: Option<Duration>,
    #[serde(default)]
    proof: ProofOfPossession,
    #[serde(default)]
    claims: ClaimMapping,
    introspection: Option<RawIntrospection>,
    #[serde(default = "five_minutes", with = "humantime_serde")]
    refresh_every: Duration,
    #[serde(default = "an_hour", with = "humantime_serde")]
    max_stale: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIntrospection {
    url: String,
    client_id: String,
    client_secret_file: PathBuf,
    #[serde(default = "half_a_minute", with = "humantime_serde")]
    cache_for: Duration,
}

fn rs256() -> Vec<String> {
    vec!["RS256".to_owned()]
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

fn an_hour() -> Duration {
    Duration::from_secs(3600)
}

pub(super) fn issuers(
    raw: Vec<RawIssuer>,
    folder: &Path,
    problems: &mut Problems,
) -> Vec<IssuerConfig> {
    if raw.is_empty() {
        problems.add("issuers", "must name at least one issuer");
    }
    let mut issuers: Vec<IssuerConfig> = Vec::with_capacity(raw.len());
    for (position, raw) in raw.into_iter().enumerate() {
        let key = |member: &str| format!("issuers.{position}.{member}");
        if issuers.iter().any(|other| other.identifier == raw.issuer) {
            problems.add(key("issuer"), "is configured twice");
        }
        let keys = key_location(&raw, folder, &key, problems);
        let rules = token_rules(&raw, &key, problems);
        if raw.introspection.is_some() && issuers.iter().any(|i| i.introspection.is_some()) {
            problems.add(
                key("introspection"),
                "can be configured for one issuer only: an opaque token does not say whose it is",
            );
        }
        if raw.introspection.is_some() && issuers.iter().any(|i| i.introspection.is_some()) {
            let what =
                "can be configured for one issuer only: an opaque token does not say whose it is";
            problems.add(key("introspection"), what);
        }
        let introspection =
            raw.introspection.and_then(|raw| introspection(raw, folder, &key, problems));
        if raw.refresh_every < LEAST_REFRESH {
            problems.add(key("refresh_every"), "must be at least ten seconds");
        }
        if raw.max_stale < raw.refresh_every {
            problems.add(key("max_stale"), "must not be shorter than refresh_every");
        }
        if let Some(keys) = keys {
            issuers.push(IssuerConfig {
                identifier: raw.issuer,
                keys,
                ca: raw.ca.map(|ca| folder.join(ca)),
                rules,
                introspection,
                refresh_every: raw.refresh_every,
                max_stale: raw.max_stale,
            });
        }
    }
    issuers
}

fn key_location(
    raw: &RawIssuer,
    folder: &Path,
    key: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) -> Option<KeyLocation> {
    let base = problems.trusted_url(&key("issuer"), &raw.issuer);
    match (&raw.jwks_url, &raw.jwks_file) {
        (Some(_), Some(_)) => {
            problems.add(key("jwks_file"), "cannot be together with jwks_url");
            None
        }
        (Some(url), None) => problems.trusted_url(&key("jwks_url"), url).map(KeyLocation::Jwks),
        (None, Some(file)) => Some(KeyLocation::File(folder.join(file))),
        (None, None) => base.map(KeyLocation::Discovery),
    }
}

fn introspection(
    raw: RawIntrospection,
    folder: &Path,
    key: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) -> Option<IntrospectionConfig> {
    if raw.cache_for > MOST_CACHED {
        let what = "must be at most five minutes: so long a revoked token works";
        problems.add(key("introspection.cache_for"), what);
    }
    Some(IntrospectionConfig {
        url: problems.trusted_url(&key("introspection.url"), &raw.url)?,
        client_id: raw.client_id,
        client_secret_file: folder.join(raw.client_secret_file),
        cache_for: raw.cache_for,
    })
}

fn token_rules(
    raw: &RawIssuer,
    key: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) -> TokenRules {
    let algorithms = raw.algorithms.iter().filter_map(|name| {
        let known = named(&ALGORITHMS, name);
        if known.is_none() {
            let all = ALGORITHMS.map(|(name, _)| name).join(", ");
            problems.add(key("algorithms"), format!("`{name}` is not one of {all}"));
        }
        known
    });
    let algorithms: Vec<_> = algorithms.collect();
    if raw.algorithms.is_empty() {
        problems.add(key("algorithms"), "must name at least one algorithm");
    }
    if raw.audiences.as_ref().is_some_and(|all| all.is_empty() || all.iter().any(String::is_empty))
    {
        problems.add(key("audiences"), "must name at least one audience, and none that is empty");
    }
    if raw.leeway > MOST_LEEWAY {
        problems.add(key("leeway"), "must be at most a minute");
    }
    let claims = &raw.claims;
    for (name, path) in [
        ("claims.client", &claims.client),
        ("claims.groups", &claims.groups),
        ("claims.roles", &claims.roles),
        ("claims.tenant", &claims.tenant),
        ("claims.zone", &claims.zone),
    ] {
        let names = path.as_ref().map(ClaimPath::names);
        if names.is_some_and(|names| names.is_empty() || names.iter().any(String::is_empty)) {
            problems.add(key(name), "must name a claim, or the claims on the way to it");
        }
    }
    TokenRules {
        audiences: raw.audiences.clone(),
        algorithms,
        token_type: raw.token_type,
        leeway: raw.leeway,
        max_age: raw.max_token_age,
        proof: raw.proof,
        claims: raw.claims.clone(),
    }
}

const MOST_CACHED: Duration = Duration::from_secs(300);
/// No shorter than the pause between two fetches.
const LEAST_REFRESH: Duration = Duration::from_secs(10);
/// Beyond, an expired token is simply accepted.
const MOST_LEEWAY: Duration = Duration::from_secs(60);

#[cfg(any(test, feature = "testing"))]
impl IssuerConfig {
    /// An issuer whose keys are in a file, and of which nothing else is configured.
    pub(crate) fn usual(identifier: &str, jwks_file: PathBuf) -> Self {
        Self {
            identifier: identifier.to_owned(),
            keys: KeyLocation::File(jwks_file),
            ca: None,
            rules: TokenRules::usual(),
            introspection: None,
            refresh_every: five_minutes(),
            max_stale: an_hour(),
        }
    }
}

#[cfg(any(test, feature = "testing"))]
impl TokenRules {
    /// What an issuer has of which nothing is configured.
    fn usual() -> Self {
        Self {
            audiences: None,
            algorithms: vec![Algorithm::RS256],
            token_type: TokenType::AccessToken,
            leeway: half_a_minute(),
            max_age: None,
            proof: ProofOfPossession::IfBound,
            claims: ClaimMapping::default(),
        }
    }
}
