//! A policy in Cedar's JSON form, taken apart and put together again.

use cedar_policy::Policy;
use serde_json::{Map, Value, json};

use super::expression::depth;

/// Everything of a policy but its annotations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parts {
    pub(super) forbids: bool,
    pub(super) principal: Value,
    pub(super) action: Value,
    pub(super) resource: Value,
    pub(super) clauses: Vec<Clause>,
}

/// `when { … }` or `unless { … }`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    pub(super) unless: bool,
    pub(super) body: Value,
}

impl Parts {
    pub(super) fn of(policy: &Policy) -> Result<Self, String> {
        let json = policy.to_json().map_err(|e| e.to_string())?;
        let part = |name: &str| json.get(name).cloned().ok_or(format!("has no `{name}`"));
        let clauses = json.get("conditions").and_then(Value::as_array).into_iter().flatten();
        let clause = |clause: &Value| {
            let body = clause.get("body")?.clone();
            Some(Clause { unless: clause.get("kind")? == "unless", body })
        };
        let parts = Self {
            forbids: part("effect")? == "forbid",
            principal: part("principal")?,
            action: part("action")?,
            resource: part("resource")?,
            clauses: clauses.map(clause).collect::<Option<_>>().ok_or("has a clause of no kind")?,
        };
        parts.require_shallow()?;
        Ok(parts)
    }

    /// Guards and chains are compared with one another at every level.
    pub(super) fn require_shallow(&self) -> Result<(), String> {
        let deepest = self.clauses.iter().map(|clause| depth(&clause.body)).max();
        match deepest.unwrap_or_default() > MAX_DEPTH {
            true => Err(format!("has conditions in more than {MAX_DEPTH} levels; split it")),
            false => Ok(()),
        }
    }

    /// Which value of a clause's body refuses.
    pub(super) fn refusing(&self, clause: &Clause) -> bool {
        self.forbids != clause.unless
    }

    /// The ids of the actions and groups that it names; `None` for every action.
    pub(super) fn action_ids(&self) -> Option<Vec<&str>> {
        let many = self.action.get("entities").and_then(Value::as_array);
        let named = many.into_iter().flatten().chain(self.action.get("entity"));
        let ids: Vec<&str> = named.filter_map(|entity| entity.get("id")?.as_str()).collect();
        (!ids.is_empty()).then_some(ids)
    }
}

/// A chain of operators has as many levels as links.
const MAX_DEPTH: usize = 250;

/// Constraints of a scope.
pub(super) mod constraint {
    use super::{Map, Value, json};

    pub(in super::super) fn all() -> Value {
        json!({ "op": "All" })
    }

    pub(in super::super) fn is(entity_type: &str) -> Value {
        json!({ "op": "is", "entity_type": entity_type })
    }

    pub(in super::super) fn is_in(entity_type: &str, uid: &Value) -> Value {
        json!({ "op": "is", "entity_type": entity_type, "in": { "entity": uid } })
    }

    pub(in super::super) fn one(operator: &str, uid: &Value) -> Value {
        json!({ "op": operator, "entity": uid })
    }

    /// An action among these: each with whether it is a group.
    pub(in super::super) fn action(of: &str, wanted: &[(String, bool)]) -> Value {
        let uid = |id: &str| super::super::expression::uid(of, id);
        match wanted {
            [(id, group)] => one(if *group { "in" } else { "==" }, &uid(id)),
            many => {
                let uids: Vec<Value> = many.iter().map(|(id, _)| uid(id)).collect();
                let members = [("op", Value::from("in")), ("entities", Value::Array(uids))];
                let named = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(Map::from_iter(named))
            }
        }
    }
}
