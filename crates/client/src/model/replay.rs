//! A conversation as a provider is told it, whoever gave its turns.

use std::collections::HashMap;

use genai::chat::{
    ChatMessage, ChatRequest, ChatRole, ContentPart, CustomPart, MessageContent, Tool, ToolCall,
    ToolResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Call, Conversation, Message, ModelName, ToolResult, Turn,
    call_ids::{calls, of_nine_digits},
    provider::Wire,
};
use crate::tools::UniversalTool;

/// What a provider wants to see again, as it is kept in [`Turn::signatures`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Keepsake {
    /// A part of the turn, in its place before everything that is said.
    Part(ContentPart),
    /// The signature of a call.
    OfCall {
        /// Which.
        id: String,
        /// The signature.
        signature: String,
    },
}

/// Who is told, and how it wants to be told.
struct Listener<'a> {
    name: &'a ModelName,
    wire: Wire,
    /// Where the wire wants other ids.
    ids: HashMap<&'a str, String>,
}

/// The request for the next turn of `conversation`.
pub(super) fn request(
    conversation: &Conversation,
    tools: &[UniversalTool],
    name: &ModelName,
    wire: Wire,
) -> ChatRequest {
    let ids = match wire {
        Wire::Mistral => {
            let ids = calls(conversation).map(|call| call.id.as_str());
            ids.enumerate().map(|(place, id)| (id, of_nine_digits(place))).collect()
        }
        Wire::OpenAi | Wire::Anthropic | Wire::Gemini => HashMap::new(),
    };
    let listener = Listener { name, wire, ids };
    let mut request = ChatRequest::default();
    if !tools.is_empty() {
        let offered = tools.iter().map(|tool| {
            Tool::new(tool.offered_as.clone())
                .with_description(tool.description.clone())
                .with_schema(Value::Object((*tool.parameters).clone()))
        });
        request = request.with_tools(offered.collect::<Vec<_>>());
    }
    let mut messages = conversation.messages().iter().peekable();
    while let Some(message) = messages.next() {
        match message {
            Message::System { text } => {
                request = request.append_message(ChatMessage::system(text.clone()));
            }
            Message::User { text } => {
                request = request.append_message(ChatMessage::user(text.clone()));
            }
            Message::Assistant(turn) => {
                let Some(told) = listener.turn(turn) else { continue };
                request = request.append_message(told);
                if !turn.calls.is_empty() {
                    let results = match messages.peek() {
                        Some(Message::Tools { results }) => results.as_slice(),
                        _ => &[],
                    };
                    request = request.append_message(listener.results(&turn.calls, results));
                }
            }
            // Told with the calls that they belong to; there are no others.
            Message::Tools { .. } => {}
        }
    }
    request
}

impl Listener<'_> {
    /// A turn, with what is of use to this provider; none if nothing was said, since some refuse an
    /// empty message.
    fn turn(&self, turn: &Turn) -> Option<ChatMessage> {
        let keepsakes = if turn.by == *self.name { kept(&turn.signatures) } else { Vec::new() };
        let mut signatures: HashMap<&str, &str> = HashMap::new();
        let mut parts = Vec::new();
        for keepsake in &keepsakes {
            match keepsake {
                Keepsake::Part(part) => parts.push(part.clone()),
                Keepsake::OfCall { id, signature } => {
                    signatures.insert(id, signature);
                }
            }
        }
        if !turn.text.is_empty() {
            parts.push(ContentPart::Text(turn.text.clone()));
        }
        for call in &turn.calls {
            let signature = signatures.get(call.id.as_str());
            parts.push(ContentPart::ToolCall(ToolCall {
                call_id: self.id(&call.id),
                fn_name: call.tool.clone(),
                fn_arguments: Value::Object(object(&call.arguments)),
                thought_signatures: signature.map(|signature| vec![(*signature).to_owned()]),
            }));
        }
        let said = !turn.text.is_empty() || !turn.calls.is_empty();
        said.then(|| ChatMessage::new(ChatRole::Assistant, MessageContent::from_parts(parts)))
    }

    /// One result for every call, in the order of the calls: providers refuse a call without one.
    fn results(&self, calls: &[Call], results: &[ToolResult]) -> ChatMessage {
        let parts =
            calls.iter().map(|call| match results.iter().find(|result| result.id == call.id) {
                Some(result) => self.result(call, &result.text, result.succeeded),
                None => self.result(call, "the tool was not called", false),
            });
        ChatMessage::new(ChatRole::Tool, MessageContent::from_parts(parts.collect::<Vec<_>>()))
    }

    fn result(&self, call: &Call, text: &str, succeeded: bool) -> ContentPart {
        if self.wire == Wire::Anthropic && !succeeded {
            // The library's own form of a result cannot say that it is an error.
            let data = json!({
                "type": "tool_result",
                "tool_use_id": self.id(&call.id),
                "content": text,
                "is_error": true,
            });
            return ContentPart::Custom(CustomPart { model_iden: None, data });
        }
        let response = ToolResponse::new(self.id(&call.id), text.to_owned());
        ContentPart::ToolResponse(response.with_fn_name(call.tool.clone()))
    }

    fn id(&self, id: &str) -> String {
        self.ids.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }
}

fn kept(signatures: &[String]) -> Vec<Keepsake> {
    // What cannot be read was kept by another version: the turn is told without it.
    signatures.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
}

/// What a model wrote as arguments, or nothing when it was no object: no provider takes anything
/// else, and the result says what was wrong.
fn object(arguments: &str) -> Map<String, Value> {
    serde_json::from_str(arguments).unwrap_or_default()
}
