//! Who is asking? From an `Authorization` header to verified [`Claims`], or not at all.
//!
//! RFC 6750 for how a token arrives, RFC 9068 and RFC 8725 for what makes it one of ours: an
//! algorithm and a type that its issuer's configuration names, a key that the issuer publishes, and
//! exact `iss` and `aud`.
//!
//! - `bearer`: the token as it came.
//! - `jws`: the token in its parts, and their signature.
//! - `claims`: what it says, by type and by its issuer's rules.
//! - `known`: tokens that were verified before.
//! - `introspection`: tokens about which their issuer must be asked.
//! - `revocation`: tokens that are refused before their time.
//! - `proof`, `dpop`: whether a token that is bound to a key is in the hands of who holds the key.
//! - `algorithms`: what tokens and proofs may be signed with.
//! - `issuer_http`: how issuers are asked.
//! - `jwks`, `key_source`, `key_table`: the issuer's keys, fetched, kept fresh and ready to use.

mod algorithms;
mod bearer;
mod claims;
mod dpop;
mod introspection;
mod issuer_http;
mod jwks;
mod jws;
mod key_source;
mod key_table;
mod known;
mod proof;
mod revocation;

use std::{fmt, sync::Arc};

use http::request::Parts;
use jsonwebtoken::Algorithm;

use crate::{
    config::{IssuerConfig, ResourceConfig, TokenRules, TokenType},
    rejection::Rejection,
};
pub use bearer::BearerToken;
pub use claims::Claims;
pub(crate) use claims::Supposed;
pub use issuer_http::UnusableIssuer;
pub(crate) use jwks::{Freshness, Jwks, KeyState};

pub(crate) use algorithms::{ALGORITHMS, PROOF_ALGORITHMS, named};
use claims::claimed_issuer;
use dpop::{Nonces, ProofChecker};
use introspection::Introspection;
use jws::{JoseHeader, Jws};
use known::{KnownToken, KnownTokens, TokenDigest, digest_of};
pub use revocation::UnusableJournal;
use revocation::name_of;
pub(crate) use revocation::{NotRevoked, Revocation, Revocations};

/// Verifies access tokens of the configured issuers.
pub(crate) struct TokenVerifier {
    issuers: Vec<TrustedIssuer>,
    audience: String,
    known: KnownTokens,
    proofs: ProofChecker,
    revocations: Revocations,
}

struct TrustedIssuer {
    identifier: String,
    rules: TokenRules,
    jwks: Jwks,
    introspection: Option<Introspection>,
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("issuers", &self.issuers).finish_non_exhaustive()
    }
}

impl fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedIssuer")
            .field("identifier", &self.identifier)
            .finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// Prepares one verifier for tokens of any of `issuers` that are meant for `resource`.
    pub(crate) fn new(
        issuers: &[IssuerConfig],
        resource: &ResourceConfig,
        revocations: Revocations,
    ) -> Result<Self, UnusableIssuer> {
        let issuers = issuers
            .iter()
            .map(|issuer| {
                Ok(TrustedIssuer {
                    identifier: issuer.identifier.clone(),
                    rules: issuer.rules.clone(),
                    jwks: Jwks::new(issuer)?,
                    introspection: match &issuer.introspection {
                        Some(config) => Some(Introspection::new(issuer, config)?),
                        None => None,
                    },
                })
            })
            .collect::<Result<_, UnusableIssuer>>()?;
        let nonces = match resource.dpop_nonces {
            true => Some(Nonces::new().ok_or(UnusableIssuer::Randomness)?),
            false => None,
        };
        Ok(Self {
            issuers,
            audience: resource.identifier().to_owned(),
            known: KnownTokens::new(),
            proofs: ProofChecker::new(&resource.public_url, nonces),
            revocations,
        })
    }

    /// Every issuer's key set, to be kept fresh in the background.
    pub(crate) fn key_sets(&self) -> impl Iterator<Item = &Jwks> {
        self.issuers.iter().map(|issuer| &issuer.jwks)
    }

    /// What an operator is told of every issuer's keys.
    pub(crate) fn key_states(&self) -> impl Iterator<Item = KeyState> {
        self.key_sets().map(Jwks::state)
    }

    /// How many tokens were known, and how many were not.
    pub(crate) fn known_tokens(&self) -> (u64, u64) {
        (self.known.hits.get(), self.known.misses.get())
    }

    /// The revocations in force.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Verifies `token`, which came with `head`, and consumes it.
    pub(crate) async fn verify(
        &self,
        token: BearerToken,
        head: &Parts,
    ) -> Result<Arc<Claims>, Rejection> {
        let digest = digest_of(token.as_str());
        let claims = self.claims_of(token.as_str(), &digest).await?;
        self.revocations.require_none_of(&claims, token.as_str())?;
        claims.confirmation().require(head, token.scheme(), token.as_str(), &self.proofs)?;
        Ok(claims)
    }

    /// What revokes `token`. A token that is not good for ever needs no revocation; of one that
    /// cannot be judged now the reason is told.
    pub(crate) async fn revocation_of(&self, token: &str) -> Result<Option<Revocation>, Rejection> {
        let claims = match self.claims_of(token, &digest_of(token)).await {
            Ok(claims) => claims,
            Err(rejection) if rejection.may_pass() => return Err(rejection),
            Err(_) => return Ok(None),
        };
        let until = Some(claims.ends());
        Ok(Some(match claims.jti() {
            Some(jti) => {
                Revocation::Token { issuer: claims.iss().to_owned(), jti: jti.to_owned(), until }
            }
            None => Revocation::Digest { sha256: name_of(token), until },
        }))
    }

    async fn claims_of(&self, token: &str, digest: &TokenDigest) -> Result<Arc<Claims>, Rejection> {
        if let Some(known) = self.known.get(digest) {
            if let Some(claims) = self.still_good(&known)? {
                self.known.hits.one_more();
                return Ok(claims);
            }
            self.known.forget(digest);
        }
        self.known.misses.one_more();
        // At most one issuer is asked about tokens, and only about those that say nothing.
        let asked = self.issuers.iter().find_map(|i| Some((i, i.introspection.as_ref()?)));
        if let Some((issuer, introspection)) = asked.filter(|_| is_opaque(token)) {
            let TrustedIssuer { rules, .. } = issuer;
            return introspection.claims_of(token, digest, rules, &self.audience).await;
        }
        let known = self.verify_anew(token).await?;
        let claims = Arc::clone(&known.claims);
        self.known.remember(*digest, known);
        Ok(claims)
    }

    /// The claims of a token that was verified before, unless it has ended since or the key that
    /// verified it is not published any more.
    fn still_good(&self, known: &KnownToken) -> Result<Option<Arc<Claims>>, Rejection> {
        let Some(issuer) = self.issuers.get(known.issuer) else {
            return Ok(None);
        };
        let published = issuer.jwks.in_table(known.kid.as_deref())?;
        let same = published.is_some_and(|key| Arc::ptr_eq(&key, &known.key));
        Ok((same && known.claims.is_current()).then(|| Arc::clone(&known.claims)))
    }

    async fn verify_anew(&self, token: &str) -> Result<KnownToken, Rejection> {
        let jws = Jws::read(token)?;
        let claimed = jws.claimed()?;
        // Keys belong to an issuer, so a token of a stranger causes no look-up at all.
        let iss = claimed_issuer(&claimed)?;
        let (position, issuer) = self
            .issuers
            .iter()
            .enumerate()
            .find(|(_, issuer)| issuer.identifier == iss)
            .ok_or(Rejection::UnknownIssuer)?;
        let algorithm = issuer.algorithm(&jws.header)?;
        let kid = jws.header.kid.as_deref();
        if kid == Some("") {
            return Err(Rejection::NoKeyId);
        }
        let key = issuer.jwks.key(kid).await?;
        if !key.admits(algorithm) {
            return Err(Rejection::WrongAlgorithm);
        }
        if !jws.is_signed_by(&key, algorithm) {
            return Err(Rejection::BadSignature);
        }
        let claims =
            Arc::new(Claims::read(&claimed, &issuer.rules, &self.audience)?.of_token(token));
        Ok(KnownToken { claims, issuer: position, kid: kid.map(str::to_owned), key })
    }
}

impl TrustedIssuer {
    /// The algorithm to verify with, if the header names one of those configured and the token's
    /// type is the configured one.
    fn algorithm(&self, header: &JoseHeader) -> Result<Algorithm, Rejection> {
        let algorithm = named(&ALGORITHMS, &header.alg)
            .filter(|algorithm| self.rules.algorithms.contains(algorithm));
        let algorithm = algorithm.ok_or(Rejection::WrongAlgorithm)?;
        let typ = header.typ.as_deref();
        // Media type names have no case, and may leave out "application/" (RFC 7515 section 4.1.9).
        let is = |name: &str, full: &str| {
            typ.is_some_and(|t| t.eq_ignore_ascii_case(name) || t.eq_ignore_ascii_case(full))
        };
        let right = match self.rules.token_type {
            TokenType::AccessToken => is("at+jwt", "application/at+jwt"),
            TokenType::Jwt => {
                typ.is_none() || is("JWT", "application/jwt") || is("at+jwt", "application/at+jwt")
            }
        };
        if right { Ok(algorithm) } else { Err(Rejection::WrongTokenType) }
    }
}

/// What fuzz targets reach: the readers of what strangers send.
#[cfg(feature = "testing")]
mod readers {
    use jsonwebtoken::Algorithm;

    use super::{TokenVerifier, jws::Jws, key_source, key_table::KeyTable};

    impl TokenVerifier {
        pub(crate) fn forget_known(&self) {
            self.known.clear();
        }
    }

    pub(crate) fn read_token(text: &str) {
        if let Ok(jws) = Jws::read(text) {
            drop(jws.claimed());
        }
    }

    pub(crate) fn read_key_set(text: &[u8], algorithms: &[Algorithm]) {
        let now = tokio::time::Instant::now();
        if let Ok(keys) = key_source::read_set(text) {
            let table = KeyTable::new(&keys, algorithms, None, now);
            let again = KeyTable::new(&keys, algorithms, Some(&table), now);
            assert_eq!(table.len(), again.len(), "the same set, the same keys");
        }
    }
}
#[cfg(feature = "testing")]
pub(crate) use readers::{read_key_set, read_token};

/// Whether a token has not the form of a signed one (RFC 7515 section 3.1).
fn is_opaque(token: &str) -> bool {
    token.split('.').count() != 3
}

#[cfg(test)]
mod tests;
