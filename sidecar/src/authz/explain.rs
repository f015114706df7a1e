//! Why is it decided so? Every policy on the action, each of its conditions with whether it holds,
//! in words.

mod words;

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Context, Decision, Effect, Entities, Policy, PolicySet, Request};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Policies,
    access::AccessRequest,
    arguments::Misfit,
    subject::Principal,
    tryout::{NoTrial, Trial, Tried},
};

/// A decision with its reasons.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    /// `permit` or the reason code of the refusal.
    pub(crate) decision: &'static str,
    /// The policies that decided.
    pub(crate) deciding: Vec<String>,
    /// All scopes that the call needs, when more would permit it.
    pub(crate) required_scopes: Vec<String>,
    /// What does not fit the tool's own schema; then no policy is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) misfit: Option<String>,
    /// Every policy that bears on the action, those that decide first.
    pub(crate) policies: Vec<Explained>,
    /// What would have to be otherwise, each enough for itself unless something else is against it.
    pub(crate) would_change_it: Vec<String>,
}

/// One policy on the action.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explained {
    pub(crate) id: String,
    pub(crate) effect: &'static str,
    /// Whether it is only evaluated and recorded.
    pub(crate) shadow: bool,
    pub(crate) holds: Holds,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) text: String,
}

/// A part of a policy that holds or does not.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    pub(crate) words: String,
    pub(crate) cedar: String,
    pub(crate) holds: Holds,
    /// Whether it is about what the caller sends.
    pub(crate) about_arguments: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Holds {
    Yes,
    No,
    /// It cannot be evaluated.
    Fails,
}

/// A request that can be put to single policies.
struct Asked {
    request: Request,
    entities: Entities,
}

impl Policies {
    /// What would be decided, and why.
    pub(crate) fn explain(&self, trial: &Trial) -> Result<Explanation, NoTrial> {
        let tried = self.try_out(trial)?;
        let message = trial.message()?;
        let mut explanation = Explanation {
            decision: tried.decision(),
            deciding: tried.policies().to_vec(),
            required_scopes: tried.required_scopes().to_vec(),
            misfit: None,
            policies: Vec::new(),
            would_change_it: Vec::new(),
        };
        let Some(action) = self.action(message.method(), message.target()) else {
            explanation.would_change_it = vec![self.how_to_know_it(trial)];
            return Ok(explanation);
        };
        let claims = trial.claims();
        let asked = self.asked(Principal::of(&claims), action, message.target());
        let context = match action.context_of(message.arguments(), &trial.circumstances()) {
            Ok(context) => context,
            Err(Misfit { path, what }) => {
                explanation.misfit = Some(format!("argument `{path}`: {what}"));
                explanation.would_change_it = vec![format!("argument `{path}` has to fit: {what}")];
                return Ok(explanation);
            }
        };
        let Some(put) = self.put(&asked, context) else { return Ok(explanation) };
        for (shadow, set) in [(false, Some(&action.policies)), (true, action.shadow.as_ref())] {
            let policies = set.into_iter().flat_map(PolicySet::policies);
            explanation
                .policies
                .extend(policies.map(|policy| self.explained(policy, shadow, &put)));
        }
        let deciding: BTreeSet<&String> = explanation.deciding.iter().collect();
        explanation
            .policies
            .sort_by_key(|policy| (!deciding.contains(&policy.id), policy.id.clone()));
        explanation.would_change_it = what_would_change(&tried, &explanation.policies);
        Ok(explanation)
    }

    fn put(&self, asked: &AccessRequest<'_>, context: Context) -> Option<Asked> {
        let request = self.request(asked, context).ok()?;
        Some(Asked { request, entities: self.entities(asked).ok()? })
    }

    fn explained(&self, policy: &Policy, shadow: bool, asked: &Asked) -> Explained {
        let id = policy.id().to_string();
        Explained {
            effect: effect(policy),
            shadow,
            holds: asked.holds(policy),
            conditions: conditions(policy, asked),
            text: self.text(&id).unwrap_or_default().to_owned(),
            id,
        }
    }

    fn how_to_know_it(&self, trial: &Trial) -> String {
        let name = trial.target.as_deref().unwrap_or(&trial.method);
        let known = self.actions.iter().filter(|(_, rules)| rules.calls_a_tool());
        let near = known
            .map(|(id, _)| (strsim::damerau_levenshtein(id, name), id))
            .filter(|(distance, _)| *distance <= name.len() / 2)
            .min();
        match near {
            Some((_, near)) => format!("the schema has no action `{name}`; did you mean `{near}`?"),
            None => format!(
                "the schema has no action `{name}`; `cedargate tools` lists what there is, `cedargate schema --write` takes new tools over"
            ),
        }
    }
}

impl Asked {
    /// Whether one policy holds, whatever its effect.
    fn holds(&self, policy: &Policy) -> Holds {
        let Ok(set) = PolicySet::from_policies([policy.clone()]) else { return Holds::Fails };
        let response = Authorizer::new().is_authorized(&self.request, &set, &self.entities);
        if response.diagnostics().errors().next().is_some() {
            return Holds::Fails;
        }
        let determines = response.diagnostics().reason().next().is_some();
        if determines || response.decision() == Decision::Allow { Holds::Yes } else { Holds::No }
    }
}

fn effect(policy: &Policy) -> &'static str {
    match policy.effect() {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    }
}

/// The parts of a policy that must all hold, out of Cedar's JSON form of it.
fn conditions(policy: &Policy, asked: &Asked) -> Vec<Condition> {
    let Ok(json) = policy.to_json() else { return Vec::new() };
    let mut found = Vec::new();
    for variable in ["principal", "resource"] {
        let Some(constraint) = json.get(variable) else { continue };
        if constraint.get("op").is_some_and(|op| op != "All") {
            let alone = anything_but(variable, constraint.clone());
            let words = words::of_constraint(variable, constraint);
            found.extend(condition(&alone, words, false, asked));
        }
    }
    for clause in json.get("conditions").and_then(Value::as_array).into_iter().flatten() {
        let (Some(kind), Some(body)) = (clause.get("kind"), clause.get("body")) else { continue };
        for part in conjuncts(body, kind == "when") {
            if depth(part) > MAX_SHOWN_DEPTH {
                found.push(too_long());
                continue;
            }
            let clauses = json!([{ "kind": kind, "body": part }]);
            let alone = anything_but("conditions", clauses);
            let said = words::of(part);
            let words = if kind == "unless" { words::not(&said) } else { said };
            let about_arguments = words::is_about_arguments(part);
            found.extend(condition(&alone, words, about_arguments, asked));
        }
    }
    found
}

/// What is not taken apart: Cedar's reader of its own JSON form takes ever longer for ever longer
/// chains, and the text is shown with the policy.
fn too_long() -> Condition {
    let words = "a condition that is too long to be put into words".to_owned();
    Condition { words, cedar: "…".to_owned(), holds: Holds::Fails, about_arguments: false }
}

fn depth(value: &Value) -> usize {
    let within = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => None,
    };
    within.unwrap_or(0) + 1
}

/// Some thirty links of a chain.
const MAX_SHOWN_DEPTH: usize = 64;

/// A policy that permits anything, but for one part.
fn anything_but(member: &str, of: Value) -> Value {
    let mut policy = Map::from_iter([("effect".to_owned(), json!("permit"))]);
    for variable in ["principal", "action", "resource"] {
        policy.insert(variable.to_owned(), json!({ "op": "All" }));
    }
    policy.insert("conditions".to_owned(), json!([]));
    policy.insert(member.to_owned(), of);
    Value::Object(policy)
}

/// The parts of a conjunction; an `unless` is one part.
fn conjuncts(body: &Value, splits: bool) -> Vec<&Value> {
    match body.get("&&").filter(|_| splits) {
        Some(both) => {
            let mut parts = conjuncts(&both["left"], true);
            parts.extend(conjuncts(&both["right"], true));
            parts
        }
        None => vec![body],
    }
}

fn condition(
    alone: &Value,
    words: String,
    about_arguments: bool,
    asked: &Asked,
) -> Option<Condition> {
    let policy = Policy::from_json(None, alone.clone()).ok()?;
    let written = policy.to_cedar()?.split_whitespace().collect::<Vec<_>>().join(" ");
    let cedar = match written.split_once('{') {
        Some((before, body)) => {
            let kind = if before.contains("unless") { "unless " } else { "" };
            format!("{kind}{}", body.trim_end_matches(';').trim().trim_end_matches('}').trim())
        }
        None => written.trim_start_matches("permit").trim_end_matches(';').to_owned(),
    };
    Some(Condition { words, cedar, holds: asked.holds(&policy), about_arguments })
}

/// What would have to be otherwise, in words.
fn what_would_change(tried: &Tried, policies: &[Explained]) -> Vec<String> {
    if tried.outcome.is_ok() {
        return Vec::new();
    }
    if !tried.required_scopes().is_empty() {
        let scopes = tried.required_scopes().join("`, `");
        return vec![format!("a token with the scopes `{scopes}` may do this")];
    }
    let enforced = || policies.iter().filter(|policy| !policy.shadow);
    let mut changes = Vec::new();
    for policy in enforced().filter(|policy| policy.holds == Holds::Fails) {
        changes.push(format!(
            "policy `{}` cannot be evaluated for this request, which refuses it: mend the policy",
            policy.id
        ));
    }
    for policy in enforced().filter(|p| p.effect == "forbid" && p.holds == Holds::Yes) {
        let of_arguments = policy.conditions.iter().filter(|condition| condition.about_arguments);
        let words: Vec<&str> = of_arguments.map(|condition| condition.words.as_str()).collect();
        changes.push(match words.as_slice() {
            [] => format!("policy `{}` forbids this, whatever the arguments", policy.id),
            words => format!(
                "policy `{}` forbids this because {}; other arguments may do",
                policy.id,
                words.join(" and ")
            ),
        });
    }
    if !changes.is_empty() {
        return changes;
    }
    for policy in enforced().filter(|policy| policy.effect == "permit") {
        let lacking = policy.conditions.iter().filter(|condition| condition.holds != Holds::Yes);
        let words: Vec<&str> = lacking.map(|condition| condition.words.as_str()).collect();
        if !words.is_empty() {
            changes.push(format!(
                "policy `{}` would permit this if {}",
                policy.id,
                words.join(", and if ")
            ));
        }
    }
    if changes.is_empty() {
        changes.push("no policy permits this action; `cedargate policy new` writes one".to_owned());
    }
    changes
}
