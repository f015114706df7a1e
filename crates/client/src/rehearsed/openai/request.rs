//! What OpenAI takes, and what it refuses.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::super::{
    asked::{Asked, Said, Streaming, Told, ToolChoice},
    complaint::Complaint,
    wire::{Wire, model_is_known},
};
use crate::rehearsed::offered;

/// Reads a request for a completion.
pub(in crate::rehearsed) fn read(body: &[u8]) -> Result<Asked, Complaint> {
    let request: Map<String, Value> = serde_json::from_slice(body).map_err(|cause| {
        Complaint::of(StatusCode::BAD_REQUEST, format!("the body is no JSON object: {cause}"))
    })?;
    for name in request.keys() {
        if !PARAMETERS.contains(&name.as_str()) {
            return Err(Complaint::about(name, "unknown parameter").coded("unknown_parameter"));
        }
    }
    let model = request.get("model").and_then(Value::as_str);
    let model = model.ok_or_else(|| missing("model"))?;
    if !model_is_known(model) {
        return Err(Wire::OpenAi.no_model(model));
    }
    if request.get("n").is_some_and(|n| !n.is_null() && n != 1) {
        return Err(Complaint::about("n", "only one answer is rehearsed"));
    }
    let tools = given(&request, "tools").map(tools).transpose()?;
    let said = messages(given(&request, "messages").ok_or_else(|| missing("messages"))?)?;
    for name in ["tool_choice", "parallel_tool_calls"] {
        if tools.is_none() && given(&request, name).is_some() {
            return Err(Complaint::about(name, "only allowed when 'tools' are specified"));
        }
    }
    let offered = tools.unwrap_or_default();
    Ok(Asked {
        said,
        choice: given(&request, "tool_choice")
            .map_or(Ok(ToolChoice::Auto), |c| choice(c, &offered))?,
        offered,
        parallel: given(&request, "parallel_tool_calls") != Some(&Value::Bool(false)),
        longest: longest(&request)?,
        stream: stream(&request)?,
    })
}

/// What is there and not null.
fn given<'a>(request: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    request.get(name).filter(|value| !value.is_null())
}

fn missing(name: &str) -> Complaint {
    Complaint::about(name, "missing").coded("missing_required_parameter")
}

fn longest(request: &Map<String, Value>) -> Result<Option<u64>, Complaint> {
    let mut longest = None;
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(value) = given(request, name) else { continue };
        let number = value.as_u64().filter(|number| *number > 0);
        longest = Some(number.ok_or_else(|| {
            Complaint::about(name, "expected an integer above 0").coded("integer_below_min_value")
        })?);
    }
    Ok(longest)
}

fn stream(request: &Map<String, Value>) -> Result<Option<Streaming>, Complaint> {
    let options = given(request, "stream_options");
    match given(request, "stream") {
        None | Some(Value::Bool(false)) if options.is_some() => {
            Err(Complaint::about("stream_options", "only allowed when 'stream' is enabled"))
        }
        None | Some(Value::Bool(false)) => Ok(None),
        Some(Value::Bool(true)) => {
            let with_usage = options.and_then(|options| options.get("include_usage"));
            Ok(Some(Streaming { with_usage: with_usage == Some(&Value::Bool(true)) }))
        }
        Some(_) => Err(Complaint::about("stream", "expected a boolean").coded("invalid_type")),
    }
}

fn tools(tools: &Value) -> Result<Vec<String>, Complaint> {
    let tools = tools.as_array().ok_or_else(|| Complaint::about("tools", "expected an array"))?;
    match tools.len() {
        0 => return Err(Complaint::about("tools", "empty array").coded("empty_array")),
        1..=MOST_TOOLS => {}
        _ => {
            return Err(Complaint::about("tools", "array too long").coded("array_above_max_length"));
        }
    }
    let mut names = Vec::with_capacity(tools.len());
    for (number, tool) in tools.iter().enumerate() {
        let at = |rest: &str| format!("tools[{number}]{rest}");
        if tool.get("type").and_then(Value::as_str) != Some("function") {
            return Err(Complaint::about(at(".type"), "only 'function' is rehearsed"));
        }
        let name = tool.pointer("/function/name").and_then(Value::as_str);
        let name = name.ok_or_else(|| missing(&at(".function.name")))?;
        offered::name(name).map_err(|what| Complaint::about(at(".function.name"), what))?;
        let parameters = tool.pointer("/function/parameters").filter(|value| !value.is_null());
        // Without parameters a function takes none.
        if let Some(schema) = parameters {
            offered::root(schema).and_then(|()| offered::arrays(schema)).map_err(|what| {
                let what = format!("schema for function '{name}': {what}");
                Complaint::about(at(".function.parameters"), what)
                    .coded("invalid_function_parameters")
            })?;
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn choice(choice: &Value, offered: &[String]) -> Result<ToolChoice, Complaint> {
    match choice {
        Value::String(word) => match word.as_str() {
            "auto" => return Ok(ToolChoice::Auto),
            "none" => return Ok(ToolChoice::None),
            "required" => return Ok(ToolChoice::Any),
            _ => {}
        },
        Value::Object(tool) if tool.get("type").is_some_and(|of| of == "function") => {
            let name = choice.pointer("/function/name").and_then(Value::as_str);
            let name = name.ok_or_else(|| missing("tool_choice.function.name"))?;
            if !offered.iter().any(|tool| tool == name) {
                return Err(Complaint::about(
                    "tool_choice",
                    format!("no tool '{name}' in 'tools'"),
                ));
            }
            return Ok(ToolChoice::Tool(name.to_owned()));
        }
        _ => {}
    }
    let what = "expected 'auto', 'none', 'required' or a function";
    Err(Complaint::about("tool_choice", what).coded("invalid_value"))
}

fn messages(messages: &Value) -> Result<Vec<Said>, Complaint> {
    let wrong = || Complaint::about("messages", "expected an array that is not empty");
    let messages = messages.as_array().filter(|list| !list.is_empty());
    let messages = messages.ok_or_else(|| wrong().coded("empty_array"))?;
    let mut said = Vec::new();
    // Calls whose results have to come next.
    let mut open: Vec<String> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let at = |rest: &str| format!("messages[{number}]{rest}");
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if role != "tool" && !open.is_empty() {
            return Err(unanswered(at(""), &open));
        }
        said.push(match role {
            "system" | "developer" => Said::Instructions(text(message, &at(".content"))?),
            "user" => Said::User(text(message, &at(".content"))?),
            "assistant" => {
                open = calls(message, number)?;
                // Words may be missing only where there are calls.
                let silent = given_in(message, "content").is_none() && !open.is_empty();
                let text = if silent { String::new() } else { text(message, &at(".content"))? };
                Said::Assistant(text, open.clone())
            }
            "tool" => {
                let id = message.get("tool_call_id").and_then(Value::as_str);
                let id = id.ok_or_else(|| missing(&at(".tool_call_id")))?;
                let call = open.iter().position(|call| call == id).ok_or_else(|| {
                    let what = "messages with role 'tool' must answer a 'tool_calls' before them";
                    Complaint::about(at(".role"), what)
                })?;
                open.remove(call);
                Said::Result(Told { text: text(message, &at(".content"))?, failed: false })
            }
            _ => {
                let what = "expected 'system', 'developer', 'user', 'assistant' or 'tool'";
                return Err(Complaint::about(at(".role"), what).coded("invalid_value"));
            }
        });
    }
    if open.is_empty() { Ok(said) } else { Err(unanswered("messages".to_owned(), &open)) }
}

fn unanswered(at: String, open: &[String]) -> Complaint {
    Complaint::about(at, format!("no tool messages answer these tool calls: {}", open.join(", ")))
}

fn given_in<'a>(message: &'a Value, name: &str) -> Option<&'a Value> {
    message.get(name).filter(|value| !value.is_null())
}

fn calls(message: &Value, number: usize) -> Result<Vec<String>, Complaint> {
    let Some(calls) = given_in(message, "tool_calls") else { return Ok(Vec::new()) };
    let at = |rest: &str| format!("messages[{number}].tool_calls{rest}");
    let calls = calls.as_array().filter(|calls| !calls.is_empty());
    let calls =
        calls.ok_or_else(|| Complaint::about(at(""), "expected calls").coded("empty_array"))?;
    let mut ids = Vec::with_capacity(calls.len());
    for (index, call) in calls.iter().enumerate() {
        let part = |rest: &str| at(&format!("[{index}]{rest}"));
        let of = |pointer: &str| call.pointer(pointer).and_then(Value::as_str);
        let id = of("/id").ok_or_else(|| missing(&part(".id")))?;
        if id.chars().count() > LONGEST_ID {
            let what = format!("string too long: at most {LONGEST_ID} characters");
            return Err(Complaint::about(part(".id"), what).coded("string_above_max_length"));
        }
        if of("/type") != Some("function") {
            return Err(Complaint::about(part(".type"), "expected 'function'"));
        }
        let name = of("/function/name").ok_or_else(|| missing(&part(".function.name")))?;
        offered::name(name).map_err(|what| Complaint::about(part(".function.name"), what))?;
        if of("/function/arguments").is_none() {
            let what = "expected a string";
            return Err(Complaint::about(part(".function.arguments"), what).coded("invalid_type"));
        }
        ids.push(id.to_owned());
    }
    Ok(ids)
}

/// A message's words, whether they came as a string or as parts.
fn text(message: &Value, at: &str) -> Result<String, Complaint> {
    let wrong = |at: String, what: &str| Complaint::about(at, what).coded("invalid_type");
    let parts = match given_in(message, "content") {
        Some(Value::String(text)) => return Ok(text.clone()),
        Some(Value::Array(parts)) if !parts.is_empty() => parts,
        _ => return Err(wrong(at.to_owned(), "expected a string or an array of parts")),
    };
    let of_tool = message.get("role").is_some_and(|role| role == "tool");
    let mut text = String::new();
    for (number, part) in parts.iter().enumerate() {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        match part.get("text").and_then(Value::as_str) {
            Some(words) if kind == "text" => text.push_str(words),
            // Seen, and not understood.
            _ if !of_tool && OTHER_PARTS.contains(&kind) => {}
            _ => return Err(wrong(format!("{at}[{number}]"), "unknown kind of part")),
        }
    }
    Ok(text)
}

/// As the official client of version 3.54 can send them.
const PARAMETERS: [&str; 37] = [
    "messages",
    "model",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];
const OTHER_PARTS: [&str; 4] = ["image_url", "input_audio", "file", "refusal"];
const MOST_TOOLS: usize = 128;
/// Of a call's id, in characters.
const LONGEST_ID: usize = 40;
