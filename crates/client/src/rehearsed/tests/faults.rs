//! How it fails when its script says so.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

fn failing(fault: &str) -> Rehearsed {
    scripted(&format!(
        "parts:\n  - cue: hello\n    close: one two three four\n    faults:\n      - {fault}\n"
    ))
}

fn hello(wire: Wire, stream: bool) -> Value {
    let mut request = request(wire, prompt("hello"));
    request["stream"] = stream.into();
    request
}

#[tokio::test]
async fn a_status_comes_in_the_words_of_the_wire_and_so_many_times() {
    let kinds = [
        (429, "requests", "rate_limit_error"),
        (500, "server_error", "api_error"),
        (503, "server_error", "api_error"),
        (529, "server_error", "overloaded_error"),
        (403, "invalid_request_error", "permission_error"),
    ];
    for wire in WIRES {
        for (status, openai, anthropic) in kinds {
            let rehearsed = failing(&format!("{{ status: {status}, times: 2 }}"));
            for _ in 0..2 {
                let reply = ask(&rehearsed, wire, &hello(wire, true)).await;
                assert_eq!(reply.status.as_u16(), status);
                assert!(!reply.headers.contains_key(header::RETRY_AFTER));
                let error = &reply.json()["error"];
                assert_eq!(error["type"], if wire == Wire::OpenAi { openai } else { anthropic });
                assert!(error["message"].is_string());
            }
            assert_eq!(ask(&rehearsed, wire, &hello(wire, true)).await.status, StatusCode::OK);
            assert_eq!(rehearsed.requests(), 3);
        }
    }
}

#[tokio::test]
async fn who_is_asked_too_often_says_when_to_come_back() {
    for (written, seconds, milliseconds) in [("2s", "2", "2000"), ("250ms", "1", "250")] {
        let rehearsed = failing(&format!("{{ status: 429, retry_after: {written} }}"));
        for wire in WIRES {
            let reply = ask(&rehearsed, wire, &hello(wire, false)).await;
            assert_eq!(reply.headers[header::RETRY_AFTER], seconds);
            assert_eq!(reply.headers["retry-after-ms"], milliseconds);
        }
    }
}

#[tokio::test]
async fn faults_come_one_after_the_other_each_on_its_wire() {
    let rehearsed = scripted(
        "
parts:
  - cue: hello
    close: one
    faults:
      - { status: 500, times: 1, wire: anthropic }
      - { status: 429, times: 1 }
      - { unauthorized: true, times: 1 }
",
    );
    let status = async |wire| ask(&rehearsed, wire, &hello(wire, false)).await.status.as_u16();
    assert_eq!(status(Wire::OpenAi).await, 429);
    assert_eq!(status(Wire::Anthropic).await, 500);
    assert_eq!(status(Wire::Anthropic).await, 401);
    assert_eq!(status(Wire::Anthropic).await, 200);
    assert_eq!(status(Wire::OpenAi).await, 200);
}

#[tokio::test]
async fn a_fault_of_a_part_concerns_that_part_and_one_of_the_script_everything() {
    let rehearsed = failing("status: 500");
    let other = request(Wire::OpenAi, prompt("goodbye"));
    assert_eq!(ask(&rehearsed, Wire::OpenAi, &other).await.status, StatusCode::OK);

    let down = scripted("parts: [{ cue: hello, close: one }]\nfaults: [{ status: 503 }]\n");
    assert_eq!(ask(&down, Wire::OpenAi, &other).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let list = Request::builder().uri("/v1/models").body(Body::empty()).unwrap();
    assert_eq!(send(&down, list).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(down.requests(), 1, "a list is no turn");
}

#[tokio::test(start_paused = true)]
async fn it_waits_before_the_first_byte_and_between_pieces() {
    for wire in WIRES {
        let rehearsed = failing("{ delay: 2s, pause: 500ms }");
        let began = Instant::now();
        let whole = ask(&rehearsed, wire, &hello(wire, false)).await;
        assert!(whole.body.is_some() && began.elapsed() >= Duration::from_secs(2));
        assert!(began.elapsed() < Duration::from_millis(2500), "nothing to pause between");
        let began = Instant::now();
        let streamed = ask(&rehearsed, wire, &hello(wire, true)).await.body.unwrap();
        let pauses = u32::try_from(streamed.matches("\n\n").count()).unwrap() - 1;
        let waits = Duration::from_secs(2) + Duration::from_millis(500) * pauses;
        assert!(began.elapsed() >= waits && began.elapsed() < waits + Duration::from_millis(500));
    }
}

#[tokio::test]
async fn an_answer_breaks_off() {
    for wire in WIRES {
        let rehearsed = failing("break_off_after: 3");
        for stream in [false, true] {
            let reply = ask(&rehearsed, wire, &hello(wire, stream)).await;
            assert_eq!((reply.status, reply.body), (StatusCode::OK, None));
        }
    }
}

#[tokio::test]
async fn an_answer_ends_too_early_or_fails_on_the_way() {
    for wire in WIRES {
        let whole = ask(&failing("pause: 1ms"), wire, &hello(wire, true)).await.body.unwrap();
        let short = ask(&failing("end_after: 3"), wire, &hello(wire, true)).await.body.unwrap();
        assert_eq!(short.matches("\n\n").count(), 3);
        assert!(whole.starts_with(&short));
        let failed = ask(&failing("fail_after: 3"), wire, &hello(wire, true)).await.body.unwrap();
        let error = failed.strip_prefix(&short).unwrap();
        match wire {
            Wire::OpenAi => assert!(error.starts_with(r#"data: {"error":"#), "{error}"),
            Wire::Anthropic => {
                assert!(error.starts_with("event: error\n") && error.contains("overloaded_error"));
            }
        }
        let half = ask(&failing("end_after: 3"), wire, &hello(wire, false)).await.body.unwrap();
        assert!(serde_json::from_str::<Value>(&half).is_err(), "{half}");
    }
}

#[tokio::test]
async fn garbage_cannot_be_read() {
    for wire in WIRES {
        let rehearsed = failing("garbage: true");
        let reply = ask(&rehearsed, wire, &hello(wire, false)).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(serde_json::from_str::<Value>(&reply.body.unwrap()).is_err());
        let streamed = ask(&rehearsed, wire, &hello(wire, true)).await.body.unwrap();
        let last = streamed.trim_end().lines().last().unwrap();
        let data = last.strip_prefix("data: ").unwrap();
        assert!(serde_json::from_str::<Value>(data).is_err(), "{data}");
    }
}

#[tokio::test]
async fn a_key_is_wanted_in_the_header_of_the_wire() {
    let rehearsed = Rehearsed::for_key(Script::built_in(), "sesame");
    for (path, header, key, status) in [
        ("/v1/chat/completions", "authorization", "Bearer sesame", 400),
        ("/v1/chat/completions", "authorization", "Bearer other", 401),
        ("/v1/chat/completions", "authorization", "sesame", 401),
        ("/v1/chat/completions", "x-api-key", "sesame", 401),
        ("/v1/messages", "x-api-key", "sesame", 400),
        ("/v1/messages", "x-api-key", "other", 401),
        ("/v1/messages", "authorization", "Bearer sesame", 400),
        ("/v1/messages", "x-nothing", "", 401),
    ] {
        let request = Request::builder().method(Method::POST).uri(path).header(header, key);
        let reply = send(&rehearsed, request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(reply.status.as_u16(), status, "{path} {header} {key}");
        let told = reply.body.unwrap();
        assert!(!told.contains("other") && !told.contains("sesame"), "{told}");
    }
    let list = Request::builder().uri("/v1/models").body(Body::empty()).unwrap();
    assert_eq!(send(&rehearsed, list).await.status, StatusCode::UNAUTHORIZED);
}
