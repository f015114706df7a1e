use harness::Stack;
use serde_json::json;

#[tokio::test]
async fn a_legacy_client_initializes_lists_and_calls() {
    let stack = Stack::start().await;
    let caller = stack.caller("customer:read account:calculate");
    let hello = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    });
    let reply = caller.request("initialize", hello).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.result()["protocolVersion"], "2025-11-25");
    assert_eq!(reply.result()["serverInfo"]["name"], "customer-mcp-server");

    let caller = caller.header("mcp-protocol-version", "2025-11-25");
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(caller.post(initialized.to_string()).await.status, 202);
    assert_eq!(caller.request("ping", json!({})).await.status, 200);

    let reply = caller.call("get_customer_info", json!({ "customer_id": "CUST67890" })).await;
    let customer = &reply.result()["structuredContent"];
    assert_eq!(customer["customer_id"], "CUST67890");
    assert_eq!(customer["contact_info"]["email"], "maria.lindqvist@example.com");
    stack.finish().await;
}

#[tokio::test]
async fn a_modern_client_discovers_lists_and_calls() {
    let stack = Stack::start().await;
    let caller = stack.caller("customer:read account:calculate");
    let reply = caller.modern_request("server/discover", json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let versions = reply.result()["supportedVersions"].to_string();
    assert!(versions.contains("2026-07-28"), "{versions}");

    let reply = caller.modern_request("tools/list", json!({})).await;
    assert_eq!(reply.result()["resultType"], "complete");

    let arguments = json!({ "customer_id": "CUST67890", "amounts": [150, 300, 13, 89] });
    let call = json!({ "name": "calculate_account_value", "arguments": arguments });
    let reply = caller.modern_request("tools/call", call).await;
    let text = reply.result()["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("\"total\":552.00"), "{text}");
    assert_eq!(reply.result()["structuredContent"]["calculation"]["total"], 552.0);
    stack.finish().await;
}

#[tokio::test]
async fn resources_are_guarded_by_their_scope() {
    let stack = Stack::start().await;
    let secured = stack.caller("security:read");
    for uri in ["health://status", "security://events"] {
        let reply = secured.request("resources/read", json!({ "uri": uri })).await;
        let text = reply.result()["contents"][0]["text"].as_str().unwrap().to_owned();
        let content: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(content.get("status").or(content.get("monitoring_status")).is_some(), "{text}");
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": { "uri": uri }
        });
        let refusal = stack.caller("customer:read").refused(body.to_string()).await;
        assert_eq!(refusal.reason(), "insufficient-scope");
        assert_eq!(refusal.json()["error"]["data"]["requiredScopes"], json!(["security:read"]));
    }
    stack.finish().await;
}

#[tokio::test]
async fn every_demo_customer_of_the_article_is_there() {
    let stack = Stack::start().await;
    let caller = stack.caller("customer:read");
    for id in ["CUST67890", "JOHNDOE123", "ABC123", "12345", "67890"] {
        let reply = caller.call("get_customer_info", json!({ "customer_id": id })).await;
        assert_eq!(reply.result()["structuredContent"]["customer_id"], id);
    }
    let reply = caller.call("get_customer_info", json!({ "customer_id": "NOBODY1" })).await;
    assert_eq!(reply.result()["isError"], true);
    assert_eq!(reply.result()["content"][0]["text"], "no customer `NOBODY1`");
    stack.finish().await;
}

#[tokio::test]
async fn a_decision_names_caller_tool_and_policy() {
    let mut stack = Stack::start().await;
    let arguments = json!({ "customer_id": "ABC123" });
    let reply = stack.caller("customer:read").call("get_customer_info", arguments).await;
    let record = stack.latest_decision().await;
    assert_eq!(reply.headers["x-request-id"], record.request_id.to_string());
    assert_eq!(record.decision, sidecar::Decision::Allow);
    assert_eq!(record.policies, ["customer-read"]);
    assert_eq!(record.subject.as_deref(), Some("alice"));
    assert_eq!(record.target.as_deref(), Some("get_customer_info"));
    assert_eq!(record.issuer.as_deref(), Some(stack.issuer().as_str()));
    stack.finish().await;
}
