use std::time::{Duration, Instant};

use harness::{RawConnection, Stack};

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// A POST with these headers besides the usual ones.
fn post(stack: &Stack, headers: &str, body: &str) -> String {
    let token = stack.caller("").token().to_owned();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n{headers}\r\n{body}",
        stack.gate()
    )
}

async fn answer(stack: &Stack, request: &str) -> String {
    let mut connection = RawConnection::open(stack).await.unwrap();
    connection.write(request).await.unwrap();
    connection.read().await
}

#[tokio::test]
async fn ambiguous_framing_never_makes_two_requests_of_one() {
    let mut stack = Stack::start().await;
    let length = BODY.len();
    let good = post(&stack, &format!("Content-Length: {length}\r\n"), BODY);
    stack.count_request();
    assert!(answer(&stack, &good).await.starts_with("HTTP/1.1 200"), "as a control");
    stack.latest_decision().await;

    let smuggled = format!("0\r\n\r\n{good}");
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (headers, body) in [
        (format!("Content-Length: {length}\r\n{chunked}"), smuggled.as_str()),
        (format!("{chunked}Content-Length: {length}\r\n"), smuggled.as_str()),
        (format!("Content-Length: {length}\r\nContent-Length: 3\r\n"), BODY),
        (format!("Content-Length: {length}, 3\r\n"), BODY),
        (format!("Content-Length: +{length}\r\n"), BODY),
        ("Content-Length: -1\r\n".to_owned(), BODY),
        ("Content-Length: 0x10\r\n".to_owned(), BODY),
        ("Content-Length : 40\r\n".to_owned(), BODY),
        ("Transfer-Encoding: chunked, identity\r\n".to_owned(), smuggled.as_str()),
        ("Transfer-Encoding: gzip\r\n".to_owned(), BODY),
        ("Transfer-Encoding : chunked\r\n".to_owned(), smuggled.as_str()),
        (chunked.to_owned(), "5\r\nhello\r\nnot-hex\r\n"),
        (chunked.to_owned(), "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
    ] {
        let before = stack.spy().mark();
        let answer = answer(&stack, &post(&stack, &headers, body)).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{headers:?}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 200"), "{headers:?}: {answer}");
        assert_eq!(stack.spy().mark(), before, "{headers:?}: the upstream saw something");
        // Some of these are requests to the gate and refused by it, some are none at all.
        stack.forget_decisions().await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn targets_and_methods_that_are_not_the_endpoints_reach_nobody() {
    let mut stack = Stack::start().await;
    let token = stack.caller("").token().to_owned();
    let host = stack.gate();
    for line in [
        "CONNECT upstream:443 HTTP/1.1".to_owned(),
        "TRACE /mcp HTTP/1.1".to_owned(),
        "POST /mcp/ HTTP/1.1".to_owned(),
        "POST //mcp HTTP/1.1".to_owned(),
        "POST /mcp;a=b HTTP/1.1".to_owned(),
        "POST /x/../mcp HTTP/1.1".to_owned(),
        "POST /%6dcp HTTP/1.1".to_owned(),
        "POST http://evil.example.com/mcp HTTP/1.1".to_owned(),
        "POST * HTTP/1.1".to_owned(),
        "GET /mcp HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nMcp-Protocol-Version: 2026-07-28".to_owned(),
    ] {
        let before = stack.spy().mark();
        let request = format!(
            "{line}\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nX-HTTP-Method-Override: POST\r\n\
             Content-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        let answer = answer(&stack, &request).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{line}: {answer}");
        assert_eq!(stack.spy().mark(), before, "{line}: the upstream saw something");
        stack.forget_decisions().await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_lines_is_refused() {
    let mut stack = Stack::start().await;
    let length = format!("Content-Length: {}\r\n", BODY.len());
    for more in ["X-A: b\r\n".repeat(200), format!("X-A: {}\r\n", "b".repeat(128 * 1024))] {
        let before = stack.spy().mark();
        let answer = answer(&stack, &post(&stack, &format!("{length}{more}"), BODY)).await;
        assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
        assert_eq!(stack.spy().mark(), before);
        stack.forget_decisions().await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn two_hundred_slow_heads_stop_nobody_else() {
    let stack = Stack::start().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut connection = RawConnection::open(&stack).await.unwrap();
        connection.write("POST /mcp HTTP/1.1\r\nHost: ").await.unwrap();
        slow.push(connection);
    }
    let asked = Instant::now();
    for _ in 0..20 {
        assert_eq!(stack.caller("").post(BODY).await.status, 200);
        for connection in slow.iter_mut().take(20) {
            connection.write("a").await.unwrap();
        }
    }
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    stack.finish().await;
}
