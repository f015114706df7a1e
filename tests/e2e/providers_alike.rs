use std::collections::BTreeMap;

use client::rehearsed::{self, Script};
use harness::{LiteLlm, Stack, skip};
use serde_json::{Value, json};

use crate::chat_program::{Chat, configured};

/// A model that says the same wherever it is asked.
async fn rehearsed_model() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = rehearsed::router(Script::built_in());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// The settings of these providers: name, wire format, base URL, key.
fn providers(list: &[(&str, &str, String, &str)]) -> String {
    let one = |(name, wire, base_url, key): &(&str, &str, String, &str)| {
        format!(
            "[providers.{name}]\nwire = \"{wire}\"\nbase_url = \"{base_url}\"\napi_key_variable = \"{key}\"\n"
        )
    };
    list.iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_provider_plays_every_scenario_and_leaves_the_same_record() {
    let mut stack = Stack::start().await;
    let address = rehearsed_model().await;
    let behind = json!([{
        "model_name": "clerk",
        "litellm_params": {
            "model": "openai/clerk", "api_base": format!("{address}/v1"), "api_key": "none",
        },
    }]);
    let gateway = LiteLlm::start(&behind, stack.home()).await;
    let v1 = format!("{address}/v1");
    let mut list = vec![
        ("openai", "openai", v1.clone(), "KEY"),
        ("anthropic", "anthropic", v1.clone(), "KEY"),
        ("mistral", "mistral", v1.clone(), "KEY"),
        ("house", "openai", v1, "KEY"),
    ];
    match &gateway {
        Some(gateway) => {
            list.push(("litellm", "openai", format!("{}/v1", gateway.address()), "LITELLM"));
        }
        None => skip("CEDARGATE_TEST_LITELLM_PYTHON with litellm[proxy]"),
    }
    let names: Vec<_> = list.iter().map(|(name, ..)| format!("{name}/clerk")).collect();
    let config = format!("models = {names:?}\n{}", providers(&list));
    let file = configured(&stack, &config);

    for scenarios in ["customers", "arbitrage"] {
        let path = format!("{}/crates/client/scenarios/{scenarios}.yaml", repository());
        let junit = stack.home().join("junit.xml");
        let ended = Chat::on(&stack)
            .with(&["--config", &file, "--json", "scenarios", &path, "--junit"])
            .with(&[junit.to_str().unwrap()])
            .variable("KEY", "none")
            .variable("LITELLM", LiteLlm::KEY)
            .run()
            .await;
        assert_eq!(ended.code, 0, "{scenarios}: {}", ended.stderr);
        let matrix: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(matrix["models"].as_array().unwrap().len(), list.len());
        let report = std::fs::read_to_string(&junit).unwrap();
        assert_eq!(report.matches("<testsuite ").count(), list.len(), "{report}");
        assert!(report.contains("failures=\"0\""), "{report}");
    }

    let records = by_provider(&mut stack).await;
    assert_eq!(records.len(), list.len(), "{:?}", records.keys());
    let first = &records["openai"];
    assert_eq!(first.len(), 5, "four scenarios with five calls; of arbitrage nothing arrives");
    for (provider, theirs) in &records {
        assert_eq!(theirs, first, "{provider}");
    }
    stack.finish().await;
}

/// What the gate recorded of tool calls, without what differs from one call to the next: when, how
/// long, which token.
async fn by_provider(stack: &mut Stack) -> BTreeMap<String, Vec<Value>> {
    let mut records = BTreeMap::<String, Vec<Value>>::new();
    for record in stack.take_decisions().await {
        if record.method.as_deref() != Some("tools/call") {
            continue;
        }
        let mut told = serde_json::to_value(&*record).unwrap();
        let members = told.as_object_mut().unwrap();
        for varies in VARIES {
            members.remove(varies);
        }
        records.entry(record.provider.clone().unwrap_or_default()).or_default().push(told);
    }
    // Calls of one turn are made side by side.
    for theirs in records.values_mut() {
        theirs.sort_by_key(ToString::to_string);
    }
    records
}

fn repository() -> String {
    harness::repository().display().to_string()
}

const VARIES: [&str; 8] = [
    "request_id",
    "at",
    "peer",
    "token_id",
    "trace_id",
    "decided_after_us",
    "steps_us",
    "provider",
];
