//! Tokens that were verified before: looked up by their digest, and believed for as long as the
//! token is good and the key that verified it is published.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use moka::sync::Cache;

use super::{claims::Claims, key_table::VerifyingKey};
use crate::telemetry::Counter;

/// Verified tokens by digest; the least used are forgotten first.
pub(super) struct KnownTokens {
    cache: Cache<TokenDigest, Arc<KnownToken>>,
    /// Look-ups that spared a verification.
    pub(super) hits: Counter,
    pub(super) misses: Counter,
}

/// SHA-256 of a token: nobody finds another text with it, and it is not the token.
pub(super) type TokenDigest = [u8; SHA256_OUTPUT_LEN];

/// What was found out about a token, and on whose word.
pub(super) struct KnownToken {
    pub(super) claims: Arc<Claims>,
    /// The position of its issuer.
    pub(super) issuer: usize,
    pub(super) kid: Option<String>,
    pub(super) key: Arc<VerifyingKey>,
}

impl KnownTokens {
    pub(super) fn new() -> Self {
        let cache = Cache::new(MAX_TOKENS);
        Self { cache, hits: Counter::default(), misses: Counter::default() }
    }

    pub(super) fn get(&self, token: &TokenDigest) -> Option<Arc<KnownToken>> {
        self.cache.get(token)
    }

    pub(super) fn remember(&self, token: TokenDigest, known: KnownToken) {
        self.cache.insert(token, Arc::new(known));
    }

    #[cfg(feature = "testing")]
    pub(super) fn clear(&self) {
        self.cache.invalidate_all();
    }

    pub(super) fn forget(&self, token: &TokenDigest) {
        self.cache.invalidate(token);
    }
}

pub(super) fn digest_of(token: &str) -> TokenDigest {
    let mut out = [0; SHA256_OUTPUT_LEN];
    // The digest has exactly this length.
    out.iter_mut()
        .zip(digest(&SHA256, token.as_bytes()).as_ref())
        .for_each(|(to, from)| *to = *from);
    out
}

/// Below a kilobyte each.
const MAX_TOKENS: u64 = 10_000;
