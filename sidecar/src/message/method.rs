//! The methods Cedargate knows. What is not in this table is refused, whatever a policy says.

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) eras: Eras,
    pub(crate) target: TargetKind,
}

/// How a message travels and what its sender waits for (JSON-RPC 2.0 sections 4 and 5; MCP
/// 2025-11-25, streamable HTTP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Posted; waits for an answer.
    Request,
    /// Posted; waits for nothing.
    Notification,
    /// Posted: the client's answer to a request of the upstream's.
    Response,
    /// GET: listens to what the upstream has to say.
    Listening,
    /// DELETE: ends a session.
    Ending,
}

/// In which protocol eras a method exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eras {
    Both,
    LegacyOnly,
    ModernOnly,
}

/// What a method acts on, and which member of `params` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Server,
    Tool,
    Prompt,
    Resource,
    /// A prompt or a resource template, named by `ref`.
    Reference,
    /// The tool that made a task.
    Task,
}

impl Method {
    /// The row of a method that a body may name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// The row of a request that the upstream may make of a client.
    pub(crate) fn asked_of_clients(name: &str) -> Option<&'static Self> {
        ASKED_OF_CLIENTS.iter().find(|method| method.name == name)
    }

    /// The row of an action that a schema may declare.
    pub(crate) fn of_action(name: &str) -> Option<&'static Self> {
        let unnamed = [&LISTENING, &ENDING].into_iter().find(|method| method.name == name);
        Self::named(name).or_else(|| Self::asked_of_clients(name)).or(unnamed)
    }

    /// Whether this is the one method whose action is the target's own name.
    pub(crate) fn calls_a_tool(&self) -> bool {
        self.target == TargetKind::Tool
    }

    /// Whether a modern request must repeat its target in `Mcp-Name`.
    pub(crate) fn mirrors_its_target(&self) -> bool {
        match self.target {
            TargetKind::Tool | TargetKind::Prompt => true,
            TargetKind::Resource => self.name == "resources/read",
            TargetKind::Task => matches!(self.name, "tasks/get" | "tasks/update" | "tasks/cancel"),
            TargetKind::Server | TargetKind::Reference => false,
        }
    }

    /// Whether it may be answered with a demand for more input (MCP 2026-07-28, MRTR).
    pub(crate) fn may_ask_back(&self) -> bool {
        matches!(self.name, "tools/call" | "prompts/get" | "resources/read")
    }

    /// Whether its answer says who may keep it (MCP 2026-07-28, caching).
    pub(crate) fn is_cacheable(&self) -> bool {
        matches!(
            self.name,
            "server/discover"
                | "tools/list"
                | "prompts/list"
                | "resources/list"
                | "resources/templates/list"
                | "resources/read"
        )
    }

    /// Whether its answer is a stream for as long as somebody listens.
    pub(crate) fn listens(&self) -> bool {
        self.form == Form::Listening || self.name == "subscriptions/listen"
    }
}

impl TargetKind {
    const NAMED: [(Self, &'static str); 4] = [
        (Self::Tool, "tool"),
        (Self::Task, "task"),
        (Self::Prompt, "prompt"),
        (Self::Resource, "resource"),
    ];

    /// What it is called inside of a sealed id.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(_, own)| *own == name).map(|(kind, _)| *kind)
    }

    /// The member of `params` that names the target.
    pub(crate) fn member(self) -> Option<&'static str> {
        match self {
            Self::Server | Self::Reference => None,
            Self::Tool | Self::Prompt => Some("name"),
            Self::Resource => Some("uri"),
            Self::Task => Some("taskId"),
        }
    }
}

const fn row(name: &'static str, form: Form, eras: Eras, target: TargetKind) -> Method {
    Method { name, form, eras, target }
}

use Eras::{Both, LegacyOnly, ModernOnly};
use Form::{Ending, Listening, Notification, Request, Response};
use TargetKind::{Prompt, Reference, Resource, Server, Task, Tool};

/// MCP 2025-03-26 to 2026-07-28, client to server, with the extensions for tasks (SEP-2663) and
/// skills (SEP-2640).
pub(crate) const METHODS: [Method; 27] = [
    row("initialize", Request, LegacyOnly, Server),
    row("ping", Request, LegacyOnly, Server),
    row("server/discover", Request, ModernOnly, Server),
    row("logging/setLevel", Request, LegacyOnly, Server),
    row("tools/list", Request, Both, Server),
    row("tools/call", Request, Both, Tool),
    row("prompts/list", Request, Both, Server),
    row("prompts/get", Request, Both, Prompt),
    row("resources/list", Request, Both, Server),
    row("resources/templates/list", Request, Both, Server),
    row("resources/read", Request, Both, Resource),
    row("resources/directory/read", Request, Both, Resource),
    row("resources/subscribe", Request, LegacyOnly, Resource),
    row("resources/unsubscribe", Request, LegacyOnly, Resource),
    row("subscriptions/listen", Request, ModernOnly, Server),
    row("completion/complete", Request, Both, Reference),
    row("skills/list", Request, Both, Server),
    row("skills/get", Request, Both, Resource),
    row("tasks/get", Request, Both, Task),
    row("tasks/cancel", Request, Both, Task),
    row("tasks/update", Request, ModernOnly, Task),
    row("tasks/result", Request, LegacyOnly, Task),
    row("tasks/list", Request, LegacyOnly, Server),
    row("notifications/initialized", Notification, LegacyOnly, Server),
    row("notifications/cancelled", Notification, LegacyOnly, Server),
    row("notifications/progress", Notification, LegacyOnly, Server),
    row("notifications/roots/list_changed", Notification, LegacyOnly, Server),
];

/// Server to client: with a request's own form in the legacy era, inside of results in the modern.
const ASKED_OF_CLIENTS: [Method; 4] = [
    row("sampling/createMessage", Response, Both, Server),
    row("elicitation/create", Response, Both, Server),
    row("roots/list", Response, Both, Server),
    row("ping", Response, LegacyOnly, Server),
];

/// An HTTP GET.
pub(super) const LISTENING: Method = row("session/listen", Listening, LegacyOnly, Server);
/// An HTTP DELETE.
pub(super) const ENDING: Method = row("session/end", Ending, LegacyOnly, Server);
/// A response, of which it is not yet known what it answers.
pub(super) const RESPONSE: Method = row("response", Response, LegacyOnly, Server);
