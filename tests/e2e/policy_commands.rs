//! The commands that write, show, test and explain policies, as an operator types them.

use std::process::Output;

use harness::{Program, Stack};

const GATE: &str = env!("CARGO_BIN_EXE_cedargate-under-test");

/// Runs a command in the stack's folder, with its configuration.
fn gate(stack: &Stack, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [arguments, &["--config", "gate.toml"]].concat();
    let Output { status, stdout, stderr } = Program::run(GATE, &arguments, stack.home());
    let told = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_policies_are_about_what_the_customer_server_offers() {
    let stack = Stack::start().await;
    for arguments in [
        &["tools", "--live"] as &[&str],
        &["schema", "--check", "--live"],
        &["schema", "--check"],
        &["check", "--live"],
    ] {
        let (code, told) = gate(&stack, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {told}");
    }
    stack.finish().await;
}
