//! What a verified token says about its bearer, each claim by its type; a claim of another type
//! refuses the token (RFC 9068 section 2.2, RFC 8725 section 3.12).

mod unverified;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::proof::Confirmation;
use crate::{
    config::{ClaimPath, TokenRules, TokenType, is_scope_token},
    message::json::{Json, Number, Object},
    rejection::Rejection,
};

pub(crate) use unverified::Supposed;

/// What a verified access token says about its bearer.
///
/// Only [`TokenVerifier::verify`](super::TokenVerifier::verify) makes one.
#[derive(Debug, Clone)]
pub struct Claims {
    iss: String,
    sub: String,
    client_id: String,
    jti: Option<String>,
    /// How revocations call a token without a `jti`.
    digest: Option<String>,
    scopes: BTreeSet<String>,
    groups: BTreeSet<String>,
    roles: BTreeSet<String>,
    tenant: Option<String>,
    zone: Option<String>,
    tags: BTreeMap<String, String>,
    confirmation: Confirmation,
    issued_at: Seconds,
    exp: Seconds,
    /// Its issuer's leeway included.
    expires_at: Seconds,
}

/// Seconds since 1970 (RFC 7519 section 2, NumericDate).
pub(crate) type Seconds = i64;

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

    /// The same, of the token that said so.
    pub(super) fn of_token(mut self, token: &str) -> Self {
        self.digest = self.jti.is_none().then(|| super::name_of(token));
        self
    }

    pub(super) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    pub(crate) fn scopes(&self) -> &BTreeSet<String> {
        &self.scopes
    }

    pub(crate) fn groups(&self) -> &BTreeSet<String> {
        &self.groups
    }

    pub(crate) fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Other claims that are texts.
    pub(crate) fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    pub(crate) fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// `iat`.
    pub(super) fn issued_at(&self) -> Seconds {
        self.issued_at
    }

    /// When the token ends by its own word, whatever the gate's rules say.
    pub(super) fn ends(&self) -> Seconds {
        self.exp
    }

    /// To what the token is bound.
    pub(super) fn confirmation(&self) -> &Confirmation {
        &self.confirmation
    }

    /// Whether the token has not ended.
    pub(super) fn is_current(&self) -> bool {
        now() < self.expires_at
    }

    /// How long the token is still good.
    pub(crate) fn time_left(&self) -> Duration {
        let left = self.expires_at.saturating_sub(now());
        Duration::from_secs(u64::try_from(left).unwrap_or(0))
    }

    /// Reads the claims of a token whose signature has been verified, by the rules of its issuer.
    pub(super) fn read(
        claims: &Object,
        rules: &TokenRules,
        audience: &str,
    ) -> Result<Self, Rejection> {
        let iss = required(text(claims, "iss")?)?;
        let Times { issued_at, exp, expires_at } = in_time(claims, rules)?;
        is_for(claims.get("aud"), rules, audience)?;
        let named = (text(claims, "client_id")?, text(claims, "azp")?);
        let client_id = match named {
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => required(one(claims, rules.claims.client.as_ref())?)?,
        };
        if rules.token_type == TokenType::Jwt {
            is_access_token(claims, &client_id)?;
        }
        let confirmation = Confirmation::read(claims)?;
        confirmation.satisfies(rules.proof)?;
        let scopes = scopes(claims)?;
        let sub = required(text(claims, "sub")?)?;
        let mapping = &rules.claims;
        Ok(Self {
            iss,
            sub,
            client_id,
            jti: text(claims, "jti")?,
            digest: None,
            scopes,
            groups: several(claims, mapping.groups.as_ref())?,
            roles: several(claims, mapping.roles.as_ref())?,
            tenant: one(claims, mapping.tenant.as_ref())?,
            zone: one(claims, mapping.zone.as_ref())?,
            tags: tags(claims),
            confirmation,
            issued_at,
            exp,
            expires_at,
        })
    }
}

/// `iss` of claims that nobody has verified.
pub(super) fn claimed_issuer(claims: &Object) -> Result<&str, Rejection> {
    claims.get("iss").and_then(Json::as_str).ok_or(Rejection::MalformedClaims)
}

/// When a token was issued, when it ends by its own word, and when by its issuer's rules.
struct Times {
    issued_at: Seconds,
    exp: Seconds,
    expires_at: Seconds,
}

/// `exp`, `nbf` and `iat` (RFC 7519 section 4.1).
fn in_time(claims: &Object, rules: &TokenRules) -> Result<Times, Rejection> {
    let leeway = seconds(rules.leeway);
    let now = now();
    let exp = required(date(claims, "exp")?)?;
    let iat = required(date(claims, "iat")?)?;
    let ends = exp.saturating_add(leeway);
    if now >= ends {
        return Err(Rejection::Expired);
    }
    let begins = date(claims, "nbf")?.map_or(iat, |nbf| nbf.max(iat));
    if begins > now.saturating_add(leeway) {
        return Err(Rejection::NotYetActive);
    }
    let expires_at = match rules.max_age {
        None => ends,
        Some(max_age) => {
            let oldest = iat.saturating_add(seconds(max_age)).saturating_add(leeway);
            if now >= oldest {
                return Err(Rejection::TooOld);
            }
            ends.min(oldest)
        }
    };
    Ok(Times { issued_at: iat, exp, expires_at })
}

/// `aud` names this resource, as one string or among several (RFC 7519 section 4.1.3).
fn is_for(aud: Option<&Json>, rules: &TokenRules, audience: &str) -> Result<(), Rejection> {
    let ours = |named: &str| match &rules.audiences {
        Some(audiences) => audiences.iter().any(|one| one == named),
        None => named == audience,
    };
    let named = match aud {
        Some(Json::String(one)) => return told(ours(one)),
        Some(Json::Array(several)) => several,
        _ => return Err(Rejection::MalformedClaims),
    };
    let named: Vec<&str> =
        named.iter().map(Json::as_str).collect::<Option<_>>().ok_or(Rejection::MalformedClaims)?;
    told(named.into_iter().any(ours))
}

fn told(ours: bool) -> Result<(), Rejection> {
    if ours { Ok(()) } else { Err(Rejection::WrongAudience) }
}

/// Where the header says nothing, the claims must: an ID token is about a login and for the client
/// itself, a refresh or logout token says so (RFC 8725 section 3.12).
fn is_access_token(claims: &Object, client_id: &str) -> Result<(), Rejection> {
    let has = |names: &[&str]| names.iter().any(|name| claims.get(name).is_some());
    let of_other_kinds = ["nonce", "at_hash", "c_hash", "s_hash", "events", "sub_jwk"];
    let for_client = match claims.get("aud") {
        Some(Json::String(one)) => one == client_id,
        Some(Json::Array(several)) => several.iter().any(|one| one.as_str() == Some(client_id)),
        _ => true,
    };
    // Where one registration is client and API, only the scopes tell.
    let of_a_login = for_client && !has(&["scope", "scp"]);
    // What an access token has and an ID token has not.
    let grants = has(&["scope", "scp", "roles"]);
    let other = has(&of_other_kinds) || says_it_is_another(claims) || of_a_login || !grants;
    if other { Err(Rejection::WrongTokenType) } else { Ok(()) }
}

/// Whether the claims themselves name another kind of token, in the words of Keycloak, of Cognito
/// and Hydra, of Glewlwyd.
pub(super) fn says_it_is_another(claims: &Object) -> bool {
    says_otherwise(claims, "typ", &["Bearer", "DPoP", "at+jwt"])
        || says_otherwise(claims, "token_use", &["access", "access_token"])
        || says_otherwise(claims, "type", &["access_token"])
}

fn says_otherwise(claims: &Object, name: &str, access: &[&str]) -> bool {
    claims.get(name).is_some_and(|kind| kind.as_str().is_none_or(|kind| !access.contains(&kind)))
}

/// `scope` (RFC 9068 section 2.2.3), or `scp` where an issuer calls it so; whole words only.
fn scopes(claims: &Object) -> Result<BTreeSet<String>, Rejection> {
    let words = match (claims.get("scope"), claims.get("scp")) {
        (Some(Json::String(text)), _) | (None, Some(Json::String(text))) => {
            text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        (None, Some(list @ Json::Array(_))) => strings(list)?,
        (None, None) => BTreeSet::new(),
        _ => return Err(Rejection::MalformedClaims),
    };
    let well_formed = words.len() <= MAX_SCOPES && words.iter().all(|word| is_scope_token(word));
    if well_formed { Ok(words) } else { Err(Rejection::MalformedClaims) }
}

fn at<'a>(claims: &'a Object, path: &ClaimPath) -> Option<&'a Json> {
    let (last, way) = path.names().split_last()?;
    let inner = way.iter().try_fold(claims, |object, name| object.get(name)?.as_object())?;
    inner.get(last)
}

fn one(claims: &Object, path: Option<&ClaimPath>) -> Result<Option<String>, Rejection> {
    match path.and_then(|path| at(claims, path)) {
        None => Ok(None),
        Some(Json::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(Rejection::MalformedClaims),
    }
}

fn several(claims: &Object, path: Option<&ClaimPath>) -> Result<BTreeSet<String>, Rejection> {
    path.and_then(|path| at(claims, path)).map_or(Ok(BTreeSet::new()), strings)
}

/// One string, or a list of them.
fn strings(value: &Json) -> Result<BTreeSet<String>, Rejection> {
    let strings = match value {
        Json::String(one) => BTreeSet::from([one.clone()]),
        Json::Array(list) => list
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or(Rejection::MalformedClaims)?,
        _ => return Err(Rejection::MalformedClaims),
    };
    if strings.iter().any(String::is_empty) { Err(Rejection::MalformedClaims) } else { Ok(strings) }
}

/// A claim that must be text where it stands, and not an empty one.
fn text(claims: &Object, name: &str) -> Result<Option<String>, Rejection> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(Rejection::MalformedClaims),
    }
}

/// A NumericDate, to the second below; some issuers give it to the nanosecond.
fn date(claims: &Object, name: &str) -> Result<Option<Seconds>, Rejection> {
    let seconds = |number: &Number| {
        number.scaled(0).or_else(|| number.scaled(9).map(|time| time.div_euclid(1_000_000_000)))
    };
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Number(number)) => {
            let time = seconds(number).filter(|&time| time >= 0);
            time.map(Some).ok_or(Rejection::MalformedClaims)
        }
        Some(_) => Err(Rejection::MalformedClaims),
    }
}

/// Every other claim that is a text, for as far as they are short.
fn tags(claims: &Object) -> BTreeMap<String, String> {
    claims
        .iter()
        .filter(|(name, _)| !READ_OTHERWISE.contains(name))
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .filter(|(name, value)| name.len() + value.len() <= MAX_TAG_BYTES)
        .take(MAX_TAGS)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn required<T>(claim: Option<T>) -> Result<T, Rejection> {
    claim.ok_or(Rejection::MalformedClaims)
}

fn seconds(duration: Duration) -> Seconds {
    Seconds::try_from(duration.as_secs()).unwrap_or(Seconds::MAX)
}

pub(super) fn now() -> Seconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, seconds)
}

/// What is no news to policies, or none of theirs.
const READ_OTHERWISE: [&str; 8] = ["iss", "sub", "aud", "client_id", "azp", "jti", "scope", "scp"];
/// A known token takes a kilobyte at most.
const MAX_TAGS: usize = 16;
const MAX_TAG_BYTES: usize = 128;
/// A refusal asks one question for each scope; no honest token has more.
const MAX_SCOPES: usize = 128;
