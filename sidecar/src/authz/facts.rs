//! What can be said of arguments that Cedar itself cannot look into: the sum of a list of amounts,
//! the host of a URL, the folder of a path. Policies read them as `context.facts`.
//!
//! Only what the schema in force declares is worked out. Numbers are in minor units (hundredths)
//! and saturate; what is rounded is rounded so that a rule on "more than" sees enough.

mod numbers;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::RestrictedExpression;
use serde_json::Value;

use super::shape::{
    self, Known, OTHERS, RecordShape, Shape, TypeNames, cedar_name, record, wanted,
};
use crate::message::json::{Json, Object};
use numbers::Numbers;
pub(super) use texts::parts_of;

/// The facts that are wanted of an object's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FactsShape(BTreeMap<String, Fact>);

/// What is wanted of one argument, by the kind of argument.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    Text(Wanted),
    Texts(Wanted),
    Number(Wanted),
    Numbers(Wanted),
    /// Of an object of any names.
    Members(Wanted),
    /// Of a list about which nothing else can be said.
    Count(Wanted),
    Nested(FactsShape),
    Records {
        count: bool,
        each: BTreeMap<String, Fact>,
    },
}

/// Names of the facts that are wanted, out of those that there are for a kind of argument.
type Wanted = Vec<&'static str>;

const TEXT: Known = &[
    ("length", "Long"),
    ("scheme", "String"),
    ("host", "String"),
    ("port", "Long"),
    ("path", "String"),
    ("domain", "String"),
];
const TEXTS: Known = &[
    ("count", "Long"),
    ("longest", "Long"),
    ("path", "String"),
    ("hosts", "Set<String>"),
    ("domains", "Set<String>"),
];
const NUMBER: Known = &[("minor", "Long"), ("exact", "Bool")];
const NUMBERS: Known =
    &[("count", "Long"), ("min", "Long"), ("max", "Long"), ("sum", "Long"), ("overflow", "Bool")];
const MEMBERS: Known = &[("count", "Long"), ("names", "Set<String>")];
const COUNT: Known = &[("count", "Long")];

impl FactsShape {
    /// What `definition` wants to be told of arguments of these shapes.
    pub(super) fn of(
        names: &TypeNames<'_>,
        definition: &Value,
        input: &RecordShape,
    ) -> Result<Self, String> {
        let mut facts = BTreeMap::new();
        for (name, definition) in names.members(definition)? {
            let fact = Fact::of(names, name, definition, input)
                .map_err(|what| format!("member `{name}` {what}"))?;
            facts.insert(name.to_owned(), fact);
        }
        Ok(Self(facts))
    }

    /// The facts about these arguments, each where its argument is.
    pub(super) fn about(&self, object: &Object, input: &RecordShape) -> RestrictedExpression {
        let said = self.0.iter().filter_map(|(name, fact)| {
            if name == OTHERS {
                let others: Vec<&str> =
                    object.iter().map(|(name, _)| name).filter(|name| !input.names(name)).collect();
                return Some((name.clone(), fact.about_names(&others)));
            }
            let value = object.get(name).filter(|value| **value != Json::Null)?;
            Some((name.clone(), fact.about(value, input.shape_of(name))?))
        });
        record(said.collect())
    }
}

impl Fact {
    fn of(
        names: &TypeNames<'_>,
        name: &str,
        definition: &Value,
        input: &RecordShape,
    ) -> Result<Self, String> {
        if name == OTHERS && input.takes_others() {
            return Ok(Self::Members(wanted(names, definition, MEMBERS)?));
        }
        let shape = input.shape_of(name).ok_or("is about no argument")?;
        let is_required = definition.get("required").and_then(Value::as_bool).unwrap_or(true);
        if is_required && !input.requires(name) {
            return Err("is required, but its argument is not".to_owned());
        }
        Self::of_shape(names, definition, shape)
    }

    fn of_shape(names: &TypeNames<'_>, definition: &Value, shape: &Shape) -> Result<Self, String> {
        Ok(match shape {
            Shape::String => Self::Text(wanted(names, definition, TEXT)?),
            Shape::Decimal | Shape::Long => Self::Number(wanted(names, definition, NUMBER)?),
            Shape::Record(record) => Self::Nested(FactsShape::of(names, definition, record)?),
            Shape::Set(_) if shape.map_values().is_some() => {
                Self::Members(wanted(names, definition, MEMBERS)?)
            }
            Shape::Set(element) => match element.as_ref() {
                Shape::String => Self::Texts(wanted(names, definition, TEXTS)?),
                Shape::Decimal | Shape::Long => Self::Numbers(wanted(names, definition, NUMBERS)?),
                Shape::Record(record) => Self::of_records(names, definition, record)?,
                _ => Self::Count(wanted(names, definition, COUNT)?),
            },
            _ => return Err("is about an argument of which nothing is said".to_owned()),
        })
    }

    fn of_records(
        names: &TypeNames<'_>,
        definition: &Value,
        record: &RecordShape,
    ) -> Result<Self, String> {
        let (mut count, mut each) = (false, BTreeMap::new());
        for (name, definition) in names.members(definition)? {
            match name {
                "count" if cedar_name(names, definition)? == "Long" => count = true,
                "each" => {
                    for (name, definition) in names.members(definition)? {
                        let shape = record.shape_of(name).ok_or("is about no argument")?;
                        let many = Shape::Set(Box::new(shape.clone()));
                        each.insert(name.to_owned(), Self::of_shape(names, definition, &many)?);
                    }
                }
                other => return Err(format!("has `{other}`, which is no fact")),
            }
        }
        Ok(Self::Records { count, each })
    }

    /// What there is to say about a value; nothing about one that is not of the argument's shape.
    fn about(&self, value: &Json, shape: Option<&Shape>) -> Option<RestrictedExpression> {
        Some(match (self, value) {
            (Self::Text(wanted), Json::String(text)) => texts::about(text, wanted),
            (Self::Number(wanted), Json::Number(number)) => numbers::about(number, wanted),
            (Self::Texts(wanted), Json::Array(items)) => {
                texts::about_all(items.iter().filter_map(Json::as_str), wanted)
            }
            (Self::Numbers(wanted), Json::Array(items)) => Numbers::of(items).facts(wanted),
            (Self::Members(_), Json::Object(object)) => {
                self.about_names(&object.iter().map(|(name, _)| name).collect::<Vec<_>>())
            }
            // A list of keys and values, which policies see as they see an object of any names.
            (Self::Members(_), Json::Array(items)) => {
                let key = |item: &Json| Some(item.as_object()?.get("key")?.as_str()?.to_owned());
                let keys: Vec<String> =
                    items.iter().map(|item| key(item).unwrap_or_default()).collect();
                self.about_names(&keys.iter().map(String::as_str).collect::<Vec<_>>())
            }
            (Self::Count(wanted), Json::Array(items)) => select(wanted, |_| count(items.len())),
            (Self::Nested(facts), Json::Object(object)) => match shape {
                Some(Shape::Record(record)) => facts.about(object, record),
                _ => return None,
            },
            (Self::Records { count, each }, Json::Array(items)) => {
                let mut said = Vec::new();
                if *count {
                    said.push(count_of(items.len()));
                }
                if !each.is_empty() {
                    let each = each.iter().filter_map(|(name, fact)| {
                        let of_name = items.iter().filter_map(|item| item.as_object()?.get(name));
                        let present = of_name.filter(|value| **value != Json::Null);
                        let values = Json::Array(present.cloned().collect());
                        Some((name.clone(), fact.about(&values, None)?))
                    });
                    said.push(("each".to_owned(), record(each.collect())));
                }
                record(said)
            }
            _ => return None,
        })
    }

    fn about_names(&self, names: &[&str]) -> RestrictedExpression {
        let Self::Members(wanted) = self else { return record(Vec::new()) };
        select(wanted, |fact| match fact {
            "count" => count(names.len()),
            _ => set_of(&names.iter().copied().collect()),
        })
    }
}

fn select(
    wanted: &[&'static str],
    of: impl Fn(&'static str) -> RestrictedExpression,
) -> RestrictedExpression {
    shape::select(wanted, |fact| Some(of(fact)))
}

fn set_of(texts: &BTreeSet<&str>) -> RestrictedExpression {
    let texts = texts.iter().map(|text| RestrictedExpression::new_string((*text).to_owned()));
    RestrictedExpression::new_set(texts)
}

fn count(number: usize) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(number).unwrap_or(i64::MAX))
}

fn count_of(number: usize) -> (String, RestrictedExpression) {
    ("count".to_owned(), count(number))
}
