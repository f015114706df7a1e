//! An issuer's keys, ready to verify with: the usable ones of a JWK set (RFC 7517), each for the
//! algorithms it is meant for and no other.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use tokio::time::Instant;

/// The keys of one successful fetch. Replaced whole.
pub(super) struct KeyTable {
    by_kid: HashMap<String, Arc<VerifyingKey>>,
    /// The one key of a set that holds no other.
    only: Option<Arc<VerifyingKey>>,
    pub(super) asked_at: Instant,
    pub(super) fetched_at: Instant,
}

/// A public key and what it may verify (RFC 8725 section 3.2: one key, one algorithm).
pub(super) struct VerifyingKey {
    jwk: Value,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl KeyTable {
    /// The usable keys of `set` for an issuer that signs with one of `algorithms`.
    ///
    /// Other keys are passed over, so that one odd key does not spoil the set; of keys that share
    /// a `kid` none is used. A key that was in the table `before` stays the same key.
    pub(super) fn new(
        set: &[Value],
        algorithms: &[Algorithm],
        before: Option<&Self>,
        asked_at: Instant,
    ) -> Self {
        let mut count: HashMap<&str, usize> = HashMap::new();
        for kid in set.iter().filter_map(kid) {
            *count.entry(kid).or_default() += 1;
        }
        let mut by_kid = HashMap::new();
        let mut only = None;
        for jwk in set {
            let named = kid(jwk);
            if named.is_some_and(|kid| count.get(kid) != Some(&1)) {
                continue;
            }
            let same = before.and_then(|table| table.equal(jwk));
            let Some(key) = same.or_else(|| VerifyingKey::new(jwk, algorithms).map(Arc::new))
            else {
                continue;
            };
            if let [_] = set {
                only = Some(Arc::clone(&key));
            }
            if let Some(kid) = named {
                by_kid.insert(kid.to_owned(), key);
            }
        }
        Self { by_kid, only, asked_at, fetched_at: Instant::now() }
    }

    /// The key that `kid` names; without a name, the one key that there is.
    pub(super) fn get(&self, kid: Option<&str>) -> Option<&Arc<VerifyingKey>> {
        match kid {
            Some(kid) => self.by_kid.get(kid),
            None => self.only.as_ref(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_kid.len().max(usize::from(self.only.is_some()))
    }

    fn equal(&self, jwk: &Value) -> Option<Arc<VerifyingKey>> {
        let key = self.get(kid(jwk))?;
        (key.jwk == *jwk).then(|| Arc::clone(key))
    }
}

impl VerifyingKey {
    /// The key, if it may verify signatures of one of `allowed`.
    pub(super) fn new(jwk: &Value, allowed: &[Algorithm]) -> Option<Self> {
        let (key, fitting) = public_key(jwk)?;
        let meant = match jwk.get("alg") {
            None => fitting.to_vec(),
            Some(alg) => fitting.iter().copied().filter(|&a| is_named(a, alg)).collect(),
        };
        let algorithms: Vec<_> = meant.into_iter().filter(|a| allowed.contains(a)).collect();
        (!algorithms.is_empty() && is_for_verifying(jwk)).then(|| Self {
            jwk: jwk.clone(),
            key,
            algorithms,
        })
    }

    pub(super) fn admits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(super) fn as_decoding_key(&self) -> &DecodingKey {
        &self.key
    }
}

/// The public key and every algorithm that its kind could verify.
fn public_key(jwk: &Value) -> Option<(DecodingKey, &'static [Algorithm])> {
    let text = |member: &str| jwk.get(member)?.as_str();
    let curve = text("crv");
    match text("kty")? {
        "RSA" => {
            let (n, e) = (text("n")?, text("e")?);
            // RFC 7518 section 3.3; beyond, one verification would cost as much as a hundred.
            if !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&modulus_bits(n)) {
                return None;
            }
            Some((DecodingKey::from_rsa_components(n, e).ok()?, RSA_ALGORITHMS))
        }
        "EC" => {
            let (fitting, bytes): (&[Algorithm], usize) = match curve? {
                "P-256" => (&[Algorithm::ES256], 32),
                "P-384" => (&[Algorithm::ES384], 48),
                _ => return None,
            };
            // RFC 7518 section 6.2.1.2: coordinates of full length.
            let (x, y) = (text("x")?, text("y")?);
            let full = |part: &str| URL_SAFE_NO_PAD.decode(part).is_ok_and(|p| p.len() == bytes);
            (full(x) && full(y)).then_some(())?;
            Some((DecodingKey::from_ec_components(x, y).ok()?, fitting))
        }
        "OKP" if curve? == "Ed25519" => {
            let x = text("x")?;
            URL_SAFE_NO_PAD.decode(x).is_ok_and(|p| p.len() == 32).then_some(())?;
            Some((DecodingKey::from_ed_components(x).ok()?, &[Algorithm::EdDSA]))
        }
        _ => None,
    }
}

fn is_for_verifying(jwk: &Value) -> bool {
    let verifies = |ops: &Value| ops.as_array().is_some_and(|a| a.contains(&Value::from("verify")));
    jwk.get("use").is_none_or(|usage| usage == "sig") && jwk.get("key_ops").is_none_or(verifies)
}

fn is_named(algorithm: Algorithm, name: &Value) -> bool {
    let name = name.as_str().unwrap_or_default();
    // RFC 9864 gives EdDSA over this curve a name of its own.
    name.parse::<Algorithm>().is_ok_and(|named| named == algorithm)
        || (name == "Ed25519" && algorithm == Algorithm::EdDSA)
}

fn kid(jwk: &Value) -> Option<&str> {
    jwk.get("kid")?.as_str().filter(|kid| !kid.is_empty())
}

fn modulus_bits(n: &str) -> usize {
    let bytes = URL_SAFE_NO_PAD.decode(n).unwrap_or_default();
    let mut significant = bytes.iter().skip_while(|&&byte| byte == 0);
    match significant.next() {
        Some(first) => significant.count() * 8 + (8 - first.leading_zeros() as usize),
        None => 0,
    }
}

const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
/// RFC 7518 section 3.3.
const MIN_MODULUS_BITS: usize = 2048;
const MAX_MODULUS_BITS: usize = 8192;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::token::ALGORITHMS;

    fn rsa(kid: &str, more: Value) -> Value {
        let mut key = json!({
            "kty": "RSA", "kid": kid, "e": "AQAB",
            "n": URL_SAFE_NO_PAD.encode([0xC5_u8; 256]),
        });
        for (name, value) in more.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    fn kids(keys: &[Value]) -> Vec<String> {
        let table = KeyTable::new(keys, &[Algorithm::RS256], None, Instant::now());
        let mut kids: Vec<_> = table.by_kid.into_keys().collect();
        kids.sort();
        kids
    }

    #[test]
    fn odd_keys_are_passed_over_and_do_not_spoil_the_set() {
        let padded = URL_SAFE_NO_PAD.encode([vec![0; 128], vec![0xC5; 128]].concat());
        let keys = [
            rsa("plain", json!({})),
            rsa("signing", json!({ "use": "sig", "alg": "RS256" })),
            rsa("encrypting", json!({ "use": "enc" })),
            rsa("other-algorithm", json!({ "alg": "PS256" })),
            rsa("algorithm-of-another-kind", json!({ "alg": "HS256" })),
            rsa("no-algorithm-at-all", json!({ "alg": null })),
            rsa("not-for-verifying", json!({ "key_ops": ["sign"] })),
            rsa("small", json!({ "n": URL_SAFE_NO_PAD.encode([0xC5_u8; 128]) })),
            rsa("padded-small", json!({ "n": padded })),
            rsa("huge", json!({ "n": URL_SAFE_NO_PAD.encode([0xC5_u8; 2048]) })),
            rsa("", json!({})),
            json!({ "kty": "oct", "kid": "shared-secret", "k": "AAAA" }),
            json!({ "kty": "AKP", "kid": "from-the-future" }),
            json!("not even an object"),
        ];
        assert_eq!(kids(&keys), ["plain", "signing"]);
    }

    #[test]
    fn of_keys_that_share_a_kid_none_is_used() {
        let keys = [rsa("a", json!({})), rsa("b", json!({})), rsa("a", json!({ "use": "enc" }))];
        assert_eq!(kids(&keys), ["b"]);
    }

    #[test]
    fn a_key_verifies_what_it_is_meant_for_and_nothing_else() {
        let coordinate = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![7_u8; bytes]);
        let ec = |crv: &str, bytes: usize| json!({ "kty": "EC", "crv": crv, "x": coordinate(bytes), "y": coordinate(bytes) });
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": coordinate(32) });
        let all = ALGORITHMS.map(|(_, algorithm)| algorithm);
        let of = |jwk: &Value, allowed: &[Algorithm]| {
            VerifyingKey::new(jwk, allowed).map(|key| key.algorithms).unwrap_or_default()
        };
        assert_eq!(of(&rsa("k", json!({})), &all), RSA_ALGORITHMS);
        assert_eq!(of(&rsa("k", json!({ "alg": "PS384" })), &all), [Algorithm::PS384]);
        assert_eq!(of(&rsa("k", json!({})), &[Algorithm::RS256]), [Algorithm::RS256]);
        assert_eq!(of(&ec("P-256", 32), &all), [Algorithm::ES256]);
        assert_eq!(of(&ec("P-384", 48), &all), [Algorithm::ES384]);
        assert_eq!(of(&ed, &all), [Algorithm::EdDSA]);
        for odd in [ec("P-256", 31), ec("P-521", 66), ec("secp256k1", 32)] {
            assert_eq!(of(&odd, &all), [], "{odd}");
        }
        assert_eq!(of(&ec("P-256", 32), &[Algorithm::RS256]), []);
    }

    #[test]
    fn a_token_without_a_kid_needs_a_set_of_one_key() {
        let table = |keys: &[Value]| KeyTable::new(keys, &[Algorithm::RS256], None, Instant::now());
        assert!(table(&[rsa("a", json!({}))]).get(None).is_some());
        let mut nameless = rsa("", json!({}));
        nameless.as_object_mut().unwrap().remove("kid");
        assert!(table(&[nameless]).get(None).is_some());
        assert!(table(&[rsa("a", json!({})), rsa("b", json!({}))]).get(None).is_none());
        // A key that is not ours to use is a key all the same.
        let other = json!({ "kty": "EC", "kid": "b", "crv": "P-521" });
        assert!(table(&[rsa("a", json!({})), other]).get(None).is_none());
    }

    #[test]
    fn a_key_that_stays_published_stays_the_same_key() {
        let keys = [rsa("a", json!({})), rsa("b", json!({}))];
        let before = KeyTable::new(&keys, &[Algorithm::RS256], None, Instant::now());
        let changed = rsa("b", json!({ "n": URL_SAFE_NO_PAD.encode([0xC7_u8; 256]) }));
        let after = KeyTable::new(
            &[keys[0].clone(), changed],
            &[Algorithm::RS256],
            Some(&before),
            Instant::now(),
        );
        let same = |kid| Arc::ptr_eq(before.get(Some(kid)).unwrap(), after.get(Some(kid)).unwrap());
        assert!(same("a"));
        assert!(!same("b"), "another key under the name of the old one");
    }
}
