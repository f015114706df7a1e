//! The wire of OpenAI's chat completions. Requests are read in `request`, as strictly as the
//! provider reads them.

mod request;

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

pub(super) use self::request::read;
use super::{
    MODEL,
    asked::{Asked, Streaming},
    complaint::Complaint,
    pieces,
    turn::Turn,
    wire::Wire,
};
use crate::model::Call;

/// The answer in one.
pub(super) fn whole(asked: &Asked, turn: &Turn) -> String {
    let mut message = json!({
        "role": "assistant",
        "content": (!turn.text.is_empty() || turn.calls.is_empty()).then_some(&turn.text),
        "refusal": null,
        "annotations": [],
    });
    if !turn.calls.is_empty()
        && let Some(message) = message.as_object_mut()
    {
        let calls = turn.calls.iter().map(|call| tool_call(call, &call.arguments));
        message.insert("tool_calls".to_owned(), calls.collect());
    }
    json!({
        "id": id(asked),
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(turn),
        }],
        "usage": usage(asked, turn),
        "system_fingerprint": FINGERPRINT,
    })
    .to_string()
}

/// The answer as chunks: role, words, calls by index with their arguments in pieces, why it ends,
/// what it took.
pub(super) fn events(asked: &Asked, turn: &Turn) -> Vec<String> {
    let with_usage = asked.stream == Some(Streaming { with_usage: true });
    let id = id(asked);
    let chunk = |choices: Value, usage: Option<Value>| {
        let chunk = Chunk {
            id: &id,
            object: "chat.completion.chunk",
            created: 0,
            model: MODEL,
            system_fingerprint: FINGERPRINT,
            choices,
            usage: with_usage.then_some(usage),
        };
        let data = serde_json::to_string(&chunk).unwrap_or_default();
        Wire::OpenAi.event("", &data)
    };
    let part = |delta: Value, finish_reason: Option<&str>| {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason });
        chunk(json!([choice]), None)
    };
    let silent = turn.text.is_empty() && !turn.calls.is_empty();
    let content = (!silent).then_some("");
    let mut events =
        vec![part(json!({ "role": "assistant", "content": content, "refusal": null }), None)];
    let words = pieces::of_text(&turn.text).into_iter();
    events.extend(words.map(|piece| part(json!({ "content": piece }), None)));
    for (index, call) in turn.calls.iter().enumerate() {
        let mut opening = tool_call(call, "");
        if let Some(opening) = opening.as_object_mut() {
            opening.insert("index".to_owned(), index.into());
        }
        events.push(part(json!({ "tool_calls": [opening] }), None));
        events.extend(pieces::of_arguments(&call.arguments).into_iter().map(|piece| {
            let delta = json!({ "index": index, "function": { "arguments": piece } });
            part(json!({ "tool_calls": [delta] }), None)
        }));
    }
    events.push(part(json!({}), Some(finish_reason(turn))));
    if with_usage {
        events.push(chunk(json!([]), Some(usage(asked, turn))));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'static str,
    system_fingerprint: &'static str,
    choices: Value,
    // Where it was asked for it is in every chunk, and null in all but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Value>>,
}

fn id(asked: &Asked) -> String {
    format!("chatcmpl-rehearsed-{}", asked.turn_number())
}

fn tool_call(call: &Call, arguments: &str) -> Value {
    json!({
        "id": format!("call_rehearsed_{}", call.id),
        "type": "function",
        "function": { "name": call.tool, "arguments": arguments },
    })
}

fn finish_reason(turn: &Turn) -> &'static str {
    match turn {
        Turn { cut: true, .. } => "length",
        Turn { calls, .. } if calls.is_empty() => "stop",
        _ => "tool_calls",
    }
}

fn usage(asked: &Asked, turn: &Turn) -> Value {
    let (read, written) = (asked.tokens(), turn.tokens());
    json!({
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    })
}

/// The list of models.
pub(super) fn models() -> String {
    json!({ "object": "list", "data": [model()] }).to_string()
}

/// The one model.
pub(super) fn model() -> Value {
    json!({ "id": MODEL, "object": "model", "created": 0, "owned_by": "rehearsed" })
}

/// The body of a refusal.
pub(super) fn error(complaint: &Complaint) -> String {
    let kind = match complaint.status {
        StatusCode::TOO_MANY_REQUESTS => "requests",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    let message = match &complaint.about {
        Some(about) => format!("Invalid '{about}': {}", complaint.what),
        None => complaint.what.clone(),
    };
    json!({
        "error": {
            "message": message,
            "type": kind,
            "param": complaint.about,
            "code": complaint.code,
        },
    })
    .to_string()
}

const FINGERPRINT: &str = "rehearsed";
