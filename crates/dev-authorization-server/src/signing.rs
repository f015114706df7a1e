//! The key that signs access tokens.

use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde::Serialize;

/// An RSA-2048 key pair with its RFC 7638 thumbprint as `kid`.
#[derive(Clone)]
pub struct SigningKey {
    key: EncodingKey,
    public: Jwk,
    kid: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A key could not be made, or a token could not be signed with it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {cause}")]
pub struct SigningError {
    doing: &'static str,
    cause: String,
}

impl SigningKey {
    /// Makes a new key; takes a tenth of a second or so.
    pub fn generate() -> Result<Self, SigningError> {
        let failed = |cause: String| SigningError { doing: "make the signing key", cause };
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).map_err(|e| failed(e.to_string()))?;
        let pem = pair.serialize_pem();
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|e| failed(e.to_string()))?;
        let mut public =
            Jwk::from_encoding_key(&key, Algorithm::RS256).map_err(|e| failed(e.to_string()))?;
        let kid = public.thumbprint(ThumbprintHash::SHA256).map_err(|e| failed(e.to_string()))?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { key, public, kid })
    }

    /// The key's identifier, as in the JWK set and in every token's header.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The JWK set (RFC 7517) with the public half.
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }

    /// The public half.
    pub(crate) fn public(&self) -> &Jwk {
        &self.public
    }

    /// Signs `claims` as an access token: RS256, `typ` `at+jwt` (RFC 9068 section 2.1), this key's
    /// `kid`.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        self.sign_named(&self.kid, claims)
    }

    /// Signs `claims` as an access token under the name of another key, as a forger would.
    pub fn sign_named(&self, kid: &str, claims: &impl Serialize) -> Result<String, SigningError> {
        let mut header = Header::new(Algorithm::RS256);
        header.typ = Some(ACCESS_TOKEN_TYPE.to_owned());
        header.kid = Some(kid.to_owned());
        self.sign_with_header(&header, claims)
    }

    /// Signs `claims` under a header of the caller's making; for tests of what a verifier refuses.
    pub fn sign_with_header(
        &self,
        header: &Header,
        claims: &impl Serialize,
    ) -> Result<String, SigningError> {
        jsonwebtoken::encode(header, claims, &self.key)
            .map_err(|e| SigningError { doing: "sign a token", cause: e.to_string() })
    }
}

/// RFC 9068 section 2.1.
pub(crate) const ACCESS_TOKEN_TYPE: &str = "at+jwt";
