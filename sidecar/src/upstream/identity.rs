//! How the gate names itself and the caller to the upstream: a short-lived assertion of its own.
//!
//! A JWT of type `cedargate-assertion+jwt`, signed with Ed25519: `iss` is this gate's resource
//! identifier, `aud` the upstream, `sub`, `client_id` and `scope` are the verified caller's. The
//! caller's own token stays here (MCP 2026-07-28: servers must not transit tokens).

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderValue;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm,
        OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse, ThumbprintHash,
    },
};
use moka::sync::Cache;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::Serialize;

use crate::{config::UpstreamIdentity, rejection::Rejection, token::Claims};

/// The identity that goes upstream.
pub(super) enum Identity {
    Assertion(Box<Asserter>),
    None,
}

pub(super) struct Asserter {
    key: EncodingKey,
    header: Header,
    jwks: Bytes,
    issuer: String,
    audience: String,
    /// Signing costs more than the rest of a request's head; one assertion serves a principal
    /// for half of its life.
    made: Cache<Principal, HeaderValue>,
}

/// Everything an assertion says about the caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
struct Principal {
    sub: String,
    subject_issuer: String,
    client_id: String,
    scope: String,
}

#[derive(Serialize)]
struct AssertionClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    #[serde(flatten)]
    principal: &'a Principal,
}

/// The assertion key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot use the assertion key `{path}`: {cause}; it must be an Ed25519 key in PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` or `cargo xtask certs` makes it"
)]
pub struct UnusableKey {
    path: PathBuf,
    cause: String,
}

impl Identity {
    pub(super) fn new(config: &UpstreamIdentity, issuer: &str) -> Result<Self, UnusableKey> {
        match config {
            UpstreamIdentity::None => Ok(Self::None),
            UpstreamIdentity::Assertion { key, audience } => {
                let asserter = Asserter::read(key, issuer, audience)
                    .map_err(|cause| UnusableKey { path: key.clone(), cause })?;
                Ok(Self::Assertion(Box::new(asserter)))
            }
        }
    }

    pub(super) fn jwks(&self) -> Option<Bytes> {
        match self {
            Self::Assertion(asserter) => Some(asserter.jwks.clone()),
            Self::None => None,
        }
    }

    /// The value of `Authorization` towards the upstream.
    pub(super) fn header(&self, claims: &Claims) -> Result<Option<HeaderValue>, Rejection> {
        match self {
            Self::Assertion(asserter) => asserter.header(claims).map(Some).map_err(|cause| {
                tracing::error!(cause, "cannot sign an assertion");
                Rejection::UpstreamUnreachable
            }),
            Self::None => Ok(None),
        }
    }
}

impl Asserter {
    fn read(path: &Path, issuer: &str, audience: &str) -> Result<Self, String> {
        let der = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|e| e.to_string())?;
        let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|e| e.to_string())?;
        let (jwk, kid) = public_jwk(&pair)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(ASSERTION_TYPE.to_owned());
        header.kid = Some(kid);
        Ok(Self {
            key: EncodingKey::from_ed_der(der.secret_pkcs8_der()),
            header,
            jwks: serde_json::to_vec(&JwkSet { keys: vec![jwk] })
                .map_err(|e| e.to_string())?
                .into(),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            made: Cache::builder().max_capacity(MAX_CACHED).time_to_live(REUSE_FOR).build(),
        })
    }

    fn header(&self, claims: &Claims) -> Result<HeaderValue, String> {
        let principal = Principal {
            sub: claims.sub().to_owned(),
            subject_issuer: claims.iss().to_owned(),
            client_id: claims.client_id().to_owned(),
            scope: claims.scopes().iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        };
        if let Some(value) = self.made.get(&principal) {
            return Ok(value);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
        let assertion = AssertionClaims {
            iss: &self.issuer,
            aud: &self.audience,
            iat: now.as_secs(),
            exp: now.as_secs().saturating_add(LIFETIME_SECONDS),
            principal: &principal,
        };
        let jwt =
            jsonwebtoken::encode(&self.header, &assertion, &self.key).map_err(|e| e.to_string())?;
        let mut value =
            HeaderValue::try_from(format!("Bearer {jwt}")).map_err(|e| e.to_string())?;
        value.set_sensitive(true);
        self.made.insert(principal, value.clone());
        Ok(value)
    }
}

/// The public key as a JWK (RFC 8037) whose `kid` is its thumbprint (RFC 7638).
fn public_jwk(pair: &Ed25519KeyPair) -> Result<(Jwk, String), String> {
    let mut jwk = Jwk {
        common: CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: Some(KeyAlgorithm::EdDSA),
            ..CommonParameters::default()
        },
        algorithm: AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
            key_type: OctetKeyPairType::OctetKeyPair,
            curve: EllipticCurve::Ed25519,
            x: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
        }),
    };
    let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|e| e.to_string())?;
    jwk.common.key_id = Some(kid.clone());
    Ok((jwk, kid))
}

/// Explicit type (RFC 8725 section 3.11), so that an assertion passes for no other token.
const ASSERTION_TYPE: &str = "cedargate-assertion+jwt";
const LIFETIME_SECONDS: u64 = 60;
const REUSE_FOR: Duration = Duration::from_secs(30);
/// Principals active within half a minute.
const MAX_CACHED: u64 = 10_000;
