//! The loop between a model and the tools behind the gate.

use crate::{
    model::{Call, Conversation, Model, ModelError, ToolResult},
    session::{Session, SessionError, text_of},
    tools::Toolbox,
};

/// What became of one tool call.
#[derive(Debug)]
pub struct Step {
    /// What the model asked for.
    pub call: Call,
    /// What it was told.
    pub outcome: String,
    /// Whether the tool did its work.
    pub succeeded: bool,
}

/// A finished conversation.
#[derive(Debug)]
pub struct Report {
    /// The calls, in order.
    pub steps: Vec<Step>,
    /// The model's last word.
    pub answer: String,
}

/// Why a conversation did not finish.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tools could not be listed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The model would go on calling tools.
    #[error("the model did not come to an answer within {MAX_ROUNDS} rounds")]
    TooManyRounds,
}

/// Lets `model` answer `prompt` with the tools of `session`. Refusals go back to the model as
/// text: it may explain them, it cannot get around them.
pub async fn converse(
    model: &dyn Model,
    session: &Session,
    prompt: &str,
) -> Result<Report, AgentError> {
    let toolbox = Toolbox::of(&session.tools().await?);
    let mut conversation = Conversation::under(INSTRUCTIONS);
    conversation.ask(prompt);
    let mut steps = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let turn = model.turn(&conversation, toolbox.offered(), &mut |_| {}).await?;
        if turn.calls.is_empty() {
            return Ok(Report { steps, answer: turn.text });
        }
        let calls = turn.calls.clone();
        conversation.answered(turn);
        let mut results = Vec::with_capacity(calls.len());
        for call in calls {
            let (outcome, succeeded) = execute(session, &toolbox, &call).await;
            results.push(ToolResult {
                id: call.id.clone(),
                tool: call.tool.clone(),
                text: outcome.clone(),
                succeeded,
            });
            steps.push(Step { call, outcome, succeeded });
        }
        conversation.tell(results);
    }
    Err(AgentError::TooManyRounds)
}

async fn execute(session: &Session, toolbox: &Toolbox, call: &Call) -> (String, bool) {
    let ready = match toolbox.read(call) {
        Ok(ready) => ready,
        Err(unusable) => return (unusable.to_string(), false),
    };
    match session.call_stepping_up(&ready.tool, ready.arguments).await {
        Ok(result) => (text_of(&result), result.is_error != Some(true)),
        Err(error) => (error.to_string(), false),
    }
}

const INSTRUCTIONS: &str =
    "You help customer service staff. Use the tools; report what they return.";
/// Enough for any honest task; an endless loop ends here.
const MAX_ROUNDS: usize = 8;
