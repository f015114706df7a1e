//! The inbound contract: a request is served only with Cedargate's identity assertion.
//!
//! The assertion is a JWT in `Authorization: Bearer`, of type `cedargate-assertion+jwt`, signed
//! with Ed25519, good for at most a minute, naming this server in `aud` and in `sub` and
//! `client_id` the caller whom Cedargate verified (docs/decisions/0003).

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, JwkSet},
};
use serde::Deserialize;

use crate::security_events::{SecurityEvents, Severity};

/// For whom a request is made, as Cedargate verified it.
#[derive(Debug, Clone, Deserialize)]
pub struct Caller {
    /// `sub` of the caller's access token.
    pub sub: String,
    /// The issuer that knows the caller under this `sub`.
    pub subject_issuer: String,
    /// OAuth client through which the caller came.
    pub client_id: String,
    iat: u64,
    exp: u64,
}

/// Keys and names that a caller's assertion must match.
pub struct TrustedCallers {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
}

impl std::fmt::Debug for TrustedCallers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedCallers").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// The file of trusted keys is no basis for trust.
#[derive(Debug, thiserror::Error)]
pub enum UntrustworthyKeys {
    /// It could not be read.
    #[error(
        "cannot read the trusted assertion keys `{path}`: {cause}; `cargo xtask certs` makes a pair for development"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// It is not a JWK set.
    #[error("`{path}` is not a JWK set: {cause}")]
    NotJwks {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        cause: serde_json::Error,
    },
    /// It holds no Ed25519 key with a `kid`.
    #[error("`{0}` holds no Ed25519 key with a `kid`: nobody could be trusted")]
    Empty(PathBuf),
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stranger {
    NoAssertion,
    SeveralAssertions,
    NotAnAssertion,
    UnknownKey,
    Unverified,
    TooLongLived,
}

impl TrustedCallers {
    /// Reads the JWK set at `path`.
    pub fn read(path: &Path, issuer: &str, audience: &str) -> Result<Self, UntrustworthyKeys> {
        let text = std::fs::read(path)
            .map_err(|cause| UntrustworthyKeys::Unreadable { path: path.to_owned(), cause })?;
        let jwks: JwkSet = serde_json::from_slice(&text)
            .map_err(|cause| UntrustworthyKeys::NotJwks { path: path.to_owned(), cause })?;
        let keys: HashMap<String, DecodingKey> = jwks
            .keys
            .iter()
            .filter_map(|jwk| {
                let AlgorithmParameters::OctetKeyPair(pair) = &jwk.algorithm else {
                    return None;
                };
                let key = DecodingKey::from_ed_components(&pair.x).ok()?;
                let kid = jwk.common.key_id.clone()?;
                (pair.curve == EllipticCurve::Ed25519).then_some((kid, key))
            })
            .collect();
        if keys.is_empty() {
            return Err(UntrustworthyKeys::Empty(path.to_owned()));
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.leeway = LEEWAY_SECONDS;
        Ok(Self { keys, validation })
    }

    fn verify(&self, headers: &HeaderMap) -> Result<Caller, Stranger> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(Stranger::NoAssertion)?;
        if values.next().is_some() {
            return Err(Stranger::SeveralAssertions);
        }
        let token = value
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(Stranger::NotAnAssertion)?;
        let head = jsonwebtoken::decode_header(token).map_err(|_| Stranger::NotAnAssertion)?;
        if head.typ.as_deref() != Some(ASSERTION_TYPE) {
            return Err(Stranger::NotAnAssertion);
        }
        let key = head.kid.and_then(|kid| self.keys.get(&kid)).ok_or(Stranger::UnknownKey)?;
        let caller = jsonwebtoken::decode::<Caller>(token, key, &self.validation)
            .map_err(|_| Stranger::Unverified)?
            .claims;
        let now = jsonwebtoken::get_current_timestamp();
        if caller.exp.saturating_sub(caller.iat) > MAX_LIFETIME_SECONDS
            || caller.iat > now.saturating_add(LEEWAY_SECONDS)
        {
            return Err(Stranger::TooLongLived);
        }
        Ok(caller)
    }
}

/// What stands before every route.
#[derive(Debug)]
pub(crate) struct Gatehouse {
    pub(crate) callers: TrustedCallers,
    pub(crate) events: Arc<SecurityEvents>,
}

/// Lets a request pass with its [`Caller`] attached, or answers 401 and records the event.
pub(crate) async fn require(
    State(gatehouse): State<Arc<Gatehouse>>,
    mut request: Request,
    next: Next,
) -> Response {
    match gatehouse.callers.verify(request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(stranger) => {
            gatehouse.events.record(Severity::Warning, "caller-refused", stranger.reason());
            (
                StatusCode::UNAUTHORIZED,
                [(header::WWW_AUTHENTICATE, "Bearer")],
                "this server is reached through Cedargate only\n",
            )
                .into_response()
        }
    }
}

impl Stranger {
    fn reason(self) -> &'static str {
        match self {
            Self::NoAssertion => "no-assertion",
            Self::SeveralAssertions => "several-assertions",
            Self::NotAnAssertion => "not-an-assertion",
            Self::UnknownKey => "unknown-key",
            Self::Unverified => "unverified",
            Self::TooLongLived => "too-long-lived",
        }
    }
}

/// Explicit type (RFC 8725 section 3.11), so that no other token can pass for an assertion.
const ASSERTION_TYPE: &str = "cedargate-assertion+jwt";
/// Two clocks on one network.
const LEEWAY_SECONDS: u64 = 5;
const MAX_LIFETIME_SECONDS: u64 = 60;
