//! One corpus of bodies goes to the gate and to the parsers of official SDKs. Whatever the gate
//! admits, every SDK that takes it at all reads as the gate judged it: from the bytes that came in
//! and from those that went upstream.
//!
//! One representation is left to its readers: a number that no double holds exactly, where no policy
//! can ask for it. Python reads it as written, JavaScript as the nearest double. In a tool's
//! arguments and in ids such a number is refused.

/// The bodies.
mod corpus;
/// What is odd in them.
mod oddities;
/// SDKs as child processes.
mod readers;

use std::collections::BTreeMap;

use harness::{Neighbour, Offered, Stack, scripted::Scripted, skip};
use serde_json::{Value, json};

use corpus::{Item, Kind};
use readers::{Readings, read_by_python, read_by_typescript};

/// What became of one item at the gate.
enum Outcome {
    /// The method and target that were judged, and the bytes that went upstream.
    Admitted { method: Option<String>, target: Option<String>, forwarded: Vec<u8> },
    /// With its reason code.
    Refused(&'static str),
}

/// So many characters of a name are on record.
const RECORDED: usize = 256;
const EVERYTHING: &str = "@id(\"everything\") permit (principal, action, resource);";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_gate_admits_every_sdk_reads_as_the_gate_does() {
    let Some(python) = Neighbour::python_with_mcp() else {
        return skip("a Python with the package mcp 2.3.0, named by CEDARGATE_TEST_PYTHON");
    };
    let Some((node, modules)) = Neighbour::node_with("@modelcontextprotocol/sdk") else {
        return skip(
            "Node with @modelcontextprotocol/sdk 1.32.2 and core 2.4.0 \
                     in CEDARGATE_TEST_NODE_MODULES",
        );
    };
    let items = corpus::items();
    let (stack, outcomes) = judged(&items).await;
    let original: Vec<&[u8]> = items.iter().map(|item| item.body.as_slice()).collect();
    let forwarded: Vec<&[u8]> = outcomes.iter().map(Outcome::forwarded).collect();
    let read = |bodies: &[&[u8]]| {
        let mut readings = read_by_python(&python, bodies);
        let others = read_by_typescript(&node, &modules, stack.home(), bodies);
        readings.iter_mut().zip(others).for_each(|(one, other)| one.extend(other));
        readings
    };
    let (original, forwarded) = (read(&original), read(&forwarded));
    let mut wrong = Vec::new();
    for (((item, outcome), original), forwarded) in
        items.iter().zip(&outcomes).zip(&original).zip(&forwarded)
    {
        wrong.extend(differences(item, outcome, original, forwarded));
    }
    print_counts(&items, &outcomes, &original);
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    stack.finish().await;
}

fn tool() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    json!({ "name": "probe", "inputSchema": { "type": "object", "properties": {
        "text": text, "count": count, "amount": { "type": "number" }, "flag": { "type": "boolean" },
        "names": { "type": "array", "items": text },
        "nested": { "type": "object", "properties": { "text": text, "count": count } },
    } } })
}

fn prompt() -> Value {
    json!({ "name": "p", "arguments": [{ "name": "a" }] })
}

/// Sends every item to the gate.
async fn judged(items: &[Item]) -> (Stack, Vec<Outcome>) {
    let upstream = Scripted::new(|sent| sent.result(&json!({ "resultType": "complete" })));
    let mut stack = Stack::with()
        .upstream(upstream.router())
        .offered(&Offered::with_prompts(&[tool()], &[prompt()]))
        .policies(EVERYTHING)
        .start()
        .await;
    let token = stack.caller("").token().to_owned();
    let mut outcomes = Vec::new();
    for item in items {
        let mut caller = stack.bearing(&token);
        for (name, value) in &item.headers {
            caller = caller.header(name, value);
        }
        caller.post(item.body.clone()).await;
        let decision = stack.latest_decision().await;
        outcomes.push(match upstream.take_sent().pop() {
            Some(sent) => Outcome::Admitted {
                method: decision.method.clone(),
                target: decision.target.clone(),
                forwarded: sent.bytes,
            },
            None => Outcome::Refused(decision.reason),
        });
    }
    (stack, outcomes)
}

impl Outcome {
    fn forwarded(&self) -> &[u8] {
        match self {
            Self::Admitted { forwarded, .. } => forwarded,
            Self::Refused(_) => b"",
        }
    }
}

/// What an SDK takes otherwise than the gate did.
fn differences(
    item: &Item,
    outcome: &Outcome,
    original: &Readings,
    forwarded: &Readings,
) -> Vec<String> {
    let told = |what: &str| format!("{}: {what}\n    {original:?}", item.shown());
    let Outcome::Admitted { method, target, .. } = outcome else {
        let honest = item.kind == Kind::Honest;
        return honest.then(|| told("honest, and refused")).into_iter().collect();
    };
    let mut wrong = Vec::new();
    let taken = |readings: &Readings| -> Vec<Value> {
        readings.values().filter(|reading| !reading.is_null()).cloned().collect()
    };
    if original.values().map(Value::is_null).ne(forwarded.values().map(Value::is_null)) {
        wrong.push(told("taken by other SDKs than before it was forwarded"));
    }
    if item.kind == Kind::Honest
        && original.iter().any(|(reader, reading)| {
            reading.is_null() && (item.is_request || reader != readers::REQUESTS_ONLY)
        })
    {
        wrong.push(told("honest, and not taken by an SDK"));
    }
    let all = [taken(original), taken(forwarded)].concat();
    let strictly = method.as_deref() == Some("tools/call");
    let comparable = |reading: &Value| if strictly { reading.clone() } else { rounded(reading) };
    for pair in all.windows(2) {
        if pair[0]["id"] != pair[1]["id"] || comparable(&pair[0]) != comparable(&pair[1]) {
            wrong.push(told("read differently"));
        }
    }
    for reading in &all {
        let read = named(reading).map(|name| name.chars().take(RECORDED).collect::<String>());
        if (reading["method"].as_str(), &read) != (method.as_deref(), target) {
            wrong.push(told(&format!("judged as {method:?} of {target:?}")));
        }
    }
    wrong.dedup();
    wrong
}

/// The target that a reader would act on.
fn named(reading: &Value) -> Option<&str> {
    let params = &reading["params"];
    match reading["method"].as_str()? {
        "tools/call" | "prompts/get" => params["name"].as_str(),
        "completion/complete" => params["ref"]["name"].as_str().or(params["ref"]["uri"].as_str()),
        method if method.starts_with("resources/") => params["uri"].as_str(),
        _ => None,
    }
}

/// A reading with every number the double that is nearest to it.
fn rounded(reading: &Value) -> Value {
    match reading {
        Value::Array(items) => items.iter().map(rounded).collect(),
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| *name != "#exactly");
            kept.map(|(name, member)| (name.clone(), rounded(member))).collect()
        }
        other => other.clone(),
    }
}

fn print_counts(items: &[Item], outcomes: &[Outcome], readings: &[Readings]) {
    let mut spared: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut admitted, mut taken_by_all) = (0, 0);
    for (outcome, readings) in outcomes.iter().zip(readings) {
        let taken = readings.values().filter(|reading| executes(reading)).count();
        match outcome {
            Outcome::Admitted { .. } => {
                admitted += 1;
                taken_by_all += usize::from(taken == readings.len());
            }
            Outcome::Refused(reason) if taken > 0 => *spared.entry(reason).or_default() += 1,
            Outcome::Refused(_) => {}
        }
    }
    let (all, refused) = (items.len(), items.len() - admitted);
    println!("{all} bodies: {admitted} admitted, {taken_by_all} of them taken by every parser;");
    let total: usize = spared.values().sum();
    println!("{refused} refused, {total} of them though an SDK would have carried them out:");
    for (reason, count) in spared {
        println!("  {count:5} {reason}");
    }
}

/// Whether a reader would do something about it.
fn executes(reading: &Value) -> bool {
    match reading {
        Value::Array(items) => items.iter().any(executes),
        reading => reading["method"].is_string(),
    }
}
