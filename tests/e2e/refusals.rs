use harness::{Reply, Stack};
use serde_json::json;

const TICKET: fn() -> serde_json::Value =
    || json!({ "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low" });

/// Status, challenge and body, with what differs from run to run replaced.
fn shown(stack: &Stack, reply: &Reply) -> String {
    let challenge = reply.challenge().unwrap_or("none");
    let text = format!("{}\n{challenge}\n{}", reply.status.as_u16(), reply.body);
    text.replace(&stack.gate().to_string(), "GATE")
}

#[tokio::test]
async fn without_a_token() {
    let stack = Stack::start().await;
    let reply = stack.stranger().refused_call("get_customer_info", json!({})).await;
    insta::assert_snapshot!(shown(&stack, &reply), @r#"
    401
    Bearer scope="customer:read", resource_metadata="https://GATE/.well-known/oauth-protected-resource/mcp"
    {"jsonrpc":"2.0","id":null,"error":{"code":401,"message":"an access token is required","data":{"reason":"no-token"}}}
    "#);
    stack.finish().await;
}

#[tokio::test]
async fn with_a_bad_token() {
    let stack = Stack::start().await;
    let reply = stack.bearing("a.b.c").refused_call("get_customer_info", json!({})).await;
    insta::assert_snapshot!(shown(&stack, &reply), @r#"
    401
    Bearer error="invalid_token", scope="customer:read", resource_metadata="https://GATE/.well-known/oauth-protected-resource/mcp"
    {"jsonrpc":"2.0","id":null,"error":{"code":401,"message":"the access token is malformed","data":{"reason":"malformed-token"}}}
    "#);
    stack.finish().await;
}

#[tokio::test]
async fn when_a_larger_scope_would_permit_it() {
    let stack = Stack::start().await;
    let reply = stack.caller("customer:read").refused_call("create_support_ticket", TICKET()).await;
    insta::assert_snapshot!(shown(&stack, &reply), @r#"
    403
    Bearer error="insufficient_scope", scope="ticket:create", resource_metadata="https://GATE/.well-known/oauth-protected-resource/mcp"
    {"jsonrpc":"2.0","id":1,"error":{"code":403,"message":"insufficient scope: this needs `ticket:create`","data":{"reason":"insufficient-scope","requiredScopes":["ticket:create"]}}}
    "#);
    stack.finish().await;
}

const CALM: &str = r#"
    @id("calm") permit (principal, action == Mcp::Action::"create_support_ticket", resource);
    @id("never-urgent") forbid (principal, action == Mcp::Action::"create_support_ticket", resource)
    when { context.input.priority == "urgent" };
"#;

fn urgent() -> serde_json::Value {
    let mut ticket = TICKET();
    ticket["priority"] = json!("urgent");
    ticket
}

#[tokio::test]
async fn when_no_scope_would_permit_it() {
    let stack = Stack::with().policies(CALM).start().await;
    let legacy = stack.caller("").refused_call("create_support_ticket", urgent()).await;
    insta::assert_snapshot!(shown(&stack, &legacy), @r#"
    200
    none
    {"jsonrpc":"2.0","id":1,"error":{"code":403,"message":"policy does not permit this","data":{"reason":"denied"}}}
    "#);
    let call = json!({ "name": "create_support_ticket", "arguments": urgent() });
    let modern = stack.caller("").modern_request("tools/call", call).await;
    insta::assert_snapshot!(shown(&stack, &modern), @r#"
    403
    none
    {"jsonrpc":"2.0","id":1,"error":{"code":403,"message":"policy does not permit this","data":{"reason":"denied"}}}
    "#);
    stack.finish().await;
}

#[tokio::test]
async fn in_the_manner_that_the_configuration_asks_for() {
    for (refusals, status, member) in
        [("http", 403, "error"), ("json-rpc", 200, "error"), ("tool-error", 200, "result")]
    {
        let settings = format!("[answers]\nrefusals = \"{refusals}\"\ndisclose_policies = true\n");
        let stack = Stack::with().policies(CALM).settings(&settings).start().await;
        let reply = stack.caller("").refused_call("create_support_ticket", urgent()).await;
        assert_eq!(reply.status, status, "{refusals}");
        let json = reply.json();
        assert!(json.get(member).is_some(), "{refusals}: {json}");
        match member {
            "result" => assert_eq!(json["result"]["isError"], true),
            _ => assert_eq!(json["error"]["data"]["policies"], json!(["never-urgent"])),
        }
        stack.finish().await;
    }
}

#[tokio::test]
async fn a_hidden_tool_and_no_tool_look_the_same() {
    let policies =
        r#"@id("a") permit (principal, action == Mcp::Action::"get_customer_info", resource);"#;
    let stack = Stack::with().policies(policies).start().await;
    let caller = stack.caller("");
    for modern in [false, true] {
        let call = async |tool: &str| {
            let params = json!({ "name": tool, "arguments": {} });
            match modern {
                true => caller.modern_request("tools/call", params).await,
                false => caller.request("tools/call", params).await,
            }
        };
        let hidden = call("get_recent_customers").await;
        let absent = call("get_rotten_customers").await;
        assert_eq!(hidden.status, absent.status);
        assert_eq!(hidden.body.replace("recent", "rotten"), absent.body);
        assert_eq!(absent.json()["error"]["code"], -32602);
    }
    stack.finish().await;

    let disclosing = "[answers]\ndisclose_denied_tools = true\n";
    let stack = Stack::with().policies(policies).settings(disclosing).start().await;
    let reply = stack.caller("").refused_call("get_recent_customers", json!({})).await;
    assert_eq!(reply.reason(), "denied");
    stack.finish().await;
}

#[tokio::test]
async fn arguments_that_do_not_fit_the_schema_never_reach_the_upstream() {
    let stack = Stack::start().await;
    let caller = stack.caller("customer:read");
    for (arguments, path) in [
        (json!({}), "customer_id"),
        (json!({ "customer_id": 7 }), "customer_id"),
        (json!({ "customer_id": "ABC123", "extra": 1 }), "extra"),
        (
            json!({ "customer_id": { "__entity": { "type": "Mcp::OAuthUser", "id": "x" } } }),
            "customer_id",
        ),
    ] {
        let reply = caller.refused_call("get_customer_info", arguments).await;
        assert_eq!(reply.reason(), "invalid-arguments");
        assert_eq!(reply.json()["error"]["data"]["path"], path);
    }
    stack.finish().await;
}

#[tokio::test]
async fn the_metadata_document_says_what_the_challenges_say() {
    let stack = Stack::start().await;
    let challenge = stack.stranger().refused_call("x", json!({})).await;
    let challenge = challenge.challenge().unwrap().to_owned();
    let (_, rest) = challenge.split_once("resource_metadata=\"").unwrap();
    let url = rest.trim_end_matches('"');
    let root = format!("https://{}/.well-known/oauth-protected-resource", stack.gate());
    for url in [url, &root] {
        let response = stack.http().get(url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        let document: serde_json::Value =
            serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(document["resource"], stack.resource());
        assert_eq!(document["authorization_servers"], json!([stack.issuer()]));
        assert_eq!(document["bearer_methods_supported"], json!(["header"]));
        assert_eq!(document["dpop_bound_access_tokens_required"], json!(false));
    }
    stack.finish().await;
}

#[tokio::test]
async fn every_refusal_is_on_record_with_its_reason() {
    let mut stack = Stack::start().await;
    stack.stranger().refused_call("get_customer_info", json!({})).await;
    let record = stack.latest_decision().await;
    assert_eq!((record.decision, record.reason), (sidecar::Decision::Deny, "no-token"));
    assert_eq!(record.subject, None, "nothing of an unverified token is on record");

    let mut claims = stack.claims("customer:read");
    claims["exp"] = json!(1);
    let expired = stack.signing_key().sign(&claims).unwrap();
    stack.bearing(&expired).refused_call("get_customer_info", json!({})).await;
    let record = stack.latest_decision().await;
    assert_eq!((record.reason, &record.subject), ("expired", &None));

    stack.caller("customer:read").refused_call("create_support_ticket", TICKET()).await;
    let record = stack.latest_decision().await;
    assert_eq!(record.reason, "insufficient-scope");
    assert_eq!(record.subject.as_deref(), Some("alice"));
    assert_eq!(record.target.as_deref(), Some("create_support_ticket"));
    stack.finish().await;
}
