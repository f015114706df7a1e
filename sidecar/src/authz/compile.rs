//! Puts a set of policies in order: for each action what bears on it, and no more.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{
    ActionConstraint, Context, Effect, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet,
    Schema,
};
use serde_json::{Map, Value};

use super::{
    annotations::Obligations,
    arguments::{ArgumentsSchema, Misfit},
    context::{Circumstances, ContextShape},
    issued_names::IssuedNames,
    mentions::Mentions,
    pins::Lock,
    policies::ActionRules,
    scopes::SpokenScopes,
    shape::TypeNames,
    source::{NamedPolicy, PolicyFile},
    vocabulary::{CALL_TOOL, EntityTypes, NAMESPACE, tool_action},
};
use crate::message::json::Object;

/// Everything in order.
pub(super) struct Compiled {
    pub(super) actions: HashMap<String, ActionRules>,
    pub(super) warnings: Vec<String>,
}

/// A policy and the actions that it is about.
struct Read<'a> {
    named: &'a NamedPolicy,
    constraint: ActionConstraint,
}

pub(super) fn compile(
    schema: &Schema,
    namespace: &Value,
    (types, server): (&EntityTypes, &EntityUid),
    files: &[PolicyFile],
    lock: Option<&Lock>,
) -> Result<Compiled, String> {
    let declared = namespace.get("actions").and_then(Value::as_object);
    let declared = declared.ok_or("declares no actions")?;
    let names = TypeNames::of(namespace);
    let action_entities = schema.action_entities().map_err(|e| e.to_string())?;
    let read: Vec<Read<'_>> = files.iter().flat_map(|file| &file.policies).map(Read::of).collect();
    let tools: BTreeMap<String, &Value> = lock
        .into_iter()
        .flat_map(Lock::tools)
        .map(|(name, _, definition)| (tool_action(name), definition))
        .collect();
    let mut compiled = Compiled { actions: HashMap::new(), warnings: Vec::new() };
    for (id, action) in declared {
        let Some(context) = action.pointer("/appliesTo/context").filter(|_| applies(action)) else {
            continue;
        };
        let uid = types.action(id);
        let groups = groups_of(&action_entities, &uid);
        let bearing: Vec<&Read<'_>> = read.iter().filter(|r| r.admits(&uid, &groups)).collect();
        let context =
            ContextShape::of(&names, context).map_err(|what| format!("action `{id}`: {what}"))?;
        let takes =
            |tool: &&Value| ArgumentsSchema::of(tool.get("inputSchema").unwrap_or(&Value::Null));
        let arguments = tools.get(id).map(takes).map(|(schema, unusable)| {
            compiled.warnings.extend(unusable.iter().map(|name| {
                format!("tool `{id}`: the JSON Schema of `{name}` cannot be used; its values are held against types only")
            }));
            schema
        });
        let entities = entities_of(&action_entities, &uid, &groups, server);
        let rules = ActionRules {
            policies: policy_set(bearing.iter().filter(|r| !r.named.annotations.shadow))?,
            shadow: shadow_of(&bearing)?,
            obligations: obligations_of(&bearing),
            scopes: SpokenScopes { and_others: true, ..SpokenScopes::default() },
            entities: Entities::from_entities(entities, None).map_err(|e| e.to_string())?,
            context,
            arguments,
            uid,
        };
        compiled.actions.insert(id.clone(), rules);
    }
    compiled.warnings.extend(unrecorded(&compiled.actions));
    Ok(compiled)
}

/// Leaves of each action's context what the policies on it look at, and yields the schema that says
/// so.
pub(super) fn cut_down(
    actions: &mut HashMap<String, ActionRules>,
    namespace: &Value,
    looks: &HashMap<&PolicyId, Look>,
) -> Result<Schema, String> {
    let names = TypeNames::of(namespace);
    let mut pruned = namespace.clone();
    for (id, rules) in actions {
        let shadow = rules.shadow.iter().flat_map(PolicySet::policies);
        let bearing = rules.policies.policies().chain(shadow);
        let (mut mentions, mut scopes) = (Mentions::default(), SpokenScopes::default());
        for look in bearing.filter_map(|policy| looks.get(policy.id())) {
            mentions.join(&look.mentions);
            scopes.join(&look.scopes);
        }
        let Some(place) = pruned.get_mut("actions").and_then(|all| all.get_mut(id)) else {
            continue;
        };
        let Some(context) = place.pointer_mut("/appliesTo/context") else { continue };
        *context = mentions.prune(context, &|definition| names.resolve(definition));
        rules.context = std::mem::take(&mut rules.context)
            .cut_down(&names, context)
            .map_err(|what| format!("action `{id}`: {what}"))?;
        rules.scopes = scopes;
    }
    let fragment = Map::from_iter([(NAMESPACE.to_owned(), pruned)]);
    Schema::from_json_value(Value::Object(fragment)).map_err(|e| e.to_string())
}

/// Tools of which nothing is known but what the schema says.
fn unrecorded(actions: &HashMap<String, ActionRules>) -> Option<String> {
    let of_tools = actions.values().filter(|r| r.calls_a_tool() && r.arguments.is_none());
    let mut names: Vec<&str> = of_tools.map(ActionRules::name).collect();
    names.sort_unstable();
    let first = names.first()?;
    let others = match names.len() {
        1 => String::new(),
        several => format!(" and {} more", several - 1),
    };
    Some(format!(
        "tools.lock does not record `{first}`{others}: of their arguments the types alone are checked, no bounds, patterns or lists of values"
    ))
}

impl<'a> Read<'a> {
    fn of(named: &'a NamedPolicy) -> Self {
        Self { constraint: named.policy.action_constraint(), named }
    }

    fn admits(&self, action: &EntityUid, groups: &HashSet<EntityUid>) -> bool {
        match &self.constraint {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(only) => only == action,
            ActionConstraint::In(any) => {
                any.iter().any(|one| one == action || groups.contains(one))
            }
        }
    }
}

impl ActionRules {
    /// The context for a call with these arguments, or what of them does not fit: first into the
    /// tool's own schema, then among what policies can speak about.
    pub(super) fn context_of(
        &self,
        arguments: Option<&Object>,
        circumstances: &Circumstances,
    ) -> Result<Context, Misfit> {
        if let Some(schema) = &self.arguments {
            schema.require(arguments)?;
        }
        self.context.build(arguments, circumstances)
    }

    /// What permits of these ids ask for together.
    pub(super) fn obligations_of(&self, permits: impl Iterator<Item = String>) -> Obligations {
        permits
            .filter_map(|id| self.obligations.get(&id))
            .fold(Obligations::default(), Obligations::and)
    }

    /// Whether it is the action of a tool.
    pub(super) fn calls_a_tool(&self) -> bool {
        self.entities
            .ancestors(&self.uid)
            .is_some_and(|mut groups| groups.any(|group| group.id().unescaped() == CALL_TOOL))
    }
}

/// Whether an action is one that can be asked about, and not a mere group.
fn applies(action: &Value) -> bool {
    action
        .pointer("/appliesTo/principalTypes")
        .and_then(Value::as_array)
        .is_some_and(|types| !types.is_empty())
}

fn groups_of(all: &Entities, action: &EntityUid) -> HashSet<EntityUid> {
    all.ancestors(action).map(|groups| groups.cloned().collect()).unwrap_or_default()
}

fn entities_of(
    all: &Entities,
    action: &EntityUid,
    groups: &HashSet<EntityUid>,
    server: &EntityUid,
) -> Vec<Entity> {
    let own = all.iter().filter(|e| e.uid() == *action || groups.contains(&e.uid())).cloned();
    own.chain([Entity::new_no_attrs(server.clone(), HashSet::new())]).collect()
}

fn policy_set<'a, 'b: 'a>(
    policies: impl Iterator<Item = &'a &'a Read<'b>>,
) -> Result<PolicySet, String> {
    PolicySet::from_policies(policies.map(|read| read.named.policy.clone()))
        .map_err(|e| e.to_string())
}

fn shadow_of(bearing: &[&Read<'_>]) -> Result<Option<PolicySet>, String> {
    let shadow = policy_set(bearing.iter().filter(|read| read.named.annotations.shadow))?;
    Ok(Some(shadow).filter(|set| !set.is_empty()))
}

fn obligations_of(bearing: &[&Read<'_>]) -> HashMap<String, Obligations> {
    let of = |read: &&&Read<'_>| {
        let annotations = &read.named.annotations;
        !annotations.shadow && annotations.obligations != Obligations::default()
    };
    bearing
        .iter()
        .filter(of)
        .map(|read| {
            (read.named.policy.id().to_string(), read.named.annotations.obligations.clone())
        })
        .collect()
}

/// What was found in one policy.
pub(super) struct Look {
    mentions: Mentions,
    scopes: SpokenScopes,
    /// A member of `context.peer` that a `permit` trusts although it is the client's own word.
    pub(super) trusts: Option<&'static str>,
    /// What is wrong with the names in it.
    pub(super) misnamed: Option<String>,
}

impl Look {
    /// Whether it is about what is open about the caller.
    pub(super) fn reads_risk(&self) -> bool {
        self.mentions.member("risk").is_some()
    }

    /// Of a policy without its text, since Cedar would read that again to make its JSON form.
    pub(super) fn at(policy: &Policy, names: &IssuedNames<'_>) -> Self {
        let parsed = Policy::from(policy.as_ref().clone());
        let Ok(json) = parsed.to_json() else {
            let misnamed = Some("cannot be looked at".to_owned());
            let (mentions, scopes) = (Mentions::default(), SpokenScopes::default());
            return Self { mentions, scopes, trusts: None, misnamed };
        };
        let mentions = Mentions::of_context(&json);
        let peer = mentions.member("peer").filter(|_| policy.effect() == Effect::Permit);
        let claims = ["provider", "model"];
        let trusts = peer.and_then(|peer| claims.into_iter().find(|c| peer.member(c).is_some()));
        let misnamed = names.require_in(&json).err();
        Self { scopes: SpokenScopes::of(&json), trusts, misnamed, mentions }
    }
}

/// What to do about an error of Cedar's validator that does not say so itself.
pub(super) fn advice(what: &str, policy: &PolicyId) -> Option<String> {
    let has = |part: &str| what.contains(part);
    Some(if has("unrecognized action") || has("undeclared action") {
        "actions are named as the server's tools; `cedargate tools` lists them, `cedargate schema --write` takes new ones over".to_owned()
    } else if has("attribute") && has("not found") {
        "the schema says what there is: `context.input` has the tool's arguments, `context.facts` what can be said of them, `principal` `id`, `scopes`, `roles`, `client`, …".to_owned()
    } else if has("unable to guarantee safety") || has("optional") {
        "an optional argument may be absent: ask `context.input has NAME &&` first".to_owned()
    } else if has("applies to no") || has("impossible") || has("always") || has("never") {
        format!(
            "policy `{policy}` can never apply as it stands; see that principal, action, resource and conditions fit together"
        )
    } else if has("unexpected type") {
        "compare values of one type; amounts (decimal) are compared with `.lessThan(decimal(\"1.00\"))` and the like".to_owned()
    } else {
        return None;
    })
}
