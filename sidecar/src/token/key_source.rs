//! Fetches an issuer's keys: found by discovery or configured, over a client that follows no
//! redirect and trusts one authority, bounded in time and size, and not too often.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use jwks_client_rs::{JsonWebKey, JsonWebKeySet, JwksClientError, source::JwksSource};
use reqwest::{Certificate, Client, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::config::{IssuerConfig, KeyLocation, is_trusted_transport};

/// The keys of one successful fetch, ready to verify with. Replaced whole.
pub(super) struct KeyTable {
    pub(super) keys: HashMap<String, Arc<DecodingKey>>,
    pub(super) fetched_at: Instant,
}

/// A [`JwksSource`] with the manners that `jwks_client_rs` lacks (docs/decisions/0013).
#[derive(Clone)]
pub(super) struct KeySource(Arc<Inner>);

struct Inner {
    issuer: String,
    location: KeyLocation,
    http: Client,
    /// `jwks_uri` as discovered; forgotten when a fetch from it fails.
    discovered: ArcSwapOption<Url>,
    /// The hot path reads this and nothing else of the source.
    table: ArcSwapOption<KeyTable>,
    started: Instant,
    /// Milliseconds after `started` before which no fetch may start.
    not_before: AtomicU64,
    latest_fault: ArcSwap<String>,
}

/// An issuer cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum UnusableIssuer {
    /// Its certificate authority cannot be read.
    #[error("cannot read the certificate authority `{path}` of issuer `{issuer}`: {cause}")]
    Authority {
        /// The issuer.
        issuer: String,
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: String,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client for issuer `{issuer}`: {cause}")]
    Client {
        /// The issuer.
        issuer: String,
        /// What was wrong.
        cause: reqwest::Error,
    },
}

/// Why a fetch brought no keys; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchFault {
    #[error("the latest attempt is too recent")]
    CoolingDown,
    #[error("the attempt was aborted")]
    Aborted,
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("`{0}` answered {1}")]
    Status(Url, u16),
    #[error("`{0}` answered more than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge(Url),
    #[error("`{0}` did not answer as expected: {1}")]
    Document(Url, serde_json::Error),
    #[error("no metadata for issuer `{0}` under its well-known paths; the last: {1}")]
    NoMetadata(String, String),
    #[error("`{0}` is not the metadata of issuer `{1}`")]
    ForeignMetadata(Url, String),
    #[error("`{0}` is neither https nor loopback")]
    Insecure(Url),
}

impl KeySource {
    pub(super) fn new(issuer: &IssuerConfig) -> Result<Self, UnusableIssuer> {
        Ok(Self(Arc::new(Inner {
            issuer: issuer.identifier.clone(),
            location: issuer.keys.clone(),
            http: client(issuer)?,
            discovered: ArcSwapOption::empty(),
            table: ArcSwapOption::empty(),
            started: Instant::now(),
            not_before: AtomicU64::new(0),
            latest_fault: ArcSwap::default(),
        })))
    }

    pub(super) fn issuer(&self) -> &str {
        &self.0.issuer
    }

    pub(super) fn table(&self) -> Option<Arc<KeyTable>> {
        self.0.table.load_full()
    }

    /// What the latest failed fetch complained of.
    pub(super) fn latest_fault(&self) -> Arc<String> {
        self.0.latest_fault.load_full()
    }

    /// Fetches and publishes a new table, unless the latest attempt was too recent.
    ///
    /// The attempt is counted before it is made and whatever its outcome, so that neither a flood
    /// of unknown keys nor a failing issuer causes more than one fetch a cool-down.
    pub(super) async fn refresh(&self) -> Result<Vec<JsonWebKey>, FetchFault> {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = now.saturating_add(COOL_DOWN_MS);
        self.0
            .not_before
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |not_before| {
                (now >= not_before).then_some(next)
            })
            .map_err(|_| FetchFault::CoolingDown)?;
        // On a task of its own: the attempt is counted, so a caller that hangs up must not end it.
        let source = self.clone();
        let fetching = tokio::spawn(async move { source.fetch().await });
        let fetched = fetching.await.unwrap_or(Err(FetchFault::Aborted));
        if let Err(fault) = &fetched {
            tracing::warn!(issuer = self.issuer(), %fault, "cannot fetch the issuer's keys");
            self.0.latest_fault.store(Arc::new(fault.to_string()));
            self.0.discovered.store(None);
        }
        fetched
    }

    async fn fetch(&self) -> Result<Vec<JsonWebKey>, FetchFault> {
        let url = self.jwks_url().await?;
        let set: RawKeySet = self.document(&url).await?;
        let keys = usable(set.keys);
        let table = KeyTable {
            keys: keys.iter().filter_map(verifying_key).collect(),
            fetched_at: Instant::now(),
        };
        // An empty set is the issuer's word too: what it published before is withdrawn.
        if table.keys.is_empty() {
            tracing::error!(issuer = self.issuer(), %url, "the issuer publishes no usable RS256 key");
        } else {
            tracing::info!(
                issuer = self.issuer(),
                keys = table.keys.len(),
                "issuer's keys fetched"
            );
        }
        self.0.table.store(Some(Arc::new(table)));
        Ok(keys)
    }

    async fn jwks_url(&self) -> Result<Url, FetchFault> {
        let base = match &self.0.location {
            KeyLocation::Jwks(url) => return Ok(url.clone()),
            KeyLocation::Discovery(base) => base,
        };
        if let Some(url) = self.0.discovered.load_full() {
            return Ok((*url).clone());
        }
        let mut last = String::new();
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
                Ok(_) => return Err(FetchFault::ForeignMetadata(url, self.0.issuer.clone())),
                Err(fault) => last = fault.to_string(),
            }
        }
        Err(FetchFault::NoMetadata(self.0.issuer.clone(), last))
    }

    async fn document<T: for<'de> Deserialize<'de>>(&self, url: &Url) -> Result<T, FetchFault> {
        let mut response = self.0.http.get(url.clone()).send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchFault::Status(url.clone(), response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_DOCUMENT_BYTES {
                return Err(FetchFault::TooLarge(url.clone()));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|cause| FetchFault::Document(url.clone(), cause))
    }
}

#[async_trait]
impl JwksSource for KeySource {
    async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
        // The fault is logged where it happened; the crate's error cannot carry one of ours.
        self.refresh().await.map(JsonWebKeySet::from).map_err(|_| {
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

#[derive(Deserialize)]
struct RawKeySet {
    keys: Vec<Value>,
}

fn client(issuer: &IssuerConfig) -> Result<Client, UnusableIssuer> {
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(FETCH_TIMEOUT)
        .timeout(FETCH_TIMEOUT);
    if let Some(path) = &issuer.ca {
        let unreadable = |cause: String| UnusableIssuer::Authority {
            issuer: issuer.identifier.clone(),
            path: path.clone(),
            cause,
        };
        let pem = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
        let certificates =
            Certificate::from_pem_bundle(&pem).map_err(|e| unreadable(e.to_string()))?;
        if certificates.is_empty() {
            return Err(unreadable("it holds no certificate".to_owned()));
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder
        .build()
        .map_err(|cause| UnusableIssuer::Client { issuer: issuer.identifier.clone(), cause })
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

/// The keys that may verify an access token. Others are passed over, so that one odd key does not
/// spoil the set; of keys that share a `kid` none is used.
fn usable(keys: Vec<Value>) -> Vec<JsonWebKey> {
    let text =
        |key: &Value, member: &str| key.get(member).and_then(Value::as_str).map(str::to_owned);
    let mut count: HashMap<String, usize> = HashMap::new();
    for kid in keys.iter().filter_map(|key| text(key, "kid")) {
        *count.entry(kid).or_default() += 1;
    }
    keys.into_iter()
        .filter(|key| text(key, "kty").as_deref() == Some("RSA"))
        .filter(|key| key.get("use").is_none() || text(key, "use").as_deref() == Some("sig"))
        .filter(|key| key.get("alg").is_none() || text(key, "alg").as_deref() == Some("RS256"))
        .filter(|key| {
            key.get("key_ops").is_none_or(|ops| {
                ops.as_array().is_some_and(|a| a.contains(&Value::from("verify")))
            })
        })
        .filter(|key| {
            text(key, "kid").is_some_and(|kid| !kid.is_empty() && count.get(&kid) == Some(&1))
        })
        .filter(|key| text(key, "n").is_some_and(|n| modulus_bits(&n) >= MIN_MODULUS_BITS))
        .filter_map(|key| serde_json::from_value(key).ok())
        .collect()
}

fn modulus_bits(n: &str) -> usize {
    let bytes = URL_SAFE_NO_PAD.decode(n).unwrap_or_default();
    let mut significant = bytes.iter().skip_while(|&&byte| byte == 0);
    match significant.next() {
        Some(first) => significant.count() * 8 + (8 - first.leading_zeros() as usize),
        None => 0,
    }
}

fn verifying_key(key: &JsonWebKey) -> Option<(String, Arc<DecodingKey>)> {
    let rsa = key.as_rsa_public_key().ok()?;
    let verifying = DecodingKey::from_rsa_components(rsa.modulus(), rsa.exponent()).ok()?;
    Some((key.key_id().to_owned(), Arc::new(verifying)))
}

/// A key set of a large issuer is a few kilobytes.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Long enough that strangers cannot use us against an issuer, short enough for a key rotation.
const COOL_DOWN_MS: u64 = 10_000;
/// RFC 7518 section 3.3.
const MIN_MODULUS_BITS: usize = 2048;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(kid: &str, more: Value) -> Value {
        let mut key = json!({
            "kty": "RSA", "kid": kid, "e": "AQAB",
            "n": URL_SAFE_NO_PAD.encode([0xC5_u8; 256]),
        });
        for (name, value) in more.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    fn kids(keys: Vec<Value>) -> Vec<String> {
        usable(keys).iter().map(|key| key.key_id().to_owned()).collect()
    }

    #[test]
    fn odd_keys_are_passed_over_and_do_not_spoil_the_set() {
        let keys = vec![
            rsa("plain", json!({})),
            rsa("signing", json!({ "use": "sig", "alg": "RS256" })),
            rsa("encrypting", json!({ "use": "enc" })),
            rsa("other-algorithm", json!({ "alg": "PS256" })),
            rsa("not-for-verifying", json!({ "key_ops": ["sign"] })),
            rsa("small", json!({ "n": URL_SAFE_NO_PAD.encode([0xC5_u8; 128]) })),
            rsa(
                "padded-small",
                json!({ "n": URL_SAFE_NO_PAD.encode([vec![0; 128], vec![0xC5; 128]].concat()) }),
            ),
            rsa("", json!({})),
            json!({ "kty": "oct", "kid": "shared-secret", "k": "AAAA" }),
            json!({ "kty": "AKP", "kid": "from-the-future" }),
            json!("not even an object"),
        ];
        assert_eq!(kids(keys), ["plain", "signing"]);
    }

    #[test]
    fn of_keys_that_share_a_kid_none_is_used() {
        let keys =
            vec![rsa("a", json!({})), rsa("b", json!({})), rsa("a", json!({ "use": "enc" }))];
        assert_eq!(kids(keys), ["b"]);
    }

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
