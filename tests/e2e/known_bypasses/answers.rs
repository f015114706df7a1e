use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::any,
};

use super::*;

fn list() -> String {
    let tools = json!([{ "name": "get_customer_info" }, { "name": "create_support_ticket" }]);
    json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools } }).to_string()
}

/// What a caller of one tool gets for a list that comes in this form.
async fn listed(form: impl Fn() -> Response + Send + Sync + 'static) -> (StatusCode, String) {
    let upstream = Scripted::new(move |_| form());
    let stack = Stack::with().unguarded().upstream(upstream.router()).start().await;
    let reply = stack.caller("customer:read").request("tools/list", json!({})).await;
    let told = (reply.status, reply.body);
    assert!(!told.1.contains("create_support_ticket"), "{}", told.1);
    stack.finish().await;
    told
}

/// ToolHive 92c70db24 and its like: whether an answer is narrowed follows from what was asked, not
/// from how it is labelled.
#[tokio::test]
async fn a_list_under_another_label_is_narrowed_or_refused() {
    for (status, media_type, passes) in [
        (200, "application/json", true),
        (200, "Application/JSON", true),
        (200, "application/json;charset=UTF-8", true),
        (200, "application/json ; x=y", true),
        (201, "application/json", false),
        (202, "application/json", false),
        (203, "application/json", false),
        (206, "application/json", false),
        (299, "application/json", false),
        (404, "application/json", false),
        (400, "application/json", false),
        (500, "application/json", false),
        (200, "text/json", false),
        (200, "application/json-rpc", false),
        (200, "text/html", false),
        (200, "", false),
    ] {
        let (told, body) = listed(move || {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("content-type", media_type)], list()).into_response()
        })
        .await;
        let expected = if passes { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
        assert_eq!(told, expected, "{status} {media_type}: {body}");
        assert_eq!(body.contains("get_customer_info"), passes, "{status} {media_type}: {body}");
    }
}

/// ToolHive #5257, #5304 and 7eb3f34f9: one line that could not be read let the rest through, and so
/// did a byte order mark.
#[tokio::test]
async fn an_event_that_cannot_be_read_lets_nothing_else_through() {
    let list = list();
    let cut = list.len() / 2;
    let (start, end) = list.split_at(cut);
    for (what, passes, stream) in [
        ("as it should be", true, format!("data: {list}\n\n")),
        ("marked", true, format!("\u{feff}data: {list}\n\n")),
        ("without a space", true, format!("data:{list}\n\n")),
        ("with another name", true, format!("event: other\ndata: {list}\n\n")),
        ("after a comment", true, format!(": x\n\n: y\ndata: {list}\n\n")),
        ("with fields of its own", true, format!("x: {list}\ndata: {list}\ny\n\n")),
        ("marked inside", false, format!("data: \u{feff}{list}\n\n")),
        ("after a line that is none", false, format!("data: {{\n\ndata: {list}\n\n")),
        ("before a line that is none", true, format!("data: {list}\n\ndata: {{\n\n")),
        ("in one with something else", false, format!("data: x\ndata: {list}\n\n")),
        ("twice in one", false, format!("data: {list}\ndata: {list}\n\n")),
        ("as a batch", false, format!("data: [{list}]\n\n")),
        ("cut by a line end", false, format!("data: {start}\n{end}\n\n")),
        ("under another id", false, format!("data: {}\n\n", list.replace("\"id\":1", "\"id\":2"))),
        (
            "with a second result",
            false,
            format!("data: {}\n\n", list.replace("\"result\"", "\"result\":{},\"result\"")),
        ),
        ("as raw JSON", false, format!("{list}\n\n")),
        ("unfinished", false, format!("data: {list}")),
    ] {
        let form =
            move || ([("content-type", "text/event-stream")], stream.clone()).into_response();
        let (_, body) = listed(form).await;
        assert_eq!(body.contains("get_customer_info"), passes, "{what}: {body}");
    }
}

/// ToolHive 39d0d14cd: a part that was flushed early was not narrowed.
#[tokio::test]
async fn a_list_in_pieces_is_narrowed_as_a_whole() {
    for (media_type, text) in
        [("application/json", list()), ("text/event-stream", format!("data: {}\n\n", list()))]
    {
        let (status, body) = listed(move || {
            let bytes = text.clone().into_bytes();
            let pieces = futures::stream::unfold(bytes, async |mut rest| {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let piece: Vec<u8> = rest.drain(..rest.len().min(7)).collect();
                (!piece.is_empty()).then_some((Ok::<_, std::io::Error>(Bytes::from(piece)), rest))
            });
            ([("content-type", media_type)], Body::from_stream(pieces)).into_response()
        })
        .await;
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("get_customer_info"), "{body}");
    }
}

/// CVE-2026-25536 and CVE-2026-111770: two callers use the same id at the same time, and the answers
/// come in the other order.
#[tokio::test]
async fn callers_with_the_same_id_get_their_own_answers() {
    let upstream = Router::new().fallback(any(async |body: String| {
        let asked: Value = serde_json::from_str(&body).unwrap();
        let customer = asked["params"]["arguments"]["customer_id"].as_str().unwrap().to_owned();
        let number: u64 = customer[4..].parse().unwrap();
        tokio::time::sleep(Duration::from_millis(400 - 10 * number)).await;
        let content = json!([{ "type": "text", "text": customer }]);
        let answer =
            json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "content": content } });
        ([("content-type", "application/json")], answer.to_string())
    }));
    let stack = Stack::with().upstream(upstream).start().await;
    let callers: Vec<Caller<'_>> = (0..30)
        .map(|number| {
            let mut claims = stack.claims("customer:read");
            claims["sub"] = json!(format!("user-{number}"));
            stack.bearing(&stack.signing_key().sign(&claims).unwrap())
        })
        .collect();
    let calls = callers.iter().enumerate().map(async |(number, caller)| {
        let customer = format!("CUST{number}");
        let reply = caller.call("get_customer_info", json!({ "customer_id": customer })).await;
        assert_eq!(reply.result()["content"][0]["text"], customer, "{}", reply.body);
    });
    futures::future::join_all(calls).await;
    stack.finish().await;
}

/// CVE-2026-116685: whoever is redirected to sees neither the message nor the gate's credentials.
#[tokio::test]
async fn a_redirect_is_followed_nowhere() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Scripted::new(|sent| sent.result(&json!({ "content": [] })));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let location = format!("https://{}/mcp", listener.local_addr().unwrap());
        let upstream = Scripted::new(move |_| {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("location", location.clone())]).into_response()
        });
        let stack = Stack::with().upstream(upstream.router()).start().await;
        stack.serve(listener, elsewhere.router()).await;
        let call = json!({ "customer_id": "ABC123" });
        let reply = stack.caller("customer:read").call("get_customer_info", call).await;
        assert_eq!(reply.status, 502, "{}", reply.body);
        assert!(reply.headers.get("location").is_none());
        assert!(elsewhere.sent().is_empty(), "{status}");
        stack.finish().await;
    }
}
