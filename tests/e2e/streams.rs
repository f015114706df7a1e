use std::time::{Duration, Instant};

use axum::{Router, body::Body, response::IntoResponse, routing::post};
use futures::StreamExt as _;
use harness::Stack;
use serde_json::json;

/// Three events, a second apart.
fn slow_events() -> Router {
    Router::new().route(
        "/mcp",
        post(|| async {
            let events = futures::stream::iter(0..3).then(|number| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let progress = json!({
                    "jsonrpc": "2.0", "method": "notifications/progress",
                    "params": { "progressToken": 1, "progress": number },
                });
                Ok::<_, std::io::Error>(format!(
                    "event: message\nid: {number}\ndata: {progress}\n\n"
                ))
            });
            ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
        }),
    )
}

#[tokio::test]
async fn events_pass_one_by_one_as_they_come() {
    let stack = Stack::with().upstream(slow_events()).start().await;
    stack.count_request();
    let token = stack.caller("customer:read").token().to_owned();
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } },
    });
    let asked = Instant::now();
    let response = stack
        .http()
        .post(stack.resource())
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(call.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut chunks = response.bytes_stream();
    let mut arrivals = Vec::new();
    let mut text = String::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        // The end of a stream may come as an empty chunk.
        if !chunk.is_empty() {
            arrivals.push(asked.elapsed());
        }
    }
    assert_eq!(text.matches("\"progress\":").count(), 3, "{text}");
    assert!(!text.contains("\nid: 0\n"), "the upstream's ids are its callers': {text}");
    assert_eq!(arrivals.len(), 3, "one by one: {arrivals:?}");
    let spread = arrivals[2] - arrivals[0];
    assert!(spread > Duration::from_secs(1), "not collected and sent at once: {arrivals:?}");
    stack.finish().await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_ended() {
    let upstream = Router::new().route(
        "/mcp",
        post(|| async {
            let progress = r#"{"progressToken":1,"progress":1}"#;
            let event = format!(
                r#"data: {{"jsonrpc":"2.0","method":"notifications/progress","params":{progress}}}"#
            );
            let one = futures::stream::iter([Ok::<_, std::io::Error>(event + "\n\n")]);
            let events = one.chain(futures::stream::pending());
            ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
        }),
    );
    let stack = Stack::with()
        .upstream(upstream)
        .settings("[limits]\nstream_idle_timeout = \"200ms\"\n")
        .start()
        .await;
    stack.count_request();
    let response = stack
        .http()
        .post(stack.resource())
        .bearer_auth(stack.caller("customer:read").token())
        .header("content-type", "application/json")
        .body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
        .send()
        .await
        .unwrap();
    let body = tokio::time::timeout(Duration::from_secs(10), response.text()).await;
    let body = body.expect("it ended in time").unwrap();
    assert!(body.ends_with("\n\n"), "{body}");
    assert!(
        body.contains(r#""id":1,"error":{"code":504"#),
        "and not as if it were answered: {body}"
    );
    stack.finish().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_token_it_was_given_for() {
    let endless = Router::new().route(
        "/mcp",
        post(|| async {
            let events = futures::stream::repeat(()).then(|()| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let progress = r#"{"progressToken":1,"progress":1}"#;
                Ok::<_, std::io::Error>(format!(
                    "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{progress}}}\n\n"
                ))
            });
            ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
        }),
    );
    let stack = Stack::with().upstream(endless).issuer_settings("leeway = \"0s\"").start().await;
    let mut claims = stack.claims("customer:read");
    claims["exp"] = json!(jsonwebtoken::get_current_timestamp() + 2);
    let token = stack.signing_key().sign(&claims).unwrap();
    stack.count_request();
    let response = stack
        .http()
        .post(stack.resource())
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let mut chunks = response.bytes_stream();
    let mut text = String::new();
    let ended = tokio::time::timeout(Duration::from_secs(15), async {
        while let Some(chunk) = chunks.next().await {
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    });
    ended.await.expect("it ended in time");
    assert!(
        text.contains(r#""id":1,"error":{"code":401"#),
        "and not as if it were answered: {text}"
    );
    assert!(text.matches("data:").count() > 3, "events came before: {text}");
    stack.finish().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_half_way_is_on_record() {
    let mut stack = Stack::start().await;
    let stalled = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = stack
        .http()
        .post(stack.resource())
        .bearer_auth(stack.caller("").token())
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(stalled))
        .send();
    stack.count_request();
    drop(tokio::time::timeout(Duration::from_secs(1), request).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let record = stack.latest_decision().await;
    assert!(["abandoned", "body-incomplete"].contains(&record.reason), "{}", record.reason);
    stack.finish().await;
}
