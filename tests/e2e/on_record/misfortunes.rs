use std::process::{Command, Output, Stdio};

use harness::{Program, Stack, eventually, free_port, skip};
use serde_json::{Value, json};

use super::GATE;

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

/// One call of a tool; its status and answer.
async fn ask(stack: &Stack, address: &str) -> (u16, String) {
    let request = stack.http().post(format!("https://{address}/mcp"));
    let request = request.bearer_auth(stack.caller("customer:read").token());
    let request = request.header("content-type", "application/json").body(
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } } })
        .to_string(),
    );
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

/// The system refuses every write to the ledger's files, as it does where a disk is full, was made
/// read-only after an error, or is failing; and later takes them again.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_takes_nothing_all_is_refused_and_afterwards_nothing_is() {
    let stack = Stack::start().await;
    let address = moved(&stack, "");
    let gate = Program::start_quietly(GATE, &["run", "--config", "moved.toml"], stack.home());
    serves(&stack, &address).await;
    for error in ["ENOSPC", "EROFS", "EIO"] {
        assert_eq!(ask(&stack, &address).await.0, 200);
        // SQLite alone writes by this call.
        let inject = format!("inject=pwrite64:error={error}");
        let pid = gate.id().to_string();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "strace.log", "-e", "trace=pwrite64", "-e", &inject]);
        command.args(["-p", &pid]).current_dir(stack.home()).stderr(Stdio::null());
        let Ok(mut strace) = command.spawn() else { return skip("strace") };
        let mut is_attached = false;
        for _ in 0..200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            if strace.try_wait().unwrap().is_some() {
                return skip("strace that may attach to a child's sibling");
            }
            is_attached = is_traced(&pid);
            if is_attached {
                break;
            }
        }
        assert!(is_attached, "strace neither attached nor ended");
        for _ in 0..5 {
            let before = stack.spy().mark();
            let (status, text) = ask(&stack, &address).await;
            assert!(status == 503 && text.contains("ledger-unavailable"), "{status} {text}");
            assert_eq!(stack.spy().mark(), before, "the upstream saw something");
        }
        let stopped = Command::new("kill").arg(strace.id().to_string()).status();
        assert!(stopped.unwrap().success());
        strace.wait().unwrap();
        let injected = std::fs::read_to_string(stack.home().join("strace.log")).unwrap();
        assert!(injected.contains(error), "{injected}");
        eventually("it answers again", async || ask(&stack, &address).await.0 == 200).await;
    }
    gate.kill();
    let verified = Program::run(GATE, &["audit", "verify", "--ledger", "beside"], stack.home());
    assert!(verified.status.success(), "{verified:?}");
    stack.finish().await;
}

/// Whether all threads of a process are followed by another (proc(5), `TracerPid`).
fn is_traced(pid: &str) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.flatten().all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status
            .lines()
            .any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"))
    })
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
    let ask = async || ask(&stack, &address).await;
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
