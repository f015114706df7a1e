//! The universal form in the words of each wire format.

use serde_json::Value;

use super::{SecurityMetadata, UniversalTool};

/// As `tools` of OpenAI's chat completions, and of everything that speaks that format.
pub fn to_openai(tools: &[UniversalTool]) -> Vec<Value> {
    let function = |tool: &UniversalTool| {
        let function = object([
            ("name", text(&tool.offered_as)),
            ("description", text(&tool.description)),
            ("parameters", schema(tool)),
        ]);
        object([("type", text("function")), ("function", function)])
    };
    tools.iter().map(function).collect()
}

/// As `tools` of Anthropic's messages.
pub fn to_anthropic(tools: &[UniversalTool]) -> Vec<Value> {
    let tool = |tool: &UniversalTool| {
        object([
            ("name", text(&tool.offered_as)),
            ("description", text(&tool.description)),
            ("input_schema", schema(tool)),
        ])
    };
    tools.iter().map(tool).collect()
}

/// The universal form itself, with the security metadata, which no model's wire format has a place
/// for.
pub fn to_others(tools: &[UniversalTool]) -> Vec<Value> {
    let tool = |tool: &UniversalTool| {
        object([
            ("name", text(&tool.name)),
            ("offeredAs", text(&tool.offered_as)),
            ("description", text(&tool.description)),
            ("parameters", schema(tool)),
            ("security", security(&tool.security)),
        ])
    };
    tools.iter().map(tool).collect()
}

fn security(told: &SecurityMetadata) -> Value {
    let SecurityMetadata { required_scopes, rate_limit, audit_level, conditional } = told;
    object([
        ("requiredScopes", required_scopes.iter().map(String::as_str).collect()),
        ("rateLimit", rate_limit.as_deref().into()),
        ("auditLevel", audit_level.as_deref().into()),
        ("conditional", Value::Bool(*conditional)),
    ])
}

// Not by `json!`, which would write a schema out to copy it.
fn schema(tool: &UniversalTool) -> Value {
    Value::Object((*tool.parameters).clone())
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}
