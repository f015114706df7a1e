//! An issuer's key set: read without a lock, refreshed in the background, asked again once when a
//! token names a key that is not in it.

use std::{sync::Arc, time::Duration};

use jwks_client_rs::JwksClient;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{
    issuer_http::UnusableIssuer,
    key_source::{FetchFault, KeySource},
    key_table::VerifyingKey,
};
use crate::{config::IssuerConfig, rejection::Rejection};

/// One issuer's keys.
pub(crate) struct Jwks {
    source: KeySource,
    /// Asked only for a key that the table lacks; it makes one fetch of many questions.
    client: JwksClient<KeySource>,
    look_ups: Semaphore,
    refresh_every: Duration,
    max_stale: Duration,
}

/// What an operator is told of an issuer's keys.
#[derive(Debug, Serialize)]
pub(crate) struct KeyState {
    issuer: String,
    keys: usize,
    age_seconds: Option<u64>,
    freshness: Freshness,
    /// How many fetches brought keys, and how many brought none.
    #[serde(skip)]
    fetches: (u64, u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Freshness {
    Fresh,
    /// The issuer could not be asked when it was time to.
    Stale,
    /// For longer than `max_stale`; its tokens are refused.
    TooOld,
    Missing,
}

impl KeyState {
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn keys(&self) -> usize {
        self.keys
    }

    pub(crate) fn age_seconds(&self) -> Option<u64> {
        self.age_seconds
    }

    pub(crate) fn freshness(&self) -> Freshness {
        self.freshness
    }

    pub(crate) fn fetches(&self) -> (u64, u64) {
        self.fetches
    }

    /// Whether tokens of the issuer can be verified.
    pub(crate) fn is_usable(&self) -> bool {
        self.keys > 0 && matches!(self.freshness, Freshness::Fresh | Freshness::Stale)
    }
}

impl std::fmt::Display for KeyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { issuer, keys, freshness, .. } = self;
        match (freshness, keys) {
            (Freshness::Missing, _) => {
                write!(f, "issuer `{issuer}` gave no keys: its tokens are refused until it does")
            }
            (_, 0) => write!(f, "issuer `{issuer}` publishes no key that is usable as configured"),
            (_, 1) => write!(f, "issuer `{issuer}`: 1 key"),
            (_, keys) => write!(f, "issuer `{issuer}`: {keys} keys"),
        }
    }
}

impl std::fmt::Debug for Jwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwks").field("issuer", &self.source.issuer()).finish_non_exhaustive()
    }
}

impl Jwks {
    pub(crate) fn new(issuer: &IssuerConfig) -> Result<Self, UnusableIssuer> {
        let source = KeySource::new(issuer)?;
        let client = JwksClient::builder().time_to_live(issuer.refresh_every).build(source.clone());
        Ok(Self {
            source,
            client,
            look_ups: Semaphore::new(MAX_LOOK_UPS),
            refresh_every: issuer.refresh_every,
            max_stale: issuer.max_stale,
        })
    }

    /// The key that `kid` names; without a name, the one key of a set that holds no other.
    ///
    /// What counts is the published table and nothing that the client remembers: a key that the
    /// issuer has withdrawn is gone with the next refresh.
    pub(super) async fn key(&self, kid: Option<&str>) -> Result<Arc<VerifyingKey>, Rejection> {
        if let Some(key) = self.in_table(kid)? {
            return Ok(key);
        }
        let Some(name) = kid else {
            let table = self.source.table();
            return Err(table.map_or(Rejection::KeysUnavailable, |_| Rejection::NoKeyId));
        };
        // A flood of unknown keys waits here in vain, and nobody with a known key waits at all.
        let Ok(_place) = self.look_ups.try_acquire() else {
            return Err(Rejection::KeysUnavailable);
        };
        // Whether it found the key is read from the table; a failed fetch has been logged.
        drop(tokio::time::timeout(LOOK_UP_TIMEOUT, self.client.get(name)).await);
        match self.in_table(kid)? {
            Some(key) => Ok(key),
            None if self.source.table().is_none() => Err(Rejection::KeysUnavailable),
            None => Err(Rejection::UnknownKey),
        }
    }

    /// What an operator is told of the keys.
    pub(super) fn state(&self) -> KeyState {
        let table = self.source.table();
        let age = table.as_ref().map(|table| table.fetched_at.elapsed());
        let freshness = match age {
            None => Freshness::Missing,
            Some(age) if age >= self.max_stale => Freshness::TooOld,
            Some(age) if age >= self.refresh_every + RETRY_EVERY => Freshness::Stale,
            Some(_) => Freshness::Fresh,
        };
        KeyState {
            issuer: self.source.issuer().to_owned(),
            keys: table.map_or(0, |table| table.len()),
            age_seconds: age.map(|age| age.as_secs()),
            freshness,
            fetches: self.source.fetches(),
        }
    }

    /// Keeps the table fresh for as long as it is polled.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            match self.source.table() {
                Some(table) => {
                    tokio::time::sleep_until(table.fetched_at + self.refresh_every).await
                }
                None => tokio::time::sleep(RETRY_EVERY).await,
            }
            // Logged where it happened; a look-up may have come first, which serves as well.
            if self.source.refresh().await.is_err() {
                tokio::time::sleep(RETRY_EVERY).await;
            }
        }
    }

    /// Fetches the keys for the first time; says why when there are none yet.
    ///
    /// An issuer may be down for a while; a file that cannot be read is a mistake.
    pub(crate) async fn fetch_first(&self) -> Result<Result<(), Arc<String>>, UnusableIssuer> {
        match self.source.refresh().await {
            Ok(_) => Ok(Ok(())),
            Err(FetchFault::File(path, cause)) => Err(self.source.unusable_file(path, cause)),
            Err(_) => Ok(Err(self.source.latest_fault())),
        }
    }

    /// What is published under `kid`, unless it is too old to be believed.
    pub(super) fn in_table(
        &self,
        kid: Option<&str>,
    ) -> Result<Option<Arc<VerifyingKey>>, Rejection> {
        match self.source.table() {
            None => Ok(None),
            Some(table) if table.fetched_at.elapsed() >= self.max_stale => {
                Err(Rejection::KeysUnavailable)
            }
            Some(table) => Ok(table.get(kid).cloned()),
        }
    }
}

/// After a failed attempt; no shorter than the cool-down.
const RETRY_EVERY: Duration = Duration::from_secs(10);
/// How long one request waits for keys it may not need.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(6);
/// Callers that may wait for a key at the same time, all of them for the same fetch.
const MAX_LOOK_UPS: usize = 64;
