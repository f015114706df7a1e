//! Numbers are compared in one of two ways, by the type that the schema gives an argument: whole
//! ones with `<`, others as decimals with `lessThan`. Neighbours have other types for them.

use serde_json::{Map, Value, json};

use super::expression::{as_argument, binary, both, literal, operator, with_parts};

/// Comparisons of arguments with numbers, as the arguments' types want them.
pub(super) fn suited(
    expression: &Value,
    type_of: &dyn Fn(&str) -> Option<String>,
) -> Result<Value, String> {
    Ok(match compared(expression, type_of) {
        Some(comparison) => comparison,
        None => with_parts(expression, |part| suited(part, type_of))?,
    })
}

fn compared(expression: &Value, type_of: &dyn Fn(&str) -> Option<String>) -> Option<Value> {
    let (name, operands) = operator(expression)?;
    let (left, right) = match operands.as_array().map(Vec::as_slice) {
        Some([left, right]) => (left, right),
        _ => both(operands)?,
    };
    let of = type_of(as_argument(left).or_else(|| as_argument(right))?)?;
    let (sign, method) =
        COMPARISONS.iter().find(|(sign, method)| *sign == name || *method == name)?;
    let converted = |side: &Value| match of.as_str() {
        _ if as_argument(side).is_some() => Some(side.clone()),
        "Long" => whole(side),
        "decimal" => decimal(side),
        _ => None,
    };
    let (left, right) = (converted(left)?, converted(right)?);
    Some(match (of.as_str(), *sign) {
        ("Long", sign) | (_, sign @ ("==" | "!=")) => binary(sign, left, right),
        _ => Value::Object(Map::from_iter([((*method).to_owned(), json!([left, right]))])),
    })
}

/// A number that is written as one, or as a decimal without a fraction.
fn whole(written: &Value) -> Option<Value> {
    if written.get("Value").is_some_and(Value::is_i64) {
        return Some(written.clone());
    }
    let text = written.get("decimal")?.as_array()?.first()?.get("Value")?.as_str()?;
    let (units, places) = text.split_once('.')?;
    let is_whole = places.bytes().all(|digit| digit == b'0');
    Some(literal(units.parse::<i64>().ok().filter(|_| is_whole)?))
}

fn decimal(written: &Value) -> Option<Value> {
    if written.get("decimal").is_some() {
        return Some(written.clone());
    }
    let number = written.get("Value")?.as_i64()?;
    Some(json!({ "decimal": [literal(format!("{number}.0"))] }))
}

/// Signs for whole numbers, methods for decimals.
const COMPARISONS: [(&str, &str); 6] = [
    ("<", "lessThan"),
    ("<=", "lessThanOrEqual"),
    (">", "greaterThan"),
    (">=", "greaterThanOrEqual"),
    ("==", "=="),
    ("!=", "!="),
];
