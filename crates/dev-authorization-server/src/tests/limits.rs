use super::*;
use serde_json::json;

#[tokio::test]
async fn registrations_end_where_the_room_ends() {
    let bench = Bench::new();
    let metadata = json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" });
    let mut refused = None;
    for _ in 0..1001 {
        let reply = bench.post_json("/register", &metadata).await;
        if reply.status != StatusCode::CREATED {
            refused = Some(reply);
        }
    }
    let refused = refused.expect("the last one has no room");
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(bench.allowed(&query(&[]), "demo_user").await.returned("code").is_some());
}

#[tokio::test]
async fn large_bodies_and_queries_are_refused() {
    let bench = Bench::new();
    let large = "x".repeat(20_000);
    let reply = bench.post("/token", None, &[("grant_type", &large)]).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    let reply = bench.get(&format!("/authorize?{}", query(&[("state", &large)])), None).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn there_are_no_endpoints_for_tests_unless_asked_for() {
    let bench = Bench::new();
    for path in ["/test/rotate-keys", "/debug/tokens", "/test", "/debug"] {
        assert_eq!(bench.post(path, None, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(bench.get(path, None).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let bench = Bench::with(usual_clients(), Lifetimes::default(), TestEndpoints::Present);
    let (access, _) = bench.tokens(&[]).await;
    let old = bench.keys.current().kid().to_owned();
    let reply = bench.post("/test/rotate-keys", None, &[]).await;
    assert_ne!(reply.json()["kid"], old);
    let published = async || {
        let jwks = bench.get("/jwks.json", None).await.json();
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(published().await.len(), 2);
    assert!(bench.is_active(&access).await, "the old key is still good");
    bench.post("/test/rotate-keys?withdraw=true", None, &[]).await;
    assert_eq!(published().await.len(), 1);
    assert!(!bench.is_active(&access).await, "withdrawn with its tokens");
}

#[tokio::test]
async fn browsers_may_call_what_programs_call_and_nothing_with_cookies() {
    let bench = Bench::new();
    let preflight = async |path: &str| {
        let request = Request::options(path)
            .header("origin", "https://inspector.example.com")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,mcp-protocol-version");
        bench.send(request.body(Body::empty()).unwrap()).await
    };
    for path in [
        "/.well-known/oauth-authorization-server",
        "/jwks.json",
        "/token",
        "/register",
        "/revoke",
        "/userinfo",
    ] {
        let reply = preflight(path).await;
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
        let headers = reply.header("access-control-allow-headers");
        assert!(headers.contains("mcp-protocol-version"), "{path}: {headers}");
        assert_eq!(reply.header("access-control-allow-credentials"), "", "{path}");
    }
    for path in ["/authorize", "/authorize/sign-in", "/authorize/consent", "/introspect"] {
        assert_eq!(preflight(path).await.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn the_metadata_says_what_there_is() {
    let bench = Bench::new();
    let request = Request::get("/.well-known/oauth-authorization-server")
        .header("mcp-protocol-version", "2026-07-28");
    let document = bench.send(request.body(Body::empty()).unwrap()).await.json();
    assert_eq!(document["issuer"], ISSUER);
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    assert_eq!(document["client_id_metadata_document_supported"], true);
    assert_eq!(document["response_types_supported"], json!(["code"]));
    for endpoint in ["token", "revocation", "introspection", "userinfo", "registration"] {
        let url = document[format!("{endpoint}_endpoint")].as_str().unwrap();
        let path = url.strip_prefix(ISSUER).unwrap();
        assert_ne!(bench.post(path, None, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let scopes = document["scopes_supported"].as_array().unwrap();
    for scope in ["customer:read", "security:read", "admin:manage", "offline_access"] {
        assert!(scopes.contains(&json!(scope)), "{scope}");
    }
}

fn prepared(change: impl FnOnce(&mut Config)) -> Result<Issuer, crate::NotPrepared> {
    let people = Users::demo().map(|user| (user, Secret::new(PASSWORD)));
    let mut config = Config {
        issuer: ISSUER.to_owned(),
        resources: vec![RESOURCE.to_owned()],
        clients: Clients::new(usual_clients()),
        users: Users::new(people.into(), HashingCost { memory_kib: 8, passes: 1 }).unwrap(),
        default_scopes: Vec::new(),
        keys: KeyRing::new(signing_key()),
        rotate_every: None,
        lifetimes: Lifetimes::default(),
        client_metadata: ClientDocumentHosts::Public,
        test_endpoints: TestEndpoints::Absent,
    };
    change(&mut config);
    Issuer::prepare(config)
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused() {
    use crate::NotPrepared;
    assert!(prepared(|_| {}).is_ok());
    assert!(matches!(prepared(|c| c.resources.clear()), Err(NotPrepared::NoResource)));
    let namesake = prepared(|c| {
        let mut clients = usual_clients();
        clients[0].id = "admin_user".to_owned();
        c.clients = Clients::new(clients);
    });
    assert!(matches!(namesake, Err(NotPrepared::Namesakes(name)) if name == "admin_user"));
    for (seconds, good) in [(0, false), (60, false), (225, false), (226, true)] {
        let rotating = prepared(|c| c.rotate_every = Some(Duration::from_secs(seconds)));
        assert_eq!(rotating.is_ok(), good, "an hour's tokens, and a new key every {seconds} s");
    }
    let client_metadata =
        ClientDocumentHosts::AlsoLoopback { authority_pem: "nonsense".to_owned() };
    let authority = prepared(|c| c.client_metadata = client_metadata);
    assert!(matches!(authority, Err(NotPrepared::Authority(_))));
}

#[tokio::test]
async fn the_clock_rotates_keys_and_keeps_the_old_ones() {
    let keys = KeyRing::new(signing_key());
    let lifetime = Duration::from_secs(60);
    let period = Duration::from_millis(1);
    let rotating = tokio::spawn(crate::rotation::rotate_every(keys.clone(), period, lifetime));
    for _ in 0..600 {
        if keys.jwks().keys.len() > 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rotating.abort();
    assert!(keys.jwks().keys.len() > 2, "two new keys and the first");
    assert_ne!(keys.current().kid(), signing_key().kid());
}
