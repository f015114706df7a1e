use super::*;

#[tokio::test]
async fn a_code_gives_a_token_for_user_client_scope_and_resource() {
    let bench = Bench::new();
    let reply = bench.exchange(&bench.code(&[]).await, &[]).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let answer = reply.json();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["scope"], "customer:read profile");
    let token = answer["access_token"].as_str().unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    assert_eq!(header.kid.as_deref(), Some(signing_key().kid()));
    let claims = bench.claims(token);
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["sub"], "demo_user");
    assert_eq!(claims["aud"], RESOURCE, "the default");
    assert_eq!(claims["client_id"], "public");
    assert_eq!(claims["groups"], serde_json::json!(["support"]));
    assert!(claims["jti"].is_string() && claims["iat"].is_u64());
}

#[tokio::test]
async fn a_code_is_good_once_and_its_reuse_revokes_what_was_made_from_it() {
    let bench = Bench::new();
    let code = bench.code(&[]).await;
    let first = bench.exchange(&code, &[]).await.json();
    let token = first["access_token"].as_str().unwrap();
    assert!(bench.is_active(token).await);
    let second = bench.exchange(&code, &[]).await;
    assert_eq!((second.status.as_u16(), second.error().as_str()), (400, "invalid_grant"));
    assert!(!bench.is_active(token).await, "the access token is revoked");
    assert_eq!(bench.userinfo(token).await.status, 401);
    let refresh = first["refresh_token"].as_str().unwrap();
    assert_eq!(bench.refresh(refresh, &[]).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_code_is_bound_to_client_address_verifier_and_resource() {
    let bench = Bench::new();
    let other = "http://localhost:4711/callback";
    for (changes, error) in [
        (vec![("code_verifier", "")], "invalid_request"),
        (vec![("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl")], "invalid_grant"),
        (vec![("code_verifier", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")], "invalid_grant"),
        (vec![("redirect_uri", "")], "invalid_request"),
        (vec![("redirect_uri", other)], "invalid_grant"),
        (vec![("redirect_uri", "http://127.0.0.1:4712/callback")], "invalid_grant"),
        (vec![("client_id", "confidential"), ("client_secret", SECRET)], "invalid_grant"),
        (vec![("resource", OTHER_RESOURCE)], "invalid_target"),
        (vec![("code", "nonsense")], "invalid_grant"),
        (vec![("code", "")], "invalid_request"),
    ] {
        let code = bench.code(&[("resource", RESOURCE)]).await;
        let reply = bench.exchange(&code, &changes).await;
        assert_eq!(reply.error(), error, "{changes:?}");
        assert!(!reply.body.contains("access_token"));
    }
}

#[tokio::test]
async fn a_wrong_guess_spends_the_code_but_another_client_cannot() {
    let bench = Bench::new();
    let code = bench.code(&[]).await;
    let wrong = "x".repeat(43);
    bench.exchange(&code, &[("code_verifier", wrong.as_str())]).await;
    assert_eq!(bench.exchange(&code, &[]).await.error(), "invalid_grant", "spent");
    let code = bench.code(&[]).await;
    let foreign = [("client_id", "confidential"), ("client_secret", SECRET)];
    assert_eq!(bench.exchange(&code, &foreign).await.error(), "invalid_grant");
    assert_eq!(bench.exchange(&code, &[]).await.status, 200);
}

#[tokio::test]
async fn a_code_expires() {
    let lifetimes = short_lived(|l| l.code = NOW);
    let bench = Bench::with(usual_clients(), lifetimes, TestEndpoints::Absent);
    let code = bench.code(&[]).await;
    assert_eq!(bench.exchange(&code, &[]).await.error(), "invalid_grant");
    assert_eq!(Lifetimes::default().code, Duration::from_secs(60));
}

#[tokio::test]
async fn resources_are_those_that_were_granted() {
    let bench = Bench::new();
    let both = format!("{}&resource={RESOURCE}&resource={OTHER_RESOURCE}", query(&[]));
    let code = bench.allowed(&both, "demo_user").await.returned("code").unwrap();
    let answer = bench.exchange(&code, &[("resource", OTHER_RESOURCE)]).await.json();
    let claims = bench.claims(answer["access_token"].as_str().unwrap());
    assert_eq!(claims["aud"], OTHER_RESOURCE);
    let refresh = answer["refresh_token"].as_str().unwrap();
    let answer = bench.refresh(refresh, &[]).await.json();
    let claims = bench.claims(answer["access_token"].as_str().unwrap());
    assert_eq!(claims["aud"], serde_json::json!([RESOURCE, OTHER_RESOURCE]));
}

#[tokio::test]
async fn a_user_grants_only_what_is_theirs() {
    let bench = Bench::new();
    let metadata =
        serde_json::json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" });
    let client = bench.post_json("/register", &metadata).await.json();
    let id = client["client_id"].as_str().unwrap();
    let query = query(&[("client_id", id), ("scope", "customer:read admin:manage")]);
    for (user, scope) in
        [("demo_user", "customer:read"), ("admin_user", "customer:read admin:manage")]
    {
        let code = bench.allowed(&query, user).await.returned("code").unwrap();
        let answer = bench.exchange(&code, &[("client_id", id)]).await.json();
        assert_eq!(answer["scope"], scope, "{user}");
    }
    let query = self::query(&[("client_id", id), ("scope", "admin:manage")]);
    let reply = bench.allowed(&query, "demo_user").await;
    assert_eq!(reply.returned("error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_refresh_token_rotates_and_narrows_for_one_token() {
    let bench = Bench::new();
    let (_, refresh) = bench.tokens(&[]).await;
    let answer = bench.refresh(&refresh, &[("scope", "customer:read")]).await.json();
    assert_eq!(answer["scope"], "customer:read");
    let next = answer["refresh_token"].as_str().unwrap();
    assert_ne!(next, refresh);
    let answer = bench.refresh(next, &[]).await.json();
    assert_eq!(answer["scope"], "customer:read profile", "the grant keeps its own");
    let next = answer["refresh_token"].as_str().unwrap();
    assert_eq!(bench.refresh(next, &[("scope", "ticket:create")]).await.error(), "invalid_scope");
    let other = [("resource", OTHER_RESOURCE)];
    assert_eq!(bench.refresh(next, &other).await.error(), "invalid_target");
    assert_eq!(bench.refresh(next, &[]).await.status, 200, "a refusal spends nothing");
}

#[tokio::test]
async fn the_reuse_of_a_refresh_token_ends_the_family() {
    let bench = Bench::new();
    let (access, stolen) = bench.tokens(&[]).await;
    let answer = bench.refresh(&stolen, &[]).await.json();
    let latest = answer["refresh_token"].as_str().unwrap();
    let newer = answer["access_token"].as_str().unwrap();
    assert_eq!(bench.refresh(&stolen, &[]).await.error(), "invalid_grant");
    assert_eq!(bench.refresh(latest, &[]).await.error(), "invalid_grant", "the latest too");
    assert!(!bench.is_active(&access).await && !bench.is_active(newer).await);
}

#[tokio::test]
async fn of_many_refreshes_at_once_one_succeeds_at_most() {
    let bench = Bench::new();
    let (_, refresh) = bench.tokens(&[]).await;
    let (a, b, c) = tokio::join!(
        bench.refresh(&refresh, &[]),
        bench.refresh(&refresh, &[]),
        bench.refresh(&refresh, &[])
    );
    let succeeded = [a, b, c].iter().filter(|reply| reply.status == 200).count();
    assert!(succeeded <= 1, "{succeeded}");
}

#[tokio::test]
async fn a_refresh_token_is_its_clients_alone_and_expires() {
    let bench = Bench::new();
    let (_, refresh) = bench.tokens(&[]).await;
    let foreign = [("client_id", "confidential"), ("client_secret", SECRET)];
    assert_eq!(bench.refresh(&refresh, &foreign).await.error(), "invalid_grant");
    assert_eq!(bench.refresh(&refresh, &[]).await.status, 200, "and is not lost by that");
    for nonsense in ["", "a", "a.b", "."] {
        assert_ne!(bench.refresh(nonsense, &[]).await.status, 200);
    }
    let lifetimes = short_lived(|l| l.refresh_token = NOW);
    let bench = Bench::with(usual_clients(), lifetimes, TestEndpoints::Absent);
    let code = bench.code(&[]).await;
    let reply = bench.exchange(&code, &[]).await;
    assert_ne!(reply.status, 200, "nothing lasts");
}
