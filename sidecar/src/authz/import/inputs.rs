//! What the schema says of the arguments of tools and prompts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::shape::{TypeNames, cedar_name};

/// The arguments of every action that has some.
#[derive(Debug, Clone, Default)]
pub(super) struct Inputs(BTreeMap<String, Action>);

#[derive(Debug, Clone)]
struct Action {
    groups: BTreeSet<String>,
    arguments: BTreeMap<String, Argument>,
}

/// An argument of one action, or of several together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    /// The type that it has everywhere; `None` when that differs.
    pub(super) of: Option<String>,
    pub(super) required: bool,
}

impl Inputs {
    /// Out of a schema's namespace in Cedar's JSON form.
    pub(super) fn of(namespace: &Value) -> Self {
        let names = TypeNames::of(namespace);
        let actions = namespace.get("actions").and_then(Value::as_object).into_iter().flatten();
        let with_input = actions.filter_map(|(id, action)| {
            let context = names.members(action.pointer("/appliesTo/context")?).ok()?;
            let (_, input) = context.into_iter().find(|(name, _)| *name == "input")?;
            let argument = |(name, definition): (&str, &Value)| {
                let of = cedar_name(&names, definition).ok().map(str::to_owned);
                let required = definition.get("required") != Some(&Value::Bool(false));
                (name.to_owned(), Argument { of, required })
            };
            let arguments = names.members(input).ok()?.into_iter().map(argument).collect();
            let groups = action.get("memberOf").and_then(Value::as_array).into_iter().flatten();
            let groups = groups.filter_map(|group| group.get("id")?.as_str().map(str::to_owned));
            Some((id.clone(), Action { groups: groups.collect(), arguments }))
        });
        Self(with_input.collect())
    }

    /// An argument of all actions that a scope admits; `None` when none of them has it.
    pub(super) fn argument(&self, scope: Option<&[&str]>, name: &str) -> Option<Argument> {
        let admits = |id: &str, action: &Action| {
            scope.is_none_or(|ids| ids.iter().any(|one| *one == id || action.groups.contains(*one)))
        };
        let admitted = self.0.iter().filter(|(id, action)| admits(id, action));
        let found: Vec<Option<&Argument>> =
            admitted.map(|(_, action)| action.arguments.get(name)).collect();
        let mut having = found.iter().flatten();
        let first = having.next()?;
        let same = having.all(|other| other.of == first.of);
        let required = found.iter().all(|one| one.is_some_and(|argument| argument.required));
        Some(Argument { of: first.of.clone().filter(|_| same), required })
    }
}

impl Argument {
    /// Whether it is one text, number or truth value.
    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.of.as_deref(), Some("String" | "Long" | "Bool" | "Boolean" | "decimal"))
    }
}
