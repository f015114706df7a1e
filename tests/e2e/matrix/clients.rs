use std::path::Path;

use harness::{Stack, repository};
use rmcp::{
    ClientLifecycleMode, ClientServiceExt as _,
    model::{CallToolRequestParams, ClientConfig, ProtocolVersion},
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{desk::Desk, servers::Server};

/// An official client, in one of its modes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Client {
    Python(&'static str),
    TypeScript(&'static str),
    Inspector(&'static str),
    Rust(&'static str),
}

/// A client that is to use one server through the gate.
pub(super) struct Visit<'a> {
    pub(super) client: Client,
    pub(super) desk: &'a Desk<'a>,
    pub(super) stack: &'a Stack,
    pub(super) server: &'a Server,
    pub(super) token: String,
}

/// What came of it.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    /// The protocol version, as far as the client says.
    pub(super) protocol: Option<String>,
    pub(super) tools: Vec<String>,
    /// To the server's calls.
    pub(super) answers: [Answer; 3],
}

/// What a client shows of one call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Text(String),
    Refused(String),
}

impl Client {
    pub(super) const ALL: [Self; 8] = [
        Self::Python("auto"),
        Self::TypeScript("legacy"),
        Self::TypeScript("auto"),
        Self::TypeScript("v1"),
        Self::Inspector("legacy"),
        Self::Inspector("auto"),
        Self::Rust("legacy"),
        Self::Rust("auto"),
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Python(mode) => format!("Python SDK, {mode}"),
            Self::TypeScript("v1") => "TypeScript SDK 1".to_owned(),
            Self::TypeScript(mode) => format!("TypeScript SDK 2, {mode}"),
            Self::Inspector(mode) => format!("Inspector, {mode}"),
            Self::Rust(mode) => format!("rmcp, {mode}"),
        }
    }
}

impl Answer {
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Refused(_) => None,
        }
    }

    pub(super) fn refusal(self) -> Option<String> {
        match self {
            Self::Refused(words) => Some(words),
            Self::Text(_) => None,
        }
    }
}

impl Visit<'_> {
    pub(super) async fn pay(self) -> (Client, Found) {
        let found = match self.client {
            Client::Python(mode) => {
                let script = repository().join("tests/foreign/calls.py");
                self.script(self.desk.python(), &script, mode).await
            }
            Client::TypeScript(mode) => {
                let script = self.desk.path("calls.mjs");
                self.script(self.desk.node(), Path::new(&script), mode).await
            }
            Client::Inspector(mode) => self.inspector(mode).await,
            Client::Rust(mode) => self.rmcp(mode).await,
        };
        (self.client, found)
    }

    /// A program that trusts the stack.
    fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("SSL_CERT_FILE", self.stack.home().join("ca.pem"))
            .env("NODE_EXTRA_CA_CERTS", self.stack.home().join("ca.pem"))
            .env("HOME", self.desk.path("."))
            .kill_on_drop(true);
        command
    }

    /// A client in `tests/foreign`, which does everything in one session.
    async fn script(&self, interpreter: &Path, script: &Path, mode: &str) -> Found {
        let task = json!({
            "url": self.stack.resource(),
            "token": self.token,
            "mode": mode,
            "calls": self.server.calls,
        });
        let mut command = self.program(interpreter);
        let output = command.arg(script).arg(task.to_string()).output().await.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {complaint}", self.client);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The Inspector does one thing a run.
    async fn inspector(&self, era: &str) -> Found {
        let listed = self.inspect(era, &["--method", "tools/list"]).await.unwrap();
        let tools = listed["tools"].as_array().unwrap().iter();
        let mut answers = Vec::new();
        for call in &self.server.calls {
            let (tool, arguments) = (call["name"].as_str().unwrap(), call["arguments"].to_string());
            let call =
                ["--method", "tools/call", "--tool-name", tool, "--tool-args-json", &arguments];
            answers.push(match self.inspect(era, &call).await {
                Ok(result) => Answer::Text(text(&result)),
                Err(refusal) => Answer::Refused(refusal),
            });
        }
        Found {
            protocol: None,
            tools: tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect(),
            answers: answers.try_into().unwrap(),
        }
    }

    async fn inspect(&self, era: &str, what: &[&str]) -> Result<Value, String> {
        let output = self
            .program(self.desk.node())
            .arg(self.desk.module("inspector/clients/cli/build/index.js"))
            .args(["--transport", "http", "--server-url", &self.stack.resource()])
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .args(["--protocol-era", era, "--format", "json", "--quiet", "--stored-auth-only"])
            .args(what)
            .output()
            .await
            .unwrap();
        if output.status.success() {
            let told: Value = serde_json::from_slice(&output.stdout).unwrap();
            return Ok(told["result"].clone());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let told: Value = serde_json::from_str(complaint.lines().last().unwrap()).unwrap();
        Err(told["error"]["message"].as_str().unwrap().to_owned())
    }

    /// In this process.
    async fn rmcp(&self, mode: &str) -> Found {
        let config = StreamableHttpClientTransportConfig::with_uri(self.stack.resource());
        let config = config.auth_header(self.token.clone());
        let transport = StreamableHttpClientTransport::with_client(self.stack.http(), config);
        let lifecycle = match mode {
            "auto" => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::V_2025_11_25),
            },
            _ => ClientLifecycleMode::Initialize,
        };
        let client = ClientConfig::default();
        let client = client.serve_with_lifecycle(transport, lifecycle).await.unwrap();
        let tools = client.list_all_tools().await.unwrap();
        let mut answers = Vec::new();
        for call in &self.server.calls {
            let name = call["name"].as_str().unwrap().to_owned();
            let arguments = call["arguments"].as_object().unwrap().clone();
            let call = CallToolRequestParams::new(name).with_arguments(arguments);
            answers.push(match client.call_tool(call).await {
                Ok(result) => Answer::Text(text(&serde_json::to_value(result).unwrap())),
                Err(error) => Answer::Refused(without_type_name(&error.to_string())),
            });
        }
        let protocol = client.peer_info().map(|info| info.protocol_version.to_string());
        client.cancel().await.unwrap();
        Found {
            protocol,
            tools: tools.iter().map(|tool| tool.name.to_string()).collect(),
            answers: answers.try_into().unwrap(),
        }
    }
}

/// How rmcp words it, whatever its transport is called.
fn without_type_name(words: &str) -> String {
    words.split_once("] error: ").map_or(words, |(_, words)| words).to_owned()
}

/// The first part of a result.
fn text(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap().to_owned()
}
