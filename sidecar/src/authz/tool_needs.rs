//! What it takes to call a tool, whoever asks: for operators, who see all of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Policies,
    listing::{Prospect, Visibility},
    offer::Offer,
    subject::Principal,
    vocabulary::tool_action,
};
use crate::{
    message::{METHODS, Method, Target, TargetKind},
    rejection::Rejection,
};

/// What it takes to call a tool.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolNeeds {
    /// `never`, `conditionally` or `always`, for somebody with all scopes and in no group.
    pub(crate) callable: &'static str,
    pub(crate) scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) audit: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) redact: Vec<String>,
}

/// What it takes to call each of these tools.
pub(crate) fn needs_of<'a>(
    policies: &Policies,
    tools: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, ToolNeeds> {
    let of = |name: &str| policies.needs(name).unwrap_or_else(|_| ToolNeeds::none());
    tools.map(|name| (name.to_owned(), of(name))).collect()
}

impl ToolNeeds {
    fn none() -> Self {
        let callable = Visibility::Never.as_str();
        Self { callable, scopes: Vec::new(), rate_limit: None, audit: None, redact: Vec::new() }
    }
}

impl Policies {
    fn needs(&self, tool: &str) -> Result<ToolNeeds, Rejection> {
        let target = Target::Tool(tool);
        let action = Method::of_action("tools/call").and_then(|m| self.action(m, target));
        let Some(action) = action else { return Ok(ToolNeeds::none()) };
        let all: BTreeSet<String> = self.scopes_that_matter(action);
        let asked = self.asked(Principal::nobody(&all), action, target);
        let Some((scopes, prospect)) = self.scopes_to_see(&asked)? else {
            return Ok(ToolNeeds::none());
        };
        let Prospect { visibility, obligations } = prospect;
        Ok(ToolNeeds {
            callable: visibility.as_str(),
            scopes: scopes.into_iter().collect(),
            rate_limit: obligations.rate_limit.map(|limit| limit.to_string()),
            audit: obligations.audit.map(|level| level.as_str()),
            redact: obligations.redact.into_iter().collect(),
        })
    }

    /// What any permit on a tool keeps back of its results; nothing where there is no such tool.
    pub(crate) fn redactions_of(&self, tool: &str) -> Option<BTreeSet<String>> {
        let action = self.actions.get(&tool_action(tool))?;
        Some(action.obligations_of(action.obligations.keys().cloned()).redact)
    }
}

/// One row of the access matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    method: &'static str,
    target: Option<(&'static str, String)>,
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.target {
            Some((kind, name)) => write!(f, "{kind} {name}"),
            None => f.write_str(self.method),
        }
    }
}

impl Policies {
    /// Everything that a caller can ask for: methods, and what the server offers.
    pub(crate) fn reaches(&self, offer: &Offer) -> Vec<Reach> {
        let of = |method, kind, names: &mut dyn Iterator<Item = &String>| -> Vec<Reach> {
            names.map(|name| Reach { method, target: Some((kind, name.clone())) }).collect()
        };
        let mut all = of("tools/call", "tool", &mut offer.tools.keys());
        all.extend(of("prompts/get", "prompt", &mut offer.prompts.keys()));
        all.extend(of("resources/read", "resource", &mut offer.resources.keys()));
        let methods = METHODS.iter().filter(|method| method.target == TargetKind::Server);
        let mut methods: Vec<&'static str> = methods.map(|method| method.name).collect();
        methods.sort_unstable();
        let known = methods.into_iter().filter(|method| self.actions.contains_key(*method));
        all.extend(known.map(|method| Reach { method, target: None }));
        all
    }

    /// Whether somebody in no group may do this with these scopes.
    pub(crate) fn cell(&self, reach: &Reach, scopes: &BTreeSet<String>) -> &'static str {
        let target = match &reach.target {
            Some(("tool", name)) => Target::Tool(name),
            Some(("prompt", name)) => Target::Prompt(name),
            Some((_, uri)) => Target::Resource(uri),
            None => Target::Server,
        };
        let action = Method::of_action(reach.method).and_then(|m| self.action(m, target));
        let visibility = action
            .map(|action| self.visibility(&self.asked(Principal::nobody(scopes), action, target)));
        match visibility {
            Some(Ok(Visibility::Always)) => "yes",
            Some(Ok(Visibility::Conditionally)) => "some",
            Some(Ok(Visibility::Never)) | None => "-",
            Some(Err(_)) => "error",
        }
    }
}
