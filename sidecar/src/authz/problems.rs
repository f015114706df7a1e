//! What is wrong with policies and with what belongs to them: where, what, and what to do.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use miette::Diagnostic;
use serde::Serialize;

/// Why policies cannot be used. The whole set is refused; nothing of it is in force.
#[derive(Debug)]
pub struct PolicyError {
    // INVARIANT (some-problem): there is at least one.
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    file: PathBuf,
    place: Option<Place>,
    what: String,
    help: Option<String>,
}

/// A stretch of a file.
#[derive(Debug, Clone)]
struct Place {
    text: Arc<str>,
    bytes: Range<usize>,
}

/// The same for scripts.
#[derive(Debug, Serialize)]
pub(crate) struct ProblemReport {
    file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl PolicyError {
    pub(super) fn new(file: &Path, what: impl fmt::Display) -> Self {
        Problem::new(file, what).into()
    }

    /// Every problem as people read it: the place with the line it stands on and what is meant in it.
    pub(crate) fn for_people(&self, styled: bool) -> String {
        let reports: Vec<String> = self.problems.iter().map(|p| p.for_people(styled)).collect();
        reports.join("\n\n")
    }

    pub(crate) fn for_scripts(&self) -> Vec<ProblemReport> {
        self.problems.iter().map(Problem::for_scripts).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.problems.len()
    }
}

impl From<Problem> for PolicyError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

/// All problems together; `Ok` when there are none.
pub(super) fn none_of(mut problems: Vec<Problem>) -> Result<(), PolicyError> {
    problems.sort_by(|a, b| (&a.file, a.position()).cmp(&(&b.file, b.position())));
    if problems.is_empty() { Ok(()) } else { Err(PolicyError { problems }) }
}

impl From<Vec<Problem>> for PolicyError {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}

impl From<PolicyError> for Vec<Problem> {
    fn from(error: PolicyError) -> Self {
        error.problems
    }
}

impl fmt::Display for PolicyError {
    /// In one line, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.problems.first() else { return Ok(()) };
        first.fmt(f)?;
        match self.problems.len() {
            1 => Ok(()),
            several => write!(f, " (and {} more; `cedargate check` shows all)", several - 1),
        }
    }
}

impl std::error::Error for PolicyError {}

impl Problem {
    pub(super) fn new(file: &Path, what: impl fmt::Display) -> Self {
        let what = one_line(&what.to_string());
        Self { file: file.to_owned(), place: None, what, help: None }
    }

    /// A complaint of Cedar's, with the place that it points at.
    pub(super) fn of_cedar(file: &Path, text: &Arc<str>, complaint: &dyn Diagnostic) -> Self {
        let label = complaint.labels().and_then(|mut labels| labels.next());
        let mut problem = Self::new(file, complaint);
        if let Some(label) = label {
            problem = problem.at(text, label.offset()..label.offset() + label.len());
            let what = label.label().map(one_line).filter(|what| !problem.what.contains(what));
            if let Some(what) = what {
                problem.what = format!("{}: {what}", problem.what);
            }
        }
        problem.help = complaint.help().map(|help| one_line(&help.to_string()));
        problem
    }

    pub(super) fn at(mut self, text: &Arc<str>, bytes: Range<usize>) -> Self {
        let start = text.floor_char_boundary(bytes.start);
        let end = text.ceil_char_boundary(bytes.end.max(start));
        self.place = Some(Place { text: Arc::clone(text), bytes: start..end });
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, if nobody has said yet what to do.
    pub(super) fn or_help(self, help: impl FnOnce(&str) -> Option<String>) -> Self {
        match &self.help {
            Some(_) => self,
            None => Self { help: help(&self.what), ..self },
        }
    }

    pub(super) fn says(&self, words: &str) -> bool {
        self.what.contains(words)
    }

    fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(Place::line_and_column)
    }

    fn for_scripts(&self) -> ProblemReport {
        let (line, column) = self.position().unzip();
        let (what, help) = (self.what.clone(), self.help.clone());
        ProblemReport { file: self.file.clone(), line, column, what, help }
    }

    fn for_people(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let file = self.file.display().to_string();
        let title = Level::ERROR.primary_title(&*self.what);
        let mut group = match &self.place {
            Some(Place { text, bytes }) => {
                let marked = AnnotationKind::Primary.span(bytes.clone());
                title.element(Snippet::source(&**text).path(&*file).annotation(marked))
            }
            None => title.element(annotate_snippets::Origin::path(&*file)),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(&**help));
        }
        let groups: [Group<'_>; 1] = [group];
        renderer.render(&groups)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}", self.file.display())?;
        if let Some((line, column)) = self.position() {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, "`: {}", self.what)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

impl Place {
    /// Both from 1; columns are characters.
    fn line_and_column(&self) -> (usize, usize) {
        let before = self.text.get(..self.bytes.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
