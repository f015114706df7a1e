//! Which scopes would permit what is refused? Found by asking again, so that what stands in a policy is
//! not written a second time.

use std::collections::BTreeSet;

use cedar_policy::Context;

use super::{
    Verdict,
    access::AccessRequest,
    policies::{ActionRules, Policies},
};

impl Policies {
    /// The scopes that this request needs, when more scopes would permit it, found by asking again.
    ///
    /// Together with what the caller holds they permit it, and none that it lacks can be left out;
    /// they also do alone, for clients that ask for nothing but what they are told. `None` too when
    /// it takes too many questions to tell.
    pub(super) fn scopes_that_permit(
        &self,
        asked: &AccessRequest<'_>,
        context: &Context,
    ) -> Option<Vec<String>> {
        let mut questions = MAX_QUESTIONS;
        let mut permits = |scopes: &BTreeSet<String>| {
            questions = questions.checked_sub(1).ok_or(TooMany)?;
            let verdict = self.ask(&asked.with_scopes(scopes), context);
            Ok(matches!(verdict, Verdict::Permitted(_)))
        };
        let scopes = self.attainable_scopes(asked);
        let (lacking, held): (Vec<String>, Vec<String>) = self
            .broadest_first(scopes.clone())
            .into_iter()
            .partition(|scope| !asked.principal.scopes.contains(scope));
        match fewest(scopes, &lacking, &held, &mut permits) {
            Ok(fewest) => fewest.map(|scopes| scopes.into_iter().collect()),
            Err(TooMany) => {
                tracing::warn!(
                    action = asked.action.name(),
                    "policies speak of so many scopes that it takes too long to tell which would do"
                );
                None
            }
        }
    }

    /// What the caller could hold after a step-up, of what matters to the action.
    pub(super) fn attainable_scopes(&self, asked: &AccessRequest<'_>) -> BTreeSet<String> {
        let mut scopes = self.scopes_that_matter(asked.action);
        scopes.extend(asked.principal.scopes.iter().cloned());
        scopes
    }

    /// Scopes that imply others can go before those that they imply, so that the narrowest stay.
    pub(super) fn broadest_first(&self, scopes: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut scopes: Vec<String> = scopes.into_iter().collect();
        scopes.sort_by_key(|scope| std::cmp::Reverse(self.scope_hierarchy.breadth(scope)));
        scopes
    }

    /// The scopes that could matter to an action, out of those that callers are told of.
    pub(super) fn scopes_that_matter(&self, action: &ActionRules) -> BTreeSet<String> {
        let matters = |scope: &&String| {
            action.scopes.and_others || self.scope_hierarchy.reaches(scope, &action.scopes.named)
        };
        self.advertised_scopes.iter().filter(matters).cloned().collect()
    }
}

/// Looking further would take too long.
struct TooMany;

/// What is left of `scopes` when everything needless is taken out: of those that the caller lacks,
/// then of those that it holds. `None` when all together are not enough.
fn fewest<E>(
    mut scopes: BTreeSet<String>,
    lacking: &[String],
    held: &[String],
    enough: &mut impl FnMut(&BTreeSet<String>) -> Result<bool, E>,
) -> Result<Option<BTreeSet<String>>, E> {
    if !enough(&scopes)? {
        return Ok(None);
    }
    // A policy may hold a scope against its bearer, so that what could not be left out before can
    // be after something else was: again, until nothing more can.
    loop {
        let before = scopes.len();
        take_out_needless(&mut scopes, lacking, enough)?;
        if scopes.len() == before {
            break;
        }
    }
    take_out_needless(&mut scopes, held, enough)?;
    Ok(Some(scopes))
}

/// Takes those of `candidates` out of `scopes` without which these are `enough` still, the first
/// ones first. As many at once as can be: a few that are needed out of many cost a few questions.
pub(super) fn take_out_needless<E>(
    scopes: &mut BTreeSet<String>,
    candidates: &[String],
    enough: &mut impl FnMut(&BTreeSet<String>) -> Result<bool, E>,
) -> Result<(), E> {
    let taken: Vec<String> = candidates.iter().filter_map(|scope| scopes.take(scope)).collect();
    if taken.is_empty() || enough(scopes)? {
        return Ok(());
    }
    scopes.extend(taken);
    if candidates.len() == 1 {
        return Ok(());
    }
    let (first, second) = candidates.split_at(candidates.len() / 2);
    take_out_needless(scopes, first, enough)?;
    take_out_needless(scopes, second, enough)
}

/// Enough for a dozen scopes that are needed out of hundreds. Each question costs what a decision
/// does, and anybody whose call is refused can have them asked.
const MAX_QUESTIONS: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
        numbers.into_iter().map(|number| format!("s{number:04}")).collect()
    }

    #[test]
    fn a_few_out_of_many_are_found_with_few_questions() {
        let needed = names([3, 400, 401, 999]);
        let all = names(0..1_000);
        let lacking: Vec<String> = all.iter().cloned().collect();
        let mut questions = 0;
        let found = fewest(all, &lacking, &[], &mut |scopes: &BTreeSet<String>| {
            questions += 1;
            Ok::<_, TooMany>(scopes.is_superset(&needed))
        });
        assert!(found.is_ok_and(|found| found == Some(needed)));
        assert!(questions < 100, "{questions}");
    }

    #[test]
    fn what_is_held_against_its_bearer_is_left_out() {
        let (all, lacking) = (names(0..4), names(0..4).into_iter().collect::<Vec<_>>());
        // The first does only as long as the last one is there.
        let enough = |scopes: &BTreeSet<String>| {
            let has = |number| scopes.is_superset(&names([number]));
            Ok::<_, TooMany>(has(1) && (has(0) || !has(3)))
        };
        let found = fewest(all, &lacking, &[], &mut { enough });
        assert!(found.is_ok_and(|found| found == Some(names([1]))));
    }
}
