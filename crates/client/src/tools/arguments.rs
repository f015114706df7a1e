//! What models write as arguments, read strictly: whoever is lenient here reads differently from
//! the next in line.

use std::{collections::HashSet, fmt};

use jsonschema::Validator;
use rmcp::model::JsonObject;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a call cannot be made. Nothing of it was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The tool was not offered.
    #[error("there is no tool `{0}`; use one of those that you were offered")]
    UnknownTool(String),
    /// Not JSON, or a member twice.
    #[error("the arguments are not valid JSON: {0}; send one JSON object, each member once")]
    NotJson(String),
    /// JSON, but no object.
    #[error("the arguments are {0}; send a JSON object")]
    NotAnObject(&'static str),
    /// The one member is missing, or is not alone.
    #[error("the arguments must be one object with the one member `arguments`, an object")]
    NotWrapped,
    /// An argument was given by both its names.
    #[error("the argument `{0}` was given twice")]
    Twice(String),
    /// More than any tool takes.
    #[error("the arguments take {0} bytes, where {MOST_BYTES} are sent at most")]
    TooLong(usize),
    /// Not as the tool's schema wants them.
    #[error("the arguments do not fit the tool's schema: {0}")]
    Unfitting(String),
    /// Nobody waits for ever.
    #[error("checking the arguments against the tool's own schema takes too long")]
    TooCostly,
    /// The server's schema cannot be understood, so nothing is valid under it.
    #[error("the tool's own schema is broken; it cannot be called")]
    NoSchema,
}

impl Unusable {
    /// A short name, for reports and transcripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownTool(_) => "unknown-tool",
            Self::NotJson(_) | Self::NotAnObject(_) | Self::TooLong(_) | Self::Twice(_) => {
                "malformed-arguments"
            }
            Self::NotWrapped | Self::Unfitting(_) => "invalid-arguments",
            Self::NoSchema | Self::TooCostly => "broken-schema",
        }
    }
}

/// An object, read so that it can be read in one way only.
pub(super) fn strictly_read(text: &str) -> Result<JsonObject, Unusable> {
    if text.len() > MOST_BYTES {
        return Err(Unusable::TooLong(text.len()));
    }
    // Models call tools without arguments in either way.
    if text.trim().is_empty() {
        return Ok(JsonObject::new());
    }
    let Strict(value) =
        serde_json::from_str(text).map_err(|cause| Unusable::NotJson(cause.to_string()))?;
    match value {
        Value::Object(arguments) => Ok(arguments),
        Value::Null => Err(Unusable::NotAnObject("null")),
        Value::Bool(_) => Err(Unusable::NotAnObject("a truth value")),
        Value::Number(_) => Err(Unusable::NotAnObject("a number")),
        Value::String(_) => Err(Unusable::NotAnObject("a string")),
        Value::Array(_) => Err(Unusable::NotAnObject("a list")),
    }
}

/// Checks arguments of the tool's own schema; none where that is broken.
pub(super) fn validator(schema: &JsonObject) -> Option<Validator> {
    let schema = Value::Object(schema.clone());
    jsonschema::options().should_validate_formats(false).build(&schema).ok()
}

pub(super) fn valid(validator: Option<&Validator>, arguments: &JsonObject) -> Result<(), Unusable> {
    let validator = validator.ok_or(Unusable::NoSchema)?;
    let instance = Value::Object(arguments.clone());
    // The first complaint alone: a long list of wrong items has as many complaints.
    validator.validate(&instance).map_err(|error| {
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { "/".to_owned() } else { place };
        Unusable::Unfitting(format!(
            "at `{}`: {}",
            shortened(&place),
            shortened(&error.to_string())
        ))
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_COMPLAINT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A JSON value in which no object has a member twice, and no number is another once read.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> DeserializeSeed<'de> for StrictVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // A whole number that large was written with more digits than are kept of it.
        if value.fract() == 0.0 && value.abs() >= EXACT_UP_TO {
            return Err(E::custom(format_args!("the number {value:e} cannot be kept exactly")));
        }
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(StrictVisitor)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format_args!(
                    "the member `{}` comes twice",
                    shortened(&name)
                )));
            }
            let value = members.next_value_seed(StrictVisitor)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// As much as the gate takes by default.
const MOST_BYTES: usize = 1 << 20;
const LONGEST_COMPLAINT: usize = 200;
/// 2^53: from there on a double is not the number that was written.
const EXACT_UP_TO: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_read_one_way_and_some_another_is_not_read_at_all() {
        for text in [
            r#"{"id":"a","id":"b"}"#,
            r#"{"id":"a","\u0069d":"b"}"#,
            r#"{"a":{"x":1,"x":1}}"#,
            r#"{"a":[{"x":1,"x":1}]}"#,
            r#"{"id":"a",}"#,
            r#"{"id":"a"} {"id":"b"}"#,
            r#"{'id':'a'}"#,
            r#"{id:"a"}"#,
            r#"{"n":NaN}"#,
            r#"{"n":1e999}"#,
            r#"{"n":01}"#,
            r#"{"n":123456789012345678901234567890}"#,
            r#"{"n":1e300}"#,
            r#"{"s":"\ud800"}"#,
            "```json\n{\"id\":\"a\"}\n```",
            "// none\n{}",
            r#"{"id":"a""#,
            &format!("{}{}", r#"{"a":"#.repeat(200), "1"),
        ] {
            assert!(matches!(strictly_read(text), Err(Unusable::NotJson(_))), "{text}");
        }
        for (text, what) in
            [("null", "null"), ("[]", "a list"), ("\"{}\"", "a string"), ("1", "a number")]
        {
            assert_eq!(strictly_read(text), Err(Unusable::NotAnObject(what)), "{text}");
        }
        let long = " ".repeat(MOST_BYTES + 1);
        assert_eq!(strictly_read(&long), Err(Unusable::TooLong(MOST_BYTES + 1)));
    }

    #[test]
    fn what_can_be_read_in_one_way_is_kept() {
        let text = r#"{"s":"ü\n","n":[1,-2,1.5,18446744073709551615],"o":{"t":true,"z":null}}"#;
        let read = strictly_read(text).unwrap();
        assert_eq!(Value::Object(read), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(strictly_read(" \n"), Ok(JsonObject::new()));
    }
}
