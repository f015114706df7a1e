use super::*;

#[tokio::test]
async fn a_person_signs_in_allows_and_is_sent_back_with_code_state_and_issuer() {
    let bench = Bench::new();
    let reply = bench.allowed(&query(&[]), "demo_user").await;
    assert!(reply.location().as_str().starts_with(CALLBACK), "{reply:?}");
    assert!(reply.returned("code").is_some());
    assert_eq!(reply.returned("state").as_deref(), Some("a state & more"));
    assert_eq!(reply.returned("iss").as_deref(), Some(ISSUER), "RFC 9207");
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[tokio::test]
async fn the_consent_page_names_client_scopes_and_address() {
    let bench = Bench::new();
    let scopes = "customer:read profile ticket:create made:up admin:manage";
    let (_, page) = bench.signed_in(&query(&[("scope", scopes)]), "demo_user").await;
    for part in ["<strong>public</strong>", "customer:read", "ticket:create", CALLBACK, RESOURCE] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    assert!(!page.body.contains("<code>made:up"), "nobody knows it");
    assert!(!page.body.contains("<code>admin:manage"), "it is not this client's");
}

#[tokio::test]
async fn pages_cannot_be_framed_cached_or_scripted() {
    let bench = Bench::new();
    let path = format!("/authorize?{}", query(&[]));
    let login = bench.get(&path, None).await;
    let (_, consent) = bench.signed_in(&query(&[]), "demo_user").await;
    let refused = bench.get("/authorize", None).await;
    for page in [login, consent, refused] {
        let policy = page.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("script") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(page.body.starts_with("<!DOCTYPE html>"));
        assert!(!page.body.contains("<script"));
    }
}

#[tokio::test]
async fn the_form_may_lead_to_the_client_which_browsers_ask_of_the_policy() {
    let bench = Bench::new();
    let (_, page) = bench.signed_in(&query(&[]), "demo_user").await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self' http://127.0.0.1:4711;"), "{policy}");
}

#[tokio::test]
async fn a_prefetch_without_cookies_spoils_nothing() {
    let bench = Bench::new();
    let path = format!("/authorize?{}", query(&[]));
    for _ in 0..3 {
        assert_eq!(bench.get(&path, None).await.status, StatusCode::OK);
    }
    assert!(bench.allowed(&query(&[]), "demo_user").await.returned("code").is_some());
}

#[tokio::test]
async fn without_a_client_or_its_address_nobody_is_sent_anywhere() {
    let bench = Bench::new();
    for changes in [
        ("client_id", ""),
        ("client_id", "nobody"),
        ("redirect_uri", ""),
        ("redirect_uri", "https://evil.example.com/callback"),
        ("redirect_uri", "http://127.0.0.1:4711/other"),
        ("redirect_uri", "http://127.0.0.1.evil.example.com/callback"),
        ("redirect_uri", "http://127.0.0.1:4711/callback#x"),
        ("redirect_uri", "http://127.0.0.1:4711@evil.example.com/callback"),
    ] {
        let query = query(&[changes]);
        for reply in [
            bench.get(&format!("/authorize?{query}"), None).await,
            bench.post(&format!("/authorize/sign-in?{query}"), None, &[]).await,
            bench.post(&format!("/authorize/consent?{query}"), None, &[]).await,
        ] {
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{changes:?}");
            assert_eq!(reply.header("location"), "", "{changes:?}");
            assert!(!reply.body.contains("evil"), "{changes:?}");
        }
    }
    let twice = format!("{}&client_id=public", query(&[]));
    assert_eq!(bench.get(&format!("/authorize?{twice}"), None).await.status, 400);
}

#[tokio::test]
async fn what_is_wrong_with_the_rest_the_client_is_told() {
    let bench = Bench::new();
    for (change, error) in [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "made:up"), "invalid_scope"),
        (("scope", "a\"b"), "invalid_scope"),
        (("resource", "https://evil.example.com"), "invalid_target"),
        (("prompt", "none"), "interaction_required"),
        (("prompt", "none login"), "invalid_request"),
        (("request", "a.b.c"), "request_not_supported"),
        (("request_uri", "https://evil.example.com"), "request_uri_not_supported"),
        (("response_mode", "fragment"), "invalid_request"),
    ] {
        let reply = bench.get(&format!("/authorize?{}", query(&[change])), None).await;
        assert!(reply.location().as_str().starts_with(CALLBACK), "{change:?}");
        assert_eq!(reply.returned("error").as_deref(), Some(error), "{change:?}");
        assert_eq!(reply.returned("iss").as_deref(), Some(ISSUER), "{change:?}");
        assert_eq!(reply.returned("state").as_deref(), Some("a state & more"), "{change:?}");
        assert_eq!(reply.returned("code"), None);
    }
}

#[tokio::test]
async fn a_wrong_password_shows_the_same_page_for_known_and_unknown_names() {
    let bench = Bench::new();
    let page = bench.get(&format!("/authorize?{}", query(&[])), None).await;
    let (cookie, seal) = (page.cookie().unwrap(), page.seal());
    let path = format!("/authorize/sign-in?{}", query(&[]));
    let mut bodies = Vec::new();
    for name in ["demo_user", "nobody"] {
        let form = [("seal", seal.as_str()), ("username", name), ("password", "wrong")];
        let reply = bench.post(&path, Some(&cookie), &form).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert_eq!(reply.cookie(), None, "nobody is signed in");
        bodies.push(reply.body);
    }
    assert_eq!(bodies[0], bodies[1]);
    for _ in 0..4 {
        let form = [("seal", seal.as_str()), ("username", "demo_user"), ("password", "wrong")];
        bench.post(&path, Some(&cookie), &form).await;
    }
    let form = [("seal", seal.as_str()), ("username", "demo_user"), ("password", PASSWORD)];
    let reply = bench.post(&path, Some(&cookie), &form).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "even with the right one");
    assert_ne!(reply.header("retry-after"), "");
}

#[tokio::test]
async fn a_form_counts_only_from_its_own_page_in_its_own_browser() {
    let bench = Bench::new();
    let good = query(&[]);
    let (cookie, page) = bench.signed_in(&good, "demo_user").await;
    let (other_cookie, other_page) = bench.signed_in(&good, "admin_user").await;
    let other_query = query(&[("scope", "ticket:create")]);
    let login = bench.get(&format!("/authorize?{good}"), None).await;
    for (query, cookie, seal) in [
        (&good, Some(&cookie), String::new()),
        (&good, Some(&cookie), "AAAA".to_owned()),
        (&good, Some(&cookie), other_page.seal()),
        (&good, Some(&cookie), login.seal()),
        (&good, None, page.seal()),
        (&good, Some(&other_cookie), page.seal()),
        (&other_query, Some(&cookie), page.seal()),
    ] {
        let form = [("seal", seal.as_str()), ("decision", "allow")];
        let path = format!("/authorize/consent?{query}");
        let reply = bench.post(&path, cookie.map(String::as_str), &form).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{query} {seal}");
        assert_eq!(reply.header("location"), "");
    }
    let form = [("seal", login.seal()), ("username", "demo_user".to_owned())];
    let form = [("seal", form[0].1.as_str()), ("username", "demo_user"), ("password", PASSWORD)];
    let path = format!("/authorize/sign-in?{good}");
    let reply = bench.post(&path, None, &form).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "no cookie, no signing in for somebody");
}

#[tokio::test]
async fn signing_in_gives_a_new_cookie_and_the_old_one_is_nobodys() {
    let bench = Bench::new();
    let page = bench.get(&format!("/authorize?{}", query(&[])), None).await;
    let planted = page.cookie().unwrap();
    let seal = page.seal();
    let form = [("seal", seal.as_str()), ("username", "demo_user"), ("password", PASSWORD)];
    let path = format!("/authorize/sign-in?{}", query(&[]));
    let reply = bench.post(&path, Some(&planted), &form).await;
    assert_ne!(reply.cookie().unwrap(), planted);
    let again = bench.get(&format!("/authorize?{}", query(&[])), Some(&planted)).await;
    assert!(again.body.contains("<h1>Sign in</h1>"), "{}", again.body);
}

#[tokio::test]
async fn who_does_not_allow_it_sends_back_access_denied() {
    let bench = Bench::new();
    let query = query(&[]);
    for decision in ["deny", "", "nonsense"] {
        let (cookie, page) = bench.signed_in(&query, "demo_user").await;
        let form = [("seal", page.seal()), ("decision", decision.to_owned())];
        let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
        let path = format!("/authorize/consent?{query}");
        let reply = bench.post(&path, Some(&cookie), &form).await;
        assert_eq!(reply.returned("error").as_deref(), Some("access_denied"));
        assert_eq!(reply.returned("iss").as_deref(), Some(ISSUER));
        assert_eq!(reply.returned("code"), None);
    }
}

#[tokio::test]
async fn somebody_else_can_sign_in_instead() {
    let bench = Bench::new();
    let query = query(&[]);
    let (cookie, page) = bench.signed_in(&query, "demo_user").await;
    let seal = page.seal();
    let form = [("seal", seal.as_str()), ("decision", "somebody-else")];
    let reply = bench.post(&format!("/authorize/consent?{query}"), Some(&cookie), &form).await;
    assert_eq!(reply.location().path(), "/authorize");
    let page = bench.get(&format!("/authorize?{query}"), Some(&cookie)).await;
    assert!(page.body.contains("<h1>Sign in</h1>"));
}

#[tokio::test]
async fn prompt_login_asks_again_and_once() {
    let bench = Bench::new();
    let usual = query(&[]);
    let (cookie, _) = bench.signed_in(&usual, "demo_user").await;
    let again = query(&[("prompt", "login")]);
    let page = bench.get(&format!("/authorize?{again}"), Some(&cookie)).await;
    assert!(page.body.contains("<h1>Sign in</h1>"));
    let (_, page) = bench.signed_in(&again, "demo_user").await;
    assert!(page.body.contains("<h1>Allow access?</h1>"), "{}", page.body);
}

#[tokio::test]
async fn a_name_that_is_markup_is_text() {
    let bench = Bench::new();
    let name = "<script>alert(1)</script>\"'&";
    let metadata = serde_json::json!({
        "client_name": name, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none",
    });
    let client = bench.post_json("/register", &metadata).await.json();
    let id = client["client_id"].as_str().unwrap();
    let state = "\"><script>alert(2)</script>";
    let query = query(&[("client_id", id), ("state", state)]);
    let (_, consent) = bench.signed_in(&query, "demo_user").await;
    let login = bench.get(&format!("/authorize?{query}"), None).await;
    for page in [consent, login] {
        assert!(!page.body.contains("<script"), "{}", page.body);
        assert!(page.body.contains("&lt;script&gt;"), "{}", page.body);
    }
}

#[tokio::test]
async fn a_query_that_browsers_encode_otherwise_is_the_same_query() {
    let bench = Bench::new();
    let (raw, encoded) = ("&x='~*()%20", "&x=%27%7E*%28%29+");
    let (cookie, page) = bench.signed_in(&format!("{}{raw}", query(&[])), "demo_user").await;
    let form = [("seal", page.seal()), ("decision", "allow".to_owned())];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    let path = format!("/authorize/consent?{}{encoded}", query(&[]));
    let reply = bench.post(&path, Some(&cookie), &form).await;
    assert!(reply.returned("code").is_some());
}
