//! What the rehearsed model is asked, in neither provider's words.

/// A request for a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) said: Vec<Said>,
    /// The tools, by name.
    pub(super) offered: Vec<String>,
    pub(super) choice: ToolChoice,
    /// Whether several tools may be called in one turn.
    pub(super) parallel: bool,
    /// How many pieces the turn may have.
    pub(super) longest: Option<u64>,
    pub(super) stream: Option<Streaming>,
}

/// How a turn is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Streaming {
    /// Whether the last chunk tells the usage (OpenAI alone asks).
    pub(super) with_usage: bool,
}

/// Something said in the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Instructions(String),
    User(String),
    /// Words, and the ids of the calls.
    Assistant(String, Vec<String>),
    Result(Told),
}

/// What became of a call, as the model is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) text: String,
    /// Whether it is marked as a failure; only Anthropic's wire has such a mark.
    pub(super) failed: bool,
}

/// Whether the turn has to call a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    None,
    Any,
    Tool(String),
}

/// What was said since the user last spoke.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) prompt: &'a str,
    /// How many tools were called.
    pub(super) calls: usize,
    /// What became of them, in order.
    pub(super) results: Vec<&'a Told>,
}

impl Asked {
    /// The exchange that is under way.
    pub(super) fn exchange(&self) -> Exchange<'_> {
        let mut exchange = Exchange { prompt: "", calls: 0, results: Vec::new() };
        for said in &self.said {
            match said {
                Said::Instructions(_) => {}
                Said::User(prompt) => {
                    exchange = Exchange { prompt, calls: 0, results: Vec::new() };
                }
                Said::Assistant(_, calls) => exchange.calls += calls.len(),
                Said::Result(told) => exchange.results.push(told),
            }
        }
        exchange
    }

    /// Which turn of the conversation it is, from 1.
    pub(super) fn turn_number(&self) -> usize {
        self.said.iter().filter(|said| matches!(said, Said::Assistant(..))).count() + 1
    }

    /// Ids of the calls so far.
    pub(super) fn call_ids(&self) -> impl Iterator<Item = &str> {
        self.said.iter().flat_map(|said| match said {
            Said::Assistant(_, calls) => calls.iter().map(String::as_str),
            _ => [].iter().map(String::as_str),
        })
    }

    /// What it costs to read, in tokens of four bytes.
    pub(super) fn tokens(&self) -> u64 {
        let text = |said: &Said| match said {
            Said::Instructions(text) | Said::User(text) | Said::Assistant(text, _) => text.len(),
            Said::Result(told) => told.text.len(),
        };
        self.said.iter().map(|said| text(said).div_ceil(4) as u64).sum()
    }
}
