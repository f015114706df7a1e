//! Policies of a neighbour's, translated into ours: one statement after the other, each carried over
//! whole or not at all, with the reason.
//!
//! A condition that is carried over holds for no more than it did there; where that cannot be had, it
//! is left, and said. Not so where the neighbour refuses a whole request because any policy errs
//! (ToolHive): another permit may permit it here.

mod agentcore;
mod cedar_text;
mod claims;
mod expression;
mod guards;
mod home;
mod inputs;
mod numbers;
mod parts;
mod split;
mod toolhive;
mod written;

use std::{collections::BTreeSet, path::Path};

use cedar_policy::Policy;
use serde::Serialize;
use serde_json::Value;

use super::{
    policies::{READER_STACK_BYTES, on_stack},
    source,
};
use expression::{as_argument, has_argument, word_between_stars};
pub(crate) use home::Home;
use inputs::Argument;
use parts::Parts;
use split::Piece;
use toolhive::{ToolHive, config::Configured};

/// Whose policies are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Neighbour {
    /// Stacklok's ToolHive: its authorization configuration, or a file of its policies
    ToolHive,
    /// Amazon Bedrock AgentCore: a file of its policies
    AgentCore,
}

/// What became of a file.
#[derive(Debug, Serialize)]
pub(crate) struct Imported {
    pub(crate) statements: Vec<Statement>,
    /// What else of the file has no place here.
    #[serde(rename = "notCarriedOver")]
    pub(crate) left: Vec<String>,
    /// What there is to do by hand.
    pub(crate) notes: Vec<String>,
    /// Groups in groups, for the entities file.
    pub(crate) entities: Vec<Value>,
    /// Whether everything carried over is valid by a schema.
    pub(crate) validated: bool,
}

/// What became of one statement.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Statement {
    /// Where it stands: `line 3`, `policies[2]`.
    pub(crate) place: String,
    pub(crate) first_line: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effect: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// What it says here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// Why it is not carried over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) notes: Vec<String>,
}

impl Imported {
    /// Whether nothing was left behind.
    pub(crate) fn is_whole(&self) -> bool {
        self.left.is_empty() && self.statements.iter().all(|one| one.policy.is_some())
    }

    /// Everything that was carried over, as a file.
    pub(crate) fn text(&self) -> String {
        let policies: Vec<&str> =
            self.statements.iter().filter_map(|one| one.policy.as_deref()).collect();
        policies.join("\n")
    }
}

/// Reads and translates a file.
///
/// Cedar's readers recurse, and so does all that walks what they read: it is done on a deep stack.
pub(crate) fn import(from: Neighbour, file: &Path, home: &Home) -> Result<Imported, String> {
    let text = source::bounded(file, source::MAX_FILE_BYTES).map_err(|problems| {
        problems.first().map_or_else(|| "cannot be read".to_owned(), ToString::to_string)
    })?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    on_stack(READER_STACK_BYTES, || imported(from, &name, &text, home))?
        .map_err(|what| format!("`{}` {what}", file.display()))
}

fn imported(from: Neighbour, name: &str, text: &str, home: &Home) -> Result<Imported, String> {
    let is_cedar = name.ends_with(".cedar") || from == Neighbour::AgentCore;
    let configured = match is_cedar {
        true => Configured { policies: vec![text.to_owned()], ..Configured::default() },
        false => Configured::read(text)?,
    };
    let pieces = configured.policies.iter().enumerate().flat_map(|(at, text)| {
        let several = !is_cedar;
        split::pieces(text).into_iter().map(move |piece| (piece, several.then_some(at)))
    });
    let pieces: Vec<(Piece<'_>, Option<usize>)> = pieces.collect();
    match pieces.len() {
        0 => return Err("holds no policy".to_owned()),
        count if count > MAX_STATEMENTS => {
            return Err(format!("holds {count} policies; at most {MAX_STATEMENTS} are read"));
        }
        _ => {}
    }
    let mut import =
        Import { from, toolhive: &configured.toolhive, name, home, taken: home.taken.clone() };
    let statements =
        pieces.iter().enumerate().map(|(at, (piece, list))| import.statement(piece, at + 1, *list));
    Ok(Imported {
        statements: statements.collect(),
        left: configured.left,
        notes: configured.notes,
        entities: configured.groups,
        validated: home.schema.is_some(),
    })
}

/// The translation of one file.
struct Import<'a> {
    from: Neighbour,
    toolhive: &'a ToolHive,
    name: &'a str,
    home: &'a Home,
    /// Ids that policies have already.
    taken: BTreeSet<String>,
}

impl Import<'_> {
    fn statement(&mut self, piece: &Piece<'_>, number: usize, list: Option<usize>) -> Statement {
        let place = match (list, piece.line) {
            (None, line) => format!("line {line}"),
            (Some(at), 1) => format!("policies[{at}]"),
            (Some(at), line) => format!("policies[{at}] line {line}"),
        };
        let first_line = piece.first_line();
        let mut statement = Statement {
            place,
            first_line,
            effect: piece.effect(),
            id: None,
            policy: None,
            reason: None,
            notes: Vec::new(),
        };
        match self.carried_over(piece, number, &mut statement) {
            Ok(policy) => statement.policy = Some(policy),
            Err(reason) => statement.reason = Some(one_line(&reason)),
        }
        statement
    }

    fn carried_over(
        &mut self,
        piece: &Piece<'_>,
        number: usize,
        statement: &mut Statement,
    ) -> Result<String, String> {
        if let Some((_, what)) = source::excess(piece.text, source::MAX_STATEMENT_BYTES) {
            return Err(what.to_owned());
        }
        if piece.could_be_deep() {
            return Err("has conditions in too many levels; split it".to_owned());
        }
        if let Some(clause) = piece.foreign_clause() {
            return Err(format!(
                "has a clause `{clause}`, which is no Cedar: nothing here decides by it"
            ));
        }
        let policy: Policy =
            piece.text.parse().map_err(|e: cedar_policy::ParseErrors| written::parse_error(&e))?;
        let foreign = Parts::of(&policy)?;
        statement.effect = Some(if foreign.forbids { "forbid" } else { "permit" });
        let mut scene = Scene { home: self.home, notes: Vec::new(), words: Vec::new() };
        let parts = self.translated(&foreign, &mut scene)?;
        let id = written::id(&policy, number, &self.taken);
        scene.notes.extend(written::dropped_annotations(&policy, &id));
        let text = written::text(&policy, &id, self.name, &parts)?;
        self.home.require_valid(&text)?;
        self.taken.insert(id.clone());
        statement.id = Some(id);
        statement.notes = scene.notes;
        let comments = piece.comments.iter().map(|line| format!("{line}\n"));
        Ok(comments.chain([text]).collect())
    }

    fn translated(&self, foreign: &Parts, scene: &mut Scene<'_>) -> Result<Parts, String> {
        let mut parts = match self.from {
            Neighbour::ToolHive => self.toolhive.translated(foreign, scene)?,
            Neighbour::AgentCore => agentcore::translated(foreign, scene)?,
        };
        if let Some(word) = guards::narrowed(&parts, &scene.words) {
            return Err(format!(
                "refuses by a part of the scopes' text, `*{word}*`; the whole word `{word}` would refuse less"
            ));
        }
        let ids: Option<Vec<String>> =
            parts.action_ids().map(|ids| ids.into_iter().map(str::to_owned).collect());
        let type_of = |name: &str| scene.argument(ids.as_deref(), name)??.of;
        for clause in &mut parts.clauses {
            clause.body = numbers::suited(&clause.body, &type_of)?;
        }
        // ToolHive knows no schema, AgentCore has held its policies against one.
        let unsure = self.from == Neighbour::ToolHive;
        let needed = |expression: &Value| {
            let Some(name) = as_argument(expression) else {
                return guards::of_tag_or_hint(expression);
            };
            let optional = match scene.argument(ids.as_deref(), name) {
                None => unsure,
                Some(found) => found.is_some_and(|argument| !argument.required),
            };
            optional.then(|| has_argument(name))
        };
        if guards::add(&mut parts, &needed) {
            scene.note(
                "what it looks at may be absent, and then it refuses, as it does there".to_owned(),
            );
        }
        Ok(parts)
    }
}

/// Where a policy is translated to, and what is to be said of it.
struct Scene<'a> {
    home: &'a Home,
    notes: Vec<String>,
    /// Words that were looked for in the text of the scopes.
    words: Vec<String>,
}

impl Scene<'_> {
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Our name of the one server.
    fn server(&mut self, named: &str) -> String {
        match &self.home.server {
            Some(own) => {
                if own != named {
                    self.note(format!("the server `{named}` is the upstream `{own}` here"));
                }
                own.clone()
            }
            None => {
                self.note(format!(
                    "the server is called `{named}` still; write `upstream.name` of the configuration"
                ));
                named.to_owned()
            }
        }
    }

    /// Whether the scopes, as one text, look like something.
    fn scope_like(&mut self, pattern: &Value) -> Result<Value, String> {
        let word = word_between_stars(pattern).ok_or(
            "looks for a pattern in the text of the scopes; only one whole scope between two stars can be asked for here",
        )?;
        self.note(format!(
            "the scope `{word}` is asked for as a whole word now; `*{word}*` took longer ones too"
        ));
        let condition = claims::has_scope(&word);
        self.words.push(word);
        Ok(condition)
    }

    /// What a schema says of an argument; `None` without one.
    fn argument(&self, scope: Option<&[String]>, name: &str) -> Option<Option<Argument>> {
        let inputs = &self.home.schema.as_ref()?.inputs;
        let ids: Option<Vec<&str>> = scope.map(|ids| ids.iter().map(String::as_str).collect());
        Some(inputs.argument(ids.as_deref(), name))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Ten times what fits into a policy store of AgentCore's.
const MAX_STATEMENTS: usize = 10_000;

#[cfg(test)]
mod tests;
