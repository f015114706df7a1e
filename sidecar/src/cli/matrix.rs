//! The access matrix: who may do what, as a text that can be reviewed and compared. A change of
//! policies shows as changed cells.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::authz::{Policies, offer::Offer, tool_needs::Reach};

/// The matrix of everything that the server offers against every advertised scope.
///
/// `yes` with any arguments, `some` with some or at some times, `-` with none. One column for no
/// scope, one for each scope alone, one for all of them.
pub(super) fn matrix(policies: &Policies, offer: &Offer) -> String {
    let scopes = policies.advertised_scopes();
    let mut columns: Vec<(String, BTreeSet<String>)> = vec![("none".to_owned(), BTreeSet::new())];
    columns.extend(scopes.iter().map(|scope| (scope.clone(), BTreeSet::from([scope.clone()]))));
    columns.push(("all".to_owned(), scopes.iter().cloned().collect()));
    let rows: Vec<(String, Vec<&'static str>)> = policies
        .reaches(offer)
        .into_iter()
        .map(|reach: Reach| {
            let cells = columns.iter().map(|(_, scopes)| policies.cell(&reach, scopes)).collect();
            (reach.to_string(), cells)
        })
        .collect();
    written(&columns, &rows)
}

fn written(columns: &[(String, BTreeSet<String>)], rows: &[(String, Vec<&'static str>)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::from(HEAD);
    // Writing to a string cannot fail.
    let _infallible = write!(text, "{:width$}", "");
    for (title, _) in columns {
        let _infallible = write!(text, "  {title}");
    }
    text.push('\n');
    for (name, cells) in rows {
        let mut line = format!("{name:width$}");
        for (cell, (title, _)) in cells.iter().zip(columns) {
            let width = title.chars().count();
            let _infallible = write!(line, "  {cell:width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

const HEAD: &str = "\
# Who may do what: somebody in no group with no scope, with each alone, with all.
# yes: with any arguments · some: with some, or at some times · -: never
# Written by `cedargate test --write`, compared by `cedargate test`.

";
