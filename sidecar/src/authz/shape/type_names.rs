//! Types by name, out of a schema in Cedar's JSON form.

use serde_json::Value;

use super::{RecordShape, Shape};

/// Finds types by name in one namespace of a schema in Cedar's JSON form.
pub(in crate::authz) struct TypeNames<'a> {
    common: Option<&'a serde_json::Map<String, Value>>,
}

impl<'a> TypeNames<'a> {
    pub(in crate::authz) fn of(namespace: &'a Value) -> Self {
        Self { common: namespace.get("commonTypes").and_then(Value::as_object) }
    }

    /// The record type that `definition` is or names.
    pub(in crate::authz) fn record(&self, definition: &Value) -> Result<RecordShape, String> {
        match self.shape(definition, MAX_DEPTH)? {
            Shape::Record(record) => Ok(record),
            _ => Err("must be a record".to_owned()),
        }
    }

    /// The members of a record type, each with its own definition.
    pub(in crate::authz) fn members(
        &self,
        definition: &'a Value,
    ) -> Result<Vec<(&'a str, &'a Value)>, String> {
        let record = self.resolved(definition, MAX_DEPTH)?;
        let attributes = record.get("attributes").and_then(Value::as_object);
        let attributes = attributes.ok_or("must be a record")?;
        Ok(attributes.iter().map(|(name, definition)| (name.as_str(), definition)).collect())
    }

    /// What a definition is in the end, names followed.
    pub(in crate::authz) fn resolve(&self, definition: &Value) -> Value {
        let own = |name: &str| self.common.and_then(|common| common.get(own_name(name)));
        let mut definition = definition;
        for _ in 0..MAX_DEPTH {
            match type_name(definition).ok().filter(|name| own_name(name) != ANY).and_then(own) {
                Some(common) => definition = common,
                None => break,
            }
        }
        definition.clone()
    }

    /// The names of a record type's members.
    pub(in crate::authz) fn members_of(&self, definition: &'a Value) -> Option<Vec<&'a str>> {
        Some(self.members(definition).ok()?.into_iter().map(|(name, _)| name).collect())
    }

    fn shape(&self, definition: &Value, depth_left: usize) -> Result<Shape, String> {
        let depth_left = depth_left.checked_sub(1).ok_or("is nested too deeply")?;
        if own_name(type_name(definition)?) == ANY {
            return Ok(Shape::Any);
        }
        let definition = self.resolved(definition, depth_left)?;
        match type_name(definition)? {
            "Bool" | "Boolean" => Ok(Shape::Bool),
            "Long" => Ok(Shape::Long),
            "String" => Ok(Shape::String),
            "decimal" => Ok(Shape::Decimal),
            "datetime" => Ok(Shape::Datetime),
            "duration" => Ok(Shape::Duration),
            "ipaddr" => Ok(Shape::IpAddress),
            "Set" => {
                let element = definition.get("element").ok_or("is a set of nothing")?;
                Ok(Shape::Set(Box::new(self.shape(element, depth_left)?)))
            }
            "Record" => {
                let mut record = RecordShape::default();
                for (name, member) in self.members(definition)? {
                    let shape = self
                        .shape(member, depth_left)
                        .map_err(|what| format!("member `{name}` {what}"))?;
                    record.take(name, shape, member)?;
                }
                Ok(Shape::Record(record))
            }
            other => Err(format!("is of type `{other}`, of which no argument can be")),
        }
    }

    /// Follows names of common types to a definition.
    fn resolved(&self, definition: &'a Value, depth_left: usize) -> Result<&'a Value, String> {
        let mut definition = definition;
        for _ in 0..=depth_left {
            let name = own_name(type_name(definition)?);
            match self.common.and_then(|common| common.get(name)) {
                Some(common) => definition = common,
                None => return Ok(definition),
            }
        }
        Err("refers to itself".to_owned())
    }
}

/// `{"type": "Long"}` or `{"type": "EntityOrCommon", "name": "Long"}`.
fn type_name(definition: &Value) -> Result<&str, String> {
    let text = |member| definition.get(member).and_then(Value::as_str);
    let name = match text("type") {
        Some("EntityOrCommon" | "Entity" | "Extension") => text("name"),
        other => other,
    };
    let name = name.ok_or("has no type")?;
    Ok(name.strip_prefix("__cedar::").unwrap_or(name))
}

/// Members that there can be in a record, each with its type.
pub(in crate::authz) type Known = &'static [(&'static str, &'static str)];

/// The members that `definition` declares, all of which are known.
pub(in crate::authz) fn wanted(
    names: &TypeNames<'_>,
    definition: &Value,
    known: Known,
) -> Result<Vec<&'static str>, String> {
    let declared = names.members(definition)?;
    declared
        .into_iter()
        .map(|(name, definition)| {
            let of = written(names, definition)?;
            let member = known.iter().find(|(own, r#type)| *own == name && of == *r#type);
            member.map(|(own, _)| *own).ok_or_else(|| {
                let known_as = |(own, r#type): &(&str, &str)| format!("{own}: {}", r#type);
                let there_are: Vec<String> = known.iter().map(known_as).collect();
                format!("has `{name}: {of}`; there are {}", there_are.join(", "))
            })
        })
        .collect()
}

fn own_name(name: &str) -> &str {
    name.strip_prefix(OWN_NAMESPACE).unwrap_or(name)
}

/// The name of the type that a definition is in the end.
pub(in crate::authz) fn cedar_name<'a>(
    names: &TypeNames<'a>,
    definition: &'a Value,
) -> Result<&'a str, String> {
    type_name(names.resolved(definition, MAX_DEPTH)?)
}

/// The same, as it is written in a schema: with what a set holds.
fn written(names: &TypeNames<'_>, definition: &Value) -> Result<String, String> {
    let resolved = names.resolved(definition, MAX_DEPTH)?;
    match (type_name(resolved)?, resolved.get("element")) {
        ("Set", Some(element)) => Ok(format!("Set<{}>", cedar_name(names, element)?)),
        (name, _) => Ok(name.to_owned()),
    }
}

const OWN_NAMESPACE: &str = "Mcp::";
/// Deeper than any tool's arguments, and no deeper than a message may be.
const MAX_DEPTH: usize = 32;
/// The type of what has no one type.
const ANY: &str = "Json";
