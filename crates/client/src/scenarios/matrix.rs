//! What came of it: a table for people, JUnit for machines that run tests, JSON for the rest.

use std::{fmt, time::Duration};

use comfy_table::{Table, presets};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use crate::{agent::event::Verdict, model::ModelName};

/// All cells, scenario by scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Matrix {
    /// The columns.
    pub models: Vec<ModelName>,
    /// Each scenario with each model.
    pub cells: Vec<Cell>,
}

/// A scenario with a model.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    /// Which scenario.
    pub scenario: String,
    /// With which model.
    pub model: ModelName,
    /// What was decided on its calls.
    pub decided: Vec<Decided>,
    /// Its last word.
    pub answer: String,
    /// What was not as it should be.
    pub problems: Vec<String>,
    /// From the question to the answer.
    #[serde(with = "humantime_serde")]
    pub took: Duration,
}

/// A call and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// The tool, by its name at the server.
    pub tool: String,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Matrix {
    pub(super) fn new(models: Vec<ModelName>) -> Self {
        Self { models, cells: Vec::new() }
    }

    pub(super) fn first_of(&self, scenario: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.scenario == scenario)
    }

    /// Whether everything was as it should be.
    pub fn is_as_it_should_be(&self) -> bool {
        self.cells.iter().all(|cell| cell.problems.is_empty())
    }

    /// Scenarios down, models across.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let models = self.models.iter().map(ToString::to_string);
        table.set_header(std::iter::once("scenario".to_owned()).chain(models));
        for row in self.cells.chunks(self.models.len().max(1)) {
            let name = row.first().map(|cell| cell.scenario.clone()).unwrap_or_default();
            let cells = row.iter().map(Cell::in_short);
            table.add_row(std::iter::once(name).chain(cells));
        }
        table
    }

    /// As JUnit XML: a suite for each model.
    pub fn junit(&self) -> Result<String, quick_junit::SerializeError> {
        let mut report = Report::new("cedargate-chat scenarios");
        for model in &self.models {
            let mut suite = TestSuite::new(model.to_string());
            for cell in self.cells.iter().filter(|cell| cell.model == *model) {
                let status = if cell.problems.is_empty() {
                    TestCaseStatus::success()
                } else {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(cell.problems.join("; "));
                    status
                };
                let mut case = TestCase::new(cell.scenario.clone(), status);
                case.set_time(cell.took);
                suite.add_test_case(case);
            }
            report.add_test_suite(suite);
        }
        report.to_string()
    }
}

impl Cell {
    pub(super) fn of(scenario: &str, model: &ModelName) -> Self {
        Self {
            scenario: scenario.to_owned(),
            model: model.clone(),
            decided: Vec::new(),
            answer: String::new(),
            problems: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// The same must have been decided with every model.
    pub(super) fn compare(&mut self, first: &Self) {
        if self.decided != first.decided {
            let [here, there] = [&self.decided, &first.decided].map(|calls| in_words(calls));
            let than = &first.model;
            self.problems
                .push(format!("decided otherwise than with {than}: {here}, there: {there}"));
        }
    }

    /// What was decided, in a few words.
    pub fn in_short(&self) -> String {
        let mark = if self.problems.is_empty() { "✓" } else { "✗" };
        format!("{mark} {}", in_words(&self.decided))
    }
}

fn in_words(calls: &[Decided]) -> String {
    if calls.is_empty() {
        return "no calls".to_owned();
    }
    calls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, verdict } = self;
        match verdict {
            Verdict::Done => write!(f, "{tool} done"),
            Verdict::Failed => write!(f, "{tool} failed"),
            Verdict::Refused(reason) => write!(f, "{tool} refused ({reason})"),
            Verdict::NotSent(reason) => write!(f, "{tool} not sent ({reason})"),
            Verdict::Unknown(reason) => write!(f, "{tool} no answer ({reason})"),
        }
    }
}
