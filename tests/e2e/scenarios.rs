use std::sync::Arc;

use client::{
    agent::event::Verdict,
    model::{
        Model, ModelName,
        provider::{BaseUrl, PlainHttp, ProvidedModel, Provider, Wire},
    },
    rehearsed,
    session::{Era, Session, SessionError},
    token::TokenSource,
};
use harness::{Stack, converse};
use serde_json::json;

async fn rehearsed_model() -> Arc<dyn Model> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let script = rehearsed::router(rehearsed::Script::built_in());
    tokio::spawn(async move { axum::serve(listener, script).await.unwrap() });
    let base_url = BaseUrl::parse(&base_url, PlainHttp::Loopback).unwrap();
    let provider = Provider::at(Wire::OpenAi, base_url);
    let name: ModelName = rehearsed::MODEL.parse().unwrap();
    Arc::new(ProvidedModel::new(reqwest::Client::new(), &provider, name).unwrap())
}

async fn tokens(stack: &Stack, scopes: &[&str]) -> Arc<TokenSource> {
    Arc::new(stack.tokens(stack.token_options(scopes)).await.unwrap())
}

async fn session(stack: &Stack, scopes: &[&str], era: Era) -> Session {
    let tokens = tokens(stack, scopes).await;
    Session::open(stack.http(), &stack.resource(), tokens, era).await.unwrap()
}

#[tokio::test]
async fn both_scenarios_of_the_article_play_in_both_eras() {
    let model = rehearsed_model().await;
    for era in [Era::Newest, Era::Legacy] {
        let mut stack = Stack::start().await;
        let open = || session(&stack, &["customer:read", "account:calculate"], era);

        let conversed = converse(Arc::clone(&model), open().await, rehearsed::ACCOUNT_PROMPT).await;
        let [(tool, verdict, text)] = conversed.calls()[..] else { panic!("{conversed:?}") };
        assert_eq!((tool, verdict), ("calculate_account_value", &Verdict::Done), "{text}");
        let answer = conversed.report.answer;
        assert!(answer.contains("552.00") && answer.contains("qualifies"), "{answer}");

        let conversed = converse(Arc::clone(&model), open().await, rehearsed::LOOKUP_PROMPT).await;
        let answer = conversed.report.answer;
        assert!(answer.contains("John Doe") && answer.contains("active"), "{answer}");
        stack.forget_decisions().await;
        stack.finish().await;
    }
}

#[tokio::test]
async fn a_call_steps_up_to_exactly_the_scope_it_needs() {
    let mut stack = Stack::start().await;
    let session = session(&stack, &["customer:read"], Era::Newest).await;
    let ticket = json!({
        "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low"
    });
    let ticket = ticket.as_object().unwrap().clone();
    let refused = session.call("create_support_ticket", ticket.clone()).await.unwrap_err();
    let SessionError::StepUp { required } = refused else { panic!("{refused}") };
    assert_eq!(required, ["ticket:create"]);
    session.step_up(&required).await.unwrap();
    let result = session.call("create_support_ticket", ticket).await.unwrap();
    assert_ne!(result.is_error, Some(true));
    let tools = session.tools().await.unwrap();
    assert_eq!(tools.len(), 3, "the old scopes are kept");
    session.close().await;
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_refusal_goes_back_to_the_model_as_text() {
    let model = rehearsed_model().await;
    let mut stack = Stack::with()
        .policies(
            r#"@id("all") permit (principal, action, resource);
               @id("small-sums") forbid (principal, action == Mcp::Action::"calculate_account_value", resource)
               when { context.input.amounts.contains(decimal("300.0")) };"#,
        )
        .start()
        .await;
    let session = session(&stack, &[], Era::Newest).await;
    let conversed = converse(model, session, rehearsed::ACCOUNT_PROMPT).await;
    let [(_, verdict, text)] = conversed.calls()[..] else { panic!("{conversed:?}") };
    assert_eq!(verdict, &Verdict::Refused("denied".to_owned()), "{text}");
    assert!(conversed.report.answer.contains("did not do it"), "{}", conversed.report.answer);
    stack.forget_decisions().await;
    stack.finish().await;
}
