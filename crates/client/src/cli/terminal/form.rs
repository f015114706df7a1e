//! A form, field by field.

use std::io;

use serde_json::{Map, Value};

use super::line;
use crate::{
    cli::show::{self, Held},
    session::host::Answer,
};

/// The fields of a form; `None` when it has none.
pub(super) fn fields(schema: &Value) -> Option<&Map<String, Value>> {
    schema["properties"].as_object().filter(|fields| !fields.is_empty())
}

/// Asks for one after the other until each is of its type; `!` declines, Ctrl-D cancels.
pub(super) async fn fill(
    held: &Held,
    fields: &Map<String, Value>,
    schema: &Value,
) -> io::Result<Answer> {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut values = Map::new();
    for (name, field) in fields {
        let required = required.iter().any(|other| other == name);
        let prompt = prompt(name, field, required);
        let value = loop {
            let Some(typed) = line(held, &prompt).await? else { return Ok(Answer::Cancel) };
            if typed == "!" {
                return Ok(Answer::Decline);
            }
            match read(&typed, field, required) {
                Ok(value) => break value,
                Err(wrong) => show::error(&wrong),
            }
        };
        if let Some(value) = value {
            values.insert(name.clone(), value);
        }
    }
    Ok(Answer::Accept(Value::Object(values)))
}

fn prompt(name: &str, field: &Value, required: bool) -> String {
    let title = field["title"].as_str().unwrap_or(name);
    let more = field["description"].as_str().map(|text| format!(" ({text})")).unwrap_or_default();
    let choices = choices(field);
    let choices =
        if choices.is_empty() { String::new() } else { format!(" [{}]", choices.join(", ")) };
    let default = field.get("default").map(|value| format!(" default {value}")).unwrap_or_default();
    let mark = if required { "" } else { " optional" };
    format!("  {}: ", show::on_one_line(&format!("{title}{more}{choices}{default}{mark}")))
}

/// What may be typed, where that is not free; of a list, each of its items.
fn choices(field: &Value) -> Vec<&str> {
    [field, &field["items"]].into_iter().flat_map(choices_of_one).collect()
}

fn choices_of_one(field: &Value) -> impl Iterator<Item = &str> {
    let list = |key: &str| field[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let titled = list("oneOf").iter().chain(list("anyOf"));
    let plain = list("enum").iter().filter_map(Value::as_str);
    plain.chain(titled.filter_map(|choice| choice["const"].as_str()))
}

/// What was typed; the default, or nothing, where nothing was. Whoever asked checks the rest.
fn read(typed: &str, field: &Value, required: bool) -> Result<Option<Value>, String> {
    if !typed.is_empty() {
        return value(typed, field).map(Some);
    }
    match field.get("default") {
        None if required => Err("it is required".to_owned()),
        default => Ok(default.cloned()),
    }
}

fn value(typed: &str, field: &Value) -> Result<Value, String> {
    match field["type"].as_str() {
        Some("boolean") => match typed.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" => Ok(Value::Bool(true)),
            "n" | "no" | "false" => Ok(Value::Bool(false)),
            _ => Err("type yes or no".to_owned()),
        },
        Some("integer") => {
            let number = typed.parse::<i64>().map_err(|_| "type a whole number")?;
            Ok(Value::from(number))
        }
        Some("number") => {
            let number = typed.parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(Value::from).ok_or_else(|| "type a number".to_owned())
        }
        Some("array") => {
            let items = typed.split(',').map(|item| chosen(item.trim(), field));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        _ => chosen(typed, field),
    }
}

fn chosen(typed: &str, field: &Value) -> Result<Value, String> {
    let allowed = choices(field);
    if allowed.is_empty() || allowed.contains(&typed) {
        return Ok(Value::from(typed));
    }
    Err(format!("type one of {}", allowed.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_typed_is_of_the_fields_type_or_wrong() {
        let colours = json!({ "type": "array", "items": { "enum": ["red", "blue"] } });
        for (field, typed, expected) in [
            (json!({ "type": "integer" }), "7", Some(json!(7))),
            (json!({ "type": "integer" }), "7.5", None),
            (json!({ "type": "number" }), "7.5", Some(json!(7.5))),
            (json!({ "type": "number" }), "NaN", None),
            (json!({ "type": "number" }), "inf", None),
            (json!({ "type": "boolean" }), "Yes", Some(json!(true))),
            (json!({ "type": "boolean" }), "maybe", None),
            (json!({ "type": "string" }), "7", Some(json!("7"))),
            (json!({ "type": "string", "enum": ["a", "b"] }), "b", Some(json!("b"))),
            (json!({ "type": "string", "enum": ["a", "b"] }), "c", None),
            (json!({ "type": "string", "oneOf": [{ "const": "a" }] }), "A", None),
            (colours.clone(), "red, blue", Some(json!(["red", "blue"]))),
            (colours, "red, green", None),
        ] {
            assert_eq!(value(typed, &field).ok(), expected, "{typed} as {field}");
        }
    }

    #[test]
    fn nothing_typed_is_the_default_and_no_value_where_one_is_required() {
        let plain = json!({ "type": "string" });
        assert_eq!(read("", &plain, false), Ok(None));
        assert!(read("", &plain, true).is_err());
        let usual = json!({ "type": "string", "default": "Ada" });
        assert_eq!(read("", &usual, true), Ok(Some(json!("Ada"))));
    }

    #[test]
    fn a_server_cannot_write_more_than_its_prompt() {
        let field =
            json!({ "title": "Name\n> error\u{1b}[2J\u{202e}", "description": "x".repeat(9000) });
        let prompt = prompt("name", &field, true);
        assert!(prompt.starts_with("  Name > error\u{fffd}[2J\u{fffd} (xxx"), "{prompt}");
        assert!(!prompt.contains('\n') && prompt.chars().count() < 2100);
    }
}
