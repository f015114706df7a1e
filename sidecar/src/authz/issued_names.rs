//! Names that an issuer gives are its own: with several issuers, users, groups, clients and zones are
//! called `<issuer>#<name>`. A policy that calls them otherwise would speak of nobody, and a `forbid`
//! of nobody forbids nothing; so such a set is refused.

use serde_json::Value;

/// How the configured issuers' names are written in policies.
pub(super) struct IssuedNames<'a> {
    issuers: &'a [&'a str],
}

impl<'a> IssuedNames<'a> {
    pub(super) fn of(issuers: &'a [&'a str]) -> Self {
        Self { issuers }
    }

    /// What is wrong with the names in `policy`, which is in Cedar's JSON form.
    pub(super) fn require_in(&self, policy: &Value) -> Result<(), String> {
        self.walk(policy)
    }

    /// Looks at every entity in Cedar's JSON form of a policy (its depth is bounded where it was
    /// read).
    fn walk(&self, part: &Value) -> Result<(), String> {
        match part {
            Value::Array(items) => items.iter().try_for_each(|item| self.walk(item)),
            Value::Object(members) => {
                let text = |name: &str| members.get(name).and_then(Value::as_str);
                if let (Some(of), Some(id)) = (text("type"), text("id")) {
                    self.require(of, id)?;
                }
                members.values().try_for_each(|member| self.walk(member))
            }
            _ => Ok(()),
        }
    }

    fn require(&self, of: &str, id: &str) -> Result<(), String> {
        if !ISSUED.contains(&of) {
            return Ok(());
        }
        let prefixed = |issuer: &&str| {
            id.strip_prefix(*issuer).is_some_and(|name| name.strip_prefix('#').is_some())
        };
        match (self.issuers, self.issuers.iter().any(prefixed)) {
            ([_], false) | ([_, _, ..] | [], true) => Ok(()),
            ([issuer], true) => Err(format!(
                "names `{of}::\"{id}\"`; with one issuer it is called by its name alone, without `{issuer}#`"
            )),
            ([first, ..], false) => Err(format!(
                "names `{of}::\"{id}\"` without its issuer; with several issuers write `{of}::\"{first}#{id}\"`"
            )),
            ([], false) => Ok(()),
        }
    }
}

/// Types of what issuers name.
const ISSUED: [&str; 4] = ["Mcp::OAuthUser", "Mcp::Group", "Mcp::Client", "Mcp::Zone"];

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    #[test]
    fn names_bear_their_issuer_when_there_are_several() {
        let (one, two) = (["https://a"], ["https://a", "https://b"]);
        for (condition, with_one, with_two) in [
            (r#"principal == Mcp::OAuthUser::"mallory""#, true, false),
            (r#"principal == Mcp::OAuthUser::"https://b#mallory""#, true, true),
            (r#"principal == Mcp::OAuthUser::"https://a#mallory""#, false, true),
            (r#"principal in Mcp::Group::"https://c#clerks""#, true, false),
            (r#"principal.client == Mcp::Client::"c""#, true, false),
            (r#"[Mcp::Zone::"z"].contains(principal.zone)"#, true, false),
            (r#"resource == Mcp::Tool::"t""#, true, true),
        ] {
            let text = format!("forbid (principal, action, resource) when {{ {condition} }};");
            let policy: Policy = text.parse().unwrap();
            let good = |issuers| {
                let json = policy.to_json().unwrap();
                IssuedNames { issuers }.require_in(&json).is_ok()
            };
            assert_eq!((good(&one), good(&two)), (with_one, with_two), "{condition}");
        }
        let policy: Policy =
            r#"forbid (principal in Mcp::Group::"g", action, resource);"#.parse().unwrap();
        let told =
            IssuedNames { issuers: &two }.require_in(&policy.to_json().unwrap()).unwrap_err();
        assert!(told.contains(r#"Mcp::Group::"https://a#g""#), "{told}");
    }
}
