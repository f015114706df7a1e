//! Tools as they were accepted, and whether they still are the same.
//!
//! `tools.lock` records what the server offered when somebody looked at it. A tool whose definition
//! is another now is "changed", one that is not recorded is "new"; policies see it as `resource.pin`.
//! Definitions are looked at as they pass in lists, which is the only way on which they reach a
//! client. A change stays a change until the lock or the policies are loaded anew: who shows a caller
//! one thing and another caller another is not to be trusted again by himself.

pub(crate) mod change;
pub(crate) mod lock;

use std::collections::{BTreeSet, HashMap};

use arc_swap::ArcSwap;
use serde_json::Value;

use crate::message::json::Object;
pub(crate) use lock::Lock;

/// Whether a tool is the one that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    Match,
    New,
    Changed,
}

impl Pin {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::New => "new",
            Self::Changed => "changed",
        }
    }
}

/// The accepted tools of the server, and those that were seen changed since.
#[derive(Debug, Default)]
pub(super) struct Pins {
    tools: HashMap<String, Pinned>,
    changed: ArcSwap<BTreeSet<String>>,
}

/// One accepted tool.
#[derive(Debug)]
struct Pinned {
    digest: String,
    definition: Value,
}

impl Pins {
    pub(super) fn of(lock: &Lock) -> Self {
        let tools = lock.tools().map(|(name, digest, definition)| {
            let pinned = Pinned { digest: digest.to_owned(), definition: definition.clone() };
            (name.to_owned(), pinned)
        });
        Self { tools: tools.collect(), changed: ArcSwap::default() }
    }

    /// Of a tool of this name, by what was seen of it so far.
    pub(super) fn pin(&self, name: &str) -> Pin {
        if !self.tools.contains_key(name) {
            return Pin::New;
        }
        if self.changed.load().contains(name) { Pin::Changed } else { Pin::Match }
    }

    /// Looks at a definition as it passes.
    pub(super) fn look(&self, name: &str, definition: &Object) -> Pin {
        let Some(pinned) = self.tools.get(name) else { return Pin::New };
        let now = definition.to_value();
        if lock::digest_of(&now) == pinned.digest {
            return self.pin(name);
        }
        if !self.changed.load().contains(name) {
            let changes = change::between(&pinned.definition, &now);
            let changes: Vec<&str> = changes.iter().map(|change| change.code()).collect();
            tracing::warn!(
                tool = name,
                changes = changes.join(" "),
                "the tool's definition is not the accepted one; see `cedargate tools diff`"
            );
            self.changed.rcu(|before| {
                let mut changed = BTreeSet::clone(before);
                changed.insert(name.to_owned());
                changed
            });
        }
        Pin::Changed
    }

    /// Takes a tool for changed, or none, whatever was seen: to try policies out.
    pub(super) fn suppose_changed(&self, tool: Option<&str>) {
        self.changed.store(std::sync::Arc::new(tool.into_iter().map(str::to_owned).collect()));
    }

    /// The definition that was accepted.
    pub(super) fn accepted(&self, name: &str) -> Option<&Value> {
        self.tools.get(name).map(|pinned| &pinned.definition)
    }
}
