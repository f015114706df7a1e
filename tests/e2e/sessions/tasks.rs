use super::*;

/// A server whose tool makes the task `t-1`.
fn with_tasks(modern: bool) -> Scripted {
    let task = json!({ "taskId": "t-1", "status": "working", "createdAt": "2026-11-23T00:00:00Z" });
    Scripted::new(move |sent| match sent.method() {
        "tools/call" if modern => {
            let mut result = task.clone();
            result["resultType"] = json!("task");
            sent.result(&result)
        }
        "tools/call" => sent.result(&json!({ "task": task })),
        "tasks/list" => {
            let mut foreign = task.clone();
            foreign["taskId"] = json!("somebody-elses");
            sent.result(&json!({ "tasks": [task, foreign] }))
        }
        _ if sent.body["params"]["taskId"] == "t-1" => sent.result(&task),
        _ => sent.result(&json!({})),
    })
}

fn call() -> Value {
    json!({ "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } })
}

#[tokio::test]
async fn a_legacy_task_is_its_callers() {
    let upstream = with_tasks(false);
    let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).start().await;
    let alice = stack.caller("customer:read");
    let task = alice.request("tools/call", call()).await.result()["task"]["taskId"].clone();
    assert_ne!(task, "t-1");
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let reply = alice.request(method, json!({ "taskId": task })).await;
        assert_eq!(reply.result()["taskId"], task, "{method}");
        assert_eq!(upstream.sent().pop().unwrap().body["params"]["taskId"], "t-1");
        for token in others(&stack) {
            let before = stack.spy().mark();
            let reply = stack.bearing(&token).request(method, json!({ "taskId": task })).await;
            assert_eq!(reply.json()["error"]["code"], -32602, "{method}: {}", reply.body);
            assert_eq!(stack.spy().mark(), before);
        }
    }
    let listed = |reply: harness::Reply| reply.result()["tasks"].as_array().unwrap().len();
    let own = alice.request("tasks/list", json!({})).await;
    assert_eq!(own.result()["tasks"][0]["taskId"], task);
    assert_eq!(listed(own), 1, "those made for this caller");
    for token in others(&stack) {
        assert_eq!(listed(stack.bearing(&token).request("tasks/list", json!({})).await), 0);
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_modern_task_is_its_callers() {
    let upstream = with_tasks(true);
    let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).start().await;
    let alice = stack.caller("customer:read");
    let made = alice.modern_request("tools/call", call()).await.result();
    let task = made["taskId"].as_str().unwrap();
    let get = async |token: &str, task: &str| {
        let caller = stack.bearing(token).header("mcp-name", task);
        caller.modern_request("tasks/get", json!({ "taskId": task })).await
    };
    assert_eq!(get(alice.token(), task).await.result()["taskId"], task);
    let sent = upstream.sent().pop().unwrap();
    assert_eq!(sent.header("mcp-name"), Some("t-1"), "repeated as it goes upstream");
    assert_eq!(sent.body["params"]["taskId"], "t-1");
    for (token, id) in
        others(&stack).iter().map(|t| (t.as_str(), task)).chain([(alice.token(), "t-1")])
    {
        let before = stack.spy().mark();
        assert_eq!(get(token, id).await.json()["error"]["code"], -32602);
        assert_eq!(stack.spy().mark(), before, "the upstream saw something");
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_task_of_a_tool_that_is_no_longer_the_callers_is_refused() {
    let policies = r#"
        @id("tasks") permit (principal, action in Mcp::Action::"use_task", resource);
        @id("tool") permit (principal, action == Mcp::Action::"get_customer_info", resource)
            when { principal.scopes.contains("customer:read") };
    "#;
    let upstream = with_tasks(false);
    let stack = Stack::with().upstream(upstream.router()).policies(policies).start().await;
    let task = stack.caller("customer:read").request("tools/call", call()).await.result();
    let params = json!({ "taskId": task["task"]["taskId"] });
    assert_eq!(
        stack.caller("customer:read").request("tasks/get", params.clone()).await.status,
        200
    );
    let reply = stack.caller("ticket:create").request("tasks/get", params).await;
    assert_eq!(reply.reason(), "denied", "{}", reply.body);
    stack.finish().await;
}

#[tokio::test]
async fn the_result_of_a_task_counts_where_its_tool_does() {
    let upstream = with_tasks(false);
    let rule = "[[call_limits]]\nid = 'r'\nper = ['principal']\nresult_bytes_per_day = 600";
    let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).settings(rule);
    let stack = stack.start().await;
    let alice = stack.caller("customer:read");
    let task = alice.request("tools/call", call()).await.result()["task"]["taskId"].clone();
    let mut statuses = Vec::new();
    for method in ["tasks/get", "tasks/result", "tasks/get", "tasks/result"] {
        let reply = alice.request(method, json!({ "taskId": task })).await;
        statuses.push(reply.status.as_u16());
    }
    statuses.dedup();
    assert_eq!(statuses, [200, 429]);
    assert_eq!(alice.request("tools/call", call()).await.reason(), "rate-limited");
    let cancelled = alice.request("tasks/cancel", json!({ "taskId": task })).await;
    assert_eq!(cancelled.status, 200, "whoever has had enough may stop");
    stack.finish().await;
}
