use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dev_authorization_server::signing::SigningKey;
use harness::Stack;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;

async fn refused(stack: &Stack, token: &str, reason: &str) {
    let reply = stack.bearing(token).refused(LIST).await;
    assert_eq!(reply.reason(), reason, "{token}");
    assert_eq!(reply.status, 401, "{reason}");
    let challenge = reply.challenge().expect("a challenge");
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    assert!(!reply.body.contains(token), "a refusal repeats no token");
}

#[tokio::test]
async fn a_token_of_the_issuer_is_accepted() {
    let stack = Stack::start().await;
    assert_eq!(stack.caller("customer:read").post(LIST).await.status, 200);
    stack.finish().await;
}

#[tokio::test]
async fn claims_that_are_missing_wrong_or_of_another_type_refuse_the_token() {
    let stack = Stack::start().await;
    let now = jsonwebtoken::get_current_timestamp();
    for (claim, value, reason) in [
        ("iss", json!("https://evil.example.com"), "unknown-issuer"),
        ("iss", json!(format!("{}/", stack.issuer())), "unknown-issuer"),
        ("iss", json!([stack.issuer()]), "malformed-claims"),
        ("iss", Value::Null, "malformed-claims"),
        ("aud", json!("https://other.example.com/mcp"), "wrong-audience"),
        ("aud", json!(format!("{}/", stack.resource())), "wrong-audience"),
        ("aud", json!([]), "wrong-audience"),
        ("aud", json!({ "0": stack.resource() }), "malformed-claims"),
        ("aud", Value::Null, "malformed-claims"),
        ("exp", json!(now - 31), "expired"),
        ("exp", json!((now + 300).to_string()), "malformed-claims"),
        ("exp", json!(-1), "malformed-claims"),
        ("exp", Value::Null, "malformed-claims"),
        ("nbf", json!(now + 60), "not-yet-active"),
        ("nbf", json!("soon"), "malformed-claims"),
        ("sub", json!(""), "malformed-claims"),
        ("sub", json!(7), "malformed-claims"),
        ("sub", Value::Null, "malformed-claims"),
        ("client_id", Value::Null, "malformed-claims"),
        ("scope", json!(["customer:read"]), "malformed-claims"),
    ] {
        let mut claims = stack.claims("customer:read");
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
            value => claims[claim] = value,
        }
        let token = stack.signing_key().sign(&claims).unwrap();
        println!("{claim}: {:?}", claims.get(claim));
        refused(&stack, &token, reason).await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn small_differences_between_clocks_are_forgiven() {
    let stack = Stack::start().await;
    let now = jsonwebtoken::get_current_timestamp();
    let mut claims = stack.claims("customer:read");
    claims["exp"] = json!(now - 20);
    claims["nbf"] = json!(now + 20);
    let token = stack.signing_key().sign(&claims).unwrap();
    assert_eq!(stack.bearing(&token).post(LIST).await.status, 200);
    stack.finish().await;
}

#[tokio::test]
async fn several_audiences_may_be_named() {
    let stack = Stack::start().await;
    let mut claims = stack.claims("customer:read");
    claims["aud"] = json!(["https://other.example.com/mcp", stack.resource()]);
    let token = stack.signing_key().sign(&claims).unwrap();
    assert_eq!(stack.bearing(&token).post(LIST).await.status, 200);
    stack.finish().await;
}

#[tokio::test]
async fn signatures_algorithms_and_keys_that_are_not_the_issuers_are_refused() {
    let stack = Stack::start().await;
    let claims = stack.claims("customer:read");
    let key = stack.signing_key();
    let header = |change: fn(&mut Header)| {
        let mut header = Header::new(Algorithm::RS256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(key.kid().to_owned());
        change(&mut header);
        header
    };

    let forged = SigningKey::generate().unwrap();
    let token = forged.sign_with_header(&header(|_| {}), &claims).unwrap();
    refused(&stack, &token, "bad-signature").await;
    refused(&stack, &forged.sign(&claims).unwrap(), "unknown-key").await;

    for (change, reason) in [
        ((|h| h.kid = Some("unknown".to_owned())) as fn(&mut Header), "unknown-key"),
        (|h| h.kid = Some(String::new()), "no-key-id"),
        (|h| h.kid = Some("../../etc/passwd".to_owned()), "unknown-key"),
        (|h| h.typ = Some("JWT".to_owned()), "wrong-token-type"),
        (|h| h.typ = Some("oauth-id-jag+jwt".to_owned()), "wrong-token-type"),
        (|h| h.typ = None, "wrong-token-type"),
        (|h| h.crit = Some(vec!["exp".to_owned()]), "malformed-token"),
    ] {
        let token = key.sign_with_header(&header(change), &claims).unwrap();
        refused(&stack, &token, reason).await;
    }
    let token = key.sign_with_header(&header(|h| h.alg = Algorithm::RS512), &claims).unwrap();
    refused(&stack, &token, "wrong-algorithm").await;
    stack.finish().await;
}

#[tokio::test]
async fn the_public_key_is_no_shared_secret_and_none_is_no_algorithm() {
    let stack = Stack::start().await;
    let claims = stack.claims("customer:read");
    let jwks = serde_json::to_string(&stack.signing_key().jwks()).unwrap();
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(stack.signing_key().kid().to_owned());
    let secret = EncodingKey::from_secret(jwks.as_bytes());
    let token = jsonwebtoken::encode(&header, &claims, &secret).unwrap();
    refused(&stack, &token, "wrong-algorithm").await;

    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "nOnE", ""] {
        let head = json!({ "alg": alg, "typ": "at+jwt", "kid": stack.signing_key().kid() });
        let token = format!("{}.{}.", encode(&head), encode(&claims));
        refused(&stack, &token, "wrong-algorithm").await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_refused() {
    let stack = Stack::start().await;
    let token = stack.caller("customer:read").token().to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let mut more = stack.claims("customer:read security:read");
    more["jti"] = json!("tampered");
    let payload = URL_SAFE_NO_PAD.encode(more.to_string());
    refused(&stack, &format!("{}.{payload}.{}", parts[0], parts[2]), "bad-signature").await;
    refused(&stack, &format!("{}.{}.", parts[0], parts[1]), "bad-signature").await;
    for broken in ["a", "a.b", "a.b.c", "..", &format!("{token}.x"), &token[..token.len() - 2]] {
        let reply = stack.bearing(broken).refused(LIST).await;
        assert_eq!(reply.status, 401, "{broken}");
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_token_comes_in_one_header_and_nowhere_else() {
    let stack = Stack::start().await;
    let token = stack.caller("customer:read").token().to_owned();

    let twice = stack.bearing(&token).header("authorization", &format!("Bearer {token}"));
    let reply = twice.refused(LIST).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (400, "several-credentials"));

    stack.count_request();
    let url = format!("{}?access_token={token}", stack.resource());
    let reply = stack
        .http()
        .post(url)
        .bearer_auth(&token)
        .header("content-type", "application/json")
        .body(LIST)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 400);

    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"access_token":"{token}"}}}}"#
    );
    assert_eq!(stack.stranger().refused(body).await.reason(), "no-token");
    let cookie = stack.stranger().header("cookie", &format!("access_token={token}"));
    assert_eq!(cookie.refused(LIST).await.reason(), "no-token");
    stack.finish().await;
}

#[tokio::test]
async fn who_asks_is_settled_before_what_they_ask() {
    let stack = Stack::start().await;
    let reply = stack.stranger().refused("this is not even JSON").await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (401, "no-token"));
    let reply = stack.stranger().send(reqwest::Method::GET, None).await;
    assert_eq!(reply.status, 401, "a stranger's GET leads to the metadata");
    let reply = stack.caller("").send(reqwest::Method::GET, None).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (405, "not-post"));
    assert_eq!(reply.headers["allow"], "POST");
    stack.finish().await;
}
