//! What the provider refuses is refused here: a client that is only tested against a lenient
//! double is not tested.

use super::*;

/// What is said of a request in which `pointer` was replaced, or removed by a null.
async fn complaint(wire: Wire, pointer: &str, value: Value) -> (u16, String) {
    let mut request = request(wire, conversation(wire));
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = request.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        Value::Object(members) if value.is_null() => drop(members.remove(name)),
        parent => parent[name] = value,
    }
    let reply = ask(&built_in(), wire, &request).await;
    let error = reply.json()["error"].clone();
    (reply.status.as_u16(), error["message"].as_str().unwrap_or_default().to_owned())
}

/// With everything that can be wrong: instructions, a prompt, a call, its result.
fn conversation(wire: Wire) -> Value {
    match wire {
        Wire::OpenAi => json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": LOOKUP_PROMPT }] },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1", "type": "function",
                "function": { "name": "get_customer_info", "arguments": "{}" } }] },
            { "role": "tool", "tool_call_id": "c1", "content": "{}" },
            { "role": "assistant", "content": "Done." },
            { "role": "user", "content": "And now?" },
        ]),
        Wire::Anthropic => json!([
            { "role": "user", "content": LOOKUP_PROMPT },
            { "role": "assistant", "content": [{ "type": "text", "text": "Let me see." },
                { "type": "tool_use", "id": "c1", "name": "get_customer_info", "input": {} }] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "c1", "content": "{}" },
                { "type": "text", "text": "Go on." }] },
            { "role": "assistant", "content": "Done." },
            { "role": "user", "content": "And now?" },
        ]),
    }
}

async fn assert_refused(wire: Wire, rows: &[(&str, Value, &str)]) {
    let good = ask(&built_in(), wire, &request(wire, conversation(wire))).await;
    assert_eq!(good.status, StatusCode::OK, "{:?}", good.body);
    for (pointer, value, about) in rows {
        let (status, told) = complaint(wire, pointer, value.clone()).await;
        assert_eq!(status, 400, "{pointer} = {value}: {told}");
        assert!(told.contains(about), "{pointer} = {value}: {told}");
    }
}

#[tokio::test]
async fn openai_refuses_what_is_wrong_with_a_request() {
    let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "x", "arguments": "" } });
    assert_refused(
        Wire::OpenAi,
        &[
            ("/model", json!(null), "'model'"),
            ("/messages", json!(null), "'messages'"),
            ("/messages", json!([]), "'messages'"),
            ("/temprature", json!(1), "unknown parameter"),
            ("/n", json!(2), "'n'"),
            ("/max_tokens", json!(0), "'max_tokens'"),
            ("/max_completion_tokens", json!("9"), "'max_completion_tokens'"),
            ("/stream", json!("yes"), "'stream'"),
            ("/stream_options", json!({ "include_usage": true }), "'stream_options'"),
            ("/messages/0/role", json!("assistent"), "'messages[0].role'"),
            ("/messages/1/content", json!(null), "'messages[1].content'"),
            ("/messages/1/content/0/type", json!("txt"), "'messages[1].content[0]'"),
            ("/messages/2/tool_calls", json!([]), "tool_calls'"),
            ("/messages/2/tool_calls", json!(null), "'messages[2].content'"),
            ("/messages/2/tool_calls/0", call(&"x".repeat(41)), "tool_calls[0].id'"),
            ("/messages/2/tool_calls/0", call("c2"), "must answer"),
            ("/messages/2/tool_calls", json!([call("c1"), call("c2")]), "tool calls: c2"),
            ("/messages/2/tool_calls/0/type", json!("fn"), "tool_calls[0].type'"),
            ("/messages/2/tool_calls/0/function/name", json!("a b"), "function.name'"),
            ("/messages/2/tool_calls/0/function/arguments", json!({}), "function.arguments'"),
            ("/messages/3/tool_call_id", json!(null), "tool_call_id'"),
            ("/messages/3/content", json!([{ "type": "image_url" }]), "'messages[3].content[0]'"),
            ("/messages/4/role", json!("tool"), "tool_call_id'"),
            ("/messages/5", call("c"), "'messages[5].role'"),
        ],
    )
    .await;
}

#[tokio::test]
async fn openai_refuses_what_is_wrong_with_tools() {
    assert_refused(
        Wire::OpenAi,
        &[
            ("/tools", json!([]), "'tools'"),
            ("/tools", json!({}), "'tools'"),
            ("/tools/0/type", json!("mcp"), "'tools[0].type'"),
            ("/tools/0/function/name", json!(null), "'tools[0].function.name'"),
            ("/tools/0/function/name", json!("get.customer"), "'tools[0].function.name'"),
            ("/tools/0/function/name", json!("x".repeat(65)), "'tools[0].function.name'"),
            ("/tools/0/function/name", json!(""), "'tools[0].function.name'"),
            ("/tools/1/function/parameters", json!({}), "type must be 'object'"),
            (
                "/tools/1/function/parameters",
                json!({ "type": ["object"] }),
                "type must be 'object'",
            ),
            ("/tools/1/function/parameters/anyOf", json!([]), "'anyOf' is not supported"),
            ("/tools/1/function/parameters/oneOf", json!([]), "'oneOf' is not supported"),
            ("/tools/1/function/parameters/allOf", json!([]), "'allOf' is not supported"),
            ("/tools/1/function/parameters/$ref", json!("#/$defs/x"), "'$ref' is not supported"),
            (
                "/tools/1/function/parameters/properties",
                json!({ "a": { "type": "array" } }),
                "missing items",
            ),
            ("/tool_choice", json!("any"), "'tool_choice'"),
            (
                "/tool_choice",
                json!({ "type": "function", "function": { "name": "x" } }),
                "no tool 'x'",
            ),
        ],
    )
    .await;
    let mut alone = request(Wire::OpenAi, prompt("hello"));
    alone.as_object_mut().unwrap().remove("tools");
    for (name, value) in [("tool_choice", json!("auto")), ("parallel_tool_calls", json!(false))] {
        let mut request = alone.clone();
        request[name] = value;
        assert_eq!(ask(&built_in(), Wire::OpenAi, &request).await.status.as_u16(), 400, "{name}");
    }
}

#[tokio::test]
async fn anthropic_refuses_what_is_wrong_with_a_request() {
    let result = |id: &str| json!({ "type": "tool_result", "tool_use_id": id, "content": "{}" });
    assert_refused(
        Wire::Anthropic,
        &[
            ("/model", json!(null), "model"),
            ("/max_tokens", json!(null), "max_tokens: Field required"),
            ("/max_tokens", json!(0), "max_tokens"),
            ("/messages", json!([]), "messages: at least one"),
            ("/stop", json!([]), "stop: Extra inputs"),
            ("/stream", json!("yes"), "stream"),
            ("/system", json!([{ "type": "txt" }]), "system.0"),
            ("/messages/0/role", json!("assistant"), "messages.0: the first"),
            ("/messages/0/content", json!(""), "messages.0.content.0: text content"),
            ("/messages/0/content", json!([]), "messages.0"),
            ("/messages/0/content", json!(null), "messages.0.content: Field required"),
            ("/messages/3/role", json!("system"), "messages.3.role"),
            ("/messages/3/content", json!([]), "messages.3"),
            ("/messages/1/content/0/text", json!(""), "messages.1.content.0: text content"),
            ("/messages/1/content/0/type", json!("txt"), "messages.1.content.0"),
            ("/messages/1/content/1/id", json!("c:1"), "tool_use.id"),
            ("/messages/1/content/1/name", json!("a b"), "tool_use.name"),
            ("/messages/1/content/1/input", json!("{}"), "tool_use.input"),
            ("/messages/1/content/1/input", json!(null), "tool_use.input"),
            ("/messages/1/content/1/id", json!("c2"), "messages.2.content.0: unexpected"),
            ("/messages/2/content", json!("Go on."), "messages.1: `tool_use` ids were found"),
            ("/messages/2/content/0/tool_use_id", json!(null), "tool_use_id: Field required"),
            (
                "/messages/2/content",
                json!([{ "type": "text", "text": "first" }, result("c1")]),
                "messages.2.content.1: unexpected",
            ),
            (
                "/messages/2/content",
                json!([result("c1"), result("c1")]),
                "messages.2.content.1: unexpected",
            ),
            ("/messages/4/content", json!([result("c1")]), "messages.4.content.0: unexpected"),
        ][..],
    )
    .await;
}

#[tokio::test]
async fn anthropic_refuses_what_is_wrong_with_tools() {
    assert_refused(
        Wire::Anthropic,
        &[
            ("/tools", json!({}), "tools"),
            ("/tools/0/type", json!("function"), "tools.0.type"),
            ("/tools/0/name", json!("get.customer"), "tools.0.custom.name"),
            ("/tools/0/name", json!("x".repeat(65)), "tools.0.custom.name"),
            ("/tools/0/name", json!("get_recent_customers"), "unique"),
            ("/tools/0/input_schema", json!(null), "input_schema: Field required"),
            ("/tools/0/input_schema", json!({}), "type must be 'object'"),
            ("/tools/0/input_schema/anyOf", json!([]), "'anyOf' is not supported"),
            ("/tools/0/input_schema/oneOf", json!([]), "'oneOf' is not supported"),
            ("/tools/0/input_schema/allOf", json!([]), "'allOf' is not supported"),
            ("/tools/0/input_schema/$ref", json!("#/$defs/x"), "'$ref' is not supported"),
            ("/tool_choice", json!("auto"), "tool_choice"),
            ("/tool_choice", json!({ "type": "required" }), "tool_choice"),
            ("/tool_choice", json!({ "type": "tool", "name": "x" }), "'x' not found"),
        ],
    )
    .await;
}

#[tokio::test]
async fn instructions_come_as_text_or_as_blocks() {
    for system in
        [json!("Be brief."), json!([{ "type": "text", "text": "Be brief.", "cache_control": {} }])]
    {
        let mut request = request(Wire::Anthropic, prompt(LOOKUP_PROMPT));
        request["system"] = system;
        assert_eq!(turn(&built_in(), Wire::Anthropic, &request).await.calls.len(), 1);
    }
}

#[tokio::test]
async fn other_models_are_unknown() {
    for wire in WIRES {
        let mut request = request(wire, prompt("hello"));
        request["model"] = "gpt-4.1".into();
        let reply = ask(&built_in(), wire, &request).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains(MODEL));
    }
}

#[tokio::test]
async fn what_is_no_json_and_what_is_too_large_is_refused() {
    for path in ["/v1/chat/completions", "/v1/messages"] {
        for (body, status) in [
            (String::new(), 400),
            ("[]".to_owned(), 400),
            ("[".repeat(100_000), 400),
            (" ".repeat(9 * 1024 * 1024), 413),
        ] {
            let request = Request::builder().method(Method::POST).uri(path);
            let request = request.header(anthropic::VERSION, "2023-06-01");
            let reply = send(&built_in(), request.body(Body::from(body)).unwrap()).await;
            assert_eq!(reply.status.as_u16(), status, "{path}");
            assert!(reply.json()["error"]["message"].is_string());
        }
    }
    let unversioned = Request::builder().method(Method::POST).uri("/v1/messages");
    let reply = send(&built_in(), unversioned.body(Body::from("{}")).unwrap()).await;
    assert!(reply.body.unwrap().contains("anthropic-version"));
}
