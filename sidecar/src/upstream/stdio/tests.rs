//! One small child, many callers: who gets what, and what the child gets to see.

mod eras;
mod life;
mod news;

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, future::join_all};

use super::*;
use crate::message::{
    Era, ProtocolVersion,
    json::{Json, Object},
};

const LEGACY: Era = Era::Legacy(Some(ProtocolVersion::V2025_11_25));
const MODERN: Era = Era::Modern(ProtocolVersion::V2026_07_28);

/// A child of `child.py`, or nothing where there is no Python.
fn child(era: &str) -> Option<StdioServer> {
    child_with(era, |_| {})
}

fn child_with(era: &str, change: impl FnOnce(&mut Limits)) -> Option<StdioServer> {
    let python = std::process::Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: needs python3");
        return None;
    }
    let mut limits = limits();
    change(&mut limits);
    Some(StdioServer::new(
        command("python3", &["-u", "-c", include_str!("tests/child.py"), era]),
        &limits,
    ))
}

fn command(program: &str, arguments: &[&str]) -> StdioUpstream {
    StdioUpstream {
        program: program.into(),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        environment: BTreeMap::from([("GIVEN".to_owned(), "to the child".to_owned())]),
        folder: Some("/".into()),
    }
}

fn limits() -> Limits {
    Limits {
        max_body_bytes: 1 << 20,
        max_connections: 10,
        max_connections_per_peer: 10,
        max_concurrent_requests: 64,
        max_concurrent_requests_per_principal: 64,
        max_answer_bytes: 200_000,
        max_call_budgets: 9,
        body_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        response_timeout: Duration::from_secs(20),
        stream_idle_timeout: Duration::from_secs(20),
        stream_timeout: Duration::from_secs(60),
        drain_timeout: Duration::from_secs(10),
    }
}

fn alice() -> CallerKey {
    CallerKey::new(["issuer", "alice", "app", "session-1"])
}

fn bob() -> CallerKey {
    CallerKey::new(["issuer", "bob", "app", "session-2"])
}

fn json_of(text: &str) -> Json {
    Json::read(text.as_bytes()).unwrap()
}

fn text_of(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8(bytes.as_ref().to_vec()).unwrap()
}

/// Asks `method` under `id` (a token of JSON; empty for a notification).
async fn ask(
    server: &StdioServer,
    caller: &CallerKey,
    era: Era,
    (id, method, params): (&str, &'static str, &str),
) -> Result<Reply, Rejection> {
    let id = (!id.is_empty()).then(|| json_of(id));
    let params = json_of(params);
    let call = Call { id: id.as_ref(), method, params: params.as_object(), era, trace: None };
    server.answer(call, caller).await
}

async fn ask_json(server: &StdioServer, era: Era, asked: (&str, &'static str, &str)) -> String {
    match ask(server, &alice(), era, asked).await {
        Ok(Reply::Json(bytes)) => text_of(bytes),
        Ok(Reply::Events(_)) => panic!("events"),
        Ok(Reply::Accepted) => panic!("no answer"),
        Err(rejection) => panic!("{}", rejection.reason()),
    }
}

async fn call_tool(server: &StdioServer, era: Era, id: &str, params: &str) -> String {
    ask_json(server, era, (id, "tools/call", params)).await
}

async fn reason(server: &StdioServer, era: Era, asked: (&str, &'static str, &str)) -> &'static str {
    match ask(server, &alice(), era, asked).await {
        Ok(_) => "replied",
        Err(rejection) => rejection.reason(),
    }
}

async fn heard(server: &StdioServer) -> String {
    call_tool(server, LEGACY, "0", r#"{"name":"heard"}"#).await
}

/// What the child has heard but for requests, once it is what is `wanted`.
async fn heard_until(server: &StdioServer, wanted: impl Fn(&str) -> bool) -> String {
    let asking = async {
        loop {
            let heard = heard(server).await;
            if wanted(&heard) {
                return heard;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking).await.expect("heard in time")
}

#[tokio::test]
async fn fifty_answers_in_reverse_reach_those_who_asked() {
    let Some(server) = child("legacy") else { return };
    let server = &server;
    let answers = join_all((0..50).map(|n| async move {
        // Everybody uses the same id, some as a string.
        let id = if n % 2 == 0 { "1" } else { "\"a\\u0062\"" };
        let params = format!(r#"{{"name":"shuffle","arguments":{{"n":{n}}}}}"#);
        call_tool(server, LEGACY, id, &params).await
    }));
    for (n, answer) in answers.await.into_iter().enumerate() {
        let id = if n % 2 == 0 { "1" } else { "\"ab\"" };
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"n":{n}}}}}"#));
    }
}

#[tokio::test]
async fn a_message_that_was_permitted_arrives_as_it_was_written() {
    let Some(server) = child("legacy") else { return };
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    let body = br#"{"jsonrpc":"2.0","id":-0,"method":"tools/call",
        "params":{"name":"echo","arguments":{"price":1.50},"_meta":{"progressToken":"t","x":1}}}"#;
    let envelope = crate::message::Envelope::read(&headers, body).unwrap();
    let message = envelope.confirmed_by(&headers).unwrap();
    let Ok(Reply::Json(answer)) = server.exchange(&message, &alice()).await else { panic!() };
    let answer = text_of(answer);
    assert!(answer.starts_with(r#"{"jsonrpc":"2.0","id":-0,"result":"#), "{answer}");
    let own = answer.split_once(r#""id":"#).unwrap().1.split_once(r#""id":"#).unwrap().1;
    let own = own.split(',').next().unwrap();
    assert!(own.len() > 8, "no caller guesses the next: {own}");
    assert!(answer.contains(&format!(r#""_meta":{{"x":1,"progressToken":{own}}}"#)), "{answer}");
    assert!(answer.contains("1.5"), "{answer}");
}

#[tokio::test]
async fn progress_reaches_its_own_caller_before_the_answer() {
    let Some(server) = child("legacy") else { return };
    let server = &server;
    let streams = join_all(["\"mine\"", "7"].map(|token| async move {
        let params = format!(r#"{{"name":"progress","_meta":{{"progressToken":{token}}}}}"#);
        let Ok(Reply::Events(events)) =
            ask(server, &alice(), MODERN, (token, "tools/call", &params)).await
        else {
            panic!()
        };
        (token, events.map(text_of).collect::<Vec<_>>().await)
    }));
    for (token, events) in streams.await {
        assert_eq!(events.len(), 4, "{events:?}");
        for (n, event) in events.iter().take(3).enumerate() {
            let params = format!(r#""params":{{"progress":{n},"progressToken":{token}}}"#);
            assert!(event.starts_with("event: message\ndata: {") && event.ends_with("}\n\n"));
            assert!(event.contains(&params), "{event}");
        }
        assert!(events[3].contains(&format!(r#""id":{token},"result":{{"done":true"#)));
    }
}

#[tokio::test]
async fn progress_that_nobody_reads_is_bounded() {
    let Some(server) = child("legacy") else { return };
    let params = r#"{"name":"progress","arguments":{"count":500},"_meta":{"progressToken":1}}"#;
    let reply = ask(&server, &alice(), LEGACY, ("1", "tools/call", params)).await;
    let Ok(Reply::Events(events)) = reply else { panic!() };
    // Answered after all that progress, none of which has been read.
    call_tool(&server, LEGACY, "2", r#"{"name":"echo"}"#).await;
    let events: Vec<String> = events.map(text_of).collect().await;
    assert!(events.len() < 30, "{}", events.len());
    assert!(events[events.len() - 2].contains(r#""progress":499"#), "the newest are kept");
    assert!(events[events.len() - 1].contains(r#""done":true"#));
}

#[tokio::test]
async fn who_goes_away_in_the_modern_era_has_cancelled() {
    let Some(server) = child("legacy") else { return };
    call_tool(&server, LEGACY, "1", r#"{"name":"echo"}"#).await;
    for era in [LEGACY, MODERN] {
        let asked = ("5", "tools/call", r#"{"name":"never"}"#);
        let left = tokio::time::timeout(Duration::from_millis(50), reason(&server, era, asked));
        assert!(left.await.is_err());
    }
    let params =
        r#"{"name":"progress","arguments":{"then":"nothing"},"_meta":{"progressToken":1}}"#;
    let reply = ask(&server, &alice(), MODERN, ("5", "tools/call", params)).await;
    drop(reply);
    let heard = heard_until(&server, |heard| heard.matches("cancelled").count() == 2).await;
    // The legacy one goes on.
    assert_eq!(heard.matches(r#"{"requestId":"#).count(), 2, "{heard}");
}

#[tokio::test]
async fn only_ones_own_request_can_be_cancelled() {
    let Some(server) = child("legacy") else { return };
    let asked = ("\"x\"", "tools/call", r#"{"name":"never"}"#);
    let waiting = async { ask(&server, &alice(), LEGACY, asked).await };
    let cancelling = async {
        let cancel = async |caller: CallerKey, id: &str| {
            let params = format!(r#"{{"requestId":{id}}}"#);
            let asked = ("", "notifications/cancelled", params.as_str());
            assert!(matches!(ask(&server, &caller, LEGACY, asked).await, Ok(Reply::Accepted)));
        };
        call_tool(&server, LEGACY, "1", r#"{"name":"echo"}"#).await;
        for (caller, id) in [(bob(), "\"x\""), (alice(), "\"y\""), (alice(), "1")] {
            cancel(caller, id).await;
        }
        let heard = heard(&server).await;
        assert!(!heard.contains("cancelled"), "{heard}");
        cancel(alice(), "\"x\"").await;
        heard_until(&server, |heard| heard.contains("cancelled")).await
    };
    let (answer, heard) = tokio::join!(waiting, cancelling);
    let Ok(Reply::Json(answer)) = answer else { panic!() };
    assert!(text_of(answer).starts_with(r#"{"jsonrpc":"2.0","id":"x","error":{"code":499"#));
    assert_eq!(heard.matches("cancelled").count(), 1, "{heard}");
}

#[tokio::test]
async fn what_the_child_asks_is_refused_and_its_ping_answered() {
    let Some(server) = child("legacy") else { return };
    // `initialized` was heard first; three of the answers follow before the tool answers.
    let answer = call_tool(&server, LEGACY, "1", r#"{"name":"ask"}"#).await;
    for id in ["s", "e", "r"] {
        let refused = format!(r#"{{"jsonrpc":"2.0","id":"{id}","error":{{"code":-32601,"message""#);
        assert!(answer.replace(' ', "").contains(&refused), "{answer}");
    }
    let heard = heard_until(&server, |heard| heard.contains(r#""id":7"#)).await;
    assert!(heard.contains(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#), "{heard}");
}

#[tokio::test]
async fn more_than_the_limit_in_flight_is_refused() {
    let Some(server) = child_with("legacy", |limits| limits.max_concurrent_requests = 1) else {
        return;
    };
    call_tool(&server, LEGACY, "1", r#"{"name":"echo"}"#).await;
    let asked = ("2", "tools/call", r#"{"name":"never"}"#);
    let one = reason(&server, LEGACY, asked);
    let two = async { reason(&server, LEGACY, asked).await };
    tokio::select! {
        biased;
        _ = one => panic!("answered"),
        reason = two => assert_eq!(reason, "overloaded"),
    }
}
