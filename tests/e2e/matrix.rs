//! Official clients list and call tools through the gate in front of official servers. Each calls
//! with arguments that a policy forbids, calls a tool that is forbidden to everyone and must not be
//! listed either, and after these refusals goes on with a call that is permitted.

/// The clients, and what comes of their visits.
mod clients;
/// Programs and files for both.
mod desk;
/// The servers, and what is asked of them.
mod servers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use futures::StreamExt as _;
use harness::{Offered, Stack, skip};
use sidecar::{Decision, DecisionRecord};

use clients::{Client, Found, Visit};
use desk::{Desk, Kit, NEEDED};
use servers::Server;

#[tokio::test(flavor = "multi_thread")]
async fn official_clients_use_official_servers_through_the_gate() {
    let Some(kit) = Kit::find() else {
        return skip(NEEDED);
    };
    let desk = Desk::new(&kit);
    let mut matrix = Matrix::default();
    for server in Server::all(&desk) {
        matrix.stand_before(&server, &desk).await;
    }
    println!("{matrix}");
    insta::assert_snapshot!(matrix, @r#"
    tools listed of offered   server-everything the same, HTTP    server-filesystem server-memory     mcp-server-time
    Inspector, auto           2026-07-28 12/13  2025-11-25 12/13  2026-07-28 13/14  2026-07-28 8/9    2026-07-28 1/2
    Inspector, legacy         2025-11-25 12/13  2025-11-25 12/13  2025-11-25 13/14  2025-11-25 8/9    2025-11-25 1/2
    Python SDK, auto          2026-07-28 12/13  2025-11-25 12/13  2026-07-28 13/14  2026-07-28 8/9    2026-07-28 1/2
    TypeScript SDK 1          2025-11-25 12/13  2025-11-25 12/13  2025-11-25 13/14  2025-11-25 8/9    2025-11-25 1/2
    TypeScript SDK 2, auto    2026-07-28 12/13  2025-11-25 12/13  2026-07-28 13/14  2026-07-28 8/9    2026-07-28 1/2
    TypeScript SDK 2, legacy  2025-11-25 12/13  2025-11-25 12/13  2025-11-25 13/14  2025-11-25 8/9    2025-11-25 1/2
    rmcp, auto                2026-07-28 12/13  2025-11-25 12/13  2026-07-28 13/14  2026-07-28 8/9    2026-07-28 1/2
    rmcp, legacy              2025-11-25 12/13  2025-11-25 12/13  2025-11-25 13/14  2025-11-25 8/9    2025-11-25 1/2

    client, era: reasons on record
      forbidden tool | forbidden arguments, in the client's words
    Inspector, auto, 2025-11-25: denied
      Tool '<tool>' not found on server. | policy does not permit this
    Inspector, auto, 2026-07-28: denied
      Tool '<tool>' not found on server. | Error POSTing to endpoint: {"jsonrpc":"2.0","id":2,"error":{"code":403,"message":"policy does not permit this","data":{"reason":"denied"}}}
    Inspector, legacy, 2025-11-25: denied
      Tool '<tool>' not found on server. | policy does not permit this
    Python SDK, auto, 2025-11-25: denied, hidden
      Unknown tool: <tool> | policy does not permit this
    Python SDK, auto, 2026-07-28: denied, hidden
      Unknown tool: <tool> | policy does not permit this
    TypeScript SDK 1, 2025-11-25: denied, hidden
      MCP error -32602: Unknown tool: <tool> | MCP error 403: policy does not permit this
    TypeScript SDK 2, auto, 2025-11-25: denied, hidden
      Unknown tool: <tool> | policy does not permit this
    TypeScript SDK 2, auto, 2026-07-28: denied, hidden
      Unknown tool: <tool> | Error POSTing to endpoint: {"jsonrpc":"2.0","id":1,"error":{"code":403,"message":"policy does not permit this","data":{"reason":"denied"}}}
    TypeScript SDK 2, legacy, 2025-11-25: denied, hidden
      Unknown tool: <tool> | policy does not permit this
    rmcp, auto, 2025-11-25: denied, hidden
      Mcp error: -32602: Unknown tool: <tool> | Mcp error: 403: policy does not permit this({"reason":"denied"})
    rmcp, auto, 2026-07-28: denied, hidden
      Mcp error: -32602: Unknown tool: <tool> | unexpected server response: HTTP 403 Forbidden: {"jsonrpc":"2.0","id":2,"error":{"code":403,"message":"policy does not permit this","data":{"reason":"denied"}}}
    rmcp, legacy, 2025-11-25: denied, hidden
      Mcp error: -32602: Unknown tool: <tool> | Mcp error: 403: policy does not permit this({"reason":"denied"})
    "#);
}

/// What differs from client to client and from server to server.
#[derive(Debug, Default)]
struct Matrix {
    servers: Vec<&'static str>,
    /// By client: a cell for each server, with the era and the number of tools.
    cells: BTreeMap<String, Vec<String>>,
    /// By client and era: how it words that arguments or a tool are forbidden, and why the gate
    /// refused what reached it.
    refusals: BTreeMap<(String, &'static str), [String; 3]>,
}

impl Matrix {
    /// Lets all clients use one server.
    async fn stand_before(&mut self, server: &Server, desk: &Desk<'_>) {
        self.servers.push(server.name);
        let offered = server.tools().await;
        let stack = server.behind(Stack::with());
        let stack = stack.offered(&Offered::of(&offered)).policies(&server.policies());
        let mut stack = stack.start().await;
        let visits = Client::ALL.map(|client| {
            let token = token(&stack, client);
            Visit { client, desk, stack: &stack, server, token }.pay()
        });
        let visits: Vec<_> = futures::stream::iter(visits).buffered(AT_ONCE).collect().await;
        let decisions = stack.take_decisions().await;
        stack.finish().await;
        let offered = offered.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        for (client, found) in visits {
            let client = client.name();
            let own = decisions.iter().filter(|d| d.subject.as_ref() == Some(&client)).cloned();
            let own: Vec<Arc<DecisionRecord>> = own.collect();
            self.enter(server, client, &offered, found, &own);
        }
    }

    /// Asserts what holds for every client before every server, and enters the rest.
    fn enter(
        &mut self,
        server: &Server,
        client: String,
        offered: &BTreeSet<&str>,
        found: Found,
        decisions: &[Arc<DecisionRecord>],
    ) {
        let pair = format!("{client} before {}: {found:?}", server.name);
        let initialized = decisions.iter().any(|d| d.method.as_deref() == Some("initialize"));
        let era = if initialized { "2025-11-25" } else { "2026-07-28" };
        assert!(found.protocol.as_ref().is_none_or(|version| version == era), "{pair}");

        let mut permitted = offered.clone();
        assert!(permitted.remove(server.hidden()), "{pair}");
        let listed: BTreeSet<&str> = found.tools.iter().map(String::as_str).collect();
        assert_eq!(listed, permitted, "{pair}");
        let cell = format!("{era} {}/{}", listed.len(), offered.len());

        let [arguments, tool, answer] = found.answers;
        let answer = answer.text().expect(&pair);
        assert!(answer.contains(server.answer), "{pair}");
        let arguments = arguments.refusal().expect(&pair);
        let tool = tool.refusal().expect(&pair).replace(server.hidden(), "<tool>");
        let refused = decisions.iter().filter(|d| d.decision == Decision::Deny).map(|d| d.reason);
        let refused = refused.collect::<Vec<_>>().join(", ");

        self.cells.entry(client.clone()).or_default().push(cell);
        let refusals = [arguments, tool, refused];
        let elsewhere = self.refusals.insert((client, era), refusals.clone());
        assert!(elsewhere.is_none_or(|elsewhere| elsewhere == refusals), "{pair}");
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |name: &str, cells: Vec<&str>| {
            let cells: String = cells.iter().map(|cell| format!("{cell:18}")).collect();
            format!("{name:26}{}\n", cells.trim_end())
        };
        f.write_str(&row("tools listed of offered", self.servers.clone()))?;
        for (client, cells) in &self.cells {
            f.write_str(&row(client, cells.iter().map(String::as_str).collect()))?;
        }
        f.write_str(LEGEND)?;
        for ((client, era), [arguments, tool, refused]) in &self.refusals {
            writeln!(f, "{client}, {era}: {refused}\n  {tool} | {arguments}")?;
        }
        Ok(())
    }
}

/// A token of the client's own, by whose subject its requests are known.
fn token(stack: &Stack, client: Client) -> String {
    let mut claims = stack.claims("customer:read");
    claims["sub"] = client.name().into();
    stack.signing_key().sign(&claims).unwrap()
}

const LEGEND: &str = "
client, era: reasons on record
  forbidden tool | forbidden arguments, in the client's words
";
/// Clients that run at the same time.
const AT_ONCE: usize = 3;
