//! What happens in a conversation, as it is shown, written down and compared.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{ModelName, Usage};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The person said something.
    Asked {
        /// In words.
        text: String,
    },
    /// A piece of what a model says. What it said is in [`Event::Said`] once more, whole.
    Piece {
        /// Some words.
        text: String,
    },
    /// A model gave its turn.
    Said {
        /// Which.
        by: ModelName,
        /// What it says; empty when it only calls.
        text: String,
        /// How many calls it wants made.
        calls: usize,
        /// What it took.
        usage: Usage,
    },
    /// A call is about to be made.
    Calling {
        /// Of the model that proposes it.
        by: ModelName,
        /// The call.
        id: String,
        /// The tool, by its name at the server.
        tool: String,
        /// As the model wrote them.
        arguments: String,
    },
    /// What became of a call.
    Called {
        /// The call.
        id: String,
        /// The tool, by its name at the server.
        tool: String,
        /// How it ended.
        #[serde(flatten)]
        verdict: Verdict,
        /// What the model is told.
        text: String,
        /// From the first attempt to the last answer.
        took_ms: u64,
    },
    /// A call needed more scope, and a token with it was asked for.
    SteppedUp {
        /// The call.
        id: String,
        /// All that the call needs.
        scopes: Vec<String>,
    },
    /// A call waits until a limit leaves room.
    Waiting {
        /// The call.
        id: String,
        /// For how long.
        #[serde(with = "humantime_serde")]
        after: Duration,
    },
    /// A model failed and is asked again.
    Again {
        /// Which.
        model: ModelName,
        /// What went wrong.
        why: String,
        /// Until it is asked.
        #[serde(with = "humantime_serde")]
        after: Duration,
    },
    /// A model failed and another is asked.
    Instead {
        /// Which failed.
        failed: ModelName,
        /// Which is asked.
        next: ModelName,
        /// What went wrong.
        why: String,
    },
    /// It ended without an answer.
    Failed {
        /// Why.
        why: String,
    },
    /// It is over.
    Finished {
        /// Why it ended, when that was not the model's last word.
        #[serde(skip_serializing_if = "Option::is_none")]
        stopped: Option<Stopped>,
        /// Turns that were taken.
        rounds: usize,
        /// What all of them took.
        usage: Usage,
    },
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "kebab-case")]
pub enum Verdict {
    /// The tool did its work.
    Done,
    /// The tool was called and failed.
    Failed,
    /// The gate or the server said no, for this reason.
    Refused(String),
    /// It never left the client, for this reason.
    NotSent(String),
    /// Whether it was done is not known: the connection failed, or the person stopped it.
    Unknown(String),
}

/// Why a conversation ended without a last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// The model would go on calling tools.
    Rounds,
    /// It has called as often as it may.
    Calls,
    /// It has taken as many tokens as it may.
    Tokens,
    /// It has taken as long as it may.
    Time,
}

impl Event {
    /// As JSON with the time at which it happened.
    pub fn at(&self, time: &str) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(members) = &mut value {
            members.insert("time".to_owned(), time.into());
        }
        value
    }
}

impl Stopped {
    /// In words for a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Rounds => {
                "the model would go on calling tools; it was stopped after the last round"
            }
            Self::Calls => "the model has made as many calls as it may",
            Self::Tokens => "the conversation has taken as many tokens as it may",
            Self::Time => "the conversation has taken as long as it may",
        }
    }
}
