use super::*;

/// Rows 7 and 8.
#[tokio::test]
async fn headers_that_contradict_the_body_are_refused() {
    let stack = Stack::start().await;
    let caller = stack.caller(SCOPES);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_recent_customers","arguments":{}}}"#;
    let lying = caller.clone().header("mcp-method", "tools/list");
    let reply = lying.refused(call).await;
    assert_eq!(reply.json()["error"]["code"], -32020);
    assert_eq!(reply.json()["id"], 1, "answers the request");
    let lying = caller.clone().header("mcp-name", "get_customer_info");
    assert_eq!(lying.refused(call).await.reason(), "header-mismatch");

    let modern = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {
            "name": "get_recent_customers", "arguments": {},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    })
    .to_string();
    let lying = caller.clone().modern("tools/call", Some("get_customer_info"));
    assert_eq!(lying.refused(modern.clone()).await.reason(), "header-mismatch");
    let silent = caller.clone().modern("tools/call", None);
    assert_eq!(silent.refused(modern.clone()).await.reason(), "header-mismatch");
    let encoded =
        caller.clone().modern("tools/call", Some("=?base64?Z2V0X3JlY2VudF9jdXN0b21lcnM=?="));
    assert_eq!(
        encoded.post(modern.clone()).await.status,
        200,
        "an encoded name is compared decoded"
    );

    let other = caller.header("mcp-protocol-version", "2031-01-01");
    let reply = other.refused(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    assert_eq!(reply.json()["error"]["code"], -32022);
    assert_eq!(reply.json()["error"]["data"]["requested"], "2031-01-01");
    stack.finish().await;
}

/// Rows 2, 3 and 21.
#[tokio::test]
async fn what_goes_upstream_is_the_gates_own_writing() {
    let stack = Stack::start().await;
    let body = "\n{ \"params\" : {\"arguments\":{ \"customer_id\" : \"\\u0041BC123\" }, \"name\":\"get_customer_info\"},\t\"method\":\"tools\\/call\", \"id\": 1, \"jsonrpc\":\"2.0\"}";
    let reply = stack
        .caller("customer:read")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-user", "root")
        .header("cookie", "session=1")
        .header("last-event-id", "7")
        .post(body)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let seen = stack.spy().seen();
    assert!(
        seen.contains(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"customer_id":"ABC123"},"name":"get_customer_info"}}"#),
        "{seen}"
    );
    for foreign in ["x-forwarded-for", "x-user", "cookie", "last-event-id"] {
        assert!(!seen.to_ascii_lowercase().contains(foreign), "{foreign} in {seen}");
    }
    stack.finish().await;
}

/// Row 8.
#[tokio::test]
async fn what_may_stand_once_is_refused_when_it_stands_twice() {
    let stack = Stack::start().await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for (name, value) in [
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-method", "tools/list"),
        ("mcp-name", "a"),
        ("mcp-session-id", "a"),
        ("authorization", "Bearer a"),
        ("host", "evil.example.com"),
        ("origin", "https://evil.example.com"),
    ] {
        let twice = stack.caller(SCOPES).header(name, value).header(name, value);
        let reply = twice.refused(list).await;
        assert!(reply.status.is_client_error(), "{name}: {}", reply.body);
    }
    let before = stack.spy().mark();
    let twice = stack.caller(SCOPES).header("last-event-id", "1").header("last-event-id", "1");
    assert_eq!(twice.send(Method::GET, None).await.reason(), "repeated-header");
    assert_eq!(stack.spy().mark(), before, "the upstream saw something");

    let params = call("get_customer_info", json!({ "customer_id": "ABC123" }));
    let body = modern("tools/call", params);
    let caller = stack.caller(SCOPES).modern("tools/call", Some("get_customer_info"));
    for value in [
        "=?base64?Z2V0X2N1c3RvbWVyX2luZm8?=",
        "=?BASE64?Z2V0X2N1c3RvbWVyX2luZm8=?=",
        "Get_customer_info",
    ] {
        let caller = stack.caller(SCOPES).modern("tools/call", Some(value));
        assert_eq!(caller.refused(body.clone()).await.reason(), "header-mismatch", "{value}");
    }
    let twice = caller.header("mcp-param-id", "ABC123").header("MCP-Param-ID", "ABC123");
    assert_eq!(twice.refused(body).await.reason(), "repeated-header");
    stack.finish().await;
}

/// Row 9: the body says which era it is of, and the header says the same.
#[tokio::test]
async fn a_message_of_one_era_is_not_taken_for_one_of_the_other() {
    let stack = Stack::start().await;
    let list = |meta: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{{meta}}}}}}}"#
        )
    };
    let of = |version: &str| {
        format!(
            r#""io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}"#
        )
    };
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#.to_owned();
    let modern_hello = modern("initialize", json!({}));
    for (version, method, body, code) in [
        (None, None, list(&of("2026-07-28")), -32020),
        (Some("2025-11-25"), None, list(&of("2026-07-28")), -32020),
        (Some("2026-07-28"), Some("tools/list"), list(""), -32602),
        (Some("2026-07-28"), None, list(&of("2026-07-28")), -32020),
        (Some("2025-11-25"), None, list(&of("2025-11-25")), -32022),
        (Some("2027-01-01"), Some("tools/list"), list(&of("2027-01-01")), -32022),
        (Some("2026-07-28"), Some("initialize"), hello, -32602),
        (Some("2026-07-28"), Some("initialize"), modern_hello.clone(), -32601),
        (None, None, modern_hello, -32020),
    ] {
        let mut caller = stack.caller(SCOPES);
        for (name, value) in [("mcp-protocol-version", version), ("mcp-method", method)] {
            if let Some(value) = value {
                caller = caller.header(name, value);
            }
        }
        let reply = caller.refused(body.clone()).await;
        assert_eq!(reply.json()["error"]["code"], code, "{version:?} {method:?}: {body}");
    }
    stack.finish().await;
}

/// Row 10: a compressed answer could not be judged, so none is asked for.
#[tokio::test]
async fn no_compressed_answer_is_asked_for() {
    let upstream = Scripted::new(|sent| sent.result(&json!({ "tools": [] })));
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let caller = stack.caller("").header("accept-encoding", "gzip, br").header("te", "trailers");
    assert_eq!(caller.request("tools/list", json!({})).await.status, 200);
    let sent = upstream.sent().pop().unwrap();
    assert_eq!(sent.header("accept-encoding"), Some("identity"));
    assert_eq!(sent.header("te"), None);
    stack.finish().await;
}

/// Row 27: a header may repeat an argument and nothing else.
#[tokio::test]
async fn an_argument_in_a_header_is_an_argument_in_the_body() {
    let upstream = Scripted::new(|sent| sent.result(&json!({ "content": [] })));
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let body = modern("tools/call", call("get_customer_info", json!({ "customer_id": "ABC123" })));
    let caller = stack.caller(SCOPES).modern("tools/call", Some("get_customer_info"));
    for lie in ["OTHER", "abc123", "", "=?base64?T1RIRVI=?="] {
        let lying = caller.clone().header("mcp-param-customer", lie);
        assert_eq!(lying.refused(body.clone()).await.reason(), "header-mismatch", "{lie}");
    }
    let honest = caller.header("mcp-param-customer", "=?base64?QUJDMTIz?=");
    assert_eq!(honest.post(body).await.status, 200);
    let sent = upstream.sent().pop().unwrap();
    assert_eq!(sent.header("mcp-param-customer"), Some("ABC123"), "written anew");
    stack.finish().await;
}
