//! The seam between the loop and whatever answers: one turn of a conversation, whoever gives it.
//!
//! What is said is kept in words of our own, so that a conversation can go on with another provider.

mod call_ids;
mod fault;
mod frames;
mod probe;
mod provided;
pub mod provider;
mod replay;

use std::{fmt, str::FromStr, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::tools::UniversalTool;

/// Whatever gives the next turn of a conversation.
#[async_trait]
pub trait Model: fmt::Debug + Send + Sync {
    /// Which model this is; of a pool the first.
    fn name(&self) -> &ModelName;

    /// The next turn. What comes in before it is whole is told to `hear`.
    async fn turn(
        &self,
        conversation: &Conversation,
        tools: &[UniversalTool],
        hear: &mut (dyn for<'a> FnMut(Heard<'a>) + Send),
    ) -> Result<Turn, ModelError>;

    /// Whether the provider answers and takes the key, without asking it anything.
    async fn probe(&self) -> Result<(), ModelError>;
}

/// `provider/model`: a provider as it is configured, and a model as that provider names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName {
    provider: String,
    model: String,
}

/// Not `provider/model`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` names no model: write `provider/model`, for example `openai/gpt-4.1`")]
pub struct NoModelName(String);

/// What has been said so far, whoever said it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    messages: Vec<Message>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum Message {
    /// Instructions of whoever runs the client.
    System {
        /// In words.
        text: String,
    },
    /// What the person says.
    User {
        /// In words.
        text: String,
    },
    /// A model's turn.
    Assistant(Turn),
    /// What became of the calls of the turn before, in their order.
    Tools {
        /// One for each call.
        results: Vec<ToolResult>,
    },
}

/// A model's turn: words, calls, or both. Without calls it is the last word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Who gave it.
    pub by: ModelName,
    /// What it says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What it wants done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// What it took.
    #[serde(default)]
    pub usage: Usage,
    /// What the provider wants to see again with the turn, such as signatures of thoughts; of no
    /// use to any other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<String>,
}

/// A tool call as a model proposes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// By which its result is told; different from that of every other call of the conversation.
    pub id: String,
    /// The tool, by the name under which it was offered.
    pub tool: String,
    /// The arguments, letter by letter as the model wrote them: JSON or not.
    pub arguments: String,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// Of which call.
    pub id: String,
    /// The tool, by the name under which it was offered.
    pub tool: String,
    /// What the model is told.
    pub text: String,
    /// Whether the tool did its work.
    pub succeeded: bool,
}

/// Tokens of a provider's, as it counts them; zero where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Read.
    pub input: u64,
    /// Written.
    pub output: u64,
}

/// What happens before a turn is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A piece of what it says.
    Text(&'a str),
    /// It is asked again after this wait; what was heard of the turn does not count.
    Again {
        /// Who is asked again.
        model: &'a ModelName,
        /// What went wrong.
        why: &'a ModelError,
        /// Until it is asked.
        after: Duration,
    },
    /// Another is asked; what was heard of the turn does not count.
    Instead {
        /// Who failed.
        failed: &'a ModelName,
        /// Who is asked now.
        next: &'a ModelName,
        /// What went wrong.
        why: &'a ModelError,
    },
}

/// A model gave no turn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model `{model}` {failure}")]
pub struct ModelError {
    /// Which.
    pub model: ModelName,
    /// What went wrong.
    pub failure: Failure,
}

/// What went wrong with a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no key, or the provider does not take it.
    #[error("wants a key: {0}")]
    Unauthorized(String),
    /// The provider wants to be left alone for a while.
    #[error("is asked too often")]
    RateLimited {
        /// For how long, when it says.
        retry_after: Option<Duration>,
    },
    /// The provider cannot be reached.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Nothing came in time.
    #[error("did not answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The provider failed.
    #[error("failed with status {status}: {said}")]
    Failed {
        /// The HTTP status.
        status: u16,
        /// What it said, shortened.
        said: String,
    },
    /// The provider will not take what it is sent.
    #[error("refused with status {status}: {said}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, shortened.
        said: String,
    },
    /// The answer is not what it should be, or broke off.
    #[error("answered nonsense: {0}")]
    Broken(String),
    /// No member of a pool gave a turn.
    #[error("and whoever might stand in for it gave no answer: {}", in_a_row(.0))]
    AllFailed(Vec<ModelError>),
}

impl ModelName {
    /// The provider, as it is configured.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The model, as the provider names it.
    pub fn model(&self) -> &str {
        &self.model
    }
}

impl FromStr for ModelName {
    type Err = NoModelName;

    fn from_str(text: &str) -> Result<Self, NoModelName> {
        match text.split_once('/') {
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() => {
                Ok(Self { provider: provider.to_owned(), model: model.to_owned() })
            }
            _ => Err(NoModelName(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ModelName {
    type Error = NoModelName;

    fn try_from(text: String) -> Result<Self, NoModelName> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

impl Conversation {
    /// A conversation under these instructions.
    pub fn under(instructions: &str) -> Self {
        Self { messages: vec![Message::System { text: instructions.to_owned() }] }
    }

    /// What was said, in order.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The person says something.
    pub fn ask(&mut self, text: &str) {
        self.messages.push(Message::User { text: text.to_owned() });
    }

    /// A model has given its turn.
    pub fn answered(&mut self, turn: Turn) {
        self.messages.push(Message::Assistant(turn));
    }

    /// The calls of the last turn have been made, or not.
    pub fn tell(&mut self, results: Vec<ToolResult>) {
        self.messages.push(Message::Tools { results });
    }
}

impl Failure {
    /// Whether asking the same model again may help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Unreachable(_)
            | Self::TimedOut(_)
            | Self::Failed { .. }
            | Self::Broken(_) => true,
            Self::Unauthorized(_) | Self::Refused { .. } => false,
            Self::AllFailed(errors) => errors.iter().any(|error| error.failure.may_pass()),
        }
    }
}

fn in_a_row(errors: &[ModelError]) -> String {
    errors.iter().map(ModelError::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_may_have_slashes_in_its_name_and_a_provider_may_not() {
        let name: ModelName = "litellm/anthropic/claude-x".parse().unwrap();
        assert_eq!((name.provider(), name.model()), ("litellm", "anthropic/claude-x"));
        assert_eq!(name.to_string(), "litellm/anthropic/claude-x");
        for wrong in ["gpt-4.1", "", "/", "openai/", "/gpt"] {
            assert!(wrong.parse::<ModelName>().is_err(), "{wrong}");
        }
    }
}
