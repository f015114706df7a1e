//! Scopes: which of them policies speak of, and which imply others. What stands in a policy is not
//! written a second time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The scopes that policies look for in `principal.scopes`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SpokenScopes {
    pub(super) named: BTreeSet<String>,
    /// Whether they are also looked at otherwise than by name, so that any may matter.
    pub(super) and_others: bool,
}

impl SpokenScopes {
    /// Of one policy, in Cedar's JSON form.
    pub(super) fn of(policy: &Value) -> Self {
        let mut spoken = Self::default();
        spoken.collect(policy);
        spoken
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.named.extend(other.named.iter().cloned());
        self.and_others |= other.and_others;
    }

    /// Looks for `principal.scopes.contains(…)`, `.containsAll([…])` and `.containsAny([…])` in
    /// Cedar's JSON form of a policy (its depth is bounded where it was read).
    fn collect(&mut self, expression: &Value) {
        match expression {
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(members) => {
                for (operator, operands) in members {
                    let asks =
                        matches!(operator.as_str(), "contains" | "containsAll" | "containsAny");
                    let of_scopes = operands.get("left").is_some_and(is_scopes_of_principal);
                    let named = operands.get("right").and_then(literals);
                    match named.filter(|_| asks && of_scopes) {
                        Some(named) => self.named.extend(named),
                        None => {
                            self.and_others |= operator == "." && is_scopes_operands(operands);
                            self.collect(operands);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_scopes_of_principal(left: &Value) -> bool {
    left.get(".").is_some_and(is_scopes_operands)
}

fn is_scopes_operands(operands: &Value) -> bool {
    operands.get("attr") == Some(&Value::from("scopes"))
        && operands.pointer("/left/Var") == Some(&Value::from("principal"))
}

/// A text, or a set of nothing but texts.
fn literals(right: &Value) -> Option<Vec<String>> {
    if let Some(scope) = right.get("Value").and_then(Value::as_str) {
        return Some(vec![scope.to_owned()]);
    }
    let all = right.get("Set")?.as_array()?.iter().map(literals);
    all.collect::<Option<Vec<_>>>().map(|texts| texts.concat())
}

/// Which scopes imply which others: configured, and expanded before Cedar sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ScopeHierarchy(BTreeMap<String, BTreeSet<String>>);

impl ScopeHierarchy {
    /// With what is implied by what is implied.
    pub(crate) fn of(implied: &BTreeMap<String, BTreeSet<String>>) -> Self {
        let of_one = |scope: &String| {
            let mut all = BTreeSet::new();
            let mut left = vec![scope];
            while let Some(next) = left.pop() {
                let further = implied.get(next).into_iter().flatten();
                left.extend(further.filter(|scope| all.insert((*scope).clone())));
            }
            (scope.clone(), all)
        };
        Self(implied.keys().map(of_one).collect())
    }

    /// Scopes with all that they imply.
    pub(super) fn expanded<'a>(&'a self, scopes: &'a BTreeSet<String>) -> BTreeSet<&'a str> {
        let implied = scopes.iter().filter_map(|scope| self.0.get(scope)).flatten();
        scopes.iter().chain(implied).map(String::as_str).collect()
    }

    /// Whether a scope stands for any of these, or is one.
    pub(super) fn reaches(&self, scope: &str, any: &BTreeSet<String>) -> bool {
        any.contains(scope) || self.0.get(scope).is_some_and(|implied| !implied.is_disjoint(any))
    }

    /// How many others a scope implies.
    pub(super) fn breadth(&self, scope: &str) -> usize {
        self.0.get(scope).map_or(0, BTreeSet::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(condition: &str) -> SpokenScopes {
        let text = format!("permit (principal, action, resource) {condition};");
        let policy: cedar_policy::Policy = text.parse().unwrap();
        SpokenScopes::of(&policy.to_json().unwrap())
    }

    #[test]
    fn scopes_are_found_wherever_a_policy_looks_for_them() {
        let found = spoken(
            r#"when { principal.scopes.contains("a:read") || context.x.contains("no") }
               unless { principal.scopes.containsAny(["b", "c"]) && !principal.scopes.containsAll(["d"]) }"#,
        );
        let named: Vec<&str> = found.named.iter().map(String::as_str).collect();
        assert_eq!((named, found.and_others), (vec!["a:read", "b", "c", "d"], false));
        assert!(spoken("when { principal.scopes.contains(context.x) }").and_others);
        assert!(spoken(r#"when { ["a"].containsAll(principal.scopes) }"#).and_others);
        assert!(spoken("when { principal.scopes == principal.scopes }").and_others);
    }

    #[test]
    fn implied_scopes_are_expanded_to_the_end() {
        let set = |scopes: &[&str]| scopes.iter().map(|&s| s.to_owned()).collect::<BTreeSet<_>>();
        let hierarchy = ScopeHierarchy::of(&BTreeMap::from([
            ("a:*".to_owned(), set(&["a:read", "a:write"])),
            ("all".to_owned(), set(&["a:*", "all"])),
        ]));
        let expanded = |scopes: &[&str]| -> Vec<String> {
            hierarchy.expanded(&set(scopes)).into_iter().map(str::to_owned).collect()
        };
        assert_eq!(expanded(&["all"]), ["a:*", "a:read", "a:write", "all"]);
        assert_eq!(expanded(&["a:read"]), ["a:read"]);
        assert!(
            hierarchy.reaches("all", &set(&["a:write"]))
                && !hierarchy.reaches("a:read", &set(&["a:write"]))
        );
    }
}
