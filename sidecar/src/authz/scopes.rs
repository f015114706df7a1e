//! The scopes that policies speak of, for the resource metadata and the search for missing ones:
//! what stands in a policy is not written a second time.

use std::collections::BTreeSet;

use cedar_policy::Policy;
use serde_json::Value;

/// Every scope that `policies` look for in `principal.scopes`.
pub(super) fn spoken_of<'a>(policies: impl Iterator<Item = &'a Policy>) -> BTreeSet<String> {
    let mut scopes = BTreeSet::new();
    for policy in policies {
        if let Ok(json) = policy.to_json() {
            collect(&json, &mut scopes);
        }
    }
    scopes
}

/// Looks for `principal.scopes.contains(…)`, `.containsAll([…])` and `.containsAny([…])` in Cedar's
/// JSON form of a policy (its depth is bounded where it was read).
fn collect(expression: &Value, scopes: &mut BTreeSet<String>) {
    match expression {
        Value::Array(items) => items.iter().for_each(|item| collect(item, scopes)),
        Value::Object(members) => {
            for (operator, operands) in members {
                let asks = matches!(operator.as_str(), "contains" | "containsAll" | "containsAny");
                if asks && operands.get("left").is_some_and(is_scopes_of_principal) {
                    literals(operands.get("right"), scopes);
                }
                collect(operands, scopes);
            }
        }
        _ => {}
    }
}

fn is_scopes_of_principal(left: &Value) -> bool {
    left.pointer("/./attr") == Some(&Value::from("scopes"))
        && left.pointer("/./left/Var") == Some(&Value::from("principal"))
}

fn literals(right: Option<&Value>, scopes: &mut BTreeSet<String>) {
    let Some(right) = right else { return };
    if let Some(scope) = right.get("Value").and_then(Value::as_str) {
        scopes.insert(scope.to_owned());
    }
    for item in right.get("Set").and_then(Value::as_array).into_iter().flatten() {
        literals(Some(item), scopes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_found_wherever_a_policy_looks_for_them() {
        let text = r#"
            permit (principal, action, resource)
            when { principal.scopes.contains("a:read") || context.x.contains("no") }
            unless { principal.scopes.containsAny(["b", "c"]) && !principal.scopes.containsAll(["d"]) };
        "#;
        let policy: Policy = text.parse().unwrap();
        let found = spoken_of([policy].iter());
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["a:read", "b", "c", "d"]);
    }
}
