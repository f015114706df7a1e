//! Tokens, keys and audiences: issuer, gate and client together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::IntoResponse as _,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use client::{
    session::{Era, Session},
    token::TokenSource,
};
use dev_authorization_server::{keys::OldKey, signing::SigningKey};
use harness::{RegisteredClient, Stack, free_port};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use super::serving::{OPERATOR, operated};

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

pub(super) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn defect_08_a_token_names_its_key_and_no_other_is_tried() {
    let stack = Stack::start().await;
    let client = RegisteredClient::register(&stack, "client").await;
    stack.issuer_keys().rotate(OldKey::StaysFor(Duration::from_secs(60))).unwrap();
    stack.issuer_keys().rotate(OldKey::StaysFor(Duration::from_secs(60))).unwrap();
    let tokens = client.tokens(&stack, "demo_user", "customer:read").await;
    let header = jsonwebtoken::decode_header(tokens["access_token"].as_str().unwrap()).unwrap();
    let jwks = stack.http().get(format!("{}/jwks.json", stack.issuer())).send().await.unwrap();
    let jwks: Value = serde_json::from_slice(&jwks.bytes().await.unwrap()).unwrap();
    let kids: Vec<&str> =
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(kids.len(), 3);
    assert_eq!(header.kid.as_deref(), Some(stack.issuer_keys().current().kid()));
    assert!(kids.contains(&header.kid.as_deref().unwrap()));

    let claims = stack.claims("customer:read");
    let misnamed = stack.signing_key().sign_named("oauth-server-key-1", &claims).unwrap();
    assert_eq!(stack.bearing(&misnamed).refused(LIST).await.reason(), "unknown-key");
    stack.finish().await;
}

#[tokio::test]
async fn defect_09_the_audience_is_the_resource_and_it_is_compared() {
    let stack = Stack::start().await;
    let client = RegisteredClient::register(&stack, "client").await;
    let tokens = client.tokens(&stack, "demo_user", "customer:read").await;
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(claims(token)["aud"], stack.resource());
    assert_eq!(stack.bearing(token).post(LIST).await.status, 200);
    for audience in
        [json!(client.id), json!("https://other.example.com/mcp"), json!([]), Value::Null]
    {
        let mut claims = stack.claims("customer:read");
        claims["aud"] = audience.clone();
        let token = stack.signing_key().sign(&claims).unwrap();
        let reply = stack.bearing(&token).refused(LIST).await;
        assert_eq!(reply.status, 401, "{audience}: {}", reply.body);
    }
    stack.finish().await;
}

#[tokio::test]
async fn defect_10_without_keys_nothing_is_believed() {
    let nobody = format!("http://127.0.0.1:{}/keys", free_port());
    let stack = Stack::with().jwks_url(&nobody).start().await;
    let good = stack.caller("customer:read").refused(LIST).await;
    assert_eq!((good.status.as_u16(), good.reason().as_str()), (503, "keys-unavailable"));
    let forged = SigningKey::generate().unwrap().sign(&stack.claims("customer:read")).unwrap();
    assert_eq!(stack.bearing(&forged).refused(LIST).await.status, 503);

    // The client believes no server whose certificate it cannot verify.
    let careful = client::trust::http_client(None).unwrap();
    let options = stack.token_options(&[]);
    let found = TokenSource::discover(careful, &stack.resource(), options).await;
    let told = found.unwrap_err().to_string();
    assert!(told.contains("cannot reach"), "{told}");
    stack.finish().await;
}

#[tokio::test]
async fn defect_14_what_the_issuer_takes_back_the_gate_takes_back() {
    let (stack, admin) = operated().await;
    let client = RegisteredClient::register(&stack, "client").await;
    let tokens = client.tokens(&stack, "demo_user", "customer:read").await;
    let [access, refresh] =
        ["access_token", "refresh_token"].map(|name| tokens[name].as_str().unwrap().to_owned());
    assert_eq!(stack.bearing(&access).post(LIST).await.status, 200);
    let form = [("token", refresh.as_str()), ("client_id", &client.id)];
    let revoked = stack.http().post(format!("{}/revoke", stack.issuer())).form(&form).send().await;
    assert_eq!(revoked.unwrap().status(), 200);
    // RFC 7009 at the gate too: whoever takes a token back can tell the gate in the same words.
    let form = [("token", access.as_str())];
    let told = stack.http().post(format!("{admin}/revoke")).bearer_auth(OPERATOR).form(&form);
    assert_eq!(told.send().await.unwrap().status(), 200);
    assert_eq!(stack.bearing(&access).refused(LIST).await.reason(), "revoked", "at once");
    let credentials = stack.credentials();
    let form = [
        ("token", access.as_str()),
        ("client_id", &credentials.client_id),
        ("client_secret", &credentials.client_secret),
    ];
    let asked =
        stack.http().post(format!("{}/introspect", stack.issuer())).form(&form).send().await;
    let asked: Value = serde_json::from_slice(&asked.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(asked, json!({ "active": false }), "any resource server can learn it");
    let form =
        [("grant_type", "refresh_token"), ("client_id", &client.id), ("refresh_token", &refresh)];
    assert_eq!(client.token_endpoint(&form).await.json()["error"], "invalid_grant");

    // The keys are taken back, with every token that they signed, and the gate learns of it from the first token under a new one.
    let bystander = client.tokens(&stack, "admin_user", "customer:read").await;
    let bystander = bystander["access_token"].as_str().unwrap();
    assert_eq!(stack.bearing(bystander).post(LIST).await.status, 200);
    let rotate = format!("{}/test/rotate-keys?withdraw=true", stack.issuer());
    assert_eq!(stack.http().post(rotate).send().await.unwrap().status(), 200);
    let fresh = client.tokens(&stack, "demo_user", "customer:read").await;
    let fresh = fresh["access_token"].as_str().unwrap();
    let mut status = 0;
    // The cool-down between two fetches of keys is ten seconds.
    for _ in 0..30 {
        status = stack.bearing(fresh).post(LIST).await.status.as_u16();
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(status, 200, "the new key is found");
    assert_eq!(stack.bearing(bystander).refused(LIST).await.reason(), "unknown-key");
    stack.finish().await;
}

/// The recursion on 401 and 429 had no end; the other half of it is beside the issuer's tests.
#[tokio::test]
async fn defect_16_a_client_that_is_refused_gives_up() {
    for (status, challenge) in [
        (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\""),
        (StatusCode::FORBIDDEN, "Bearer error=\"insufficient_scope\", scope=\"customer:read\""),
        (StatusCode::TOO_MANY_REQUESTS, "Bearer"),
    ] {
        let stack = Stack::start().await;
        let asked = Arc::new(AtomicUsize::new(0));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let resource = format!("https://{}/mcp", listener.local_addr().unwrap());
        let metadata = json!({
            "resource": resource, "authorization_servers": [stack.issuer()],
        });
        let counted = Arc::clone(&asked);
        let refuse = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready((status, [("www-authenticate", challenge)]).into_response())
        };
        let router = Router::new().route("/mcp", post(refuse)).route(
            "/.well-known/oauth-protected-resource/mcp",
            get(move || std::future::ready(Json(metadata))),
        );
        stack.serve(listener, router).await;
        // The issuer does not serve that resource, and the client has to take the refusal.
        let options = stack.token_options(&[]);
        let tokens = TokenSource::discover(stack.http(), &resource, options).await.unwrap();
        assert!(tokens.token().await.unwrap_err().to_string().contains("invalid_target"));

        let always_refused = refused_by(&stack, &asked, status, challenge).await;
        assert!(always_refused <= 6, "{status}: asked {always_refused} times");
        stack.finish().await;
    }
}

/// How often a session asks a server that refuses every message, with tokens that its issuer gives
/// to everybody.
async fn refused_by(
    stack: &Stack,
    asked: &Arc<AtomicUsize>,
    status: StatusCode,
    challenge: &'static str,
) -> usize {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let url = format!("{origin}/mcp");
    let counted = Arc::clone(asked);
    let refuse = move |headers: HeaderMap| {
        let with_token = headers.contains_key("authorization");
        counted.fetch_add(usize::from(with_token), Ordering::SeqCst);
        std::future::ready((status, [("www-authenticate", challenge)]).into_response())
    };
    let told = |document: Value| get(move || std::future::ready(Json(document)));
    let token = json!({ "access_token": "opaque", "token_type": "Bearer" });
    let router = Router::new()
        .route("/mcp", post(refuse))
        .route(
            "/.well-known/oauth-protected-resource/mcp",
            told(json!({ "resource": url, "authorization_servers": [origin] })),
        )
        .route(
            "/.well-known/oauth-authorization-server",
            told(json!({ "issuer": origin, "token_endpoint": format!("{origin}/token") })),
        )
        .route("/token", post(move || std::future::ready(Json(token))));
    stack.serve(listener, router).await;
    let options = stack.token_options(&[]);
    let tokens = TokenSource::discover(stack.http(), &url, options).await.unwrap();
    let opening = Session::open(stack.http(), &url, Arc::new(tokens), Era::Newest);
    let opened = tokio::time::timeout(Duration::from_secs(20), opening).await;
    assert!(opened.expect("it gives up").is_err(), "{status}");
    let times = asked.load(Ordering::SeqCst);
    assert!(times > 0, "{status}: it was never asked with a token");
    times
}

#[tokio::test]
async fn defect_17_the_client_asks_for_a_token_for_the_resource_it_calls() {
    let mut stack = Stack::start().await;
    let tokens = stack.tokens(stack.token_options(&[])).await.unwrap();
    stack.forget_decisions().await;
    let token = tokens.token().await.unwrap();
    let token = token.expose();
    assert_eq!(claims(token)["aud"], stack.resource());
    assert_ne!(claims(token)["aud"], claims(token)["client_id"]);
    assert_eq!(stack.bearing(token).post(LIST).await.status, 200);
    let mut for_the_client = stack.claims("customer:read");
    for_the_client["aud"] = for_the_client["client_id"].clone();
    let mut header = Header::new(Algorithm::RS256);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(stack.signing_key().kid().to_owned());
    let token = stack.signing_key().sign_with_header(&header, &for_the_client).unwrap();
    assert_eq!(stack.bearing(&token).refused(LIST).await.reason(), "wrong-audience");
    stack.finish().await;
}
