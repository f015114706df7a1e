//! What Anthropic takes, and what it refuses.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::super::{
    asked::{Asked, Said, Streaming, Told, ToolChoice},
    complaint::Complaint,
    offered,
    wire::{Wire, model_is_known},
};

/// The header that every request has to have.
pub(in crate::rehearsed) const VERSION: &str = "anthropic-version";

/// Reads a request for a message.
pub(in crate::rehearsed) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Asked, Complaint> {
    if !headers.contains_key(VERSION) {
        return Err(Complaint::about(VERSION, "header is required"));
    }
    let request: Map<String, Value> = serde_json::from_slice(body).map_err(|cause| {
        Complaint::of(StatusCode::BAD_REQUEST, format!("the body is no JSON object: {cause}"))
    })?;
    for name in request.keys() {
        if !PARAMETERS.contains(&name.as_str()) {
            return Err(Complaint::about(name, "Extra inputs are not permitted"));
        }
    }
    let required = |name: &str| request.get(name).ok_or_else(|| Complaint::about(name, REQUIRED));
    let model = required("model")?.as_str().unwrap_or_default();
    if !model_is_known(model) {
        return Err(Wire::Anthropic.no_model(model));
    }
    let longest = required("max_tokens")?.as_u64().filter(|number| *number > 0);
    let longest = longest.ok_or_else(|| {
        Complaint::about("max_tokens", "Input should be an integer greater than or equal to 1")
    })?;
    let mut said = Vec::new();
    if let Some(system) = request.get("system") {
        said.push(Said::Instructions(words(system, "system")?));
    }
    messages(required("messages")?, &mut said)?;
    let offered = request.get("tools").map(tools).transpose()?.unwrap_or_default();
    let choice = request.get("tool_choice");
    let one_by_one = choice.and_then(|choice| choice.get("disable_parallel_tool_use"));
    Ok(Asked {
        said,
        choice: choice.map_or(Ok(ToolChoice::Auto), |choice| tool_choice(choice, &offered))?,
        offered,
        parallel: one_by_one != Some(&Value::Bool(true)),
        longest: Some(longest),
        stream: match request.get("stream") {
            None | Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(Streaming { with_usage: true }),
            Some(_) => return Err(Complaint::about("stream", "Input should be a valid boolean")),
        },
    })
}

fn tools(tools: &Value) -> Result<Vec<String>, Complaint> {
    let list = tools.as_array().ok_or_else(|| Complaint::about("tools", NO_LIST))?;
    let mut names: Vec<String> = Vec::with_capacity(list.len());
    for (number, tool) in list.iter().enumerate() {
        let at = |rest: &str| format!("tools.{number}.custom.{rest}");
        if tool.get("type").is_some_and(|of| !of.is_null() && of != "custom") {
            let what = "only tools of the type 'custom' are rehearsed";
            return Err(Complaint::about(format!("tools.{number}.type"), what));
        }
        let name = tool.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| Complaint::about(at("name"), REQUIRED))?;
        offered::name(name).map_err(|what| Complaint::about(at("name"), what))?;
        let schema = tool.get("input_schema");
        let schema = schema.ok_or_else(|| Complaint::about(at("input_schema"), REQUIRED))?;
        offered::root(schema).map_err(|what| Complaint::about(at("input_schema"), what))?;
        if names.iter().any(|other| other == name) {
            return Err(Complaint::about("tools", "Tool names must be unique."));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn tool_choice(choice: &Value, offered: &[String]) -> Result<ToolChoice, Complaint> {
    if offered.is_empty() {
        return Err(Complaint::about("tool_choice", "may only be specified while providing tools"));
    }
    match choice.get("type").and_then(Value::as_str) {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("any") => Ok(ToolChoice::Any),
        Some("tool") => {
            let name = choice.get("name").and_then(Value::as_str);
            let name = name.ok_or_else(|| Complaint::about("tool_choice.tool.name", REQUIRED))?;
            match offered.iter().any(|tool| tool == name) {
                true => Ok(ToolChoice::Tool(name.to_owned())),
                false => {
                    let what = format!("Tool '{name}' not found in provided tools");
                    Err(Complaint::about("tool_choice", what))
                }
            }
        }
        _ => {
            Err(Complaint::about("tool_choice", "Input should be 'auto', 'any', 'tool' or 'none'"))
        }
    }
}

fn messages(messages: &Value, said: &mut Vec<Said>) -> Result<(), Complaint> {
    let list = messages.as_array().ok_or_else(|| Complaint::about("messages", NO_LIST))?;
    if list.is_empty() {
        return Err(Complaint::about("messages", "at least one message is required"));
    }
    // Calls whose results have to come next.
    let mut open: Vec<String> = Vec::new();
    for (number, message) in list.iter().enumerate() {
        let at = format!("messages.{number}");
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if number == 0 && role != "user" {
            return Err(Complaint::about(at, "the first message must use the \"user\" role"));
        }
        let content = message.get("content");
        let content = content.ok_or_else(|| Complaint::about(format!("{at}.content"), REQUIRED))?;
        let blocks = match content {
            Value::String(_) => vec![content],
            Value::Array(blocks) => blocks.iter().collect(),
            _ => return Err(Complaint::about(format!("{at}.content"), NO_LIST)),
        };
        let last = number + 1 == list.len();
        match role {
            "user" => {
                user(&blocks, &at, &mut open, said)?;
                refuse_open(&open, number)?;
            }
            "assistant" => {
                refuse_open(&open, number)?;
                open = assistant(&blocks, &at, last, said)?;
            }
            _ => {
                return Err(Complaint::about(
                    format!("{at}.role"),
                    "Input should be 'user' or 'assistant'",
                ));
            }
        }
    }
    refuse_open(&open, list.len())
}

/// Every call has its result in the message after it.
fn refuse_open(open: &[String], number: usize) -> Result<(), Complaint> {
    if open.is_empty() {
        return Ok(());
    }
    let what = "`tool_use` ids were found without `tool_result` blocks immediately after";
    let before = number.saturating_sub(1);
    Err(Complaint::about(format!("messages.{before}"), format!("{what}: {}", open.join(", "))))
}

fn user(
    blocks: &[&Value],
    at: &str,
    open: &mut Vec<String>,
    said: &mut Vec<Said>,
) -> Result<(), Complaint> {
    let mut prompt = String::new();
    let mut spoken = blocks.is_empty();
    for (number, block) in blocks.iter().enumerate() {
        let at = format!("{at}.content.{number}");
        match kind(block) {
            "tool_result" => {
                let id = block.get("tool_use_id").and_then(Value::as_str);
                let id =
                    id.ok_or_else(|| Complaint::about(format!("{at}.tool_use_id"), REQUIRED))?;
                let call = open.iter().position(|call| call == id).filter(|_| !spoken);
                let Some(call) = call else {
                    let what = "unexpected `tool_use_id` found in `tool_result` blocks";
                    return Err(Complaint::about(at, format!("{what}: {id}")));
                };
                open.remove(call);
                let failed = block.get("is_error") == Some(&Value::Bool(true));
                let text = match block.get("content") {
                    Some(content) => words(content, &format!("{at}.content"))?,
                    None => String::new(),
                };
                said.push(Said::Result(Told { text, failed }));
            }
            "text" => {
                prompt.push_str(&text(block, &at)?);
                spoken = true;
            }
            // Seen, and not understood.
            other if OTHER_OF_USER.contains(&other) => spoken = true,
            other => return Err(unknown(&at, other)),
        }
    }
    if blocks.is_empty() {
        return Err(Complaint::about(at, EMPTY));
    }
    if spoken {
        said.push(Said::User(prompt));
    }
    Ok(())
}

fn assistant(
    blocks: &[&Value],
    at: &str,
    last: bool,
    said: &mut Vec<Said>,
) -> Result<Vec<String>, Complaint> {
    if blocks.is_empty() && !last {
        return Err(Complaint::about(at, EMPTY));
    }
    let (mut words, mut calls) = (String::new(), Vec::new());
    for (number, block) in blocks.iter().enumerate() {
        let at = format!("{at}.content.{number}");
        match kind(block) {
            "text" => words.push_str(&text(block, &at)?),
            "tool_use" => {
                let of = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
                let at = |name: &str| format!("{at}.tool_use.{name}");
                offered::name(of("name")).map_err(|what| Complaint::about(at("name"), what))?;
                let id = of("id");
                let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                if id.is_empty() || !id.bytes().all(letters) {
                    let what = "String should match pattern '^[a-zA-Z0-9_-]+$'";
                    return Err(Complaint::about(at("id"), what));
                }
                if !block.get("input").is_some_and(Value::is_object) {
                    return Err(Complaint::about(
                        at("input"),
                        "Input should be a valid dictionary",
                    ));
                }
                calls.push(id.to_owned());
            }
            other if OTHER_OF_ASSISTANT.contains(&other) => {}
            other => return Err(unknown(&at, other)),
        }
    }
    said.push(Said::Assistant(words, calls.clone()));
    Ok(calls)
}

/// A string, or blocks of text and of what is not understood.
fn words(content: &Value, at: &str) -> Result<String, Complaint> {
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(blocks) => {
            let of = |(number, block): (usize, &Value)| match kind(block) {
                "text" => text(block, &format!("{at}.{number}")),
                other if OTHER_OF_USER.contains(&other) => Ok(String::new()),
                other => Err(unknown(&format!("{at}.{number}"), other)),
            };
            blocks.iter().enumerate().map(of).collect()
        }
        _ => Err(Complaint::about(at, NO_LIST)),
    }
}

fn kind(block: &Value) -> &str {
    match block {
        Value::String(_) => "text",
        block => block.get("type").and_then(Value::as_str).unwrap_or_default(),
    }
}

fn text(block: &Value, at: &str) -> Result<String, Complaint> {
    let text = block.as_str().or_else(|| block.get("text").and_then(Value::as_str));
    match text.ok_or_else(|| Complaint::about(format!("{at}.text"), REQUIRED))? {
        "" => Err(Complaint::about(at, "text content blocks must be non-empty")),
        text => Ok(text.to_owned()),
    }
}

fn unknown(at: &str, kind: &str) -> Complaint {
    let kind: String = kind.chars().take(64).collect();
    Complaint::about(at, format!("Input tag '{kind}' is not one of the expected tags"))
}

/// As the official client of version 2.12 can send them.
const PARAMETERS: [&str; 21] = [
    "max_tokens",
    "messages",
    "model",
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "metadata",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
];
const OTHER_OF_USER: [&str; 3] = ["image", "document", "search_result"];
const OTHER_OF_ASSISTANT: [&str; 2] = ["thinking", "redacted_thinking"];
const REQUIRED: &str = "Field required";
const NO_LIST: &str = "Input should be a valid list";
const EMPTY: &str = "all messages must have non-empty content";
