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
    message::{Message, Method, Target, TargetKind},
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

/// Narrows one list for one caller.
pub(crate) struct Listing {
    policies: Arc<Policies>,
    claims: Arc<Claims>,
    kind: TargetKind,
    modern: bool,
}

impl Listing {
    /// The narrowing that an answer to `message` needs; `None` when it is not a list.
    pub(crate) fn of(
        policies: &Arc<Policies>,
        claims: &Arc<Claims>,
        message: &Message,
    ) -> Option<Self> {
        let kind = match message.method().name {
            "tools/list" => TargetKind::Tool,
            "prompts/list" => TargetKind::Prompt,
            "resources/list" => TargetKind::Resource,
            _ => return None,
        };
        let modern = message.era().is_modern();
        Some(Self { policies: Arc::clone(policies), claims: Arc::clone(claims), kind, modern })
    }

    /// Whether the list says who may keep it.
    pub(crate) fn is_modern(&self) -> bool {
        self.modern
    }

    /// The member of the result that holds the list.
    pub(crate) fn member(&self) -> &'static str {
        match self.kind {
            TargetKind::Tool | TargetKind::Server => "tools",
            TargetKind::Prompt => "prompts",
            TargetKind::Resource => "resources",
        }
    }

    /// The member of each item that names it.
    pub(crate) fn name_member(&self) -> &'static str {
        self.kind.member().unwrap_or("name")
    }

    /// Whether the caller may see the item of this name.
    pub(crate) fn shows(&self, name: &str) -> Result<bool, Rejection> {
        let (method, target) = match self.kind {
            TargetKind::Tool | TargetKind::Server => ("tools/call", Target::Tool(name)),
            TargetKind::Prompt => ("prompts/get", Target::Prompt(name)),
            TargetKind::Resource => ("resources/read", Target::Resource(name)),
        };
        let action = Method::named(method).and_then(|m| self.policies.action(m, target));
        // What the schema lacks cannot be called, so it is not shown.
        let Some(action) = action else {
            return Ok(false);
        };
        let principal = Principal::of(&self.claims);
        let asked = AccessRequest { principal, action, target };
        Ok(self.policies.visibility(&asked)? != Visibility::Never)
    }
}

impl Policies {
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
            let target = match Method::named(action.name()).map(|method| method.target) {
                Some(TargetKind::Server) => Target::Server,
                Some(TargetKind::Prompt) => Target::Prompt("p"),
                Some(TargetKind::Resource) => Target::Resource("r"),
                Some(TargetKind::Tool) | None => Target::Tool("t"),
            };
            let asked = AccessRequest { principal, action, target };
            self.evaluate_partially(&asked).map_err(|what| {
                let action = action.name();
                format!("action `{action}` cannot be decided: {what}; if every policy on it is well-formed, one is too long or too deep: split it")
            })?;
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
