//! A policy as text, in the words in which it was taken apart.
//!
//! Cedar's own way from its JSON form to text writes `a > b` as `!(a <= b)` and an `unless` as a
//! `when`, and its reader of that form copies what it has not read yet at every level. What is
//! written here is read again and compared, so that it says what is meant.

use cedar_policy::Policy;
use serde_json::Value;

use super::{
    expression::{both, named, operator},
    parts::Parts,
};

/// The policy as text that reads as the same policy.
pub(super) fn written(parts: &Parts) -> Result<String, String> {
    let text = statement(parts).ok_or("cannot be written as Cedar")?;
    let read: Policy = text.parse().map_err(|e| format!("cannot be written as Cedar: {e}"))?;
    match Parts::of(&read)? == *parts {
        true => Ok(text),
        false => Err("cannot be written as Cedar that means the same".to_owned()),
    }
}

fn statement(parts: &Parts) -> Option<String> {
    let effect = if parts.forbids { "forbid" } else { "permit" };
    let principal = constraint("principal", &parts.principal)?;
    let action = constraint("action", &parts.action)?;
    let resource = constraint("resource", &parts.resource)?;
    let mut text = format!("{effect} ({principal}, {action}, {resource})");
    for clause in &parts.clauses {
        let kind = if clause.unless { "unless" } else { "when" };
        text += &format!(" {kind} {{ {} }}", expression(&clause.body, Level::Any)?);
    }
    Some(text + ";")
}

fn constraint(variable: &str, constraint: &Value) -> Option<String> {
    if let Some(many) = constraint.get("entities").and_then(Value::as_array) {
        let many: Option<Vec<String>> = many.iter().map(uid).collect();
        return Some(format!("{variable} in [{}]", many?.join(", ")));
    }
    Some(match constraint.get("op")?.as_str()? {
        "All" => variable.to_owned(),
        "is" => {
            let of = constraint.get("entity_type")?.as_str()?;
            match constraint.pointer("/in/entity") {
                Some(above) => format!("{variable} is {of} in {}", uid(above)?),
                None => format!("{variable} is {of}"),
            }
        }
        operator => format!("{variable} {operator} {}", uid(constraint.get("entity")?)?),
    })
}

/// How closely an expression holds together, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Any,
    Or,
    And,
    Relation,
    Sum,
    Product,
    Sign,
    Access,
}

/// An expression, in brackets where it would fall apart otherwise.
fn expression(of: &Value, least: Level) -> Option<String> {
    let (level, text) = bare(of)?;
    Some(if level < least { format!("({text})") } else { text })
}

fn bare(of: &Value) -> Option<(Level, String)> {
    let (name, operands) = operator(of)?;
    if let Some((level, left_least, right_least)) = infix(name) {
        let (left, right) = both(operands)?;
        let (left, right) = (expression(left, left_least)?, expression(right, right_least)?);
        return Some((level, format!("{left} {name} {right}")));
    }
    let at = |operand: &str, least: Level| expression(operands.get(operand)?, least);
    Some(match name {
        "Value" => literal(operands)?,
        "Var" => (Level::Access, operands.as_str()?.to_owned()),
        "!" => (Level::Sign, format!("!{}", at("arg", Level::Access)?)),
        // A number alone would be read as a negative one.
        "neg" => (Level::Sign, format!("-({})", at("arg", Level::Any)?)),
        "if-then-else" => {
            let (test, then) = (at("if", Level::Any)?, at("then", Level::Any)?);
            let otherwise = at("else", Level::Any)?;
            (Level::Any, format!("if {test} then {then} else {otherwise}"))
        }
        "." => {
            let left = at("left", Level::Access)?;
            let attribute = operands.get("attr")?.as_str()?;
            let text = match is_identifier(attribute) {
                true => format!("{left}.{attribute}"),
                false => format!("{left}[{attribute:?}]"),
            };
            (Level::Access, text)
        }
        "has" => (
            Level::Relation,
            format!("{} has {}", at("left", Level::Sum)?, path(operands.get("attr")?)?),
        ),
        "like" => {
            let pattern = pattern(operands.get("pattern")?)?;
            (Level::Relation, format!("{} like {pattern}", at("left", Level::Sum)?))
        }
        "is" => {
            let mut text = format!(
                "{} is {}",
                at("left", Level::Sum)?,
                operands.get("entity_type")?.as_str()?
            );
            if operands.get("in").is_some() {
                text += &format!(" in {}", at("in", Level::Sum)?);
            }
            (Level::Relation, text)
        }
        "Set" => (Level::Access, format!("[{}]", listed(operands.as_array()?)?)),
        "Record" => {
            let members = operands.as_object()?.iter();
            let member = |(name, value): (&String, &Value)| {
                Some(format!("{name:?}: {}", expression(value, Level::Any)?))
            };
            (
                Level::Access,
                format!("{{{}}}", members.map(member).collect::<Option<Vec<_>>>()?.join(", ")),
            )
        }
        "isEmpty" => (Level::Access, format!("{}.isEmpty()", at("arg", Level::Access)?)),
        _ => (Level::Access, call(name, operands)?),
    })
}

/// A function, or a method of its first operand.
fn call(name: &str, operands: &Value) -> Option<String> {
    let Some(all) = operands.as_array() else {
        let (left, right) = both(operands)?;
        let (left, right) = (expression(left, Level::Access)?, expression(right, Level::Any)?);
        return Some(format!("{left}.{name}({right})"));
    };
    if FUNCTIONS.contains(&name) {
        return Some(format!("{name}({})", listed(all)?));
    }
    let (first, rest) = all.split_first()?;
    Some(format!("{}.{name}({})", expression(first, Level::Access)?, listed(rest)?))
}

/// How closely an operator binds, and what it takes to its left and right.
fn infix(name: &str) -> Option<(Level, Level, Level)> {
    Some(match name {
        "||" => (Level::Or, Level::Or, Level::And),
        "&&" => (Level::And, Level::And, Level::Relation),
        "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" => (Level::Relation, Level::Sum, Level::Sum),
        "+" | "-" => (Level::Sum, Level::Sum, Level::Product),
        "*" => (Level::Product, Level::Product, Level::Sign),
        _ => return None,
    })
}

fn listed(all: &[Value]) -> Option<String> {
    let all = all.iter().map(|one| expression(one, Level::Any));
    all.collect::<Option<Vec<_>>>().map(|all| all.join(", "))
}

fn literal(value: &Value) -> Option<(Level, String)> {
    Some(match value {
        Value::String(text) => (Level::Access, format!("{text:?}")),
        Value::Number(number) if number.as_i64().is_some_and(i64::is_negative) => {
            (Level::Sign, number.to_string())
        }
        Value::Number(_) | Value::Bool(_) => (Level::Access, value.to_string()),
        other => (Level::Access, uid(other.get("__entity")?)?),
    })
}

fn uid(entity: &Value) -> Option<String> {
    let (of, id) = named(entity)?;
    Some(format!("{of}::{id:?}"))
}

fn path(attribute: &Value) -> Option<String> {
    let word = |name: &str| if is_identifier(name) { name.to_owned() } else { format!("{name:?}") };
    if let Some(name) = attribute.as_str() {
        return Some(word(name));
    }
    let names = attribute.as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
    names.collect::<Option<Vec<_>>>().map(|names| names.join("."))
}

fn pattern(elements: &Value) -> Option<String> {
    let element = |element: &Value| match element.get("Literal").and_then(Value::as_str) {
        Some(text) => {
            let quoted = format!("{text:?}");
            Some(quoted.strip_prefix('"')?.strip_suffix('"')?.replace('*', "\\*"))
        }
        None => Some("*".to_owned()),
    };
    let all = elements.as_array()?.iter().map(element);
    all.collect::<Option<Vec<_>>>().map(|all| format!("\"{}\"", all.concat()))
}

fn is_identifier(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(letters)
        && !RESERVED.contains(&name)
}

const FUNCTIONS: [&str; 4] = ["ip", "decimal", "datetime", "duration"];
const RESERVED: [&str; 9] = ["true", "false", "if", "then", "else", "in", "is", "like", "has"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written_as_it_stood() {
        for condition in [
            r#"principal || resource && context"#,
            r#"(principal || resource) && (context && principal) && !(principal == resource)"#,
            r#"if principal == (if resource then context else principal) then (1 + 2) * -3 - (4 - 5) < 6 else !(!principal)"#,
            r#"principal.x["if"]["a b"] has "in" && principal has x.y.z && !(principal has x)"#,
            r#"principal like "*x\*y\"\\\n*" && principal is T in principal.b && principal is N::T"#,
            r#"[1, -2, N::T::"q\"\u{301}"].containsAll(principal.Set) && {"a b": 1}.x == {}"#,
            r#"decimal("1.0").lessThan(principal.x) && ip("10.0.0.1").isInRange(ip("10.0.0.0/8"))"#,
            r#"principal.hasTag("x") && principal.getTag("x") != "y" && principal.x.isEmpty() && principal in [principal, resource]"#,
            r#"datetime("2026-01-01").offset(duration("1d")).toTime() > principal.x && -(5) == -5"#,
        ] {
            let text = format!(
                r#"permit (principal is T in G::"g", action in [Action::"a", Action::"b"], resource == T::"t") unless {{ {condition} }};"#
            );
            let policy: Policy = text.parse().unwrap_or_else(|e| panic!("{e} in {text}"));
            assert_eq!(written(&Parts::of(&policy).unwrap()).as_deref(), Ok(&*text));
        }
    }
}
