use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use harness::{Neighbour, Stack, eventually, free_port, repository, skip};
use serde_json::{Value, json};

/// A stack with a listener for operators.
async fn operated() -> (Stack, String) {
    let admin = format!("127.0.0.1:{}", free_port());
    let settings = format!("[admin]\naddress = {admin:?}\n");
    let stack = Stack::with().settings(&settings).start().await;
    let livez = format!("http://{admin}/livez");
    eventually("operators are answered", async || reqwest::get(&livez).await.is_ok()).await;
    (stack, admin)
}

async fn scrape(admin: &str) -> String {
    let answer = reqwest::get(format!("http://{admin}/metrics")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    answer.text().await.unwrap()
}

/// What the official Python readers of both text formats make of it.
fn parsed(python: &Neighbour, text: &str) -> Value {
    let mut reader = Command::new(&python.program)
        .arg(repository().join("tests/foreign/metrics.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let read = reader.wait_with_output().unwrap();
    assert!(read.status.success(), "not read: {text}");
    serde_json::from_slice(&read.stdout).unwrap()
}

/// Samples of one name, by their labels.
fn samples(parsed: &Value, name: &str) -> BTreeMap<String, f64> {
    let all = parsed["samples"].as_array().unwrap().iter();
    all.filter(|sample| sample[0] == name)
        .map(|sample| (sample[1].to_string(), sample[2].as_f64().unwrap()))
        .collect()
}

fn one(parsed: &Value, name: &str, labels: &Value) -> f64 {
    let samples = samples(parsed, name);
    let sample = samples.get(&labels.to_string());
    assert!(sample.is_some(), "{name}{labels} in {samples:?}");
    sample.copied().unwrap_or_default()
}

/// Names and labels of every sample.
fn series(text: &str) -> Vec<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let names = samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
    names.collect()
}

#[tokio::test]
async fn every_call_is_counted_once_where_it_belongs() {
    let Some(python) = Neighbour::python_with("prometheus_client.openmetrics.parser") else {
        return skip("prometheus_client in $CEDARGATE_TEST_PYTHON");
    };
    let (stack, admin) = operated().await;
    let caller = stack.caller("customer:read");
    let mut relayed = 0;
    for _ in 0..3 {
        let reply = caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await;
        relayed += reply.body.len();
    }
    let ticket =
        json!({ "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low" });
    caller.refused_call("create_support_ticket", ticket).await;
    caller.refused_call("no_such_tool", json!({})).await;
    relayed += caller.request("tools/list", json!({})).await.body.len();
    stack.stranger().refused("{}").await;
    // The last outcomes are noted when their answers have been read.
    let mut text = String::new();
    eventually("all have ended", async || {
        text = scrape(&admin).await;
        // Seven decisions, four outcomes, and which policies are in force.
        text.contains("cedargate_outcomes_total{outcome=\"answered\"} 4")
            && text.contains("cedargate_ledger_entries_total 12\n")
    })
    .await;
    let told = parsed(&python, &text);

    let decision = |outcome: &str, reason: &str, tool: &str| {
        json!({ "outcome": outcome, "reason": reason, "tool": tool }).to_string()
    };
    assert_eq!(
        samples(&told, "cedargate_decisions_total"),
        BTreeMap::from([
            (decision("allow", "permitted", "get_customer_info"), 3.0),
            (decision("allow", "permitted", "(none)"), 1.0),
            (decision("deny", "insufficient-scope", "create_support_ticket"), 1.0),
            (decision("deny", "unknown-tool", "(other)"), 1.0),
            (decision("deny", "no-token", "(none)"), 1.0),
        ])
    );
    let whole = |name: &str| one(&told, name, &json!({}));
    assert_eq!(whole("cedargate_requests_in_flight"), 0.0);
    assert_eq!(whole("cedargate_answer_bytes_total"), relayed as f64);
    for (outcome, count) in [("allow", 4.0), ("deny", 3.0)] {
        let labels = json!({ "outcome": outcome });
        assert_eq!(one(&told, "cedargate_request_duration_seconds_count", &labels), count);
    }
    for (step, count) in [
        ("token", 7.0),
        ("message", 6.0),
        ("authz", 6.0),
        ("limits", 4.0),
        ("ledger", 7.0),
        ("upstream", 4.0),
    ] {
        let labels = json!({ "step": step });
        assert_eq!(one(&told, "cedargate_step_duration_seconds_count", &labels), count, "{step}");
    }
    for (result, count) in [("hit", 5.0), ("miss", 1.0)] {
        let labels = json!({ "cache": "verified-tokens", "result": result });
        assert_eq!(one(&told, "cedargate_cache_requests_total", &labels), count);
    }
    let issuer = json!({ "issuer": stack.issuer() });
    assert_eq!(one(&told, "cedargate_jwks_usable", &issuer), 1.0);
    assert!(one(&told, "cedargate_jwks_age_seconds", &issuer) < 60.0);
    assert_eq!(whole("cedargate_policies_stale"), 0.0);
    assert_eq!(whole("cedargate_ledger_writable"), 1.0);
    assert!(whole("process_resident_memory_bytes") > 1e6 && whole("process_open_fds") > 3.0);
    assert_eq!(told["families"]["cedargate_decisions"][0], "counter");
    assert_eq!(told["families"]["cedargate_step_duration_seconds"][0], "histogram");
    stack.finish().await;
}

/// Whoever makes up names makes up no series.
#[tokio::test]
async fn nothing_that_a_caller_writes_becomes_a_label() {
    let (stack, admin) = operated().await;
    let caller = stack.caller("customer:read");
    let flood = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let made_up = format!("made-up-{number}");
            caller.call(&made_up, json!({})).await;
            caller.request(&made_up, json!({ "name": made_up })).await;
            caller.request("resources/read", json!({ "uri": made_up })).await;
            let meta = json!({ "cedargate/provider": made_up, "cedargate/model": made_up });
            let call = json!({ "name": "get_customer_info", "arguments": {}, "_meta": meta });
            let caller = caller.clone().header("user-agent", &made_up);
            let caller = caller.header("mcp-session-id", &made_up).header("traceparent", &made_up);
            caller.request("tools/call", call).await;
            stack.bearing(&made_up).header("mcp-method", &made_up).post("{}").await;
        }
    };
    flood(0..5).await;
    // Findings come with their detectors, of which there are few.
    let of_requests = |text: &str| -> Vec<String> {
        series(text).into_iter().filter(|name| !name.contains("findings_total")).collect()
    };
    let before = of_requests(&scrape(&admin).await);
    flood(5..250).await;
    let text = scrape(&admin).await;
    assert_eq!(of_requests(&text), before);
    assert!(!text.contains("made-up") && text.contains("tool=\"(other)\""), "{text}");
    stack.finish().await;
}

#[tokio::test]
async fn an_unreachable_upstream_degrades_and_is_told_until_it_answers() {
    let admin = format!("127.0.0.1:{}", free_port());
    let stack = Stack::with()
        .upstream_url(&format!("https://127.0.0.1:{}/mcp", free_port()))
        .settings(&format!("[admin]\naddress = {admin:?}\n"))
        .start()
        .await;
    let ready = async || -> Value {
        let answer = reqwest::get(format!("http://{admin}/readyz")).await.unwrap();
        json!({ "status": answer.status().as_u16(), "told": answer.json::<Value>().await.unwrap() })
    };
    eventually("it is ready", async || {
        reqwest::get(format!("http://{admin}/readyz")).await.is_ok()
    })
    .await;
    assert_eq!(ready().await["told"]["reasons"], json!([]));
    let caller = stack.caller("customer:read");
    let reply = caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await;
    assert_eq!(reply.reason(), "upstream-unreachable");
    let told = ready().await;
    let reason = &told["told"]["reasons"][0];
    assert_eq!((&told["status"], &reason["code"]), (&json!(200), &json!("upstream-unreachable")));
    assert_eq!(reason["effect"], "degraded");
    let text = scrape(&admin).await;
    assert!(text.contains("cedargate_upstream_reachable 0\n"), "{text}");
    assert!(text.contains("cedargate_outcomes_total{outcome=\"upstream-unreachable\"} 1\n"));
    stack.finish().await;
}
