//! Servers of models that are none of ours drive the tools behind the gate, each in its own wire
//! format, streaming; what they ask for is decided the same.

use std::sync::Arc;

use client::{
    agent::{Report, converse},
    model::{
        Model,
        provider::{BaseUrl, PlainHttp, ProvidedModel, Provider, Secret, Wire},
    },
    pool::{Patience, Pool},
    session::{Era, Session},
    token::TokenSource,
};
use harness::{Aimock, LiteLlm, Stack, skip};
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

fn model(wire: Wire, base_url: &str, key: &str, name: &str) -> ProvidedModel {
    let base_url = BaseUrl::parse(base_url, PlainHttp::Loopback).unwrap();
    let provider = Provider::at(wire, base_url).with_key(Secret::new(key));
    let http = client::trust::http_client(None).unwrap();
    ProvidedModel::new(http, &provider, name.parse().unwrap()).unwrap()
}

async fn session(stack: &Stack) -> Session {
    let (resource, credentials) = (stack.resource(), stack.credentials());
    let scopes = ["customer:read", "account:calculate"];
    let tokens = TokenSource::discover(stack.http(), &resource, &credentials, &scopes).await;
    Session::open(stack.http(), &resource, Arc::new(tokens.unwrap()), Era::Newest).await.unwrap()
}

fn assert_worked_out(report: &Report, who: &str) {
    let called: Vec<_> = report.steps.iter().map(|step| step.call.tool.as_str()).collect();
    assert_eq!(called, ["get_customer_info", "calculate_account_value"], "{who}");
    assert!(report.steps.iter().all(|step| step.succeeded), "{who} {report:?}");
    assert_ne!(report.steps[0].call.id, report.steps[1].call.id, "{who}");
    assert_eq!(report.answer, "They come to 552.00.", "{who}");
}

#[tokio::test]
async fn a_mock_of_every_provider_is_served_alike() {
    let mut stack = Stack::start().await;
    let Some(aimock) = Aimock::start(&fixtures(), stack.home()) else {
        return missing(stack, "node with @copilotkit/aimock").await;
    };
    let session = session(&stack).await;
    for (wire, path) in [
        (Wire::OpenAi, "v1"),
        (Wire::Mistral, "v1"),
        (Wire::Anthropic, "v1"),
        (Wire::Gemini, "v1beta"),
    ] {
        let base_url = format!("{}/{path}", aimock.address());
        let model = model(wire, &base_url, "none", "mock/any-model");
        model.probe().await.unwrap();
        let report = converse(&model, &session, PROMPT).await.unwrap();
        assert_worked_out(&report, &format!("{wire:?}"));
    }
    session.close().await;
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn arguments_with_two_readings_reach_no_tool() {
    let mut stack = Stack::start().await;
    let Some(aimock) = Aimock::start(&fixtures(), stack.home()) else {
        return missing(stack, "node with @copilotkit/aimock").await;
    };
    let session = session(&stack).await;
    let base_url = format!("{}/v1", aimock.address());
    let model = model(Wire::OpenAi, &base_url, "none", "mock/any-model");
    let report = converse(&model, &session, "Give me two readings.").await.unwrap();
    let written = r#"{"customer_id":"JOHNDOE123","customer_id":"CUST67890"}"#;
    assert_eq!(report.steps[0].call.arguments, written, "as it was written");
    assert!(!report.steps[0].succeeded);
    assert_eq!(report.answer, "It was not done.");
    assert!(!stack.spy().seen().contains("tools/call"), "the upstream was called");
    session.close().await;
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn another_provider_takes_over_in_its_own_format() {
    let mut stack = Stack::start().await;
    let Some(aimock) = Aimock::start(&fixtures(), stack.home()) else {
        return missing(stack, "node with @copilotkit/aimock").await;
    };
    let session = session(&stack).await;
    let base_url = format!("{}/v1", aimock.address());
    let limited = model(Wire::OpenAi, &base_url, "none", "first/limited");
    let other = model(Wire::Anthropic, &base_url, "none", "second/any-model");
    let patience = Patience { attempts: 1, ..Patience::default() };
    let pool = Pool::with(Box::new(limited), vec![Box::new(other)], patience, || 0.0);
    let report = converse(&pool, &session, PROMPT).await.unwrap();
    assert_worked_out(&report, "pool");
    session.close().await;
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
    let session = session(&stack).await;
    let base_url = format!("{}/v1", gateway.address());
    for (wire, name) in [
        (Wire::OpenAi, "litellm/team-high"),
        (Wire::OpenAi, "litellm/vendor/claude"),
        (Wire::Anthropic, "litellm/vendor/claude"),
        (Wire::Anthropic, "litellm/team-high"),
    ] {
        let model = model(wire, &base_url, LiteLlm::KEY, name);
        model.probe().await.unwrap();
        let report = converse(&model, &session, PROMPT).await.unwrap();
        assert_worked_out(&report, &format!("{wire:?} {name}"));
    }

    let stranger = model(Wire::OpenAi, &base_url, "sk-not-the-key", "litellm/team-high");
    let refused = stranger.probe().await.unwrap_err().to_string();
    assert!(refused.contains("wants a key"), "{refused}");
    let refused = converse(&stranger, &session, PROMPT).await.unwrap_err().to_string();
    assert!(refused.contains("wants a key"), "{refused}");
    assert!(!refused.contains("sk-not-the-key"), "{refused}");
    session.close().await;
    stack.forget_decisions().await;
    stack.finish().await;
}

async fn missing(mut stack: Stack, what: &str) {
    skip(what);
    stack.forget_decisions().await;
    stack.finish().await;
}
