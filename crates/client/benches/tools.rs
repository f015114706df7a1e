//! What it costs to put a server's tools into the form that every model is shown, and to read what
//! a model writes.
//!
//! `cargo bench -p client --bench tools`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should fail loudly")]

use client::{
    model::Call,
    tools::{Toolbox, adapters},
};
use criterion::{Criterion, criterion_group, criterion_main};
use rmcp::model::Tool;
use serde_json::{Value, json};

/// A tool with twenty arguments, among them a list and a reference.
fn tool(number: usize) -> Tool {
    let arguments: serde_json::Map<String, Value> = (0..18)
        .map(|n| (format!("argument_{n}"), json!({ "type": "string", "maxLength": 200 })))
        .chain([
            ("amounts".to_owned(), json!({ "type": "array", "items": { "type": "number" } })),
            ("address".to_owned(), json!({ "$ref": "#/$defs/address" })),
        ])
        .collect();
    let tool = json!({
        "name": format!("tool_{number}"),
        "description": "Does something that takes a sentence to describe.",
        "inputSchema": {
            "type": "object", "properties": arguments, "required": ["argument_0"],
            "$defs": { "address": { "type": "object", "properties": { "city": { "type": "string" } } } },
        },
        "_meta": { "cedargate/security": {
            "requiredScopes": ["customer:read"], "rateLimit": "30/minute", "conditional": false } },
    });
    serde_json::from_value(tool).unwrap()
}

fn tools(criterion: &mut Criterion) {
    let hundred: Vec<Tool> = (0..100).map(tool).collect();
    criterion.bench_function("100 tools into the universal form", |b| {
        b.iter(|| Toolbox::of(&hundred));
    });
    let toolbox = Toolbox::of(&hundred);
    criterion.bench_function("100 tools into OpenAI's format", |b| {
        b.iter(|| adapters::to_openai(toolbox.offered()));
    });
    criterion.bench_function("100 tools into Anthropic's format", |b| {
        b.iter(|| adapters::to_anthropic(toolbox.offered()));
    });
    let call = Call {
        id: "1".to_owned(),
        tool: "tool_7".to_owned(),
        arguments: json!({ "argument_0": "x", "amounts": [1, 2, 3], "address": { "city": "y" } })
            .to_string(),
    };
    criterion.bench_function("a call, read and held against its schema", |b| {
        b.iter(|| toolbox.read(&call).unwrap());
    });
}

criterion_group!(benches, tools);
criterion_main!(benches);
