//! Who a caller is to limits: the names that policies know it by, and which rules are about it.

use std::{borrow::Cow, collections::BTreeSet};

use cedar_policy::EntityTypeName;

use super::{annotations::RateLimit, policies::Policies, subject::Principal, vocabulary::uid};
use crate::{config::CallLimit, token::Claims};

/// A caller as policies see it. All of it is from the verified token and the entities file.
#[derive(Clone, Copy)]
pub(crate) struct Standing<'a> {
    policies: &'a Policies,
    principal: Principal<'a>,
}

impl Policies {
    /// Who the bearer of these claims is.
    pub(crate) fn standing<'a>(&'a self, claims: &'a Claims) -> Standing<'a> {
        Standing { policies: self, principal: Principal::of(claims) }
    }
}

impl<'a> Standing<'a> {
    /// The issuer and what it calls the subject.
    pub(crate) fn subject(&self) -> [&'a str; 2] {
        [self.principal.iss, self.principal.sub]
    }

    /// The client.
    pub(crate) fn client(&self) -> Cow<'a, str> {
        self.named(self.principal.client_id)
    }

    /// The groups that the token names.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Cow<'a, str>> {
        self.principal.groups.iter().map(|group| self.named(group))
    }

    /// The zone that the token names.
    pub(crate) fn zone(&self) -> Option<Cow<'a, str>> {
        self.principal.zone.map(|zone| self.named(zone))
    }

    /// Whether the caller is in this group, or in one that is in it.
    pub(crate) fn is_in_group(&self, name: &str) -> bool {
        let own = self.principal.groups;
        own.iter().any(|group| self.is_in(&self.policies.types.group, group, name))
    }

    /// Whether the caller is in this zone, or in one that is in it.
    pub(crate) fn is_in_zone(&self, name: &str) -> bool {
        let own = self.principal.zone;
        own.is_some_and(|zone| self.is_in(&self.policies.types.zone, zone, name))
    }

    /// Whether a rule is about this caller's calls of a tool.
    pub(crate) fn is_subject_to(&self, limit: &CallLimit, tool: &str) -> bool {
        let among = |names: &Option<BTreeSet<String>>, is_it: &dyn Fn(&str) -> bool| {
            names.as_ref().is_none_or(|names| names.iter().any(|name| is_it(name)))
        };
        limit.tools.as_ref().is_none_or(|tools| tools.contains(tool))
            && limit.clients.as_ref().is_none_or(|clients| clients.contains(&*self.client()))
            && among(&limit.groups, &|group| self.is_in_group(group))
            && among(&limit.zones, &|zone| self.is_in_zone(zone))
    }

    /// The strictest of a policy's rate and those of the rules.
    pub(super) fn strictest_rate(&self, tool: &str, of: Option<RateLimit>) -> Option<RateLimit> {
        let limits = self.policies.call_limits.iter();
        let about = limits.filter(|limit| self.is_subject_to(limit, tool));
        about.flat_map(|limit| limit.ceilings.rates()).chain(of).reduce(RateLimit::stricter)
    }

    fn is_in(&self, kind: &EntityTypeName, own: &'a str, name: &str) -> bool {
        let (own, groups) = (self.named(own), &self.policies.groups);
        own == name || !groups.is_empty() && groups.is_in(&uid(kind, &own), &uid(kind, name))
    }

    fn named(&self, name: &'a str) -> Cow<'a, str> {
        self.policies.of_issuer(&self.principal, name)
    }
}
