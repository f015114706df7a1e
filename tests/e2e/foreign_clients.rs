use std::{path::Path, process::Command};

use harness::{Neighbour, Stack, repository, skip};
use serde_json::{Value, json};

/// Runs a foreign client that discovers the issuer, gets a token by client credentials, lists,
/// calls, and steps up; yields what it prints.
async fn converse(stack: &Stack, command: &mut Command, mode: &str) -> Value {
    let credentials = stack.credentials();
    command
        .arg(stack.resource())
        .arg(stack.issuer())
        .arg(credentials.client_id)
        .arg(credentials.client_secret)
        .arg(mode)
        .env("SSL_CERT_FILE", stack.home().join("ca.pem"))
        .env("NODE_EXTRA_CA_CERTS", stack.home().join("ca.pem"));
    // On a thread of its own: the stack must go on serving.
    let output = std::thread::scope(|scope| {
        let running = scope.spawn(|| command.output().unwrap());
        tokio::task::block_in_place(|| running.join().unwrap())
    });
    let (told, complaint) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{mode}: {complaint}");
    serde_json::from_str(told.lines().last().unwrap()).unwrap()
}

fn assert_served(report: &Value, mode: &str) {
    let protocol = if mode == "auto" { "2026-07-28" } else { "2025-11-25" };
    assert_eq!(report["protocol"], protocol);
    assert_eq!(report["tools"], json!(["get_customer_info", "get_recent_customers"]));
    assert_eq!(report["customer"]["name"], "John Doe");
    assert!(report["ticket"]["ticket_id"].as_str().unwrap().starts_with("TKT-"), "stepped up");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_discovers_authorizes_calls_and_steps_up() {
    let Some(python) = Neighbour::python_with_mcp() else {
        return skip("a Python with the package mcp 2.3.0, named by CEDARGATE_TEST_PYTHON");
    };
    for mode in ["auto", "legacy"] {
        let mut stack = Stack::start().await;
        let mut command = Command::new(&python.program);
        command.arg(repository().join("tests/foreign/client.py"));
        let report = converse(&stack, &mut command, mode).await;
        assert_served(&report, mode);
        stack.forget_decisions();
        stack.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_discovers_authorizes_calls_and_steps_up() {
    let Some((node, modules)) = Neighbour::node_with_mcp() else {
        return skip("Node with @modelcontextprotocol/client 2.4.0 in CEDARGATE_TEST_NODE_MODULES");
    };
    for mode in ["auto", "legacy"] {
        let mut stack = Stack::start().await;
        // Node looks for modules beside the script.
        let script = stack.home().join("client.mjs");
        std::fs::copy(repository().join("tests/foreign/client.mjs"), &script).unwrap();
        std::os::unix::fs::symlink(&modules, stack.home().join("node_modules")).unwrap();
        let mut command = Command::new(&node.program);
        command.arg(Path::new(&script));
        let report = converse(&stack, &mut command, mode).await;
        assert_served(&report, mode);
        stack.forget_decisions();
        stack.finish().await;
    }
}
