//! The authorization server.

use harness::{Browser, RegisteredClient, Reply, Stack, location, parameter};
use serde_json::{Value, json};

async fn get(stack: &Stack, path: &str) -> Reply {
    let url = format!("{}{path}", stack.issuer());
    Reply::read(stack.http().get(url).send().await.unwrap()).await
}

async fn token(stack: &Stack, form: &[(&str, &str)]) -> Reply {
    let request = stack.http().post(format!("{}/token", stack.issuer())).form(form);
    Reply::read(request.send().await.unwrap()).await
}

/// The limiter was constructed and never asked.
#[tokio::test]
async fn defect_02_guessing_passwords_is_limited() {
    let stack = Stack::start().await;
    let client = RegisteredClient::register(&stack, "guesser").await;
    let url = client.authorization_url(&[]);
    let mut browser = Browser::new(&stack);
    let page = browser.get(&url).await;
    for _ in 0..5 {
        let fields = [("username", "demo_user"), ("password", "wrong")];
        assert_eq!(browser.submit(&page, &url, &fields).await.status, 403);
    }
    let fields = [("username", "demo_user"), ("password", stack.password())];
    let reply = browser.submit(&page, &url, &fields).await;
    assert_eq!(reply.status, 429, "even the right one has to wait now");
    assert!(reply.headers.contains_key("retry-after"));
    stack.finish().await;
}

#[tokio::test]
async fn defect_03_a_client_without_a_secret_gets_no_token() {
    let stack = Stack::start().await;
    let id = stack.credentials().client_id;
    let grant = ("grant_type", "client_credentials");
    for form in [
        vec![grant, ("client_id", &id)],
        vec![grant, ("client_id", &id), ("client_secret", "")],
        vec![grant, ("client_id", &id), ("client_secret", "wrong")],
        vec![grant],
    ] {
        let reply = token(&stack, &form).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["error"]),
            (401, &json!("invalid_client"))
        );
    }
    let stranger = RegisteredClient::register(&stack, "stranger").await;
    let reply = token(&stack, &[grant, ("client_id", &stranger.id)]).await;
    assert_eq!(reply.json()["error"], "unauthorized_client", "nor does one that needs none");
    stack.finish().await;
}

#[tokio::test]
async fn defect_04_pkce_is_required_and_plain_is_not_it() {
    let stack = Stack::start().await;
    let client = RegisteredClient::register(&stack, "without PKCE").await;
    let mut browser = Browser::new(&stack);
    for change in
        [("code_challenge", ""), ("code_challenge_method", ""), ("code_challenge_method", "plain")]
    {
        let url = client.authorization_url(&[change]);
        let returned = location(&url, &browser.get(&url).await);
        assert_eq!(parameter(&returned, "error").as_deref(), Some("invalid_request"), "{change:?}");
    }
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    for (verifier, error) in
        [("", "invalid_request"), (challenge, "invalid_grant"), (&"x".repeat(43), "invalid_grant")]
    {
        let url = client.authorization_url(&[]);
        let returned = Browser::new(&stack).allow(&url, "demo_user").await;
        let reply = client.exchange(&returned, &[("code_verifier", verifier)]).await;
        assert_eq!(reply.json()["error"], error, "{verifier}");
    }
    stack.finish().await;
}

#[tokio::test]
async fn defect_05_every_step_looks_at_client_and_redirect_uri_again() {
    let stack = Stack::start().await;
    let client = RegisteredClient::register(&stack, "honest").await;
    let good = client.authorization_url(&[]);
    let mut browser = Browser::new(&stack);
    let consent = browser.sign_in(&good, "demo_user").await;
    let seal = consent.body.split("name=\"seal\" value=\"").nth(1).unwrap();
    let seal = seal.split('"').next().unwrap().to_owned();
    // The last one is a good request, but not the one that the form was made for.
    for (change, status) in [
        (("redirect_uri", "https://evil.example.com/"), 400),
        (("client_id", "nobody"), 400),
        (("client_id", stack.credentials().client_id.as_str()), 403),
    ] {
        let bad = client.authorization_url(&[change]);
        for step in ["sign-in", "consent"] {
            let url = bad.replace("/authorize?", &format!("/authorize/{step}?"));
            let form = [
                ("seal", seal.as_str()),
                ("decision", "allow"),
                ("username", "demo_user"),
                ("password", stack.password()),
            ];
            let reply = browser.post(&url, &form).await;
            assert_eq!(reply.status, status, "{change:?} {step}");
            assert!(!reply.headers.contains_key("location"), "{change:?} {step}");
        }
    }
    let reply = browser.submit(&consent, &good, &[("decision", "allow")]).await;
    assert!(location(&good, &reply).as_str().starts_with(RegisteredClient::CALLBACK));
    stack.finish().await;
}

#[tokio::test]
async fn defect_06_what_comes_from_outside_is_text_on_every_page() {
    let stack = Stack::start().await;
    let script = "\"'><script>alert(1)</script>";
    let client = RegisteredClient::register(&stack, script).await;
    for name in
        ["state", "nonce", "scope", "code_challenge", "client_id", "redirect_uri", "resource"]
    {
        let url = client.authorization_url(&[(name, script)]);
        let page = Browser::new(&stack).get(&url).await;
        assert!(!page.body.contains("<script"), "{name}: {}", page.body);
    }
    let url = client.authorization_url(&[("state", script)]);
    let consent = Browser::new(&stack).sign_in(&url, "demo_user").await;
    assert!(consent.body.contains("&lt;script&gt;"), "the name is shown: {}", consent.body);
    assert!(!consent.body.contains("<script"), "{}", consent.body);
    let policy = consent.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "and no script would run: {policy}");
    stack.finish().await;
}

#[tokio::test]
async fn defect_07_nobody_can_look_at_tokens() {
    let stack = Stack::start().await;
    let client = RegisteredClient::register(&stack, "client").await;
    let tokens = client.tokens(&stack, "demo_user", "customer:read").await;
    for path in ["/debug/tokens", "/debug", "/tokens", "/introspect", "/", "/health", "/userinfo"] {
        let reply = get(&stack, path).await;
        for secret in ["access_token", "refresh_token"] {
            assert!(!reply.body.contains(tokens[secret].as_str().unwrap()), "{path}");
        }
        assert!(path == "/health" || reply.status.is_client_error(), "{path}: {}", reply.status);
    }
    let form = [("token", tokens["access_token"].as_str().unwrap()), ("client_id", &client.id)];
    let request = stack.http().post(format!("{}/introspect", stack.issuer())).form(&form);
    assert_eq!(request.send().await.unwrap().status(), 401, "not even whose it is");
    stack.finish().await;
}

/// How long a comparison takes cannot be tested on a busy machine; which comparison it is can. That
/// passwords are hashed is tested beside the hashing.
#[test]
fn defect_16_no_secret_is_compared_as_text() {
    let source = harness::repository().join("crates/dev-authorization-server/src");
    for file in
        ["clients.rs", "users.rs", "grants.rs", "client_proof.rs", "secret.rs", "token/code.rs"]
    {
        let text = std::fs::read_to_string(source.join(file)).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter_map(|line| line.split("//").next()) {
            let compares = line.contains("==") || line.contains("!=");
            let words = ["secret", "password", "expose()", "verifier", "challenge", "hash"];
            let of_a_secret = words.iter().any(|word| line.contains(word));
            assert!(!(compares && of_a_secret), "{file}: {line}");
        }
    }
}

#[tokio::test]
async fn defect_19_a_posted_password_is_not_posted_on() {
    let stack = Stack::start().await;
    let client = RegisteredClient::register(&stack, "client").await;
    let url = client.authorization_url(&[]);
    let mut browser = Browser::new(&stack);
    let page = browser.get(&url).await;
    let fields = [("username", "demo_user"), ("password", stack.password())];
    let signed_in = browser.submit(&page, &url, &fields).await;
    assert_eq!(signed_in.status, 303, "307 would make the browser post it again");
    let consent = browser.get(location(&url, &signed_in).as_str()).await;
    let allowed = browser.submit(&consent, &url, &[("decision", "allow")]).await;
    assert_eq!(allowed.status, 303);
    for reply in [signed_in, allowed] {
        let to = location(&url, &reply);
        assert!(!to.as_str().contains("password"), "{to}");
        assert_eq!(reply.headers["referrer-policy"], "no-referrer");
    }
    stack.finish().await;
}

#[tokio::test]
async fn defect_20_one_issuer_is_named_everywhere() {
    let stack = Stack::start().await;
    let client = RegisteredClient::register(&stack, "client").await;
    let returned = Browser::new(&stack).allow(&client.authorization_url(&[]), "demo_user").await;
    let answer = client.exchange(&returned, &[]).await.json();
    let claims: Value = super::verifying::claims(answer["access_token"].as_str().unwrap());
    let metadata = get(&stack, "/.well-known/oauth-authorization-server").await.json();
    let openid = get(&stack, "/.well-known/openid-configuration").await.json();
    let path = "/.well-known/oauth-protected-resource/mcp";
    let url = format!("https://{}{path}", stack.gate());
    let resource = Reply::read(stack.http().get(url).send().await.unwrap()).await.json();
    for (where_, named) in [
        ("token", &claims["iss"]),
        ("metadata", &metadata["issuer"]),
        ("OpenID metadata", &openid["issuer"]),
        ("resource metadata", &resource["authorization_servers"][0]),
        ("authorization response", &json!(parameter(&returned, "iss"))),
    ] {
        assert_eq!(*named, stack.issuer(), "{where_}");
    }
    stack.finish().await;
}
