//! What of the context policies look at, found in their text: nothing else has to be worked out
//! for a request.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The parts of a record that are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// Whether the record is looked at as one value.
    whole: bool,
    members: BTreeMap<String, Mentions>,
}

impl Mentions {
    /// What a policy looks at in `context`.
    ///
    /// Walks Cedar's JSON form of it (its depth is bounded where it was read).
    pub(super) fn of_context(policy: &Value) -> Self {
        let mut mentions = Self::default();
        mentions.collect(policy);
        mentions
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.whole |= other.whole;
        for (name, member) in &other.members {
            self.members.entry(name.clone()).or_default().join(member);
        }
    }

    /// What is looked at in a member; `None` when nothing is.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        self.members.get(name)
    }

    /// Whether it is looked at as one value.
    #[cfg(test)]
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Leaves of a record type (in Cedar's JSON form, every name resolved by `resolve`) what is
    /// looked at.
    pub(super) fn prune(&self, record: &Value, resolve: &impl Fn(&Value) -> Value) -> Value {
        let resolved = resolve(record);
        let Some(attributes) = resolved.get("attributes").and_then(Value::as_object) else {
            return record.clone();
        };
        if self.whole {
            return record.clone();
        }
        let kept: Map<String, Value> = attributes
            .iter()
            .filter_map(|(name, definition)| {
                let pruned = self.member(name)?.prune(definition, resolve);
                Some((name.clone(), as_required_as(definition, pruned)))
            })
            .collect();
        let mut pruned = Map::new();
        pruned.insert("type".to_owned(), Value::from("Record"));
        pruned.insert("attributes".to_owned(), Value::Object(kept));
        Value::Object(pruned)
    }

    fn collect(&mut self, expression: &Value) {
        match expression {
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(members) => {
                for (operator, operands) in members {
                    match way(operator, operands) {
                        Some(way) => self.add(&way, operator == "has"),
                        None => self.collect(operands),
                    }
                }
            }
            _ => {}
        }
    }

    /// Notes that what is at the end of a way is looked at, or only whether it is there.
    fn add(&mut self, way: &[&str], only_whether: bool) {
        let mut mentions = self;
        for name in way {
            mentions = mentions.members.entry((*name).to_owned()).or_default();
        }
        mentions.whole |= !only_whether;
    }
}

/// A definition that another takes the place of, which is as required as that one.
fn as_required_as(original: &Value, mut definition: Value) -> Value {
    if let (Some(required), Some(members)) = (original.get("required"), definition.as_object_mut())
    {
        members.insert("required".to_owned(), required.clone());
    }
    definition
}

/// The names on the way from `context` to what is looked at: `facts`, `amounts`, `sum`. The context
/// itself is an empty way.
fn way<'a>(operator: &str, operands: &'a Value) -> Option<Vec<&'a str>> {
    match operator {
        "Var" if operands == "context" => Some(Vec::new()),
        "." | "has" => {
            let left = operands.get("left")?.as_object()?;
            let (inner, inner_operands) =
                left.iter().next().filter(|(inner, _)| *inner != "has")?;
            let mut names = way(inner, inner_operands)?;
            names.push(operands.get("attr")?.as_str()?);
            Some(names)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    fn mentions(condition: &str) -> Mentions {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy: Policy = text.parse().unwrap();
        Mentions::of_context(&policy.to_json().unwrap())
    }

    #[test]
    fn what_is_looked_at_is_found_wherever_it_stands() {
        let found = mentions(
            r#"context.input.a == "x" && (if context.facts has b && context.facts.b.sum > 3
               then [context.system.now].contains(datetime("2026-01-01")) else true)"#,
        );
        assert!(found.member("input").unwrap().member("a").unwrap().is_whole());
        let b = found.member("facts").unwrap().member("b").unwrap();
        assert!(!b.is_whole() && b.member("sum").is_some() && b.member("count").is_none());
        assert!(found.member("system").unwrap().member("now").unwrap().is_whole());
        assert!(found.member("peer").is_none() && !found.is_whole());
        assert!(mentions("context == context").is_whole());
        assert!(
            mentions(r#"[context.facts].contains(context.facts)"#)
                .member("facts")
                .unwrap()
                .is_whole()
        );
        let only_whether = mentions("context has peer && context.peer has model");
        let model = only_whether.member("peer").unwrap().member("model").unwrap();
        assert!(!model.is_whole());
    }
}
