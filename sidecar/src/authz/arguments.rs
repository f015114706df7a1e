//! Arguments are held against the tool's own JSON Schema before any policy sees them.

use jsonschema::{PatternOptions, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value};

use crate::message::json::Object;

/// What a tool takes. Without a validator nothing but types is known of it.
pub(super) struct ArgumentsSchema(Option<Validator>);

/// The first thing that is wrong with arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Names and positions, joined by dots.
    pub(crate) path: String,
    /// In the schema's words, without what the caller wrote.
    pub(crate) what: String,
}

impl Misfit {
    /// An argument that has no place among those that policies can speak about.
    pub(super) fn at(path: String) -> Self {
        Self { path, what: "does not fit the type of the argument".to_owned() }
    }
}

impl ArgumentsSchema {
    /// What an input schema lets through, and the arguments whose own schemas cannot be used; those
    /// are held against nothing but their types.
    pub(super) fn of(schema: &Value) -> (Self, Vec<String>) {
        if let Ok(validator) = compiled(schema) {
            return (Self(Some(validator)), Vec::new());
        }
        let mut usable = schema.clone();
        let properties = usable.get_mut("properties").and_then(Value::as_object_mut);
        let mut unusable = Vec::new();
        for (name, property) in properties.into_iter().flatten() {
            let alone = with_only(schema, name, property);
            if compiled(&alone).is_err() {
                unusable.push(name.clone());
                *property = Value::Bool(true);
            }
        }
        match compiled(&usable).or_else(|_| compiled(&names_only(&usable))) {
            Ok(validator) => (Self(Some(validator)), unusable),
            Err(_) => (Self(None), vec![EVERYTHING.to_owned()]),
        }
    }

    /// Refuses what does not fit.
    pub(super) fn require(&self, arguments: Option<&Object>) -> Result<(), Misfit> {
        let Some(validator) = &self.0 else { return Ok(()) };
        let instance = arguments.map_or_else(|| Value::Object(Map::new()), Object::to_value);
        validator.validate(&instance).map_err(|error| {
            let within = match error.kind() {
                ValidationErrorKind::Required { property } => property.as_str().map(str::to_owned),
                ValidationErrorKind::AdditionalProperties { unexpected }
                | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                    unexpected.first().cloned()
                }
                _ => None,
            };
            let what = error.masked_with("it").to_string();
            Misfit { path: dotted(error.instance_path().as_str(), within), what }
        })
    }
}

/// No reference leads out of the schema, and no pattern takes more than so many steps.
fn compiled(schema: &Value) -> Result<Validator, String> {
    let patterns = PatternOptions::fancy_regex()
        .backtrack_limit(MAX_BACKTRACKING)
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES);
    jsonschema::options()
        .offline()
        .should_validate_formats(false)
        .with_pattern_options(patterns)
        .build(schema)
        .map_err(|error| error.to_string())
}

/// The schema with one of its properties.
fn with_only(schema: &Value, name: &str, property: &Value) -> Value {
    let mut alone = schema.clone();
    let mut properties = Map::new();
    properties.insert(name.to_owned(), property.clone());
    if let Some(members) = alone.as_object_mut() {
        members.insert("properties".to_owned(), Value::Object(properties));
        for combining in ["allOf", "anyOf", "oneOf", "if", "then", "else", "not"] {
            members.remove(combining);
        }
    }
    alone
}

/// Which arguments there are and which are required, and nothing else.
fn names_only(schema: &Value) -> Value {
    let kept = ["type", "required", "additionalProperties"];
    let of = |name: &&str| Some(((*name).to_owned(), schema.get(*name)?.clone()));
    let mut members: Map<String, Value> = kept.iter().filter_map(of).collect();
    let named = schema.get("properties").and_then(Value::as_object);
    let named = named.map(|named| named.keys().map(|name| (name.clone(), Value::Bool(true))));
    members.insert("properties".to_owned(), Value::Object(named.into_iter().flatten().collect()));
    members.retain(|name, value| name != "additionalProperties" || value.is_boolean());
    Value::Object(members)
}

fn dotted(pointer: &str, within: Option<String>) -> String {
    let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    steps.chain(within).collect::<Vec<String>>().join(".")
}

/// Stands for all arguments.
const EVERYTHING: &str = "*";
/// More than any honest text needs for an honest pattern.
const MAX_BACKTRACKING: usize = 100_000;
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
