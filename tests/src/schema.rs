//! A schema for the policies of a server that is not the customer server.

use serde_json::{Map, Value};

use crate::repository;

/// The repository's schema with an action for each of these tools (as `tools/list` has them)
/// instead of the customer server's. Arguments that Cedar has no type for are left out of `input`.
pub fn schema_for(tools: &[Value]) -> String {
    let shipped = repository().join("policies/schema.cedarschema");
    let shipped = std::fs::read_to_string(shipped).unwrap();
    let (protocol, _) = shipped.split_once(TOOLS_FOLLOW).expect("the tools' part of the schema");
    let actions: String = tools.iter().map(action).collect();
    format!("{protocol}{actions}}}\n")
}

fn action(tool: &Value) -> String {
    let name = tool.get("name").and_then(Value::as_str).expect("a tool's name");
    let input = tool.get("inputSchema").map(|schema| record(schema, 3));
    let input = input.unwrap_or_else(|| "{}".to_owned());
    format!(
        "\n  action {name:?}\n    in [call_tool]\n    appliesTo {{\n      \
         principal: [OAuthUser],\n      resource: [Tool],\n      \
         context: {{ system: System, input: {input} }},\n    }};\n"
    )
}

/// A record of what an object has, one member a line.
fn record(schema: &Value, depth: usize) -> String {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    if properties.is_empty() {
        return "{}".to_owned();
    }
    let required = schema.get("required").and_then(Value::as_array);
    let margin = "  ".repeat(depth + 1);
    let members = properties.iter().map(|(name, property)| {
        let is_required = required.is_some_and(|names| names.iter().any(|n| n == name));
        let optional = if is_required { "" } else { "?" };
        match cedar_type(property, depth + 1) {
            Some(r#type) => format!("{margin}{name:?}{optional}: {type},\n"),
            None => format!("{margin}// {name:?} has no one type\n"),
        }
    });
    format!("{{\n{}{}}}", members.collect::<String>(), "  ".repeat(depth))
}

fn cedar_type(schema: &Value, depth: usize) -> Option<String> {
    match schema.get("type").and_then(Value::as_str)? {
        "string" => Some("String".to_owned()),
        "integer" => Some("Long".to_owned()),
        "number" => Some("decimal".to_owned()),
        "boolean" => Some("Bool".to_owned()),
        "array" => Some(format!("Set<{}>", cedar_type(schema.get("items")?, depth)?)),
        "object" => schema.get("properties").map(|_| record(schema, depth)),
        _ => None,
    }
}

/// The line after which the shipped schema is about the customer server.
const TOOLS_FOLLOW: &str = "\n  // The customer server's tools.";
