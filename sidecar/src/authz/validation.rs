//! Whether policies mean what they say: strict validation, and what it does not see.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use super::{
    compile::{self, Look},
    issued_names::IssuedNames,
    policies::READER_STACK_BYTES,
    problems::Problem,
    source::{NamedPolicy, PolicyFile},
};

/// What strict validation says; a warning is an error too, since it tells of a policy that cannot
/// mean what its author meant.
pub(super) fn invalid(schema: &Schema, files: &[PolicyFile]) -> Vec<Problem> {
    let validator = Validator::new(schema.clone());
    let shares: Vec<(&PolicyFile, &[NamedPolicy])> = files
        .iter()
        .flat_map(|file| file.policies.chunks(VALIDATED_AT_ONCE).map(move |some| (file, some)))
        .collect();
    on_all_cores(&shares, |shares| {
        shares.iter().flat_map(|(file, some)| invalid_in(&validator, file, some)).collect()
    })
}

fn invalid_in(validator: &Validator, file: &PolicyFile, policies: &[NamedPolicy]) -> Vec<Problem> {
    let mut set = PolicySet::new();
    for named in policies {
        // Of two of one id the second has been complained of.
        drop(set.add(named.policy.clone()));
    }
    let outcome = validator.validate(&set, ValidationMode::Strict);
    let errors = outcome.validation_errors().map(|e| (e.policy_id(), file.complaint(e)));
    let warnings = outcome.validation_warnings().map(|w| (w.policy_id(), file.complaint(w)));
    let all: Vec<(&PolicyId, Problem)> = errors.chain(warnings).collect();
    // What speaks of something unknown does not fit anything either, and says so too.
    let explained: HashSet<&PolicyId> =
        all.iter().filter(|(_, p)| p.says("unrecognized")).map(|(id, _)| *id).collect();
    let follows = ["unable to find an applicable action", "policy is impossible"];
    let unfit = |p: &Problem| follows.iter().any(|words| p.says(words));
    let kept = all.into_iter().filter(|(id, p)| !(unfit(p) && explained.contains(id)));
    kept.map(|(id, problem)| problem.or_help(|what| compile::advice(what, id))).collect()
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
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .chunks(all.len().div_ceil(cores).max(1))
            .map(|share| {
                let thread = std::thread::Builder::new().stack_size(READER_STACK_BYTES);
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

/// So many share what a validator does once.
const VALIDATED_AT_ONCE: usize = 250;
