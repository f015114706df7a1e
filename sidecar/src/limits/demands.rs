//! Which budgets a call is taken from.

use std::borrow::Cow;

use super::store::{Demand, Purpose};
use crate::{
    authz::{RateLimit, Standing},
    config::{CallLimit, Ceilings, Dimension, Rate},
};

/// What a call is taken from, and by which rule.
#[derive(Debug, Default)]
pub(super) struct Demands<'a> {
    pub(super) demands: Vec<Demand>,
    /// Of each demand its rule's id.
    pub(super) rules: Vec<&'a str>,
}

impl<'a> Demands<'a> {
    /// What the policies that permit a call grant its subject, through whichever client. Calls that
    /// different rates apply to count apart.
    pub(super) fn by_policy(&mut self, limit: RateLimit, standing: &Standing<'_>, tool: &str) {
        let mut key = Key::of(BY_POLICY);
        key.part(&limit.to_string());
        standing.subject().iter().for_each(|name| key.part(name));
        key.part(tool);
        let ceilings = Ceilings { rate: Some(Rate::of(limit)), ..Ceilings::default() };
        self.push(BY_POLICY, key, ceilings);
    }

    /// What a rule grants, if it is about this call. A rule that counts by group has a budget for
    /// each group that the caller is in.
    pub(super) fn by_rule(
        &mut self,
        rule: &'a CallLimit,
        (standing, server): (&Standing<'_>, &str),
        tool: &str,
        purpose: Purpose,
    ) {
        let concerned = match purpose {
            Purpose::Call => true,
            Purpose::Yield => rule.ceilings.result_bytes_per_day.is_some(),
        };
        if !concerned || !standing.is_subject_to(rule, tool) {
            return;
        }
        for group in groups(rule, standing) {
            for zone in zones(rule, standing) {
                let mut key = Key::of(&rule.id);
                for dimension in &rule.per {
                    match dimension {
                        Dimension::Principal => standing.subject().iter().for_each(|n| key.part(n)),
                        Dimension::Tool => key.part(tool),
                        Dimension::Group => key.part_or_none(group.as_deref()),
                        Dimension::Client => key.part(&standing.client()),
                        Dimension::Zone => key.part_or_none(zone.as_deref()),
                        Dimension::Server => key.part(server),
                    }
                }
                self.push(&rule.id, key, rule.ceilings);
            }
        }
    }

    fn push(&mut self, rule: &'a str, key: Key, ceilings: Ceilings) {
        self.demands.push(Demand { key: key.0.into_boxed_str(), ceilings });
        self.rules.push(rule);
    }
}

/// The groups in which a call counts: those of the rule's that the caller is in, or where the rule
/// names none those of the token. Whoever is in no group counts with all others who are in none, so
/// that nobody is beyond the rule.
fn groups<'a>(rule: &'a CallLimit, standing: &Standing<'a>) -> Vec<Option<Cow<'a, str>>> {
    let named: Vec<_> = match &rule.groups {
        _ if !rule.per.contains(&Dimension::Group) => Vec::new(),
        None => standing.groups().map(Some).collect(),
        Some(names) => among(names.iter().filter(|group| standing.is_in_group(group))),
    };
    if named.is_empty() { vec![None] } else { named }
}

/// The same of zones, of which a token names one.
fn zones<'a>(rule: &'a CallLimit, standing: &Standing<'a>) -> Vec<Option<Cow<'a, str>>> {
    let named: Vec<_> = match &rule.zones {
        _ if !rule.per.contains(&Dimension::Zone) => Vec::new(),
        None => standing.zone().map(Some).into_iter().collect(),
        Some(names) => among(names.iter().filter(|zone| standing.is_in_zone(zone))),
    };
    if named.is_empty() { vec![None] } else { named }
}

fn among<'a>(names: impl Iterator<Item = &'a String>) -> Vec<Option<Cow<'a, str>>> {
    names.map(|name| Some(Cow::Borrowed(name.as_str()))).collect()
}

/// A budget's name: each part with its length in front, so that no two lists make one text.
struct Key(String);

impl Key {
    fn of(rule: &str) -> Self {
        let mut key = Self(String::with_capacity(96));
        key.part(rule);
        key
    }

    fn part(&mut self, text: &str) {
        self.0.push_str(&text.len().to_string());
        self.0.push(':');
        self.0.push_str(text);
    }

    fn part_or_none(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.part(text),
            None => self.0.push('-'),
        }
    }
}

/// What stands in records for a policy's rate, where a rule's id stands otherwise. No rule has that
/// id.
pub(crate) const BY_POLICY: &str = "@rate_limit";
