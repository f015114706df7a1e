//! What a JSON Schema says of a value's type, for as far as Cedar has types for it.
//!
//! A schema is read as a set of constraints that meet (`allOf`, `$ref` beside other keywords) and
//! join (`anyOf`, `oneOf`, lists of types). What narrows values but not types (`pattern`, `minimum`,
//! `not`, …) is left to the validation, which comes before policy. Draft 2020-12, and what differs in
//! draft-07 and earlier.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Value};

use super::kinds::Kinds;

/// What values a schema lets through, as types go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Constraint {
    pub(super) kinds: Kinds,
    pub(super) format: Format,
    /// Of an array's elements; `None`: anything.
    pub(super) items: Option<Box<Constraint>>,
    /// An object's members by name.
    pub(super) named: BTreeMap<String, Constraint>,
    pub(super) required: BTreeSet<String>,
    pub(super) others: Others,
}

/// What a schema says of members that it does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Others {
    /// Nothing.
    Unsaid,
    /// There are none.
    Closed,
    /// What they are, wherever it says so.
    Of(Box<Constraint>),
}

/// The formats that Cedar has a type for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    /// `date` and `date-time` (RFC 3339).
    Datetime,
    /// `ipv4` and `ipv6`.
    IpAddress,
}

impl Constraint {
    /// Anything.
    pub(super) fn top() -> Self {
        Self::of(Kinds::ALL)
    }

    fn of(kinds: Kinds) -> Self {
        Self {
            kinds,
            format: Format::Plain,
            items: None,
            named: BTreeMap::new(),
            required: BTreeSet::new(),
            others: Others::Unsaid,
        }
    }

    /// What both let through.
    fn and(mut self, other: Self) -> Self {
        self.kinds = self.kinds.and(other.kinds);
        self.format = if self.format == Format::Plain { other.format } else { self.format };
        self.items = match (self.items, other.items) {
            (Some(one), Some(two)) => Some(Box::new(one.and(*two))),
            (one, two) => one.or(two),
        };
        for (name, constraint) in other.named {
            let met = match self.named.remove(&name) {
                Some(own) => own.and(constraint),
                None => constraint,
            };
            self.named.insert(name, met);
        }
        self.required.extend(other.required);
        self.others = match (self.others, other.others) {
            (Others::Of(one), Others::Of(two)) => Others::Of(Box::new(one.and(*two))),
            (Others::Closed, _) | (_, Others::Closed) => Others::Closed,
            (of @ Others::Of(_), Others::Unsaid) | (Others::Unsaid, of) => of,
        };
        self
    }

    /// What either lets through. A member that one of them names keeps what it says of it.
    fn or(mut self, other: Self) -> Self {
        let in_both = |kind| (self.kinds.has(kind), other.kinds.has(kind));
        let (arrays, strings, objects) =
            (in_both(Kinds::ARRAY), in_both(Kinds::STRING), in_both(Kinds::OBJECT));
        self.items = match arrays {
            (true, true) => match (self.items, other.items) {
                (Some(one), Some(two)) => Some(Box::new(one.or(*two))),
                _ => None,
            },
            (true, false) => self.items,
            (false, _) => other.items,
        };
        self.format = match strings {
            (true, true) if self.format == other.format => self.format,
            (true, true) => Format::Plain,
            (true, false) => self.format,
            (false, _) => other.format,
        };
        match objects {
            (true, true) => {
                for (name, constraint) in other.named {
                    let joined = match self.named.remove(&name) {
                        Some(own) => own.or(constraint),
                        None => constraint,
                    };
                    self.named.insert(name, joined);
                }
                self.required.retain(|name| other.required.contains(name));
                self.others = match (self.others, other.others) {
                    (Others::Of(one), Others::Of(two)) => Others::Of(Box::new(one.or(*two))),
                    (of @ Others::Of(_), _) | (_, of @ Others::Of(_)) => of,
                    (Others::Closed, Others::Closed) => Others::Closed,
                    _ => Others::Unsaid,
                };
            }
            (true, false) => {}
            (false, _) => {
                (self.named, self.required, self.others) =
                    (other.named, other.required, other.others);
            }
        }
        self.kinds = self.kinds.or(other.kinds);
        self
    }

    /// Whether it says nothing at all.
    fn is_top(&self) -> bool {
        *self == Self::top()
    }
}

/// Reads the schemas of one tool.
pub(super) struct SchemaReader<'a> {
    root: &'a Value,
    /// Drafts before 2019-09 pass over what stands beside a `$ref`.
    ref_stands_alone: bool,
    nodes_left: Cell<usize>,
}

impl<'a> SchemaReader<'a> {
    pub(super) fn of(root: &'a Value) -> Self {
        let dialect = root.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let old = ["draft-03", "draft-04", "draft-06", "draft-07"];
        Self {
            root,
            ref_stands_alone: old.iter().any(|draft| dialect.contains(draft)),
            nodes_left: Cell::new(MAX_NODES),
        }
    }

    pub(super) fn read(&self) -> Constraint {
        self.constraint(self.root, &mut Vec::new())
    }

    /// `open`: where references led to on the way here.
    fn constraint(&self, schema: &'a Value, open: &mut Vec<&'a str>) -> Constraint {
        let members = match schema {
            Value::Bool(false) => return Constraint::of(Kinds::NONE),
            Value::Object(members) => members,
            _ => return Constraint::top(),
        };
        let Some(nodes_left) = self.nodes_left.get().checked_sub(1) else {
            return Constraint::top();
        };
        self.nodes_left.set(nodes_left);
        if open.len() > MAX_DEPTH {
            return Constraint::top();
        }
        open.push("");
        let constraint = self.object(members, open);
        open.pop();
        constraint
    }

    fn object(&self, members: &'a Map<String, Value>, open: &mut Vec<&'a str>) -> Constraint {
        let mut constraint = Constraint::top();
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            constraint = self.referred(reference, open);
            if self.ref_stands_alone {
                return constraint;
            }
        }
        // A dynamic reference may lead anywhere.
        constraint = constraint.and(self.own(members, open));
        for part in list(members, "allOf") {
            constraint = constraint.and(self.constraint(part, open));
        }
        for joined in ["anyOf", "oneOf"] {
            let parts = list(members, joined).map(|part| self.constraint(part, open));
            if let Some(any) = parts.reduce(Constraint::or) {
                constraint = constraint.and(any);
            }
        }
        for part in self.conditional(members, open) {
            constraint = constraint.and(part);
        }
        constraint
    }

    fn referred(&self, reference: &'a str, open: &mut Vec<&'a str>) -> Constraint {
        let known = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        match known {
            Some(definition) if !open.contains(&reference) => {
                open.push(reference);
                let constraint = self.constraint(definition, open);
                open.pop();
                constraint
            }
            // What refers to itself has no finite type; what is elsewhere is not fetched.
            _ => Constraint::top(),
        }
    }

    /// What the keywords beside the combining ones say.
    fn own(&self, members: &'a Map<String, Value>, open: &mut Vec<&'a str>) -> Constraint {
        let mut constraint = Constraint::of(kinds(members));
        constraint.format = match members.get("format").and_then(Value::as_str) {
            Some("date" | "date-time") => Format::Datetime,
            Some("ipv4" | "ipv6") => Format::IpAddress,
            _ => Format::Plain,
        };
        constraint.items = self.items(members, open).map(Box::new);
        for (name, property) in
            members.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let of_name = self.constraint(property, open);
            constraint.named.insert(name.clone(), of_name);
        }
        let required = list(members, "required").filter_map(Value::as_str);
        constraint.required = required.map(ToOwned::to_owned).collect();
        let others = members.get("additionalProperties").or(members.get("unevaluatedProperties"));
        constraint.others = match others {
            None => Others::Unsaid,
            Some(Value::Bool(false)) => Others::Closed,
            Some(schema) => Others::Of(Box::new(self.constraint(schema, open))),
        };
        let by_pattern = members.get("patternProperties").and_then(Value::as_object);
        if by_pattern.is_some_and(|patterns| !patterns.is_empty()) {
            constraint.others = Others::Of(Box::new(Constraint::top()));
        }
        constraint
    }

    fn items(
        &self,
        members: &'a Map<String, Value>,
        open: &mut Vec<&'a str>,
    ) -> Option<Constraint> {
        let tuple = match members.get("items") {
            Some(Value::Array(tuple)) => Some(tuple),
            _ => members.get("prefixItems").and_then(Value::as_array),
        };
        let rest = match members.get("items") {
            Some(Value::Array(_)) => members.get("additionalItems"),
            rest => rest,
        };
        let Some(tuple) = tuple else {
            return rest.map(|rest| self.constraint(rest, open));
        };
        let rest = self.constraint(rest?, open);
        Some(tuple.iter().map(|part| self.constraint(part, open)).fold(rest, Constraint::or))
    }

    /// Members that stand only under a condition: named, never required.
    fn conditional(
        &self,
        members: &'a Map<String, Value>,
        open: &mut Vec<&'a str>,
    ) -> Vec<Constraint> {
        let dependent = ["dependentSchemas", "dependencies"]
            .into_iter()
            .filter_map(|keyword| members.get(keyword)?.as_object())
            .flat_map(Map::values)
            .filter(|schema| schema.is_object());
        let branches = ["then", "else"].into_iter().filter_map(|keyword| members.get(keyword));
        let parts: Vec<_> = dependent.chain(branches).collect();
        let parts = parts.into_iter().map(|schema| self.constraint(schema, open));
        let mut named: BTreeMap<String, Constraint> = BTreeMap::new();
        for (name, constraint) in parts.flat_map(|part| part.named) {
            let joined = match named.remove(&name) {
                Some(own) => own.or(constraint),
                None => constraint,
            };
            named.insert(name, joined);
        }
        // Where the branch is not taken, the member may be anything that the rest lets through.
        let free = named.into_iter().map(|(name, constraint)| {
            let declared = members.get("properties").is_some_and(|p| p.get(&name).is_some());
            (name, if declared { Constraint::top() } else { constraint })
        });
        let conditional = Constraint { named: free.collect(), ..Constraint::top() };
        if conditional.is_top() { Vec::new() } else { vec![conditional] }
    }
}

/// The kinds of value that `type`, `enum` and `const` let through.
fn kinds(members: &Map<String, Value>) -> Kinds {
    let mut kinds = match members.get("type") {
        Some(Value::String(name)) => Kinds::named(name),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).map(Kinds::named).fold(Kinds::NONE, Kinds::or)
        }
        _ => Kinds::ALL,
    };
    if let Some(value) = members.get("const") {
        kinds = kinds.and(Kinds::of(value));
    }
    if let Some(values) = members.get("enum").and_then(Value::as_array) {
        kinds = kinds.and(values.iter().map(Kinds::of).fold(Kinds::NONE, Kinds::or));
    }
    kinds
}

fn list<'a>(members: &'a Map<String, Value>, keyword: &str) -> impl Iterator<Item = &'a Value> {
    members.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

/// Deeper than policies look.
const MAX_DEPTH: usize = 24;
/// More than the largest tools have; references can make exponentially more.
const MAX_NODES: usize = 5_000;
