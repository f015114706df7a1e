//! Sessions, tasks and what the upstream asks belong to one principal; to everybody else they do
//! not exist.

/// Who listens, to what, and for how long.
mod listening;
/// What the upstream asks of a caller's client.
mod questions;
/// Questions in the place of an answer.
mod questions_in_answers;
/// Streams that are listened to and taken up again.
mod resumption;
/// Tasks, in both eras.
mod tasks;

use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use harness::{
    Caller, Stack,
    scripted::{Scripted, Sent, events, message},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// Permits everything that the schema knows.
const EVERYTHING: &str = "@id(\"everything\") permit (principal, action, resource);";
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A legacy server with sessions.
fn legacy_server(then: impl Fn(&Sent) -> Response + Send + Sync + 'static) -> Scripted {
    Scripted::new(move |sent| match sent.method() {
        "initialize" => {
            let capabilities = json!({ "tools": { "listChanged": true } });
            let server = json!({ "name": "scripted", "version": "1" });
            let result = json!({
                "protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": server,
            });
            let mut response = sent.result(&result);
            response.headers_mut().insert("mcp-session-id", "upstream-1".parse().unwrap());
            response
        }
        _ if sent.header("mcp-session-id") != Some("upstream-1") => {
            (StatusCode::BAD_REQUEST, "no session").into_response()
        }
        _ => then(sent),
    })
}

async fn open_session(caller: &Caller<'_>) -> String {
    let hello = json!({
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    });
    let reply = caller.request("initialize", hello).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.headers["mcp-session-id"].to_str().unwrap().to_owned()
}

fn within<'a>(caller: &Caller<'a>, session: &str) -> Caller<'a> {
    caller.clone().header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25")
}

/// Another subject, and the same subject through another client.
fn others(stack: &Stack) -> [String; 2] {
    [("sub", "mallory"), ("client_id", "another-client")].map(|(claim, value)| {
        let mut claims = stack.claims("customer:read");
        claims[claim] = json!(value);
        stack.signing_key().sign(&claims).unwrap()
    })
}

#[tokio::test]
async fn a_session_is_its_principals() {
    let upstream = legacy_server(|sent| match (&sent.http_method, sent.method()) {
        (&Method::DELETE, _) => StatusCode::OK.into_response(),
        (_, "notifications/initialized") => StatusCode::ACCEPTED.into_response(),
        _ => sent.result(&json!({})),
    });
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let alice = stack.caller("customer:read");
    let session = open_session(&alice).await;
    assert!(!session.contains("upstream-1"), "the upstream's own id stays behind: {session}");
    let own = within(&alice, &session);
    assert_eq!(own.post(INITIALIZED).await.status, 202);
    assert_eq!(own.request("ping", json!({})).await.status, 200);
    let last = upstream.sent().pop().unwrap();
    assert_eq!(last.header("mcp-session-id"), Some("upstream-1"));
    assert_eq!(last.header("mcp-protocol-version"), Some("2025-11-25"));

    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for token in others(&stack) {
        let thief = within(&stack.bearing(&token), &session);
        let reply = thief.refused(ping).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (404, "unknown-session"));
        let before = stack.spy().mark();
        for method in [Method::GET, Method::DELETE] {
            let reply = thief.send(method, None).await;
            assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (404, "unknown-session"));
        }
        assert_eq!(stack.spy().mark(), before, "the upstream saw something");
    }
    let guessed = within(&alice, "upstream-1").refused(ping).await;
    assert_eq!(guessed.reason(), "unknown-session", "the upstream's own id opens nothing");

    let before = upstream.sent().len();
    assert_eq!(own.send(Method::DELETE, None).await.status, 204);
    let ended = &upstream.sent()[before];
    assert_eq!(ended.http_method, Method::DELETE);
    assert_eq!(ended.header("mcp-session-id"), Some("upstream-1"));
    stack.finish().await;
}

#[tokio::test]
async fn a_session_that_the_upstream_has_forgotten_is_opened_anew() {
    let upstream = legacy_server(|_| (StatusCode::NOT_FOUND, "session not found").into_response());
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let alice = stack.caller("customer:read");
    let own = within(&alice, &open_session(&alice).await);
    let reply = own.request("ping", json!({})).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (404, "unknown-session"));
    stack.finish().await;
}

#[tokio::test]
async fn a_modern_request_has_no_session() {
    let upstream =
        Scripted::new(|sent| sent.result(&json!({ "resultType": "complete", "tools": [] })));
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let caller = stack.caller("").header("mcp-session-id", "whatever").header("last-event-id", "1");
    let reply = caller.modern_request("tools/list", json!({})).await;
    assert_eq!(reply.status, 200, "both are to be ignored: {}", reply.body);
    let sent = upstream.sent().pop().unwrap();
    assert_eq!((sent.header("mcp-session-id"), sent.header("last-event-id")), (None, None));
    let modern = stack.caller("").header("mcp-protocol-version", "2026-07-28");
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(modern.send(method, None).await.status, 405);
    }
    stack.finish().await;
}

#[tokio::test]
async fn who_listens_hears_of_nothing_that_it_may_not_see() {
    let notification = |method: &str, params: Value| {
        message(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
    };
    let said = [
        notification("notifications/tools/list_changed", json!({})),
        notification("notifications/resources/updated", json!({ "uri": "health://status" })),
        notification("notifications/resources/updated", json!({ "uri": "secret://plans" })),
        notification("notifications/message", json!({ "level": "info", "data": "hello" })),
        notification("notifications/of_its_own", json!({ "secret": "plans" })),
    ];
    let upstream = legacy_server(move |sent| match sent.http_method {
        Method::GET => events(&said.each_ref().map(String::as_str)),
        _ => StatusCode::ACCEPTED.into_response(),
    });
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let heard = async |scopes: &str| {
        let caller = stack.caller(scopes);
        let own = within(&caller, &open_session(&caller).await);
        let reply = own.send(Method::GET, None).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(!reply.body.contains("plans"), "{}", reply.body);
        reply.messages().len()
    };
    assert_eq!(heard("security:read").await, 3);
    assert_eq!(heard("customer:read").await, 2);
    stack.finish().await;
}

#[tokio::test]
async fn an_upstream_without_streams_or_sessions_says_so() {
    let upstream = Scripted::new(|sent| match sent.http_method {
        Method::POST => sent.result(&json!({})),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "").into_response(),
    });
    let stack = Stack::with().upstream(upstream.router()).start().await;
    for method in [Method::GET, Method::DELETE] {
        let reply = stack.caller("").send(method, None).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (405, "not-post"));
        assert_eq!(reply.headers["allow"], "POST");
    }
    stack.finish().await;
}

#[tokio::test]
async fn an_answer_to_something_else_is_not_relayed() {
    for answer in [
        json!({ "jsonrpc": "2.0", "id": 2, "result": {} }),
        json!({ "jsonrpc": "2.0", "id": "1", "result": {} }),
        json!({ "jsonrpc": "2.0", "result": {} }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": [] }),
        json!({ "jsonrpc": "2.0", "id": 1 }),
        json!([{ "jsonrpc": "2.0", "id": 1, "result": {} }]),
        json!([1, "ping", {}, null]),
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "resultType": "unheard-of" } }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "resultType": "task", "taskId": "1" } }),
    ] {
        let told = answer.to_string();
        let upstream = Scripted::new(move |_| {
            ([("content-type", "application/json")], told.clone()).into_response()
        });
        let stack = Stack::with().upstream(upstream.router()).start().await;
        let reply = stack.caller("").request("ping", json!({})).await;
        assert_eq!(
            (reply.status.as_u16(), reply.reason().as_str()),
            (502, "upstream-answer"),
            "{answer}"
        );
        stack.finish().await;
    }
}
