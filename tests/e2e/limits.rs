use std::time::Duration;

use harness::{
    Caller, Reply, Stack,
    scripted::{Scripted, Sent},
};
use serde_json::{Value, json};

/// So many that none comes back while a test runs.
const POLICIES: &str = r#"
    @id("three") @rate_limit("3/day") permit (principal, action in Mcp::Action::"call_tool", resource)
    when { principal.scopes.contains("customer:read") };
    @id("many") @rate_limit("1000/second") permit (principal, action in Mcp::Action::"call_tool", resource);
    @id("everything-else") permit (principal, action in Mcp::Action::"protocol", resource);
    @id("not-that-one") forbid (principal, action == Mcp::Action::"get_customer_info", resource)
    when { context.input.customer_id == "SECRET" };
"#;

async fn gate(settings: &str) -> (Stack, Scripted) {
    let upstream = Scripted::new(|sent: &Sent| sent.result(&json!({ "content": [] })));
    let stack = Stack::with().upstream(upstream.router()).policies(POLICIES).settings(settings);
    (stack.start().await, upstream)
}

fn customer(id: &str) -> Value {
    json!({ "customer_id": id })
}

fn as_somebody<'a>(stack: &'a Stack, claim: &str, value: &str) -> Caller<'a> {
    let mut claims = stack.claims("customer:read");
    claims[claim] = json!(value);
    stack.bearing(&stack.signing_key().sign(&claims).unwrap())
}

async fn concurrently(caller: &Caller<'_>, calls: usize) -> Vec<Reply> {
    let call = |_| caller.call("get_customer_info", customer("ABC123"));
    futures::future::join_all((0..calls).map(call)).await
}

fn passed(replies: &[Reply]) -> usize {
    replies.iter().filter(|reply| reply.status == 200).count()
}

#[tokio::test]
async fn of_concurrent_calls_exactly_as_many_pass_as_are_granted() {
    for _ in 0..3 {
        let (stack, upstream) = gate("").await;
        let alice = stack.caller("customer:read");
        let replies = concurrently(&alice, 20).await;
        assert_eq!(passed(&replies), 3);
        assert_eq!(upstream.sent().len(), 3, "the upstream saw those and no more");
        for refused in replies.iter().filter(|reply| reply.status != 200) {
            assert_eq!(refused.status, 429);
            assert_eq!(refused.reason(), "rate-limited");
            assert_eq!(refused.json()["error"]["code"], 429);
            let wait = refused.json()["error"]["data"]["retryAfterMs"].as_u64().unwrap();
            let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert_eq!(Duration::from_millis(wait).as_millis().div_ceil(1000), u128::from(seconds));
            assert!((28_700..=28_800).contains(&seconds), "a third of a day, less a little");
        }
        stack.finish().await;
    }
}

#[tokio::test]
async fn a_budget_is_a_subjects_for_one_tool_through_whichever_client() {
    let (stack, upstream) = gate("").await;
    assert_eq!(passed(&concurrently(&stack.caller("customer:read"), 9).await), 3);
    let same = as_somebody(&stack, "client_id", "another-client");
    assert_eq!(passed(&concurrently(&same, 9).await), 0);
    let other = as_somebody(&stack, "sub", "bob");
    assert_eq!(passed(&concurrently(&other, 9).await), 3);
    upstream.take_sent();
    let alice = stack.caller("customer:read");
    for expected in [200, 200, 200, 429] {
        let reply = alice.call("get_recent_customers", json!({})).await;
        assert_eq!(reply.status, expected, "{}", reply.body);
    }
    assert_eq!(upstream.take_sent().len(), 3);
    assert_eq!(alice.request("ping", json!({})).await.status, 200, "no call, no limit");
    stack.finish().await;
}

#[tokio::test]
async fn what_is_refused_takes_nothing() {
    let (stack, upstream) = gate("").await;
    let alice = stack.caller("customer:read");
    for _ in 0..5 {
        let denied = alice.refused_call("get_customer_info", customer("SECRET")).await;
        assert_eq!(denied.reason(), "denied");
        let misfit = alice.refused_call("get_customer_info", json!({ "customer_id": 7 })).await;
        assert_eq!(misfit.reason(), "invalid-arguments");
    }
    assert_eq!(passed(&concurrently(&alice, 9).await), 3);
    assert_eq!(upstream.sent().len(), 3);
    // Whom the strict permit does not concern, it does not limit.
    assert_eq!(passed(&concurrently(&stack.caller("ticket:create"), 9).await), 9);
    stack.finish().await;
}

#[tokio::test]
async fn a_limit_keeps_its_status_in_every_style_and_is_on_record() {
    for style in ["auto", "http", "json-rpc", "tool-error"] {
        let (mut stack, _) = gate(&format!("[answers]\nrefusals = {style:?}\n")).await;
        let alice = stack.caller("customer:read");
        assert_eq!(passed(&concurrently(&alice, 3).await), 3);
        let legacy = alice.refused_call("get_customer_info", customer("ABC123")).await;
        let call = json!({ "name": "get_customer_info", "arguments": customer("ABC123") });
        let before = stack.spy().mark();
        let modern = alice.modern_request("tools/call", call).await;
        assert_eq!(stack.spy().mark(), before);
        for reply in [legacy, modern] {
            assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (429, "rate-limited"));
            assert!(reply.headers.contains_key("retry-after"));
            assert!(reply.challenge().is_none());
        }
        let record = stack.latest_decision().await;
        assert_eq!(record.reason, "rate-limited");
        assert_eq!(record.decision, sidecar::Decision::Deny);
        assert_eq!(record.policies, ["many", "three"]);
        stack.finish().await;
    }
}

#[tokio::test]
async fn a_budget_outlives_a_reload_of_the_policies() {
    let (mut stack, upstream) = gate("").await;
    let alice = stack.caller("customer:read");
    assert_eq!(passed(&concurrently(&alice, 9).await), 3);
    let version = stack.latest_decision().await.policy_version.clone();
    let edited = format!(
        "{POLICIES}\n@id(\"edited\") forbid (principal, action, resource) when {{ principal.id == \"mallory\" }};"
    );
    std::fs::write(stack.home().join("policies/test.cedar"), edited).unwrap();
    let mut reloaded = false;
    for _ in 0..100 {
        let reply =
            stack.caller("customer:read").call("get_customer_info", customer("ABC123")).await;
        assert_eq!(reply.status, 429);
        reloaded = stack.latest_decision().await.policy_version != version;
        if reloaded {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(reloaded);
    assert_eq!(upstream.sent().len(), 3);
    stack.finish().await;
}
