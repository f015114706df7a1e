use std::time::Duration;

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::any,
};
use harness::Stack;
use serde_json::json;

async fn answered(answer: fn() -> Response) -> (u16, String, String) {
    let upstream = Router::new().fallback(any(move || std::future::ready(answer())));
    let stack = Stack::with().upstream(upstream).start().await;
    let reply = stack
        .caller("customer:read")
        .call("get_customer_info", json!({ "customer_id": "ABC123" }))
        .await;
    assert!(reply.challenge().is_none(), "an upstream's challenge is not relayed");
    let cookies = reply.headers.get("set-cookie");
    assert!(cookies.is_none(), "an upstream's cookies are not relayed");
    let seen = (reply.status.as_u16(), reply.reason(), reply.body);
    stack.finish().await;
    seen
}

#[tokio::test]
async fn answers_that_are_none_become_502() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    let answers: [fn() -> Response; 12] = [
        || (StatusCode::UNAUTHORIZED, [JSON], "{}").into_response(),
        || (StatusCode::FORBIDDEN, [JSON], "{}").into_response(),
        || (StatusCode::INTERNAL_SERVER_ERROR, [JSON], "{}").into_response(),
        || (StatusCode::ACCEPTED, "a request is not answered so").into_response(),
        || (StatusCode::FOUND, [("location", "https://evil.example.com/")]).into_response(),
        || (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response(),
        || {
            (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer scope=\"everything\"")])
                .into_response()
        },
        || (StatusCode::FORBIDDEN, [("www-authenticate", "Bearer")]).into_response(),
        || (StatusCode::INTERNAL_SERVER_ERROR, "at line 7 of secrets.py").into_response(),
        || "hello".into_response(),
        || StatusCode::OK.into_response(),
        || {
            let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
            (headers, "not really").into_response()
        },
    ];
    for answer in answers {
        let (status, reason, body) = answered(answer).await;
        assert_eq!((status, reason.as_str()), (502, "upstream-status"), "{body}");
        assert!(!body.contains("secrets.py"), "{body}");
    }
}

#[tokio::test]
async fn json_rpc_errors_of_the_upstream_are_relayed() {
    for status in [StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND] {
        let upstream = Router::new().fallback(any(move || async move {
            let error =
                json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32603, "message": "m" } });
            let headers = [("content-type", "application/json"), ("set-cookie", "a=b")];
            (status, headers, error.to_string())
        }));
        let stack = Stack::with().upstream(upstream).start().await;
        let reply = stack
            .caller("customer:read")
            .call("get_customer_info", json!({ "customer_id": "ABC123" }))
            .await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.json()["error"]["code"], -32603);
        assert!(reply.headers.get("set-cookie").is_none());
        stack.finish().await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502_and_the_decision_is_still_on_record() {
    // It listens, but does not speak MCP: a 404 without a body.
    let mut stack = Stack::with().upstream(Router::new()).start().await;
    let reply = stack
        .caller("customer:read")
        .call("get_customer_info", json!({ "customer_id": "ABC123" }))
        .await;
    assert_eq!(reply.status, 502);
    let record = stack.latest_decision().await;
    assert_eq!(record.decision, sidecar::Decision::Allow, "what was decided stays decided");
    stack.finish().await;
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_or_trusted_is_502() {
    let port = harness::free_port();
    let nobody = format!("https://127.0.0.1:{port}/mcp");
    let not_tls = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/mcp", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            use std::io::Write as _;
            while let Ok((mut stream, _)) = listener.accept() {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
            }
        });
        url
    };
    for url in [nobody, not_tls] {
        let stack = Stack::with().upstream_url(&url).start().await;
        let reply = stack
            .caller("customer:read")
            .call("get_customer_info", json!({ "customer_id": "ABC123" }))
            .await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (502, "upstream-unreachable"));
        assert!(!reply.body.contains(&port.to_string()), "{}", reply.body);
        stack.finish().await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_slow_is_504() {
    let upstream = Router::new().fallback(any(|| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        "late"
    }));
    let stack = Stack::with()
        .upstream(upstream)
        .settings("[limits]\nresponse_timeout = \"200ms\"\n")
        .start()
        .await;
    let reply = stack
        .caller("customer:read")
        .call("get_customer_info", json!({ "customer_id": "ABC123" }))
        .await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (504, "upstream-too-slow"));
    stack.finish().await;
}
