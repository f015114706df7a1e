//! MCP tools as models are shown them: one universal form, the same for every provider, with what
//! the gate says a call will need.

use rmcp::model::Tool;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool in the universal form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UniversalTool {
    /// Its name at the MCP server.
    pub name: String,
    /// The name under which models are offered it: 1 to 64 letters, digits, `_` and `-`.
    pub offered_as: String,
    /// What it does.
    pub description: String,
    /// A JSON Schema of type `object` that every provider takes.
    pub parameters: Value,
    /// What the gate says of it.
    pub security: SecurityMetadata,
}

/// What the gate says of a tool in `_meta["cedargate/security"]`; empty for a server without one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityMetadata {
    /// The scopes that a call needs.
    pub required_scopes: Vec<String>,
    /// How often it may be called, such as `30/minute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<String>,
    /// How much of a call is put on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_level: Option<String>,
    /// Whether the arguments or the circumstances decide.
    pub conditional: bool,
}

/// The tools of a server in the universal form.
pub fn universal(tools: &[Tool]) -> Vec<UniversalTool> {
    tools
        .iter()
        .map(|tool| UniversalTool {
            name: tool.name.to_string(),
            offered_as: tool.name.to_string(),
            description: tool.description.clone().unwrap_or_default().into_owned(),
            parameters: Value::Object((*tool.input_schema).clone()),
            security: SecurityMetadata::default(),
        })
        .collect()
}
