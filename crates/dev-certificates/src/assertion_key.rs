//! The key pair behind Cedargate's identity assertion (docs/decisions/0003).

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use jsonwebtoken::{
    Algorithm, EncodingKey,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use rcgen::{KeyPair, PKCS_ED25519};
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::CertificateError;

/// An Ed25519 key pair: the private half for Cedargate, the public half for the upstream.
pub struct AssertionKey {
    /// PKCS#8 private key, PEM; a secret.
    pub key_pem: String,
    /// JWK set (RFC 7517) with the one public key; its `kid` is the RFC 7638 thumbprint.
    pub jwks_json: String,
}

impl std::fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AssertionKey").field("jwks_json", &self.jwks_json).finish_non_exhaustive()
    }
}

impl AssertionKey {
    /// Makes a new key pair.
    pub fn generate() -> Result<Self, CertificateError> {
        let failed = |e: &dyn std::fmt::Display| {
            CertificateError::new("cannot make the assertion key", e.to_string())
        };
        // PKCS#8 version 1, as `openssl genpkey -algorithm ed25519` writes it; jsonwebtoken reads
        // no other version.
        let pkcs8 =
            Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|e| failed(&e))?;
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_ref());
        let key =
            KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).map_err(|e| failed(&e))?;
        let key_pem = key.serialize_pem();
        let jwks_json = public_jwks(&key_pem)?;
        Ok(Self { key_pem, jwks_json })
    }
}

fn public_jwks(key_pem: &str) -> Result<String, CertificateError> {
    let failed = |e| CertificateError::new("cannot derive the public assertion key", e);
    let key = EncodingKey::from_ed_pem(key_pem.as_bytes()).map_err(failed)?;
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).map_err(failed)?;
    jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256).map_err(failed)?);
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    serde_json::to_string_pretty(&JwkSet { keys: vec![jwk] })
        .map_err(|e| CertificateError::new("cannot write the public assertion key", e))
}
