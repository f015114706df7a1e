use super::*;

const LISTEN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

/// A modern subscription to these notifications.
fn subscription(notifications: &Value) -> (String, Value) {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "notifications": notifications, "_meta": meta });
    let method = "subscriptions/listen";
    (method.to_owned(), json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
}

#[tokio::test]
async fn a_subscription_that_cannot_be_judged_is_refused() {
    let upstream = Scripted::new(|sent| sent.result(&json!({})));
    let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).start().await;
    for notifications in [
        json!({ "ResourceSubscriptions": ["secret://x"] }),
        json!({ "resourceSubscriptions": "secret://x" }),
        json!({ "resourceSubscriptions": [{ "uri": "secret://x" }] }),
        json!({ "TaskIds": ["t-1"] }),
        json!({ "toolsListChanged": "yes" }),
        json!({ "everything": true }),
        json!(["secret://x"]),
        json!(null),
    ] {
        let (method, body) = subscription(&notifications);
        let caller = stack.caller("").modern(&method, None);
        assert_eq!(
            caller.refused(body.to_string()).await.reason(),
            "invalid-params",
            "{notifications}"
        );
    }
    stack.finish().await;
}

#[tokio::test]
async fn only_what_may_be_watched_is_subscribed_to() {
    let policies = r#"
        @id("listen") permit (principal, action in Mcp::Action::"protocol", resource);
        @id("watch") permit (principal, action == Mcp::Action::"resources/subscribe", resource)
            when { resource.uri like "open://*" };
    "#;
    let upstream = Scripted::new(|sent| sent.result(&json!({ "resultType": "complete" })));
    let stack = Stack::with().upstream(upstream.router()).policies(policies).start().await;
    let uris = json!({ "resourceSubscriptions": ["open://a", "secret://b"] });
    let (method, body) = subscription(&uris);
    assert_eq!(stack.caller("").modern(&method, None).post(body.to_string()).await.status, 200);
    let sent = upstream.sent().pop().unwrap().body;
    assert_eq!(sent["params"]["notifications"]["resourceSubscriptions"], json!(["open://a"]));
    stack.finish().await;
}

/// A server that has something to say five times a second, to whoever listens.
fn talkative() -> Scripted {
    legacy_server(|sent| match sent.http_method {
        Method::GET => {
            let said = futures::stream::repeat(()).then(|()| async {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                let params = json!({ "level": "info", "data": "hello" });
                let said = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params });
                Ok::<_, std::io::Error>(format!("{}\n\n", message(&said)))
            });
            let body = axum::body::Body::from_stream(said);
            ([("content-type", "text/event-stream")], body).into_response()
        }
        _ => sent.result(&json!({ "tools": [] })),
    })
}

async fn listening(stack: &Stack, token: &str, session: &str) -> reqwest::Response {
    stack.count_request();
    let request = stack.http().get(stack.resource()).bearer_auth(token);
    request.header("mcp-session-id", session).send().await.unwrap()
}

#[tokio::test]
async fn one_subject_cannot_take_every_slot() {
    let limits = "[limits]\nmax_concurrent_requests_per_principal = 2\n";
    let stack = Stack::with().upstream(talkative().router()).settings(limits).start().await;
    let alice = stack.caller("");
    let session = open_session(&alice).await;
    let held = [
        listening(&stack, alice.token(), &session).await,
        listening(&stack, alice.token(), &session).await,
    ];
    let own = within(&alice, &session);
    let reply = own.refused(LISTEN).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (503, "overloaded"));
    let [mallory, own_through_another_client] = others(&stack);
    let other = stack.bearing(&mallory);
    let session = open_session(&other).await;
    assert_eq!(within(&other, &session).post(LISTEN).await.status, 200, "others are served");
    let same = stack.bearing(&own_through_another_client).refused(LISTEN).await;
    assert_eq!(same.reason(), "overloaded", "it is one subject through however many clients");
    drop(held);
    harness::eventually("a slot is free again", async || own.post(LISTEN).await.status == 200)
        .await;
    stack.finish().await;
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "an operator's token of many letters").unwrap();
    let admin = format!("127.0.0.1:{}", harness::free_port());
    let settings = format!("[admin]\naddress = {admin:?}\ntoken_file = {secret:?}\n");
    let stack = Stack::with().upstream(talkative().router()).settings(&settings).start().await;
    for jti in [json!("a name"), Value::Null] {
        let mut claims = stack.claims("");
        match jti {
            // Such a token is revoked by its digest.
            Value::Null => drop(claims.as_object_mut().unwrap().remove("jti")),
            jti => claims["jti"] = jti,
        }
        let alice = stack.bearing(&stack.signing_key().sign(&claims).unwrap());
        let session = open_session(&alice).await;
        let stream = listening(&stack, alice.token(), &session).await;
        let operator = reqwest::Client::new();
        harness::eventually("the operators' listener serves", async || {
            let request = operator.post(format!("http://{admin}/revoke"));
            let request = request.bearer_auth("an operator's token of many letters");
            request.form(&[("token", alice.token())]).send().await.is_ok_and(|r| r.status() == 200)
        })
        .await;
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), stream.text()).await;
        ended.expect("the stream ends").unwrap();
    }
    stack.finish().await;
}

#[tokio::test]
async fn without_a_session_nobody_speaks_of_anothers_request() {
    let upstream = Scripted::new(|sent| sent.result(&json!({})));
    let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).start().await;
    for (method, params) in [
        ("notifications/cancelled", json!({ "requestId": 1 })),
        ("notifications/progress", json!({ "progressToken": 1, "progress": 1 })),
    ] {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        assert_eq!(stack.caller("").refused(body.to_string()).await.status, 202, "{method}");
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_stolen_session_is_on_record_whatever_is_tried_with_it() {
    let upstream = legacy_server(|sent| sent.result(&json!({})));
    let mut stack = Stack::with().upstream(upstream.router()).start().await;
    let session = open_session(&stack.caller("")).await;
    stack.latest_decision().await;
    let thief = others(&stack)[0].clone();
    for (method, named) in [(Method::GET, "session/listen"), (Method::DELETE, "session/end")] {
        within(&stack.bearing(&thief), &session).send(method, None).await;
        let record = stack.latest_decision().await;
        assert_eq!(record.reason, "unknown-session");
        assert_eq!(record.method.as_deref(), Some(named));
        assert_eq!(record.subject.as_deref(), Some("mallory"));
    }
    stack.finish().await;
}
