use super::*;

/// Breaks every answer off after one event, and tells the rest to whom takes it up again.
fn breaking_off(rest: Value) -> Scripted {
    legacy_server(move |sent| match sent.http_method {
        Method::GET if sent.header("last-event-id") == Some("e-1") => {
            events(&[&format!("id: e-2\n{}", message(&rest))])
        }
        Method::GET => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        _ => events(&["id: e-1\nretry: 10\ndata: "]),
    })
}

fn event_id(body: &str) -> &str {
    body.lines().find_map(|line| line.strip_prefix("id: ")).unwrap()
}

#[tokio::test]
async fn a_broken_stream_is_taken_up_again_by_its_caller_alone() {
    let tools = json!([{ "name": "get_customer_info" }, { "name": "create_support_ticket" }]);
    let rest = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools } });
    let upstream = breaking_off(rest);
    let stack = Stack::with().unguarded().upstream(upstream.router()).start().await;
    let alice = stack.caller("customer:read");
    let session = open_session(&alice).await;
    let own = within(&alice, &session);
    let begun = own.request("tools/list", json!({})).await;
    let event = event_id(&begun.body).to_owned();
    assert!(begun.body.contains("retry: 10"), "{}", begun.body);
    assert!(!event.contains("e-1"), "{event}");

    let resumed = own.clone().header("last-event-id", &event).send(Method::GET, None).await;
    let answer = resumed.messages().remove(0);
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), 1, "narrowed");
    assert_eq!(answer["result"]["tools"][0]["name"], "get_customer_info");

    let before = stack.spy().mark();
    let raw = own.clone().header("last-event-id", "e-1").send(Method::GET, None).await;
    assert_eq!(raw.reason(), "unknown-session");
    for token in others(&stack) {
        let thief = within(&stack.bearing(&token), &session).header("last-event-id", &event);
        assert_eq!(thief.send(Method::GET, None).await.reason(), "unknown-session");
    }
    assert_eq!(stack.spy().mark(), before, "the upstream saw something");
    stack.finish().await;
}

#[tokio::test]
async fn a_stream_that_was_taken_up_answers_what_it_was_opened_for() {
    let upstream = breaking_off(json!({ "jsonrpc": "2.0", "id": 2, "result": {} }));
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let alice = stack.caller("customer:read");
    let own = within(&alice, &open_session(&alice).await);
    let begun = own.request("ping", json!({})).await;
    let resumed = own.header("last-event-id", event_id(&begun.body)).send(Method::GET, None).await;
    let error = &resumed.messages()[0];
    assert_eq!(error["id"], 1);
    assert_eq!(error["error"]["data"]["reason"], "upstream-answer", "{}", resumed.body);
    stack.finish().await;
}

#[tokio::test]
async fn an_upstream_that_dies_half_way_leaves_an_error_in_the_answers_place() {
    let progress = json!({
        "jsonrpc": "2.0", "method": "notifications/progress",
        "params": { "progressToken": 1, "progress": 1 },
    });
    for dies in [false, true] {
        let progress = message(&progress);
        let upstream = Scripted::new(move |_| {
            let event = Ok(format!("{progress}\n\n"));
            let end = async move {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                Err(std::io::Error::other("gone"))
            };
            let end = futures::stream::once(end).take(usize::from(dies));
            let chunks = futures::stream::iter([event]).chain(end);
            let body = axum::body::Body::from_stream(chunks);
            ([("content-type", "text/event-stream")], body).into_response()
        });
        let stack = Stack::with().upstream(upstream.router()).start().await;
        let reply = stack.caller("").request("ping", json!({})).await;
        let heard = reply.messages();
        assert_eq!(heard[0]["method"], "notifications/progress");
        assert_eq!(heard[1]["id"], 1);
        assert_eq!(heard[1]["error"]["data"]["reason"], "upstream-broke-off", "{}", reply.body);
        stack.finish().await;
    }
}

#[tokio::test]
async fn who_may_no_longer_ask_does_not_fetch_the_answer() {
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [] } });
    let upstream = breaking_off(answer);
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let alice = stack.caller("customer:read");
    let session = open_session(&alice).await;
    let asked = json!({ "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } });
    let begun = within(&alice, &session).request("tools/call", asked).await;
    let event = event_id(&begun.body).to_owned();
    let resume = async |scopes: &str| {
        let caller = stack.caller(scopes);
        within(&caller, &session).header("last-event-id", &event).send(Method::GET, None).await
    };
    let before = stack.spy().mark();
    assert_eq!(resume("ticket:create").await.reason(), "denied");
    assert_eq!(stack.spy().mark(), before, "the upstream saw something");
    assert_eq!(resume("customer:read").await.messages()[0]["id"], 1);
    stack.finish().await;
}

/// Whoever hangs up at once and fetches the answer otherwise has had it all the same.
#[tokio::test]
async fn an_answer_that_is_fetched_later_counts_as_one_that_was_waited_for() {
    let result = json!({ "content": [], "x": "y".repeat(3_000) });
    let upstream = breaking_off(json!({ "jsonrpc": "2.0", "id": 1, "result": result }));
    let rule = "[[call_limits]]\nid = 'r'\nper = ['tool']\nresult_bytes_per_day = '4 kB'\ncalls_per_day = 9";
    let stack = Stack::with().upstream(upstream.router()).settings(rule).start().await;
    let alice = stack.caller("customer:read");
    let session = open_session(&alice).await;
    let asked = json!({ "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } });
    let begun = within(&alice, &session).request("tools/call", asked.clone()).await;
    let event = event_id(&begun.body).to_owned();
    for expected in [200, 200, 429, 429] {
        let caller = within(&alice, &session).header("last-event-id", &event);
        let reply = caller.send(Method::GET, None).await;
        assert_eq!(reply.status, expected, "{}", reply.body);
    }
    let refused = within(&alice, &session).request("tools/call", asked).await;
    assert_eq!(refused.reason(), "rate-limited");
    let other = json!({ "name": "get_recent_customers", "arguments": {} });
    assert_eq!(within(&alice, &session).request("tools/call", other).await.status, 200);
    stack.finish().await;
}
