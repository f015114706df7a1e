use harness::Stack;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

async fn straight(stack: &Stack, authorization: Option<String>) -> u16 {
    let mut request = stack
        .http()
        .post(stack.upstream())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(LIST);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn the_server_alone_serves_nobody() {
    let stack = Stack::start().await;
    assert_eq!(straight(&stack, None).await, 401);
    let token = stack.caller("customer:read").token().to_owned();
    assert_eq!(
        straight(&stack, Some(format!("Bearer {token}"))).await,
        401,
        "a caller's own token"
    );
    assert_eq!(straight(&stack, Some("Basic YTpi".to_owned())).await, 401);
    stack.finish().await;
}

#[tokio::test]
async fn only_a_fresh_assertion_by_the_trusted_key_for_this_server_counts() {
    let stack = Stack::start().await;
    let pem = std::fs::read(stack.home().join("assertion-key.pem")).unwrap();
    let jwks: Value =
        serde_json::from_slice(&std::fs::read(stack.home().join("assertion-jwks.json")).unwrap())
            .unwrap();
    let kid = jwks["keys"][0]["kid"].as_str().unwrap().to_owned();
    let config = std::fs::read_to_string(stack.home().join("gate.toml")).unwrap();
    let audience = config.split("url = \"").nth(2).unwrap().split('"').next().unwrap().to_owned();
    let trusted = EncodingKey::from_ed_pem(&pem).unwrap();
    let stranger = dev_certificates::AssertionKey::generate().unwrap();
    let stranger = EncodingKey::from_ed_pem(stranger.key_pem.as_bytes()).unwrap();

    let assertion = |key: &EncodingKey, typ: &str, change: fn(&mut Value)| {
        let now = jsonwebtoken::get_current_timestamp();
        let mut claims = json!({
            "iss": stack.resource(), "aud": audience, "sub": "alice", "client_id": "c",
            "iat": now, "exp": now + 60,
        });
        change(&mut claims);
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(kid.clone());
        Some(format!("Bearer {}", jsonwebtoken::encode(&header, &claims, key).unwrap()))
    };
    let typ = "cedargate-assertion+jwt";
    assert_eq!(straight(&stack, assertion(&trusted, typ, |_| {})).await, 200, "a good one serves");
    for (what, bad) in [
        ("another key", assertion(&stranger, typ, |_| {})),
        ("another type", assertion(&trusted, "JWT", |_| {})),
        ("another issuer", assertion(&trusted, typ, |c| c["iss"] = json!("https://evil"))),
        ("another audience", assertion(&trusted, typ, |c| c["aud"] = json!("https://evil"))),
        (
            "no audience",
            assertion(&trusted, typ, |c| drop(c.as_object_mut().unwrap().remove("aud"))),
        ),
        (
            "expired",
            assertion(&trusted, typ, |c| {
                c["iat"] = json!(c["iat"].as_u64().unwrap() - 120);
                c["exp"] = json!(c["exp"].as_u64().unwrap() - 120);
            }),
        ),
        (
            "too long-lived",
            assertion(&trusted, typ, |c| {
                c["exp"] = json!(c["exp"].as_u64().unwrap() + 1);
            }),
        ),
        ("nobody", assertion(&trusted, typ, |c| drop(c.as_object_mut().unwrap().remove("sub")))),
    ] {
        assert_eq!(straight(&stack, bad).await, 401, "{what}");
    }
    let reply = stack
        .caller("security:read")
        .request("resources/read", json!({ "uri": "security://events" }))
        .await;
    let text = reply.result()["contents"][0]["text"].as_str().unwrap().to_owned();
    let events: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(events["summary"]["warnings"], 8, "{events}");
    stack.finish().await;
}
