use serde_json::json;

use super::{fake::bearer, *};

#[tokio::test]
async fn a_thousand_tasks_cause_one_token_request() {
    let fake = Fake::start().await;
    let tokens = source(&fake, options()).await;
    let ask = |_| {
        let tokens = Arc::clone(&tokens);
        tokio::spawn(async move { tokens.token().await.unwrap() })
    };
    let all = futures::future::join_all((0..1000).map(ask)).await;
    assert!(all.iter().all(|token| token.as_ref().unwrap().expose() == "token-1"));
    assert_eq!(fake.asked().len(), 1);
    assert_eq!(tokens.inspect().requests, 1);
}

#[tokio::test]
async fn a_failure_is_told_to_all_and_repeated_by_none() {
    let fake = Fake::answering(|_, _| (401, json!({ "error": "invalid_client" }))).await;
    let (time, clock) = movable();
    let tokens = source(&fake, Options { clock, ..options() }).await;
    let ask = |_| {
        let tokens = Arc::clone(&tokens);
        tokio::spawn(async move { tokens.token().await.unwrap_err() })
    };
    for failure in futures::future::join_all((0..1000).map(ask)).await {
        let told = failure.unwrap().to_string();
        assert!(told.contains("invalid_client; check the client id"), "{told}");
    }
    assert_eq!(fake.asked().len(), 1);
    tokens.token().await.unwrap_err();
    assert_eq!(fake.asked().len(), 1, "somebody who came a moment too late");
    time.fetch_add(2, Ordering::SeqCst);
    tokens.token().await.unwrap_err();
    assert_eq!(fake.asked().len(), 2, "later it is tried again");
}

#[tokio::test]
async fn whoever_stops_waiting_does_not_stop_the_others() {
    let fake = Fake::start().await;
    let tokens = source(&fake, options()).await;
    let held_up = fake.held_up().await;
    let first = tokio::spawn({
        let tokens = Arc::clone(&tokens);
        async move { tokens.token().await }
    });
    while fake.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn({
        let tokens = Arc::clone(&tokens);
        async move { tokens.token().await }
    });
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    drop(held_up);
    assert_eq!(second.await.unwrap().unwrap().expose(), "token-1");
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_a_minute_before_it_expires_and_a_short_one_at_half_its_life() {
    for (lifetime, renewed_after) in [
        (json!(3600), 3540),
        (json!(120), 60),
        (json!(119), 60),
        (json!(10), 5),
        (json!(null), 3540),
    ] {
        let stated = lifetime.clone();
        let fake = Fake::answering(move |n, asked| {
            let mut answer = bearer(n, asked);
            answer["expires_in"] = lifetime.clone();
            (200, answer)
        })
        .await;
        let (time, clock) = movable();
        let tokens = source(&fake, Options { clock, ..options() }).await;
        tokens.token().await.unwrap();
        time.fetch_add(renewed_after - 1, Ordering::SeqCst);
        for _ in 0..50 {
            assert_eq!(tokens.token().await.unwrap().expose(), "token-1", "{stated}");
        }
        time.fetch_add(1, Ordering::SeqCst);
        for _ in 0..50 {
            assert_eq!(tokens.token().await.unwrap().expose(), "token-2", "{stated}");
        }
        assert_eq!(fake.asked().len(), 2, "{stated}");
    }
}

#[tokio::test]
async fn of_two_tasks_that_were_refused_the_same_token_one_fetches_another() {
    let fake = Fake::start().await;
    let tokens = source(&fake, options()).await;
    let (first, second) = (tokens.token().await.unwrap(), tokens.token().await.unwrap());
    tokens.discard(&first);
    let newer = tokens.token().await.unwrap();
    tokens.discard(&second);
    assert_eq!(tokens.token().await.unwrap(), newer, "the newer token was not refused");
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn a_step_up_asks_for_the_union_once_for_all() {
    let fake = Fake::start().await;
    fake.challenge(r#"Bearer scope="a""#);
    let tokens = source(&fake, options()).await;
    tokens.token().await.unwrap();
    assert_eq!(fake.asked()[0].form["scope"], "a", "what the resource asks for");
    tokens.step_up(&["b".to_owned()]).await.unwrap();
    let step_up = |_| {
        let tokens = Arc::clone(&tokens);
        tokio::spawn(async move { tokens.step_up(&["c".to_owned()]).await })
    };
    for outcome in futures::future::join_all((0..100).map(step_up)).await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(fake.asked().len(), 3);
    assert_eq!(fake.asked()[2].form["scope"], "a b c");
    assert_eq!(tokens.scopes(), ["a", "b", "c"].map(str::to_owned).into());
    assert_eq!(tokens.token().await.unwrap().expose(), "token-3");
    let less = source(&fake, options().with_scopes(&["b"])).await;
    less.token().await.unwrap();
    assert_eq!(fake.asked()[3].form["scope"], "b", "a zone may want less");
}

#[tokio::test]
async fn a_step_up_that_is_refused_or_brings_less_leaves_the_old_token() {
    for refusal in [
        (400, json!({ "error": "invalid_scope" })),
        (200, json!({ "access_token": "less", "token_type": "Bearer", "scope": "a" })),
    ] {
        let fake = Fake::answering(move |n, asked| match n {
            1 => (200, bearer(n, asked)),
            _ => refusal.clone(),
        })
        .await;
        let tokens = source(&fake, options().with_scopes(&["a"])).await;
        tokens.token().await.unwrap();
        let told = tokens.step_up(&["b".to_owned()]).await.unwrap_err().to_string();
        assert!(told.contains("invalid_scope") || told.contains("did not grant `b`"), "{told}");
        assert_eq!(tokens.token().await.unwrap().expose(), "token-1");
        assert_eq!(tokens.scopes(), ["a".to_owned()].into());
    }
}

#[tokio::test]
async fn a_token_goes_to_its_resource_and_nowhere_else() {
    let fake = Fake::start().await;
    let tokens = source(&fake, options()).await;
    let to = |url: &str| {
        let url = Url::parse(url).unwrap();
        let tokens = Arc::clone(&tokens);
        async move { tokens.authorization(&Method::POST, &url).await }
    };
    let sent = to(&fake.mcp()).await.unwrap();
    assert_eq!(sent.headers["authorization"], "Bearer token-1");
    for elsewhere in ["https://other.example.com/mcp", "http://127.0.0.1:1/mcp"] {
        let refused = to(elsewhere).await.unwrap_err();
        assert!(matches!(refused, TokenError::Elsewhere { .. }), "{refused}");
    }
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let fake = Fake::answering(|_, _| (400, json!({ "error": "invalid_client" }))).await;
    let tokens = source(&fake, options()).await;
    let failure = tokens.token().await.unwrap_err();
    let good = Fake::start().await;
    let source = source(&good, options()).await;
    let sent = source.authorization(&Method::GET, &Url::parse(&good.mcp()).unwrap()).await.unwrap();
    let shown = format!("{failure} {failure:?} {tokens:?} {source:?} {sent:?} {:?}", options());
    for secret in [SECRET, "token-1"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let inspected = serde_json::to_string(&source.inspect()).unwrap();
    assert!(!inspected.contains("token-1"), "{inspected}");
}
