//! The keys in use: one that signs, and those it replaced, published until their tokens are gone.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{Jwk, JwkSet},
};
use serde_json::Value;

use crate::expiring::after;
use crate::signing::{ACCESS_TOKEN_TYPE, SigningError, SigningKey};

/// All keys of one issuer. Clones are handles on the same ring.
#[derive(Debug, Clone)]
pub struct KeyRing(Arc<RwLock<Keys>>);

#[derive(Debug)]
struct Keys {
    current: SigningKey,
    /// Replaced keys, and until when they stay published.
    retired: Vec<(SigningKey, Instant)>,
}

/// What becomes of the key that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldKey {
    /// It stays published for this long; the lifetime of a token is right.
    StaysFor(Duration),
    /// It and every key before it are withdrawn at once, and their tokens with them.
    IsWithdrawn,
}

/// Why the keys were not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotationFailed {
    /// No new key.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// So many old keys are still needed that one more would make the key set too large.
    #[error("{MAX_RETIRED} replaced keys are still published; rotate less often")]
    TooSoon,
}

impl KeyRing {
    /// A ring with one key.
    pub fn new(current: SigningKey) -> Self {
        Self(Arc::new(RwLock::new(Keys { current, retired: Vec::new() })))
    }

    /// The key that signs now.
    pub fn current(&self) -> SigningKey {
        self.0.read().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    /// Makes a new key sign from now on, which takes a tenth of a second or so; yields its `kid`.
    pub fn rotate(&self, old: OldKey) -> Result<String, RotationFailed> {
        let new = SigningKey::generate()?;
        let kid = new.kid().to_owned();
        let now = Instant::now();
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.retired.retain(|(_, until)| *until > now);
        match old {
            OldKey::IsWithdrawn => {
                keys.retired.clear();
                keys.current = new;
            }
            OldKey::StaysFor(lifetime) => {
                if keys.retired.len() >= MAX_RETIRED as usize {
                    return Err(RotationFailed::TooSoon);
                }
                let replaced = std::mem::replace(&mut keys.current, new);
                keys.retired.push((replaced, after(lifetime)));
            }
        }
        Ok(kid)
    }

    /// The JWK set (RFC 7517): every key whose tokens may still be about.
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.published() }
    }

    /// The claims of an access token that one of these keys signed for `issuer` and that has not
    /// expired.
    pub(crate) fn verify(&self, issuer: &str, token: &str) -> Option<Value> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.typ.as_deref() != Some(ACCESS_TOKEN_TYPE) || header.alg != Algorithm::RS256 {
            return None;
        }
        let kid = header.kid?;
        let public =
            self.published().into_iter().find(|key| key.common.key_id.as_ref() == Some(&kid))?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        // The audience is the resource server's to compare; here the token is only looked at.
        validation.validate_aud = false;
        validation.leeway = 0;
        let key = DecodingKey::from_jwk(&public).ok()?;
        jsonwebtoken::decode::<Value>(token, &key, &validation).ok().map(|data| data.claims)
    }

    fn published(&self) -> Vec<Jwk> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let retired = keys.retired.iter().filter(|(_, until)| *until > now).map(|(key, _)| key);
        std::iter::once(&keys.current).chain(retired).map(|key| key.public().clone()).collect()
    }
}

/// Beyond this, verifiers with a limit on the size of a key set would refuse ours.
pub(crate) const MAX_RETIRED: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://issuer.example.com";

    fn token(key: &SigningKey) -> String {
        let exp = jsonwebtoken::get_current_timestamp() + 60;
        key.sign(&serde_json::json!({ "iss": ISSUER, "exp": exp })).unwrap()
    }

    #[test]
    fn a_replaced_key_stays_until_its_tokens_are_gone() {
        let ring = KeyRing::new(SigningKey::generate().unwrap());
        let old = token(&ring.current());
        let kid = ring.rotate(OldKey::StaysFor(Duration::from_secs(60))).unwrap();
        assert_eq!(ring.current().kid(), kid);
        assert_eq!(ring.jwks().keys.len(), 2);
        assert!(ring.verify(ISSUER, &old).is_some());
        assert!(ring.verify("https://other.example.com", &old).is_none());
        ring.rotate(OldKey::IsWithdrawn).unwrap();
        assert_eq!(ring.jwks().keys.len(), 1);
        assert!(ring.verify(ISSUER, &old).is_none());
        let fresh = token(&ring.current());
        ring.rotate(OldKey::StaysFor(Duration::ZERO)).unwrap();
        assert!(ring.verify(ISSUER, &fresh).is_none(), "its time is over");
    }
}
