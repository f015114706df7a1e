use super::*;

fn wanted(url: &str) -> Value {
    json!({ "mode": "url", "url": url, "message": "Please sign in", "elicitationId": "e-1" })
}

/// Answers every request with an error that asks a person to go somewhere first.
fn erring(code: i64, status: StatusCode) -> Scripted {
    Scripted::new(move |sent| {
        let data = json!({ "elicitations": [wanted("https://login.example.com/start")] });
        let error = json!({ "code": code, "message": "sign in", "data": data });
        let answer = json!({ "jsonrpc": "2.0", "id": sent.body["id"], "error": error });
        (status, [("content-type", "application/json")], answer.to_string()).into_response()
    })
}

fn call() -> Value {
    json!({ "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } })
}

#[tokio::test]
async fn an_error_that_asks_is_a_question_too() {
    let leads = "[answers]\nelicitation_origins = [\"https://login.example.com\"]\n";
    let elsewhere = "[answers]\nelicitation_origins = [\"https://login.example.org\"]\n";
    for (policies, settings, passes) in [
        (Some(EVERYTHING), leads, true),
        (Some(EVERYTHING), elsewhere, false),
        (None, leads, false),
    ] {
        for (code, status) in
            [(-32042, StatusCode::OK), (-32042, StatusCode::BAD_REQUEST), (-32000, StatusCode::OK)]
        {
            let builder = Stack::with().upstream(erring(code, status).router()).settings(settings);
            let builder = match policies {
                Some(policies) => builder.policies(policies),
                None => builder,
            };
            let stack = builder.start().await;
            let reply = stack.caller("customer:read").request("tools/call", call()).await;
            assert_eq!(reply.body.contains("login.example.com"), passes, "{code}: {}", reply.body);
            if !passes {
                assert_eq!(reply.reason(), "question-denied");
            }
            let modern = stack.caller("customer:read").modern_request("tools/call", call()).await;
            assert!(!modern.body.contains("login.example.com"), "no modern server asks so");
            stack.finish().await;
        }
    }
}

#[tokio::test]
async fn a_question_under_another_name_is_none() {
    let sampling = json!({ "method": "sampling/createMessage", "params": {} });
    for result in [
        json!({ "resultType": "input_required", "InputRequests": { "q": sampling } }),
        json!({ "resultType": "input_required",
            "inputRequests": { "q": { "method": "roots/list", "Method": "sampling/createMessage" } } }),
        json!({ "ResultType": "input_required", "inputRequests": { "q": sampling } }),
        json!({ "resultType": "complete", "content": [], "CacheScope": "public" }),
    ] {
        let told = result.clone();
        let upstream = Scripted::new(move |sent| sent.result(&told));
        let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).start().await;
        let reply = stack.caller("customer:read").modern_request("tools/call", call()).await;
        assert_eq!(reply.reason(), "upstream-answer", "{result}");
        stack.finish().await;
    }
}

#[tokio::test]
async fn what_was_not_asked_is_not_answered() {
    let upstream =
        Scripted::new(|sent| sent.result(&json!({ "resultType": "complete", "content": [] })));
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let mut params = call();
    params["inputResponses"] = json!({ "confirm": { "action": "accept" } });
    let reply = stack.caller("customer:read").modern_request("tools/call", params).await;
    assert_eq!(reply.status, 200);
    let sent = upstream.sent().pop().unwrap();
    assert_eq!(sent.body["params"]["inputResponses"], json!({}), "left out");
    stack.finish().await;
}
