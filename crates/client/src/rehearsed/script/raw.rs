//! Scripts as people write them. Everything that is wrong is told at once, each with its line.

use std::{sync::atomic::AtomicU32, time::Duration};

use axum::http::StatusCode;
use regex::RegexBuilder;
use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::{
    Case, Cue, Limit, Mistake, Part, Returns, Script, ScriptedCall, Step,
    template::{Quote, Quotes, Template},
};
use crate::rehearsed::{
    fault::{End, Fault, Manner},
    wire::Wire,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScript {
    parts: Vec<Spanned<RawPart>>,
    otherwise: Option<Spanned<String>>,
    #[serde(default)]
    faults: Vec<Spanned<RawFault>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    cue: Option<String>,
    cue_regex: Option<Spanned<String>>,
    #[serde(default)]
    steps: Vec<Spanned<RawStep>>,
    #[serde(default)]
    close_if: Vec<Spanned<RawCase>>,
    close: Spanned<String>,
    otherwise: Option<Spanned<String>>,
    #[serde(default)]
    stubborn: bool,
    #[serde(default)]
    faults: Vec<Spanned<RawFault>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    say: Option<Spanned<String>>,
    call: Vec<Spanned<RawCall>>,
    repeat: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCall {
    tool: String,
    arguments: Option<Map<String, Value>>,
    raw_arguments: Option<String>,
    #[serde(default)]
    returns: RawReturns,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum RawReturns {
    #[default]
    Json,
    Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    value: Spanned<String>,
    above: Option<f64>,
    below: Option<f64>,
    say: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFault {
    wire: Option<Wire>,
    times: Option<u32>,
    delay: Option<String>,
    pause: Option<String>,
    status: Option<u16>,
    retry_after: Option<String>,
    #[serde(default)]
    unauthorized: bool,
    #[serde(default)]
    garbage: bool,
    break_off_after: Option<usize>,
    end_after: Option<usize>,
    fail_after: Option<usize>,
}

/// Reads a script, or says everything that is wrong with it.
pub(super) fn read(text: &str) -> Result<Script, Vec<Mistake>> {
    if text.len() > LARGEST {
        return Err(vec![Mistake { line: 0, what: "it is larger than 1 MiB".to_owned() }]);
    }
    let raw: RawScript = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        let what = error.without_snippet().to_string();
        vec![Mistake { line, what: what.lines().next().unwrap_or_default().to_owned() }]
    })?;
    let mut reading = Reading::default();
    let script = Script {
        parts: raw.parts.into_iter().map(|part| reading.part(part)).collect(),
        otherwise: match raw.otherwise {
            Some(text) => reading.template(&text, Quotes::Nothing),
            None => reading.own(UNREHEARSED, Quotes::Nothing),
        },
        faults: reading.faults(raw.faults),
    };
    if script.parts.is_empty() {
        reading.complain(0, "`parts` is empty");
    }
    if reading.mistakes.is_empty() { Ok(script) } else { Err(reading.mistakes) }
}

/// What was wrong so far.
#[derive(Default)]
struct Reading {
    mistakes: Vec<Mistake>,
}

impl Reading {
    fn complain(&mut self, line: u64, what: impl Into<String>) {
        self.mistakes.push(Mistake { line, what: what.into() });
    }

    fn part(&mut self, part: Spanned<RawPart>) -> Part {
        let (line, part) = (part.referenced.line(), part.value);
        let cue = match (part.cue, part.cue_regex) {
            (Some(words), None) if !words.is_empty() => Cue::Contains(words),
            (None, Some(pattern)) => self.pattern(&pattern),
            _ => {
                self.complain(line, "a part has either a `cue` or a `cue_regex`, not empty");
                Cue::Contains(String::new())
            }
        };
        let quotes = if part.steps.is_empty() { Quotes::Nothing } else { Quotes::Results };
        Part {
            cue,
            steps: part.steps.into_iter().map(|step| self.step(step)).collect(),
            cases: part.close_if.into_iter().filter_map(|case| self.case(case)).collect(),
            close: self.template(&part.close, quotes),
            otherwise: match part.otherwise {
                Some(text) => self.template(&text, Quotes::ResultsAndProblem),
                None => self.own(NOT_DONE, Quotes::ResultsAndProblem),
            },
            stubborn: part.stubborn,
            faults: self.faults(part.faults),
        }
    }

    fn pattern(&mut self, pattern: &Spanned<String>) -> Cue {
        match RegexBuilder::new(&pattern.value).size_limit(LARGEST).build() {
            Ok(pattern) => Cue::Matches(pattern),
            Err(error) => {
                let what = error.to_string();
                let what = what.lines().last().unwrap_or_default().trim();
                self.complain(pattern.referenced.line(), format!("`cue_regex`: {what}"));
                Cue::Contains(String::new())
            }
        }
    }

    fn step(&mut self, step: Spanned<RawStep>) -> Step {
        let (line, step) = (step.referenced.line(), step.value);
        if step.call.is_empty() {
            self.complain(line, "a step calls at least one tool; last words are `close`");
        }
        let repeat = step.repeat.unwrap_or(1);
        if !(1..=MOST_REPEATS).contains(&repeat) {
            self.complain(line, format!("`repeat` is from 1 to {MOST_REPEATS}"));
        }
        Step {
            say: step.say.map(|text| self.template(&text, Quotes::Results)),
            calls: step.call.into_iter().map(|call| self.call(call)).collect(),
            repeat,
        }
    }

    fn call(&mut self, call: Spanned<RawCall>) -> ScriptedCall {
        let (line, call) = (call.referenced.line(), call.value);
        let arguments = match (call.arguments, call.raw_arguments) {
            (Some(arguments), None) => Value::Object(arguments).to_string(),
            (None, Some(text)) => text,
            _ => {
                self.complain(line, "a call has either `arguments` or `raw_arguments`");
                String::new()
            }
        };
        let returns = match call.returns {
            RawReturns::Json => Returns::Json,
            RawReturns::Text => Returns::Text,
        };
        ScriptedCall { tool: call.tool, arguments, returns }
    }

    fn case(&mut self, case: Spanned<RawCase>) -> Option<Case> {
        let (line, case) = (case.referenced.line(), case.value);
        let limit = match (case.above, case.below) {
            (Some(limit), None) => Some(Limit::Above(limit)),
            (None, Some(limit)) => Some(Limit::Below(limit)),
            _ => {
                self.complain(line, "a condition has either `above` or `below`");
                None
            }
        };
        let value = Quote::read(&case.value.value);
        if value.is_none() {
            let what = "`value` is a place in a result, such as `result.calculation.total`";
            self.complain(case.value.referenced.line(), what);
        }
        let say = self.template(&case.say, Quotes::Results);
        Some(Case { value: value?, limit: limit?, say })
    }

    fn template(&mut self, text: &Spanned<String>, quotes: Quotes) -> Template {
        Template::read(&text.value, quotes).unwrap_or_else(|what| {
            self.complain(text.referenced.line(), what);
            Template::default()
        })
    }

    /// A template of ours.
    fn own(&mut self, text: &str, quotes: Quotes) -> Template {
        Template::read(text, quotes).unwrap_or_default()
    }

    fn faults(&mut self, faults: Vec<Spanned<RawFault>>) -> Vec<Fault> {
        faults.into_iter().map(|fault| self.fault(fault)).collect()
    }

    fn fault(&mut self, fault: Spanned<RawFault>) -> Fault {
        let (line, fault) = (fault.referenced.line(), fault.value);
        let retry_after = fault.retry_after.as_deref();
        let retry_after = retry_after.map(|text| self.duration(line, "retry_after", text));
        if retry_after.is_some() && fault.status.is_none() {
            self.complain(line, "`retry_after` comes with a `status`");
        }
        let ends = [
            fault.status.map(|status| self.status(line, status, retry_after)),
            fault.unauthorized.then_some(End::Unauthorized),
            fault.garbage.then_some(End::Garbage),
            fault.break_off_after.map(End::BrokenOff),
            fault.end_after.map(End::Short),
            fault.fail_after.map(End::Failed),
        ];
        let mut ends = ends.into_iter().flatten();
        let end = ends.next();
        if ends.next().is_some() {
            self.complain(line, "a fault fails in one way; write two of them");
        }
        if end.is_none() && fault.delay.is_none() && fault.pause.is_none() {
            self.complain(line, "a fault says what goes wrong");
        }
        let mut duration = |key, text: Option<String>| {
            text.map(|text| self.duration(line, key, &text)).unwrap_or_default()
        };
        let manner = Manner {
            delay: duration("delay", fault.delay),
            pause: duration("pause", fault.pause),
            end: end.unwrap_or_default(),
        };
        Fault { wire: fault.wire, times: fault.times, manner, met: AtomicU32::new(0) }
    }

    fn status(&mut self, line: u64, status: u16, retry_after: Option<Duration>) -> End {
        let known = StatusCode::from_u16(status).ok();
        let Some(status) = known.filter(|s| s.is_client_error() || s.is_server_error()) else {
            self.complain(line, "`status` is from 400 to 599");
            return End::Well;
        };
        End::Status { status, retry_after }
    }

    fn duration(&mut self, line: u64, key: &str, text: &str) -> Duration {
        match humantime::parse_duration(text) {
            Ok(duration) if duration <= LONGEST_WAIT => duration,
            Ok(_) => {
                self.complain(line, format!("`{key}` is at most one hour"));
                Duration::ZERO
            }
            Err(error) => {
                self.complain(line, format!("`{key}`: {error}"));
                Duration::ZERO
            }
        }
    }
}

/// Said when no part has a cue for what the user says.
const UNREHEARSED: &str = "I have rehearsed no answer to this.";
/// Said when a part has no words for it.
const NOT_DONE: &str = "The tool did not do it: {problem}";
/// Of a script in bytes, and of a compiled pattern.
const LARGEST: usize = 1024 * 1024;
/// More turns than any client should take.
const MOST_REPEATS: usize = 1000;
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
