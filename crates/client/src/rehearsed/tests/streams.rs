//! Pieces put together are the answer that comes whole.

use super::*;

/// The events of a stream: name and data.
fn events(body: &str) -> Vec<(String, String)> {
    let event = |block: &str| {
        let of = |field: &str| {
            block.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default().to_owned()
        };
        (of("event: "), of("data: "))
    };
    body.split_terminator("\n\n").map(event).collect()
}

/// Puts chunks together as the provider documents it.
fn openai(body: &str) -> Value {
    let events = events(body);
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done.1, "[DONE]");
    let chunks: Vec<Value> =
        chunks.iter().map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
    let mut message = json!({ "role": null, "content": null, "refusal": null, "annotations": [] });
    let (mut finish, mut usage) = (Value::Null, Value::Null);
    for (number, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        let Some(choice) = chunk["choices"].get(0) else {
            assert_eq!(number, chunks.len() - 1, "only usage comes without a choice, and last");
            usage = chunk["usage"].clone();
            continue;
        };
        assert!(finish.is_null(), "nothing comes after the end");
        assert!(chunk["usage"].is_null());
        let delta = &choice["delta"];
        assert_eq!(delta.get("role").is_some(), number == 0, "the role comes first, and once");
        if number == 0 {
            message["role"] = delta["role"].clone();
        }
        if let Some(piece) = delta["content"].as_str() {
            let so_far = message["content"].as_str().unwrap_or_default();
            message["content"] = format!("{so_far}{piece}").into();
        }
        for delta in delta["tool_calls"].as_array().into_iter().flatten() {
            add_call(&mut message, delta);
        }
        finish = choice["finish_reason"].clone();
    }
    let choice =
        json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": finish });
    let first = &chunks[0];
    json!({
        "id": first["id"], "object": "chat.completion", "created": first["created"],
        "model": first["model"], "choices": [choice], "usage": usage,
        "system_fingerprint": first["system_fingerprint"],
    })
}

/// A call begins with its id and its name, and goes on with its arguments alone.
fn add_call(message: &mut Value, delta: &Value) {
    let index = usize::try_from(delta["index"].as_u64().unwrap()).unwrap();
    if message["tool_calls"].get(index).is_none() {
        let mut call = delta.clone();
        call.as_object_mut().unwrap().remove("index");
        assert!(call["id"].is_string() && call["function"]["arguments"] == "");
        match message.get_mut("tool_calls") {
            Some(calls) => calls.as_array_mut().unwrap().push(call),
            None => message["tool_calls"] = json!([call]),
        }
        return;
    }
    assert!(delta.get("id").is_none() && delta["function"].get("name").is_none());
    let arguments = &mut message["tool_calls"][index]["function"]["arguments"];
    let piece = delta["function"]["arguments"].as_str().unwrap();
    *arguments = format!("{}{piece}", arguments.as_str().unwrap()).into();
}

/// Puts events together as the provider documents it.
fn anthropic(body: &str) -> Value {
    let (mut message, mut pieces, mut open) = (Value::Null, String::new(), None);
    let mut stopped = false;
    for (name, data) in events(body) {
        let data: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(data["type"], name.as_str());
        assert!(!stopped, "nothing comes after the end");
        match name.as_str() {
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                assert_eq!(open.replace(data["index"].clone()), None, "one block at a time");
                message["content"].as_array_mut().unwrap().push(data["content_block"].clone());
                pieces.clear();
            }
            "content_block_delta" => {
                assert_eq!(open.as_ref(), Some(&data["index"]));
                let piece = match data["delta"]["type"].as_str().unwrap() {
                    "text_delta" => &data["delta"]["text"],
                    _ => &data["delta"]["partial_json"],
                };
                pieces.push_str(piece.as_str().unwrap());
            }
            "content_block_stop" => {
                assert_eq!(open.take(), Some(data["index"].clone()));
                let block = message["content"].as_array_mut().unwrap().last_mut().unwrap();
                match block["type"].as_str().unwrap() {
                    "text" => block["text"] = pieces.clone().into(),
                    _ => block["input"] = serde_json::from_str(&pieces).unwrap_or(json!({})),
                }
            }
            "message_delta" => {
                for (name, value) in data["delta"].as_object().unwrap() {
                    message[name] = value.clone();
                }
                message["usage"]["output_tokens"] = data["usage"]["output_tokens"].clone();
            }
            "message_stop" => stopped = true,
            "ping" => {}
            other => panic!("{other}"),
        }
    }
    assert!(stopped);
    message
}

#[tokio::test]
async fn streamed_pieces_put_together_are_the_whole_answer() {
    let prompts = [
        ACCOUNT_PROMPT,
        LOOKUP_PROMPT,
        TICKET_PROMPT,
        PARALLEL_PROMPT,
        DUPLICATE_MEMBER_PROMPT,
        AMOUNTS_AS_TEXT_PROMPT,
        TRAILING_COMMA_PROMPT,
        "What are you?",
        LONG_PROMPT,
    ];
    for wire in WIRES {
        for said in prompts {
            // The long text has pauses; whoever waits needs no clock.
            tokio::time::pause();
            let whole = request(wire, prompt(said));
            let mut streamed = whole.clone();
            streamed["stream"] = true.into();
            if wire == Wire::OpenAi {
                streamed["stream_options"] = json!({ "include_usage": true });
            }
            let whole = ask(&built_in(), wire, &whole).await.json();
            let reply = ask(&built_in(), wire, &streamed).await;
            assert_eq!(reply.headers[header::CONTENT_TYPE], "text/event-stream; charset=utf-8");
            let body = reply.body.unwrap();
            let together = match wire {
                Wire::OpenAi => openai(&body),
                Wire::Anthropic => anthropic(&body),
            };
            assert_eq!(together, whole, "{said}");
            assert!(events(&body).len() > 6, "in pieces: {body}");
            tokio::time::resume();
        }
    }
}

#[tokio::test]
async fn malformed_arguments_are_streamed_letter_by_letter_on_both_wires() {
    for wire in WIRES {
        let mut request = request(wire, prompt(TRAILING_COMMA_PROMPT));
        request["stream"] = true.into();
        let body = ask(&built_in(), wire, &request).await.body.unwrap();
        let pieces = events(&body).into_iter().filter_map(|(_, data)| {
            let data: Value = serde_json::from_str(&data).ok()?;
            let piece = match wire {
                Wire::OpenAi => "/choices/0/delta/tool_calls/0/function/arguments",
                Wire::Anthropic => "/delta/partial_json",
            };
            data.pointer(piece)?.as_str().map(str::to_owned)
        });
        let written = r#"{"customer_id":"CUST67890","amounts":[150,300,13,89],}"#;
        assert_eq!(pieces.collect::<String>(), written);
    }
}

#[tokio::test]
async fn usage_is_streamed_only_to_who_asks_for_it() {
    let mut request = request(Wire::OpenAi, prompt("hello"));
    request["stream"] = true.into();
    let body = ask(&built_in(), Wire::OpenAi, &request).await.body.unwrap();
    assert!(!body.contains("usage"), "{body}");
}
