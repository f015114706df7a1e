//! What the rehearsed model says and does, and how it fails: a script in YAML.

mod raw;
mod template;

use std::fmt;

use regex::Regex;
use serde_json::Value;

use self::template::Quote;
pub(super) use self::template::Template;
use super::{asked::Told, fault::Fault};

/// A script that can be played.
#[derive(Debug)]
pub struct Script {
    pub(super) parts: Vec<Part>,
    /// What is said when no cue is given.
    pub(super) otherwise: Template,
    /// Of all requests.
    pub(super) faults: Vec<Fault>,
}

/// Why a script cannot be played: everything that is wrong with it, each with its line.
#[derive(Debug)]
pub struct ScriptError {
    name: String,
    mistakes: Vec<Mistake>,
}

/// One mistake in a script.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    /// From 1; 0 where the script as a whole is meant.
    line: u64,
    what: String,
}

/// What is done when the user gives a cue.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) cue: Cue,
    pub(super) steps: Vec<Step>,
    /// Last words under a condition; the first that applies is said.
    pub(super) cases: Vec<Case>,
    /// The last words else.
    pub(super) close: Template,
    /// What is said when a tool was refused or not offered.
    pub(super) otherwise: Template,
    /// Whether it plays on whatever tools say.
    pub(super) stubborn: bool,
    pub(super) faults: Vec<Fault>,
}

/// Words of the user's.
#[derive(Debug)]
pub(super) enum Cue {
    Contains(String),
    Matches(Regex),
}

/// A turn that calls tools, at least one.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) say: Option<Template>,
    pub(super) calls: Vec<ScriptedCall>,
    /// In how many turns it is played, one at least.
    pub(super) repeat: usize,
}

/// A call as the script has it.
#[derive(Debug)]
pub(super) struct ScriptedCall {
    pub(super) tool: String,
    /// Letter by letter as it is sent.
    pub(super) arguments: String,
    returns: Returns,
}

/// How it is seen that a tool did its work, where the wire has no mark for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returns {
    /// A JSON object or list; any other text is a refusal.
    Json,
    /// Any text.
    Text,
}

/// Last words under a condition.
#[derive(Debug)]
pub(super) struct Case {
    value: Quote,
    limit: Limit,
    pub(super) say: Template,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    Above(f64),
    Below(f64),
}

impl Script {
    /// The script of the demo: the two scenarios of the source material, a step-up, two calls in one
    /// turn, arguments that providers could read differently, calls without end, a long text.
    #[expect(clippy::expect_used, reason = "a test reads the script that is built in")]
    pub fn built_in() -> Self {
        Self::from_yaml(BUILT_IN, "the built-in script").expect("the built-in script can be played")
    }

    /// Reads a script; `name` is what mistakes in it are told under, such as its path.
    pub fn from_yaml(text: &str, name: &str) -> Result<Self, ScriptError> {
        raw::read(text).map_err(|mistakes| ScriptError { name: name.to_owned(), mistakes })
    }
}

impl Cue {
    pub(super) fn is_given_in(&self, prompt: &str) -> bool {
        match self {
            Self::Contains(words) => prompt.contains(words.as_str()),
            Self::Matches(pattern) => pattern.is_match(prompt),
        }
    }
}

impl ScriptedCall {
    /// Whether the tool did its work.
    pub(super) fn was_done(&self, told: &Told) -> bool {
        let looks_done = match self.returns {
            Returns::Text => true,
            Returns::Json => serde_json::from_str::<Value>(&told.text)
                .is_ok_and(|value| value.is_object() || value.is_array()),
        };
        looks_done && !told.failed
    }
}

impl Case {
    pub(super) fn applies(&self, results: &[&str]) -> bool {
        let number = self.value.value(results).and_then(|value| value.as_f64());
        number.is_some_and(|number| match self.limit {
            Limit::Above(limit) => number > limit,
            Limit::Below(limit) => number < limit,
        })
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be played", self.name)?;
        for (number, mistake) in self.mistakes.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "; " })?;
            match mistake.line {
                0 => f.write_str(&mistake.what)?,
                line => write!(f, "line {line}: {}", mistake.what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ScriptError {}

const BUILT_IN: &str = include_str!("built_in.yaml");

#[cfg(test)]
mod tests;
