use harness::Stack;
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

#[tokio::test]
async fn the_callers_token_never_goes_upstream() {
    let stack = Stack::start().await;
    let caller = stack.caller("customer:read");
    caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await;
    let seen = stack.spy().seen();
    assert!(seen.contains("get_customer_info"), "the call itself did: {seen}");
    for part in caller.token().split('.') {
        assert!(!seen.contains(part), "a part of the token went upstream");
    }
    stack.finish().await;
}

#[tokio::test]
async fn the_upstream_gets_an_assertion_it_can_verify_with_the_published_key() {
    let stack = Stack::start().await;
    let url = format!("https://{}/.well-known/cedargate-assertion-jwks.json", stack.gate());
    let published = stack.http().get(url).send().await.unwrap().bytes().await.unwrap();
    let jwks: JwkSet = serde_json::from_slice(&published).unwrap();

    stack
        .caller("customer:read")
        .call("get_customer_info", json!({ "customer_id": "ABC123" }))
        .await;
    let seen = stack.spy().seen();
    let line = seen.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization: "));
    let assertion = line.unwrap().split_once("Bearer ").unwrap().1.trim();
    let header = jsonwebtoken::decode_header(assertion).unwrap();
    assert_eq!(header.typ.as_deref(), Some("cedargate-assertion+jwt"));
    let key = DecodingKey::from_jwk(jwks.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_issuer(&[stack.resource()]);
    validation.validate_aud = false;
    let claims: Value = jsonwebtoken::decode(assertion, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["client_id"], "test-client");
    assert_eq!(claims["scope"], "customer:read");
    assert_eq!(claims["subject_issuer"], stack.issuer());
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert!(lifetime <= 60, "{lifetime}");
    stack.finish().await;
}

#[tokio::test]
async fn two_principals_do_not_share_an_assertion() {
    let stack = Stack::start().await;
    let call = json!({ "customer_id": "ABC123" });
    for subject in ["bob\nclient", "bob"] {
        let mut claims = stack.claims("customer:read");
        claims["sub"] = json!(subject);
        let token = stack.signing_key().sign(&claims).unwrap();
        assert_eq!(stack.bearing(&token).call("get_customer_info", call.clone()).await.status, 200);
    }
    let seen = stack.spy().seen();
    let mut assertions: Vec<&str> = seen.split("Bearer ").skip(1).collect();
    assertions.dedup_by_key(|text| text.lines().next());
    assert_eq!(assertions.len(), 2);
    stack.finish().await;
}
