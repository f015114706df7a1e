use super::*;

/// CVE-2026-46519: whatever a caller's list leaves out, the same caller's call is refused.
#[tokio::test]
async fn what_is_not_listed_cannot_be_called() {
    let stack = Stack::start().await;
    let calls = [
        ("get_customer_info", json!({ "customer_id": "ABC123" })),
        ("get_recent_customers", json!({})),
        (
            "create_support_ticket",
            json!({ "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low" }),
        ),
        ("calculate_account_value", json!({ "customer_id": "ABC123", "amounts": [1] })),
    ];
    for scopes in ["", "customer:read", "ticket:create", "account:calculate", "security:read"] {
        let caller = stack.caller(scopes);
        let listed = caller.request("tools/list", json!({})).await.tool_names();
        for (tool, arguments) in calls.clone() {
            if listed.contains(&tool.to_owned()) {
                let reply = caller.call(tool, arguments).await;
                assert_eq!(reply.status, 200, "{scopes}: {tool}");
            } else {
                let reply = caller.refused_call(tool, arguments).await;
                assert_eq!(reply.reason(), "insufficient-scope", "{scopes}: {tool}");
            }
        }
    }
    stack.finish().await;
}

/// ToolHive #5745 and #5931: a batch was seen neither by the check nor by the audit.
#[tokio::test]
async fn a_batch_is_refused_and_on_record() {
    let mut stack = Stack::start().await;
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"create_support_ticket","arguments":{}}}"#;
    for media_type in ["application/json", "Application/Json", "application/json; charset=utf-8"] {
        let caller = stack.caller("customer:read").header("content-type", media_type);
        let reply = caller.refused(format!("[{LIST},{call}]")).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (400, "batch"));
        let record = stack.latest_decision().await;
        assert_eq!((record.decision, record.reason), (sidecar::Decision::Deny, "batch"));
        assert_eq!(record.subject.as_deref(), Some("alice"));
    }
    stack.finish().await;
}

/// ToolHive c2e27a705: a policy that permits everything permits nothing that the gate does not know.
#[tokio::test]
async fn a_method_outside_the_map_is_refused() {
    let upstream = Scripted::new(|sent| sent.result(&json!({})));
    let everything = "@id(\"everything\") permit (principal, action, resource);";
    let stack = Stack::with().upstream(upstream.router()).policies(everything).start().await;
    for method in [
        "tools/call ",
        " tools/call",
        "tools/call/",
        "tools//call",
        "TOOLS/CALL",
        "tools.call",
        "tools/call\u{0}",
        "tools/\u{441}all",
        "resources/write",
        "admin/keys",
        "rpc.discover",
        "sampling/createMessage",
        "elicitation/create",
        "roots/list",
        "session/listen",
        "response",
        "notifications/initialized",
        "$/cancelRequest",
        "__proto__",
    ] {
        let params = json!({ "name": "get_customer_info", "arguments": { "customer_id": "A" } });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let reply = stack.caller(SCOPES).refused(body.to_string()).await;
        assert!(reply.json()["error"].is_object(), "{method}: {}", reply.body);
        let reply = stack.caller(SCOPES).header("mcp-method", "tools/list");
        assert!(reply.refused(body.to_string()).await.json()["error"].is_object(), "{method}");
    }
    assert!(upstream.sent().is_empty());
    stack.finish().await;
}

/// ToolHive 8a05eddd5 and Tyk #8539: a body is judged as JSON or is not looked at.
#[tokio::test]
async fn a_media_type_is_judged_or_refused() {
    let stack = Stack::start().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_support_ticket","arguments":{"customer_id":"ABC123","subject":"s","description":"d","priority":"low"}}}"#;
    for media_type in [
        "application/json",
        "APPLICATION/JSON",
        "application/json;charset=utf-8",
        "application/json ; charset=\"UTF-8\"",
        "\tapplication/json",
    ] {
        let caller = stack.caller("customer:read").header("content-type", media_type);
        assert_eq!(caller.refused(call).await.reason(), "insufficient-scope", "{media_type}");
    }
    for media_type in [
        "application/json-rpc",
        "application/vnd.api+json",
        "text/json",
        "application/jsonx",
        "",
        "application/json, text/plain",
        "text/plain, application/json",
        "application/json/x",
        "*/*",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-7",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
    ] {
        let caller = stack.caller(SCOPES).header("content-type", media_type);
        let reply = caller.refused(call).await;
        let told = (reply.status.as_u16(), reply.reason());
        assert_eq!(told, (415, "not-json".to_owned()), "{media_type}");
    }
    stack.finish().await;
}

/// ToolHive bacac58ac: `a/b` and `a_b` had become the same entity.
#[tokio::test]
async fn uris_are_entities_to_the_letter() {
    let policies =
        r#"@id("one") permit (principal, action, resource == Mcp::Resource::"file:///a_b");"#;
    let upstream = Scripted::new(|sent| sent.result(&json!({ "contents": [] })));
    let stack = Stack::with().upstream(upstream.router()).policies(policies).start().await;
    for uri in [
        "file:///a/b",
        "file:///a-b",
        "file:///a.b",
        "file:///a%5Fb",
        "file:///A_b",
        "file_///a_b",
        "file:///a_b\u{0}",
        "file:///a_b#",
        "file:///a_b?",
        "file:///a_b\"",
        "file:///a\u{ff3f}b",
    ] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": { "uri": uri } });
        let reply = stack.caller("").refused(body.to_string()).await;
        assert_eq!(reply.json()["error"]["code"], -32602, "{uri}: {}", reply.body);
    }
    let reply = stack.caller("").request("resources/read", json!({ "uri": "file:///a_b" })).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    stack.finish().await;
}

/// ToolHive e14bb31db: one decoder read `name`, the other `Name`.
#[tokio::test]
async fn a_name_in_another_case_is_no_second_name() {
    let stack = Stack::start().await;
    for params in [
        r#"{"name":"get_recent_customers","Name":"create_support_ticket"}"#,
        r#"{"Name":"create_support_ticket","name":"get_recent_customers"}"#,
        r#"{"Name":"get_recent_customers"}"#,
        r#"{"name":"get_recent_customers","arguments":{},"ARGUMENTS":{"limit":1000}}"#,
        r#"{"name":"get_recent_customers","Arguments":{"limit":1000}}"#,
        r#"{"name":"get_recent_customers","arguments":{"limit":1,"Limit":1000}}"#,
        r#"{"name":"get_recent_customers","arguments":{"limit":1,"L\u0130mit":1000,"l\u0130mit":2}}"#,
        r#"{"name":"get_recent_customers","argument\u017f":{"limit":1000}}"#,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let reply = stack.caller(SCOPES).refused(body).await;
        assert_eq!(reply.reason(), "ambiguous-names", "{params}");
    }
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call","Params":{"name":"x"}}"#;
    assert_eq!(stack.caller(SCOPES).refused(body).await.reason(), "ambiguous-names");
    stack.finish().await;
}

/// agentgateway 63de5278a: Cedar passes over a policy that errors, and so over its forbid.
#[tokio::test]
async fn a_forbid_that_fails_forbids() {
    let mut stack = Stack::with()
        .policies(
            r#"@id("reads") permit (principal, action == Mcp::Action::"get_recent_customers", resource);
               @id("few") forbid (principal, action == Mcp::Action::"get_recent_customers", resource)
               when { context.input has limit && context.input.limit * 922337203685477580 < 0 };"#,
        )
        .start()
        .await;
    let caller = stack.caller("");
    assert_eq!(caller.call("get_recent_customers", json!({ "limit": 1 })).await.status, 200);
    let huge = json!({ "limit": 100 });
    let reply = caller.refused_call("get_recent_customers", huge).await;
    assert_eq!(reply.reason(), "evaluation-failed");
    let record = stack.latest_decision().await;
    assert_eq!((record.decision, record.reason), (sidecar::Decision::Deny, "evaluation-failed"));
    assert_eq!(record.policies, ["few"]);
    stack.finish().await;
}

/// CVE-2026-55772: Cedar's JSON form has ways to write entities and extension values.
#[tokio::test]
async fn arguments_never_become_entities() {
    let stack = Stack::start().await;
    let root = json!({ "type": "Mcp::OAuthUser", "id": "root" });
    for odd in [
        json!({ "__entity": root }),
        json!({ "__expr": "Mcp::OAuthUser::\"root\"" }),
        json!({ "__extn": { "fn": "decimal", "arg": "1.0" } }),
        json!({ "type": "Mcp::OAuthUser", "id": "root" }),
        json!([{ "__entity": root }]),
    ] {
        for (tool, arguments) in [
            ("get_customer_info", json!({ "customer_id": odd })),
            ("get_recent_customers", json!({ "limit": odd })),
            ("calculate_account_value", json!({ "customer_id": "A", "amounts": [odd] })),
            ("calculate_account_value", json!({ "customer_id": "A", "amounts": odd })),
            ("get_customer_info", odd.clone()),
        ] {
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": { "name": tool, "arguments": arguments } });
            let reply = stack.caller(SCOPES).refused(body.to_string()).await;
            let expected =
                if arguments.is_array() { "invalid-params" } else { "invalid-arguments" };
            assert_eq!(reply.reason(), expected, "{tool} {arguments}");
        }
    }
    let text = json!({ "customer_id": r#"{"__entity":{"type":"Mcp::OAuthUser","id":"root"}}"# });
    let reply = stack.caller(SCOPES).call("get_customer_info", text).await;
    assert_eq!(reply.status, 200, "text is text: {}", reply.body);
    stack.finish().await;
}

/// CVE-2026-108586: filters, hints and claims of the caller's own change no decision.
#[tokio::test]
async fn nothing_that_a_caller_adds_widens_what_it_may_do() {
    let stack = Stack::start().await;
    let ticket =
        json!({ "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low" });
    for (member, value) in [
        ("tags", json!(["!read"])),
        ("filter", json!("not customer:read")),
        ("scope", json!("ticket:create")),
        ("principal", json!({ "scopes": ["ticket:create"] })),
        (
            "_meta",
            json!({ "scope": "ticket:create", "sub": "admin", "io.modelcontextprotocol/scopes": ["ticket:create"] }),
        ),
        ("context", json!({ "system": { "now": "1970-01-01" } })),
    ] {
        let params = json!({ "name": "create_support_ticket", "arguments": ticket, member: value });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let reply = stack.caller("customer:read").refused(body.to_string()).await;
        assert_eq!(reply.reason(), "insufficient-scope", "{member}");
        let listed =
            stack.caller("customer:read").request("tools/list", json!({ member: value })).await;
        assert_eq!(listed.tool_names(), ["get_customer_info", "get_recent_customers"], "{member}");
    }
    stack.finish().await;
}

/// CVE-2024-45808: what a caller names cannot make a second line.
#[tokio::test]
async fn what_is_on_record_is_one_line() {
    let mut stack = Stack::start().await;
    for name in ["x\r\n{\"decision\":\"allow\"}", "x\u{1b}[2J", "x\u{2028}y", "x\u{0}"] {
        stack.caller(SCOPES).refused_call(name, json!({})).await;
        let record = stack.latest_decision().await;
        let line = serde_json::to_string(&*record).unwrap();
        assert!(!line.contains(['\r', '\n', '\u{1b}', '\u{0}']), "{line:?}");
        assert_eq!(record.target.as_deref(), Some(name), "kept whole");
    }
    stack.finish().await;
}
