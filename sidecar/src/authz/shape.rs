//! The types of a tool's arguments, taken from the Cedar schema, and how JSON becomes values of
//! them.
//!
//! A whole number is exact in a double or refused, since many servers read doubles (RFC 7493 section
//! 2.2). Any other number becomes a decimal of four places; what it does not hold is rounded away
//! from zero, so that a rule on "more than" sees enough. An argument that the schema does not name is
//! refused, unless it says that there are others.

mod type_names;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use cedar_policy::RestrictedExpression;
use serde_json::Value;

use crate::message::json::{Json, Object};
pub(super) use type_names::{Known, TypeNames, cedar_name, wanted};
use values::{datetime_text, decimal_text, described, whole};

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
    /// Anything, as its kind and its text.
    Any,
}

/// The type of an object with known members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RecordShape {
    fields: BTreeMap<String, Field>,
    /// Of the values of members that are not named.
    others: Option<Box<Shape>>,
    /// Members that have names, and that nobody looks at.
    passed_over: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    shape: Shape,
    required: bool,
    /// Whether `null` stands for its absence.
    nullable: bool,
}

/// A record of those members that are there.
pub(super) fn select(
    wanted: &[&'static str],
    of: impl Fn(&'static str) -> Option<RestrictedExpression>,
) -> RestrictedExpression {
    record(wanted.iter().filter_map(|&name| Some((name.to_owned(), of(name)?))).collect())
}

/// A record of members whose names are distinct.
pub(super) fn record(members: Vec<(String, RestrictedExpression)>) -> RestrictedExpression {
    let members: BTreeMap<String, RestrictedExpression> = members.into_iter().collect();
    // Nothing but equal names fails, which a map has not.
    RestrictedExpression::new_record(members).unwrap_or_else(|_| RestrictedExpression::new_set([]))
}

impl RecordShape {
    fn take(&mut self, name: &str, shape: Shape, definition: &Value) -> Result<(), String> {
        let required = definition.get("required").and_then(Value::as_bool).unwrap_or(true);
        let nullable = definition.pointer("/annotations/nullable").is_some();
        if nullable && required {
            return Err(format!("member `{name}` is nullable and must be optional (`?`)"));
        }
        match shape.map_values() {
            Some(values) if name == OTHERS => self.others = Some(Box::new(values.clone())),
            _ if name == OTHERS => {
                return Err(format!(
                    "member `{OTHERS}` must be `Set<{{ key: String, value: … }}>`"
                ));
            }
            _ => drop(self.fields.insert(name.to_owned(), Field { shape, required, nullable })),
        }
        Ok(())
    }

    /// Whether it has a member of this name.
    pub(super) fn names(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub(super) fn requires(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|field| field.required)
    }

    pub(super) fn takes_others(&self) -> bool {
        self.others.is_some()
    }

    pub(super) fn shape_of(&self, name: &str) -> Option<&Shape> {
        self.fields.get(name).map(|field| &field.shape)
    }

    /// This, of which `whole` has been left: what that names is none of the others.
    pub(super) fn left_of(mut self, whole: &Self) -> Self {
        for (name, field) in &whole.fields {
            match (self.fields.get_mut(name), &field.shape) {
                (None, _) => drop(self.passed_over.insert(name.clone())),
                (Some(Field { shape: Shape::Record(left), .. }), Shape::Record(whole)) => {
                    *left = std::mem::take(left).left_of(whole);
                }
                (Some(_), _) => {}
            }
        }
        self
    }

    /// Refuses arguments that do not fit, with the path of the first.
    pub(super) fn check(&self, object: &Object) -> Result<(), String> {
        for (name, value) in object.iter() {
            let shape = match (self.fields.get(name), &self.others) {
                (Some(field), _) if field.nullable && *value == Json::Null => continue,
                (Some(field), _) => &field.shape,
                (None, Some(others)) => others.as_ref(),
                (None, None) => return Err(name.to_owned()),
            };
            shape.check(value).map_err(|within| joined(name, &within))?;
        }
        let present = |name: &str| object.get(name).is_some();
        match self.fields.iter().find(|(name, field)| field.required && !present(name)) {
            Some((name, _)) => Err(name.clone()),
            None => Ok(()),
        }
    }

    /// The record that arguments make which fit: of those that it names, and of others where it has
    /// a place for them.
    pub(super) fn build(&self, object: &Object) -> RestrictedExpression {
        let mut fields = Vec::with_capacity(self.fields.len() + 1);
        let mut others = Vec::new();
        for (name, value) in object.iter() {
            match (self.fields.get(name), &self.others) {
                (Some(field), _) if field.nullable && *value == Json::Null => {}
                (Some(field), _) => {
                    fields.extend(field.shape.build(value).map(|value| (name.to_owned(), value)));
                }
                (None, Some(shape)) if !self.passed_over.contains(name) => {
                    others.extend(shape.build_member(name, value));
                }
                (None, _) => {}
            }
        }
        if self.others.is_some() {
            fields.push((OTHERS.to_owned(), RestrictedExpression::new_set(others)));
        }
        record(fields)
    }
}

impl Shape {
    /// Of the values of an object of any names, if that is what it is: a set of its members.
    pub(super) fn map_values(&self) -> Option<&Self> {
        let Self::Set(element) = self else { return None };
        let Self::Record(member) = element.as_ref() else { return None };
        let is_member = member.fields.len() == 2
            && member.others.is_none()
            && member.requires("value")
            && member.requires("key")
            && member.shape_of("key") == Some(&Self::String);
        member.shape_of("value").filter(|_| is_member)
    }

    fn check(&self, json: &Json) -> Result<(), String> {
        let fits = match (self, json) {
            (Self::Set(element), Json::Array(items)) => {
                return items.iter().enumerate().try_for_each(|(position, item)| {
                    element.check(item).map_err(|within| joined(&position.to_string(), &within))
                });
            }
            (Self::Set(_), Json::Object(object)) => {
                let values = self.map_values().ok_or_else(String::new)?;
                return object.iter().try_for_each(|(name, value)| {
                    values.check(value).map_err(|within| joined(name, &within))
                });
            }
            (Self::Record(record), Json::Object(object)) => return record.check(object),
            (Self::Long, Json::Number(number)) => whole(number).is_some(),
            (Self::Datetime, Json::String(text)) => datetime_text(text).is_some(),
            (Self::IpAddress, Json::String(text)) => text.parse::<IpAddr>().is_ok(),
            (Self::Decimal, Json::Number(_)) | (Self::Any, _) => json.reads_alike(),
            (Self::Bool, Json::Bool(_)) | (Self::String | Self::Duration, Json::String(_)) => true,
            _ => false,
        };
        if fits { Ok(()) } else { Err(String::new()) }
    }

    /// The value that JSON makes which fits.
    fn build(&self, json: &Json) -> Option<RestrictedExpression> {
        Some(match (self, json) {
            (Self::Bool, Json::Bool(value)) => RestrictedExpression::new_bool(*value),
            (Self::Long, Json::Number(number)) => RestrictedExpression::new_long(whole(number)?),
            (Self::Decimal, Json::Number(number)) => {
                RestrictedExpression::new_decimal(decimal_text(number))
            }
            (Self::String, Json::String(text)) => RestrictedExpression::new_string(text.clone()),
            (Self::Datetime, Json::String(text)) => {
                RestrictedExpression::new_datetime(datetime_text(text)?)
            }
            (Self::Duration, Json::String(text)) => RestrictedExpression::new_duration(text),
            // Cedar would take a range of addresses too, and no address of IPv4 within IPv6.
            (Self::IpAddress, Json::String(text)) => {
                let address = text.parse::<IpAddr>().ok()?;
                RestrictedExpression::new_ip(address.to_canonical().to_string())
            }
            (Self::Any, value) => described(value),
            (Self::Set(_), Json::Object(object)) => {
                let values = self.map_values()?;
                let members = object.iter().filter_map(|(n, value)| values.build_member(n, value));
                RestrictedExpression::new_set(members)
            }
            (Self::Set(element), Json::Array(items)) => {
                RestrictedExpression::new_set(items.iter().filter_map(|item| element.build(item)))
            }
            (Self::Record(record), Json::Object(object)) => record.build(object),
            _ => return None,
        })
    }

    /// One member of an object of any names.
    fn build_member(&self, name: &str, value: &Json) -> Option<RestrictedExpression> {
        let key = RestrictedExpression::new_string(name.to_owned());
        let members = vec![("key".to_owned(), key), ("value".to_owned(), self.build(value)?)];
        Some(record(members))
    }
}

fn joined(name: &str, within: &str) -> String {
    if within.is_empty() { name.to_owned() } else { format!("{name}.{within}") }
}

/// The member under which policies find what the schema does not name.
pub(super) const OTHERS: &str = "*";

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
        shape().check(&object)?;
        Context::from_pairs([("input".to_owned(), shape().build(&object))])
            .map_err(|_| "?".to_owned())
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
            (r#"{"id":"a","amounts":[1,"2"]}"#, "amounts.1"),
            (r#"{"id":"a","amounts":{"0":1}}"#, "amounts"),
            (r#"{"id":"a","place":{}}"#, "place.zip"),
            (r#"{"id":"a","place":{"zip":"1","x":1}}"#, "place.x"),
            (r#"{"id":"a","unknown":1}"#, "unknown"),
            (r#"{"id":"a","when":"tomorrow"}"#, "when"),
            (r#"{"id":{"__entity":{"type":"Mcp::OAuthUser","id":"root"}}}"#, "id"),
            (r#"{"id":"a","amounts":[{"__extn":{"fn":"decimal","arg":"1.0"}}]}"#, "amounts.0"),
        ] {
            assert_eq!(read(text).map(drop), Err(path.to_owned()), "{text}");
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
