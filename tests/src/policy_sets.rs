//! Large sets of policies, for measuring.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};
use sidecar::Config;

use crate::schema::Offered;

/// A hundred tools of twenty arguments each.
fn tools() -> Vec<Value> {
    let properties: serde_json::Map<String, Value> = (0..20)
        .map(|number| {
            let of = match number % 4 {
                0 => json!({ "type": "string", "maxLength": 200 }),
                1 => json!({ "type": "integer" }),
                2 => json!({ "type": "boolean" }),
                _ => json!({ "type": "number" }),
            };
            (format!("argument_{number}"), of)
        })
        .collect();
    let input = json!({ "type": "object", "properties": properties, "required": ["argument_0"] });
    (0..100).map(|tool| json!({ "name": format!("tool_{tool}"), "inputSchema": input })).collect()
}

/// Writes a configuration with a schema, a lock and `own` policies on the first tool and `others` on
/// the other ones, and loads it.
pub fn policy_set(home: &Path, own: usize, others: usize) -> Config {
    let folder = home.join("policies");
    std::fs::create_dir_all(&folder).unwrap();
    let offered = Offered::of(&tools());
    std::fs::write(folder.join("schema.cedarschema"), &offered.schema).unwrap();
    std::fs::write(folder.join("tools.lock"), &offered.lock).unwrap();
    let mut policies = Vec::new();
    policies.extend((0..own).map(|number| policy(number, 0)));
    policies.extend((0..others).map(|number| policy(own + number, 1 + number % 99)));
    for (number, some) in policies.chunks(500).enumerate() {
        std::fs::write(folder.join(format!("set-{number}.cedar")), some.concat()).unwrap();
    }
    std::fs::write(home.join("gate.toml"), CONFIGURATION).unwrap();
    Config::load(&home.join("gate.toml")).unwrap()
}

/// Of every ten one forbids; each asks about the caller and about several arguments.
fn policy(number: usize, tool: usize) -> String {
    let mut text = String::new();
    let effect = if number % 10 == 9 { "forbid" } else { "permit" };
    let sign = if number % 10 == 9 { "<" } else { ">=" };
    writeln!(
        text,
        "@id(\"policy-{number}\") {effect} (principal is Mcp::OAuthUser, \
         action == Mcp::Action::\"tool_{tool}\", resource) when {{ \
         principal.scopes.contains(\"scope:{}\") && context.input.argument_0 != \"x{number}\" && \
         context.input has argument_1 && context.input.argument_1 {sign} -{number} }};",
        number % 10,
    )
    .unwrap();
    text
}

/// A call of the first tool with all of its arguments.
pub fn call_of_the_first_tool() -> Vec<u8> {
    let arguments: serde_json::Map<String, Value> = (0..20)
        .map(|number| {
            let value = match number % 4 {
                0 => json!("some text of usual length"),
                1 => json!(1234),
                2 => json!(true),
                _ => json!(89.5),
            };
            (format!("argument_{number}"), value)
        })
        .collect();
    let params = json!({ "name": "tool_0", "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
        .to_string()
        .into_bytes()
}

const CONFIGURATION: &str = r#"
[listener]
address = "127.0.0.1:0"
certificate = "c.pem"
key = "k.pem"
[resource]
public_url = "https://gate.example.com/mcp"
[[issuers]]
issuer = "https://issuer.example.com"
[policies]
directory = "policies"
[upstream]
name = "server"
url = "http://127.0.0.1:1/mcp"
identity = "none"
"#;
