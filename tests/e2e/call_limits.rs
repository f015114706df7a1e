use std::{sync::Arc, time::Duration};

use axum::{Json, Router, body::Body, response::IntoResponse as _, routing::any};
use futures::StreamExt as _;
use harness::{
    Caller, Reply, Stack, eventually,
    scripted::{Scripted, Sent, events, message},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

const POLICIES: &str = r#"
    @id("tools") permit (principal, action in Mcp::Action::"call_tool", resource);
    @id("lists") permit (principal, action in Mcp::Action::"list", resource);
    @id("everything-else") permit (principal, action in Mcp::Action::"protocol", resource);
"#;
const TOOL: &str = "get_customer_info";

async fn gate(settings: &str, answer: fn(&Sent) -> axum::response::Response) -> (Stack, Scripted) {
    let upstream = Scripted::new(answer);
    let stack = Stack::with().upstream(upstream.router()).policies(POLICIES).settings(settings);
    (stack.start().await, upstream)
}

fn nothing(sent: &Sent) -> axum::response::Response {
    sent.result(&json!({ "content": [] }))
}

fn call() -> Value {
    json!({ "name": TOOL, "arguments": { "customer_id": "ABC123" } })
}

fn as_somebody<'a>(stack: &'a Stack, subject: &str, client: &str) -> Caller<'a> {
    let mut claims = stack.claims("customer:read");
    claims["sub"] = json!(subject);
    claims["client_id"] = json!(client);
    stack.bearing(&stack.signing_key().sign(&claims).unwrap())
}

fn status(reply: &Reply) -> (u16, String) {
    let refused = reply.status == 429;
    (reply.status.as_u16(), if refused { reply.reason() } else { String::new() })
}

fn passed(replies: &[Reply]) -> usize {
    let refused = replies.iter().filter(|r| status(r) == (429, "rate-limited".to_owned())).count();
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(passed + refused, replies.len());
    passed
}

/// So many never come back while a test runs. Whoever says to be whose model's makes no difference.
#[tokio::test]
async fn exactly_as_many_of_concurrent_calls_pass_whichever_provider_they_are_for() {
    let rules = r#"
        [[call_limits]]
        id = "per-caller"
        per = ["principal", "tool"]
        rate = "1/day"
        burst = 7
        [[call_limits]]
        id = "in-all"
        per = ["server"]
        calls_per_day = 695
    "#;
    let (stack, upstream) = gate(rules, nothing).await;
    for run in 0..100 {
        let subject = format!("agent-{run}");
        let clients = ["openai-zone", "anthropic-zone"];
        let callers = clients.map(|client| as_somebody(&stack, &subject, client));
        let calls = (0..20).map(|number| {
            let (caller, mut params) = (&callers[number % 2], call());
            let provider = ["openai", "anthropic", "groq", "ollama"][number % 4];
            params["_meta"] = json!({
                "cedargate/provider": provider, "cedargate/model": format!("m-{number}"),
                "cedargate/limits": { "remaining": 1_000 },
            });
            async move {
                if number < 12 {
                    return caller.request("tools/call", params).await;
                }
                params.as_object_mut().unwrap().remove("_meta");
                caller.modern_request("tools/call", params).await
            }
        });
        let replies = futures::future::join_all(calls).await;
        // Of all together five fewer are left than the hundredth subject may make.
        let granted = if run == 99 { 2 } else { 7 };
        assert_eq!(passed(&replies), granted, "run {run}");
        assert_eq!(upstream.take_sent().len(), granted, "the upstream saw those and no more");
    }
    stack.finish().await;
}

#[tokio::test]
async fn what_is_counted_outlives_a_reload_of_the_policies() {
    let rules = r#"
        [[call_limits]]
        id = "r"
        per = ["principal"]
        calls_per_day = 2
    "#;
    let (mut stack, upstream) = gate(rules, nothing).await;
    let replies = futures::future::join_all((0..9).map(|_| {
        let caller = stack.caller("customer:read");
        async move { caller.request("tools/call", call()).await }
    }));
    assert_eq!(passed(&replies.await), 2);
    let version = stack.latest_decision().await.policy_version.clone();
    let edited = format!("{POLICIES}\n@id(\"more\") permit (principal, action, resource);");
    std::fs::write(stack.home().join("policies/test.cedar"), edited).unwrap();
    let mut reloaded = false;
    for _ in 0..100 {
        let reply = stack.caller("customer:read").request("tools/call", call()).await;
        assert_eq!(reply.status, 429);
        reloaded = stack.latest_decision().await.policy_version != version;
        if reloaded {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(reloaded);
    assert_eq!(upstream.sent().len(), 2);
    stack.finish().await;
}

/// Begins to answer at once, and ends when it is let.
fn unhurried(let_go: Arc<Semaphore>) -> Router {
    Router::new().fallback(any(move |Json(asked): Json<Value>| {
        let let_go = Arc::clone(&let_go);
        async move {
            let answer =
                json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "content": [] } });
            let begun = futures::stream::iter([Ok::<_, std::io::Error>(": \n\n".to_owned())]);
            let ended = futures::stream::once(async move {
                let_go.acquire().await.unwrap().forget();
                Ok(message(&answer) + "\n\n")
            });
            let body = Body::from_stream(begun.chain(ended));
            ([("content-type", "text/event-stream")], body).into_response()
        }
    }))
}

/// A call whose answer has begun and has not ended.
async fn begun(stack: &Stack, modern: bool) -> reqwest::Response {
    stack.count_request();
    let mut params = call();
    let mut request = stack.http().post(stack.resource());
    if modern {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "harness", "version": "1" },
        });
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", TOOL),
        ];
        request = headers.into_iter().fold(request, |request, (name, v)| request.header(name, v));
    }
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    request
        .bearer_auth(stack.caller("customer:read").token())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
}

/// Tries until a place is free.
async fn begun_at_last(stack: &Stack, modern: bool) -> reqwest::Response {
    let mut answer = None;
    eventually("a place is free", async || {
        answer = Some(begun(stack, modern).await).filter(|response| response.status() == 200);
        answer.is_some()
    })
    .await;
    answer.unwrap()
}

#[tokio::test]
async fn a_call_is_under_way_to_the_end_of_its_answer_or_until_its_caller_hangs_up() {
    let let_go = Arc::new(Semaphore::new(0));
    let rules = "[[call_limits]]\nid = 'r'\nper = ['principal']\nconcurrent = 2";
    let stack = Stack::with().upstream(unhurried(Arc::clone(&let_go))).policies(POLICIES);
    let stack = stack.settings(rules).start().await;
    let [one, other] = [begun(&stack, true).await, begun(&stack, true).await];
    assert_eq!((one.status(), other.status()), (200.try_into().unwrap(), 200.try_into().unwrap()));
    let refused = Reply::read(begun(&stack, true).await).await;
    assert_eq!(status(&refused), (429, "rate-limited".to_owned()));
    assert_eq!(refused.headers["retry-after"], "1");

    // Hanging up cancels (MCP 2026-07-28).
    drop(one);
    let third = begun_at_last(&stack, true).await;
    // And so ends an answer.
    let_go.add_permits(2);
    assert!(other.text().await.unwrap().contains("content"));
    drop(third);
    let_go.forget_permits(2);

    // A legacy caller cancels nothing by it: the upstream is still at work.
    let [one, other] = [begun_at_last(&stack, false).await, begun_at_last(&stack, false).await];
    drop((one, other));
    for _ in 0..10 {
        assert_eq!(begun(&stack, false).await.status(), 429);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let_go.add_permits(2);
    drop(begun_at_last(&stack, false).await);
    let_go.add_permits(9);
    stack.finish().await;
}

#[tokio::test]
async fn the_answer_that_crosses_the_line_is_served_and_no_other_is() {
    let rules = r#"
        [[call_limits]]
        id = "bytes"
        per = ["principal"]
        result_bytes_per_day = "5 kB"
    "#;
    for streamed in [false, true] {
        let answer: fn(&Sent) -> _ = match streamed {
            false => |sent| sent.result(&json!({ "content": [], "x": "y".repeat(3_000) })),
            true => |sent| {
                let result = json!({ "content": [], "x": "y".repeat(3_000) });
                let id = &sent.body["id"];
                events(&[&message(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))])
            },
        };
        let (mut stack, upstream) = gate(rules, answer).await;
        let alice = stack.caller("customer:read");
        for left in [5_000..=5_000, 1_500..=2_000] {
            let reply = alice.request("tools/call", call()).await;
            assert!(reply.body.contains(&"y".repeat(3_000)), "it is served whole");
            let told = &if streamed { reply.messages()[0].clone() } else { reply.json() };
            let told = &told["result"]["_meta"]["cedargate/limits"]["resultBytesRemaining"];
            assert!(left.contains(&told.as_u64().unwrap()), "{told}");
        }
        let refused = alice.request("tools/call", call()).await;
        assert_eq!(status(&refused), (429, "rate-limited".to_owned()));
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!(wait <= 24 * 3600);
        assert_eq!(upstream.sent().len(), 2);
        assert_eq!(as_somebody(&stack, "bob", "c").request("tools/call", call()).await.status, 200);
        stack.latest_decision().await;
        stack.finish().await;
    }
}

#[tokio::test]
async fn what_is_left_is_told_with_answers_and_refusals_and_stands_on_record() {
    let rules = r#"
        [[call_limits]]
        id = "a-few"
        per = ["principal"]
        tools = ["get_customer_info"]
        rate = "2/day"
        [[call_limits]]
        id = "many"
        per = ["principal"]
        tools = ["get_customer_info"]
        rate = "50/day"
    "#;
    for (disclosing, named) in [("", Value::Null), ("disclose_policies = true", json!(["a-few"]))] {
        let settings = format!("[answers]\n{disclosing}\n{rules}");
        let (mut stack, upstream) = gate(&settings, |sent| {
            // An upstream that would say how much is left.
            let meta = json!({ "own": 1, "cedargate/limits": { "remaining": 99 } });
            sent.result(
                &json!({ "content": [{ "type": "text", "text": "é\u{0}" }], "_meta": meta }),
            )
        })
        .await;
        let alice = stack.caller("customer:read");
        let told = alice.request("tools/call", call()).await.result();
        assert_eq!(told["content"][0]["text"], "é\u{0}");
        assert_eq!(told["_meta"]["own"], 1);
        let left = &told["_meta"]["cedargate/limits"];
        assert_eq!((left["remaining"].as_u64(), left["limit"].as_u64()), (Some(1), Some(2)));
        assert!((43_100_000..=43_200_000).contains(&left["resetAfterMs"].as_u64().unwrap()));
        let modern = alice.modern_request("tools/call", call()).await.result();
        assert_eq!(modern["_meta"]["cedargate/limits"]["remaining"], 0);
        let record = stack.latest_decision().await;
        assert_eq!(
            serde_json::to_value(&record.limits).unwrap(),
            json!([
                { "rule": "a-few", "of": "rate", "remaining": 0 },
                { "rule": "many", "of": "rate", "remaining": 48 },
            ])
        );

        let alice = stack.caller("customer:read");
        let refused = alice.refused_call(TOOL, call()["arguments"].clone()).await;
        assert_eq!(refused.json()["error"]["data"]["limits"], named, "{}", refused.body);
        let record = stack.latest_decision().await;
        assert_eq!((record.reason, record.limits[1].remaining), ("rate-limited", 48));
        assert_eq!((record.limits[0].rule.as_str(), record.limits[0].remaining), ("a-few", 0));

        // Where no rule applies nothing is told, and what the upstream wrote stays as it is.
        let alice = stack.caller("customer:read");
        upstream.take_sent();
        let free = alice.call("get_recent_customers", json!({})).await;
        assert_eq!(free.result()["_meta"]["cedargate/limits"]["remaining"], 99);
        assert!(stack.latest_decision().await.limits.is_empty());
        stack.finish().await;
    }
}

#[tokio::test]
async fn a_list_tells_the_strictest_of_policy_and_rules() {
    let rules = r#"
        [[call_limits]]
        id = "slow"
        per = ["principal"]
        tools = ["get_customer_info"]
        rate = "3/minute"
        calls_per_day = 20
        [[call_limits]]
        id = "elsewhere"
        per = ["principal"]
        zones = ["moon"]
        rate = "1/day"
    "#;
    let policies = format!(
        r#"{POLICIES} @id("rated") @rate_limit("30/minute") permit (principal, action in Mcp::Action::"call_tool", resource);"#
    );
    let stack = Stack::with().policies(&policies).unguarded().settings(rules).start().await;
    let listed = stack.caller("customer:read").request("tools/list", json!({})).await.result();
    let rates: Vec<_> = listed["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| (&tool["name"], &tool["_meta"]["cedargate/security"]["rateLimit"]))
        .collect();
    assert!(rates.len() > 2);
    for (name, rate) in rates {
        assert_eq!(rate, if name == TOOL { "20/day" } else { "30/minute" }, "{name}");
    }
    stack.finish().await;
}
