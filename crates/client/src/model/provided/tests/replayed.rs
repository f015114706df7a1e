//! What a provider is told of turns that it gave, or another.

use super::*;
use crate::model::{ToolResult, Usage};

const SAID: &str = r#"{"choices":[{"delta":{"content":"3"},"finish_reason":"stop"}]}"#;

fn said(wire: Wire) -> String {
    match wire {
        Wire::OpenAi | Wire::Mistral => events(&[SAID, "[DONE]"]),
        Wire::Anthropic => named_events(&[
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
            r#"{"type":"message_stop"}"#,
        ]),
        Wire::Gemini => events(&[
            r#"{"candidates":[{"content":{"parts":[{"text":"3"}]},"finishReason":"STOP"}]}"#,
        ]),
    }
}

fn result(id: &str, text: &str, succeeded: bool) -> ToolResult {
    ToolResult { id: id.to_owned(), tool: "add".to_owned(), text: text.to_owned(), succeeded }
}

/// Two calls by `by`; told in the wrong order, one of them failed.
fn conversation(by: &str, signatures: Vec<String>) -> Conversation {
    let mut conversation = Conversation::under("Be brief.");
    conversation.ask("Add.");
    conversation.answered(Turn {
        by: by.parse().unwrap(),
        text: "Let me see.".to_owned(),
        calls: vec![call("call_a", r#"{"a":1}"#), call("call_b", r#"{"a":1"#)],
        usage: Usage::default(),
        signatures,
    });
    conversation.tell(vec![result("call_b", "no JSON", false), result("call_a", "1", true)]);
    conversation
}

async fn told(wire: Wire, conversation: &Conversation) -> Value {
    let mock = Mock::streaming(said(wire)).await;
    turn_of(&mock.model(wire), conversation).await.unwrap();
    mock.asked()[0].body.clone()
}

#[tokio::test]
async fn chat_completions_are_told_every_call_and_every_result_in_order() {
    let body = told(Wire::OpenAi, &conversation("other/model", Vec::new())).await;
    insta::assert_json_snapshot!(body["messages"], @r#"
    [
      {
        "role": "system",
        "content": "Be brief."
      },
      {
        "role": "user",
        "content": "Add."
      },
      {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
          {
            "type": "function",
            "id": "call_a",
            "function": {
              "name": "add",
              "arguments": "{\"a\":1}"
            }
          },
          {
            "type": "function",
            "id": "call_b",
            "function": {
              "name": "add",
              "arguments": "{}"
            }
          }
        ]
      },
      {
        "role": "tool",
        "content": "1",
        "tool_call_id": "call_a"
      },
      {
        "role": "tool",
        "content": "no JSON",
        "tool_call_id": "call_b"
      }
    ]
    "#);
}

#[tokio::test]
async fn messages_are_told_all_results_at_once_and_which_failed() {
    let body = told(Wire::Anthropic, &conversation("other/model", Vec::new())).await;
    insta::assert_json_snapshot!(body["messages"], @r#"
    [
      {
        "role": "user",
        "content": "Add."
      },
      {
        "role": "assistant",
        "content": [
          {
            "type": "text",
            "text": "Let me see."
          },
          {
            "type": "tool_use",
            "id": "call_a",
            "name": "add",
            "input": {
              "a": 1
            }
          },
          {
            "type": "tool_use",
            "id": "call_b",
            "name": "add",
            "input": {}
          }
        ]
      },
      {
        "role": "user",
        "content": [
          {
            "type": "tool_result",
            "content": "1",
            "tool_use_id": "call_a"
          },
          {
            "type": "tool_result",
            "tool_use_id": "call_b",
            "content": "no JSON",
            "is_error": true
          }
        ]
      }
    ]
    "#);
    assert_eq!(body["system"], "Be brief.");
}

#[tokio::test]
async fn gemini_is_told_all_results_at_once_under_their_names() {
    let body = told(Wire::Gemini, &conversation("other/model", Vec::new())).await;
    insta::assert_json_snapshot!(body["contents"], @r#"
    [
      {
        "role": "user",
        "parts": [
          {
            "text": "Add."
          }
        ]
      },
      {
        "role": "model",
        "parts": [
          {
            "text": "Let me see."
          },
          {
            "functionCall": {
              "id": "call_a",
              "name": "add",
              "args": {
                "a": 1
              }
            }
          },
          {
            "functionCall": {
              "id": "call_b",
              "name": "add",
              "args": {}
            }
          }
        ]
      },
      {
        "role": "user",
        "parts": [
          {
            "functionResponse": {
              "name": "add",
              "response": {
                "name": "add",
                "content": "1"
              },
              "id": "call_a"
            }
          },
          {
            "functionResponse": {
              "name": "add",
              "response": {
                "name": "add",
                "content": "no JSON"
              },
              "id": "call_b"
            }
          }
        ]
      }
    ]
    "#);
}

#[tokio::test]
async fn mistral_is_told_ids_of_nine_digits() {
    let body = told(Wire::Mistral, &conversation("other/model", Vec::new())).await;
    let messages = &body["messages"];
    assert_eq!(messages[2]["tool_calls"][0]["id"], "000000000");
    assert_eq!(messages[2]["tool_calls"][1]["id"], "000000001");
    assert_eq!(messages[3]["tool_call_id"], "000000000");
    assert_eq!(messages[4]["tool_call_id"], "000000001");
}

#[tokio::test]
async fn a_call_of_which_nothing_became_is_told_so() {
    for wire in [Wire::OpenAi, Wire::Anthropic, Wire::Gemini] {
        let mut conversation = conversation("other/model", Vec::new());
        conversation.answered(Turn {
            by: "other/model".parse().unwrap(),
            text: String::new(),
            calls: vec![call("call_c", "{}")],
            usage: Usage::default(),
            signatures: Vec::new(),
        });
        conversation.ask("Never mind.");
        let body = told(wire, &conversation).await.to_string();
        assert!(body.contains("the tool was not called"), "{wire:?} {body}");
    }
}

#[tokio::test]
async fn a_turn_in_which_nothing_was_said_is_not_told() {
    let mut conversation = Conversation::under("Be brief.");
    conversation.ask("Hm?");
    conversation.answered(Turn {
        by: "other/model".parse().unwrap(),
        text: String::new(),
        calls: Vec::new(),
        usage: Usage::default(),
        signatures: Vec::new(),
    });
    conversation.ask("Well?");
    let body = told(Wire::Anthropic, &conversation).await;
    assert!(!body["messages"].to_string().contains("assistant"), "{body}");
}

/// A turn with thoughts, as it comes in on this wire.
fn thoughtful(wire: Wire) -> String {
    match wire {
        Wire::OpenAi | Wire::Mistral => events(&[
            r#"{"choices":[{"delta":{"reasoning_content":"one and "}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"two"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_a","function":{"name":"add","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#,
            "[DONE]",
        ]),
        Wire::Anthropic => named_events(&[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"one and two"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2lnbmVk"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"aGlkZGVu"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_a","name":"add","input":{}}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
            r#"{"type":"message_stop"}"#,
        ]),
        Wire::Gemini => events(&[
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"call_a","name":"add","args":{}},"thoughtSignature":"c2lnbmVk"}]},"finishReason":"STOP"}]}"#,
        ]),
    }
}

#[tokio::test]
async fn thoughts_go_back_to_who_had_them_and_to_no_other() {
    for (wire, expected) in [
        (Wire::OpenAi, vec![r#""reasoning_content":"one and two""#]),
        (
            Wire::Anthropic,
            vec![
                r#""signature":"c2lnbmVk""#,
                r#""thinking":"one and two""#,
                r#""data":"aGlkZGVu""#,
            ],
        ),
        (Wire::Gemini, vec![r#""thoughtSignature":"c2lnbmVk""#]),
    ] {
        let mock = Mock::streaming(thoughtful(wire)).await;
        let (turn, heard) = super::turn(&mock.model(wire)).await.unwrap();
        assert!(heard.is_empty(), "thoughts are not said");
        for by in ["mock/small", "mock/large", "other/small"] {
            let mut conversation = Conversation::under("Be brief.");
            conversation.ask("Add.");
            conversation.answered(Turn { by: by.parse().unwrap(), ..turn.clone() });
            conversation.tell(vec![result("call_a", "3", true)]);
            let body = told(wire, &conversation).await.to_string();
            for part in &expected {
                assert_eq!(body.contains(part), by == "mock/small", "{wire:?} {by} {body}");
            }
        }
    }
}
