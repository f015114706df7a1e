//! Translated policies as text: with an id of their own, and in the form that the formatter gives.

use std::collections::BTreeSet;

use cedar_policy::{ParseErrors, Policy};
use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::{super::source, cedar_text, parts::Parts};

/// The policy's own id, if it can keep that.
pub(super) fn id(policy: &Policy, number: usize, taken: &BTreeSet<String>) -> String {
    let own =
        policy.annotation("id").filter(|id| source::is_kebab_case(id) && !taken.contains(*id));
    if let Some(own) = own {
        return own.to_owned();
    }
    let numbered = (number..).map(|number| format!("imported-{number}"));
    numbered.into_iter().find(|id| !taken.contains(id)).unwrap_or_default()
}

/// What is said of annotations that are not taken over.
pub(super) fn dropped_annotations(policy: &Policy, id: &str) -> Vec<String> {
    let mut all: Vec<(&str, &str)> = policy.annotations().collect();
    all.sort_unstable();
    let told = all.into_iter().filter_map(|(name, value)| match name {
        "description" => None,
        "id" if value == id => None,
        "id" => Some(format!(
            "its `@id({value:?})` is taken already or not in kebab-case: it is `{id}` here"
        )),
        // Even one that has a meaning here had none there.
        other => Some(format!("its annotation `@{other}` is dropped")),
    });
    told.collect()
}

/// The policy in its final form.
pub(super) fn text(
    foreign: &Policy,
    id: &str,
    file: &str,
    parts: &Parts,
) -> Result<String, String> {
    parts.require_shallow()?;
    let from = format!("imported from {file}");
    let description = foreign.annotation("description").filter(|text| !text.is_empty());
    let description = description.unwrap_or(&from);
    let body = cedar_text::written(parts)?;
    let plain = format!("@id({id:?})\n@description({description:?})\n{body}\n");
    let config = Config { line_width: LINE_WIDTH, indent_width: 2 };
    let text = policies_str_to_pretty(&plain, &config).unwrap_or(plain);
    match source::excess(&text, source::MAX_STATEMENT_BYTES) {
        None => Ok(text.trim().to_owned() + "\n"),
        Some((_, what)) => Err(format!("as translated, {what}")),
    }
}

pub(super) fn parse_error(errors: &ParseErrors) -> String {
    let first = errors.iter().next().map(ToString::to_string).unwrap_or_default();
    match first.contains("unexpected end of input") {
        true => "is no Cedar policy: unexpected end of input; a policy ends with `;`".to_owned(),
        false => format!("is no Cedar policy: {first}"),
    }
}

const LINE_WIDTH: usize = 100;
