use harness::Stack;
use serde_json::json;

const SCOPES: &str = "customer:read ticket:create account:calculate security:read";

#[tokio::test]
async fn bodies_that_two_readers_could_read_differently_are_refused() {
    let stack = Stack::start().await;
    let caller = stack.caller(SCOPES);
    let call = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
            .into_bytes()
    };
    let good = call(r#"{"name":"get_customer_info","arguments":{"customer_id":"ABC123"}}"#);
    let utf16: Vec<u8> = String::from_utf8(good.clone())
        .unwrap()
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (body, reason) in [
        (call(r#"{"name":"get_customer_info","name":"create_support_ticket"}"#), "repeated-name"),
        (call(r#"{"name":"get_customer_info","n\u0061me":"create_support_ticket"}"#), "repeated-name"),
        (call(r#"{"name":"get_customer_info","Name":"create_support_ticket"}"#), "ambiguous-names"),
        (call(r#"{"name":"get_recent_customers","Arguments":{"limit":100}}"#), "ambiguous-names"),
        (
            call(r#"{"name":"get_customer_info","arguments":{"customer_id":"A","customer_id":"B"}}"#),
            "repeated-name",
        ),
        ([b"[".to_vec(), good.clone(), b"]".to_vec()].concat(), "batch"),
        ([b"\xEF\xBB\xBF".to_vec(), good.clone()].concat(), "byte-order-mark"),
        (utf16, "malformed-json"),
        (b"{\"\xff\":1}".to_vec(), "not-utf8"),
        ([good.clone(), good.clone()].concat(), "malformed-json"),
        ([good.clone(), b"\0".to_vec()].concat(), "malformed-json"),
        (call(r#"{"name":"get_customer_info","arguments":{"customer_id":NaN}}"#), "malformed-json"),
        (call(&format!(r#"{{"name":"x","arguments":{}}}"#, "[".repeat(100_000))), "too-deep"),
        (
            br#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"x"}}"#.to_vec(),
            "repeated-name",
        ),
        (br#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#.to_vec(), "not-a-message"),
        (br#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_vec(), "unexpected-response"),
        (Vec::new(), "malformed-json"),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(90)]).into_owned();
        let reply = caller.refused(body).await;
        assert_eq!(reply.reason(), reason, "{shown}");
        assert_eq!(reply.status, 400, "{shown}");
    }
    assert_eq!(caller.post(good).await.status, 200, "and the honest one passes");
    stack.finish().await;
}

#[tokio::test]
async fn what_is_not_plain_json_is_not_looked_at() {
    let stack = Stack::start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for (name, value, reason) in [
        ("content-type", "text/plain", "not-json"),
        ("content-type", "application/json; charset=utf-16", "not-json"),
        ("content-type", "application/x-www-form-urlencoded", "not-json"),
        ("content-encoding", "gzip", "encoded-body"),
        ("content-encoding", "br", "encoded-body"),
    ] {
        let reply = stack.caller(SCOPES).header(name, value).refused(body).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (415, reason), "{value}");
    }
    let shouted = stack.caller(SCOPES).header("content-type", "Application/JSON; Charset=UTF-8");
    assert_eq!(shouted.post(body).await.status, 200);
    stack.finish().await;
}

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

#[tokio::test]
async fn a_body_beyond_the_limit_is_never_judged() {
    let stack = Stack::with().settings("[limits]\nmax_body_bytes = 1000\n").start().await;
    let padded = |bytes: usize| {
        let empty = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        format!("{empty}{}", " ".repeat(bytes - empty.len()))
    };
    let caller = stack.caller("");
    assert_eq!(caller.post(padded(1000)).await.status, 200);
    let reply = caller.refused(padded(1001)).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (413, "body-too-large"));
    let chunks = futures::stream::iter((0..3).map(move |_| Ok::<_, std::io::Error>(padded(400))));
    let reply = caller.refused(reqwest::Body::wrap_stream(chunks)).await;
    assert_eq!(reply.reason(), "body-too-large", "also when its length is not announced");
    stack.finish().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let stack = Stack::with().settings("[limits]\nbody_timeout = \"200ms\"\n").start().await;
    let stalled = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let reply = stack.caller("").refused(reqwest::Body::wrap_stream(stalled)).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (408, "body-too-slow"));
    stack.finish().await;
}
