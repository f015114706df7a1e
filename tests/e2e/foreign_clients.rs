use std::{path::Path, process::Command};

use axum::{Json, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
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
        .arg(mode);
    report(stack, command, mode)
}

/// Runs a foreign client that trusts the stack; yields what it prints.
fn report(stack: &Stack, command: &mut Command, mode: &str) -> Value {
    command
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
        stack.forget_decisions().await;
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
        stack.forget_decisions().await;
        stack.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_logs_a_person_in_from_nothing_but_the_url() {
    let Some(python) = Neighbour::python_with_mcp() else {
        return skip("a Python with the package mcp 2.3.0, named by CEDARGATE_TEST_PYTHON");
    };
    for (introduction, user) in [("register", "demo_user"), ("document", "admin_user")] {
        let mut stack = Stack::start().await;
        let document = match introduction {
            "document" => publish_client_document(&stack).await,
            _ => introduction.to_owned(),
        };
        let mut command = Command::new(&python.program);
        command.arg(repository().join("tests/foreign/login.py"));
        command.args([&stack.resource(), user, stack.password(), &document]);
        let report = report(&stack, &mut command, introduction);
        let read = ["get_customer_info", "get_recent_customers"];
        let stepped_up = ["create_support_ticket", "get_customer_info", "get_recent_customers"];
        assert_eq!(report["tools"], json!([read, stepped_up]));
        assert_eq!(report["customer"]["name"], "John Doe");
        assert!(report["ticket"]["ticket_id"].as_str().unwrap().starts_with("TKT-"));
        assert_eq!(report["allowed"].as_array().unwrap().len(), 2, "two consents: {report}");
        assert_eq!(report["signed_in"], 1, "and one signing in");
        assert_eq!(report["refreshed"], true, "{report}");
        assert_eq!(report["client_id"] == document.as_str(), introduction == "document");
        let token = report["access_token"].as_str().unwrap();
        assert_eq!(claims(token)["sub"], user);
        assert_eq!(claims(token)["aud"], stack.resource());
        stack.forget_decisions().await;
        stack.finish().await;
    }
}

/// A client metadata document on a web server of its own; yields its URL.
async fn publish_client_document(stack: &Stack) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/client.json", listener.local_addr().unwrap());
    let document = json!({
        "client_id": url,
        "client_name": "login.py",
        "redirect_uris": ["http://localhost:47110/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let router =
        Router::new().route("/client.json", get(move || std::future::ready(Json(document))));
    stack.serve(listener, router).await;
    url
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
