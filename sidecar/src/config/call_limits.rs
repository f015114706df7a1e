//! How many calls of tools callers are granted: rules beside what policies say with `@rate_limit`.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use bytesize::ByteSize;
use serde::Deserialize;

use super::raw::Problems;
use crate::authz::{RateLimit, is_kebab_case};

/// A rule: to which calls it applies, which of them count together, and how many there may be.
#[derive(Debug, Clone)]
pub(crate) struct CallLimit {
    /// Records and refusals name it.
    pub(crate) id: Arc<str>,
    /// Calls that agree in all of these count together. In order and once each.
    pub(crate) per: BTreeSet<Dimension>,
    /// The calls of these tools; `None`: of all.
    pub(crate) tools: Option<BTreeSet<String>>,
    /// The calls of principals in any of these groups, as policies name them.
    pub(crate) groups: Option<BTreeSet<String>>,
    /// The calls of principals in any of these zones.
    pub(crate) zones: Option<BTreeSet<String>>,
    /// The calls through these clients.
    pub(crate) clients: Option<BTreeSet<String>>,
    pub(crate) ceilings: Ceilings,
}

/// By what calls are told apart. Nothing that a caller merely claims is among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dimension {
    /// Issuer and subject, through whichever client.
    Principal,
    Tool,
    /// Each group that the principal is in counts the call.
    Group,
    Client,
    Zone,
    /// The one upstream.
    Server,
}

/// How many calls there may be. What is not set is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ceilings {
    pub(crate) rate: Option<Rate>,
    /// Under way at a time.
    pub(crate) concurrent: Option<u32>,
    /// In a day of UTC.
    pub(crate) calls_per_day: Option<u32>,
    /// Of answers, in a day of UTC.
    pub(crate) result_bytes_per_day: Option<u64>,
}

/// Calls that come back evenly, of which so many can be made at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) limit: RateLimit,
    pub(crate) burst: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCallLimit {
    id: String,
    per: Vec<Dimension>,
    tools: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    zones: Option<Vec<String>>,
    clients: Option<Vec<String>>,
    rate: Option<String>,
    burst: Option<u32>,
    concurrent: Option<u32>,
    calls_per_day: Option<u32>,
    result_bytes_per_day: Option<ByteSize>,
}

impl Rate {
    /// As many at once as in the whole time.
    pub(crate) fn of(limit: RateLimit) -> Self {
        Self { limit, burst: limit.calls }
    }

    /// How long until one call comes back.
    pub(crate) fn every(self) -> Duration {
        // More often than every nanosecond is as often as can be.
        (self.limit.per / self.limit.calls.max(1)).max(Duration::from_nanos(1))
    }
}

impl Ceilings {
    /// The rates of calls among them.
    pub(crate) fn rates(&self) -> impl Iterator<Item = RateLimit> {
        let of_day = self.calls_per_day.map(|calls| RateLimit { calls, per: DAY });
        self.rate.map(|rate| rate.limit).into_iter().chain(of_day)
    }
}

pub(super) fn call_limits(raw: Vec<RawCallLimit>, problems: &mut Problems) -> Vec<CallLimit> {
    if raw.len() > MAX_RULES {
        problems.add("call_limits", format!("holds more than {MAX_RULES} rules"));
    }
    let mut ids = HashSet::new();
    let rules = raw.into_iter().enumerate().map(|(number, rule)| {
        let mut problems = InRule { number, problems: &mut *problems };
        if !is_kebab_case(&rule.id) {
            problems.add("id", "must be in kebab-case: lower-case letters, digits and hyphens");
        } else if !ids.insert(rule.id.clone()) {
            problems.add("id", format!("`{}` is another rule's, too", rule.id));
        }
        resolved(rule, &mut problems)
    });
    rules.collect()
}

/// Where problems of one rule are told.
struct InRule<'a> {
    number: usize,
    problems: &'a mut Problems,
}

impl InRule<'_> {
    fn add(&mut self, key: &str, what: impl Into<String>) {
        self.problems.add(format!("call_limits.{}.{key}", self.number), what);
    }

    fn names(&mut self, key: &str, names: Option<Vec<String>>) -> Option<BTreeSet<String>> {
        let names = names?;
        if names.is_empty() || names.iter().any(String::is_empty) {
            self.add(key, "must name something, or be left out");
        }
        Some(names.into_iter().collect())
    }
}

fn resolved(raw: RawCallLimit, problems: &mut InRule<'_>) -> CallLimit {
    let per: BTreeSet<Dimension> = raw.per.iter().copied().collect();
    if per.is_empty() {
        problems.add("per", "names nothing; `per = [\"server\"]` counts all calls together");
    } else if per.len() < raw.per.len() {
        problems.add("per", "names something twice");
    }
    let ceilings = Ceilings {
        rate: rate(raw.rate.as_deref(), raw.burst, problems),
        concurrent: raw.concurrent,
        calls_per_day: raw.calls_per_day,
        result_bytes_per_day: raw.result_bytes_per_day.map(|size| size.as_u64()),
    };
    for (key, zero) in [
        ("concurrent", ceilings.concurrent == Some(0)),
        ("calls_per_day", ceilings.calls_per_day == Some(0)),
        ("result_bytes_per_day", ceilings.result_bytes_per_day == Some(0)),
    ] {
        if zero {
            problems.add(key, "must be more than zero; a `forbid` refuses all calls");
        }
    }
    if raw.rate.is_none() && ceilings == Ceilings::default() {
        let what =
            "limits nothing; set `rate`, `concurrent`, `calls_per_day` or `result_bytes_per_day`";
        problems.add("id", what);
    }
    CallLimit {
        per,
        tools: problems.names("tools", raw.tools),
        groups: problems.names("groups", raw.groups),
        zones: problems.names("zones", raw.zones),
        clients: problems.names("clients", raw.clients),
        ceilings,
        id: raw.id.into(),
    }
}

fn rate(text: Option<&str>, burst: Option<u32>, problems: &mut InRule<'_>) -> Option<Rate> {
    let Some(text) = text else {
        if burst.is_some() {
            problems.add("burst", "is part of a `rate`, and there is none");
        }
        return None;
    };
    let Some(limit) = RateLimit::read(text) else {
        let what = "is no rate such as \"30/minute\", per second, minute, hour or day";
        problems.add("rate", what);
        return None;
    };
    let rate = Rate { limit, burst: burst.unwrap_or(limit.calls) };
    if rate.burst == 0 {
        problems.add("burst", "must be more than zero");
    }
    if rate.every().saturating_mul(rate.burst) > LONGEST_REFILL {
        problems.add("burst", "would take more than a year to come back");
    }
    Some(rate)
}

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// Beyond that a clock's arithmetic comes to its end some day.
const LONGEST_REFILL: Duration = Duration::from_secs(366 * 24 * 3600);
/// Each is asked about every call.
const MAX_RULES: usize = 100;
