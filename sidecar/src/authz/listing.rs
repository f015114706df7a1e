//! Lists that agree with calls: what a caller may see is what it may use with some arguments.
//!
//! Cedar evaluates with everything known but the context (type-aware partial evaluation). What it
//! refuses whatever the context says is never shown; everything else is.

use std::{collections::BTreeSet, sync::Arc};

use cedar_policy::{
    Decision, Effect, PartialEntities, PartialEntityUid, PartialRequest, TpeResponse,
};

use super::{access::AccessRequest, policies::Policies, residual::Outcome, subject::Principal};
use crate::{
    message::{Method, Target, TargetKind},
    rejection::Rejection,
    token::Claims,
};

/// Whether a caller may use something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// With no arguments at all.
    Never,
    /// With some arguments, or at some times.
    Conditionally,
    /// With any arguments.
    Always,
}

/// Narrows one kind of list for one caller.
#[derive(Clone)]
pub(crate) struct Listing {
    policies: Arc<Policies>,
    claims: Arc<Claims>,
    kind: &'static Listed,
}

/// What a list holds, and what being in it promises.
#[derive(Debug)]
struct Listed {
    /// The method that lists.
    by: &'static str,
    /// The member of the result that holds the list.
    member: &'static str,
    /// The member of each item that names it.
    name_member: &'static str,
    /// What can be done with an item that is shown.
    used_by: &'static str,
    target: TargetKind,
}

const fn listed(
    by: &'static str,
    (member, name_member): (&'static str, &'static str),
    used_by: &'static str,
    target: TargetKind,
) -> Listed {
    Listed { by, member, name_member, used_by, target }
}

const RESOURCES: (&str, &str) = ("resources", "uri");
/// A template is judged as the resource of which its text is the URI.
const TEMPLATES: (&str, &str) = ("resourceTemplates", "uriTemplate");
const LISTED: [Listed; 6] = [
    listed("tools/list", ("tools", "name"), "tools/call", TargetKind::Tool),
    listed("prompts/list", ("prompts", "name"), "prompts/get", TargetKind::Prompt),
    listed("resources/list", RESOURCES, "resources/read", TargetKind::Resource),
    listed("resources/templates/list", TEMPLATES, "resources/read", TargetKind::Resource),
    listed("resources/directory/read", RESOURCES, "resources/read", TargetKind::Resource),
    listed("skills/list", ("skills", "uri"), "skills/get", TargetKind::Resource),
];

impl Listing {
    /// The narrowing that an answer to `method` needs; `None` when it is not a list.
    pub(crate) fn of(
        policies: &Arc<Policies>,
        claims: &Arc<Claims>,
        method: &Method,
    ) -> Option<Self> {
        let kind = LISTED.iter().find(|kind| kind.by == method.name)?;
        Some(Self { policies: Arc::clone(policies), claims: Arc::clone(claims), kind })
    }

    /// The member of the result that holds the list.
    pub(crate) fn member(&self) -> &'static str {
        self.kind.member
    }

    /// The member of each item that names it.
    pub(crate) fn name_member(&self) -> &'static str {
        self.kind.name_member
    }

    /// Whether the caller may see the item of this name.
    pub(crate) fn shows(&self, name: &str) -> Result<bool, Rejection> {
        let target = match self.kind.target {
            TargetKind::Prompt => Target::Prompt(name),
            TargetKind::Resource => Target::Resource(name),
            _ => Target::Tool(name),
        };
        self.policies.shows(&self.claims, self.kind.used_by, target)
    }
}

impl Policies {
    /// Whether a caller may use `target` at all.
    pub(crate) fn shows(
        &self,
        claims: &Claims,
        method: &str,
        target: Target<'_>,
    ) -> Result<bool, Rejection> {
        // What the schema lacks cannot be used, so it is not shown.
        let Some(action) = Method::of_action(method).and_then(|m| self.action(m, target)) else {
            return Ok(false);
        };
        let asked = AccessRequest { principal: Principal::of(claims), action, target };
        Ok(self.visibility(&asked)? != Visibility::Never)
    }

    /// Whether a caller may do this to this target, whatever the context.
    pub(super) fn visibility(&self, asked: &AccessRequest<'_>) -> Result<Visibility, Rejection> {
        self.evaluate_partially(asked).map_err(|cause| {
            tracing::error!(action = asked.action.name(), cause, "partial evaluation failed");
            Rejection::EvaluationFailed { policies: Vec::new() }
        })
    }

    /// Whether everything that the schema declares can be supplied, and every policy evaluated on
    /// the stack of a request: each action is asked about once, so that a changed entity type or a
    /// policy too deep for Cedar shows at start and not in service.
    pub(super) fn require_answerable(&self) -> Result<(), String> {
        let scopes = BTreeSet::from(["s".to_owned()]);
        let principal = Principal::nobody(&scopes);
        for action in self.actions.values() {
            for target in sample_targets(action.name()) {
                let asked = AccessRequest { principal, action, target };
                self.evaluate_partially(&asked).map_err(|what| {
                    let action = action.name();
                    format!("action `{action}` cannot be decided: {what}; if every policy on it is well-formed, one is too long or too deep: split it")
                })?;
            }
        }
        Ok(())
    }

    fn evaluate_partially(&self, asked: &AccessRequest<'_>) -> Result<Visibility, String> {
        let request = PartialRequest::new(
            PartialEntityUid::from_concrete(self.principal(&asked.principal)),
            asked.action.uid.clone(),
            PartialEntityUid::from_concrete(self.resource(asked.target)),
            None,
            &self.schema,
        )
        .map_err(|e| e.to_string())?;
        let entities = self.entities(asked)?;
        let entities =
            PartialEntities::from_concrete(entities, &self.schema).map_err(|e| e.to_string())?;
        let response = asked
            .action
            .policies
            .tpe(&request, &entities, &self.schema)
            .map_err(|e| e.to_string())?;
        // A policy that fails with nothing but the context unknown fails for every context, and a
        // call for which a policy fails is refused.
        if response.error_permits().next().or(response.error_forbids().next()).is_some() {
            return Ok(Visibility::Never);
        }
        Ok(match response.decision() {
            Some(Decision::Deny) => Visibility::Never,
            Some(Decision::Allow) => Visibility::Always,
            None if settled_against(&response)? => Visibility::Never,
            None => Visibility::Conditionally,
        })
    }
}

/// One target of each kind that an action is asked about.
fn sample_targets(action: &str) -> Vec<Target<'static>> {
    match Method::of_action(action).map(|method| method.target) {
        Some(TargetKind::Server) => vec![Target::Server],
        Some(TargetKind::Prompt) => vec![Target::Prompt("p")],
        Some(TargetKind::Resource) => vec![Target::Resource("r")],
        Some(TargetKind::Reference) => vec![Target::Prompt("p"), Target::Resource("r")],
        Some(TargetKind::Tool | TargetKind::Task) | None => vec![Target::Tool("t")],
    }
}

/// Whether what is left undecided comes to a refusal all the same: some `forbid` is sure to hold,
/// or no `permit` can.
fn settled_against(response: &TpeResponse<'_>) -> Result<bool, String> {
    let mut may_permit = response.true_permits().next().is_some();
    for policy in response.residual_policies() {
        let effect = policy.effect();
        let outcome = Outcome::of(&policy.to_pst().map_err(|e| e.to_string())?);
        match (effect, outcome) {
            (Effect::Forbid, Outcome::Holds) => return Ok(true),
            (Effect::Permit, Outcome::Holds | Outcome::Depends) => may_permit = true,
            (Effect::Forbid, _) | (Effect::Permit, Outcome::Fails) => {}
        }
    }
    Ok(!may_permit)
}
