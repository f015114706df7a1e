//! Frames of `streamGenerateContent`: calls come whole, their arguments as objects.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Draft, Gathered, as_written, begin, count, not_readable};
use crate::model::Usage;

#[derive(Default)]
pub(super) struct Reader {
    calls: Vec<Draft>,
    usage: Usage,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(default, borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(default)]
    usage_metadata: Option<Value>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default, borrow)]
    content: Option<Content<'a>>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(default, borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(default, borrow)]
    function_call: Option<FunctionCall<'a>>,
    #[serde(default)]
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, borrow)]
    args: Option<&'a RawValue>,
}

impl Reader {
    pub(super) fn frame(&mut self, data: &str) -> Result<(), String> {
        let chunk: Chunk<'_> = serde_json::from_str(data).map_err(|e| not_readable(&e))?;
        if let Some(reason) = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason) {
            return Err(format!("the provider withholds an answer: {reason}"));
        }
        self.count(chunk.usage_metadata.as_ref());
        let Some(candidate) = chunk.candidates.into_iter().flatten().next() else {
            return Ok(());
        };
        let parts = candidate.content.and_then(|content| content.parts);
        for part in parts.into_iter().flatten() {
            let Some(call) = part.function_call else { continue };
            let call = Draft {
                id: call.id.unwrap_or_default(),
                tool: call.name.unwrap_or_default(),
                arguments: as_written(call.args).unwrap_or_default().to_owned(),
                signature: part.thought_signature,
            };
            begin(&mut self.calls, call)?;
        }
        if candidate.finish_reason.is_some() {
            self.reason = candidate.finish_reason;
        }
        Ok(())
    }

    fn count(&mut self, usage: Option<&Value>) {
        let input = count(usage, "promptTokenCount")
            .saturating_add(count(usage, "toolUsePromptTokenCount"));
        let output =
            count(usage, "candidatesTokenCount").saturating_add(count(usage, "thoughtsTokenCount"));
        self.usage.input = self.usage.input.max(input);
        self.usage.output = self.usage.output.max(output);
    }

    pub(super) fn gathered(&mut self) -> Result<Gathered, String> {
        let Some(reason) = self.reason.take() else {
            return Err("it broke off before its end".to_owned());
        };
        if reason == "MAX_TOKENS" && !self.calls.is_empty() {
            return Err("it was cut off in the middle of its calls".to_owned());
        }
        let calls = std::mem::take(&mut self.calls);
        Ok(Gathered { calls, usage: self.usage, reason, thoughts: String::new() })
    }
}
