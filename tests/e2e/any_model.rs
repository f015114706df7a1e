//! Servers of models that are none of ours drive the tools behind the gate, each in its own wire
//! format, streaming; what they ask for is decided the same.

use std::sync::Arc;

use client::{
    agent::event::{Event, Verdict},
    model::{
        Conversation, Model,
        provider::{BaseUrl, PlainHttp, ProvidedModel, Provider, Secret, Wire},
    },
    pool::{Patience, Pool},
    session::{Era, Session},
};
use harness::{Aimock, Conversed, LiteLlm, Stack, converse, skip};
use serde_json::{Value, json};

const PROMPT: &str = "What are the purchases of CUST67890 worth: 150, 300, 13 and 89?";

/// Two calls at once, then an answer that needs what they returned; anything else is refused.
fn fixtures() -> Value {
    json!({ "fixtures": [
        {
            "match": { "model": "limited" },
            "response": { "status": 429, "error": { "message": "slow down", "type": "rate_limit_error" } },
        },
        {
            "match": { "userMessage": "CUST67890", "hasToolResult": false },
            "response": {
                "content": "Let me look both of these up for you, one after the other.",
                "toolCalls": [
                    { "name": "get_customer_info", "arguments": { "customer_id": "CUST67890" } },
                    {
                        "name": "calculate_account_value",
                        "arguments": { "customer_id": "CUST67890", "amounts": [150, 300, 13, 89] },
                    },
                ],
            },
        },
        {
            "match": { "userMessage": "CUST67890", "toolResultContains": "552" },
            "response": { "content": "They come to 552.00." },
        },
        {
            "match": { "userMessage": "two readings", "hasToolResult": false },
            "response": { "toolCalls": [{
                "name": "get_customer_info",
                "arguments": r#"{"customer_id":"JOHNDOE123","customer_id":"CUST67890"}"#,
            }] },
        },
        {
            "match": { "userMessage": "two readings", "hasToolResult": true },
            "response": { "content": "It was not done." },
        },
    ] })
}

fn model(wire: Wire, base_url: &str, key: &str, name: &str) -> Arc<dyn Model> {
    let base_url = BaseUrl::parse(base_url, PlainHttp::Loopback).unwrap();
    let provider = Provider::at(wire, base_url).with_key(Secret::new(key));
    let http = client::trust::http_client(None).unwrap();
    Arc::new(ProvidedModel::new(http, &provider, name.parse().unwrap()).unwrap())
}

async fn session(stack: &Stack) -> Session {
    let scopes = ["customer:read", "account:calculate"];
    let tokens = Arc::new(stack.tokens(stack.token_options(&scopes)).await.unwrap());
    Session::open(stack.http(), &stack.resource(), tokens, Era::Newest).await.unwrap()
}

fn assert_worked_out(conversed: &Conversed, who: &str) {
    let proposed: Vec<_> = proposed(conversed).into_iter().map(|(tool, _)| tool).collect();
    assert_eq!(proposed, ["get_customer_info", "calculate_account_value"], "{who}");
    let done = conversed.calls().iter().all(|(_, verdict, _)| **verdict == Verdict::Done);
    assert!(done && conversed.calls().len() == 2, "{who} {conversed:?}");
    assert_eq!(conversed.report.answer, "They come to 552.00.", "{who}");
    let pieces = conversed.events.iter().filter(|event| matches!(event, Event::Piece { .. }));
    assert!(pieces.count() > 3, "{who}: words come in as they are said");
}

/// Tools and arguments as the model wrote them.
fn proposed(conversed: &Conversed) -> Vec<(&str, &str)> {
    let calling = conversed.events.iter().filter_map(|event| match event {
        Event::Calling { tool, arguments, .. } => Some((tool.as_str(), arguments.as_str())),
        _ => None,
    });
    calling.collect()
}

#[tokio::test]
async fn a_mock_of_every_provider_is_served_alike() {
    let mut stack = Stack::start().await;
    let Some(aimock) = Aimock::start(&fixtures(), stack.home()) else {
        return missing(stack, "node with @copilotkit/aimock").await;
    };
    for (wire, path) in [
        (Wire::OpenAi, "v1"),
        (Wire::Mistral, "v1"),
        (Wire::Anthropic, "v1"),
        (Wire::Gemini, "v1beta"),
    ] {
        let base_url = format!("{}/{path}", aimock.address());
        let model = model(wire, &base_url, "none", "mock/any-model");
        model.probe().await.unwrap();
        let conversed = converse(model, session(&stack).await, PROMPT).await;
        assert_worked_out(&conversed, &format!("{wire:?}"));
    }
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn arguments_with_two_readings_reach_no_tool() {
    let mut stack = Stack::start().await;
    let Some(aimock) = Aimock::start(&fixtures(), stack.home()) else {
        return missing(stack, "node with @copilotkit/aimock").await;
    };
    let base_url = format!("{}/v1", aimock.address());
    let model = model(Wire::OpenAi, &base_url, "none", "mock/any-model");
    let conversed = converse(model, session(&stack).await, "Give me two readings.").await;
    let written = r#"{"customer_id":"JOHNDOE123","customer_id":"CUST67890"}"#;
    let [(_, verdict, _)] = conversed.calls()[..] else { panic!("{conversed:?}") };
    assert!(matches!(verdict, Verdict::NotSent(_)), "{verdict:?}");
    assert_eq!(proposed(&conversed), [("get_customer_info", written)], "as it was written");
    assert_eq!(conversed.report.answer, "It was not done.");
    assert!(!stack.spy().seen().contains("tools/call"), "the upstream was called");
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn another_provider_takes_over_in_its_own_format() {
    let mut stack = Stack::start().await;
    let Some(aimock) = Aimock::start(&fixtures(), stack.home()) else {
        return missing(stack, "node with @copilotkit/aimock").await;
    };
    let base_url = format!("{}/v1", aimock.address());
    let limited = model(Wire::OpenAi, &base_url, "none", "first/limited");
    let other = model(Wire::Anthropic, &base_url, "none", "second/any-model");
    let patience = Patience { attempts: 1, ..Patience::default() };
    let pool = Pool::with(limited, vec![other], patience, || 0.0);
    let conversed = converse(Arc::new(pool), session(&stack).await, PROMPT).await;
    assert_worked_out(&conversed, "pool");
    let instead = |event: &Event| matches!(event, Event::Instead { .. });
    assert!(conversed.events.iter().any(instead), "{conversed:?}");
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_gateway_between_is_served_alike() {
    let mut stack = Stack::start().await;
    let Some(aimock) = Aimock::start(&fixtures(), stack.home()) else {
        return missing(stack, "node with @copilotkit/aimock").await;
    };
    let mock = aimock.address();
    let models = json!([
        // A name from which nothing may be read: no effort, no provider.
        {
            "model_name": "team-high",
            "litellm_params": { "model": "openai/gpt-x", "api_base": format!("{mock}/v1"), "api_key": "none" },
        },
        {
            "model_name": "vendor/claude",
            "litellm_params": { "model": "anthropic/claude-sonnet-4-5", "api_base": mock, "api_key": "none" },
        },
    ]);
    let Some(gateway) = LiteLlm::start(&models, stack.home()).await else {
        return missing(stack, "CEDARGATE_TEST_LITELLM_PYTHON with litellm[proxy]").await;
    };
    let base_url = format!("{}/v1", gateway.address());
    for (wire, name) in [
        (Wire::OpenAi, "litellm/team-high"),
        (Wire::OpenAi, "litellm/vendor/claude"),
        (Wire::Anthropic, "litellm/vendor/claude"),
        (Wire::Anthropic, "litellm/team-high"),
    ] {
        let model = model(wire, &base_url, LiteLlm::KEY, name);
        model.probe().await.unwrap();
        let conversed = converse(model, session(&stack).await, PROMPT).await;
        assert_worked_out(&conversed, &format!("{wire:?} {name}"));
    }

    // Without a database it answers a wrong key with 400 and says that it has none.
    let stranger = model(Wire::OpenAi, &base_url, "sk-not-the-key", "litellm/team-high");
    let conversation = Conversation::under("Be brief.");
    let asked = stranger.turn(&conversation, &[], &mut |_| {}).await;
    for error in [stranger.probe().await.unwrap_err(), asked.unwrap_err()] {
        assert!(!error.failure.may_pass(), "{error}");
        assert!(!error.to_string().contains("sk-not-the-key"), "{error}");
    }
    stack.forget_decisions().await;
    stack.finish().await;
}

async fn missing(mut stack: Stack, what: &str) {
    skip(what);
    stack.forget_decisions().await;
    stack.finish().await;
}
