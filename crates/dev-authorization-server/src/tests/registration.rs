use super::*;
use serde_json::json;

#[tokio::test]
async fn a_client_registers_and_is_told_what_it_is() {
    let bench = Bench::new();
    let metadata = json!({
        "client_name": "Inspector",
        "redirect_uris": ["http://localhost:6274/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "customer:read",
        "token_endpoint_auth_method": "none",
        "logo_uri": "https://evil.example.com/logo.png",
    });
    let reply = bench.post_json("/register", &metadata).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert_eq!(reply.header("cache-control"), "no-store");
    let client = reply.json();
    assert_eq!(client["token_endpoint_auth_method"], "none");
    assert_eq!(client["redirect_uris"], metadata["redirect_uris"]);
    assert!(client.get("client_secret").is_none() && client.get("logo_uri").is_none());
    for method in ["client_secret_basic", "client_secret_post"] {
        let metadata = json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": method });
        let client = bench.post_json("/register", &metadata).await.json();
        assert_eq!(client["token_endpoint_auth_method"], method);
        assert_eq!(client["client_secret"].as_str().unwrap().len(), 43);
    }
    let client = bench.post_json("/register", &json!({ "redirect_uris": [CALLBACK] })).await.json();
    assert_eq!(client["token_endpoint_auth_method"], "client_secret_basic", "RFC 7591 section 2");
}

#[tokio::test]
async fn the_registered_scope_is_the_default_and_no_ceiling() {
    let bench = Bench::new();
    let metadata = json!({
        "redirect_uris": [CALLBACK], "scope": "customer:read",
        "token_endpoint_auth_method": "none",
    });
    let client = bench.post_json("/register", &metadata).await.json();
    let id = client["client_id"].as_str().unwrap();
    for (asked, granted) in [
        ("", "customer:read"),
        ("customer:read security:read", "customer:read security:read"),
        ("customer:read offline_access", "customer:read offline_access"),
    ] {
        let query = query(&[("client_id", id), ("scope", asked)]);
        let code = bench.allowed(&query, "demo_user").await.returned("code").unwrap();
        let answer = bench.exchange(&code, &[("client_id", id)]).await.json();
        assert_eq!(answer["scope"], granted);
        assert!(answer["refresh_token"].is_string(), "every client of a user gets one");
    }
}

#[tokio::test]
async fn a_stranger_gets_no_token_on_its_own_word() {
    let bench = Bench::new();
    let client = bench.post_json("/register", &json!({ "redirect_uris": [CALLBACK] })).await.json();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client["client_id"].as_str().unwrap()),
        ("client_secret", client["client_secret"].as_str().unwrap()),
        ("scope", "customer:read"),
    ];
    let reply = bench.post("/token", None, &form).await;
    assert_eq!(reply.error(), "unauthorized_client");
    let refused = json!({
        "redirect_uris": [CALLBACK], "grant_types": ["client_credentials"],
    });
    assert_eq!(bench.post_json("/register", &refused).await.error(), "invalid_client_metadata");
}

#[tokio::test]
async fn a_strangers_address_elsewhere_is_shown_before_anybody_is_sent_there() {
    let bench = Bench::new();
    let elsewhere = "https://client.example.com/callback";
    let metadata = json!({ "redirect_uris": [elsewhere], "token_endpoint_auth_method": "none" });
    let client = bench.post_json("/register", &metadata).await.json();
    let id = client["client_id"].as_str().unwrap();
    let changes = [("client_id", id), ("redirect_uri", elsewhere), ("scope", "made:up")];
    let reply = bench.get(&format!("/authorize?{}", query(&changes)), None).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.header("location"), "", "no open redirect by registration");
    assert!(reply.body.contains("href=\"https://client.example.com/callback?error=invalid_scope"));
    let allowed = query(&[("client_id", id), ("redirect_uri", elsewhere)]);
    let reply = bench.allowed(&allowed, "demo_user").await;
    assert!(reply.location().as_str().starts_with(elsewhere), "once a person decided");
}

#[tokio::test]
async fn what_cannot_be_registered_is_refused() {
    let bench = Bench::new();
    for (metadata, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["http://example.com/"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["javascript:alert(1)"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": "http://localhost/" }), "invalid_client_metadata"),
        (json!([]), "invalid_client_metadata"),
    ] {
        let reply = bench.post_json("/register", &metadata).await;
        assert_eq!((reply.status.as_u16(), reply.error().as_str()), (400, error), "{metadata}");
    }
    let form = bench.post("/register", None, &[("redirect_uris", CALLBACK)]).await;
    assert_eq!(form.error(), "invalid_client_metadata", "a form is not JSON");
}
