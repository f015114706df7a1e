//! The types of a tool's arguments, taken from the Cedar schema, and how JSON becomes values of
//! them. A number is exact in its Cedar type and in a double or refused, since many servers read
//! doubles; an argument that the schema does not name is refused.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression;
use serde_json::Value;

use crate::message::json::{Json, Number, Object};

/// The type of one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Bool,
    Long,
    String,
    Decimal,
    Datetime,
    Duration,
    IpAddress,
    Set(Box<Shape>),
    Record(RecordShape),
}

/// The type of an object with known members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RecordShape(BTreeMap<String, Field>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    shape: Shape,
    required: bool,
}

/// Finds types by name in one namespace of a schema in Cedar's JSON form.
pub(super) struct TypeNames<'a> {
    common: Option<&'a serde_json::Map<String, Value>>,
}

impl<'a> TypeNames<'a> {
    pub(super) fn of(namespace: &'a Value) -> Self {
        Self { common: namespace.get("commonTypes").and_then(Value::as_object) }
    }

    /// The record type that `definition` is or names.
    pub(super) fn record(&self, definition: &Value) -> Result<RecordShape, String> {
        match self.shape(definition, MAX_DEPTH)? {
            Shape::Record(record) => Ok(record),
            _ => Err("must be a record".to_owned()),
        }
    }

    /// The members of a record type, each with its own definition.
    pub(super) fn members(
        &self,
        definition: &'a Value,
    ) -> Result<Vec<(&'a str, &'a Value)>, String> {
        let record = self.resolved(definition, MAX_DEPTH)?;
        let attributes = record.get("attributes").and_then(Value::as_object);
        let attributes = attributes.ok_or("must be a record")?;
        Ok(attributes.iter().map(|(name, definition)| (name.as_str(), definition)).collect())
    }

    /// The names of a record type's members.
    pub(super) fn members_of(&self, definition: &'a Value) -> Option<Vec<&'a str>> {
        Some(self.members(definition).ok()?.into_iter().map(|(name, _)| name).collect())
    }

    fn shape(&self, definition: &Value, depth_left: usize) -> Result<Shape, String> {
        let depth_left = depth_left.checked_sub(1).ok_or("is nested too deeply")?;
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
                let mut fields = BTreeMap::new();
                for (name, member) in self.members(definition)? {
                    let required = member.get("required").and_then(Value::as_bool).unwrap_or(true);
                    let shape = self
                        .shape(member, depth_left)
                        .map_err(|what| format!("member `{name}` {what}"))?;
                    fields.insert(name.to_owned(), Field { shape, required });
                }
                Ok(Shape::Record(RecordShape(fields)))
            }
            other => Err(format!("is of type `{other}`, of which no argument can be")),
        }
    }

    /// Follows names of common types to a definition.
    fn resolved(&self, definition: &'a Value, depth_left: usize) -> Result<&'a Value, String> {
        let mut definition = definition;
        for _ in 0..=depth_left {
            let name = type_name(definition)?;
            let own = name.strip_prefix(OWN_NAMESPACE).unwrap_or(name);
            match self.common.and_then(|common| common.get(own)) {
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

impl RecordShape {
    /// What the gate itself supplies as `context.system`.
    pub(super) fn of_system() -> Self {
        let now = Field { shape: Shape::Datetime, required: true };
        Self(BTreeMap::from([("now".to_owned(), now)]))
    }

    /// The record that these arguments make, or the path of the first that does not fit.
    pub(super) fn read(&self, object: &Object) -> Result<RestrictedExpression, String> {
        let mut fields = Vec::with_capacity(self.0.len());
        for (name, value) in object.iter() {
            let field = self.0.get(name).ok_or_else(|| name.to_owned())?;
            let value = field.shape.read(value).map_err(|within| joined(name, &within))?;
            fields.push((name.to_owned(), value));
        }
        let missing =
            self.0.iter().find(|(name, field)| field.required && object.get(name).is_none());
        if let Some((name, _)) = missing {
            return Err(name.clone());
        }
        RestrictedExpression::new_record(fields).map_err(|_| String::new())
    }
}

impl Shape {
    fn read(&self, json: &Json) -> Result<RestrictedExpression, String> {
        let misfit = Err(String::new());
        Ok(match (self, json) {
            (Self::Bool, Json::Bool(value)) => RestrictedExpression::new_bool(*value),
            (Self::Long, Json::Number(number)) => match number.scaled(0) {
                Some(value) if value.unsigned_abs() <= MAX_SAFE_INTEGER => {
                    RestrictedExpression::new_long(value)
                }
                _ => return misfit,
            },
            (Self::Decimal, Json::Number(number)) => match decimal_text(number) {
                Some(text) => RestrictedExpression::new_decimal(text),
                None => return misfit,
            },
            (Self::String, Json::String(text)) => RestrictedExpression::new_string(text.clone()),
            (Self::Datetime, Json::String(text)) => RestrictedExpression::new_datetime(text),
            (Self::Duration, Json::String(text)) => RestrictedExpression::new_duration(text),
            (Self::IpAddress, Json::String(text)) => RestrictedExpression::new_ip(text),
            (Self::Set(element), Json::Array(items)) => {
                let items: Vec<RestrictedExpression> = items
                    .iter()
                    .enumerate()
                    .map(|(position, item)| {
                        element.read(item).map_err(|within| joined(&position.to_string(), &within))
                    })
                    .collect::<Result<_, _>>()?;
                RestrictedExpression::new_set(items)
            }
            (Self::Record(record), Json::Object(object)) => record.read(object)?,
            _ => return misfit,
        })
    }
}

/// A Cedar decimal has four places; what does not fit exactly is refused.
fn decimal_text(number: &Number) -> Option<String> {
    let scaled = number.scaled(4).filter(|scaled| scaled.unsigned_abs() < MAX_SAFE_DECIMAL)?;
    let sign = if scaled < 0 { "-" } else { "" };
    let magnitude = scaled.unsigned_abs();
    Some(format!("{sign}{}.{:04}", magnitude / 10_000, magnitude % 10_000))
}

fn joined(name: &str, within: &str) -> String {
    if within.is_empty() { name.to_owned() } else { format!("{name}.{within}") }
}

/// Up to here every whole number is a double (RFC 8259 section 6).
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
/// Fifteen digits come back from a double as they went in.
const MAX_SAFE_DECIMAL: u64 = 1_000_000_000_000_000;
const OWN_NAMESPACE: &str = "Mcp::";
/// Deeper than any tool's arguments, and no deeper than a message may be.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use cedar_policy::{Context, EvalResult};
    use serde_json::json;

    use super::*;

    fn shape() -> RecordShape {
        let namespace = json!({ "commonTypes": {
            "Money": { "type": "EntityOrCommon", "name": "decimal" },
            "Place": { "type": "Record", "attributes": {
                "zip": { "type": "EntityOrCommon", "name": "String" } } },
        } });
        TypeNames::of(&namespace)
            .record(&json!({ "type": "Record", "attributes": {
                "id": { "type": "EntityOrCommon", "name": "String" },
                "limit": { "type": "EntityOrCommon", "name": "__cedar::Long", "required": false },
                "amounts": { "type": "Set", "required": false,
                    "element": { "type": "EntityOrCommon", "name": "Mcp::Money" } },
                "place": { "type": "EntityOrCommon", "name": "Place", "required": false },
                "when": { "type": "EntityOrCommon", "name": "datetime", "required": false },
            } }))
            .unwrap()
    }

    fn read(text: &str) -> Result<Context, String> {
        let Ok(Json::Object(object)) = Json::read(text.as_bytes()) else { panic!("{text}") };
        shape().read(&object).and_then(|r| {
            Context::from_pairs([("input".to_owned(), r)]).map_err(|_| "?".to_owned())
        })
    }

    #[test]
    fn arguments_become_values_of_their_types() {
        let context = read(
            r#"{"id":"a","limit":3.0,"amounts":[150,89.5,1e2],"place":{"zip":"1"},"when":"2026-11-22"}"#,
        )
        .unwrap();
        let Some(EvalResult::Record(input)) = context.get("input") else { panic!("a record") };
        assert_eq!(input.get("limit"), Some(&EvalResult::Long(3)));
        let Some(EvalResult::Set(amounts)) = input.get("amounts") else { panic!("a set") };
        assert_eq!(amounts.len(), 3);
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_path() {
        for (text, path) in [
            (r#"{}"#, "id"),
            (r#"{"id":1}"#, "id"),
            (r#"{"id":null}"#, "id"),
            (r#"{"id":"a","limit":3.5}"#, "limit"),
            (r#"{"id":"a","limit":9007199254740992}"#, "limit"),
            (r#"{"id":"a","limit":-9007199254740993}"#, "limit"),
            (r#"{"id":"a","limit":"3"}"#, "limit"),
            (r#"{"id":"a","limit":null}"#, "limit"),
            (r#"{"id":"a","amounts":[1,0.00001]}"#, "amounts.1"),
            (r#"{"id":"a","amounts":{"0":1}}"#, "amounts"),
            (r#"{"id":"a","place":{}}"#, "place.zip"),
            (r#"{"id":"a","place":{"zip":"1","x":1}}"#, "place.x"),
            (r#"{"id":"a","unknown":1}"#, "unknown"),
            (r#"{"id":"a","when":"tomorrow"}"#, "?"),
            (r#"{"id":{"__entity":{"type":"Mcp::OAuthUser","id":"root"}}}"#, "id"),
            (r#"{"id":"a","amounts":[{"__extn":{"fn":"decimal","arg":"1.0"}}]}"#, "amounts.0"),
        ] {
            assert_eq!(read(text).map(drop), Err(path.to_owned()), "{text}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        for (written, text) in [
            ("0", Some("0.0000")),
            ("-0.05", Some("-0.0500")),
            ("99999999999.9999", Some("99999999999.9999")),
            ("100000000000.0001", None),
            ("922337203685477.5807", None),
            ("1.23456", None),
        ] {
            let Ok(Json::Number(number)) = Json::read(written.as_bytes()) else { panic!() };
            assert_eq!(decimal_text(&number).as_deref(), text, "{written}");
        }
    }

    #[test]
    fn a_type_that_refers_to_itself_is_refused() {
        let namespace = json!({ "commonTypes": {
            "A": { "type": "EntityOrCommon", "name": "B" },
            "B": { "type": "EntityOrCommon", "name": "A" },
        } });
        let names = TypeNames::of(&namespace);
        assert!(names.record(&json!({ "type": "EntityOrCommon", "name": "A" })).is_err());
    }
}
