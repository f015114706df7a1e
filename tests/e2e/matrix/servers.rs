use std::{path::Path, process::Stdio};

use harness::{Program, StackBuilder, eventually, free_port};
use rmcp::{RoleClient, ServiceExt as _, model::ClientConfig, transport::IntoTransport};
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Command};

use super::desk::Desk;

/// An official server, and what is asked of it.
pub(super) struct Server {
    pub(super) name: &'static str,
    upstream: Upstream,
    /// As parameters of `tools/call`: one whose arguments are forbidden, one of a tool that is
    /// forbidden, and after these refusals a permitted one.
    pub(super) calls: [Value; 3],
    /// What forbids the first.
    condition: &'static str,
    /// Part of the answer to the last.
    pub(super) answer: &'static str,
}

enum Upstream {
    Stdio { command: Vec<String>, environment: String },
    Http { port: u16, _running: Program },
}

impl Server {
    pub(super) fn all(desk: &Desk<'_>) -> [Self; 5] {
        let everything = desk.node_server("server-everything");
        let over_stdio = [everything.clone(), vec!["stdio".to_owned()]].concat();
        [
            Self::everything("server-everything", Upstream::stdio(over_stdio)),
            Self::everything("the same, HTTP", Upstream::http(&everything, desk)),
            Self::filesystem(desk),
            Self::memory(desk),
            Self::time(desk),
        ]
    }

    fn everything(name: &'static str, upstream: Upstream) -> Self {
        Self {
            name,
            upstream,
            calls: [
                json!({ "name": "get-sum", "arguments": { "a": 13, "b": 0.5 } }),
                json!({ "name": "get-env", "arguments": {} }),
                json!({ "name": "get-sum", "arguments": { "a": 2, "b": 3 } }),
            ],
            condition: r#"context.input.a == decimal("13.0")"#,
            answer: "The sum of 2 and 3 is 5.",
        }
    }

    fn filesystem(desk: &Desk<'_>) -> Self {
        let folder = desk.path("files");
        let of = |tool: &str, file: &str| json!({ "name": tool, "arguments": { "path": format!("{folder}/{file}") } });
        let command = [desk.node_server("server-filesystem"), vec![folder.clone()]].concat();
        Self {
            name: "server-filesystem",
            upstream: Upstream::stdio(command),
            calls: [
                of("read_text_file", "secret.txt"),
                of("create_directory", "new"),
                of("read_text_file", "notes.txt"),
            ],
            condition: r#"context.input.path like "*secret*""#,
            answer: "cedar keeps moths away",
        }
    }

    fn memory(desk: &Desk<'_>) -> Self {
        let of = |tool: &str, member: &str, name: &str| json!({ "name": tool, "arguments": { member: [name] } });
        let path = desk.path("memory.jsonl");
        Self {
            name: "server-memory",
            upstream: Upstream::Stdio {
                command: desk.node_server("server-memory"),
                environment: format!("environment = {{ MEMORY_FILE_PATH = {path:?} }}"),
            },
            calls: [
                of("open_nodes", "names", "Moth"),
                of("delete_entities", "entityNames", "Cedar"),
                of("open_nodes", "names", "Cedar"),
            ],
            condition: r#"context.input.names.contains("Moth")"#,
            answer: "smells good",
        }
    }

    fn time(desk: &Desk<'_>) -> Self {
        let to = |zone: &str| {
            let arguments =
                json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": zone });
            json!({ "name": "convert_time", "arguments": arguments })
        };
        Self {
            name: "mcp-server-time",
            upstream: Upstream::stdio(desk.python_server("mcp_server_time")),
            calls: [
                to("Europe/Berlin"),
                json!({ "name": "get_current_time", "arguments": { "timezone": "UTC" } }),
                to("Asia/Tokyo"),
            ],
            condition: r#"context.input.target_timezone == "Europe/Berlin""#,
            answer: "21:00",
        }
    }

    /// A tool that is permitted, if not with any arguments.
    pub(super) fn listed(&self) -> &str {
        self.calls[0]["name"].as_str().unwrap()
    }

    /// The tool that is forbidden.
    pub(super) fn hidden(&self) -> &str {
        self.calls[1]["name"].as_str().unwrap()
    }

    pub(super) fn policies(&self) -> String {
        let (tool, hidden, condition) = (self.listed(), self.hidden(), self.condition);
        format!(
            r#"
            @id("protocol") permit (principal, action, resource is Mcp::Server);
            @id("tools-for-a-scope")
            permit (principal, action in Mcp::Action::"call_tool", resource)
            when {{ principal.scopes.contains("customer:read") }};
            @id("not-with-these-arguments")
            forbid (principal, action == Mcp::Action::{tool:?}, resource) when {{ {condition} }};
            @id("not-at-all")
            forbid (principal, action == Mcp::Action::{hidden:?}, resource);
            "#
        )
    }

    /// A stack whose gate stands before it.
    pub(super) fn behind(&self, stack: StackBuilder) -> StackBuilder {
        match &self.upstream {
            Upstream::Stdio { command, environment } => {
                stack.upstream_command(command).upstream_settings(environment)
            }
            Upstream::Http { port, .. } => stack.upstream_url(&at(*port)),
        }
    }

    /// Its tools, as it lists them itself.
    pub(super) async fn tools(&self) -> Vec<Value> {
        match &self.upstream {
            Upstream::Stdio { command, .. } => {
                let mut child = Command::new(&command[0])
                    .args(&command[1..])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .kill_on_drop(true)
                    .spawn()
                    .unwrap();
                listed((child.stdout.take().unwrap(), child.stdin.take().unwrap())).await
            }
            Upstream::Http { port, .. } => {
                let listens = async || TcpStream::connect(("127.0.0.1", *port)).await.is_ok();
                eventually("the server listens", listens).await;
                listed(rmcp::transport::StreamableHttpClientTransport::from_uri(at(*port))).await
            }
        }
    }
}

impl Upstream {
    fn stdio(command: Vec<String>) -> Self {
        Self::Stdio { command, environment: String::new() }
    }

    /// Starts it: its port comes with the environment.
    fn http(command: &[String], desk: &Desk<'_>) -> Self {
        let port = free_port();
        let variable = format!("PORT={port}");
        let mut arguments = vec![variable.as_str()];
        arguments.extend(command.iter().map(String::as_str));
        arguments.push("streamableHttp");
        let running = Program::start_quietly("env", &arguments, Path::new(&desk.path(".")));
        Self::Http { port, _running: running }
    }
}

fn at(port: u16) -> String {
    format!("http://127.0.0.1:{port}/mcp")
}

async fn listed<E, A>(transport: impl IntoTransport<RoleClient, E, A>) -> Vec<Value>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let client = ClientConfig::default().serve(transport).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    client.cancel().await.unwrap();
    tools.iter().map(|tool| serde_json::to_value(tool).unwrap()).collect()
}
