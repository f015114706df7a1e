use super::*;

async fn revoke(bench: &Bench, token: &str, client: &[(&str, &str)]) -> Reply {
    let mut form = client.to_vec();
    form.push(("token", token));
    bench.post("/revoke", None, &form).await
}

const PUBLIC: &[(&str, &str)] = &[("client_id", "public")];
const CONFIDENTIAL: &[(&str, &str)] = &[("client_id", "confidential"), ("client_secret", SECRET)];

#[tokio::test]
async fn a_revoked_access_token_is_no_more_and_its_grant_goes_on() {
    let bench = Bench::new();
    let (access, refresh) = bench.tokens(&[]).await;
    assert_eq!(bench.userinfo(&access).await.status, 200);
    assert_eq!(revoke(&bench, &access, PUBLIC).await.status, 200);
    assert!(!bench.is_active(&access).await);
    assert_eq!(bench.userinfo(&access).await.status, 401);
    assert_eq!(bench.refresh(&refresh, &[]).await.status, 200);
}

#[tokio::test]
async fn a_revoked_refresh_token_takes_its_grant_along() {
    let bench = Bench::new();
    let (access, refresh) = bench.tokens(&[]).await;
    assert_eq!(revoke(&bench, &refresh, PUBLIC).await.status, 200);
    assert!(!bench.is_active(&access).await);
    assert_eq!(bench.refresh(&refresh, &[]).await.error(), "invalid_grant");
}

#[tokio::test]
async fn nobody_revokes_for_another_and_the_unknown_is_as_good_as_revoked() {
    let bench = Bench::new();
    let (access, refresh) = bench.tokens(&[]).await;
    for token in [&access, &refresh] {
        assert_eq!(revoke(&bench, token, CONFIDENTIAL).await.error(), "unauthorized_client");
        assert_eq!(revoke(&bench, token, &[]).await.status, 401);
    }
    assert!(bench.is_active(&access).await);
    for unknown in ["nonsense", "a.b", "a.b.c"] {
        assert_eq!(revoke(&bench, unknown, PUBLIC).await.status, 200);
    }
    assert_eq!(revoke(&bench, "", PUBLIC).await.error(), "invalid_request");
}

#[tokio::test]
async fn introspection_is_for_clients_that_prove_themselves() {
    let bench = Bench::new();
    let (access, refresh) = bench.tokens(&[]).await;
    let ask = async |client: &[(&str, &str)], token: &str| {
        let mut form = client.to_vec();
        form.push(("token", token));
        bench.post("/introspect", None, &form).await
    };
    for nobody in [&[][..], PUBLIC, &[("client_id", "confidential"), ("client_secret", "wrong")]] {
        assert_eq!(ask(nobody, &access).await.status, 401, "{nobody:?}");
    }
    let about = ask(CONFIDENTIAL, &access).await.json();
    assert_eq!(about["active"], true);
    assert_eq!((&about["sub"], &about["aud"]), (&"demo_user".into(), &RESOURCE.into()));
    for unknown in [refresh.as_str(), "nonsense"] {
        let about = ask(CONFIDENTIAL, unknown).await.json();
        assert_eq!(about, serde_json::json!({ "active": false }), "nothing else is told");
    }
    let metadata = serde_json::json!({ "redirect_uris": [CALLBACK] });
    let stranger = bench.post_json("/register", &metadata).await.json();
    let stranger = ["client_id", "client_secret"].map(|n| (n, stranger[n].as_str().unwrap()));
    assert_eq!(ask(&stranger, &access).await.json()["active"], false, "not a stranger's business");
}

#[tokio::test]
async fn userinfo_tells_who_it_is_to_a_token_with_profile_alone() {
    let bench = Bench::new();
    let (access, _) = bench.tokens(&[]).await;
    let told = bench.userinfo(&access).await.json();
    assert_eq!(told["sub"], "demo_user");
    assert_eq!(told["name"], "Demo User");
    assert_eq!(told["groups"], serde_json::json!(["support"]));
    let (without, refresh) = bench.tokens(&[("scope", "customer:read")]).await;
    let reply = bench.userinfo(&without).await;
    assert_eq!(reply.status, 403);
    assert!(reply.header("www-authenticate").contains("insufficient_scope"));
    for bad in ["", "nonsense", refresh.as_str()] {
        assert_eq!(bench.userinfo(bad).await.status, 401, "{bad}");
    }
    let stranger = SigningKey::generate().unwrap();
    let forged = stranger.sign_named(signing_key().kid(), &bench.claims(&access)).unwrap();
    assert_eq!(bench.userinfo(&forged).await.status, 401);
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
    header.kid = Some(signing_key().kid().to_owned());
    let untyped = signing_key().sign_with_header(&header, &bench.claims(&access)).unwrap();
    assert_eq!(bench.userinfo(&untyped).await.status, 401, "not an access token by its type");
}
