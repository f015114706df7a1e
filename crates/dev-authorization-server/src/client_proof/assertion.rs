//! `private_key_jwt`: a client signs its own name (RFC 7523 sections 2.2 and 3).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use serde_json::Value;

use crate::{
    clients::{Client, ClientAuthentication},
    expiring::NotNew,
    issuer::Issuer,
    refusal::Refusal,
    secret::Digest,
};

/// RFC 7523 section 2.2.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Which client an assertion says it is from; nothing of it is verified yet.
pub(super) fn claimed_subject(assertion: &str) -> Option<String> {
    let payload = assertion.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims.get("sub").and_then(Value::as_str).map(str::to_owned)
}

impl Issuer {
    /// Signed by a key of the client, for this server, by and about the client, fresh, and never
    /// seen before.
    pub(super) fn verify_assertion(&self, client: &Client, assertion: &str) -> Result<(), Refusal> {
        let ClientAuthentication::PrivateKeyJwt(keys) = &client.authentication else {
            return Err(Refusal::InvalidClient);
        };
        let claims =
            self.assertion_claims(client, keys, assertion).ok_or(Refusal::InvalidClient)?;
        let number = |name: &str| claims.get(name).and_then(Value::as_f64);
        let now = jsonwebtoken::get_current_timestamp() as f64;
        let expires = number("exp").ok_or(Refusal::InvalidClient)?;
        let too_long = expires > now + MAX_LIFETIME.as_secs_f64() + LEEWAY as f64;
        let from_the_future = number("iat").is_some_and(|iat| iat > now + LEEWAY as f64);
        if too_long || from_the_future {
            return Err(Refusal::InvalidClient);
        }
        let jti = claims.get("jti").and_then(Value::as_str).ok_or(Refusal::InvalidClient)?;
        let seen = Digest::of_parts(&[&client.id, jti]);
        // Remembered for longer than it could be used.
        self.assertions.insert_new(seen, (), 2 * MAX_LIFETIME).map_err(|not_new| match not_new {
            NotNew::Known => Refusal::InvalidClient,
            NotNew::Full => Refusal::Full,
        })
    }

    fn assertion_claims(&self, client: &Client, keys: &JwkSet, assertion: &str) -> Option<Value> {
        let header = jsonwebtoken::decode_header(assertion).ok()?;
        let mut validation = Validation::new(header.alg);
        // From the server's own short list; the header only chooses from it.
        validation.algorithms = ALGORITHMS.iter().copied().filter(|&a| a == header.alg).collect();
        if validation.algorithms.is_empty() {
            return None;
        }
        validation.set_audience(&[self.identifier.clone(), format!("{}/token", self.identifier)]);
        validation.set_issuer(&[&client.id]);
        validation.sub = Some(client.id.clone());
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        candidates(keys, &header).find_map(|key| {
            let key = DecodingKey::from_jwk(key).ok()?;
            jsonwebtoken::decode::<Value>(assertion, &key, &validation).ok().map(|data| data.claims)
        })
    }
}

fn candidates<'a>(keys: &'a JwkSet, header: &'a Header) -> impl Iterator<Item = &'a Jwk> {
    keys.keys.iter().filter(|key| {
        let named = header.kid.is_none() || key.common.key_id == header.kid;
        named && is_usable(key, header.alg)
    })
}

/// Whether a client's key can sign for `algorithm`, as it says itself.
fn is_usable(key: &Jwk, algorithm: Algorithm) -> bool {
    let for_signatures = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    let own =
        key.common.key_algorithm.is_none_or(|own| own.to_string() == format!("{algorithm:?}"));
    let fits = match &key.algorithm {
        AlgorithmParameters::RSA(_) => algorithm == Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) => {
            algorithm == Algorithm::ES256 && ec.curve == EllipticCurve::P256
        }
        _ => false,
    };
    for_signatures && own && fits
}

/// Whether a key set that a stranger offers holds public signing keys of ours kinds, and few.
pub(crate) fn is_acceptable(keys: &JwkSet) -> bool {
    let usable = |key: &Jwk| ALGORITHMS.iter().any(|&algorithm| is_usable(key, algorithm));
    (1..=MAX_KEYS).contains(&keys.keys.len())
        && keys.keys.iter().all(|key| usable(key) && DecodingKey::from_jwk(key).is_ok())
}

/// What clients sign with; told in the metadata.
pub(crate) const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

/// How far ahead an assertion may expire: clients usually take five minutes or less.
const MAX_LIFETIME: Duration = Duration::from_secs(600);
/// Seconds by which clocks may differ.
const LEEWAY: u64 = 30;
const MAX_KEYS: usize = 8;
