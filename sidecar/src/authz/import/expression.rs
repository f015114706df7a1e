//! Expressions in Cedar's JSON form: looked at, and made.

use serde_json::{Map, Value, json};

/// The operator of an expression and what it is applied to.
pub(super) fn operator(expression: &Value) -> Option<(&str, &Value)> {
    let members = expression.as_object().filter(|members| members.len() == 1)?;
    members.iter().next().map(|(name, operands)| (name.as_str(), operands))
}

/// What is applied to two operands, with these.
pub(super) fn both(operands: &Value) -> Option<(&Value, &Value)> {
    Some((operands.get("left")?, operands.get("right")?))
}

pub(super) fn is_variable(expression: &Value, name: &str) -> bool {
    expression.get("Var").and_then(Value::as_str) == Some(name)
}

/// `left.name`
pub(super) fn as_member(expression: &Value) -> Option<(&Value, &str)> {
    let operands = expression.get(".")?;
    Some((operands.get("left")?, operands.get("attr")?.as_str()?))
}

/// Type and id of an entity that is written out.
pub(super) fn as_entity(expression: &Value) -> Option<(&str, &str)> {
    named(expression.get("Value")?.get("__entity")?)
}

pub(super) fn named(entity: &Value) -> Option<(&str, &str)> {
    Some((entity.get("type")?.as_str()?, entity.get("id")?.as_str()?))
}

pub(super) fn as_text(expression: &Value) -> Option<&str> {
    expression.get("Value")?.as_str()
}

pub(super) fn variable(name: &str) -> Value {
    json!({ "Var": name })
}

pub(super) fn literal(value: impl Into<Value>) -> Value {
    json!({ "Value": value.into() })
}

pub(super) fn entity(of: &str, id: &str) -> Value {
    json!({ "Value": { "__entity": uid(of, id) } })
}

pub(super) fn uid(of: &str, id: &str) -> Value {
    json!({ "type": of, "id": id })
}

pub(super) fn member(left: Value, name: &str) -> Value {
    json!({ ".": { "left": left, "attr": name } })
}

pub(super) fn has(left: Value, name: &str) -> Value {
    json!({ "has": { "left": left, "attr": name } })
}

pub(super) fn binary(operator: &str, left: Value, right: Value) -> Value {
    Value::Object(Map::from_iter([(operator.to_owned(), json!({ "left": left, "right": right }))]))
}

pub(super) fn not(expression: Value) -> Value {
    json!({ "!": { "arg": expression } })
}

pub(super) fn of_principal(name: &str) -> Value {
    member(variable("principal"), name)
}

pub(super) fn argument(name: &str) -> Value {
    member(member(variable("context"), "input"), name)
}

pub(super) fn has_argument(name: &str) -> Value {
    has(member(variable("context"), "input"), name)
}

/// The name of the argument that an expression is.
pub(super) fn as_argument(expression: &Value) -> Option<&str> {
    let (left, name) = as_member(expression)?;
    let (context, input) = as_member(left)?;
    (input == "input" && is_variable(context, "context")).then_some(name)
}

/// Both in one chain, and nothing that holds anyway.
pub(super) fn and(left: Value, right: Value) -> Value {
    if left == literal(true) {
        return right;
    }
    let parts = conjuncts(&right).into_iter().cloned();
    parts.fold(left, |left, right| binary("&&", left, right))
}

/// The parts of a conjunction, in their order.
pub(super) fn conjuncts(expression: &Value) -> Vec<&Value> {
    let mut parts = Vec::new();
    let mut left = expression;
    // Cedar's chains lean to the left.
    while let Some((inner, right)) = left.get("&&").and_then(both) {
        parts.push(right);
        left = inner;
    }
    parts.push(left);
    parts.reverse();
    parts
}

pub(super) fn all_of(parts: impl IntoIterator<Item = Value>) -> Value {
    parts.into_iter().reduce(and).unwrap_or_else(|| literal(true))
}

/// The expressions that an expression is made of.
pub(super) fn parts(expression: &Value) -> Vec<&Value> {
    match operator(expression) {
        None | Some(("Value" | "Var" | "Slot", _)) => Vec::new(),
        Some((_, Value::Array(items))) => items.iter().collect(),
        Some(("Record", Value::Object(members))) => members.values().collect(),
        Some((_, operands)) => {
            OPERANDS.iter().filter_map(|name| operands.get(name)).collect::<Vec<_>>()
        }
    }
}

/// How many operators stand in one another at most.
pub(super) fn depth(expression: &Value) -> usize {
    let mut deepest = 0;
    let mut left = vec![(expression, 1)];
    while let Some((next, depth)) = left.pop() {
        deepest = deepest.max(depth);
        left.extend(parts(next).into_iter().map(|part| (part, depth + 1)));
    }
    deepest
}

/// The same expression over other parts.
pub(super) fn with_parts(
    expression: &Value,
    mut of: impl FnMut(&Value) -> Result<Value, String>,
) -> Result<Value, String> {
    let Some((name, operands)) = operator(expression) else { return Ok(expression.clone()) };
    let made = match (name, operands) {
        ("Value" | "Var" | "Slot", _) => return Ok(expression.clone()),
        (_, Value::Array(items)) => Value::Array(items.iter().map(of).collect::<Result<_, _>>()?),
        (_, Value::Object(members)) => {
            let mut made = Map::new();
            for (key, value) in members {
                let is_part = name == "Record" || OPERANDS.contains(&key.as_str());
                made.insert(key.clone(), if is_part { of(value)? } else { value.clone() });
            }
            Value::Object(made)
        }
        _ => return Ok(expression.clone()),
    };
    Ok(Value::Object(Map::from_iter([(name.to_owned(), made)])))
}

/// The one word that a pattern of `like` looks for between two stars.
pub(super) fn word_between_stars(pattern: &Value) -> Option<String> {
    let (first, rest) = pattern.as_array()?.split_first()?;
    let (last, letters) = rest.split_last()?;
    let is_star = |element: &Value| element.as_str() == Some("Wildcard");
    let letter = |element: &Value| element.get("Literal")?.as_str().map(str::to_owned);
    let word: String = letters.iter().map(letter).collect::<Option<_>>()?;
    (is_star(first) && is_star(last) && crate::config::is_scope_token(&word)).then_some(word)
}

/// `a has b.c` as `a has b && a.b has c`, where it is that.
pub(super) fn unfolded_has(left: &Value, path: &Value) -> Option<Value> {
    let names = path.as_array()?;
    let mut left = left.clone();
    let mut all = Vec::new();
    for name in names {
        let name = name.as_str()?;
        all.push(has(left.clone(), name));
        left = member(left, name);
    }
    Some(all_of(all))
}

const OPERANDS: [&str; 7] = ["left", "right", "arg", "if", "then", "else", "in"];
