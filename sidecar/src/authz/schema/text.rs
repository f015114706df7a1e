//! Types as they are written in a Cedar schema. Names that are no identifiers are quoted, so that
//! every name of a tool or an argument can be written.

use std::fmt::Write as _;

use super::argument_type::{ArgumentType, Member, Members, OTHERS};

/// The type of `context.input`.
pub(super) fn input(members: &Members, margin: usize) -> String {
    let mut fields: Vec<Field<'_>> =
        members.named.iter().map(|(name, m)| of_input(name, m, margin + 1)).collect();
    if let Some(others) = &members.others {
        let of = set_of_members(others, margin + 1);
        fields.push(Field { name: OTHERS, note: "", optional: false, of });
    }
    record(&fields, margin)
}

/// The type of `context.facts`, if there is anything to be said.
pub(super) fn facts(members: &Members, margin: usize) -> Option<String> {
    let mut fields: Vec<Field<'_>> = members
        .named
        .iter()
        .filter_map(|(name, member)| {
            let of = facts_of(&member.of, margin + 1)?;
            Some(Field { name, note: "", optional: !member.required, of })
        })
        .collect();
    if members.others.is_some() {
        fields.push(Field { name: OTHERS, note: "", optional: false, of: "MapFacts".to_owned() });
    }
    (!fields.is_empty()).then(|| record(&fields, margin))
}

/// Any text as a Cedar string or name.
pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

struct Field<'a> {
    name: &'a str,
    note: &'static str,
    optional: bool,
    of: String,
}

fn of_input<'a>(name: &'a str, member: &Member, margin: usize) -> Field<'a> {
    let note = if member.nullable { "@nullable " } else { "" };
    Field { name, note, optional: !member.required, of: written(&member.of, margin) }
}

fn written(of: &ArgumentType, margin: usize) -> String {
    match of {
        ArgumentType::Boolean => "Bool".to_owned(),
        ArgumentType::Long => "Long".to_owned(),
        ArgumentType::Decimal => "decimal".to_owned(),
        ArgumentType::String => "String".to_owned(),
        ArgumentType::Datetime => "datetime".to_owned(),
        ArgumentType::IpAddress => "ipaddr".to_owned(),
        ArgumentType::Any => "Json".to_owned(),
        ArgumentType::Set(element) => format!("Set<{}>", written(element, margin)),
        ArgumentType::Map(values) => set_of_members(values, margin),
        ArgumentType::Record(members) => input(members, margin),
    }
}

fn set_of_members(values: &ArgumentType, margin: usize) -> String {
    format!("Set<{{ key: String, value: {} }}>", written(values, margin))
}

fn facts_of(of: &ArgumentType, margin: usize) -> Option<String> {
    let known = match of {
        ArgumentType::String => "StringFacts",
        ArgumentType::Decimal => "NumberFacts",
        ArgumentType::Map(_) => "MapFacts",
        ArgumentType::Record(members) => return facts(members, margin),
        ArgumentType::Set(element) => match element.as_ref() {
            ArgumentType::Record(members) if members.are_key_and_value() => "MapFacts",
            ArgumentType::Record(members) => return Some(of_records(members, margin)),
            other => aggregated(other),
        },
        ArgumentType::Boolean
        | ArgumentType::Long
        | ArgumentType::Datetime
        | ArgumentType::IpAddress
        | ArgumentType::Any => return None,
    };
    Some(known.to_owned())
}

/// What can be said of many values of a type together.
fn aggregated(of: &ArgumentType) -> &'static str {
    match of {
        ArgumentType::Long | ArgumentType::Decimal => "NumbersFacts",
        ArgumentType::String => "StringsFacts",
        _ => "SetFacts",
    }
}

/// Of a list of objects: how many, and of each member what can be said of all of them together.
fn of_records(members: &Members, margin: usize) -> String {
    let each: Vec<Field<'_>> = members
        .named
        .iter()
        .filter(|(_, member)| aggregated(&member.of) != "SetFacts")
        .map(|(name, member)| {
            let of = aggregated(&member.of).to_owned();
            Field { name, note: "", optional: false, of }
        })
        .collect();
    let mut fields =
        vec![Field { name: "count", note: "", optional: false, of: "Long".to_owned() }];
    if !each.is_empty() {
        let of = record(&each, margin + 1);
        fields.push(Field { name: "each", note: "", optional: false, of });
    }
    record(&fields, margin)
}

fn record(fields: &[Field<'_>], margin: usize) -> String {
    if fields.is_empty() {
        return "{}".to_owned();
    }
    let (inner, outer) = ("  ".repeat(margin + 1), "  ".repeat(margin));
    let mut text = String::from("{\n");
    for Field { name, note, optional, of } in fields {
        let mark = if *optional { "?" } else { "" };
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{inner}{note}{}{mark}: {of},", quoted(name));
    }
    text + &outer + "}"
}
