//! The turn that a script gives to what was said so far. Nothing is remembered between requests:
//! the conversation itself tells how far the script has been played.

use super::{
    asked::{Asked, Exchange, Told, ToolChoice},
    fault::{self, Manner},
    pieces,
    script::{Part, Script, ScriptedCall, Step},
    wire::Wire,
};
use crate::model::Call;

/// A turn of the rehearsed model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) text: String,
    /// Their ids are numbers, to which each wire puts its own prefix.
    pub(super) calls: Vec<Call>,
    /// Whether it was cut because no more was asked for.
    pub(super) cut: bool,
}

impl Script {
    /// How the answer to `asked` is given.
    pub(super) fn manner(&self, asked: &Asked, wire: Wire) -> Manner {
        let part = self.part(asked.exchange().prompt);
        fault::next(self.faults.iter().chain(part.into_iter().flat_map(|part| &part.faults)), wire)
    }

    /// How everything is answered, the list of models included.
    pub(super) fn manner_of_all(&self, wire: Wire) -> Manner {
        fault::next(&self.faults, wire)
    }

    /// The turn that comes next.
    pub(super) fn turn(&self, asked: &Asked) -> Turn {
        let exchange = asked.exchange();
        let mut turn = match self.part(exchange.prompt) {
            Some(part) => part.turn(asked, &exchange),
            None => Turn::saying(self.otherwise.fill(&[], "")),
        };
        turn.obey(asked);
        turn.number(asked);
        turn.shorten(asked.longest);
        turn
    }

    fn part(&self, prompt: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.cue.is_given_in(prompt))
    }
}

impl Part {
    fn turn(&self, asked: &Asked, exchange: &Exchange<'_>) -> Turn {
        let results = self.results_before(exchange);
        let texts: Vec<&str> = results.iter().map(|told| told.text.as_str()).collect();
        let otherwise = |problem: &str| Turn::saying(self.otherwise.fill(&texts, problem));
        if !self.stubborn
            && let Some(refusal) = self.refusal(exchange, &results)
        {
            return otherwise(&refusal.text);
        }
        let Some((step, done)) = self.step(exchange.calls) else {
            let case = self.cases.iter().find(|case| case.applies(&texts));
            let close = case.map_or(&self.close, |case| &case.say);
            return Turn::saying(close.fill(&texts, ""));
        };
        let calls = step.calls.iter().skip(done).take(if asked.parallel { usize::MAX } else { 1 });
        let offered =
            |call: &&ScriptedCall| asked.choice != ToolChoice::None && asked.offers(&call.tool);
        let calls: Vec<&ScriptedCall> = calls.collect();
        if let Some(missing) = calls.iter().find(|call| !offered(call)) {
            return otherwise(&format!("the tool `{}` was not offered", missing.tool));
        }
        let text = step.say.as_ref().filter(|_| done == 0);
        Turn {
            text: text.map(|text| text.fill(&texts, "")).unwrap_or_default(),
            calls: calls.into_iter().map(ScriptedCall::made).collect(),
            cut: false,
        }
    }

    /// The step that follows so many calls, and how many of its own are made already.
    fn step(&self, mut calls: usize) -> Option<(&Step, usize)> {
        for step in &self.steps {
            let whole = step.calls.len() * step.repeat;
            if calls < whole {
                return Some((step, calls % step.calls.len().max(1)));
            }
            calls -= whole;
        }
        None
    }

    /// The step that was played last.
    fn step_before(&self, exchange: &Exchange<'_>) -> Option<&Step> {
        let played = exchange.calls.checked_sub(1)?;
        self.step(played).map(|(step, _)| step).or(self.steps.last())
    }

    /// What became of the calls of the step that was played last.
    fn results_before<'a>(&self, exchange: &Exchange<'a>) -> Vec<&'a Told> {
        let calls = self.step_before(exchange).map_or(0, |step| step.calls.len());
        let skipped = exchange.results.len().saturating_sub(calls);
        exchange.results.iter().skip(skipped).copied().collect()
    }

    fn refusal<'a>(&self, exchange: &Exchange<'_>, results: &[&'a Told]) -> Option<&'a Told> {
        let step = self.step_before(exchange)?;
        let mut told = step.calls.iter().zip(results);
        told.find(|(call, told)| !call.was_done(told)).map(|(_, told)| *told)
    }
}

impl ScriptedCall {
    fn made(&self) -> Call {
        let (tool, arguments) = (self.tool.clone(), self.arguments.clone());
        Call { id: String::new(), tool, arguments }
    }
}

impl Turn {
    fn saying(text: String) -> Self {
        Self { text, calls: Vec::new(), cut: false }
    }

    /// A provider keeps its word about `tool_choice`, whatever the model would rather do.
    fn obey(&mut self, asked: &Asked) {
        let wanted = match &asked.choice {
            ToolChoice::Auto | ToolChoice::None => return,
            ToolChoice::Any if !self.calls.is_empty() => return,
            ToolChoice::Any => asked.offered.first().cloned(),
            ToolChoice::Tool(name) => Some(name.clone()),
        };
        let Some(tool) = wanted else { return };
        self.calls.retain(|call| call.tool == tool);
        if self.calls.is_empty() {
            self.text.clear();
            self.calls.push(Call { id: String::new(), tool, arguments: "{}".to_owned() });
        }
    }

    /// Ids that no call of the conversation has.
    fn number(&mut self, asked: &Asked) {
        let mut number = asked.call_ids().count();
        for call in &mut self.calls {
            number += 1;
            while asked.call_ids().any(|id| id.ends_with(&format!("_{number}"))) {
                number += 1;
            }
            call.id = number.to_string();
        }
    }

    fn shorten(&mut self, longest: Option<u64>) {
        let Some(longest) = longest.filter(|longest| self.tokens() > *longest) else { return };
        let mut left = usize::try_from(longest).unwrap_or(usize::MAX);
        let mut first = |pieces: Vec<&str>| {
            let kept = pieces.len().min(left);
            left -= kept;
            pieces.into_iter().take(kept).collect::<String>()
        };
        self.cut = true;
        self.text = first(pieces::of_text(&self.text));
        for call in &mut self.calls {
            call.arguments = first(pieces::of_arguments(&call.arguments));
        }
        self.calls.retain(|call| !call.arguments.is_empty());
    }

    /// How many pieces it has.
    pub(super) fn tokens(&self) -> u64 {
        let calls = self.calls.iter().map(|call| pieces::of_arguments(&call.arguments).len());
        (pieces::of_text(&self.text).len() + calls.sum::<usize>()) as u64
    }
}

impl Asked {
    fn offers(&self, tool: &str) -> bool {
        self.offered.iter().any(|offered| offered == tool)
    }
}
