//! Lists that agree with calls: what a caller may see is what it may use with some arguments.
//!
//! Cedar evaluates with everything known but the context (type-aware partial evaluation). What it
//! refuses whatever the context says is never shown; everything else is.

use std::{collections::BTreeSet, sync::Arc};

use cedar_policy::{
    Decision, Effect, PartialEntities, PartialEntityUid, PartialRequest, TpeResponse,
};

use super::{
    access::AccessRequest,
    annotations::Obligations,
    pins::Pin,
    policies::{ActionRules, Policies, REQUEST_STACK_BYTES},
    residual::{Outcome, Template},
    step_up::take_out_needless,
    subject::Principal,
    validation::on_stacks_of,
};
use crate::{
    config::Listed as ListedTools,
    message::{
        Method, Target, TargetKind,
        json::{Json, Object},
    },
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

impl Visibility {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Conditionally => "conditionally",
            Self::Always => "always",
        }
    }
}

/// Whether a caller may use something, and what the policies ask for that may permit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prospect {
    pub(super) visibility: Visibility,
    pub(super) obligations: Obligations,
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

    /// Whether the caller may see this item. A tool that it sees is marked with what a call of it
    /// will need.
    pub(crate) fn shows(&self, name: &str, item: &mut Object) -> Result<bool, Rejection> {
        let target = match self.kind.target {
            TargetKind::Prompt => Target::Prompt(name),
            TargetKind::Resource if self.kind.name_member == TEMPLATES.1 => {
                return self.policies.shows_template(&self.claims, self.kind.used_by, name);
            }
            TargetKind::Resource => Target::Resource(name),
            _ => return self.shows_tool(name, item),
        };
        self.policies.shows(&self.claims, self.kind.used_by, target)
    }

    fn shows_tool(&self, name: &str, item: &mut Object) -> Result<bool, Rejection> {
        let policies = &self.policies;
        // The definition that passes here counts, whatever was seen of the tool before.
        let pin = policies.pins.look(name, item);
        let method = Method::of_action(self.kind.used_by);
        let Some(action) = method.and_then(|m| policies.action(m, Target::Tool(name))) else {
            return Ok(false);
        };
        let principal = Principal::of(&self.claims);
        let asked = AccessRequest { principal, action, target: Target::Tool(name), pin };
        let Some((required, mut prospect)) = policies.scopes_to_see(&asked)? else {
            return Ok(false);
        };
        let rate_limit = &mut prospect.obligations.rate_limit;
        *rate_limit = policies.standing(&self.claims).strictest_rate(name, *rate_limit);
        mark(item, &required, &prospect);
        Ok(true)
    }
}

/// Tells clients what a call will need.
fn mark(tool: &mut Object, required: &BTreeSet<String>, prospect: &Prospect) {
    let mut security = Object::default();
    let scopes = required.iter().map(|scope| Json::from(scope.as_str())).collect();
    security.set("requiredScopes", Json::Array(scopes));
    if let Some(limit) = prospect.obligations.rate_limit {
        security.set("rateLimit", Json::from(limit.to_string().as_str()));
    }
    if let Some(level) = prospect.obligations.audit {
        security.set("auditLevel", Json::from(level.as_str()));
    }
    let conditional = prospect.visibility == Visibility::Conditionally;
    security.set("conditional", Json::Bool(conditional));
    let mut meta = match tool.remove("_meta") {
        Some(Json::Object(meta)) => meta,
        _ => Object::default(),
    };
    meta.set(META_SECURITY, Json::Object(security));
    tool.set("_meta", Json::Object(meta));
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
        let asked = self.asked(Principal::of(claims), action, target);
        Ok(self.visibility(&asked)? != Visibility::Never)
    }

    /// Whether a caller may use any resource that a template stands for (RFC 6570).
    fn shows_template(&self, claims: &Claims, method: &str, text: &str) -> Result<bool, Rejection> {
        let target = Target::Resource(text);
        let Some(action) = Method::of_action(method).and_then(|m| self.action(m, target)) else {
            return Ok(false);
        };
        let asked = self.asked(Principal::of(claims), action, target);
        let template = Template::of(text);
        let prospect = self.evaluate_partially(&asked, Some(&template)).map_err(failed(&asked))?;
        Ok(prospect.visibility != Visibility::Never)
    }

    pub(super) fn asked<'a>(
        &self,
        principal: Principal<'a>,
        action: &'a ActionRules,
        target: Target<'a>,
    ) -> AccessRequest<'a> {
        let pin = match target {
            Target::Tool(name) => self.pins.pin(name),
            _ => Pin::Match,
        };
        AccessRequest { principal, action, target, pin }
    }

    /// Whether a caller may do this to this target, whatever the context.
    pub(super) fn visibility(&self, asked: &AccessRequest<'_>) -> Result<Visibility, Rejection> {
        Ok(self.prospect(asked)?.visibility)
    }

    pub(super) fn prospect(&self, asked: &AccessRequest<'_>) -> Result<Prospect, Rejection> {
        self.evaluate_partially(asked, None).map_err(failed(asked))
    }

    /// The fewest scopes with which a tool can be seen, when it is to be seen: out of those that the
    /// caller holds or, where the list shows what can be attained, may ask for.
    pub(super) fn scopes_to_see(
        &self,
        asked: &AccessRequest<'_>,
    ) -> Result<Option<(BTreeSet<String>, Prospect)>, Rejection> {
        let mut scopes = match self.listed {
            ListedTools::Permitted => asked.principal.scopes.clone(),
            ListedTools::Attainable => self.attainable_scopes(asked),
        };
        let prospect = self.prospect(&asked.with_scopes(&scopes))?;
        if prospect.visibility == Visibility::Never {
            return Ok(None);
        }
        let matter = |scope: &String| {
            asked.action.scopes.and_others
                || self.scope_hierarchy.reaches(scope, &asked.action.scopes.named)
        };
        scopes.retain(matter);
        let candidates = self.broadest_first(scopes.clone());
        let mut seen = |scopes: &BTreeSet<String>| {
            Ok(self.visibility(&asked.with_scopes(scopes))? != Visibility::Never)
        };
        take_out_needless(&mut scopes, &candidates, &mut seen)?;
        let prospect = self.prospect(&asked.with_scopes(&scopes))?;
        Ok(Some((scopes, prospect)))
    }

    /// Whether everything that the schema declares can be supplied, and every policy evaluated on
    /// the stack of a request: each action is asked about once, so that a changed entity type or a
    /// policy too deep for Cedar shows at start and not in service.
    pub(super) fn require_answerable(&self) -> Result<(), String> {
        let actions: Vec<&ActionRules> = self.actions.values().collect();
        let answers = on_stacks_of(REQUEST_STACK_BYTES, &actions, |some| {
            some.iter().map(|action| self.require_answerable_about(action)).collect()
        });
        answers.into_iter().collect()
    }

    fn require_answerable_about(&self, action: &ActionRules) -> Result<(), String> {
        let scopes = BTreeSet::from(["s".to_owned()]);
        for target in sample_targets(action.name()) {
            let asked = self.asked(Principal::nobody(&scopes), action, target);
            self.evaluate_partially(&asked, None).map_err(|what| {
                let action = action.name();
                format!("action `{action}` cannot be decided: {what}; if every policy on it is well-formed, one is too long or too deep: split it")
            })?;
        }
        Ok(())
    }

    /// With a template, the resource is as unknown as the context.
    fn evaluate_partially(
        &self,
        asked: &AccessRequest<'_>,
        template: Option<&Template>,
    ) -> Result<Prospect, String> {
        let resource = match template {
            None => PartialEntityUid::from_concrete(self.resource(asked.target)),
            Some(_) => PartialEntityUid::new(self.types.resource.clone(), None),
        };
        let request = PartialRequest::new(
            PartialEntityUid::from_concrete(self.principal(&asked.principal)),
            asked.action.uid.clone(),
            resource,
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
            let obligations = Obligations::default();
            return Ok(Prospect { visibility: Visibility::Never, obligations });
        }
        let permits = permits_left(&response, template)?;
        let visibility = match response.decision() {
            Some(Decision::Deny) => Visibility::Never,
            Some(Decision::Allow) => Visibility::Always,
            None if permits.is_none() => Visibility::Never,
            None => Visibility::Conditionally,
        };
        let obligations = asked.action.obligations_of(permits.into_iter().flatten());
        Ok(Prospect { visibility, obligations })
    }
}

fn failed(asked: &AccessRequest<'_>) -> impl Fn(String) -> Rejection {
    let action = asked.action.name().to_owned();
    move |cause| {
        tracing::error!(action, cause, "partial evaluation failed");
        Rejection::EvaluationFailed { policies: Vec::new() }
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

/// The permits that hold or may hold. `None` when what is left undecided comes to a refusal all the
/// same: some `forbid` is sure to hold, or no `permit` can.
fn permits_left(
    response: &TpeResponse<'_>,
    template: Option<&Template>,
) -> Result<Option<Vec<String>>, String> {
    let mut permits: Vec<String> = response.true_permits().map(ToString::to_string).collect();
    for policy in response.residual_policies() {
        let effect = policy.effect();
        let outcome = Outcome::of(&policy.to_pst().map_err(|e| e.to_string())?, template);
        match (effect, outcome) {
            (Effect::Forbid, Outcome::Holds) => return Ok(None),
            (Effect::Permit, Outcome::Holds | Outcome::Depends) => {
                permits.push(policy.id().to_string());
            }
            (Effect::Forbid, _) | (Effect::Permit, Outcome::Fails) => {}
        }
    }
    Ok(Some(permits).filter(|permits| !permits.is_empty()))
}

/// Where a client finds what a call of a tool will need.
const META_SECURITY: &str = "cedargate/security";
