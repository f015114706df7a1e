//! Frames of chat completions: calls come in pieces, told apart by `index`.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Draft, Gathered, as_written, begin, count, not_readable};
use crate::model::Usage;

#[derive(Default)]
pub(super) struct Reader {
    calls: Vec<Draft>,
    /// Which call an index means at present.
    by_index: HashMap<u64, usize>,
    usage: Usage,
    reason: Option<String>,
    thoughts: String,
    ended: bool,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<Value>,
    /// Groq has counts here.
    #[serde(default)]
    x_groq: Option<Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(default, borrow)]
    tool_calls: Option<Vec<Piece<'a>>>,
    #[serde(default)]
    reasoning_content: Option<String>,
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default, borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
}

impl Reader {
    pub(super) fn frame(&mut self, data: &str) -> Result<(), String> {
        if data == "[DONE]" {
            self.ended = true;
            return Ok(());
        }
        let chunk: Chunk<'_> = serde_json::from_str(data).map_err(|e| not_readable(&e))?;
        let groq = chunk.x_groq.as_ref().and_then(|groq| groq.get("usage"));
        let usage = chunk.usage.as_ref().or(groq);
        // Counts may come before the end, after it, or both; the largest are the last.
        self.usage.input = self.usage.input.max(count(usage, "prompt_tokens"));
        self.usage.output = self.usage.output.max(count(usage, "completion_tokens"));
        let Some(choice) = chunk.choices.into_iter().flatten().next() else { return Ok(()) };
        if let Some(delta) = choice.delta {
            self.thoughts.push_str(delta.reasoning_content.as_deref().unwrap_or_default());
            for piece in delta.tool_calls.into_iter().flatten() {
                self.piece(piece)?;
            }
        }
        // A few providers say that they have not finished with an empty reason.
        let reason = choice.finish_reason.filter(|reason| !reason.is_empty());
        self.reason = reason.or_else(|| self.reason.take());
        Ok(())
    }

    /// Some providers repeat id and name in every piece, some give every call the same index, some
    /// give none.
    fn piece(&mut self, piece: Piece<'_>) -> Result<(), String> {
        let id = piece.id.unwrap_or_default();
        let function = piece.function;
        let name = function.as_ref().and_then(|f| f.name.clone()).unwrap_or_default();
        let arguments = as_written(function.as_ref().and_then(|f| f.arguments));
        let meant = match piece.index {
            Some(index) => self.by_index.get(&index).copied(),
            None if id.is_empty() => self.calls.len().checked_sub(1),
            None => self.calls.iter().position(|call| call.id == id),
        };
        let position = match meant.filter(|at| self.continues(*at, &id)) {
            Some(position) => position,
            None => begin(&mut self.calls, Draft { id: id.clone(), ..Draft::default() })?,
        };
        if let Some(index) = piece.index {
            self.by_index.insert(index, position);
        }
        let Some(call) = self.calls.get_mut(position) else { return Ok(()) };
        if call.id.is_empty() {
            call.id = id;
        }
        if call.tool.is_empty() {
            call.tool = name;
        } else if !name.is_empty() && call.tool != name {
            return Err("a call changes the name of its tool".to_owned());
        }
        match arguments {
            Some(text) if text.starts_with('"') => {
                let piece: String = serde_json::from_str(text).map_err(|e| not_readable(&e))?;
                call.arguments.push_str(&piece);
            }
            Some(text) => call.arguments.push_str(text),
            None => {}
        }
        Ok(())
    }

    fn continues(&self, position: usize, id: &str) -> bool {
        let begun = self.calls.get(position);
        begun.is_some_and(|call| id.is_empty() || call.id.is_empty() || call.id == id)
    }

    pub(super) fn gathered(&mut self) -> Result<Gathered, String> {
        let reason = self.reason.take();
        if reason.is_none() && !(self.ended && self.calls.is_empty()) {
            return Err("it broke off before its end".to_owned());
        }
        let reason = reason.unwrap_or_default();
        if reason == "length" && !self.calls.is_empty() {
            return Err("it was cut off in the middle of its calls".to_owned());
        }
        Ok(Gathered {
            calls: std::mem::take(&mut self.calls),
            usage: self.usage,
            reason,
            thoughts: std::mem::take(&mut self.thoughts),
        })
    }
}
