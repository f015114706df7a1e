//! The universal form in the words of each wire format.

use serde_json::{Value, json};

use super::{SecurityMetadata, UniversalTool};

/// As `tools` of OpenAI's chat completions, and of everything that speaks that format.
pub fn to_openai(tools: &[UniversalTool]) -> Vec<Value> {
    let function = |tool: &UniversalTool| {
        json!({
            "type": "function",
            "function": {
                "name": tool.offered_as,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        })
    };
    tools.iter().map(function).collect()
}

/// As `tools` of Anthropic's messages.
pub fn to_anthropic(tools: &[UniversalTool]) -> Vec<Value> {
    let tool = |tool: &UniversalTool| {
        json!({
            "name": tool.offered_as,
            "description": tool.description,
            "input_schema": tool.parameters,
        })
    };
    tools.iter().map(tool).collect()
}

/// The universal form itself, with the security metadata, which no model's wire format has a place
/// for.
pub fn to_others(tools: &[UniversalTool]) -> Vec<Value> {
    let tool = |tool: &UniversalTool| {
        let SecurityMetadata { required_scopes, rate_limit, audit_level, conditional } =
            &tool.security;
        json!({
            "name": tool.name,
            "offeredAs": tool.offered_as,
            "description": tool.description,
            "parameters": tool.parameters,
            "security": {
                "requiredScopes": required_scopes,
                "rateLimit": rate_limit,
                "auditLevel": audit_level,
                "conditional": conditional,
            },
        })
    };
    tools.iter().map(tool).collect()
}
