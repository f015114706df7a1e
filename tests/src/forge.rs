//! Tokens of any make: really signed or really broken.

use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An issuer's signing keys, whose public halves are a key set in a file.
pub struct Forge {
    home: TempDir,
    rsa: EncodingKey,
    ec: EncodingKey,
    ed: EncodingKey,
    /// A key that nobody publishes.
    stranger: EncodingKey,
    jwks: Value,
}

impl std::fmt::Debug for Forge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forge").field("jwks", &self.jwks).finish_non_exhaustive()
    }
}

/// Whose key signs.
#[derive(Debug, Clone, Copy)]
pub enum Signer {
    /// The issuer's RSA key, `kid` `rsa`.
    Rsa(Algorithm),
    /// The issuer's P-256 key, `kid` `ec`.
    Ec,
    /// The issuer's Ed25519 key, `kid` `ed`.
    Ed,
    /// An RSA key that nobody publishes.
    Stranger,
    /// The issuer's key set as the secret of an HMAC.
    KeySetAsSecret,
}

impl Forge {
    /// Makes the keys and publishes the key set.
    pub fn new() -> Self {
        let (rsa, rsa_jwk) = key("rsa", &rcgen::PKCS_RSA_SHA256, Algorithm::RS256);
        let (ec, ec_jwk) = key("ec", &rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256);
        let (ed, ed_jwk) = ed25519_key();
        let (stranger, _) = key("stranger", &rcgen::PKCS_RSA_SHA256, Algorithm::RS256);
        let jwks = json!({ "keys": [rsa_jwk, ec_jwk, ed_jwk] });
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("jwks.json"), jwks.to_string()).unwrap();
        Self { home, rsa, ec, ed, stranger, jwks }
    }

    /// The published key set.
    pub fn jwks_file(&self) -> PathBuf {
        self.home.path().join("jwks.json")
    }

    /// The public key of that name, without its name.
    pub fn public(&self, kid: &str) -> Value {
        let keys = self.jwks.pointer("/keys").and_then(Value::as_array).unwrap();
        let mut key = keys.iter().find(|key| key.get("kid") == Some(&json!(kid))).unwrap().clone();
        for member in ["kid", "use", "alg"] {
            key.as_object_mut().unwrap().remove(member);
        }
        key
    }

    /// The token with these texts as header and payload, signed.
    pub fn sign(&self, signer: Signer, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", text(header.as_bytes()), text(payload.as_bytes()));
        let signature = self.signature(signer, &input);
        format!("{input}.{signature}")
    }

    /// The signature alone.
    pub fn signature(&self, signer: Signer, input: &str) -> String {
        let secret = EncodingKey::from_secret(self.jwks.to_string().as_bytes());
        let (key, algorithm) = match signer {
            Signer::Rsa(algorithm) => (&self.rsa, algorithm),
            Signer::Ec => (&self.ec, Algorithm::ES256),
            Signer::Ed => (&self.ed, Algorithm::EdDSA),
            Signer::Stranger => (&self.stranger, Algorithm::RS256),
            Signer::KeySetAsSecret => (&secret, Algorithm::HS256),
        };
        jsonwebtoken::crypto::sign(input.as_bytes(), key, algorithm).unwrap()
    }
}

impl Default for Forge {
    fn default() -> Self {
        Self::new()
    }
}

/// Base64url without padding.
pub fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A private key and its public half, which is not bound to one algorithm: what is accepted is up
/// to the gate.
fn key(
    kid: &str,
    kind: &'static rcgen::SignatureAlgorithm,
    algorithm: Algorithm,
) -> (EncodingKey, Value) {
    let pem = rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem();
    let private = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
    };
    let private = private.unwrap();
    let mut public = Jwk::from_encoding_key(&private, algorithm).unwrap();
    public.common.key_id = Some(kid.to_owned());
    public.common.key_algorithm = None;
    (private, serde_json::to_value(public).unwrap())
}

fn ed25519_key() -> (EncodingKey, Value) {
    let key = dev_certificates::AssertionKey::generate().unwrap();
    let jwks: Value = serde_json::from_str(&key.jwks_json).unwrap();
    let mut public = jwks.pointer("/keys/0").unwrap().clone();
    public.as_object_mut().unwrap().insert("kid".to_owned(), json!("ed"));
    (EncodingKey::from_ed_pem(key.key_pem.as_bytes()).unwrap(), public)
}
