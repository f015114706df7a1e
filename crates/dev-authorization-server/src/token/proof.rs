//! DPoP at the token endpoint (RFC 9449 section 5): who shows a key gets tokens bound to it.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, ThumbprintHash},
};
use serde::Deserialize;

use crate::{expiring::NotNew, issuer::Issuer, refusal::Refusal, secret::Digest};

/// The thumbprint of a key that a client has shown to hold (RFC 9449 section 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoundKey(pub(crate) String);

/// RFC 9449 section 4.2.
#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: f64,
}

impl Issuer {
    /// The key that a request proves, if it brings a proof at all.
    pub(super) fn proven_key(&self, headers: &HeaderMap) -> Result<Option<BoundKey>, Refusal> {
        let mut proofs = headers.get_all("dpop").iter();
        match (proofs.next(), proofs.next()) {
            (None, _) => Ok(None),
            (Some(proof), None) => self.verify_proof(proof).map(Some),
            _ => Err(Refusal::InvalidProof("there are two proofs")),
        }
    }

    /// RFC 9449 section 4.3.
    fn verify_proof(&self, proof: &HeaderValue) -> Result<BoundKey, Refusal> {
        let malformed = || Refusal::InvalidProof("it is malformed");
        let proof = proof.to_str().ok().filter(|proof| proof.len() <= MAX_PROOF_BYTES);
        let proof = proof.ok_or_else(malformed)?;
        let header = jsonwebtoken::decode_header(proof).map_err(|_| malformed())?;
        let key = header.jwk.as_ref().filter(|_| header.typ.as_deref() == Some("dpop+jwt"));
        let key = key.filter(|key| is_usable(key, header.alg)).ok_or_else(malformed)?;
        let decoding = DecodingKey::from_jwk(key).map_err(|_| malformed())?;
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(proof, &decoding, &validation);
        let claims =
            claims.map_err(|_| Refusal::InvalidProof("its signature does not fit"))?.claims;
        if claims.htm != "POST" || claims.htu != format!("{}/token", self.identifier) {
            return Err(Refusal::InvalidProof("it is about another request"));
        }
        let now = jsonwebtoken::get_current_timestamp() as f64;
        if (now - claims.iat).abs() > WINDOW.as_secs_f64() {
            return Err(Refusal::InvalidProof("its time is not now"));
        }
        let thumbprint = key.thumbprint(ThumbprintHash::SHA256).map_err(|_| malformed())?;
        let seen = Digest::of_parts(&[&thumbprint, &claims.jti]);
        // Remembered from the earliest time at which it is good to the latest.
        self.proofs.insert_new(seen, (), 2 * WINDOW).map_err(|not_new| match not_new {
            NotNew::Known => Refusal::InvalidProof("it was used before"),
            NotNew::Full => Refusal::Full,
        })?;
        Ok(BoundKey(thumbprint))
    }
}

fn is_usable(key: &Jwk, algorithm: Algorithm) -> bool {
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => algorithm == Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) => {
            algorithm == Algorithm::ES256 && ec.curve == EllipticCurve::P256
        }
        _ => false,
    }
}

const MAX_PROOF_BYTES: usize = 8 * 1024;
/// How far a proof's time may be from ours, before or after.
const WINDOW: Duration = Duration::from_secs(60);
