//! Who is asking? From an `Authorization` header to verified [`Claims`], or not at all.
//!
//! RFC 6750 for how a token arrives, RFC 9068 and RFC 8725 for what makes it one of ours: RS256
//! alone, a `kid` that the issuer publishes, type `at+jwt`, and exact `iss` and `aud`.

mod jwks;
mod key_source;

use std::{collections::BTreeSet, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Uri, header};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{
    config::{IssuerConfig, is_scope_token},
    rejection::Rejection,
};
pub(crate) use jwks::Jwks;
pub use key_source::UnusableIssuer;

/// An access token as it came. It is consumed by verification, has no `Clone`, and shows nothing
/// of itself.
pub struct BearerToken(String);

/// What a verified access token says about its bearer.
///
/// Only [`TokenVerifier::verify`] makes one.
#[derive(Debug, Clone)]
pub struct Claims {
    iss: String,
    sub: String,
    client_id: String,
    jti: Option<String>,
    scopes: BTreeSet<String>,
}

/// Verifies access tokens of the configured issuers.
#[derive(Debug)]
pub(crate) struct TokenVerifier {
    issuers: Vec<TrustedIssuer>,
}

struct TrustedIssuer {
    identifier: String,
    validation: Validation,
    jwks: Jwks,
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(redacted)")
    }
}

impl fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedIssuer")
            .field("identifier", &self.identifier)
            .finish_non_exhaustive()
    }
}

impl BearerToken {
    /// Takes the token from the one `Authorization` header; nothing else may carry one
    /// (RFC 6750 section 2.1, MCP 2026-07-28 authorization).
    pub(crate) fn from_request(uri: &Uri, headers: &HeaderMap) -> Result<Self, Rejection> {
        let in_query = uri.query().unwrap_or_default().split('&').any(|pair| {
            pair.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("access_token"))
        });
        if in_query {
            return Err(Rejection::TokenInQuery);
        }
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(Rejection::NoToken)?;
        if values.next().is_some() {
            return Err(Rejection::SeveralCredentials);
        }
        let text = value.to_str().map_err(|_| Rejection::MalformedToken)?;
        let (scheme, token) = text.split_once(' ').ok_or(Rejection::NoToken)?;
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return Err(Rejection::NoToken);
        }
        let token = token.trim_matches(' ');
        let of_jwt = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !token.bytes().all(of_jwt) {
            return Err(Rejection::MalformedToken);
        }
        Ok(Self(token.to_owned()))
    }
}

impl Claims {
    pub(crate) fn iss(&self) -> &str {
        &self.iss
    }

    pub(crate) fn sub(&self) -> &str {
        &self.sub
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn jti(&self) -> Option<&str> {
        self.jti.as_deref()
    }

    pub(crate) fn scopes(&self) -> &BTreeSet<String> {
        &self.scopes
    }
}

impl TokenVerifier {
    /// Prepares one verifier for tokens of any of `issuers` that are meant for `audience`.
    pub(crate) fn new(issuers: &[IssuerConfig], audience: &str) -> Result<Self, UnusableIssuer> {
        let issuers = issuers
            .iter()
            .map(|issuer| {
                Ok(TrustedIssuer {
                    identifier: issuer.identifier.clone(),
                    validation: validation(&issuer.identifier, audience),
                    jwks: Jwks::new(issuer)?,
                })
            })
            .collect::<Result<_, UnusableIssuer>>()?;
        Ok(Self { issuers })
    }

    /// Every issuer's key set, to be kept fresh in the background.
    pub(crate) fn key_sets(&self) -> impl Iterator<Item = &Jwks> {
        self.issuers.iter().map(|issuer| &issuer.jwks)
    }

    /// Verifies `token` and consumes it.
    pub(crate) async fn verify(&self, token: BearerToken) -> Result<Claims, Rejection> {
        let header: JoseHeader = segment(&token.0, 0)?;
        if header.alg != "RS256" {
            return Err(Rejection::WrongAlgorithm);
        }
        if !header.typ.as_deref().is_some_and(is_access_token_type) {
            return Err(Rejection::WrongTokenType);
        }
        // RFC 7515 section 4.1.11: what must be understood and is not must be refused.
        if header.crit.0 {
            return Err(Rejection::MalformedToken);
        }
        let kid = header.kid.filter(|kid| !kid.is_empty()).ok_or(Rejection::NoKeyId)?;
        // Keys belong to an issuer, so a token of a stranger causes no look-up at all.
        let claimed: UnverifiedIssuer = segment(&token.0, 1)?;
        let issuer = self
            .issuers
            .iter()
            .find(|issuer| issuer.identifier == claimed.iss)
            .ok_or(Rejection::UnknownIssuer)?;
        let key = issuer.jwks.key(&kid).await?;
        let claims = jsonwebtoken::decode::<RawClaims>(&token.0, &key, &issuer.validation)
            .map_err(|error| rejection_of(error.kind()))?
            .claims;
        claims.try_into()
    }
}

/// RFC 9068 section 2.1; media type names have no case (RFC 7515 section 4.1.9).
fn is_access_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
}

fn validation(issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY_SECONDS;
    validation
}

fn rejection_of(kind: &ErrorKind) -> Rejection {
    match kind {
        ErrorKind::InvalidSignature => Rejection::BadSignature,
        ErrorKind::ExpiredSignature => Rejection::Expired,
        ErrorKind::ImmatureSignature => Rejection::NotYetActive,
        ErrorKind::InvalidAudience => Rejection::WrongAudience,
        ErrorKind::InvalidIssuer => Rejection::UnknownIssuer,
        ErrorKind::InvalidAlgorithm => Rejection::WrongAlgorithm,
        ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_)
        | ErrorKind::Json(_) => Rejection::MalformedClaims,
        _ => Rejection::MalformedToken,
    }
}

/// The JSON in one of the token's segments; canonical base64url only (RFC 7515 section 2).
fn segment<T: DeserializeOwned>(token: &str, position: usize) -> Result<T, Rejection> {
    let encoded = token.split('.').nth(position).ok_or(Rejection::MalformedToken)?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Rejection::MalformedToken)?;
    serde_json::from_slice(&decoded).map_err(|_| match position {
        0 => Rejection::MalformedToken,
        _ => Rejection::MalformedClaims,
    })
}

#[derive(Deserialize)]
struct JoseHeader {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    #[serde(default)]
    crit: Present,
}

/// Whether a member stands there, whatever it holds.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// Only for choosing whose keys to ask for; nothing is decided by it.
#[derive(Deserialize)]
struct UnverifiedIssuer {
    iss: String,
}

/// The claims by their types; a claim of another type refuses the token (RFC 9068 section 2.2).
#[derive(Deserialize)]
struct RawClaims {
    iss: String,
    sub: String,
    #[serde(rename = "aud")]
    _aud: OneOrSeveral,
    #[serde(rename = "exp")]
    _exp: u64,
    #[serde(rename = "nbf")]
    _nbf: Option<u64>,
    iat: u64,
    jti: Option<String>,
    client_id: Option<String>,
    azp: Option<String>,
    scope: Option<String>,
    scp: Option<OneOrSeveral>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

impl TryFrom<RawClaims> for Claims {
    type Error = Rejection;

    fn try_from(raw: RawClaims) -> Result<Self, Rejection> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let scopes = match (raw.scope, raw.scp) {
            (Some(scope), _) => words(&scope),
            (None, Some(OneOrSeveral::One(scp))) => words(&scp),
            (None, Some(OneOrSeveral::Several(scp))) => scp,
            (None, None) => Vec::new(),
        };
        let scopes: BTreeSet<String> = scopes.into_iter().filter(|s| !s.is_empty()).collect();
        let client_id = raw.client_id.or(raw.azp).ok_or(Rejection::MalformedClaims)?;
        let well_formed = !raw.sub.is_empty()
            && !client_id.is_empty()
            && scopes.len() <= MAX_SCOPES
            && scopes.iter().all(|scope| is_scope_token(scope));
        if !well_formed {
            return Err(Rejection::MalformedClaims);
        }
        if raw.iat > jsonwebtoken::get_current_timestamp().saturating_add(LEEWAY_SECONDS) {
            return Err(Rejection::NotYetActive);
        }
        Ok(Self { iss: raw.iss, sub: raw.sub, client_id, jti: raw.jti, scopes })
    }
}

/// Tokens with many groups reach five kilobytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// A refusal asks one question for each scope; no honest token has more.
const MAX_SCOPES: usize = 128;
/// Two clocks on one network; RFC 7519 section 4.1.4 allows "a small leeway".
const LEEWAY_SECONDS: u64 = 30;

#[cfg(test)]
impl Claims {
    /// Claims that no verifier made.
    pub(crate) fn for_test(sub: &str, scopes: &[&str]) -> Self {
        Self {
            iss: "https://issuer.example.com".to_owned(),
            sub: sub.to_owned(),
            client_id: "client".to_owned(),
            jti: None,
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn extract(uri: &'static str, values: &[&str]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        BearerToken::from_request(&Uri::from_static(uri), &headers)
            .map(|token| token.0)
            .map_err(|rejection| rejection.reason())
    }

    #[test]
    fn the_token_comes_from_one_bearer_header() {
        assert_eq!(extract("/mcp", &["Bearer a.b.c"]), Ok("a.b.c".to_owned()));
        assert_eq!(extract("/mcp", &["bEARER  a.b.c "]), Ok("a.b.c".to_owned()));
        for (uri, values, reason) in [
            ("/mcp", vec![], "no-token"),
            ("/mcp", vec!["Basic a.b.c"], "no-token"),
            ("/mcp", vec!["Bearer"], "no-token"),
            ("/mcp", vec!["Bearer "], "malformed-token"),
            ("/mcp", vec!["Bearer a b"], "malformed-token"),
            ("/mcp", vec!["Bearer a.b.c, Bearer d.e.f"], "malformed-token"),
            ("/mcp", vec!["Bearer a.b.c", "Bearer a.b.c"], "several-credentials"),
            ("/mcp?access_token=a.b.c", vec!["Bearer a.b.c"], "token-in-query"),
            ("/mcp?x=1&ACCESS_TOKEN=a", vec![], "token-in-query"),
        ] {
            assert_eq!(extract(uri, &values), Err(reason), "{uri} {values:?}");
        }
        assert_eq!(
            extract("/mcp", &[&format!("Bearer {}", "a".repeat(9000))]),
            Err("malformed-token")
        );
    }

    #[test]
    fn a_token_shows_nothing_of_itself() {
        assert_eq!(format!("{:?}", BearerToken("secret".to_owned())), "BearerToken(redacted)");
    }
}
