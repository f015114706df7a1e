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
    /// they also do alone, for clients that ask for nothing but what they are told.
    pub(super) fn scopes_that_permit(
        &self,
        asked: &AccessRequest<'_>,
        context: &Context,
    ) -> Option<Vec<String>> {
        let permits = |scopes: &BTreeSet<String>| {
            matches!(self.ask(&asked.with_scopes(scopes), context), Verdict::Permitted(_))
        };
        let mut scopes = self.attainable_scopes(asked);
        if !permits(&scopes) {
            return None;
        }
        let (held, lacking): (Vec<String>, Vec<String>) =
            scopes.iter().cloned().partition(|scope| asked.principal.scopes.contains(scope));
        let without_needless = |scopes: &mut BTreeSet<String>, candidates: &[String]| {
            for scope in self.broadest_first(candidates.iter().cloned()) {
                if scopes.remove(&scope) && !permits(scopes) {
                    scopes.insert(scope);
                }
            }
        };
        // A policy may hold a scope against its bearer, so that what could not be left out before
        // can be after something else was: again, until nothing more can.
        loop {
            let before = scopes.len();
            without_needless(&mut scopes, &lacking);
            if scopes.len() == before {
                break;
            }
        }
        without_needless(&mut scopes, &held);
        Some(scopes.into_iter().collect())
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
