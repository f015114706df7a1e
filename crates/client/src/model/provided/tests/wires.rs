//! What providers send in each wire format, with the peculiarities that were seen.

use super::*;

const DONE: &str = "[DONE]";

/// The same answer in all three formats: words in two pieces, then two calls with these arguments.
fn answer(wire: Wire, arguments: [&str; 2]) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    match wire {
        Wire::OpenAi | Wire::Mistral => {
            let call = |index: usize, id: &str| {
                format!(
                    r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{index},"id":"{id}","type":"function","function":{{"name":"add","arguments":""}}}}]}},"finish_reason":null}}]}}"#
                )
            };
            let piece = |index: usize, text: &str| {
                format!(
                    r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{index},"function":{{"arguments":{}}}}}]}},"finish_reason":null}}]}}"#,
                    quoted(text)
                )
            };
            let mut payloads = vec![
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#.to_owned(),
                r#"{"choices":[{"index":0,"delta":{"content":"Let me "},"finish_reason":null}]}"#.to_owned(),
                r#"{"choices":[{"index":0,"delta":{"content":"see."},"finish_reason":null}]}"#.to_owned(),
                call(0, "call_a"),
                call(1, "call_b"),
            ];
            for (index, text) in arguments.iter().enumerate() {
                for letter in text.chars() {
                    payloads.push(piece(index, &letter.to_string()));
                }
            }
            payloads.push(
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.into(),
            );
            payloads.push(r#"{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}"#.into());
            payloads.push(DONE.to_owned());
            events(&payloads.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Wire::Anthropic => {
            let mut payloads = vec![
                r#"{"type":"message_start","message":{"usage":{"input_tokens":11,"output_tokens":1}}}"#.to_owned(),
                r#"{"type":"ping"}"#.to_owned(),
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned(),
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let me "}}"#.to_owned(),
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"see."}}"#.to_owned(),
                r#"{"type":"content_block_stop","index":0}"#.to_owned(),
            ];
            for (index, (id, text)) in ["call_a", "call_b"].into_iter().zip(arguments).enumerate() {
                let index = index + 1;
                payloads.push(format!(r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"tool_use","id":"{id}","name":"add","input":{{}}}}}}"#));
                payloads.push(r#"{"type":"ping"}"#.to_owned());
                for letter in text.chars() {
                    let letter = quoted(&letter.to_string());
                    payloads.push(format!(r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"input_json_delta","partial_json":{letter}}}}}"#));
                }
                payloads.push(format!(r#"{{"type":"content_block_stop","index":{index}}}"#));
            }
            payloads.push(r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":7}}"#.into());
            payloads.push(r#"{"type":"message_stop"}"#.into());
            named_events(&payloads.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Wire::Gemini => {
            let call = |id: &str, text: &str| {
                format!(r#"{{"functionCall":{{"id":"{id}","name":"add","args":{text}}}}}"#)
            };
            events(&[
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Let me "}]}}]}"#,
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"see."}]}}]}"#,
                &format!(
                    r#"{{"candidates":[{{"content":{{"role":"model","parts":[{},{}]}},"finishReason":"STOP"}}],"usageMetadata":{{"promptTokenCount":11,"candidatesTokenCount":5,"thoughtsTokenCount":2}}}}"#,
                    call("call_a", arguments[0]),
                    call("call_b", arguments[1])
                ),
            ])
        }
    }
}

#[tokio::test]
async fn words_calls_and_counts_come_in_on_every_wire() {
    for wire in [Wire::OpenAi, Wire::Mistral, Wire::Anthropic, Wire::Gemini] {
        let arguments = [r#"{"a":1,"b":2}"#, r#"{"a": 3}"#];
        let mock = Mock::streaming(answer(wire, arguments)).await;
        let (turn, heard) = turn(&mock.model(wire)).await.unwrap();
        assert_eq!(heard, ["Let me ", "see."], "{wire:?}");
        assert_eq!(turn.text, "Let me see.", "{wire:?}");
        let expected = [call("call_a", arguments[0]), call("call_b", arguments[1])];
        assert_eq!(turn.calls, expected, "{wire:?}");
        assert_eq!((turn.usage.input, turn.usage.output), (11, 7), "{wire:?}");
        assert_eq!(turn.by.to_string(), "mock/small");
    }
}

#[tokio::test]
async fn arguments_are_kept_letter_by_letter() {
    for wire in [Wire::OpenAi, Wire::Mistral, Wire::Anthropic, Wire::Gemini] {
        let written = [r#"{"a":1,"a" :2, "b":1.0e2}"#, "{ \"b\" : 9007199254740993 }"];
        let mock = Mock::streaming(answer(wire, written)).await;
        let (turn, _) = turn(&mock.model(wire)).await.unwrap();
        let arguments: Vec<_> = turn.calls.iter().map(|call| call.arguments.as_str()).collect();
        assert_eq!(arguments, written, "{wire:?}");
    }
    // Where arguments are text, they may be no JSON at all; the others send objects.
    for wire in [Wire::OpenAi, Wire::Mistral, Wire::Anthropic] {
        for written in [r#"{"a":1"#, "add(1, 2)", "[1]", r#"{"a":"\ud800"}"#, "null"] {
            let mock = Mock::streaming(answer(wire, [written, ""])).await;
            let (turn, _) = turn(&mock.model(wire)).await.unwrap();
            let arguments: Vec<_> = turn.calls.iter().map(|call| call.arguments.as_str()).collect();
            assert_eq!(arguments, [written, "{}"], "{wire:?}");
        }
    }
}

#[tokio::test]
async fn every_wire_is_asked_as_it_wants_with_the_key_in_its_place() {
    for (wire, path, header, value) in [
        (Wire::OpenAi, "/v1/chat/completions", "authorization", "Bearer sk-test-0123456789"),
        (Wire::Mistral, "/v1/chat/completions", "authorization", "Bearer sk-test-0123456789"),
        (Wire::Anthropic, "/v1/messages", "x-api-key", KEY),
        (Wire::Gemini, "/v1/models/small:streamGenerateContent?alt=sse", "x-goog-api-key", KEY),
    ] {
        let mock = Mock::streaming(answer(wire, ["{}", "{}"])).await;
        let mut provider = mock.provider(wire);
        provider.max_tokens = Some(321);
        provider.headers.push((
            http::HeaderName::from_static("x-team"),
            http::HeaderValue::from_static("blue"),
        ));
        turn(&mock.model_with(&provider)).await.unwrap();
        let asked = mock.asked();
        assert_eq!(asked[0].path, path);
        assert_eq!(asked[0].headers[header], value, "{wire:?}");
        assert_eq!(asked[0].headers["x-team"], "blue", "{wire:?}");
        let body = asked[0].body.to_string();
        assert!(body.contains(r#""name":"add""#) && body.contains("321"), "{wire:?} {body}");
        assert!(!body.contains(KEY), "{wire:?}");
        if wire != Wire::Gemini {
            assert_eq!(asked[0].body["stream"], true, "{wire:?}");
            assert_eq!(asked[0].body["model"], "small", "{wire:?}");
        }
    }
}

#[tokio::test]
async fn a_provider_without_a_key_is_asked_without() {
    let mock = Mock::streaming(answer(Wire::OpenAi, ["{}", "{}"])).await;
    let mut provider = mock.provider(Wire::OpenAi);
    provider.api_key = None;
    turn(&mock.model_with(&provider)).await.unwrap();
    assert!(!mock.asked()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_model_is_asked_for_by_its_own_name() {
    let names = ["team-high", "a::b", "anthropic/claude-x", "gpt-x-low", "fast-none", "x:free"];
    for (wire, name) in [Wire::OpenAi, Wire::Mistral, Wire::Anthropic, Wire::Gemini]
        .into_iter()
        .flat_map(|wire| names.map(|name| (wire, name)))
    {
        let mock = Mock::streaming(answer(wire, ["{}", "{}"])).await;
        let (http, provider) = (reqwest::Client::new(), mock.provider(wire));
        let full = format!("litellm/{name}").parse().unwrap();
        turn(&ProvidedModel::new(http, &provider, full).unwrap()).await.unwrap();
        let Asked { path, body, .. } = mock.asked().remove(0);
        if wire == Wire::Gemini {
            let escaped = name.replace('/', "%2F");
            assert_eq!(path, format!("/v1/models/{escaped}:streamGenerateContent?alt=sse"));
        } else {
            assert_eq!(body["model"], name, "{wire:?}");
        }
        for unasked in ["reasoning_effort", "thinking", "output_config", "generationConfig"] {
            assert_eq!(body.get(unasked), None, "{wire:?} {name}");
        }
    }
}

/// One answer in chat completions, and the calls in it.
async fn open_ai(payloads: &[&str]) -> Result<(Turn, Vec<String>), Failure> {
    turn(&Mock::streaming(events(payloads)).await.model(Wire::OpenAi)).await
}

#[tokio::test]
async fn id_and_name_may_come_in_every_piece_with_nulls_beside_them() {
    // llama-cpp-python.
    let piece = |text: &str| {
        format!(
            r#"{{"id":"x","model":"m","choices":[{{"index":0,"delta":{{"role":null,"content":null,"function_call":{{"name":"add","arguments":{text}}},"tool_calls":[{{"index":0,"id":"call__0_add_x","type":"function","function":{{"name":"add","arguments":{text}}}}}]}},"logprobs":null,"finish_reason":null}}]}}"#
        )
    };
    let (turn, heard) = open_ai(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"function_call":null,"tool_calls":null},"logprobs":null,"finish_reason":null}],"usage":null}"#,
        &piece(r#""{\"a\":""#),
        &piece(r#""1}""#),
        r#"{"choices":[{"index":0,"delta":{"content":null,"tool_calls":null},"logprobs":null,"finish_reason":"tool_calls"}]}"#,
        DONE,
    ])
    .await
    .unwrap();
    assert_eq!(turn.calls, [call("call__0_add_x", r#"{"a":1}"#)]);
    assert!(heard.is_empty());
}

#[tokio::test]
async fn counts_may_come_after_the_end_and_the_end_may_say_stop() {
    // LiteLLM, and its mocked calls.
    let (turn, _) = open_ai(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hm.","provider_specific_fields":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"add","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":null}],"usage":{"prompt_tokens":5,"completion_tokens":0}}"#,
        DONE,
    ])
    .await
    .unwrap();
    assert_eq!((turn.text.as_str(), turn.usage.input), ("Hm.", 5));
    assert_eq!(turn.calls, [call("call_a", "{}")]);
}

#[tokio::test]
async fn calls_of_one_index_are_told_apart_by_their_ids() {
    // Several gateways count every call as the first.
    let (turn, _) = open_ai(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"one","function":{"name":"add","arguments":"{\"a\":1}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"two","function":{"name":"add","arguments":"{\"a\":"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"2}"}}]}}]}"#,
        // And some do not count at all, or give arguments as an object.
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"three","function":{"name":"add","arguments":{"a":3,"a":4}}}]},"finish_reason":"tool_calls"}]}"#,
        DONE,
    ])
    .await
    .unwrap();
    let expected =
        [call("one", r#"{"a":1}"#), call("two", r#"{"a":2}"#), call("three", r#"{"a":3,"a":4}"#)];
    assert_eq!(turn.calls, expected);
}

#[tokio::test]
async fn a_finished_answer_may_lack_the_last_line() {
    let said = r#"{"choices":[{"delta":{"content":"Hi."},"finish_reason":"stop"}]}"#;
    assert_eq!(open_ai(&[said]).await.unwrap().0.text, "Hi.");
    // And a last line may say it all.
    let said = r#"{"choices":[{"delta":{"content":"Hi."}}]}"#;
    assert_eq!(open_ai(&[said, DONE]).await.unwrap().0.text, "Hi.");
}

#[tokio::test]
async fn groq_and_gemini_say_some_things_elsewhere() {
    let said = r#"{"choices":[{"delta":{"content":"Hi."},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":3,"completion_tokens":4}}}"#;
    let (turn, _) = open_ai(&[said, DONE]).await.unwrap();
    assert_eq!((turn.usage.input, turn.usage.output), (3, 4));
    // Gemini: no ids, one signature for the first of several calls.
    let frames = events(&[
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"add","args":{"a":1}},"thoughtSignature":"c2ln"},{"functionCall":{"name":"add"}}]},"finishReason":"STOP"}]}"#,
    ]);
    let (turn, _) = super::turn(&Mock::streaming(frames).await.model(Wire::Gemini)).await.unwrap();
    assert_eq!(turn.calls, [call("c00000001", r#"{"a":1}"#), call("c00000002", "{}")]);
    assert!(turn.signatures.concat().contains("c2ln"), "{:?}", turn.signatures);
}

#[tokio::test]
async fn a_block_may_bring_its_whole_input_at_once() {
    let frames = named_events(&[
        r#"{"type":"message_start","message":{}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"resp_1","name":"add","input":{"a":1, "a":2}}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let (turn, _) =
        super::turn(&Mock::streaming(frames).await.model(Wire::Anthropic)).await.unwrap();
    assert_eq!(turn.calls, [call("resp_1", r#"{"a":1, "a":2}"#)]);
}

#[tokio::test]
async fn lines_may_end_in_any_way_and_comments_may_stand_between() {
    let frames = answer(Wire::OpenAi, ["{}", "{}"]).replace("\n\n", "\r\n\r\n: keep-alive\r\n\r\n");
    let (turn, _) = super::turn(&Mock::streaming(frames).await.model(Wire::OpenAi)).await.unwrap();
    assert_eq!(turn.calls.len(), 2);
}
