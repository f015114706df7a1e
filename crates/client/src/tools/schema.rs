//! Input schemas as every provider takes them: an object at the root, without combinators there.

use std::{collections::HashMap, sync::Arc};

use rmcp::model::JsonObject;
use serde_json::{Map, Value, json};

use super::{arguments::Unusable, names::offered_name};

/// What was done to a schema, to be undone to arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing that shows in arguments.
    Plain,
    /// The arguments are the one member of an object.
    Wrapped,
    /// Arguments have other names: as models write them, and as the server wants them.
    Renamed(HashMap<String, String>),
}

/// Why a schema fits no provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Tools take objects.
    #[error("its arguments are no object")]
    NoObject,
    /// Refers to what is not in it.
    #[error("its schema refers to `{0}`, which is not in it")]
    Elsewhere(String),
    /// Renames what is inside it.
    #[error("its schema has a base of its own inside (`$id`)")]
    OwnBase,
    /// It cannot be sent with every turn.
    #[error("its schema is too large: {0} nodes, where {MOST_NODES} are taken")]
    TooLarge(usize),
    /// Nobody reads it to the end.
    #[error("its schema is nested more than {DEEPEST} deep")]
    TooDeep,
    /// A name that not every provider takes, where it cannot be put differently.
    #[error("no provider-neutral name can be given to its argument `{0}`")]
    Name(String),
}

impl Shape {
    /// The arguments that the server wants.
    pub(super) fn restored(&self, mut written: JsonObject) -> Result<JsonObject, Unusable> {
        match self {
            Self::Plain => Ok(written),
            Self::Wrapped => match (written.remove(WRAPPER), written.is_empty()) {
                (Some(Value::Object(arguments)), true) => Ok(arguments),
                _ => Err(Unusable::NotWrapped),
            },
            Self::Renamed(names) => {
                let mut arguments = JsonObject::with_capacity(written.len());
                for (name, value) in written {
                    let name = names.get(&name).cloned().unwrap_or(name);
                    if arguments.insert(name.clone(), value).is_some() {
                        return Err(Unusable::Twice(name));
                    }
                }
                Ok(arguments)
            }
        }
    }
}

/// The schema for providers, and what that means for arguments.
pub(super) fn adapted(schema: &Arc<JsonObject>) -> Result<(Arc<JsonObject>, Shape), Unfit> {
    survey_members(schema, 0, &mut 1)?;
    if is_fit_as_it_is(schema) {
        return Ok((Arc::clone(schema), Shape::Plain));
    }
    let (schema, shape) = rebuilt(schema)?;
    Ok((Arc::new(schema), shape))
}

/// Most schemas are, and nothing of them is copied.
fn is_fit_as_it_is(root: &JsonObject) -> bool {
    let properties = root.get("properties").and_then(Value::as_object);
    root.get("type").is_some_and(|kind| kind == "object")
        && properties.is_some_and(|properties| properties.keys().all(|name| is_fit(name)))
        && !["$schema", "$id"].iter().any(|keyword| root.contains_key(*keyword))
        && !COMBINATORS.iter().any(|keyword| root.contains_key(*keyword))
        && root.iter().all(|(keyword, member)| is_plain_member(keyword, member))
}

/// What [`plainer`] would leave as it is.
fn is_plain(schema: &Value) -> bool {
    match schema {
        Value::Bool(_) => false,
        Value::Object(members) => {
            !lacks_items(members)
                && members.iter().all(|(keyword, member)| is_plain_member(keyword, member))
        }
        _ => true,
    }
}

fn is_plain_member(keyword: &str, member: &Value) -> bool {
    match (Holds::of(keyword), member) {
        (Holds::Schemas, Value::Array(items)) => items.iter().all(is_plain),
        (Holds::Schemas, one) => is_plain(one),
        (Holds::NamedSchemas, Value::Object(members)) => members.values().all(is_plain),
        (Holds::SchemaOrTruth, Value::Object(_)) => is_plain(member),
        _ => true,
    }
}

/// What a keyword's value is.
enum Holds {
    /// A schema or a list of them.
    Schemas,
    /// Schemas by name.
    NamedSchemas,
    /// A schema, or a truth value that every provider takes there.
    SchemaOrTruth,
    /// Something else.
    Data,
}

impl Holds {
    fn of(keyword: &str) -> Self {
        match keyword {
            "items" | "contains" | "not" | "if" | "then" | "else" | "propertyNames" | "anyOf"
            | "oneOf" | "allOf" | "prefixItems" => Self::Schemas,
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                Self::NamedSchemas
            }
            "additionalProperties"
            | "unevaluatedProperties"
            | "unevaluatedItems"
            | "additionalItems" => Self::SchemaOrTruth,
            _ => Self::Data,
        }
    }
}

/// Where the rest of a list is spoken of, `items` would say something else.
fn lacks_items(members: &JsonObject) -> bool {
    members.get("type").is_some_and(|kind| kind == "array")
        && !["items", "unevaluatedItems", "prefixItems"].iter().any(|k| members.contains_key(*k))
}

fn rebuilt(schema: &JsonObject) -> Result<(JsonObject, Shape), Unfit> {
    let Value::Object(mut root) = plainer(Value::Object(schema.clone())) else {
        return Err(Unfit::NoObject);
    };
    root.remove("$schema");
    root.remove("$id");
    if !takes_objects(&root) {
        return Err(Unfit::NoObject);
    }
    if COMBINATORS.iter().any(|keyword| root.contains_key(*keyword)) {
        return Ok((wrapped(root), Shape::Wrapped));
    }
    root.insert("type".to_owned(), json!("object"));
    root.entry("properties").or_insert_with(|| json!({}));
    let renamed = renamed(&mut root)?;
    Ok((root, if renamed.is_empty() { Shape::Plain } else { Shape::Renamed(renamed) }))
}

/// Makes `text` the description of the whole.
pub(super) fn describe(schema: &mut JsonObject, text: &str) {
    schema.insert("description".to_owned(), Value::String(text.to_owned()));
}

/// Bounds, and references that lead nowhere.
fn survey(value: &Value, depth: usize, nodes: &mut usize) -> Result<(), Unfit> {
    *nodes += 1;
    if depth > DEEPEST {
        return Err(Unfit::TooDeep);
    }
    if *nodes > MOST_NODES {
        return Err(Unfit::TooLarge(*nodes));
    }
    match value {
        Value::Array(items) => {
            items.iter().try_for_each(|item| survey(item, depth + 1, nodes))?;
        }
        Value::Object(members) => survey_members(members, depth, nodes)?,
        _ => {}
    }
    Ok(())
}

fn survey_members(members: &JsonObject, depth: usize, nodes: &mut usize) -> Result<(), Unfit> {
    for (name, member) in members {
        match (name.as_str(), member) {
            ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(to))
                if !to.starts_with('#') =>
            {
                return Err(Unfit::Elsewhere(to.clone()));
            }
            ("$id", Value::String(_)) if depth > 0 => return Err(Unfit::OwnBase),
            _ => survey(member, depth + 1, nodes)?,
        }
    }
    Ok(())
}

fn takes_objects(root: &JsonObject) -> bool {
    match root.get("type") {
        None => true,
        Some(Value::String(one)) => one == "object",
        Some(Value::Array(several)) => several.iter().any(|one| one == "object"),
        Some(_) => false,
    }
}

/// The same meaning in schemas that are objects: some providers take no `true` for a property and
/// no array without `items`.
fn plainer(schema: Value) -> Value {
    match schema {
        Value::Bool(true) => json!({}),
        Value::Bool(false) => json!({ "not": {} }),
        Value::Object(mut members) => {
            for (keyword, member) in &mut members {
                let within = std::mem::take(member);
                *member = match Holds::of(keyword) {
                    Holds::Schemas => plainer_or_list(within),
                    Holds::NamedSchemas => each_plainer(within),
                    Holds::SchemaOrTruth if within.is_object() => plainer(within),
                    Holds::SchemaOrTruth | Holds::Data => within,
                };
            }
            if lacks_items(&members) {
                members.insert("items".to_owned(), json!({}));
            }
            Value::Object(members)
        }
        other => other,
    }
}

fn plainer_or_list(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(plainer).collect()),
        other => plainer(other),
    }
}

fn each_plainer(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(name, schema)| (name, plainer(schema))).collect(),
        ),
        other => other,
    }
}

/// The schema as that of the one member of an object; what it refers to within itself is found
/// there still.
fn wrapped(mut root: JsonObject) -> JsonObject {
    let mut outer = Map::new();
    outer.insert("type".to_owned(), json!("object"));
    if let Some(Value::String(text)) = root.get("description") {
        describe(&mut outer, &text.clone());
    }
    for shared in ["$defs", "definitions"] {
        if let Some(Value::Object(definitions)) = root.remove(shared) {
            let each = definitions.into_iter().map(|(name, schema)| (name, rebased(schema)));
            outer.insert(shared.to_owned(), Value::Object(each.collect()));
        }
    }
    let inner = rebased(Value::Object(root));
    outer.insert("properties".to_owned(), json!({ WRAPPER: inner }));
    outer.insert("required".to_owned(), json!([WRAPPER]));
    outer.insert("additionalProperties".to_owned(), json!(false));
    outer
}

fn rebased(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(rebased).collect()),
        Value::Object(members) => {
            let moved = members.into_iter().map(|(name, member)| match (name.as_str(), member) {
                ("$ref", Value::String(to)) => (name, Value::String(moved(&to))),
                ("const" | "enum" | "default" | "examples", member) => (name, member),
                // Names of arguments, not keywords.
                (
                    "properties" | "patternProperties" | "$defs" | "definitions"
                    | "dependentSchemas",
                    Value::Object(members),
                ) => {
                    let each = members.into_iter().map(|(name, schema)| (name, rebased(schema)));
                    (name, Value::Object(each.collect()))
                }
                (_, member) => (name, rebased(member)),
            });
            Value::Object(moved.collect())
        }
        other => other,
    }
}

fn moved(reference: &str) -> String {
    let shared = ["#/$defs/", "#/definitions/"].iter().any(|place| reference.starts_with(place));
    match reference.strip_prefix('#') {
        Some(within) if !shared && (within.is_empty() || within.starts_with('/')) => {
            format!("#/properties/{WRAPPER}{within}")
        }
        _ => reference.to_owned(),
    }
}

/// Gives arguments names that every provider takes (Anthropic: 1 to 64 letters, digits, `_`, `.`
/// and `-`), and tells which are whose.
fn renamed(root: &mut JsonObject) -> Result<HashMap<String, String>, Unfit> {
    let Some(Value::Object(properties)) = root.get_mut("properties") else {
        return Ok(HashMap::new());
    };
    let Some(foreign) = properties.keys().find(|name| !is_fit(name)).cloned() else {
        return Ok(HashMap::new());
    };
    let mut names = HashMap::new();
    let mut inside = Map::new();
    for (name, schema) in std::mem::take(properties) {
        let offered = if is_fit(&name) { name.clone() } else { offered_name(&name) };
        if inside.insert(offered.clone(), schema).is_some() {
            return Err(Unfit::Name(name));
        }
        if offered != name {
            names.insert(offered, name);
        }
    }
    *properties = inside;
    // Elsewhere names of arguments mean something as well.
    let by_name = [
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "default",
        "examples",
    ];
    if by_name.iter().any(|keyword| root.contains_key(*keyword)) || refers_to_arguments(root) {
        return Err(Unfit::Name(foreign));
    }
    if let Some(Value::Array(required)) = root.get_mut("required") {
        for name in required {
            if let Some(plain) = name.as_str().filter(|name| !is_fit(name)) {
                *name = Value::String(offered_name(plain));
            }
        }
    }
    Ok(names)
}

fn refers_to_arguments(root: &JsonObject) -> bool {
    fn refers(value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(refers),
            Value::Object(members) => members.iter().any(|(name, member)| match member {
                Value::String(to) if name == "$ref" => to == "#" || to.starts_with("#/properties"),
                member => refers(member),
            }),
            _ => false,
        }
    }
    root.values().any(refers)
}

fn is_fit(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=64).contains(&name.len()) && name.chars().all(fits)
}

/// Keywords that OpenAI or Anthropic refuse at the root.
const COMBINATORS: [&str; 9] =
    ["$ref", "$dynamicRef", "anyOf", "oneOf", "allOf", "not", "enum", "const", "if"];
const WRAPPER: &str = "arguments";
const MOST_NODES: usize = 5_000;
/// Providers stop at ten levels or so; servers that go deeper than this mean no good.
const DEEPEST: usize = 64;

#[cfg(test)]
mod tests;
