//! What the frames of an answer say, letter by letter: calls, counts, and whether it is whole.
//!
//! The library that speaks with providers reads the same frames, but into values: of two members of
//! one name it keeps one, and it sets aside as much memory as a provider's `index` asks for. So its
//! own record of calls stays switched off, and calls are read here.

mod anthropic;
mod gemini;
mod open_ai;

use std::sync::{Mutex, MutexGuard, PoisonError};

use genai::chat::{ChatFrameSink, FrameCtx, RawFrameRef};
use serde_json::{Value, value::RawValue};

use super::{Usage, provider::Wire};

/// Listens to the frames of one answer.
pub(super) struct Frames {
    most_bytes: usize,
    // The library calls `on_frame` with `&self`, from within the task that waits for the answer;
    // so the lock is never waited for, and never held across an await.
    state: Mutex<State>,
}

struct State {
    reader: Reader,
    frames: u64,
    bytes: usize,
    wrong: Option<String>,
}

enum Reader {
    OpenAi(open_ai::Reader),
    Anthropic(anthropic::Reader),
    Gemini(gemini::Reader),
}

/// What was gathered from an answer that is whole.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Gathered {
    pub(super) calls: Vec<Draft>,
    pub(super) usage: Usage,
    /// Why the model ended, in the provider's words.
    pub(super) reason: String,
    /// Thoughts that the provider wants to see again together with the calls.
    pub(super) thoughts: String,
}

/// A call as it comes in.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Draft {
    /// Empty when the provider gives none.
    pub(super) id: String,
    pub(super) tool: String,
    pub(super) arguments: String,
    pub(super) signature: Option<String>,
}

impl Frames {
    /// Listens to an answer in this format, and to no more bytes of it.
    pub(super) fn of(wire: Wire, most_bytes: usize) -> Self {
        let reader = match wire {
            Wire::OpenAi | Wire::Mistral => Reader::OpenAi(open_ai::Reader::default()),
            Wire::Anthropic => Reader::Anthropic(anthropic::Reader::default()),
            Wire::Gemini => Reader::Gemini(gemini::Reader::default()),
        };
        Self { most_bytes, state: Mutex::new(State { reader, frames: 0, bytes: 0, wrong: None }) }
    }

    /// How many frames have come in.
    pub(super) fn count(&self) -> u64 {
        self.state().frames
    }

    /// What is wrong with the frames so far.
    pub(super) fn wrong(&self) -> Option<String> {
        self.state().wrong.clone()
    }

    /// What the answer holds, once it has ended.
    pub(super) fn gathered(&self) -> Result<Gathered, String> {
        let mut state = self.state();
        if let Some(wrong) = state.wrong.take() {
            return Err(wrong);
        }
        let gathered = match &mut state.reader {
            Reader::OpenAi(reader) => reader.gathered(),
            Reader::Anthropic(reader) => reader.gathered(),
            Reader::Gemini(reader) => reader.gathered(),
        }?;
        if gathered.calls.iter().any(|call| call.tool.is_empty()) {
            return Err("a call names no tool".to_owned());
        }
        Ok(gathered)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChatFrameSink for Frames {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        let mut state = self.state();
        state.frames += 1;
        state.bytes = state.bytes.saturating_add(frame.data.len());
        if state.wrong.is_some() || frame.data.is_empty() {
            return;
        }
        let read = if state.bytes > self.most_bytes {
            Err(format!("it has more than {} bytes", self.most_bytes))
        } else {
            match &mut state.reader {
                Reader::OpenAi(reader) => reader.frame(frame.data),
                Reader::Anthropic(reader) => reader.frame(frame.data),
                Reader::Gemini(reader) => reader.frame(frame.data),
            }
        };
        state.wrong = read.err();
    }
}

/// Adds a call, if there may be one more.
fn begin(calls: &mut Vec<Draft>, call: Draft) -> Result<usize, String> {
    if calls.len() >= MOST_CALLS {
        return Err(format!("it has more than {MOST_CALLS} calls"));
    }
    if call.tool.len() > LONGEST_NAME || call.id.len() > LONGEST_ID {
        return Err("a call has a name or an id beyond all measure".to_owned());
    }
    calls.push(call);
    Ok(calls.len() - 1)
}

fn not_readable(cause: &serde_json::Error) -> String {
    format!("a frame cannot be read: {cause}")
}

/// A JSON value as it stands there, none for `null`.
fn as_written(value: Option<&RawValue>) -> Option<&str> {
    value.map(RawValue::get).filter(|text| *text != "null")
}

fn count(usage: Option<&Value>, name: &str) -> u64 {
    usage.and_then(|usage| usage.get(name)).and_then(Value::as_u64).unwrap_or(0)
}

/// No honest turn has so many.
const MOST_CALLS: usize = 128;
/// Tools are offered under at most 64 characters.
const LONGEST_NAME: usize = 256;
/// Some gateways make ids of some hundred characters.
const LONGEST_ID: usize = 4096;
