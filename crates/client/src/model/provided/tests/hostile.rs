//! A provider that means harm.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn an_index_beyond_all_measure_takes_no_memory() {
    let begun = r#"{"choices":[{"delta":{"tool_calls":[{"index":4294967295,"id":"a","function":{"name":"add","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    let mock = Mock::streaming(events(&[begun, "[DONE]"])).await;
    let (turn, _) = turn(&mock.model(Wire::OpenAi)).await.unwrap();
    assert_eq!(turn.calls, [call("a", "{}")]);
}

#[tokio::test]
async fn more_calls_than_anyone_makes_are_refused() {
    let open_ai = |index: usize| {
        format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":{index},"id":"c{index}","function":{{"name":"add","arguments":"{{}}"}}}}]}}}}]}}"#
        )
    };
    let anthropic = |index: usize| {
        format!(
            "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{{\"type\":\"tool_use\",\"id\":\"c{index}\",\"name\":\"add\",\"input\":{{}}}}}}\n\n"
        )
    };
    let part = r#"{"functionCall":{"name":"add","args":{}}}"#;
    let many = vec![part; 129].join(",");
    let frames = [
        (Wire::OpenAi, (0..129).map(|index| events(&[&open_ai(index)])).collect::<String>()),
        (Wire::Anthropic, (0..129).map(anthropic).collect()),
        (
            Wire::Gemini,
            events(&[&format!(
                r#"{{"candidates":[{{"content":{{"parts":[{many}]}},"finishReason":"STOP"}}]}}"#
            )]),
        ),
    ];
    for (wire, frames) in frames {
        let failure = failure(&Mock::streaming(frames).await.model(wire)).await;
        assert!(failure.to_string().contains("more than 128 calls"), "{wire:?} {failure}");
    }
}

#[tokio::test]
async fn two_calls_of_one_id_and_calls_without_a_tool_are_refused() {
    for calls in [
        r#"{"index":0,"id":"a","function":{"name":"add","arguments":"{}"}},{"index":1,"id":"a","function":{"name":"add","arguments":"{}"}}"#,
        r#"{"index":0,"id":"a","function":{"arguments":"{}"}}"#,
        r#"{"index":0,"id":"a","function":{"name":"add"}},{"index":0,"function":{"name":"remove"}}"#,
        r#"{"index":0,"id":"a","id":"b","function":{"name":"add"}}"#,
    ] {
        let frame = format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{calls}]}},"finish_reason":"tool_calls"}}]}}"#
        );
        let mock = Mock::streaming(events(&[&frame, "[DONE]"])).await;
        let failure = failure(&mock.model(Wire::OpenAi)).await;
        assert!(matches!(failure, Failure::Broken(_)), "{calls} {failure:?}");
    }
}

#[tokio::test]
async fn counts_that_no_number_holds_end_no_session() {
    // The library adds them up, and would panic.
    let frames = named_events(&[
        r#"{"type":"message_start","message":{"usage":{"input_tokens":2147483647,"cache_read_input_tokens":2147483647,"output_tokens":18446744073709551615}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2147483647}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let (turn, _) = turn(&Mock::streaming(frames).await.model(Wire::Anthropic)).await.unwrap();
    assert_eq!(turn.usage.input, 4_294_967_294);
    let frames = events(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":2147483647,"toolUsePromptTokenCount":2147483647}}"#,
    ]);
    let failure = failure(&Mock::streaming(frames).await.model(Wire::Gemini)).await;
    assert_eq!(failure, Failure::Broken("it cannot be read".to_owned()));
}

#[tokio::test]
async fn an_answer_without_end_is_listened_to_for_so_many_bytes() {
    let said = format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#, "x".repeat(4000));
    let sent = Arc::new(AtomicUsize::new(0));
    let (frame, counter) = (Bytes::from(events(&[&said])), Arc::clone(&sent));
    let mock = endless(frame, counter).await;
    let provider = mock.provider(Wire::OpenAi);
    let provider = provider.with_limits(Limits { bytes: 1_000_000, ..Limits::default() });
    let failure = failure(&mock.model_with(&provider)).await;
    assert!(failure.to_string().contains("more than 1000000 bytes"), "{failure}");
    assert!(sent.load(Ordering::Relaxed) < 20_000_000, "{sent:?}");
}

#[tokio::test]
async fn a_frame_without_end_and_an_error_without_end_are_given_up() {
    for status in [200, 500] {
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let mock = endless_of(status, Bytes::from(vec![b'x'; 4_000]), counter).await;
        let failure = failure(&mock.model(Wire::OpenAi)).await;
        assert!(failure.to_string().contains("has no end"), "{status} {failure}");
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < 32_000_000, "{status} {sent}");
    }
}

async fn endless(frame: Bytes, sent: Arc<AtomicUsize>) -> Mock {
    endless_of(200, frame, sent).await
}

async fn endless_of(status: u16, frame: Bytes, sent: Arc<AtomicUsize>) -> Mock {
    Mock::start(move || {
        let (frame, sent) = (frame.clone(), Arc::clone(&sent));
        let frames = stream::repeat_with(move || {
            sent.fetch_add(frame.len(), Ordering::Relaxed);
            Ok::<_, std::io::Error>(frame.clone())
        });
        respond(status, Body::from_stream(frames))
    })
    .await
}
