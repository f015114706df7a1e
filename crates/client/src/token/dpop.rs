//! Proof of possession (RFC 9449): a key that no token leaves without.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{HeaderMap, HeaderValue, Method};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, ThumbprintHash},
};
use reqwest::Url;
use serde::Serialize;

use super::{clock, error::TokenError};
use crate::secret::Secret;

/// An ES256 key. Tokens are bound to it, and each request proves that it is here.
pub(super) struct ProofKey {
    key: EncodingKey,
    public: Jwk,
    thumbprint: String,
    /// PKCS#8 in base64, for the cache.
    written: Secret,
}

/// RFC 9449 section 4.2.
#[derive(Serialize)]
struct Claims<'a> {
    jti: uuid::Uuid,
    htm: &'a str,
    htu: &'a str,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

/// The latest nonce of one server's (RFC 9449 section 8).
#[derive(Debug, Default)]
// The lock is held for a look or a swap; a channel would keep the value no better.
pub(super) struct Nonce(Mutex<Option<String>>);

impl std::fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProofKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

impl ProofKey {
    /// A new key.
    pub(super) fn generate() -> Result<Self, TokenError> {
        let failed = TokenError::Interrupted("a key for proofs could not be made");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let der = pair.and_then(|pair| pair.to_pkcs8v1()).map_err(|_| failed.clone())?;
        Self::read(&Secret::new(BASE64.encode(der.as_ref()))).ok_or(failed)
    }

    /// A key as it was [written](Self::written).
    pub(super) fn read(written: &Secret) -> Option<Self> {
        let der = BASE64.decode(written.expose().as_bytes()).ok()?;
        let key = EncodingKey::from_ec_der(&der);
        let public = Jwk::from_encoding_key(&key, Algorithm::ES256).ok()?;
        let thumbprint = public.thumbprint(ThumbprintHash::SHA256).ok()?;
        Some(Self { key, public, thumbprint, written: written.clone() })
    }

    pub(super) fn written(&self) -> &Secret {
        &self.written
    }

    /// RFC 7638: what tokens name it by.
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// A proof for one request (section 4.2), with `token` where it goes along.
    pub(super) fn proof(
        &self,
        method: &Method,
        url: &Url,
        token: Option<&Secret>,
        nonce: Option<&str>,
    ) -> Result<HeaderValue, TokenError> {
        let mut target = url.clone();
        target.set_query(None);
        target.set_fragment(None);
        let hash = |token: &Secret| digest(&SHA256, token.expose().as_bytes());
        let claims = Claims {
            jti: uuid::Uuid::new_v4(),
            htm: method.as_str(),
            htu: target.as_str(),
            iat: clock::system(),
            ath: token.map(|token| BASE64URL_NOPAD.encode(hash(token).as_ref())),
            nonce,
        };
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(self.public.clone());
        let proof = jsonwebtoken::encode(&header, &claims, &self.key).ok();
        proof
            .and_then(|proof| HeaderValue::try_from(proof).ok())
            .ok_or(TokenError::Interrupted("a proof could not be signed"))
    }
}

impl Nonce {
    /// Keeps what an answer brings.
    pub(super) fn hear(&self, headers: &HeaderMap) {
        let told = headers.get(NONCE).and_then(|value| value.to_str().ok());
        if let Some(nonce) = told.filter(|nonce| nonce.len() <= MAX_NONCE_BYTES) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
        }
    }

    pub(super) fn latest(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The header with the proof.
pub(super) const PROOF: &str = "dpop";
const NONCE: &str = "dpop-nonce";
const MAX_NONCE_BYTES: usize = 512;
