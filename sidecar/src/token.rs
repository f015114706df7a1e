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
//! - `proof`, `dpop`: whether a token that is bound to a key is in the hands of who holds the key.
//! - `jwks`, `key_source`, `key_table`: the issuer's keys, fetched, kept fresh and ready to use.

mod bearer;
mod claims;
mod dpop;
mod jwks;
mod jws;
mod key_source;
mod key_table;
mod known;
mod proof;

use std::{fmt, sync::Arc};

use http::request::Parts;
use jsonwebtoken::Algorithm;

use crate::{
    config::{IssuerConfig, ResourceConfig, TokenRules, TokenType},
    rejection::Rejection,
};
pub use bearer::BearerToken;
pub use claims::Claims;
pub(crate) use jwks::Jwks;
pub use key_source::UnusableIssuer;

use claims::claimed_issuer;
pub(crate) use dpop::PROOF_ALGORITHM_NAMES;
use dpop::{Nonces, ProofChecker};
use jws::{JoseHeader, Jws};
use known::{KnownToken, KnownTokens, digest_of};

/// Verifies access tokens of the configured issuers.
pub(crate) struct TokenVerifier {
    issuers: Vec<TrustedIssuer>,
    audience: String,
    known: KnownTokens,
    proofs: ProofChecker,
}

struct TrustedIssuer {
    identifier: String,
    rules: TokenRules,
    jwks: Jwks,
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
    ) -> Result<Self, UnusableIssuer> {
        let issuers = issuers
            .iter()
            .map(|issuer| {
                Ok(TrustedIssuer {
                    identifier: issuer.identifier.clone(),
                    rules: issuer.rules.clone(),
                    jwks: Jwks::new(issuer)?,
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
        })
    }

    /// Every issuer's key set, to be kept fresh in the background.
    pub(crate) fn key_sets(&self) -> impl Iterator<Item = &Jwks> {
        self.issuers.iter().map(|issuer| &issuer.jwks)
    }

    /// Verifies `token`, which came with `head`, and consumes it.
    pub(crate) async fn verify(
        &self,
        token: BearerToken,
        head: &Parts,
    ) -> Result<Arc<Claims>, Rejection> {
        let claims = self.claims_of(&token).await?;
        claims.confirmation().require(head, token.scheme(), token.as_str(), &self.proofs)?;
        Ok(claims)
    }

    async fn claims_of(&self, token: &BearerToken) -> Result<Arc<Claims>, Rejection> {
        let digest = digest_of(token.as_str());
        if let Some(known) = self.known.get(&digest) {
            if let Some(claims) = self.still_good(&known)? {
                return Ok(claims);
            }
            self.known.forget(&digest);
        }
        let known = self.verify_anew(token).await?;
        let claims = Arc::clone(&known.claims);
        self.known.remember(digest, known);
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

    async fn verify_anew(&self, token: &BearerToken) -> Result<KnownToken, Rejection> {
        let jws = Jws::read(token.as_str())?;
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
        let claims = Arc::new(Claims::read(claimed, &issuer.rules, &self.audience)?);
        Ok(KnownToken { claims, issuer: position, kid: kid.map(str::to_owned), key })
    }
}

impl TrustedIssuer {
    /// The algorithm to verify with, if the header names one of those configured and the token's
    /// type is the configured one.
    fn algorithm(&self, header: &JoseHeader) -> Result<Algorithm, Rejection> {
        let named: Option<Algorithm> = header.alg.parse().ok();
        let algorithm = named.filter(|algorithm| self.rules.algorithms.contains(algorithm));
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

#[cfg(test)]
mod tests;
