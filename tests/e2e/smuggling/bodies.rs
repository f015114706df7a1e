use super::*;

/// Rows 1 to 6.
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

/// Rows 4 and 10.
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

/// Row 1: in every protocol version, however the batch is labelled.
#[tokio::test]
async fn a_batch_is_refused_whatever_its_era_and_label() {
    let stack = Stack::start().await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for version in [None, Some("2025-03-26"), Some("2025-06-18"), Some("2025-11-25")] {
        let mut caller = stack.caller(SCOPES);
        if let Some(version) = version {
            caller = caller.header("mcp-protocol-version", version);
        }
        for batch in [format!("[{list}]"), format!(" [{list},{list}]"), "[]".to_owned()] {
            let reply = caller.refused(batch.clone()).await;
            assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (400, "batch"), "{batch}");
        }
    }
    let batch = format!("[{}]", modern("tools/list", json!({})));
    let reply = stack.caller(SCOPES).modern("tools/list", None).refused(batch).await;
    assert_eq!(reply.json()["error"]["code"], -32600);
    for label in ["text/plain", "application/json-seq", "application/x-ndjson"] {
        let reply = stack.caller(SCOPES).header("content-type", label);
        assert_eq!(reply.refused(format!("[{list}]")).await.status, 415, "{label}");
    }
    stack.finish().await;
}

/// Row 2, as it was carried out elsewhere: the header names one tool, the body two.
#[tokio::test]
async fn a_name_that_stands_twice_is_refused_at_any_depth() {
    let stack = Stack::start().await;
    let honest = call("get_customer_info", json!({ "customer_id": "ABC123" }));
    let honest = modern("tools/call", honest);
    for (once, twice) in [
        (r#""name":"#, r#""name":"create_support_ticket","name":"#),
        (r#""customer_id":"#, r#""customer_id":"X","customer_id":"#),
        (r#""_meta":"#, r#""_meta":{},"_meta":"#),
        (
            r#""io.modelcontextprotocol/protocolVersion":"#,
            r#""io.modelcontextprotocol/protocolVersion":"2025-11-25","io.modelcontextprotocol/protocolVersion":"#,
        ),
    ] {
        let caller = stack.caller(SCOPES).modern("tools/call", Some("get_customer_info"));
        let reply = caller.refused(honest.replacen(once, twice, 1)).await;
        assert_eq!(reply.reason(), "repeated-name", "{twice}");
    }
    stack.finish().await;
}

/// Row 3: what is judged is the name that an escaped one spells.
#[tokio::test]
async fn escaped_names_are_the_names_they_spell() {
    let stack = Stack::start().await;
    let escaped = |tool: &str, arguments: Value| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\u002fcall","p\u0061rams":{{"n\u0061me":"{tool}","arguments":{arguments}}}}}"#
        )
    };
    let ticket =
        json!({ "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low" });
    let caller = stack.caller("customer:read");
    let reply = caller.refused(escaped(r"cre\u0061te_support_ticket", ticket)).await;
    assert_eq!(reply.reason(), "insufficient-scope");
    let reply = caller.post(escaped(r"get_r\u0065cent_customers", json!({}))).await;
    assert_eq!(reply.status, 200);
    let seen = stack.spy().seen();
    assert!(seen.contains(r#""method":"tools/call","params":{"name":"get_recent_customers""#));
    stack.finish().await;
}

/// Row 5.
#[tokio::test]
async fn numbers_and_text_that_readers_round_or_replace_are_refused() {
    let stack = Stack::start().await;
    let caller = stack.caller(SCOPES);
    for (limit, reason) in [
        ("9007199254740993", "invalid-arguments"),
        ("-9007199254740993", "invalid-arguments"),
        ("18446744073709551617", "invalid-arguments"),
        ("1e400", "invalid-arguments"),
        ("1.5", "invalid-arguments"),
        ("NaN", "malformed-json"),
        ("Infinity", "malformed-json"),
        ("-Infinity", "malformed-json"),
        (r#""\ud800""#, "lone-surrogate"),
        (r#""\ud800\u0041""#, "lone-surrogate"),
    ] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"get_recent_customers","arguments":{{"limit":{limit}}}}}}}"#
        );
        assert_eq!(caller.refused(body).await.reason(), reason, "{limit}");
    }
    stack.finish().await;
}

/// Row 6.
#[tokio::test]
async fn a_message_is_one_thing() {
    let stack = Stack::start().await;
    let caller = stack.caller(SCOPES);
    let reads = r#""method":"tools/call","params":{"name":"get_recent_customers"}"#;
    for members in [
        format!(r#"{reads},"id":1,"result":{{}}"#),
        format!(r#"{reads},"id":1,"result":null"#),
        format!(r#"{reads},"id":1,"error":{{"code":1,"message":"m"}}"#),
        format!(r#"{reads},"id":1,"extra":1"#),
        format!(r#"{reads},"id":null"#),
        reads.to_owned(),
        r#""id":1,"result":{},"error":{"code":1,"message":"m"}"#.to_owned(),
        r#""id":1,"params":{}"#.to_owned(),
        r#""id":1"#.to_owned(),
    ] {
        let reply = caller.refused(format!(r#"{{"jsonrpc":"2.0",{members}}}"#)).await;
        let told = (reply.status.as_u16(), reply.reason());
        assert_eq!(told, (400, "not-a-message".to_owned()), "{members}");
    }
    stack.finish().await;
}
