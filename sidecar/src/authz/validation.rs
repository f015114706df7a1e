//! Whether policies mean what they say: strict validation, and what it does not see.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};
use serde_json::{Map, Value};

use super::{
    annotations::Annotations,
    compile::{self, Look},
    issued_names::IssuedNames,
    policies::{ActionRules, READER_STACK_BYTES},
    problems::Problem,
    source::{NamedPolicy, PolicyFile},
    vocabulary::NAMESPACE,
};

/// What strict validation says; a warning is an error too, since it tells of a policy that cannot
/// mean what its author meant.
pub(super) fn invalid(schema: &Schema, namespace: &Value, files: &[PolicyFile]) -> Vec<Problem> {
    let whole = Validator::new(schema.clone());
    let shares = shares(files);
    on_all_cores(&shares, |shares| {
        let of_share = |share: &Share<'_>| match share.narrowed(namespace) {
            Some(schema) => share.invalid(&Validator::new(schema)),
            None => share.invalid(&whole),
        };
        shares.iter().flat_map(of_share).collect()
    })
}

/// Policies that are validated together.
#[derive(Default)]
struct Share<'a> {
    policies: Vec<(&'a PolicyFile, &'a NamedPolicy)>,
    /// The actions that they are about, where each names its own.
    only: Option<HashSet<EntityUid>>,
}

/// Cedar's validator looks at every policy once for every action that the schema has. So of a large
/// set those policies go together that are about the same actions.
fn shares(files: &[PolicyFile]) -> Vec<Share<'_>> {
    let (mut by_action, mut others) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for file in files {
        for named in &file.policies {
            match named.policy.action_constraint() {
                ActionConstraint::Eq(action) => {
                    by_action.entry(action).or_default().push((file, named));
                }
                ActionConstraint::Any | ActionConstraint::In(_) => others.push((file, named)),
            }
        }
    }
    let mut shares: Vec<Share<'_>> = others
        .chunks(VALIDATED_AT_ONCE)
        .map(|some| Share { policies: some.to_vec(), only: None })
        .collect();
    let mut share = Share::default();
    for (action, policies) in by_action {
        share.only.get_or_insert_default().insert(action);
        share.policies.extend(policies);
        if share.policies.len() >= VALIDATED_AT_ONCE {
            shares.push(std::mem::take(&mut share));
        }
    }
    shares.push(share);
    shares
}

impl Share<'_> {
    /// The schema in which only the actions of this share can be asked about; `None` where it
    /// would not pay.
    fn narrowed(&self, namespace: &Value) -> Option<Schema> {
        let only = self.only.as_ref().filter(|_| self.policies.len() >= VALIDATED_AT_ONCE)?;
        let only: HashSet<&str> = only.iter().map(|action| action.id().unescaped()).collect();
        let mut narrowed = namespace.clone();
        for (id, action) in narrowed.get_mut("actions")?.as_object_mut()? {
            if !only.contains(id.as_str()) {
                action.as_object_mut()?.remove("appliesTo");
            }
        }
        let fragment = Map::from_iter([(NAMESPACE.to_owned(), narrowed)]);
        Schema::from_json_value(Value::Object(fragment)).ok()
    }

    fn invalid(&self, validator: &Validator) -> Vec<Problem> {
        let Some((first, _)) = self.policies.first() else { return Vec::new() };
        let mut set = PolicySet::new();
        let mut file_of = HashMap::new();
        for (file, named) in &self.policies {
            // Of two of one id the second has been complained of.
            drop(set.add(named.policy.clone()));
            file_of.insert(named.policy.id(), *file);
        }
        let outcome = validator.validate(&set, ValidationMode::Strict);
        let file_of = |id: &PolicyId| file_of.get(id).unwrap_or(first);
        let errors = outcome
            .validation_errors()
            .map(|e| (e.policy_id(), file_of(e.policy_id()).complaint(e)));
        let warnings = outcome
            .validation_warnings()
            .map(|w| (w.policy_id(), file_of(w.policy_id()).complaint(w)));
        let all: Vec<(&PolicyId, Problem)> = errors.chain(warnings).collect();
        // What speaks of something unknown does not fit anything either, and says so too.
        let explained: HashSet<&PolicyId> =
            all.iter().filter(|(_, p)| p.says("unrecognized")).map(|(id, _)| *id).collect();
        let follows = ["unable to find an applicable action", "policy is impossible"];
        let unfit = |p: &Problem| follows.iter().any(|words| p.says(words));
        let kept = all.into_iter().filter(|(id, p)| !(unfit(p) && explained.contains(id)));
        kept.map(|(id, problem)| problem.or_help(|what| compile::advice(what, id))).collect()
    }
}

/// What is in each policy.
pub(super) fn looks<'a>(
    files: &'a [PolicyFile],
    names: &IssuedNames<'_>,
) -> HashMap<&'a PolicyId, Look> {
    let all: Vec<&'a Policy> =
        files.iter().flat_map(|file| &file.policies).map(|named| &named.policy).collect();
    let look = |some: &[&'a Policy]| {
        some.iter().map(|policy| (policy.id(), Look::at(policy, names))).collect()
    };
    on_all_cores(&all, look).into_iter().collect()
}

/// Does the same to every share of many, on as many cores as there are and on deep stacks.
pub(super) fn on_all_cores<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(&[T]) -> Vec<R> + Sync,
) -> Vec<R> {
    on_stacks_of(READER_STACK_BYTES, all, work)
}

/// The same on stacks of so many bytes.
pub(super) fn on_stacks_of<T: Sync, R: Send>(
    bytes: usize,
    all: &[T],
    work: impl Fn(&[T]) -> Vec<R> + Sync,
) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .chunks(all.len().div_ceil(cores).max(1))
            .map(|share| {
                let thread = std::thread::Builder::new().stack_size(bytes);
                (share, thread.spawn_scoped(scope, move || work(share)))
            })
            .collect();
        let results = threads.into_iter().flat_map(|(share, thread)| {
            // Where there is no thread to be had, or it gave up, this one works.
            thread.ok().and_then(|thread| thread.join().ok()).unwrap_or_else(|| work(share))
        });
        results.collect()
    })
}

/// Policies that would not say what they seem to say.
pub(super) fn misleading(files: &[PolicyFile], looks: &HashMap<&PolicyId, Look>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files {
        for named in &file.policies {
            let Some(look) = looks.get(named.policy.id()) else { continue };
            if let Some(what) = &look.misnamed {
                let what = format!("policy `{}` {what}", named.policy.id());
                problems.push(file.problem(named, what));
            }
            if let Some(claim) = look.trusts {
                let what = format!(
                    "a `permit` looks at `context.peer.{claim}`, which is what a client says of itself"
                );
                problems.push(file.problem_at(named, &format!("peer.{claim}"), what).help(
                    "anybody can say so: only a `forbid` may look at it; to permit, ask for `principal.zone`",
                ));
            }
        }
    }
    problems
}

/// Limits and redactions that no call of a tool comes by.
pub(super) fn without_effect(
    files: &[PolicyFile],
    actions: &HashMap<String, ActionRules>,
) -> Vec<Problem> {
    let of_calls: HashSet<&String> = actions
        .values()
        .filter(|rules| rules.calls_a_tool())
        .flat_map(|rules| rules.obligations.keys())
        .collect();
    let mut problems = Vec::new();
    for file in files {
        for named in &file.policies {
            let Annotations { obligations, shadow } = &named.annotations;
            let annotation = match (obligations.rate_limit, obligations.redact.is_empty()) {
                (Some(_), _) => "@rate_limit",
                (None, false) => "@redact",
                (None, true) => continue,
            };
            if !shadow && !of_calls.contains(&named.policy.id().to_string()) {
                let what = format!(
                    "`{annotation}` has no effect here: the policy permits no call of a tool"
                );
                problems.push(file.problem_at(named, annotation, what).help(
                    "limits and redactions are for calls of tools: `action == Mcp::Action::\"TOOL\"` or `action in Mcp::Action::\"call_tool\"`",
                ));
            }
        }
    }
    problems
}

/// So many share what a validator does once, and make it worth while to narrow the schema.
const VALIDATED_AT_ONCE: usize = 500;
