//! Frames of messages: calls are blocks that begin, get pieces and end.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Draft, Gathered, as_written, begin, count, not_readable};
use crate::model::Usage;

#[derive(Default)]
pub(super) struct Reader {
    calls: Vec<Draft>,
    /// Blocks that have begun and not ended, and which call each is.
    open: HashMap<u64, usize>,
    usage: Usage,
    reason: Option<String>,
    ended: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    index: u64,
    #[serde(default, borrow)]
    content_block: Option<Block<'a>>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    partial_json: Option<String>,
    #[serde(default)]
    stop_reason: Option<String>,
}

impl Reader {
    pub(super) fn frame(&mut self, data: &str) -> Result<(), String> {
        let event: Event<'_> = serde_json::from_str(data).map_err(|e| not_readable(&e))?;
        let usage = event.message.as_ref().and_then(|message| message.get("usage"));
        self.count(usage.or(event.usage.as_ref()));
        match event.kind.as_str() {
            "content_block_start" => match event.content_block {
                Some(block) if block.kind == "tool_use" => self.begin(event.index, block)?,
                _ => {}
            },
            "content_block_delta" => {
                let piece = event.delta.and_then(|delta| delta.partial_json).unwrap_or_default();
                let position = self.open.get(&event.index).copied();
                if let Some(call) = position.and_then(|at| self.calls.get_mut(at)) {
                    call.arguments.push_str(&piece);
                }
            }
            "content_block_stop" => {
                self.open.remove(&event.index);
            }
            "message_delta" => {
                let reason = event.delta.and_then(|delta| delta.stop_reason);
                self.reason = reason.or_else(|| self.reason.take());
            }
            "message_stop" => self.ended = true,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, index: u64, block: Block<'_>) -> Result<(), String> {
        // A few servers give the whole input at once; the rest begin with an empty object.
        let whole = as_written(block.input).filter(|text| *text != "{}").unwrap_or_default();
        let call = Draft {
            id: block.id.unwrap_or_default(),
            tool: block.name.unwrap_or_default(),
            arguments: whole.to_owned(),
            signature: None,
        };
        let position = begin(&mut self.calls, call)?;
        match self.open.insert(index, position) {
            None => Ok(()),
            Some(_) => Err("a block begins in the middle of another".to_owned()),
        }
    }

    fn count(&mut self, usage: Option<&Value>) {
        let cached = count(usage, "cache_creation_input_tokens")
            .saturating_add(count(usage, "cache_read_input_tokens"));
        let input = count(usage, "input_tokens").saturating_add(cached);
        self.usage.input = self.usage.input.max(input);
        self.usage.output = self.usage.output.max(count(usage, "output_tokens"));
    }

    pub(super) fn gathered(&mut self) -> Result<Gathered, String> {
        if !self.ended {
            return Err("it broke off before its end".to_owned());
        }
        let reason = self.reason.take().unwrap_or_default();
        if !self.open.is_empty() || (reason == "max_tokens" && !self.calls.is_empty()) {
            return Err("it was cut off in the middle of its calls".to_owned());
        }
        let calls = std::mem::take(&mut self.calls);
        Ok(Gathered { calls, usage: self.usage, reason, thoughts: String::new() })
    }
}
