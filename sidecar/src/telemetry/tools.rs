//! Decisions by tool and reason. A tool has a label of its own while the policies in force know it;
//! callers make up none.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use super::measures::Counter;
use crate::rejection::REASONS;

/// Counts decisions.
#[derive(Debug)]
pub(crate) struct Decisions {
    /// Calls of tools that nobody knows, or that were refused before policy was asked.
    other: ByReason,
    /// Whatever calls no tool.
    none: ByReason,
    /// Those in force. Swapped whole.
    known: ArcSwap<Known>,
    /// Everything that was ever told of, with its counts. Held while a new set of policies is taken
    /// up, and while it is read.
    told: Mutex<BTreeMap<Arc<str>, Arc<ByReason>>>,
}

/// The tools of one set of policies.
#[derive(Debug, Default)]
struct Known {
    version: String,
    tools: HashMap<Arc<str>, (Arc<str>, Arc<ByReason>)>,
}

/// One counter for each reason code, and for two words that are none.
#[derive(Debug)]
pub(crate) struct ByReason {
    others: [&'static str; 2],
    counters: [Counter; REASONS.len() + 2],
}

/// Which tool a request calls, as far as it may be told.
#[derive(Debug, Clone, Default)]
pub(crate) enum CalledTool {
    /// None.
    #[default]
    None,
    /// One that is not known, or not known yet.
    Other,
    /// One of those in force.
    Known(Arc<str>, Arc<ByReason>),
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            other: ByReason::of_decisions(),
            none: ByReason::of_decisions(),
            known: ArcSwap::default(),
            told: Mutex::default(),
        }
    }
}

impl ByReason {
    /// With two words that are not reason codes. What is neither is counted as the second.
    pub(super) fn and(others: [&'static str; 2]) -> Self {
        Self { others, counters: std::array::from_fn(|_| Counter::default()) }
    }

    fn of_decisions() -> Self {
        Self::and([PERMITTED, ABANDONED])
    }

    pub(crate) fn count(&self, reason: &str) {
        let number = match self.others.iter().position(|other| *other == reason) {
            Some(other) => REASONS.len() + other,
            None => REASONS.binary_search(&reason).unwrap_or(REASONS.len() + 1),
        };
        if let Some(counter) = self.counters.get(number) {
            counter.one_more();
        }
    }

    /// Every reason that there was, and how often.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let reasons = REASONS.into_iter().chain(self.others);
        std::iter::zip(reasons, &self.counters)
            .map(|(reason, counter)| (reason, counter.get()))
            .filter(|(_, count)| *count > 0)
    }
}

impl CalledTool {
    /// Its name, if it is known.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Known(name, _) => Some(name),
            Self::None | Self::Other => None,
        }
    }
}

impl Decisions {
    pub(super) fn count(&self, tool: &CalledTool, reason: &'static str) {
        match tool {
            CalledTool::None => self.none.count(reason),
            CalledTool::Other => self.other.count(reason),
            CalledTool::Known(_, by_reason) => by_reason.count(reason),
        }
    }

    /// A tool that a request calls under the policies of this version, which know these.
    pub(super) fn tool<'a, Names: Iterator<Item = &'a str>>(
        &self,
        name: &str,
        version: &str,
        in_force: impl FnOnce() -> Names,
    ) -> CalledTool {
        let known = self.known.load();
        if known.version == version {
            return known.tool(name);
        }
        self.take_up(version, in_force());
        self.known.load().tool(name)
    }

    /// Takes up a new set. Tools that are gone keep their counts while there is room.
    fn take_up<'a>(&self, version: &str, in_force: impl Iterator<Item = &'a str>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<&str> = in_force.collect();
        names.sort_unstable();
        names.truncate(MAX_TOOLS);
        if names.iter().filter(|name| !told.contains_key(**name)).count() + told.len() > MAX_TOOLS {
            told.retain(|name, _| names.binary_search(&name.as_ref()).is_ok());
        }
        let mut known = Known { version: version.to_owned(), tools: HashMap::new() };
        for name in names {
            let name: Arc<str> = name.into();
            let by_reason = Arc::clone(
                told.entry(Arc::clone(&name)).or_insert_with(|| Arc::new(ByReason::of_decisions())),
            );
            known.tools.insert(Arc::clone(&name), (name, by_reason));
        }
        self.known.store(Arc::new(known));
    }

    /// Tool, reason and count of everything that there was.
    pub(super) fn counted(&self) -> Vec<(Cow<'static, str>, &'static str, u64)> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of = |tool: Cow<'static, str>, by_reason: &ByReason| {
            let counted = by_reason.counted();
            counted.map(|(reason, count)| (tool.clone(), reason, count)).collect::<Vec<_>>()
        };
        let known = told.iter().flat_map(|(tool, by)| of(tool.to_string().into(), by));
        let others = [(NONE, &self.none), (OTHER, &self.other)];
        others.into_iter().flat_map(|(tool, by)| of(tool.into(), by)).chain(known).collect()
    }
}

impl Known {
    fn tool(&self, name: &str) -> CalledTool {
        match self.tools.get(name) {
            Some((name, by)) => CalledTool::Known(Arc::clone(name), Arc::clone(by)),
            None => CalledTool::Other,
        }
    }
}

/// The reason of a permitted request.
pub(crate) const PERMITTED: &str = "permitted";
/// The reason of one whose caller left before it was decided.
pub(crate) const ABANDONED: &str = "abandoned";
/// The label of a tool that nobody knows.
const OTHER: &str = "(other)";
/// The label of what calls no tool.
const NONE: &str = "(none)";
/// Each has a counter for every reason, below a kilobyte.
const MAX_TOOLS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(decisions: &Decisions) -> Vec<String> {
        let all = decisions.counted().into_iter();
        all.map(|(tool, reason, count)| format!("{tool} {reason} {count}")).collect()
    }

    #[test]
    fn only_tools_in_force_have_labels_and_old_ones_keep_their_counts() {
        let decisions = Decisions::default();
        for (version, tool, reason) in [
            ("1", "a", PERMITTED),
            ("1", "made-up", "unknown-tool"),
            ("1", "b", "denied"),
            ("2", "b", "denied"),
            ("2", "a", "hidden"),
        ] {
            let in_force: &[&str] = if version == "1" { &["a", "b"] } else { &["b"] };
            let tool = decisions.tool(tool, version, || in_force.iter().copied());
            decisions.count(&tool, reason);
        }
        decisions.count(&CalledTool::None, ABANDONED);
        assert_eq!(
            counted(&decisions),
            [
                "(none) abandoned 1",
                "(other) hidden 1",
                "(other) unknown-tool 1",
                "a permitted 1",
                "b denied 2"
            ]
        );
    }

    #[test]
    fn reloads_make_no_more_series_than_there_is_room_for() {
        let decisions = Decisions::default();
        for version in 0..20 {
            let names: Vec<String> = (0..400).map(|n| format!("tool-{version}-{n}")).collect();
            for name in &names {
                let all = || names.iter().map(String::as_str);
                let tool = decisions.tool(name, &version.to_string(), all);
                assert_eq!(tool.name(), Some(name.as_str()));
                decisions.count(&tool, "denied");
            }
            assert!(decisions.counted().len() <= MAX_TOOLS, "{}", decisions.counted().len());
        }
        let names: Vec<String> = (0..3_000).map(|n| format!("many-{n:04}")).collect();
        let all = || names.iter().map(String::as_str);
        assert_eq!(decisions.tool("many-0999", "many", all).name(), Some("many-0999"));
        assert_eq!(decisions.tool("many-1000", "many", all).name(), None);
    }
}
