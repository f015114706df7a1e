use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use client::{
    session::{Era, Session, SessionError},
    token::{Browser, Clock, Login, OAuthClient, Options, Proof, TokenSource},
};
use harness::{Browser as Person, Stack, eventually};
use serde_json::json;

fn movable() -> (Arc<AtomicU64>, Clock) {
    let time = Arc::new(AtomicU64::new(jsonwebtoken::get_current_timestamp()));
    let told = Arc::clone(&time);
    (time, Clock::new(move || told.load(Ordering::SeqCst)))
}

async fn source(stack: &Stack, options: Options) -> Arc<TokenSource> {
    Arc::new(stack.tokens(options).await.unwrap())
}

async fn session(stack: &Stack, tokens: &Arc<TokenSource>) -> Session {
    let tokens = Arc::clone(tokens);
    Session::open(stack.http(), &stack.resource(), tokens, Era::Newest).await.unwrap()
}

async fn looked_up(session: &Session) -> bool {
    let who = json!({ "customer_id": "JOHNDOE123" }).as_object().unwrap().clone();
    let result = session.call("get_customer_info", who).await.unwrap();
    client::session::text_of(&result).contains("John Doe")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_at_once_need_one_token() {
    let mut stack = Stack::start().await;
    let tokens = source(&stack, stack.token_options(&[])).await;
    let ask = |_| {
        let tokens = Arc::clone(&tokens);
        tokio::spawn(async move { tokens.token().await.unwrap() })
    };
    let all = futures::future::join_all((0..1000).map(ask)).await;
    let first = all[0].as_ref().unwrap().expose().to_owned();
    assert!(all.iter().all(|token| token.as_ref().unwrap().expose() == first));
    let found = tokens.inspect();
    assert_eq!(found.requests, 1);
    assert_eq!((found.resource, found.issuer), (stack.resource(), stack.issuer()));
    assert!(found.token.unwrap().verified, "RS256, by the issuer's published key");
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_long_loop_renews_its_token_once_when_its_time_comes() {
    let mut stack = Stack::start().await;
    let (time, clock) = movable();
    let tokens = source(&stack, Options { clock, ..stack.token_options(&[]) }).await;
    let session = session(&stack, &tokens).await;
    assert!(looked_up(&session).await);
    // The issuer's tokens live for five minutes.
    time.fetch_add(230, Ordering::SeqCst);
    assert!(looked_up(&session).await);
    assert_eq!(tokens.inspect().requests, 1);
    time.fetch_add(20, Ordering::SeqCst);
    for _ in 0..5 {
        assert!(looked_up(&session).await);
    }
    assert_eq!(tokens.inspect().requests, 2);
    session.close().await;
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn two_calls_without_a_token_fetch_one_between_them() {
    let mut stack = Stack::start().await;
    let tokens = source(&stack, stack.token_options(&[])).await;
    let session = session(&stack, &tokens).await;
    let refused = tokens.token().await.unwrap();
    tokens.discard(&refused);
    let (one, other) = tokio::join!(looked_up(&session), looked_up(&session));
    assert!(one && other);
    tokens.discard(&refused);
    assert!(looked_up(&session).await);
    assert_eq!(tokens.inspect().requests, 2, "two calls, one new token");
    session.close().await;
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_step_up_takes_the_union_and_one_that_is_refused_changes_nothing() {
    let mut stack = Stack::start().await;
    let tokens = source(&stack, stack.token_options(&[])).await;
    let session = session(&stack, &tokens).await;
    let beyond = tokens.step_up(&["admin:manage".to_owned()]).await.unwrap_err().to_string();
    assert!(beyond.contains("invalid_scope"), "{beyond}");
    assert!(looked_up(&session).await, "the old token stays in use");
    tokens.step_up(&["ticket:create".to_owned()]).await.unwrap();
    assert_eq!(
        tokens.scopes(),
        ["customer:read", "ticket:create"].map(str::to_owned).into(),
        "the union"
    );
    session.close().await;
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_gate_that_demands_proofs_gets_them() {
    for settings in ["", "dpop_nonces = true"] {
        let mut stack = Stack::with()
            .issuer_settings("proof = \"dpop\"")
            .resource_settings(settings)
            .start()
            .await;
        for proof in [Proof::Dpop, Proof::AsAsked] {
            // Without a word in the configuration, the gate's metadata decides.
            let tokens = source(&stack, Options { proof, ..stack.token_options(&[]) }).await;
            for era in [Era::Newest, Era::Legacy] {
                let (http, url) = (stack.http(), stack.resource());
                let session = Session::open(http, &url, Arc::clone(&tokens), era).await.unwrap();
                assert!(looked_up(&session).await, "{settings} {proof:?} {era:?}");
                session.step_up(&["ticket:create".to_owned()]).await.unwrap();
                assert_eq!(session.tools().await.unwrap().len(), 3);
                session.close().await;
            }
            assert!(tokens.inspect().proof_key.is_some());
            assert_eq!(tokens.inspect().requests, 2, "no token was dropped for want of a nonce");
            let stolen = tokens.token().await.unwrap();
            stack.forget_decisions().await;
            let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
            let reply = stack.bearing(stolen.expose()).refused(list).await;
            assert_eq!(reply.reason(), "no-proof", "the token alone is worth nothing");
            stack.latest_decision().await;
        }
        stack.finish().await;
    }
}

/// A person's options, and the address that they are shown.
fn person(client_id: Option<&str>) -> (Options, Arc<Mutex<Vec<String>>>) {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let show = Arc::clone(&shown);
    let login = Login {
        client_id: client_id.map(str::to_owned),
        browser: Browser::LeftAlone,
        show: Arc::new(move |url| show.lock().unwrap().push(url.to_owned())),
    };
    (Options::new(OAuthClient::Person(login)), shown)
}

#[tokio::test]
async fn a_person_signs_in_at_the_issuer_and_works_in_their_own_name() {
    for proof in [Proof::AsAsked, Proof::Dpop] {
        let mut stack = Stack::start().await;
        let (options, shown) = person(None);
        let (time, clock) = movable();
        let tokens = source(&stack, Options { proof, clock, ..options }).await;
        let waiting = tokio::spawn({
            let tokens = Arc::clone(&tokens);
            async move { tokens.token().await }
        });
        eventually("the person is shown where to go", async || !shown.lock().unwrap().is_empty())
            .await;
        let address = shown.lock().unwrap()[0].clone();
        let back = Person::new(&stack).allow(&address, "demo_user").await;
        let page = reqwest::get(back).await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.text().await.unwrap().contains("You can close this page"));
        waiting.await.unwrap().unwrap();
        let session = session(&stack, &tokens).await;
        assert!(looked_up(&session).await);
        stack.forget_decisions().await;
        assert!(looked_up(&session).await);
        let decision = stack.take_decisions().await.pop().unwrap();
        assert_eq!(decision.subject.as_deref(), Some("demo_user"));

        // Later the refresh token does, and what replaces it.
        for _ in 0..2 {
            time.fetch_add(250, Ordering::SeqCst);
            assert!(looked_up(&session).await);
        }
        assert_eq!(shown.lock().unwrap().len(), 1, "nobody signs in twice");
        assert_eq!(tokens.inspect().requests, 3);
        session.close().await;
        stack.forget_decisions().await;
        stack.finish().await;
    }
}

#[tokio::test]
async fn a_person_who_declines_is_told_so() {
    let mut stack = Stack::start().await;
    let (options, shown) = person(None);
    let tokens = source(&stack, options).await;
    let waiting = tokio::spawn(async move { tokens.token().await });
    eventually("the person is shown where to go", async || !shown.lock().unwrap().is_empty()).await;
    let address = shown.lock().unwrap()[0].clone();
    let mut browser = Person::new(&stack);
    let page = browser.sign_in(&address, "demo_user").await;
    let reply = browser.submit(&page, &address, &[("decision", "deny")]).await;
    let back = harness::location(&address, &reply);
    assert_eq!(reqwest::get(back).await.unwrap().status(), 400);
    let told = waiting.await.unwrap().unwrap_err().to_string();
    assert!(told.contains("access_denied"), "{told}");
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_refusal_says_which_scopes_it_wants_in_both_eras() {
    let mut stack = Stack::start().await;
    let tokens = source(&stack, stack.token_options(&[])).await;
    for era in [Era::Newest, Era::Legacy] {
        let (http, url) = (stack.http(), stack.resource());
        let session = Session::open(http, &url, Arc::clone(&tokens), era).await.unwrap();
        let arguments = json!({ "customer_id": "ABC123", "amounts": [1] });
        let arguments = arguments.as_object().unwrap().clone();
        let refused = session.call("calculate_account_value", arguments).await.unwrap_err();
        let SessionError::StepUp { required } = refused else { panic!("{refused}") };
        assert_eq!(required, ["account:calculate"]);
        session.close().await;
    }
    stack.forget_decisions().await;
    stack.finish().await;
}
