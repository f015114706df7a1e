//! Writes the Cedar schema of a server from what it offers: an action for each tool, typed by the
//! tool's own input schema.
//!
//! Every name of a tool or an argument is legal. What cannot be typed falls back for that argument
//! alone, to its kind and text. The same offer makes the same schema, whatever its order. Every
//! value that a tool's JSON Schema lets through makes a value of the type written here, for as far
//! as numbers are interoperable (RFC 7493 section 2.2).

mod argument_type;
mod constraint;
mod kinds;
mod text;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{offer::Offer, vocabulary::tool_action};
use argument_type::Members;
use constraint::SchemaReader;
use text::quoted;

/// The schema for policies over a server that offers this.
pub(crate) fn schema_of(offer: &Offer) -> String {
    let prompts = prompt_arguments(offer);
    let protocol = PROTOCOL.replace("{PROMPT_ARGUMENTS}", &prompts);
    let mut schema = format!("{HEAD}namespace Mcp {{\n{protocol}");
    for (name, tool) in offer.tools() {
        schema.push('\n');
        schema.push_str(&action(name, tool));
    }
    schema + "}\n"
}

fn action(name: &str, tool: &Value) -> String {
    let none = Value::Bool(true);
    let input_schema = tool.get("inputSchema").unwrap_or(&none);
    let members = Members::of_arguments(SchemaReader::of(input_schema).read());
    let input = text::input(&members, CONTEXT_MARGIN);
    let facts = match text::facts(&members, CONTEXT_MARGIN) {
        Some(facts) => format!("        facts: {facts},\n"),
        None => String::new(),
    };
    format!(
        "  action {}\n    in [call_tool]\n    appliesTo {{\n      principal: [OAuthUser],\n      \
         resource: [Tool],\n      context: {{\n        system: System,\n        peer: Peer,\n        \
         history: History,\n        risk: Risk,\n        input: {input},\n{facts}      }},\n    }};\n",
        quoted(&tool_action(name)),
    )
}

/// The arguments of all prompts together. Each is a text (MCP 2026-07-28, prompts).
fn prompt_arguments(offer: &Offer) -> String {
    let names: BTreeSet<&str> = offer
        .prompts()
        .filter_map(|prompt| prompt.get("arguments")?.as_array())
        .flatten()
        .filter_map(|argument| argument.get("name")?.as_str())
        .collect();
    if names.is_empty() {
        return "{}".to_owned();
    }
    let members: String =
        names.iter().map(|name| format!("    {}?: String,\n", quoted(name))).collect();
    format!("{{\n{members}  }}")
}

const HEAD: &str = "\
// What policies can speak about. Written by `cedargate schema --write` from tools.lock; changes
// here are lost with the next writing. Entity types, groups and the protocol's actions are
// Cedargate's own; tools are the server's: one action each, named as the tool, with the tool's
// arguments as `context.input` and what can be said of them as `context.facts`.

";
const PROTOCOL: &str = include_str!("schema/protocol.cedarschema");
const CONTEXT_MARGIN: usize = 4;

#[cfg(test)]
mod tests;
