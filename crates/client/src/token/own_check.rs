//! A client's look at its own token before it leaves: signed by its issuer, for this resource, for
//! now. A signature that cannot be verified is no signature; an opaque token is the gate's to ask
//! about.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{Jwk, PublicKeyUse},
};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::Value;

use super::{error::TokenError, fetch::document};
use crate::secret::Secret;

/// What is known of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// A JWT of the issuer's, for this resource, that has not expired.
    Verified,
    /// Only its issuer can read it.
    Opaque,
}

/// Checks tokens of one issuer for one resource.
#[derive(Debug)]
pub(super) struct OwnCheck {
    pub(super) http: Client,
    pub(super) issuer: String,
    /// One of these must be an audience of the token.
    pub(super) audiences: Vec<String>,
    pub(super) jwks_uri: Option<Url>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Claims {
    /// Seconds since 1970, which some issuers write with a fraction.
    exp: Option<f64>,
    cnf: Option<Confirmation>,
}

#[derive(Deserialize)]
struct Confirmation {
    jkt: Option<String>,
}

impl OwnCheck {
    /// Yields when the token expires, where it says so. With `thumbprint`, a JWT must be bound to
    /// that key (RFC 9449 section 6.1).
    pub(super) async fn check(
        &self,
        token: &Secret,
        thumbprint: Option<&str>,
    ) -> Result<(Checked, Option<u64>), TokenError> {
        let unfit = |what: String| TokenError::Unfit(what);
        if !is_jwt(token.expose()) {
            return Ok((Checked::Opaque, None));
        }
        let header = jsonwebtoken::decode_header(token.expose())
            .map_err(|error| unfit(format!("its header cannot be read ({error})")))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(unfit(format!("it is signed with {:?}", header.alg)));
        }
        let keys = self.keys().await?;
        let mut candidates = keys.iter().filter(|key| {
            let named = header.kid.is_none() || key.common.key_id == header.kid;
            let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
            named && signs
        });
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&self.audiences);
        validation.set_required_spec_claims(&["aud", "exp", "iss"]);
        let mut failure = "none of its issuer's keys signed it".to_owned();
        let claims = candidates.find_map(|key| {
            let key = DecodingKey::from_jwk(key).ok()?;
            jsonwebtoken::decode::<Claims>(token.expose(), &key, &validation)
                .map(|read| read.claims)
                .inspect_err(|error| failure = described(error.kind()))
                .ok()
        });
        let claims = claims.ok_or_else(|| unfit(failure))?;
        let bound = claims.cnf.and_then(|cnf| cnf.jkt);
        if bound.as_deref() != thumbprint {
            return Err(unfit("it is bound to another key than ours".to_owned()));
        }
        Ok((Checked::Verified, claims.exp.map(|exp| exp.max(0.0) as u64)))
    }

    async fn keys(&self) -> Result<Vec<Jwk>, TokenError> {
        let url = self.jwks_uri.as_ref();
        let url = url.ok_or_else(|| {
            TokenError::Unfit("its issuer publishes no keys to check it with".to_owned())
        })?;
        let set: Option<KeySet> = document(&self.http, url).await?;
        let set = set.ok_or_else(|| super::fetch::wrong(url, "there are no keys"))?;
        // A key of a kind that is not known here does not spoil the others.
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }
}

/// Whether it claims to be a signed JWT, well made or not.
fn is_jwt(token: &str) -> bool {
    let mut parts = token.split('.');
    let (header, rest) = (parts.next().unwrap_or_default(), parts.count());
    let header = BASE64URL_NOPAD.decode(header.as_bytes()).ok();
    let header: Option<Value> = header.and_then(|header| serde_json::from_slice(&header).ok());
    rest == 2 && header.is_some_and(|header| header.get("alg").is_some())
}

fn described(kind: &jsonwebtoken::errors::ErrorKind) -> String {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => "its signature is not its issuer's".to_owned(),
        ErrorKind::InvalidIssuer => "it names another issuer".to_owned(),
        ErrorKind::InvalidAudience => "it is for another resource".to_owned(),
        ErrorKind::ExpiredSignature => "it has expired already; check both clocks".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("it lacks `{claim}`"),
        _ => "it is malformed".to_owned(),
    }
}

/// What the gate can be configured to take.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
