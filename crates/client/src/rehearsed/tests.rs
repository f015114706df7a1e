//! Both wires without a socket: what is played, what is refused, how it fails.

mod faults;
mod playing;
mod refusals;
mod streams;

use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

/// An answer, as far as it came.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    /// None when the connection broke.
    body: Option<String>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(self.body.as_deref().unwrap()).unwrap()
    }
}

fn built_in() -> Rehearsed {
    Rehearsed::new(Script::built_in())
}

fn scripted(yaml: &str) -> Rehearsed {
    Rehearsed::new(Script::from_yaml(yaml, "test").unwrap())
}

async fn send(rehearsed: &Rehearsed, request: Request<Body>) -> Reply {
    let response = rehearsed.router().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.ok();
    let body = body.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    Reply { status: head.status, headers: head.headers, body }
}

async fn ask(rehearsed: &Rehearsed, wire: Wire, body: &Value) -> Reply {
    let path = match wire {
        Wire::OpenAi => "/v1/chat/completions",
        Wire::Anthropic => "/v1/messages",
    };
    let request = Request::builder().method(Method::POST).uri(path);
    let request = request.header(anthropic::VERSION, "2023-06-01");
    send(rehearsed, request.body(Body::from(body.to_string())).unwrap()).await
}

/// A request with the four tools of the customer server.
fn request(wire: Wire, messages: Value) -> Value {
    let names = [
        "get_customer_info",
        "create_support_ticket",
        "calculate_account_value",
        "get_recent_customers",
    ];
    let schema = json!({ "type": "object" });
    let tool = |name| match wire {
        Wire::OpenAi => {
            json!({ "type": "function", "function": { "name": name, "parameters": schema } })
        }
        Wire::Anthropic => json!({ "name": name, "input_schema": schema }),
    };
    let tools: Vec<Value> = names.into_iter().map(tool).collect();
    json!({ "model": MODEL, "max_tokens": 1000, "messages": messages, "tools": tools })
}

fn prompt(text: &str) -> Value {
    json!([{ "role": "user", "content": text }])
}

/// An answer in neither wire's words: text, calls with names and arguments, why it ended.
#[derive(Debug, PartialEq)]
struct Read {
    text: String,
    calls: Vec<(String, String, String)>,
    ended: String,
}

fn read(wire: Wire, answer: &Value) -> Read {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match wire {
        Wire::OpenAi => {
            let message = &answer["choices"][0]["message"];
            let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| {
                let function = &call["function"];
                (text(&call["id"]), text(&function["name"]), text(&function["arguments"]))
            });
            Read {
                text: text(&message["content"]),
                calls: calls.collect(),
                ended: text(&answer["choices"][0]["finish_reason"]),
            }
        }
        Wire::Anthropic => {
            let blocks = answer["content"].as_array().unwrap();
            let of = |kind: &'static str| blocks.iter().filter(move |block| block["type"] == kind);
            let calls = of("tool_use").map(|block| {
                (text(&block["id"]), text(&block["name"]), block["input"].to_string())
            });
            Read {
                text: of("text").map(|block| text(&block["text"])).collect(),
                calls: calls.collect(),
                ended: text(&answer["stop_reason"]),
            }
        }
    }
}

async fn turn(rehearsed: &Rehearsed, wire: Wire, body: &Value) -> Read {
    let reply = ask(rehearsed, wire, body).await;
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
    read(wire, &reply.json())
}

/// The conversation with the turn that was given and with what became of its calls.
fn with_results(wire: Wire, messages: &Value, answer: &Value, results: &[&str]) -> Value {
    let mut messages = messages.as_array().unwrap().clone();
    match wire {
        Wire::OpenAi => {
            let message = &answer["choices"][0]["message"];
            let (content, calls) = (&message["content"], &message["tool_calls"]);
            messages.push(json!({ "role": "assistant", "content": content, "tool_calls": calls }));
            for (call, result) in calls.as_array().unwrap().iter().zip(results) {
                messages
                    .push(json!({ "role": "tool", "tool_call_id": call["id"], "content": result }));
            }
        }
        Wire::Anthropic => {
            messages.push(json!({ "role": "assistant", "content": answer["content"] }));
            let calls = answer["content"].as_array().unwrap().iter();
            let calls = calls.filter(|block| block["type"] == "tool_use").zip(results);
            let results = calls.map(|(call, result)| {
                json!({ "type": "tool_result", "tool_use_id": call["id"], "content": result })
            });
            messages.push(json!({ "role": "user", "content": results.collect::<Vec<_>>() }));
        }
    }
    Value::Array(messages)
}

const WIRES: [Wire; 2] = [Wire::OpenAi, Wire::Anthropic];
