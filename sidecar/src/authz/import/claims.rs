//! What neighbours' policies ask of a token's claims, as ours ask it.

use serde_json::{Value, json};

use super::expression::{binary, literal, member, not, of_principal, variable};

/// The value of a claim that is a text.
pub(super) fn claim(name: &str) -> Result<Value, String> {
    match name {
        "sub" => Ok(of_principal("id")),
        "iss" => Ok(of_principal("iss")),
        "client_id" | "azp" => Ok(member(of_principal("client"), "id")),
        "scope" | "scp" => Err(format!(
            "looks at the claim `{name}` as one text; scopes are asked for one by one here, with `principal.scopes.contains(\"…\")`"
        )),
        "aud" | "jti" => Err(format!("looks at the claim `{name}`, which no policy sees here")),
        other => Ok(binary("getTag", variable("principal"), literal(other))),
    }
}

/// Whether a claim is there.
pub(super) fn has_claim(name: &str) -> Result<Value, String> {
    match name {
        // No token gets as far as policies without these.
        "sub" | "iss" | "client_id" | "azp" => Ok(literal(true)),
        "scope" | "scp" => Ok(is_some("scopes")),
        "aud" | "jti" => Err(format!("looks at the claim `{name}`, which no policy sees here")),
        other => Ok(binary("hasTag", variable("principal"), literal(other))),
    }
}

/// `principal.scopes.contains("word")`
pub(super) fn has_scope(word: &str) -> Value {
    binary("contains", of_principal("scopes"), literal(word))
}

/// Whether there is anything in a set of the principal's.
pub(super) fn is_some(set: &str) -> Value {
    not(json!({ "isEmpty": { "arg": of_principal(set) } }))
}

/// A conjunction without the parts that ask whether there is anything in a set, where another part
/// finds something in it.
pub(super) fn without_needless(parts: Vec<Value>) -> Vec<Value> {
    let needless = |part: &Value| {
        let set = ["scopes", "roles"].into_iter().find(|set| *part == is_some(set));
        set.is_some_and(|set| parts.iter().any(|other| finds_in(other, set)))
    };
    parts.iter().filter(|part| !needless(part)).cloned().collect()
}

/// Whether an expression holds only where something is in the set.
fn finds_in(expression: &Value, set: &str) -> bool {
    let each = |name: &str| {
        let operands = expression.get(name)?;
        let holds = |side: &str| operands.get(side).is_some_and(|part| finds_in(part, set));
        Some((holds("left"), holds("right")))
    };
    let of_set = |name: &str| {
        expression.get(name).and_then(|operands| operands.get("left")) == Some(&of_principal(set))
    };
    of_set("contains")
        || of_set("containsAny")
        || each("||").is_some_and(|(left, right)| left && right)
        || each("&&").is_some_and(|(left, right)| left || right)
}
