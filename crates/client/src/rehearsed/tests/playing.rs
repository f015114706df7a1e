//! What is played.

use super::*;

/// The answer after the results of the first turn.
async fn answer(wire: Wire, said: &str, results: &[&str]) -> Read {
    let rehearsed = built_in();
    let messages = prompt(said);
    let first = ask(&rehearsed, wire, &request(wire, messages.clone())).await.json();
    let messages = with_results(wire, &messages, &first, results);
    turn(&rehearsed, wire, &request(wire, messages)).await
}

#[tokio::test]
async fn the_account_scenario_calls_and_closes_with_the_total() {
    for wire in WIRES {
        let first = turn(&built_in(), wire, &request(wire, prompt(ACCOUNT_PROMPT))).await;
        assert_eq!(first.calls.len(), 1);
        assert_eq!(first.calls[0].1, "calculate_account_value");
        let arguments = r#"{"customer_id":"CUST67890","amounts":[150,300,13,89]}"#;
        assert_eq!(first.calls[0].2, arguments);
        let result = |total: &str| format!(r#"{{"calculation":{{"total":{total}}}}}"#);
        let closed = answer(wire, ACCOUNT_PROMPT, &[&result("552.00")]).await;
        assert!(closed.text.contains("552.00; the customer qualifies"), "{closed:?}");
        assert!(closed.calls.is_empty());
        let closed = answer(wire, ACCOUNT_PROMPT, &[&result("500")]).await;
        assert!(closed.text.contains("500.00; the customer does not"), "{closed:?}");
    }
}

#[tokio::test]
async fn a_refusal_and_a_missing_tool_are_admitted() {
    for wire in WIRES {
        let closed = answer(wire, LOOKUP_PROMPT, &["you may not"]).await;
        assert_eq!(closed.text, "The tool did not do it: you may not");
        let alone = json!({ "model": "clerk", "max_tokens": 9, "messages": prompt(LOOKUP_PROMPT) });
        let closed = turn(&built_in(), wire, &alone).await;
        assert!(closed.text.starts_with("The tool did not do it: the"), "{closed:?}");
        assert!(closed.calls.is_empty());
    }
}

#[tokio::test]
async fn a_result_that_is_marked_as_an_error_is_a_refusal_whatever_it_says() {
    let said = json!([
        { "role": "user", "content": LOOKUP_PROMPT },
        { "role": "assistant", "content": [
            { "type": "tool_use", "id": "c", "name": "get_customer_info", "input": {} } ] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "c", "is_error": true, "content": [
                { "type": "text", "text": "{\"name\":\"John\"}" } ] } ] },
    ]);
    let closed = turn(&built_in(), Wire::Anthropic, &request(Wire::Anthropic, said)).await;
    assert!(closed.text.starts_with("The tool did not do it"), "{closed:?}");
}

#[tokio::test]
async fn two_calls_come_in_one_turn_or_one_by_one() {
    let customer = |name: &str| format!(r#"{{"name":"{name}","account_type":"a","status":"s"}}"#);
    let (john, jane) = (customer("John"), customer("Jane"));
    for wire in WIRES {
        let both = turn(&built_in(), wire, &request(wire, prompt(PARALLEL_PROMPT))).await;
        assert_eq!(both.calls.len(), 2);
        assert_ne!(both.calls[0].0, both.calls[1].0, "ids differ");
        let closed = answer(wire, PARALLEL_PROMPT, &[&john, &jane]).await;
        assert_eq!(closed.text, "John has a a account that is s, Jane has a a account that is s.");

        let one_by_one = |messages| {
            let mut request = request(wire, messages);
            match wire {
                Wire::OpenAi => request["parallel_tool_calls"] = false.into(),
                Wire::Anthropic => {
                    request["tool_choice"] =
                        json!({ "type": "auto", "disable_parallel_tool_use": true });
                }
            }
            request
        };
        let rehearsed = built_in();
        let mut messages = prompt(PARALLEL_PROMPT);
        let mut ids = Vec::new();
        for result in [&john, &jane] {
            let answer = ask(&rehearsed, wire, &one_by_one(messages.clone())).await.json();
            let turn = read(wire, &answer);
            assert_eq!(turn.calls.len(), 1);
            ids.push(turn.calls[0].0.clone());
            messages = with_results(wire, &messages, &answer, &[result]);
        }
        assert_ne!(ids[0], ids[1], "also over several turns");
        let apart = turn(&rehearsed, wire, &one_by_one(messages)).await;
        assert_eq!(apart.text, closed.text);
    }
}

#[tokio::test]
async fn an_id_that_the_conversation_has_is_not_used_again() {
    // Messages in the middle were dropped, or another provider made the call.
    let said = json!([
        { "role": "user", "content": "hello" },
        { "role": "assistant", "content": null, "tool_calls": [{ "id": "call_2", "type": "function",
            "function": { "name": "x", "arguments": "" } }] },
        { "role": "tool", "tool_call_id": "call_2", "content": [{ "type": "text", "text": "y" }] },
        { "role": "user", "content": [{ "type": "text", "text": LOOKUP_PROMPT }] },
    ]);
    let next = turn(&built_in(), Wire::OpenAi, &request(Wire::OpenAi, said)).await;
    assert_eq!(next.calls[0].0, "call_rehearsed_3");
}

#[tokio::test]
async fn limits_are_reached_by_asking_again_and_again() {
    for (said, result, goes_on) in [
        (AGAIN_PROMPT, "{}", true),
        (AGAIN_PROMPT, "too many", false),
        (STUBBORN_PROMPT, "too many", true),
    ] {
        let rehearsed = built_in();
        let mut messages = prompt(said);
        for _ in 0..5 {
            let answer =
                ask(&rehearsed, Wire::OpenAi, &request(Wire::OpenAi, messages.clone())).await;
            if read(Wire::OpenAi, &answer.json()).calls.is_empty() {
                break;
            }
            messages = with_results(Wire::OpenAi, &messages, &answer.json(), &[result]);
        }
        let turns = messages.as_array().unwrap().iter().filter(|m| m["role"] == "assistant");
        assert_eq!(turns.count(), if goes_on { 5 } else { 1 }, "{said}: {result}");
        assert_eq!(rehearsed.requests(), if goes_on { 5 } else { 2 });
    }
}

#[tokio::test]
async fn malformed_arguments_come_as_they_are_written() {
    for (said, written) in [
        (DUPLICATE_MEMBER_PROMPT, r#""customer_id":"CUST67890","customer_id":"ABC123""#),
        (AMOUNTS_AS_TEXT_PROMPT, r#"["150","300","13","89"]"#),
        (TRAILING_COMMA_PROMPT, "89],}"),
    ] {
        let openai = turn(&built_in(), Wire::OpenAi, &request(Wire::OpenAi, prompt(said))).await;
        assert!(openai.calls[0].2.contains(written), "{openai:?}");
        let anthropic =
            ask(&built_in(), Wire::Anthropic, &request(Wire::Anthropic, prompt(said))).await;
        let body = anthropic.body.unwrap();
        // Whatever is an object can be told, repeated members and all; the rest cannot.
        let told = if said == TRAILING_COMMA_PROMPT { r#""input":{}"# } else { written };
        assert!(body.contains(told), "{body}");
    }
}

#[tokio::test]
async fn tool_choice_is_kept_whatever_the_script_says() {
    let named = |wire, name: &str| match wire {
        Wire::OpenAi => json!({ "type": "function", "function": { "name": name } }),
        Wire::Anthropic => json!({ "type": "tool", "name": name }),
    };
    for wire in WIRES {
        let chosen = async |said: &str, choice: Value| {
            let mut request = request(wire, prompt(said));
            request["tool_choice"] = choice;
            turn(&built_in(), wire, &request).await
        };
        let (none, any) = match wire {
            Wire::OpenAi => (json!("none"), json!("required")),
            Wire::Anthropic => (json!({ "type": "none" }), json!({ "type": "any" })),
        };
        assert!(chosen(LOOKUP_PROMPT, none).await.calls.is_empty());
        assert_eq!(chosen("hello", any.clone()).await.calls[0].1, "get_customer_info");
        assert_eq!(chosen(ACCOUNT_PROMPT, any).await.calls[0].1, "calculate_account_value");
        let other = chosen(ACCOUNT_PROMPT, named(wire, "get_recent_customers")).await;
        assert_eq!(
            (other.calls[0].1.as_str(), other.calls[0].2.as_str()),
            ("get_recent_customers", "{}")
        );
    }
}

#[tokio::test]
async fn no_more_comes_than_was_asked_for() {
    for wire in WIRES {
        let cut_at = async |said: &str, most: u64| {
            let mut request = request(wire, prompt(said));
            request["max_tokens"] = most.into();
            ask(&built_in(), wire, &request).await.json()
        };
        let text = read(wire, &cut_at(LONG_PROMPT, 3).await);
        assert_eq!(text.text, "A gate stands");
        let call = cut_at(TICKET_PROMPT, 9).await;
        let ended = read(wire, &call).ended;
        match wire {
            Wire::OpenAi => {
                assert_eq!((text.ended.as_str(), ended.as_str()), ("length", "length"));
                let arguments = read(wire, &call).calls[0].2.clone();
                assert!(serde_json::from_str::<Value>(&arguments).is_err(), "{arguments}");
                assert_eq!(call["usage"]["completion_tokens"], 9);
            }
            Wire::Anthropic => {
                assert_eq!((text.ended.as_str(), ended.as_str()), ("max_tokens", "max_tokens"));
                assert_eq!(call["usage"]["output_tokens"], 9);
            }
        }
    }
}

#[tokio::test]
async fn it_is_always_shown_as_rehearsed() {
    for wire in WIRES {
        let mut request = request(wire, prompt("What are you?"));
        request["model"] = "clerk".into();
        let answer = ask(&built_in(), wire, &request).await.json();
        assert_eq!(answer["model"], MODEL);
        assert_eq!(read(wire, &answer).text, "I have rehearsed no answer to this.");
    }
}

#[tokio::test]
async fn the_same_request_gets_the_same_bytes() {
    for wire in WIRES {
        for stream in [false, true] {
            let mut request = request(wire, prompt(PARALLEL_PROMPT));
            request["stream"] = stream.into();
            let (first, second) = (built_in(), built_in());
            let body = ask(&first, wire, &request).await.body.unwrap();
            assert_eq!(ask(&first, wire, &request).await.body.unwrap(), body, "asked again");
            assert_eq!(ask(&second, wire, &request).await.body.unwrap(), body, "another run");
        }
    }
}

#[tokio::test]
async fn models_are_listed_in_both_shapes() {
    let list = async |path: &str, version: bool| {
        let mut request = Request::builder().uri(path);
        if version {
            request = request.header(anthropic::VERSION, "2023-06-01");
        }
        send(&built_in(), request.body(Body::empty()).unwrap()).await
    };
    let openai = list("/v1/models", false).await.json();
    assert_eq!(openai["object"], "list");
    assert_eq!(openai["data"][0], list("/v1/models/rehearsed/clerk", false).await.json());
    assert_eq!(openai["data"][0]["owned_by"], "rehearsed");
    let anthropic = list("/v1/models", true).await.json();
    assert_eq!(anthropic["data"][0]["type"], "model");
    assert_eq!(anthropic["data"][0], list("/v1/models/clerk", true).await.json());
    assert_eq!(anthropic["has_more"], false);
    assert_eq!(list("/v1/models/gpt-4.1", false).await.status, StatusCode::NOT_FOUND);
}
