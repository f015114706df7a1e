//! Every request is on record, and the record proves itself.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use harness::{Program, Stack, eventually, free_port, repository, skip};
use serde_json::{Value, json};

const GATE: &str = env!("CARGO_BIN_EXE_cedargate-under-test");
const QUICK: &str = "[ledger]\ncheckpoint_interval = \"100ms\"\n";

fn audit(stack: &Stack, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["audit"], arguments, &["--ledger", "ledger"]].concat();
    let Output { status, stdout, stderr } = Program::run(GATE, &arguments, stack.home());
    let told = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code(), told)
}

fn command(stack: &Stack, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [arguments, &["--config", "gate.toml"]].concat();
    let Output { status, stdout, stderr } = Program::run(GATE, &arguments, stack.home());
    let told = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code(), told)
}

fn audit_json(stack: &Stack, arguments: &[&str]) -> Value {
    let (_, told) = audit(stack, &[arguments, &["--json"]].concat());
    serde_json::from_str(&told).expect(&told)
}

async fn all_signed(stack: &Stack) -> Value {
    let mut found = Value::Null;
    eventually("all is signed", async || {
        found = audit_json(stack, &["verify"]);
        found["found"]["signed"].as_u64() > Some(0)
            && found["found"]["signed"] == found["found"]["entries"]
    })
    .await;
    assert_eq!(found["good"], true, "{found}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_and_what_came_of_it_is_on_record() {
    let stack = Stack::with().settings(QUICK).start().await;
    let caller = stack
        .caller("customer:read")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let reply = caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await;
    let permitted = reply.headers["x-request-id"].to_str().unwrap().to_owned();
    let ticket =
        json!({ "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low" });
    caller.refused_call("create_support_ticket", ticket).await;
    all_signed(&stack).await;

    let shown = audit_json(&stack, &["show", &permitted]);
    let (decision, outcome) = (&shown["entries"][0], &shown["entries"][1]);
    assert_eq!(decision["decision"], "allow", "{shown}");
    assert_eq!(decision["policies"], json!(["customer-read"]));
    assert_eq!(decision["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(decision["arguments_digest"].as_str().unwrap().len(), 64);
    assert_eq!(outcome["outcome"], "answered", "{shown}");
    assert_eq!(outcome["upstream_status"], 200);
    assert_eq!(outcome["bytes"], reply.body.len());

    let denied = audit_json(&stack, &["query", "--decision", "deny"]);
    assert_eq!(denied["entries"][0]["reason"], "insufficient-scope", "{denied}");
    assert_eq!(denied["entries"][0]["required_scopes"], json!(["ticket:create"]));
    let (code, csv) = audit(&stack, &["query", "--tool", "get_customer_info", "--csv"]);
    assert_eq!((code, csv.lines().count()), (Some(0), 2), "{csv}");
    let (code, told) = audit(&stack, &["tail", "--no-follow"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("get_customer_info") && told.contains("insufficient-scope"), "{told}");
    let (code, told) = audit(&stack, &["show", "0198"]);
    assert!(code == Some(64) && told.contains("no request `0198`"), "{told}");

    let (code, told) = command(&stack, &["explain", "--request", &permitted]);
    assert!(code == Some(0) && told.contains("customer-read decided"), "{told}");
    let (code, told) = command(&stack, &["explain", "--request", "0198"]);
    assert!(code == Some(64) && told.contains("no decision about the request `0198`"), "{told}");
    let (_, told) = command(&stack, &["check", "--live"]);
    assert!(told.contains("ok a gate writes to the ledger"), "{told}");

    // Never a token: neither whole nor its signature alone.
    let token = caller.token().rsplit('.').next().unwrap().as_bytes();
    for file in std::fs::read_dir(stack.home().join("ledger")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(token.len()).any(|some| some == token));
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_checked_without_the_ledger_and_without_the_gate() {
    let stack = Stack::with().settings(QUICK).start().await;
    let caller = stack.caller("customer:read");
    let mut ids = Vec::new();
    for _ in 0..9 {
        let reply = caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await;
        ids.push(reply.headers["x-request-id"].to_str().unwrap().to_owned());
    }
    let found = all_signed(&stack).await;
    let key = found["key"].as_str().unwrap();
    let first = std::fs::read_to_string(stack.home().join("ledger/checkpoints.txt")).unwrap();
    let (code, growth) = audit(&stack, &["prove", "--since", first.lines().nth(1).unwrap()]);
    assert_eq!(code, Some(0), "{growth}");
    for id in &ids {
        let (code, proof) = audit(&stack, &["prove", id]);
        assert_eq!(code, Some(0), "{proof}");
        let check = ["audit", "check-proof", "proof.json", "--key", key];
        std::fs::write(stack.home().join("proof.json"), &growth).unwrap();
        let checked = Program::run(GATE, &check, stack.home());
        assert!(checked.status.success(), "{checked:?}");
        std::fs::write(stack.home().join("proof.json"), &proof).unwrap();
        let checked = Program::run(GATE, &check, stack.home());
        assert!(checked.status.success(), "{checked:?}");
        let other = proof.replacen("get_customer_info", "get_customer_inf0", 1);
        std::fs::write(stack.home().join("proof.json"), other).unwrap();
        assert_eq!(Program::run(GATE, &check, stack.home()).status.code(), Some(1));
        let Some(checked) = node_checks(key, &proof) else { return skip("node") };
        assert!(checked.status.success(), "{checked:?}");
        assert!(String::from_utf8_lossy(&checked.stdout).contains(&format!("decision {id}")));
    }
    stack.finish().await;
}

/// What `@audit("full")` asks for is beside the tree, and goes with whom it was about.
#[tokio::test(flavor = "multi_thread")]
async fn arguments_and_results_are_kept_where_a_policy_says_so_and_can_be_erased() {
    let full = "@id(\"all-on-record\") @audit(\"full\")\n\
        permit (principal, action == Mcp::Action::\"get_customer_info\", resource);\n";
    let stack = Stack::with().settings(QUICK).policy_file("on-record.cedar", full).start().await;
    let caller = stack.caller("customer:read");
    let reply = caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await;
    let id = reply.headers["x-request-id"].to_str().unwrap();
    let ticket =
        json!({ "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low" });
    caller.refused_call("create_support_ticket", ticket).await;
    all_signed(&stack).await;

    let shown = audit_json(&stack, &["show", id]);
    let (decision, outcome) = (&shown["entries"][0], &shown["entries"][1]);
    let arguments = decision["arguments"].as_str().unwrap_or_default();
    assert_eq!(
        serde_json::from_str::<Value>(arguments).unwrap(),
        json!({ "customer_id": "ABC123" })
    );
    assert_eq!(outcome["result"].as_str(), Some(reply.body.as_str()), "{outcome}");
    // Of what was refused nothing says that it may be kept.
    let denied = audit_json(&stack, &["query", "--decision", "deny"]);
    assert_eq!(denied["entries"][0].get("arguments"), None, "{denied}");

    // Which policies those were is on record before them.
    let first = audit_json(&stack, &["query", "--kind", "policies"]);
    let version = &first["entries"][0];
    assert_eq!(version["policy_version"], decision["policy_version"], "{first}");
    let schema = std::fs::read(stack.home().join("policies/schema.cedarschema")).unwrap();
    assert_eq!(version["digests"]["schema"], sha256_of(&schema));
    assert!(version["seq"].as_u64() < decision["seq"].as_u64());

    let principal = decision["principal"].as_str().unwrap();
    let (code, told) = audit(&stack, &["erase", "--principal", principal, "--yes"]);
    assert_eq!(code, Some(0), "{told}");
    all_signed(&stack).await;
    for file in std::fs::read_dir(stack.home().join("ledger")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|some| some == text.as_bytes());
        assert!(!holds("ABC123") && !holds(principal));
    }
    stack.finish().await;
}

fn sha256_of(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn node_checks(key: &str, proof: &str) -> Option<Output> {
    let mut node = Command::new("node")
        .arg(repository().join("tests/foreign/check_proof.mjs"))
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    node.stdin.take()?.write_all(proof.as_bytes()).ok()?;
    node.wait_with_output().ok()
}

/// Refused through one provider, tried through another.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_watch_notices_is_on_record_with_its_evidence() {
    let stack = Stack::with().settings(QUICK).start().await;
    let caller = stack.caller("customer:read");
    let through = |provider: &str| {
        json!({ "name": "create_support_ticket",
            "arguments": { "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low" },
            "_meta": { "cedargate/provider": provider } })
    };
    let mut ids = Vec::new();
    for provider in ["anthropic", "openai"] {
        let reply = caller.request("tools/call", through(provider)).await;
        assert_eq!(reply.status, 403);
        ids.push(reply.headers["x-request-id"].to_str().unwrap().to_owned());
    }
    let mut found = Value::Null;
    eventually("it is noticed", async || {
        found = audit_json(&stack, &["query", "--kind", "finding"]);
        found["entries"][0]["detector"] == "provider-shopping"
    })
    .await;
    let finding = &found["entries"][0];
    assert_eq!(finding["evidence"], json!(ids), "{found}");
    assert!(finding["explanation"].as_str().unwrap().contains("openai"), "{found}");
    stack.finish().await;
}

/// Configures a gate beside the stack's own, with a ledger in `beside`; yields its address.
fn moved(stack: &Stack, in_ledger: &str) -> String {
    let address = format!("127.0.0.1:{}", free_port());
    let own = std::fs::read_to_string(stack.home().join("gate.toml")).unwrap();
    let scopes = "initial_scopes = [\"customer:read\"]";
    let moved = own
        .replacen(&stack.gate().to_string(), &address, 1)
        .replace(scopes, &format!("{scopes}\nallowed_hosts = [\"{address}\"]"));
    let ledger = format!("\n[ledger]\ndirectory = \"beside\"\n{in_ledger}");
    std::fs::write(stack.home().join("moved.toml"), moved + &ledger).unwrap();
    address
}

async fn serves(stack: &Stack, address: &str) {
    let metadata = format!("https://{address}/.well-known/oauth-protected-resource");
    eventually("it serves", async || stack.http().get(&metadata).send().await.is_ok()).await;
}

/// The ledger's files cannot grow any more, as on a full disk, and later can again.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_on_record_is_refused_until_it_can() {
    // One call at a time: what is refused for want of a record is not under way.
    let rule = "[[call_limits]]\nid = 'one'\nper = ['principal']\nconcurrent = 1\n";
    let stack = Stack::with().settings(rule).start().await;
    let admin = format!("127.0.0.1:{}", free_port());
    let address = moved(&stack, &format!("[admin]\naddress = {admin:?}\n"));
    let readiness = async || {
        let answer = reqwest::get(format!("http://{admin}/readyz")).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap()["reasons"][0]["code"].clone())
    };
    // Who ignores the signal is told by the write instead (setrlimit(2), RLIMIT_FSIZE).
    let limited = "trap '' XFSZ; ulimit -S -f 600; exec \"$0\" run --config moved.toml";
    let gate = Program::start_quietly("sh", &["-c", limited, GATE], stack.home());
    serves(&stack, &address).await;
    let token = stack.caller("customer:read").token().to_owned();
    let ask = async || {
        let request = stack.http().post(format!("https://{address}/mcp")).bearer_auth(&token);
        let request = request.header("content-type", "application/json").body(
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
                "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } } })
            .to_string(),
        );
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    // The first time there is room left in another of its files.
    let (mut asked, mut refused_in_a_row) = (0, 0);
    while refused_in_a_row < 5 {
        let before = stack.spy().mark();
        let (status, text) = ask().await;
        refused_in_a_row = if status == 200 { 0 } else { refused_in_a_row + 1 };
        if status != 200 {
            assert!(status == 503 && text.contains("ledger-unavailable"), "{status} {text}");
            assert_eq!(stack.spy().mark(), before, "the upstream saw something");
        }
        asked += 1;
        assert!(asked < 5_000, "it never came to an end");
    }
    assert_eq!(readiness().await, (503, json!("ledger-unwritable")));
    let pid = gate.id().to_string();
    let raised =
        Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:unlimited"]).status();
    if !raised.is_ok_and(|status| status.success()) {
        return skip("prlimit (util-linux)");
    }
    eventually("it answers again", async || ask().await.0 == 200).await;
    assert_eq!(readiness().await, (200, Value::Null));
    gate.kill();
    let verified = Program::run(GATE, &["audit", "verify", "--ledger", "beside"], stack.home());
    assert!(verified.status.success(), "{verified:?}");
    stack.finish().await;
}

/// Fifty times a gate is killed while it is asked: what it answered is on record.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_on_record_whenever_the_gate_is_killed() {
    let stack = Stack::start().await;
    let address = moved(&stack, "checkpoint_every = 7\n");
    let token = stack.caller("customer:read").token().to_owned();
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } } })
    .to_string();
    let mut answered = Vec::new();
    for round in 0..KILLS {
        let gate = Program::start_quietly(GATE, &["run", "--config", "moved.toml"], stack.home());
        let url = format!("https://{address}/mcp");
        let http = stack.http();
        serves(&stack, &address).await;
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let (http, url, token, call) =
                    (http.clone(), url.clone(), token.clone(), call.clone());
                tokio::spawn(async move {
                    let mut answered = Vec::new();
                    loop {
                        let request = http.post(&url).bearer_auth(&token);
                        let request = request.header("content-type", "application/json");
                        let Ok(reply) = request.body(call.clone()).send().await else {
                            return answered;
                        };
                        let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
                        assert_eq!(reply.status(), 200);
                        answered.push(id);
                    }
                })
            })
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(20 + 13 * (round % 17))).await;
        gate.kill();
        for caller in callers {
            answered.extend(caller.await.unwrap());
        }
    }
    let arguments = ["audit", "export", "--ledger", "beside"];
    let Output { stdout, .. } = Program::run(GATE, &arguments, stack.home());
    let exported = String::from_utf8(stdout).unwrap();
    let on_record: std::collections::HashSet<String> = exported
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|entry| serde_json::from_str::<Value>(entry["leaf"].as_str().unwrap()).unwrap())
        .filter(|leaf| leaf["kind"] == "decision")
        .map(|leaf| leaf["request_id"].as_str().unwrap().to_owned())
        .collect();
    assert!(answered.len() > 100, "{}", answered.len());
    for id in &answered {
        assert!(on_record.contains(id), "{id} was answered and is not on record");
    }
    let verified = Program::run(GATE, &["audit", "verify", "--ledger", "beside"], stack.home());
    assert!(verified.status.success(), "{verified:?}");
    println!("{} answered, {} on record", answered.len(), on_record.len());
    stack.finish().await;
}

const KILLS: u64 = 50;
