//! Whoever answers in the issuer's place, or stands between: nobody is believed, nothing is
//! followed, and the upstream sees nothing.

use std::time::{Duration, Instant};

use axum::{
    Router,
    response::{IntoResponse as _, Redirect, Response},
    routing::{any, get},
};
use harness::Stack;
use http::StatusCode;
use serde_json::json;

const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
/// What a hostile endpoint does.
const KINDS: [&str; 8] =
    ["redirect", "huge", "endless", "error", "not-json", "wrong-shape", "compressed", "stalled"];

/// A good document at `/good`, and what `kind` says everywhere else.
async fn hostile(kind: &'static str, good: String) -> String {
    let document = good.clone();
    let at_good = any(move || std::future::ready(json_of(document.clone())));
    let router =
        Router::new().route("/good", at_good.clone()).fallback(any(async move || match kind {
            "redirect" => Redirect::temporary("/good").into_response(),
            "huge" => json_of(format!("{good}{}", " ".repeat(2 << 20))),
            "endless" => {
                let space =
                    futures::stream::repeat_with(|| Ok::<_, std::io::Error>(" ".repeat(4096)));
                axum::body::Body::from_stream(space).into_response()
            }
            "error" => (StatusCode::INTERNAL_SERVER_ERROR, good.clone()).into_response(),
            "not-json" => "<html>sign in</html>".into_response(),
            "wrong-shape" => json_of(r#"{"keys":{"0":1},"active":"true"}"#.to_owned()),
            "compressed" => ([("content-encoding", "gzip")], good.clone()).into_response(),
            _ => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                json_of(good.clone())
            }
        }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/asked", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn json_of(text: String) -> Response {
    ([("content-type", "application/json")], text).into_response()
}

#[tokio::test]
async fn keys_from_a_hostile_endpoint_are_no_keys() {
    let keys = serde_json::to_string(&Stack::shared_signing_key().jwks()).unwrap();
    let stack =
        Stack::with().jwks_url(&hostile("honest", keys.clone()).await.replace("asked", "good"));
    let stack = stack.start().await;
    assert_eq!(stack.caller("").post(LIST).await.status, 200, "as a control");
    stack.finish().await;
    for kind in KINDS {
        let stack = Stack::with().jwks_url(&hostile(kind, keys.clone()).await).start().await;
        let reply = stack.caller("customer:read").refused(LIST).await;
        assert_eq!(
            (reply.status.as_u16(), reply.reason().as_str()),
            (503, "keys-unavailable"),
            "{kind}"
        );
        stack.finish().await;
    }
}

#[tokio::test]
async fn a_hostile_endpoint_vouches_for_no_opaque_token() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "secret words").unwrap();
    // An issuer that is not to be asked for keys, and its word about tokens.
    let issuer = "https://opaque.example.com";
    let good = json!({
        "active": true, "iss": issuer, "sub": "alice", "client_id": "c", "scope": "customer:read",
        "exp": jsonwebtoken::get_current_timestamp() + 300,
    });
    for kind in KINDS {
        let url = hostile(kind, good.to_string()).await;
        let settings = format!(
            "introspection = {{ url = {url:?}, client_id = \"gate\", client_secret_file = {secret:?} }}"
        );
        let stack = Stack::with().issuer_settings(&settings).start().await;
        let asked = Instant::now();
        let reply = stack.bearing("opaque-token-of-some-length").refused(LIST).await;
        let expected = match kind {
            "wrong-shape" => (401, "malformed-claims"),
            _ => (503, "introspection-unavailable"),
        };
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), expected, "{kind}");
        assert!(asked.elapsed() < Duration::from_secs(20), "{kind}: {:?}", asked.elapsed());
        stack.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_about_another_issuer_is_named_to_the_operator() {
    let stack = Stack::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own = format!("https://{}", listener.local_addr().unwrap());
    let foreign = format!("{own}/somebody-else");
    let document = json!({ "issuer": foreign, "jwks_uri": format!("{own}/keys") });
    let keys = serde_json::to_value(Stack::shared_signing_key().jwks()).unwrap();
    let router = Router::new()
        .route("/keys", get(move || std::future::ready(json_of(keys.to_string()))))
        .fallback(get(move || std::future::ready(json_of(document.to_string()))));
    stack.serve(listener, router).await;

    let config = std::fs::read_to_string(stack.home().join("gate.toml")).unwrap();
    let config =
        config.replace(&format!("issuer = {:?}", stack.issuer()), &format!("issuer = {own:?}"));
    std::fs::write(stack.home().join("foreign.toml"), config).unwrap();
    let gate = env!("CARGO_BIN_EXE_cedargate-under-test");
    let output =
        harness::Program::run(gate, &["check", "--live", "--config", "foreign.toml"], stack.home());
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(told.contains(&foreign), "{told}");
    assert!(told.contains("last slash"), "and how they are compared: {told}");
    stack.finish().await;
}
