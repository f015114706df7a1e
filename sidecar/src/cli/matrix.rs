//! The access matrix: who may do what, as a text that can be reviewed and compared. A change of
//! policies shows as changed cells.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::authz::{Policies, offer::Offer};

/// Everything that a caller can ask for, against the advertised scopes.
///
/// `yes` with any arguments, `some` with some or at some times, `-` with none: for somebody with no
/// scope, for somebody with all, and alone with each scope with which that differs from none.
pub(super) fn matrix(policies: &Policies, offer: &Offer) -> String {
    let scopes = policies.advertised_scopes();
    let (none, all) = (BTreeSet::new(), scopes.iter().cloned().collect());
    let rows: Vec<[String; 4]> = policies
        .reaches(offer)
        .into_iter()
        .map(|reach| {
            let without = policies.cell(&reach, &none);
            let alone = scopes.iter().filter_map(|scope| {
                let cell = policies.cell(&reach, &BTreeSet::from([scope.clone()]));
                (cell != without).then(|| format!("{scope} {cell}"))
            });
            let alone = alone.collect::<Vec<_>>().join(", ");
            [reach.to_string(), without.to_owned(), policies.cell(&reach, &all).to_owned(), alone]
        })
        .collect();
    written(&rows)
}

fn written(rows: &[[String; 4]]) -> String {
    let width = rows.iter().map(|[name, ..]| name.chars().count()).max().unwrap_or(0);
    let mut text = String::from(HEAD);
    let head = ["", "none", "all", "alone"].map(str::to_owned);
    for [name, none, all, alone] in [&head].into_iter().chain(rows) {
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _infallible = write!(line, "{name:width$}  {none:4}  {all:4}  {alone}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

const HEAD: &str = "\
# Who may do what, in no group: with no scope, with all advertised ones, and alone with each that
# makes a difference.
# yes: with any arguments · some: with some, or at some times · -: never
# Written by `cedargate test --write`, compared by `cedargate test`.

";
