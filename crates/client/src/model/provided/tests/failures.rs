//! Every way in which a provider fails.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[tokio::test]
async fn a_status_says_what_went_wrong() {
    for wire in [Wire::OpenAi, Wire::Anthropic, Wire::Gemini] {
        for (status, body, expected) in [
            (401, r#"{"error":{"message":"no such key"}}"#, "wants a key: no such key"),
            (
                403,
                r#"{"type":"error","error":{"type":"permission_error","message":"not yours"}}"#,
                "wants a key: not yours",
            ),
            (
                400,
                r#"[{"error":{"message":"API key not valid","details":[{"reason":"API_KEY_INVALID"}]}}]"#,
                "wants a key: API key not valid",
            ),
            (400, r#"{"error":{"message":"too long"}}"#, "refused with status 400: too long"),
            (404, r#"{"detail":"no such model"}"#, "refused with status 404: no such model"),
            (413, "<html>too large</html>", "refused with status 413: <html>too large</html>"),
            (408, "", "failed with status 408: "),
            (500, r#"{"error":"oh"}"#, "failed with status 500: oh"),
            (
                529,
                r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                "failed with status 529: Overloaded",
            ),
            (
                302,
                "",
                "answered nonsense: it redirects with status 302 Found, and a key is not carried elsewhere",
            ),
        ] {
            let mock = Mock::answering(status, body).await;
            assert_eq!(failure(&mock.model(wire)).await.to_string(), expected, "{wire:?}");
            assert_eq!(mock.asked().len(), 1, "{wire:?} {status}: asked once");
        }
    }
}

#[tokio::test]
async fn too_many_requests_say_for_how_long() {
    for (name, value, expected) in [
        ("retry-after", "7", Some(Duration::from_secs(7))),
        ("retry-after-ms", "1500", Some(Duration::from_millis(1500))),
        ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::ZERO)),
        ("retry-after", "soon", None),
        ("x-other", "7", None),
    ] {
        let mock = Mock::start(move || {
            let mut answer = respond(429, "{}");
            answer.headers_mut().insert(name, value.parse().unwrap());
            answer
        })
        .await;
        let failure = failure(&mock.model(Wire::OpenAi)).await;
        assert_eq!(failure, Failure::RateLimited { retry_after: expected }, "{name}: {value}");
    }
}

#[tokio::test]
async fn an_error_in_the_middle_of_an_answer_is_told() {
    let open_ai = |error: &str| events(&[r#"{"choices":[{"delta":{"content":"Hm"}}]}"#, error]);
    for (wire, frames, expected) in [
        (Wire::OpenAi, open_ai(r#"{"error":{"message":"gone","type":"server_error"}}"#), "answered nonsense: an error in the middle of the answer: gone"),
        (Wire::OpenAi, open_ai(r#"{"error":{"message":"slow down","code":429}}"#), "is asked too often"),
        (Wire::OpenAi, open_ai(r#"{"error":{"message":"key?","code":"401"}}"#), "wants a key: key?"),
        (Wire::Anthropic, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n".to_owned(), "failed with status 529: Overloaded"),
        (Wire::Anthropic, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"key?\"}}\n\n".to_owned(), "wants a key: key?"),
        (Wire::Gemini, events(&[r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#]), "failed with status 503: busy"),
        (Wire::Gemini, events(&[r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#]), "answered nonsense: the provider withholds an answer: SAFETY"),
        (Wire::Gemini, events(&[r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#]), "answered nonsense: the provider withholds an answer: MALFORMED_FUNCTION_CALL"),
    ] {
        let mock = Mock::streaming(frames).await;
        assert_eq!(failure(&mock.model(wire)).await.to_string(), expected, "{wire:?}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_broken() {
    for wire in [Wire::OpenAi, Wire::Anthropic, Wire::Gemini] {
        for body in
            ["", "<html>hello</html>", "data: {\n\n", "data: [\n\n", "event: x\n\n", "\u{feff}"]
        {
            let failure = failure(&Mock::answering(200, body).await.model(wire)).await;
            assert!(matches!(failure, Failure::Broken(_)), "{wire:?} {body:?} {failure:?}");
        }
        let no_text = Mock::streaming("x").await;
        let mock = Mock::start(|| respond(200, vec![0xff, 0xfe, b'\n', b'\n'])).await;
        drop(no_text);
        assert!(matches!(failure(&mock.model(wire)).await, Failure::Broken(_)), "{wire:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_broken_and_calls_nothing() {
    let begun = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"add","arguments":""}}]}}]}"#;
    let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"add","input":{}}}"#;
    let gemini =
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"add","args":{}}}]}}]}"#;
    let length = r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#;
    for (wire, frames) in [
        (Wire::OpenAi, events(&[begun])),
        (Wire::OpenAi, events(&[begun, "[DONE]"])),
        (Wire::OpenAi, events(&[begun, length, "[DONE]"])),
        (Wire::OpenAi, events(&[r#"{"choices":[{"delta":{"content":"Hm"}}]}"#])),
        (Wire::Anthropic, named_events(&[block])),
        (Wire::Anthropic, named_events(&[block, r#"{"type":"message_stop"}"#])),
        (
            Wire::Anthropic,
            named_events(&[
                block,
                r#"{"type":"content_block_stop","index":0}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"}}"#,
                r#"{"type":"message_stop"}"#,
            ]),
        ),
        (Wire::Gemini, events(&[gemini])),
        (Wire::Gemini, events(&[gemini, r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#])),
    ] {
        let failure = failure(&Mock::streaming(frames.clone()).await.model(wire)).await;
        assert!(matches!(failure, Failure::Broken(_)), "{wire:?} {frames} {failure:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_broken() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let mock = Mock { base_url, asked: Arc::default() };
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        assert!(connection.read(&mut [0; 8192]).await.unwrap() > 0);
        let frame = events(&[r#"{"choices":[{"delta":{"content":"Hm"}}]}"#]);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{frame}");
        connection.write_all(answer.as_bytes()).await.unwrap();
    });
    let failure = failure(&mock.model(Wire::OpenAi)).await;
    assert!(failure.to_string().contains("broke off"), "{failure}");
}

#[tokio::test]
async fn whoever_cannot_be_reached_is_named_with_the_causes() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let mock = Mock { base_url, asked: Arc::default() };
    let failure = failure(&mock.model(Wire::OpenAi)).await;
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
    assert!(failure.to_string().contains("Connection refused"), "{failure}");
    let probed = mock.model(Wire::OpenAi).probe().await.unwrap_err().failure;
    assert!(matches!(probed, Failure::Unreachable(_)), "{probed:?}");

    // TLS that is none.
    let plain = Mock::answering(200, "").await;
    let base_url = plain.base_url.replace("http:", "https:");
    let mock = Mock { base_url, asked: Arc::default() };
    let failure = super::failure(&mock.model(Wire::OpenAi)).await;
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
}

/// Bounds so short that a silent provider is not waited for.
fn hurried(mock: &Mock) -> Provider {
    let short = Duration::from_millis(40);
    mock.provider(Wire::OpenAi).with_limits(Limits {
        first_byte: short,
        between_chunks: short,
        turn: Duration::from_millis(400),
        ..Limits::default()
    })
}

#[tokio::test]
async fn whoever_is_silent_is_waited_for_no_longer_than_agreed() {
    let short = Duration::from_millis(40);
    // Before the first byte: it takes the connection and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let mock = Mock { base_url, asked: Arc::default() };
    let silent = failure(&mock.model_with(&hurried(&mock))).await;
    assert_eq!(silent, Failure::TimedOut(short));

    // Between two pieces.
    let piece = Bytes::from(events(&[r#"{"choices":[{"delta":{"content":"Hm"}}]}"#]));
    let begun = vec![piece.clone()];
    let mock = Mock::start(move || respond(200, in_pieces(begun.clone(), false))).await;
    assert_eq!(failure(&mock.model_with(&hurried(&mock))).await, Failure::TimedOut(short));

    // With signs of life and nothing else.
    let mock = Mock::start(move || {
        let tick = tokio::time::interval(Duration::from_millis(5));
        let ticks = stream::unfold(tick, |mut tick| async {
            tick.tick().await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b": alive\n\n")), tick))
        });
        respond(200, Body::from_stream(ticks))
    })
    .await;
    let whole = failure(&mock.model_with(&hurried(&mock))).await;
    assert_eq!(whole, Failure::TimedOut(Duration::from_millis(400)));
}

#[tokio::test]
async fn a_provider_that_repeats_the_key_does_not_make_us_show_it() {
    for (status, frames) in [
        (401, format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#)),
        (400, format!("{KEY} {}", "x".repeat(1000))),
        (200, events(&[&format!(r#"{{"error":{{"message":"{KEY}\u001b[31m\u202e"}}}}"#)])),
    ] {
        let body = Bytes::from(frames);
        let mock = Mock::start(move || respond(status, body.clone())).await;
        let model = mock.model(Wire::OpenAi);
        let said = failure(&model).await.to_string();
        assert!(said.contains("***") && !said.contains("0123456789"), "{said}");
        assert!(said.chars().count() < 400 && !said.chars().any(char::is_control), "{said}");
        assert!(!said.contains('\u{202e}'), "{said}");
        assert!(!format!("{model:?}").contains("0123456789"));
    }
}

#[tokio::test]
async fn a_probe_tells_a_bad_key_from_a_good_one() {
    for wire in [Wire::OpenAi, Wire::Anthropic, Wire::Gemini] {
        for (status, fine) in
            [(200, true), (404, true), (405, true), (401, false), (403, false), (503, false)]
        {
            let mock = Mock::answering(status, "{}").await;
            let probed = mock.model(wire).probe().await;
            assert_eq!(probed.is_ok(), fine, "{wire:?} {status} {probed:?}");
            assert_eq!(mock.asked()[0].path, "/v1/models");
        }
        let mock = Mock::answering(401, "{}").await;
        let probed = mock.model(wire).probe().await.unwrap_err().failure;
        assert!(matches!(probed, Failure::Unauthorized(_)), "{probed:?}");
    }
}

#[tokio::test]
async fn a_key_that_no_header_can_hold_is_refused_at_once() {
    let mock = Mock::answering(200, "").await;
    let provider = mock.provider(Wire::OpenAi).with_key(Secret::new("sk-line\nbreak"));
    let refused =
        ProvidedModel::new(reqwest::Client::new(), &provider, "mock/small".parse().unwrap());
    let refused = refused.unwrap_err();
    assert!(!refused.to_string().contains("line"), "{refused}");
}
