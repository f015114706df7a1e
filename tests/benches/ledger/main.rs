//! What the ledger costs: the same calls through a gate that keeps none, one whose records survive
//! its end, and one whose records survive the machine's.
//!
//! `cargo bench -p tests --bench ledger`: the three take turns, so that whatever else the machine
//! does is shared among them, and each number is the median of its rounds. CPU is the gate's own
//! process's; the caller and the MCP server run on the same cores.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot run should fail loudly"
)]

/// Callers that do nothing but send and wait.
mod callers;

use std::{path::Path, time::Duration};

use axum::{Router, routing::any};
use callers::{Callers, Measured};
use harness::{Program, Stack, free_port};
use sidecar::Config;

/// A way to keep records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nowhere,
    Process,
    Power,
}

const ALL: [Kept; 3] = [Kept::Nowhere, Kept::Process, Kept::Power];
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
/// The first argument of this program when it is the gate that is measured.
const AS_GATE: &str = "as-gate";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match arguments.as_slice() {
        [role, config, kept] if role == AS_GATE => {
            runtime.block_on(serve(Path::new(config), kept != "Nowhere"));
        }
        _ => runtime.block_on(compare()),
    }
}

/// A gate as `cedargate run` has it, logging as usual.
async fn serve(config: &Path, with_ledger: bool) {
    tracing_subscriber::fmt().json().with_writer(std::io::sink).init();
    let config = Config::load(config).unwrap();
    let gate = sidecar::testing::gate(&config, with_ledger).await.unwrap();
    let listener = std::net::TcpListener::bind(config.address()).unwrap();
    sidecar::run(gate, listener, std::future::pending()).await.unwrap();
}

async fn compare() {
    let upstream = hello().await;
    let stack = Stack::with().upstream_url(&upstream).start().await;
    let token = stack.caller("customer:read").token().to_owned();
    let mut gates = Vec::new();
    for kept in ALL {
        gates.push(start(&stack, kept).await);
    }
    println!(
        "{:>11}  {:<8} {:>9} {:>9} {:>9} {:>12} {:>7}",
        "connections", "kept", "calls/s", "p50 us", "p99 us", "CPU us/call", "CPU"
    );
    for connections in CONNECTIONS {
        let mut rounds = [const { Vec::new() }; ALL.len()];
        for _ in 0..ROUNDS {
            for (measured, (program, callers)) in rounds.iter_mut().zip(&gates) {
                measured.push(callers.call(connections, &token, ROUND, program.id()).await);
            }
        }
        let medians = rounds.map(|rounds| Measured::median(&rounds));
        for (kept, measured) in ALL.iter().zip(&medians) {
            println!(
                "{connections:>11}  {:<8} {:>9.0} {:>9} {:>9} {:>12.0} {:>+6.0}%",
                format!("{kept:?}").to_lowercase(),
                measured.rate,
                measured.p50.as_micros(),
                measured.p99.as_micros(),
                measured.cpu_us,
                (measured.cpu_us / medians[0].cpu_us - 1.0) * 100.0,
            );
        }
    }
    drop(gates);
    stack.finish().await;
}

/// Starts this program as a gate beside the stack's own.
async fn start(stack: &Stack, kept: Kept) -> (Program, Callers) {
    let address = format!("127.0.0.1:{}", free_port());
    let own = std::fs::read_to_string(stack.home().join("gate.toml")).unwrap();
    let scopes = "initial_scopes = [\"customer:read\"]";
    let durability = if kept == Kept::Power { "power" } else { "process" };
    let file = format!("{kept:?}.toml");
    let config = own
        .replacen(&stack.gate().to_string(), &address, 1)
        .replace(scopes, &format!("{scopes}\nallowed_hosts = [\"{address}\"]"));
    let ledger =
        format!("\n[ledger]\ndirectory = \"ledger-{kept:?}\"\ndurability = \"{durability}\"\n");
    std::fs::write(stack.home().join(&file), config + &ledger).unwrap();
    let this = std::env::current_exe().unwrap();
    let arguments = [AS_GATE, &file, &format!("{kept:?}")];
    let program = Program::start_quietly(this.to_str().unwrap(), &arguments, stack.home());
    harness::eventually("it serves", async || {
        tokio::net::TcpStream::connect(&address).await.is_ok()
    })
    .await;
    (program, Callers::of(&address, &stack.home().join("ca.pem")))
}

/// An MCP server that always says the same, and where it is.
async fn hello() -> String {
    let answer =
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello"}]}}"#;
    let router = Router::new()
        .fallback(any(move || async move { ([("content-type", "application/json")], answer) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}
