//! The rehearsed model: a local HTTP endpoint in the OpenAI chat-completions wire format whose
//! choices are scripted. It understands nothing and is never presented as a model; it lets the
//! demo and the tests drive the real client, the real gate and the real server without a key.

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the user says in the account scenario of the source material.
pub const ACCOUNT_PROMPT: &str = "Customer CUST67890 recently made purchases of $150, $300, $13 and $89. Calculate their total account value and tell me whether they qualify as premium (above $500).";

/// What the user says in the look-up scenario of the source material.
pub const LOOKUP_PROMPT: &str =
    "Look up the information for customer 'JOHNDOE123' and summarize their account status.";

/// The name under which it answers.
pub const MODEL: &str = "rehearsed/clerk";

/// The routes: `POST /v1/chat/completions`.
pub fn router() -> Router {
    Router::new().route("/v1/chat/completions", post(complete))
}

#[derive(Deserialize)]
struct Request {
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    tools: Vec<Value>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
}

struct Part {
    cue: &'static str,
    tool: &'static str,
    arguments: fn() -> Value,
    closing: fn(&Value) -> String,
}

const PARTS: [Part; 2] = [
    Part {
        cue: "CUST67890",
        tool: "calculate_account_value",
        arguments: || json!({ "customer_id": "CUST67890", "amounts": [150, 300, 13, 89] }),
        closing: |result| {
            let total = result.pointer("/calculation/total").and_then(Value::as_f64);
            let total = total.unwrap_or_default();
            let verdict = if total > 500.0 { "qualifies" } else { "does not qualify" };
            format!(
                "The purchases of CUST67890 come to {total:.2}; the customer {verdict} as premium."
            )
        },
    },
    Part {
        cue: "JOHNDOE123",
        tool: "get_customer_info",
        arguments: || json!({ "customer_id": "JOHNDOE123" }),
        closing: |result| {
            format!(
                "{} ({}) has a {} account that is {}.",
                result["name"].as_str().unwrap_or("The customer"),
                result["customer_id"].as_str().unwrap_or("?"),
                result["account_type"].as_str().unwrap_or("?"),
                result["status"].as_str().unwrap_or("?"),
            )
        },
    },
];

async fn complete(Json(request): Json<Request>) -> impl IntoResponse {
    if request.stream {
        let error = json!({ "error": { "message": "streaming is not rehearsed", "type": "invalid_request_error" } });
        return (StatusCode::BAD_REQUEST, Json(error));
    }
    (StatusCode::OK, Json(completion(choose(&request))))
}

/// Calls the tool of the part whose cue the user gave, and closes with what it returned.
fn choose(request: &Request) -> Value {
    let said = |role: &str| {
        let of_role = request.messages.iter().rev().find(|message| message.role == role);
        of_role.map(|message| text(&message.content)).unwrap_or_default()
    };
    let user = said("user");
    let Some(part) = PARTS.iter().find(|part| user.contains(part.cue)) else {
        return json!({ "role": "assistant", "content": "I have rehearsed no answer to this." });
    };
    let returned = request.messages.last().filter(|message| message.role == "tool");
    if let Some(message) = returned {
        let content = text(&message.content);
        let closing = match serde_json::from_str::<Value>(&content) {
            Ok(result) => (part.closing)(&result),
            Err(_) => format!("The tool did not do it: {content}"),
        };
        return json!({ "role": "assistant", "content": closing });
    }
    let offered = request
        .tools
        .iter()
        .any(|tool| tool.pointer("/function/name").is_some_and(|name| name == part.tool));
    if !offered {
        let content = format!("I would need the tool `{}`, which I was not offered.", part.tool);
        return json!({ "role": "assistant", "content": content });
    }
    let arguments = (part.arguments)().to_string();
    let call = json!({
        "id": "call_rehearsed_1",
        "type": "function",
        "function": { "name": part.tool, "arguments": arguments },
    });
    json!({ "role": "assistant", "content": null, "tool_calls": [call] })
}

/// A message's text, whether it came as a string or as parts.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("")
        }
        _ => String::new(),
    }
}

fn completion(message: Value) -> Value {
    let calls = message.get("tool_calls").is_some();
    json!({
        "id": "chatcmpl-rehearsed",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{
            "index": 0,
            "message": message,
            "finish_reason": if calls { "tool_calls" } else { "stop" },
        }],
        "usage": { "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 },
    })
}
