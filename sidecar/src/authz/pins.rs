//! Tools as they were accepted, and whether they still are the same.
//!
//! `tools.lock` records what the server offered when somebody looked at it. A tool whose definition
//! is another now is "changed", one that is not recorded is "new"; policies see it as `resource.pin`.
//! Definitions are looked at as they pass in lists, which is the only way on which they reach a
//! client. A change stays a change until another definition is accepted, or an operator says so with
//! SIGHUP or a new start: who shows a caller one thing and another caller another is not to be trusted
//! again by himself.

pub(crate) mod change;
pub(crate) mod lock;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

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

    /// What was seen changed `before`, and has not been accepted since.
    pub(super) fn remember_changes(&self, before: &Self) {
        let digest = |pins: &Self, name: &str| pins.tools.get(name).map(|it| it.digest.clone());
        let mut changed = BTreeSet::clone(&before.changed.load());
        changed.retain(|name| digest(self, name) == digest(before, name));
        self.changed.store(Arc::new(changed));
    }

    /// All that were seen changed and are accepted no otherwise.
    pub(super) fn changed(&self) -> Arc<BTreeSet<String>> {
        self.changed.load_full()
    }

    /// Takes a tool for changed, or none, whatever was seen: to try policies out.
    pub(super) fn suppose_changed(&self, tool: Option<&str>) {
        self.changed.store(Arc::new(tool.into_iter().map(str::to_owned).collect()));
    }

    /// The definition that was accepted.
    pub(super) fn accepted(&self, name: &str) -> Option<&Value> {
        self.tools.get(name).map(|pinned| &pinned.definition)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{authz::offer::Offer, message::json::Json};

    fn pins(description: &str) -> Pins {
        let tool = json!({ "name": "a", "description": description, "inputSchema": {} });
        Pins::of(&Lock::of("s", Offer::read(&json!({ "tools": [tool] })).unwrap()))
    }

    fn look(pins: &Pins, description: &str) -> Pin {
        let tool = json!({ "name": "a", "description": description, "inputSchema": {} });
        let Ok(Json::Object(tool)) = Json::read(tool.to_string().as_bytes()) else { panic!() };
        pins.look("a", &tool)
    }

    #[test]
    fn what_was_seen_changed_once_is_not_trusted_again_by_itself() {
        let accepted = pins("old");
        assert_eq!((accepted.pin("a"), accepted.pin("b")), (Pin::Match, Pin::New));
        assert_eq!(look(&accepted, "new"), Pin::Changed);
        assert_eq!(look(&accepted, "old"), Pin::Changed);
        let loaded_anew = pins("old");
        loaded_anew.remember_changes(&accepted);
        assert_eq!(loaded_anew.pin("a"), Pin::Changed);
        let accepted_anew = pins("new");
        accepted_anew.remember_changes(&accepted);
        assert_eq!(accepted_anew.pin("a"), Pin::Match);
    }
}
