use harness::{Reply, Stack};
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

const TYPE: &str = "cedargate-assertion+jwt";

async fn straight(stack: &Stack, authorization: Option<String>) -> Reply {
    let mut request = stack
        .http()
        .post(stack.upstream())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    Reply::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn the_server_alone_serves_nobody() {
    let stack = Stack::start().await;
    let token = format!("Bearer {}", stack.caller("customer:read").token());
    for credential in [None, Some(token), Some("Basic YTpi".to_owned()), Some(String::new())] {
        let reply = straight(&stack, credential.clone()).await;
        assert_eq!(reply.status, 401, "{credential:?}");
        assert_eq!(reply.challenge(), Some("Bearer"));
    }
    stack.finish().await;
}

#[tokio::test]
async fn only_a_fresh_assertion_by_the_trusted_key_for_this_server_counts() {
    let stack = Stack::start().await;
    let stranger = dev_certificates::AssertionKey::generate().unwrap();
    let stranger = EncodingKey::from_ed_pem(stranger.key_pem.as_bytes()).unwrap();
    let good = format!("Bearer {}", stack.assertion(TYPE, |_| {}));
    assert_eq!(straight(&stack, Some(good)).await.status, 200, "a good one serves");
    for (what, bad) in [
        ("another key", stack.assertion_signed_by(&stranger, TYPE, |_| {})),
        ("another type", stack.assertion("JWT", |_| {})),
        ("another issuer", stack.assertion(TYPE, |c| c["iss"] = json!("https://evil"))),
        ("another audience", stack.assertion(TYPE, |c| c["aud"] = json!("https://evil"))),
        ("no audience", stack.assertion(TYPE, |c| drop(c.as_object_mut().unwrap().remove("aud")))),
        (
            "expired",
            stack.assertion(TYPE, |c| {
                c["iat"] = json!(c["iat"].as_u64().unwrap() - 120);
                c["exp"] = json!(c["exp"].as_u64().unwrap() - 120);
            }),
        ),
        (
            "too long-lived",
            stack.assertion(TYPE, |c| {
                c["exp"] = json!(c["exp"].as_u64().unwrap() + 1);
            }),
        ),
        ("nobody", stack.assertion(TYPE, |c| drop(c.as_object_mut().unwrap().remove("sub")))),
    ] {
        let reply = straight(&stack, Some(format!("Bearer {bad}"))).await;
        assert_eq!(reply.status, 401, "{what}");
    }
    let uri = json!({ "uri": "security://events" });
    let reply = stack.caller("security:read").request("resources/read", uri).await;
    let text = reply.result()["contents"][0]["text"].as_str().unwrap().to_owned();
    let events: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(events["summary"]["warnings"], 8, "{events}");
    stack.finish().await;
}

#[tokio::test]
async fn the_policies_schema_knows_exactly_the_servers_tools() {
    let stack = Stack::start().await;
    let assertion = format!("Bearer {}", stack.assertion(TYPE, |_| {}));
    let offered = straight(&stack, Some(assertion)).await.tool_names();
    let everyone = stack.caller("customer:read ticket:create account:calculate security:read");
    assert_eq!(everyone.request("tools/list", json!({})).await.tool_names(), offered);
    let schema = std::fs::read_to_string(stack.home().join("policies/schema.cedarschema")).unwrap();
    let declared = schema.split("in [call_tool]").count() - 1;
    assert_eq!(declared, offered.len(), "the schema declares a tool the server lacks");
    stack.finish().await;
}
