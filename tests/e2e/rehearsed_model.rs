use std::{collections::BTreeMap, process::Command};

use client::rehearsed::{self, Rehearsed, Script};
use harness::{Neighbour, repository, skip};
use serde_json::{Value, json};

/// Each cue fails in one way.
const FAULTS: &str = "
parts:
  - { cue: once limited, close: Here I am., faults: [{ status: 429, retry_after: 1s, times: 1 }] }
  - { cue: limited, close: x, faults: [{ status: 429, retry_after: 30s }] }
  - { cue: failing, close: x, faults: [{ status: 500 }] }
  - { cue: overloaded, close: x, faults: [{ status: 529 }] }
  - { cue: locked, close: x, faults: [{ unauthorized: true }] }
  - { cue: breaking, close: one two three four, faults: [{ break_off_after: 3 }] }
  - { cue: fading, close: one two three four, faults: [{ fail_after: 3 }] }
  - { cue: babbling, close: one two three four, faults: [{ garbage: true }] }
  - { cue: slow, close: x, faults: [{ delay: 30s }] }
";
const ASKED: [&str; 7] =
    ["limited", "failing", "overloaded", "locked", "breaking", "fading", "babbling"];

async fn serve(rehearsed: &Rehearsed) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = rehearsed.router();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn results() -> Value {
    json!({
        "calculate_account_value": r#"{"customer_id":"CUST67890","calculation":{"total":552.00}}"#,
        "get_customer_info": r#"{"customer_id":"JOHNDOE123","name":"John Doe","account_type":"premium","status":"active"}"#,
        "create_support_ticket": r#"{"ticket_id":"TKT-1","status":"open","estimated_resolution":"24-48 hours"}"#,
    })
}

fn prompts() -> Value {
    json!({
        "account": rehearsed::ACCOUNT_PROMPT,
        "lookup": rehearsed::LOOKUP_PROMPT,
        "ticket": rehearsed::TICKET_PROMPT,
        "parallel": rehearsed::PARALLEL_PROMPT,
        "duplicate": rehearsed::DUPLICATE_MEMBER_PROMPT,
    })
}

/// Runs an official library of a provider's against the rehearsed model; yields what it saw.
async fn observe(python: &Neighbour, script: &str, path: &str, tool: fn(&str) -> Value) -> Value {
    let good = Rehearsed::for_key(Script::built_in(), "sesame");
    let faulty = Rehearsed::new(Script::from_yaml(FAULTS, "faults").unwrap());
    let results = results();
    let tools: Vec<Value> = results.as_object().unwrap().keys().map(|name| tool(name)).collect();
    let task = json!({
        "good": format!("{}{path}", serve(&good).await),
        "faulty": format!("{}{path}", serve(&faulty).await),
        "key": "sesame",
        "model": rehearsed::MODEL,
        "prompts": prompts(),
        "tools": tools,
        "results": results,
        "faults": ASKED,
    });
    let mut command = Command::new(&python.program);
    command.arg(repository().join("tests/foreign").join(script)).arg(task.to_string());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Every fault twice, whole and streamed; too slow; limited once and then not.
    assert_eq!(faulty.requests(), 2 * ASKED.len() as u64 + 3);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the library made of the scenarios, whole and streamed.
fn assert_played(report: &Value, done: &str) {
    for (name, calls, answer) in [
        ("account", 1, "552.00; the customer qualifies"),
        ("lookup", 1, "John Doe (JOHNDOE123) has a premium account that is active."),
        ("ticket", 1, "Ticket TKT-1 is open"),
        ("parallel", 2, "John Doe has a premium account that is active"),
        ("duplicate", 1, "It was taken"),
    ] {
        let (whole, streamed) = (&report["scenarios"][name][0], &report["scenarios"][name][1]);
        assert!(whole["answer"].as_str().unwrap().contains(answer), "{name}: {whole}");
        assert_eq!(whole["calls"][0].as_array().unwrap().len(), calls, "{name}: {whole}");
        assert_eq!(whole["calls"].as_array().unwrap().len(), 1, "in one turn");
        assert_eq!(whole["model"], rehearsed::MODEL);
        assert_eq!(whole["finish"], done);
        assert_eq!(whole["usage"], true);
        for part in ["calls", "answer", "model", "finish", "usage"] {
            assert_eq!(streamed[part], whole[part], "{name}, {part}");
        }
        assert!(streamed["pieces"].as_u64().unwrap() > 4, "{streamed}");
    }
    assert_eq!(report["one_model"], rehearsed::MODEL);
    assert_eq!(report["models"].as_array().unwrap().len(), 1);
    assert_eq!(report["retried"], json!({ "answer": "Here I am.", "waited": true }));
}

/// What the library raised; what no status tells apart is told by the class alone.
fn assert_failures(report: &Value, expected: &[(&str, &str, Option<u16>)]) {
    let expected = expected
        .iter()
        .map(|(name, class, status)| (*name, json!({ "class": class, "status": status })));
    let seen = report["failures"].as_object().unwrap().iter();
    let seen: BTreeMap<&str, Value> =
        seen.map(|(name, failure)| (name.as_str(), failure.clone())).collect();
    assert_eq!(seen, expected.collect::<BTreeMap<&str, Value>>());
}

/// What both libraries raise alike.
const ALIKE: [(&str, &str, Option<u16>); 14] = [
    ("limited", "RateLimitError", Some(429)),
    ("limited, streamed", "RateLimitError", Some(429)),
    ("failing", "InternalServerError", Some(500)),
    ("failing, streamed", "InternalServerError", Some(500)),
    ("locked", "AuthenticationError", Some(401)),
    ("locked, streamed", "AuthenticationError", Some(401)),
    ("breaking", "APIConnectionError", None),
    ("fading", "InternalServerError", Some(500)),
    // They take what is not JSON for text, and stumble over it.
    ("babbling", "AttributeError", None),
    ("babbling, streamed", "JSONDecodeError", None),
    ("other key", "AuthenticationError", Some(401)),
    ("other model", "NotFoundError", Some(404)),
    ("no messages", "BadRequestError", Some(400)),
    ("too slow", "APITimeoutError", None),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_official_openai_library_is_served_and_failed_as_by_its_provider() {
    let Some(python) = Neighbour::python_with("openai") else {
        return skip("a Python with the package openai 3.54.0, named by CEDARGATE_TEST_PYTHON");
    };
    let tool = |name: &str| json!({ "type": "function", "function": { "name": name, "parameters": { "type": "object" } } });
    let report = observe(&python, "openai_wire.py", "/v1/", tool).await;
    assert_played(&report, "stop");
    let own = [
        ("overloaded", "InternalServerError", Some(529)),
        ("overloaded, streamed", "InternalServerError", Some(529)),
        ("breaking, streamed", "APIConnectionError", None),
        ("fading, streamed", "APIError", None),
    ];
    assert_failures(&report, &[&ALIKE[..], &own].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_anthropic_library_is_served_and_failed_as_by_its_provider() {
    let Some(python) = Neighbour::python_with("anthropic") else {
        return skip("a Python with the package anthropic 2.12.0, named by CEDARGATE_TEST_PYTHON");
    };
    let tool = |name: &str| json!({ "name": name, "input_schema": { "type": "object" } });
    let report = observe(&python, "anthropic_wire.py", "", tool).await;
    assert_played(&report, "end_turn");
    let own = [
        ("overloaded", "OverloadedError", Some(529)),
        ("overloaded, streamed", "OverloadedError", Some(529)),
        ("breaking, streamed", "RemoteProtocolError", None),
        ("fading, streamed", "APIStatusError", Some(200)),
    ];
    assert_failures(&report, &[&ALIKE[..], &own].concat());
}
