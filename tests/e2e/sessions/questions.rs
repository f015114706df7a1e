use super::*;

/// On GET asks `method` under the id 5; takes everything else.
fn asking(method: &'static str, params: Value) -> Scripted {
    legacy_server(move |sent| match sent.http_method {
        Method::GET => {
            let question = json!({ "jsonrpc": "2.0", "id": 5, "method": method, "params": params });
            events(&[&message(&question)])
        }
        _ => StatusCode::ACCEPTED.into_response(),
    })
}

fn elicitation(url: &str) -> Value {
    json!({ "mode": "url", "url": url, "message": "Please sign in", "elicitationId": "e-1" })
}

#[tokio::test]
async fn a_question_is_answered_by_whom_it_was_put_to() {
    let upstream = asking("sampling/createMessage", json!({ "messages": [], "maxTokens": 1 }));
    let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).start().await;
    let alice = stack.caller("customer:read");
    let own = within(&alice, &open_session(&alice).await);
    let question = own.send(Method::GET, None).await.messages().remove(0);
    assert_eq!(question["method"], "sampling/createMessage");
    assert!(question["id"].is_string(), "under an id that only its addressee can use: {question}");

    let answer =
        json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "role": "assistant" } });
    for token in others(&stack) {
        let thief = stack.bearing(&token);
        let session = open_session(&thief).await;
        let reply = within(&thief, &session).refused(answer.to_string()).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (400, "unexpected-response"));
    }
    let guessed = json!({ "jsonrpc": "2.0", "id": 5, "result": {} });
    assert_eq!(own.refused(guessed.to_string()).await.reason(), "unexpected-response");

    assert_eq!(own.post(answer.to_string()).await.status, 202);
    let sent = upstream.sent().pop().unwrap().body;
    assert_eq!(sent, json!({ "jsonrpc": "2.0", "id": 5, "result": { "role": "assistant" } }));
    stack.finish().await;
}

#[tokio::test]
async fn a_question_that_policy_forbids_is_declined_in_the_clients_place() {
    for (method, params) in [
        ("sampling/createMessage", json!({ "messages": [], "maxTokens": 1 })),
        ("elicitation/create", json!({ "message": "Your password?", "requestedSchema": {} })),
        ("roots/list", json!({})),
        ("tasks/list", json!({})),
        ("something/new", json!({})),
    ] {
        let upstream = asking(method, params);
        // The repository's policies say nothing of questions.
        let stack = Stack::with().upstream(upstream.router()).start().await;
        let alice = stack.caller("customer:read");
        let own = within(&alice, &open_session(&alice).await);
        let heard = own.send(Method::GET, None).await;
        assert!(heard.messages().is_empty(), "{method}: {}", heard.body);
        harness::eventually("the upstream is told", async || {
            let last = upstream.sent().pop().unwrap();
            last.body["id"] == 5
                && last.body["error"]["data"]["reason"] == "question-denied"
                && last.header("mcp-session-id") == Some("upstream-1")
        })
        .await;
        stack.finish().await;
    }
}

#[tokio::test]
async fn people_are_sent_to_configured_origins_alone() {
    for (url, passes) in [
        ("https://login.example.com/start?x=1", true),
        ("https://login.example.com.evil.example/", false),
        ("https://login.example.com:444/", false),
        ("http://login.example.com/", false),
        ("https://evil.example/https://login.example.com/", false),
        ("javascript:alert(1)", false),
        ("not a URL", false),
    ] {
        let upstream = asking("elicitation/create", elicitation(url));
        let stack = Stack::with()
            .upstream(upstream.router())
            .policies(EVERYTHING)
            .settings("[answers]\nelicitation_origins = [\"https://login.example.com\"]\n")
            .start()
            .await;
        let alice = stack.caller("customer:read");
        let own = within(&alice, &open_session(&alice).await);
        assert_eq!(
            own.send(Method::GET, None).await.messages().len(),
            usize::from(passes),
            "{url}"
        );
        stack.finish().await;
    }
}

#[tokio::test]
async fn a_question_taken_back_is_known_under_its_sealed_id() {
    let upstream = legacy_server(move |sent| match sent.http_method {
        Method::GET => events(&[
            &message(&json!({ "jsonrpc": "2.0", "id": 5, "method": "roots/list" })),
            &message(
                &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 5 } }),
            ),
            &message(
                &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 6 } }),
            ),
        ]),
        _ => StatusCode::ACCEPTED.into_response(),
    });
    let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).start().await;
    let alice = stack.caller("customer:read");
    let own = within(&alice, &open_session(&alice).await);
    let heard = own.send(Method::GET, None).await.messages();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(heard[1]["params"]["requestId"], heard[0]["id"]);
    stack.finish().await;
}

/// A modern tool that wants to know more before it goes on.
fn wanting(method: &'static str, params: Value) -> Scripted {
    Scripted::new(move |sent| {
        if sent.body["params"]["requestState"] == "state-1" {
            return sent.result(&json!({ "resultType": "complete", "content": [] }));
        }
        sent.result(&json!({
            "resultType": "input_required",
            "inputRequests": { "q": { "method": method, "params": params } },
            "requestState": "state-1",
        }))
    })
}

#[tokio::test]
async fn a_modern_question_comes_in_a_result_and_its_state_is_its_callers() {
    let upstream =
        wanting("elicitation/create", json!({ "message": "Sure?", "requestedSchema": {} }));
    let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).start().await;
    let alice = stack.caller("customer:read");
    let call = |state: Option<&Value>| {
        let mut params =
            json!({ "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } });
        if let Some(state) = state {
            params["requestState"] = state.clone();
            params["inputResponses"] = json!({ "q": { "action": "accept", "content": {} } });
        }
        params
    };
    let asked = alice.modern_request("tools/call", call(None)).await.result();
    assert_eq!(asked["inputRequests"]["q"]["method"], "elicitation/create");
    let state = &asked["requestState"];
    assert_ne!(state, "state-1", "sealed to its caller");

    for token in others(&stack) {
        let reply = stack.bearing(&token).modern_request("tools/call", call(Some(state))).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (400, "invalid-params"));
    }
    let raw = alice.modern_request("tools/call", call(Some(&json!("state-1")))).await;
    assert_eq!(raw.reason(), "invalid-params", "the upstream's own state is no state of ours");
    let answered = alice.modern_request("tools/call", call(Some(state))).await.result();
    assert_eq!(answered["resultType"], "complete");
    stack.finish().await;
}

#[tokio::test]
async fn a_modern_question_that_policy_forbids_is_refused() {
    let upstream = wanting("sampling/createMessage", json!({ "messages": [], "maxTokens": 1 }));
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let params = json!({ "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } });
    let reply = stack.caller("customer:read").modern_request("tools/call", params).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (403, "question-denied"));
    assert!(reply.challenge().is_none());
    assert!(!reply.body.contains("state-1"), "{}", reply.body);
    let list = stack.caller("customer:read").modern_request("tools/list", json!({})).await;
    assert_eq!(list.reason(), "upstream-answer", "a list asks nothing back");
    stack.finish().await;
}
