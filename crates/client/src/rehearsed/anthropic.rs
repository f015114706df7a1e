//! The wire of Anthropic's messages. Requests are read in `request`, as strictly as the provider
//! reads them.

mod request;

use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

pub(super) use self::request::{VERSION, read};
use super::{
    MODEL,
    asked::Asked,
    complaint::Complaint,
    pieces,
    turn::Turn,
    wire::{REQUEST_ID, Wire},
};
use crate::model::Call;

#[derive(Serialize)]
struct Message<'a> {
    id: String,
    r#type: &'static str,
    role: &'static str,
    model: &'static str,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'static str>,
    usage: Usage,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: &'a str },
    ToolUse { id: String, name: &'a str, input: &'a RawValue },
}

#[derive(Serialize)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
}

/// The answer in one. Arguments that are no JSON object cannot be told on this wire unless they are
/// streamed: `input` is empty then, as it is with the provider.
pub(super) fn whole(asked: &Asked, turn: &Turn) -> String {
    let words = (!turn.text.is_empty()).then_some(Block::Text { text: &turn.text });
    let calls = turn.calls.iter().map(|call| Block::ToolUse {
        id: id(call),
        name: &call.tool,
        input: input(&call.arguments),
    });
    let message = Message {
        content: words.into_iter().chain(calls).collect(),
        stop_reason: Some(stop_reason(turn)),
        usage: Usage { input_tokens: asked.tokens(), output_tokens: turn.tokens() },
        ..empty(asked)
    };
    serde_json::to_string(&message).unwrap_or_default()
}

/// The answer as events: the message without content, each block begun, told in pieces and
/// ended, why it stops, the end.
pub(super) fn events(asked: &Asked, turn: &Turn) -> Vec<String> {
    let mut events = vec![
        event("message_start", &json!({ "type": "message_start", "message": empty(asked) })),
        event("ping", &json!({ "type": "ping" })),
    ];
    let mut index = 0;
    let mut block = |opening: Value, deltas: Vec<Value>| {
        let start =
            json!({ "type": "content_block_start", "index": index, "content_block": opening });
        events.push(event("content_block_start", &start));
        for delta in deltas {
            let delta = json!({ "type": "content_block_delta", "index": index, "delta": delta });
            events.push(event("content_block_delta", &delta));
        }
        let stop = json!({ "type": "content_block_stop", "index": index });
        events.push(event("content_block_stop", &stop));
        index += 1;
    };
    if !turn.text.is_empty() {
        let words = pieces::of_text(&turn.text).into_iter();
        let deltas = words.map(|piece| json!({ "type": "text_delta", "text": piece }));
        block(json!({ "type": "text", "text": "" }), deltas.collect());
    }
    for call in &turn.calls {
        let letters = pieces::of_arguments(&call.arguments).into_iter();
        let deltas = [""].into_iter().chain(letters);
        let deltas =
            deltas.map(|piece| json!({ "type": "input_json_delta", "partial_json": piece }));
        let opening = json!({ "type": "tool_use", "id": id(call), "name": call.tool, "input": {} });
        block(opening, deltas.collect());
    }
    let delta = json!({ "stop_reason": stop_reason(turn), "stop_sequence": null });
    let usage = json!({ "output_tokens": turn.tokens() });
    let ending = json!({ "type": "message_delta", "delta": delta, "usage": usage });
    events.push(event("message_delta", &ending));
    events.push(event("message_stop", &json!({ "type": "message_stop" })));
    events
}

fn event(name: &str, data: &Value) -> String {
    Wire::Anthropic.event(name, &data.to_string())
}

fn empty(asked: &Asked) -> Message<'static> {
    Message {
        id: format!("msg_rehearsed_{}", asked.turn_number()),
        r#type: "message",
        role: "assistant",
        model: MODEL,
        content: Vec::new(),
        stop_reason: None,
        stop_sequence: None,
        usage: Usage { input_tokens: asked.tokens(), output_tokens: 0 },
    }
}

fn id(call: &Call) -> String {
    format!("toolu_rehearsed_{}", call.id)
}

/// Letter by letter, repeated members and all, where it is a JSON object at all.
fn input(arguments: &str) -> &RawValue {
    let read = serde_json::from_str::<&RawValue>(arguments).ok();
    let object = read.filter(|value| value.get().starts_with('{'));
    object.or_else(|| serde_json::from_str("{}").ok()).unwrap_or(RawValue::NULL)
}

fn stop_reason(turn: &Turn) -> &'static str {
    match turn {
        Turn { cut: true, .. } => "max_tokens",
        Turn { calls, .. } if calls.is_empty() => "end_turn",
        _ => "tool_use",
    }
}

/// The list of models, of one page.
pub(super) fn models() -> String {
    json!({ "data": [model()], "has_more": false, "first_id": MODEL, "last_id": MODEL }).to_string()
}

/// The one model. Its date is the provider's way to say that there is none.
pub(super) fn model() -> Value {
    json!({
        "type": "model",
        "id": MODEL,
        "display_name": "Rehearsed, not a model",
        "created_at": "1970-01-01T00:00:00Z",
    })
}

/// The body of a refusal.
pub(super) fn error(complaint: &Complaint) -> String {
    let kind = match complaint.status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let message = match &complaint.about {
        Some(about) => format!("{about}: {}", complaint.what),
        None => complaint.what.clone(),
    };
    let error = json!({ "type": kind, "message": message });
    json!({ "type": "error", "error": error, "request_id": REQUEST_ID }).to_string()
}
