//! How commands tell their results: to people, with colour where a terminal takes it, and to scripts.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::json;

use super::misused;
use crate::authz::PolicyError;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
pub(super) const STRONG: Style = Style::new().bold();
pub(super) const FAINT: Style = Style::new().dimmed();

/// Text in a style, which the stream takes off again where nobody would see it.
pub(super) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A value for scripts, on the standard output.
pub(super) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("cedargate: {error}"),
    }
}

/// Everything that is wrong with policies.
pub(super) fn policy_error(error: &PolicyError, as_json: bool) -> ExitCode {
    if as_json {
        json(&json!({ "problems": error.for_scripts() }));
    } else {
        anstream::eprintln!("{}", error.for_people(true));
        let count = error.count();
        let problems = if count == 1 { "problem" } else { "problems" };
        anstream::eprintln!(
            "\n{}",
            styled(BAD, format!("{count} {problems}; nothing of the set is in force"))
        );
    }
    misused()
}

/// An error that a command ends with.
pub(super) fn error(error: &dyn std::error::Error, as_json: bool) -> ExitCode {
    if as_json {
        json(&json!({ "problems": [{ "what": error.to_string() }] }));
    } else {
        anstream::eprintln!("{} {error}", styled(BAD, "cedargate:"));
    }
    misused()
}

/// The same, from words.
pub(super) fn fault(what: &str, as_json: bool) -> ExitCode {
    if as_json {
        json(&json!({ "problems": [{ "what": what }] }));
    } else {
        anstream::eprintln!("{} {what}", styled(BAD, "cedargate:"));
    }
    misused()
}

/// A table without lines, as wide as it needs to be.
pub(super) fn table(head: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head.iter().map(|title| title.to_uppercase()));
    table
}
