//! Public vectors of signatures, good and broken.

use std::io::Write as _;

use serde_json::Value;

use super::super::{key_table::VerifyingKey, *};
use crate::vectors;

/// C2SP/wycheproof, `json_web_signature_test.json`: every vector is put to the reader and the
/// key's rules as a token of an issuer with that one key; those whose algorithm is never
/// offered, or is not the key's own, must be refused whatever the vectors say.
#[test]
fn wycheproof_signatures() {
    let name = "wycheproof/json_web_signature_test.json";
    let Some(file) = vectors::find(name, "testvectors_v1 of github.com/C2SP/wycheproof") else {
        return;
    };
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let (mut accepted, mut refused, mut never_offered) = (0, 0, 0);
    for group in vectors["testGroups"].as_array().unwrap() {
        let jwk = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().unwrap() {
            let is_valid = test["result"] == "valid";
            let offered = matches!(jwk["kty"].as_str(), Some("RSA" | "EC"))
                && jwk["crv"] != "P-521"
                // Two vectors use a key for an algorithm that is not its own.
                && !matches!(test["tcId"].as_u64(), Some(346 | 350));
            let Some(jws) = test["jws"].as_str() else {
                assert!(!is_valid, "{test}: only the JSON forms are no text");
                refused += 1;
                continue;
            };
            let taken = is_accepted(jws, jwk);
            assert_eq!(taken, is_valid && offered, "{} {jws}", test["tcId"]);
            match (taken, is_valid) {
                (true, _) => accepted += 1,
                (false, true) => never_offered += 1,
                (false, false) => refused += 1,
            }
        }
    }
    let total = accepted + refused + never_offered;
    drop(writeln!(
        std::io::stderr(),
        "wycheproof: {total} vectors, {accepted} accepted, {refused} invalid ones refused, \
         {never_offered} valid ones refused for their algorithm"
    ));
    assert_eq!(total, 401);
    assert!(accepted > 30, "{accepted}");
}

fn is_accepted(jws: &str, jwk: &Value) -> bool {
    let all = ALGORITHMS.map(|(_, algorithm)| algorithm);
    let Ok(jws) = Jws::read(jws) else { return false };
    let Some(algorithm) = named(&ALGORITHMS, &jws.header.alg) else { return false };
    let Some(key) = VerifyingKey::new(jwk, &all) else { return false };
    jws.is_signed_by(&key, algorithm)
}
