use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::any};

use super::*;

/// Row 23.
#[tokio::test]
async fn methods_nobody_declared_are_refused() {
    let stack = Stack::start().await;
    for method in ["admin/reset", "tools/Call", "session/end", "sampling/createMessage", ""] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": {} });
        let reply = stack.caller(SCOPES).refused(body.to_string()).await;
        assert_eq!(reply.reason(), "unknown-method", "{method}");
        assert_eq!(reply.json()["error"]["code"], -32601);
        assert_eq!(reply.status, 200, "a legacy session survives it");
    }
    let reply = stack.caller(SCOPES).modern_request("ping", json!({})).await;
    assert_eq!(reply.status, 404, "a modern one is told by status");
    stack.finish().await;
}

/// Row 20.
#[tokio::test]
async fn notifications_carry_nothing_past_the_gate() {
    let mut stack = Stack::start().await;
    let params = call("get_recent_customers", json!({}));
    for (method, reason) in [
        ("tools/call", "not-a-message"),
        ("initialize", "not-a-message"),
        ("notifications/message", "unknown-method"),
        ("notifications/of_its_own", "unknown-method"),
    ] {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        stack.caller(SCOPES).refused(body.to_string()).await;
        assert_eq!(stack.latest_decision().await.reason, reason, "{method}");
    }
    for method in ["notifications/initialized", "notifications/cancelled", "notifications/progress"]
    {
        let with_id = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
        let reply = stack.caller(SCOPES).refused(with_id.to_string()).await;
        assert_eq!(reply.reason(), "not-a-message", "{method}");
        let mut body: Value = serde_json::from_str(&modern(method, json!({}))).unwrap();
        body.as_object_mut().unwrap().remove("id");
        stack.caller(SCOPES).modern(method, None).refused(body.to_string()).await;
        assert_eq!(stack.latest_decision().await.reason, "unknown-method", "{method}");
    }
    stack.finish().await;
}

/// Row 19: what may be read is what is named, to the letter, by whichever method.
#[tokio::test]
async fn a_resource_is_its_exact_uri_on_every_way_to_it() {
    let policies = r#"@id("one") permit (principal, action, resource)
        when { resource == Mcp::Resource::"file:///a%2Fb/c" || resource is Mcp::Server };"#;
    let upstream = Scripted::new(|sent| sent.result(&json!({ "contents": [] })));
    let stack = Stack::with().upstream(upstream.router()).policies(policies).start().await;
    let caller = stack.caller("");
    for uri in [
        "file:///a/b/c",
        "file:///a%2fb/c",
        "FILE:///a%2Fb/c",
        "file:///x/../a%2Fb/c",
        "file:///a%2Fb/c/",
        "file:///a%2Fb//c",
        "file:///a%2Fb/c ",
        "file:///a%252Fb/c",
        "ui://a",
        "skill://a",
    ] {
        for method in
            ["resources/read", "resources/subscribe", "resources/directory/read", "skills/get"]
        {
            let params = json!({ "uri": uri });
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
            let reply = caller.refused(body.to_string()).await;
            assert!(reply.json()["error"].is_object(), "{method} {uri}: {}", reply.body);
        }
        let reference = json!({ "ref": { "type": "ref/resource", "uri": uri }, "argument": {} });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "completion/complete", "params": reference });
        assert!(caller.refused(body.to_string()).await.json()["error"].is_object(), "{uri}");
    }
    let reply = caller.request("resources/read", json!({ "uri": "file:///a%2Fb/c" })).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(upstream.sent().pop().unwrap().body["params"]["uri"], "file:///a%2Fb/c");
    stack.finish().await;
}

/// Row 21.
#[tokio::test]
async fn other_http_methods_carry_no_message() {
    let stack = Stack::start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let before = stack.spy().mark();
    for method in [Method::PUT, Method::PATCH, Method::OPTIONS, Method::HEAD] {
        let caller = stack.caller(SCOPES).header("x-http-method-override", "POST");
        let reply = caller.send(method.clone(), Some(body.into())).await;
        assert_eq!(reply.status, 405, "{method}: {}", reply.body);
    }
    assert_eq!(stack.spy().mark(), before, "the upstream saw something");
    stack.finish().await;
}

/// Row 22.
#[tokio::test]
async fn an_id_is_text_or_a_whole_number_and_comes_back_as_it_was() {
    let stack = Stack::start().await;
    let ping = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    let long = format!("\"{}\"", "1".repeat(10_000));
    for id in ["null", "true", "{}", "[1]", "1.5", "1.0", "1e2", "9223372036854775808", &long] {
        let reply = stack.caller("").refused(ping(id)).await;
        assert_eq!(reply.reason(), "not-a-message", "{id}");
        assert_eq!(reply.json()["id"], Value::Null, "{id}");
    }
    for id in ["1", "\"1\"", "0", "-7", "\"\"", "9007199254740991"] {
        let reply = stack.caller("").post(ping(id)).await;
        assert_eq!(reply.status, 200, "{id}: {}", reply.body);
        assert!(reply.body.contains(&format!("\"id\":{id},")), "{id}: {}", reply.body);
    }
    stack.finish().await;
}

/// Row 14: whoever asks again, with what they were asked for, is judged again.
#[tokio::test]
async fn a_request_that_is_made_again_is_judged_again() {
    let upstream = Scripted::new(|sent| {
        let question = json!({ "method": "elicitation/create", "params": { "message": "Sure?" } });
        sent.result(&json!({
            "resultType": "input_required", "inputRequests": { "q": question }, "requestState": "s",
        }))
    });
    let policies = r#"
        @id("tool") permit (principal, action == Mcp::Action::"get_customer_info", resource)
            when { principal.scopes.contains("customer:read") && context.input.customer_id != "SECRET" };
        @id("asks") permit (principal, action in Mcp::Action::"ask_client", resource);
    "#;
    let stack = Stack::with().upstream(upstream.router()).policies(policies).start().await;
    let params = call("get_customer_info", json!({ "customer_id": "ABC123" }));
    let asked = stack.caller("customer:read").modern_request("tools/call", params.clone()).await;
    let mut again = params;
    again["requestState"] = asked.result()["requestState"].clone();
    again["inputResponses"] = json!({ "q": { "action": "accept", "content": {} } });
    let reply = stack.caller("customer:read").modern_request("tools/call", again.clone()).await;
    assert_eq!(reply.result()["resultType"], "input_required", "as a control");
    let before = stack.spy().mark();
    assert_eq!(stack.caller("").modern_request("tools/call", again.clone()).await.status, 403);
    again["arguments"]["customer_id"] = json!("SECRET");
    let reply = stack.caller("customer:read").modern_request("tools/call", again).await;
    assert_eq!(reply.reason(), "denied", "{}", reply.body);
    assert_eq!(stack.spy().mark(), before, "the upstream saw something");
    stack.finish().await;
}

/// Row 17: what is left of a page keeps its order and its cursor, also when nothing is left.
#[tokio::test]
async fn an_emptied_page_still_leads_to_the_next() {
    let upstream = Scripted::new(|sent| {
        let names = match sent.body["params"]["cursor"].as_str() {
            None => ["create_support_ticket", "unknown"],
            Some(_) => ["get_recent_customers", "get_customer_info"],
        };
        let tools = names.map(|name| json!({ "name": name }));
        sent.result(
            &json!({ "tools": tools, "nextCursor": "2", "ttlMs": 5, "cacheScope": "public" }),
        )
    });
    let stack = Stack::with().unguarded().upstream(upstream.router()).start().await;
    let caller = stack.caller("customer:read");
    let first = caller.modern_request("tools/list", json!({})).await.result();
    assert_eq!((&first["tools"], &first["nextCursor"]), (&json!([]), &json!("2")));
    let second = caller.modern_request("tools/list", json!({ "cursor": "2" })).await.result();
    let shown = second["tools"].as_array().unwrap();
    let names: Vec<&serde_json::Value> = shown.iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["get_recent_customers", "get_customer_info"]);
    for page in [first, second] {
        assert_eq!((&page["cacheScope"], &page["ttlMs"]), (&json!("private"), &json!(5)));
    }
    stack.finish().await;
}

/// Row 28.
#[tokio::test]
async fn leaving_cancels_a_modern_request_and_no_legacy_one() {
    let carried_out = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&carried_out);
    let upstream = Router::new().fallback(any(move || async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let stack = Stack::with().upstream(upstream).start().await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned();
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
    for (body, headers, after) in
        [(modern("tools/list", json!({})), headers.as_slice(), 0), (list, &[], 1)]
    {
        stack.count_request();
        let mut request = stack.http().post(stack.resource()).bearer_auth(stack.caller("").token());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("content-type", "application/json").body(body);
        let left = request.timeout(Duration::from_millis(400)).send().await;
        assert!(left.unwrap_err().is_timeout());
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(carried_out.load(Ordering::SeqCst), after);
    }
    stack.finish().await;
}
