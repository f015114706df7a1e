//! The methods Cedargate knows. What is not in this table is refused, whatever a policy says.

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) eras: Eras,
    pub(crate) target: TargetKind,
}

/// Whether the sender waits for an answer (JSON-RPC 2.0 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Request,
    Notification,
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
}

impl Method {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// Whether this is the one method whose action is the target's own name.
    pub(crate) fn calls_a_tool(&self) -> bool {
        self.target == TargetKind::Tool
    }
}

impl TargetKind {
    /// The member of `params` that names the target.
    pub(crate) fn member(self) -> Option<&'static str> {
        match self {
            Self::Server => None,
            Self::Tool | Self::Prompt => Some("name"),
            Self::Resource => Some("uri"),
        }
    }
}

const fn row(name: &'static str, form: Form, eras: Eras, target: TargetKind) -> Method {
    Method { name, form, eras, target }
}

/// MCP 2025-03-26 to 2026-07-28, client to server.
pub(crate) const METHODS: [Method; 11] = [
    row("initialize", Form::Request, Eras::LegacyOnly, TargetKind::Server),
    row("notifications/initialized", Form::Notification, Eras::LegacyOnly, TargetKind::Server),
    row("notifications/cancelled", Form::Notification, Eras::LegacyOnly, TargetKind::Server),
    row("ping", Form::Request, Eras::LegacyOnly, TargetKind::Server),
    row("server/discover", Form::Request, Eras::ModernOnly, TargetKind::Server),
    row("tools/list", Form::Request, Eras::Both, TargetKind::Server),
    row("tools/call", Form::Request, Eras::Both, TargetKind::Tool),
    row("prompts/list", Form::Request, Eras::Both, TargetKind::Server),
    row("prompts/get", Form::Request, Eras::Both, TargetKind::Prompt),
    row("resources/list", Form::Request, Eras::Both, TargetKind::Server),
    row("resources/read", Form::Request, Eras::Both, TargetKind::Resource),
];
