//! How gate and child get to know each other, and what callers are told of the child.

use std::sync::Arc;

use super::{
    call::Call,
    connection::Connection,
    lines::printable,
    translation::{self, ChildEra},
    wire::{self, Outcome},
};
use crate::{
    message::{
        ProtocolVersion,
        json::{Json, Object},
    },
    rejection::Rejection,
};

/// What the child says of itself.
pub(super) struct Introduction {
    era: ChildEra,
    capabilities: Object,
    /// Name and version of the program.
    server_info: Option<Json>,
    instructions: Option<Json>,
}

/// Why there is no conversation.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoIntroduction {
    #[error("it did not answer: {}", .0.reason())]
    NoAnswer(Rejection),
    #[error("it knows neither `initialize` nor `server/discover`")]
    NoProtocol,
    #[error("it does not speak MCP {}", MODERN.as_str())]
    OtherVersion,
}

impl From<Rejection> for NoIntroduction {
    fn from(rejection: Rejection) -> Self {
        Self::NoAnswer(rejection)
    }
}

/// Opens the conversation: in the legacy way, which children of both eras know, then in the modern.
pub(super) async fn introduce(
    connection: &Arc<Connection>,
) -> Result<Introduction, NoIntroduction> {
    let ours = wire::object([
        ("protocolVersion", Json::from(LEGACY.as_str())),
        ("capabilities", wire::empty()),
        ("clientInfo", client_info()),
    ]);
    match connection.ask("initialize", ours).await? {
        Outcome::Result(Json::Object(theirs)) => {
            connection.notify("notifications/initialized", None);
            let server_info = theirs.get("serverInfo").cloned();
            return Ok(Introduction::new(ChildEra::Legacy, theirs, server_info));
        }
        Outcome::Error(Json::Object(error)) => {
            let said = error.get("message").and_then(Json::as_str).unwrap_or_default();
            tracing::info!(said = printable(said.as_bytes()), "the upstream refuses `initialize`");
        }
        _ => {}
    }
    let discovered = connection.ask("server/discover", signed(Object::default())).await?;
    let Outcome::Result(Json::Object(theirs)) = discovered else {
        return Err(NoIntroduction::NoProtocol);
    };
    if !is_listed(theirs.get("supportedVersions"), MODERN.as_str()) {
        return Err(NoIntroduction::OtherVersion);
    }
    listen(connection);
    let meta = theirs.get("_meta").and_then(Json::as_object);
    let server_info = meta.and_then(|meta| meta.get(META_SERVER_INFO)).cloned();
    Ok(Introduction::new(ChildEra::Modern, theirs, server_info))
}

/// Asks a modern child to say when its lists change; this one is answered when the child ends.
fn listen(connection: &Connection) {
    let lists = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"];
    let wanted = wire::object(lists.map(|list| (list, Json::Bool(true))));
    let ours = wire::object([("notifications", Json::Object(wanted))]);
    connection.ask_in_passing("subscriptions/listen", signed(ours));
}

/// A request of the gate's own to a modern child.
fn signed(mut params: Object) -> Object {
    let mut meta = Object::default();
    sign(&mut meta);
    params.set("_meta", Json::Object(meta));
    params
}

/// Puts the gate's name under a request to a modern child.
pub(super) fn sign(meta: &mut Object) {
    meta.set(META_VERSION, Json::from(MODERN.as_str()));
    meta.set(META_CAPABILITIES, wire::empty());
    meta.set(META_CLIENT_INFO, client_info());
}

impl Introduction {
    fn new(era: ChildEra, mut theirs: Object, server_info: Option<Json>) -> Self {
        let capabilities = match theirs.remove("capabilities") {
            Some(Json::Object(capabilities)) => capabilities,
            _ => Object::default(),
        };
        Self { era, capabilities, server_info, instructions: theirs.remove("instructions") }
    }

    pub(super) fn era(&self) -> ChildEra {
        self.era
    }

    /// The answer to a legacy caller, in the version it asked for when that is known.
    pub(super) fn initialize_result(&self, call: &Call<'_>) -> Json {
        let asked = call.text("protocolVersion").and_then(ProtocolVersion::named);
        let version = asked.filter(|version| !version.is_modern()).unwrap_or(LEGACY);
        let unnamed = || Json::Object(named("unknown", "0"));
        let mut result = wire::object([
            ("protocolVersion", Json::from(version.as_str())),
            ("capabilities", Json::Object(self.capabilities())),
            ("serverInfo", self.server_info.clone().unwrap_or_else(unnamed)),
        ]);
        self.instruct(&mut result);
        Json::Object(result)
    }

    /// The answer to a modern caller.
    pub(super) fn discover_result(&self) -> Json {
        let versions = Json::Array(vec![Json::from(MODERN.as_str())]);
        let mut result = wire::object([
            ("supportedVersions", versions),
            ("capabilities", Json::Object(self.capabilities())),
        ]);
        self.instruct(&mut result);
        translation::complete("server/discover", &mut result);
        if let Some(server_info) = &self.server_info {
            wire::set_meta(&mut result, META_SERVER_INFO, server_info.clone());
        }
        Json::Object(result)
    }

    fn instruct(&self, result: &mut Object) {
        if let Some(instructions) = &self.instructions {
            result.set("instructions", instructions.clone());
        }
    }

    /// Of the child's capabilities those that can be served through the gate.
    fn capabilities(&self) -> Object {
        let mut served = Object::default();
        for name in ["tools", "prompts", "resources", "completions"] {
            let Some(Json::Object(capability)) = self.capabilities.get(name) else { continue };
            let mut capability = capability.clone();
            // A modern child would have to be asked again for each resource.
            if self.era == ChildEra::Modern {
                capability.remove("subscribe");
            }
            served.set(name, Json::Object(capability));
        }
        served
    }
}

fn is_listed(list: Option<&Json>, word: &str) -> bool {
    matches!(list, Some(Json::Array(items)) if items.iter().any(|i| i.as_str() == Some(word)))
}

fn client_info() -> Json {
    Json::Object(named("cedargate", env!("CARGO_PKG_VERSION")))
}

fn named(name: &str, version: &str) -> Object {
    wire::object([("name", Json::from(name)), ("version", Json::from(version))])
}

const LEGACY: ProtocolVersion = ProtocolVersion::V2025_11_25;
const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const META_SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
