//! Arguments that a tool would take, for a first test of its policies.

use serde_json::{Map, Value, json};

/// The simplest arguments that fit a tool's input schema, for as far as types, lists of values and
/// bounds go.
pub(crate) fn example_of(tool: &Value) -> Value {
    let none = Value::Null;
    let schema = tool.get("inputSchema").unwrap_or(&none);
    match (Example { root: schema }).of(schema, 0) {
        arguments @ Value::Object(_) => arguments,
        _ => json!({}),
    }
}

struct Example<'a> {
    root: &'a Value,
}

impl Example<'_> {
    fn of(&self, schema: &Value, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        let first = |keyword: &str| schema.get(keyword).and_then(|list| list.as_array()?.first());
        if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
            let definition =
                pointer.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return definition.map_or(Value::Null, |definition| self.of(definition, depth + 1));
        }
        if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
            return value.clone();
        }
        if let Some(value) = first("examples").or_else(|| first("enum")) {
            return value.clone();
        }
        if let Some(one) = first("anyOf").or_else(|| first("oneOf")) {
            return self.of(one, depth + 1);
        }
        let of_type = schema.get("type");
        let of_type =
            of_type.and_then(Value::as_str).or_else(|| of_type?.as_array()?.first()?.as_str());
        match of_type {
            Some("object") => self.object(schema, depth),
            Some("array") => {
                let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(8);
                let item =
                    || schema.get("items").map_or(json!(""), |items| self.of(items, depth + 1));
                Value::Array((0..least).map(|_| item()).collect())
            }
            Some("integer" | "number") => number(schema),
            Some("boolean") => json!(false),
            Some("null") => Value::Null,
            Some("string") => text(schema),
            _ if schema.get("properties").is_some() => self.object(schema, depth),
            _ => json!(""),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let members = required.filter_map(|name| {
            let name = name.as_str()?;
            let property = schema.get("properties").and_then(|all| all.get(name));
            Some((name.to_owned(), property.map_or(json!(""), |of| self.of(of, depth + 1))))
        });
        Value::Object(members.collect::<Map<String, Value>>())
    }
}

fn number(schema: &Value) -> Value {
    let least = schema.get("minimum").or_else(|| schema.get("exclusiveMinimum"));
    match (least, schema.get("exclusiveMinimum").and_then(Value::as_i64)) {
        (_, Some(bound)) => json!(bound + 1),
        (Some(least), None) => least.clone(),
        (None, None) => json!(1),
    }
}

fn text(schema: &Value) -> Value {
    let of_format = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => Some("2026-01-01T00:00:00Z"),
        Some("date") => Some("2026-01-01"),
        Some("ipv4") => Some("127.0.0.1"),
        Some("ipv6") => Some("::1"),
        Some("uri" | "url") => Some("https://example.com/"),
        Some("email") => Some("somebody@example.com"),
        Some("uuid") => Some("00000000-0000-4000-8000-000000000000"),
        _ => None,
    };
    let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(1);
    let filler = || "A".repeat(usize::try_from(least.clamp(1, 64)).unwrap_or(1));
    let guess = of_format.map_or_else(filler, str::to_owned);
    let fits = |text: &str| jsonschema::is_valid(schema, &json!(text));
    // Patterns are tried, not solved.
    let tries = [
        guess.clone(),
        "A".repeat(8),
        "a".to_owned(),
        "1".to_owned(),
        "/tmp/x".to_owned(),
        "12:00".to_owned(),
    ];
    let found = tries.iter().find(|text| fits(text)).unwrap_or(&guess);
    json!(found)
}

const MAX_DEPTH: usize = 8;
