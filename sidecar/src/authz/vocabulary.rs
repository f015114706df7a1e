//! The names that policies use: entity types, actions, members of the context.

use std::str::FromStr;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use crate::message::Method;

/// Names of the entity types, parsed once.
#[derive(Debug)]
pub(super) struct EntityTypes {
    pub(super) user: EntityTypeName,
    pub(super) group: EntityTypeName,
    pub(super) zone: EntityTypeName,
    pub(super) client: EntityTypeName,
    pub(super) server: EntityTypeName,
    pub(super) tool: EntityTypeName,
    pub(super) prompt: EntityTypeName,
    pub(super) resource: EntityTypeName,
    pub(super) action: EntityTypeName,
}

impl EntityTypes {
    pub(super) fn new() -> Result<Self, String> {
        let named = |name: &str| {
            EntityTypeName::from_str(&format!("{NAMESPACE}::{name}")).map_err(|e| e.to_string())
        };
        Ok(Self {
            user: named("OAuthUser")?,
            group: named("Group")?,
            zone: named("Zone")?,
            client: named("Client")?,
            server: named("Server")?,
            tool: named("Tool")?,
            prompt: named("Prompt")?,
            resource: named("Resource")?,
            action: named("Action")?,
        })
    }

    pub(super) fn server(&self, name: &str) -> EntityUid {
        uid(&self.server, name)
    }

    pub(super) fn action(&self, id: &str) -> EntityUid {
        uid(&self.action, id)
    }
}

/// The action of a tool: its own name, unless that is a group's or a method's; those get `tool:` in
/// front, and so does a name that has it already, so that no two names share an action.
pub(crate) fn tool_action(name: &str) -> String {
    let taken = GROUPS.contains(&name) || Method::of_action(name).is_some();
    if taken || name.starts_with(TOOL_PREFIX) {
        return format!("{TOOL_PREFIX}{name}");
    }
    name.to_owned()
}

/// The tool whose action has this name.
pub(super) fn tool_of_action(action: &str) -> &str {
    action.strip_prefix(TOOL_PREFIX).unwrap_or(action)
}

/// An exact id: no two names make one entity.
pub(super) fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

pub(super) const NAMESPACE: &str = "Mcp";
pub(super) const CALL_TOOL: &str = "call_tool";
const TOOL_PREFIX: &str = "tool:";
/// Groups of actions.
const GROUPS: [&str; 11] = [
    "mcp",
    CALL_TOOL,
    "get_prompt",
    "read_resource",
    "subscribe",
    "complete",
    "ask_client",
    "use_task",
    "list",
    "protocol",
    "tool_result",
];
