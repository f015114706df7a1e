//! Fetches an issuer's keys: found by discovery, configured or in a file, and not too often.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use jsonwebtoken::Algorithm;
use jwks_client_rs::{JsonWebKey, JsonWebKeySet, JwksClientError, source::JwksSource};
use serde::Deserialize;
use serde_json::Value;
use tokio::{io::AsyncReadExt as _, time::Instant};
use url::Url;

use super::{
    issuer_http::{HttpFault, IssuerHttp, UnusableIssuer, answer_to},
    key_table::KeyTable,
};
use crate::{
    config::{IssuerConfig, KeyLocation, is_trusted_transport},
    telemetry::Counter,
};

/// A [`JwksSource`] with the manners that `jwks_client_rs` lacks (docs/decisions/0013).
#[derive(Clone)]
pub(super) struct KeySource(Arc<Inner>);

struct Inner {
    issuer: String,
    location: KeyLocation,
    algorithms: Vec<Algorithm>,
    http: IssuerHttp,
    /// `jwks_uri` as discovered; forgotten when a fetch from it fails.
    discovered: ArcSwapOption<Url>,
    /// The hot path reads this and nothing else of the source.
    table: ArcSwapOption<KeyTable>,
    started: Instant,
    /// Milliseconds after `started` before which no look-up may start another fetch.
    not_before: AtomicU64,
    latest_fault: ArcSwap<String>,
    fetched: Counter,
    failed: Counter,
}

/// Why a fetch brought no keys; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchFault {
    #[error("the latest attempt is too recent")]
    CoolingDown,
    #[error("the attempt was aborted")]
    Aborted,
    #[error(transparent)]
    Http(#[from] HttpFault),
    #[error("`{0}` did not answer as expected: {1}")]
    Document(Url, serde_json::Error),
    #[error("no metadata for issuer `{0}` under its well-known paths: {1}")]
    NoMetadata(String, String),
    #[error("`{0}` is neither https nor loopback")]
    Insecure(Url),
    #[error("cannot read the key set `{0}`: {1}")]
    File(PathBuf, String),
}

impl KeySource {
    pub(super) fn new(issuer: &IssuerConfig) -> Result<Self, UnusableIssuer> {
        Ok(Self(Arc::new(Inner {
            issuer: issuer.identifier.clone(),
            location: issuer.keys.clone(),
            algorithms: issuer.rules.algorithms.clone(),
            http: IssuerHttp::new(issuer)?,
            discovered: ArcSwapOption::empty(),
            table: ArcSwapOption::empty(),
            started: Instant::now(),
            not_before: AtomicU64::new(0),
            latest_fault: ArcSwap::default(),
            fetched: Counter::default(),
            failed: Counter::default(),
        })))
    }

    pub(super) fn issuer(&self) -> &str {
        &self.0.issuer
    }

    pub(super) fn unusable_file(&self, path: PathBuf, cause: String) -> UnusableIssuer {
        UnusableIssuer::KeyFile { issuer: self.0.issuer.clone(), path, cause }
    }

    pub(super) fn table(&self) -> Option<Arc<KeyTable>> {
        self.0.table.load_full()
    }

    /// What the latest failed fetch complained of.
    pub(super) fn latest_fault(&self) -> Arc<String> {
        self.0.latest_fault.load_full()
    }

    /// How many fetches brought keys, and how many brought none.
    pub(super) fn fetches(&self) -> (u64, u64) {
        (self.0.fetched.get(), self.0.failed.get())
    }

    /// Fetches and publishes a new table for a token that names a key not in this one, unless the
    /// latest attempt of this kind was too recent.
    ///
    /// The attempt is counted before it is made and whatever its outcome, so that neither a flood
    /// of unknown keys nor a failing issuer causes more than one such fetch a cool-down. Fetches by
    /// the clock are not counted: a key that was rotated just after one would be unknown for long.
    async fn look_up(&self) -> Result<Vec<JsonWebKey>, FetchFault> {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = now.saturating_add(COOL_DOWN_MS);
        self.0
            .not_before
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |not_before| {
                (now >= not_before).then_some(next)
            })
            .map_err(|_| FetchFault::CoolingDown)?;
        self.refresh().await
    }

    /// Fetches and publishes a new table.
    pub(super) async fn refresh(&self) -> Result<Vec<JsonWebKey>, FetchFault> {
        // On a task of its own: the attempt is counted, so a caller that hangs up must not end it.
        let source = self.clone();
        let fetching = tokio::spawn(async move { source.fetch().await });
        let fetched = fetching.await.unwrap_or(Err(FetchFault::Aborted));
        if let Err(fault) = &fetched {
            tracing::warn!(issuer = self.issuer(), %fault, "cannot fetch the issuer's keys");
            self.0.latest_fault.store(Arc::new(fault.to_string()));
            self.0.discovered.store(None);
        }
        let counter = if fetched.is_ok() { &self.0.fetched } else { &self.0.failed };
        counter.one_more();
        fetched
    }

    async fn fetch(&self) -> Result<Vec<JsonWebKey>, FetchFault> {
        let asked_at = Instant::now();
        let set = self.key_set().await?.keys;
        let table = KeyTable::new(&set, &self.0.algorithms, self.table().as_deref(), asked_at);
        // An empty set is the issuer's word too: what it published before is withdrawn.
        let (issuer, keys) = (self.issuer(), table.len());
        if keys == 0 {
            tracing::error!(issuer, "the issuer publishes no key that is usable as configured");
        } else {
            tracing::info!(issuer, keys, "issuer's keys fetched");
        }
        let table = Arc::new(table);
        // Of two answers the one to the later question counts, in whatever order they came.
        self.0.table.rcu(|current| match current {
            Some(current) if current.asked_at > asked_at => Some(Arc::clone(current)),
            _ => Some(Arc::clone(&table)),
        });
        Ok(set.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    async fn key_set(&self) -> Result<RawKeySet, FetchFault> {
        match &self.0.location {
            KeyLocation::File(path) => read_file(path).await,
            KeyLocation::Jwks(url) => self.document(url).await,
            KeyLocation::Discovery(base) => self.document(&self.discovered(base).await?).await,
        }
    }

    /// `jwks_uri` of the issuer's metadata.
    async fn discovered(&self, base: &Url) -> Result<Url, FetchFault> {
        if let Some(url) = self.0.discovered.load_full() {
            return Ok((*url).clone());
        }
        let mut faults = Vec::new();
        for url in metadata_urls(base) {
            match self.document::<Metadata>(&url).await {
                Ok(metadata) if metadata.issuer == self.0.issuer => {
                    if !is_trusted_transport(&metadata.jwks_uri) {
                        return Err(FetchFault::Insecure(metadata.jwks_uri));
                    }
                    self.0.discovered.store(Some(Arc::new(metadata.jwks_uri.clone())));
                    return Ok(metadata.jwks_uri);
                }
                // RFC 8414 section 3.3: such a document must not be used.
                Ok(metadata) => faults.push(format!(
                    "`{url}` is of issuer `{}` (they are compared to the last slash)",
                    metadata.issuer
                )),
                Err(fault) => faults.push(fault.to_string()),
            }
        }
        Err(FetchFault::NoMetadata(self.0.issuer.clone(), faults.join("; ")))
    }

    async fn document<T: for<'de> Deserialize<'de>>(&self, url: &Url) -> Result<T, FetchFault> {
        let body = answer_to(self.0.http.get(url), MAX_DOCUMENT_BYTES).await?;
        serde_json::from_slice(&body).map_err(|cause| FetchFault::Document(url.clone(), cause))
    }
}

async fn read_file(path: &Path) -> Result<RawKeySet, FetchFault> {
    let unreadable = |cause: String| FetchFault::File(path.to_owned(), cause);
    let mut text = Vec::new();
    let file = tokio::fs::File::open(path).await.map_err(|e| unreadable(e.to_string()))?;
    let mut start = file.take(MAX_DOCUMENT_BYTES as u64 + 1);
    start.read_to_end(&mut text).await.map_err(|e| unreadable(e.to_string()))?;
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(unreadable(format!("it holds more than {MAX_DOCUMENT_BYTES} bytes")));
    }
    serde_json::from_slice(&text).map_err(|e| unreadable(e.to_string()))
}

#[async_trait]
impl JwksSource for KeySource {
    async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
        // The fault is logged where it happened; the crate's error cannot carry one of ours.
        self.look_up().await.map(JsonWebKeySet::from).map_err(|_| {
            let kind = jsonwebtoken::errors::ErrorKind::InvalidToken;
            jsonwebtoken::errors::Error::from(kind).into()
        })
    }
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Url,
}

/// The keys of a set as written.
#[cfg(feature = "testing")]
pub(super) fn read_set(text: &[u8]) -> serde_json::Result<Vec<Value>> {
    serde_json::from_slice::<RawKeySet>(text).map(|set| set.keys)
}

#[derive(Deserialize)]
struct RawKeySet {
    keys: Vec<Value>,
}

/// Where an issuer's metadata may be, in the order of MCP 2026-07-28, authorization server
/// discovery: RFC 8414 section 3.1, then OpenID Connect Discovery section 4.
fn metadata_urls(base: &Url) -> Vec<Url> {
    let path = base.path().trim_end_matches('/');
    let mut paths = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        paths.push(format!("{path}/.well-known/openid-configuration"));
    }
    let at = |path: String| {
        let mut url = base.clone();
        url.set_path(&path);
        url
    };
    paths.into_iter().map(at).collect()
}

/// A key set of a large issuer is a few kilobytes.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// Long enough that strangers cannot use us against an issuer, short enough for a key rotation.
const COOL_DOWN_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_specifications_put_it() {
        let urls = |base: &str| {
            metadata_urls(&Url::parse(base).unwrap()).iter().map(Url::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            urls("https://i.example.com"),
            [
                "https://i.example.com/.well-known/oauth-authorization-server",
                "https://i.example.com/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            urls("https://i.example.com/tenant/"),
            [
                "https://i.example.com/.well-known/oauth-authorization-server/tenant",
                "https://i.example.com/.well-known/openid-configuration/tenant",
                "https://i.example.com/tenant/.well-known/openid-configuration",
            ]
        );
    }
}
