//! The same scenarios with every model: what was decided must be as the scenario says, and the same
//! whoever answered.

mod matrix;

use std::{fmt, time::Instant};

use serde::Deserialize;

use crate::{
    agent::{
        Agent,
        event::{Event, Verdict},
    },
    model::ModelName,
};
pub use matrix::{Cell, Decided, Matrix};

/// A file of scenarios.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenarios {
    /// In the order in which they are played.
    pub scenarios: Vec<Scenario>,
}

/// One scenario: what the person says, and what must come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called; no other is called the same.
    pub name: String,
    /// What the person says.
    pub ask: String,
    /// The calls that must be made and how they must end, in the order in which models make them;
    /// no others may be.
    #[serde(default)]
    pub calls: Vec<ExpectedCall>,
    /// What the answer must hold, whatever its case.
    #[serde(default)]
    pub answer_contains: Vec<String>,
}

/// A call and its end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedCall {
    /// The tool, by its name at the server.
    pub tool: String,
    /// How it ends.
    pub verdict: ExpectedVerdict,
    /// For which reason, such as `denied`; any when it is left out.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How a call must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedVerdict {
    /// The tool did its work.
    Done,
    /// The tool was called and failed.
    Failed,
    /// The gate or the server said no.
    Refused,
    /// It never left the client.
    NotSent,
    /// There was no answer.
    Unknown,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenariosError {
    /// It is not as it should be.
    #[error("`{file}`: {cause}")]
    Unreadable {
        /// Which file.
        file: String,
        /// Where and why.
        cause: String,
    },
    /// Nothing is to be played.
    #[error("`{0}` has no scenarios")]
    Empty(String),
    /// Reports could not tell them apart.
    #[error("`{file}` has two scenarios `{name}`")]
    SameName {
        /// Which file.
        file: String,
        /// Which name.
        name: String,
    },
}

impl Scenarios {
    /// Those of the demo.
    pub fn built_in() -> Result<Self, ScenariosError> {
        Self::from_yaml(include_str!("../scenarios/customers.yaml"), "customers.yaml")
    }

    /// Reads a file; `name` is what errors call it.
    pub fn from_yaml(text: &str, name: &str) -> Result<Self, ScenariosError> {
        let file: Self = serde_saphyr::from_str(text).map_err(|cause| {
            ScenariosError::Unreadable { file: name.to_owned(), cause: cause.to_string() }
        })?;
        if file.scenarios.is_empty() {
            return Err(ScenariosError::Empty(name.to_owned()));
        }
        for (number, scenario) in file.scenarios.iter().enumerate() {
            if file.scenarios.iter().take(number).any(|earlier| earlier.name == scenario.name) {
                let (file, name) = (name.to_owned(), scenario.name.clone());
                return Err(ScenariosError::SameName { file, name });
            }
        }
        Ok(file)
    }

    /// Plays every scenario with every model. `open` begins a conversation with a model under a
    /// token of its own, so that no scenario leaves the next one more than it should have.
    pub async fn play(
        &self,
        models: &[ModelName],
        open: impl AsyncFn(&ModelName) -> Result<Agent, String>,
        mut played: impl FnMut(&Cell),
    ) -> Matrix {
        let mut matrix = Matrix::new(models.to_vec());
        for scenario in &self.scenarios {
            for model in models {
                let mut cell = play_one(scenario, model, &open).await;
                if let Some(first) = matrix.first_of(&scenario.name) {
                    cell.compare(first);
                }
                played(&cell);
                matrix.cells.push(cell);
            }
        }
        matrix
    }
}

async fn play_one(
    scenario: &Scenario,
    model: &ModelName,
    open: &impl AsyncFn(&ModelName) -> Result<Agent, String>,
) -> Cell {
    let begun = Instant::now();
    let mut cell = Cell::of(&scenario.name, model);
    match open(model).await {
        Ok(mut agent) => {
            let mut events = Vec::new();
            let outcome = agent.answer(&scenario.ask, &mut |event| events.push(event)).await;
            agent.close().await;
            cell.decided = decided(&events);
            match outcome {
                Ok(report) => cell.answer = report.answer,
                Err(error) => cell.problems.push(error.to_string()),
            }
            scenario.judge(&mut cell);
        }
        Err(problem) => cell.problems.push(problem),
    }
    cell.took = begun.elapsed();
    cell
}

/// The calls in the order in which the model made them, and how each ended.
fn decided(events: &[Event]) -> Vec<Decided> {
    let ends = |id: &str| {
        events.iter().find_map(|event| match event {
            Event::Called { id: of, verdict, .. } if of == id => Some(verdict.clone()),
            _ => None,
        })
    };
    let calls = events.iter().filter_map(|event| match event {
        Event::Calling { id, tool, .. } => Some(Decided {
            tool: tool.clone(),
            verdict: ends(id).unwrap_or_else(|| Verdict::Unknown("stopped".to_owned())),
        }),
        _ => None,
    });
    calls.collect()
}

impl Scenario {
    fn judge(&self, cell: &mut Cell) {
        let as_expected = self.calls.len() == cell.decided.len()
            && self.calls.iter().zip(&cell.decided).all(|(wanted, made)| wanted.is(made));
        if !as_expected {
            let wanted: Vec<_> = self.calls.iter().map(ToString::to_string).collect();
            let made: Vec<_> = cell.decided.iter().map(ToString::to_string).collect();
            cell.problems.push(format!("calls: {}; expected: {}", list(&made), list(&wanted)));
        }
        let answer = cell.answer.to_lowercase();
        for part in &self.answer_contains {
            if !answer.contains(&part.to_lowercase()) {
                cell.problems.push(format!("the answer does not hold `{part}`"));
            }
        }
    }
}

fn list(calls: &[String]) -> String {
    if calls.is_empty() { "none".to_owned() } else { calls.join(", ") }
}

impl ExpectedCall {
    fn is(&self, made: &Decided) -> bool {
        let (verdict, reason) = match &made.verdict {
            Verdict::Done => (ExpectedVerdict::Done, None),
            Verdict::Failed => (ExpectedVerdict::Failed, None),
            Verdict::Refused(reason) => (ExpectedVerdict::Refused, Some(reason)),
            Verdict::NotSent(reason) => (ExpectedVerdict::NotSent, Some(reason)),
            Verdict::Unknown(reason) => (ExpectedVerdict::Unknown, Some(reason)),
        };
        let for_that_reason = self.reason.is_none() || self.reason.as_ref() == reason;
        self.tool == made.tool && self.verdict == verdict && for_that_reason
    }
}

impl fmt::Display for ExpectedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            ExpectedVerdict::Done => "done",
            ExpectedVerdict::Failed => "failed",
            ExpectedVerdict::Refused => "refused",
            ExpectedVerdict::NotSent => "not sent",
            ExpectedVerdict::Unknown => "no answer",
        };
        write!(f, "{} {verdict}", self.tool)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, " ({reason})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_scenarios_can_be_read() {
        assert_eq!(Scenarios::built_in().unwrap().scenarios.len(), 4);
        let arbitrage = include_str!("../scenarios/arbitrage.yaml");
        assert_eq!(Scenarios::from_yaml(arbitrage, "arbitrage.yaml").unwrap().scenarios.len(), 3);
    }

    #[test]
    fn a_file_that_cannot_be_played_says_where_it_is_wrong() {
        for (text, part) in [
            ("scenarios: []", "has no scenarios"),
            ("scenarios:\n  - name: a\n    ask: b\n    cals: []", "cals"),
            ("scenarios:\n  - {name: a, ask: b}\n  - {name: a, ask: c}", "two scenarios `a`"),
            ("scenarios:\n  - {name: a, ask: b, calls: [{tool: t, verdict: maybe}]}", "maybe"),
        ] {
            let error = Scenarios::from_yaml(text, "file").unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_differs_from_the_scenario_or_from_the_first_model_is_a_problem() {
        let scenario: Scenario = serde_saphyr::from_str(
            "{name: s, ask: a, calls: [{tool: t, verdict: refused, reason: denied}], answer_contains: [No]}",
        )
        .unwrap();
        let cell = |model: &str, verdict, answer: &str| {
            let mut cell = Cell::of("s", &model.parse().unwrap());
            cell.decided = vec![Decided { tool: "t".to_owned(), verdict }];
            cell.answer = answer.to_owned();
            scenario.judge(&mut cell);
            cell
        };
        let denied = || Verdict::Refused("denied".to_owned());
        let first = cell("a/1", denied(), "no.");
        assert!(first.problems.is_empty(), "{first:?}");
        let mut other = cell("b/1", Verdict::Done, "yes");
        other.compare(&first);
        assert_eq!(
            other.problems,
            [
                "calls: t done; expected: t refused (denied)",
                "the answer does not hold `No`",
                "decided otherwise than with a/1: t done, there: t refused (denied)",
            ]
        );
        let limited = Verdict::Refused("rate-limited".to_owned());
        assert_eq!(cell("a/1", limited, "no").problems.len(), 1, "the reason counts");
    }
}
