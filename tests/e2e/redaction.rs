use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use harness::{
    Caller, Reply, Stack,
    scripted::{Scripted, Sent, events, message},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// What must not reach a caller.
const SECRET: &str = "alice@secret.example";
/// Redacts for everybody but auditors.
const POLICIES: &str = r#"
    @id("agents") @redact("contact_info.email, notes") permit (principal, action, resource)
    unless { principal.scopes.contains("security:read") };
    @id("auditors") permit (principal, action, resource)
    when { principal.scopes.contains("security:read") };
    @id("tried-out") @mode("shadow") @redact("customer_id") permit (principal, action, resource);
"#;

fn customer() -> Value {
    json!({
        "customer_id": "ABC123",
        "contact_info": { "email": SECRET, "phone": "1" },
        "notes": [{ "text": SECRET }],
    })
}

/// A tool's result that says the same in two forms.
fn found() -> Value {
    let text = customer().to_string();
    json!({ "content": [{ "type": "text", "text": text }], "structuredContent": customer() })
}

fn redacted() -> Value {
    json!({
        "customer_id": "ABC123",
        "contact_info": { "email": "[redacted]", "phone": "1" },
        "notes": "[redacted]",
    })
}

fn call() -> Value {
    json!({ "name": "get_customer_info", "arguments": { "customer_id": "ABC123" } })
}

fn answer(result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "result": result })
}

async fn gate(upstream: &Scripted) -> Stack {
    Stack::with().upstream(upstream.router()).policies(POLICIES).start().await
}

/// Asserts that a result was found and is redacted in both forms.
fn assert_redacted(result: &Value, whole: &str) {
    assert!(!whole.contains(SECRET), "{whole}");
    assert_eq!(result["structuredContent"], redacted(), "{whole}");
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, redacted());
}

fn event_stream(body: Body) -> Response {
    ([("content-type", "text/event-stream")], body).into_response()
}

#[tokio::test]
async fn an_answer_is_redacted_in_either_era_unless_another_permit_decides() {
    let upstream = Scripted::new(|sent| sent.result(&found()));
    let stack = gate(&upstream).await;
    for modern in [false, true] {
        let ask = async |scopes: &str| {
            let caller = stack.caller(scopes);
            match modern {
                true => caller.modern_request("tools/call", call()).await,
                false => caller.request("tools/call", call()).await,
            }
        };
        let agents = ask("customer:read").await;
        assert_redacted(&agents.result(), &agents.body);
        assert_eq!(ask("security:read").await.result(), found());
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_stream_is_redacted_however_it_is_cut() {
    let progress = json!({
        "jsonrpc": "2.0", "method": "notifications/progress",
        "params": { "progressToken": 1, "progress": 1 },
    });
    for size in [1, 7, 4096] {
        let text = format!("{}\n\n{}\n\n", message(&progress), message(&answer(&found())));
        let upstream = Scripted::new(move |_| {
            let pieces: Vec<_> = text
                .as_bytes()
                .chunks(size)
                .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                .collect();
            event_stream(Body::from_stream(futures::stream::iter(pieces)))
        });
        let stack = gate(&upstream).await;
        let reply = stack.caller("").request("tools/call", call()).await;
        let heard = reply.messages();
        assert_eq!(heard.len(), 2);
        assert_redacted(&heard[1]["result"], &reply.body);
        stack.finish().await;
    }
    // One message over several lines of an event.
    let lines = serde_json::to_string_pretty(&answer(&found())).unwrap();
    let data: String = lines.lines().map(|line| format!("data: {line}\r")).collect();
    let upstream = Scripted::new(move |_| event_stream(Body::from(format!("{data}\r"))));
    let stack = gate(&upstream).await;
    let reply = stack.caller("").request("tools/call", call()).await;
    assert_redacted(&reply.messages()[0]["result"], &reply.body);
    stack.finish().await;
}

#[tokio::test]
async fn a_stream_that_is_taken_up_again_is_redacted_by_every_permit() {
    let upstream = Scripted::new(|sent| match sent.http_method {
        Method::GET => events(&[&format!("id: e-2\n{}", message(&answer(&found())))]),
        _ => events(&["id: e-1\nretry: 10\ndata: "]),
    });
    let stack = gate(&upstream).await;
    // What the call was permitted by is not known any more.
    for scopes in ["customer:read", "security:read"] {
        let caller = stack.caller(scopes);
        let begun = caller.request("tools/call", call()).await;
        let event = begun.body.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
        let resumed = caller.header("last-event-id", event).send(Method::GET, None).await;
        assert_redacted(&resumed.messages()[0]["result"], &resumed.body);
    }
    stack.finish().await;
}

/// Makes the task `t-1`, and tells what came of it as `told` says.
fn with_task(modern: bool, told: impl Fn(&Sent) -> Response + Send + Sync + 'static) -> Scripted {
    let task = json!({ "taskId": "t-1", "status": "working", "statusMessage": SECRET });
    Scripted::new(move |sent| match sent.method() {
        "tools/call" if modern => {
            let mut made = task.clone();
            made["resultType"] = json!("task");
            sent.result(&made)
        }
        "tools/call" => sent.result(&json!({ "task": task })),
        _ => told(sent),
    })
}

/// A task that is done, with its result in it.
fn done() -> Value {
    json!({ "taskId": "t-1", "status": "completed", "statusMessage": SECRET, "result": found() })
}

#[tokio::test]
async fn what_comes_of_a_legacy_task_is_redacted() {
    let upstream = with_task(false, |sent| match sent.method() {
        "tasks/result" => {
            let mut result = found();
            result["_meta"] = json!({
                "io.modelcontextprotocol/related-task": { "taskId": "t-1" },
                "com.example/raw": SECRET,
            });
            sent.result(&result)
        }
        "tasks/list" => sent.result(&json!({ "tasks": [done()] })),
        "tasks/get" => sent.result(&done()),
        _ => {
            let status = "notifications/tasks/status";
            let told = json!({ "jsonrpc": "2.0", "method": status, "params": done() });
            events(&[&message(&told)])
        }
    });
    let stack = gate(&upstream).await;
    let alice = stack.caller("security:read");
    let made = alice.request("tools/call", call()).await.result();
    let task = made["task"]["taskId"].as_str().unwrap();
    assert_ne!(task, "t-1");
    let params = || json!({ "taskId": task });
    let reply = alice.request("tasks/result", params()).await;
    assert_redacted(&reply.result(), &reply.body);
    let related = &reply.result()["_meta"]["io.modelcontextprotocol/related-task"]["taskId"];
    assert_eq!(related, task);
    let reply = alice.request("tasks/get", params()).await;
    assert_redacted(&reply.result()["result"], &reply.body);
    let reply = alice.request("tasks/list", json!({})).await;
    assert_redacted(&reply.result()["tasks"][0]["result"], &reply.body);
    let reply = alice.send(Method::GET, None).await;
    let told = &reply.messages()[0]["params"];
    assert_redacted(&told["result"], &reply.body);
    assert_eq!((&told["taskId"], &told["status"]), (&json!(task), &json!("completed")));
    stack.finish().await;
}

#[tokio::test]
async fn what_comes_of_a_modern_task_is_redacted() {
    let upstream = with_task(true, |sent| match sent.method() {
        "tasks/get" => sent.result(&done()),
        _ => {
            let mut params = done();
            params["_meta"] = json!({ "io.modelcontextprotocol/subscriptionId": 1 });
            let told =
                json!({ "jsonrpc": "2.0", "method": "notifications/tasks", "params": params });
            events(&[&message(&told)])
        }
    });
    let stack = gate(&upstream).await;
    let alice = stack.caller("");
    let made = alice.modern_request("tools/call", call()).await;
    assert!(!made.body.contains(SECRET), "{}", made.body);
    let task = made.result()["taskId"].clone();
    let asking = alice.clone().header("mcp-name", task.as_str().unwrap());
    let reply = asking.modern_request("tasks/get", json!({ "taskId": task })).await;
    assert_redacted(&reply.result()["result"], &reply.body);
    let notifications = json!({ "notifications": { "taskIds": [task] } });
    let reply = alice.modern_request("subscriptions/listen", notifications).await;
    let told = &reply.messages()[0]["params"];
    assert_redacted(&told["result"], &reply.body);
    assert_eq!(told["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    stack.finish().await;
}

/// What a caller reads of an upstream that answers with this text.
async fn told(caller: &Caller<'_>) -> Reply {
    let reply = caller.request("tools/call", call()).await;
    assert!(!reply.body.contains(SECRET), "{}", reply.body);
    reply
}

#[tokio::test]
async fn errors_tell_nothing_either() {
    let error = json!({ "code": -32000, "message": SECRET, "data": { "result": found() } });
    for status in [StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND] {
        let error = error.clone();
        let upstream = Scripted::new(move |_| {
            let answer = json!({ "jsonrpc": "2.0", "id": 1, "error": error, "more": SECRET });
            (status, [("content-type", "application/json")], answer.to_string()).into_response()
        });
        let stack = gate(&upstream).await;
        let reply = told(&stack.caller("")).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.json()["error"]["code"], -32000);
        stack.finish().await;
    }
    let mut failed = found();
    failed["isError"] = json!(true);
    let upstream = Scripted::new(move |sent| sent.result(&failed));
    let stack = gate(&upstream).await;
    let reply = told(&stack.caller("")).await;
    assert_redacted(&reply.result(), &reply.body);
    assert_eq!(reply.result()["isError"], true);
    stack.finish().await;
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_does_not_pass() {
    let both = format!(r#""result":{{}},"error":{{"code":1,"message":"{SECRET}"}}"#);
    let in_result = |members: &str| format!(r#""result":{{{members}}}"#);
    let refused = [
        both,
        format!(r#""result":{{}},"Result":{{"notes":"{SECRET}"}}"#),
        in_result(&format!(r#""structuredContent":{{"notes":1,"notes":"{SECRET}"}}"#)),
        in_result(&format!(
            r#""structuredContent":{{}},"structuredContent":{{"notes":"{SECRET}"}}"#
        )),
        in_result(&format!(r#""content":"{SECRET}""#)),
        in_result(&format!(r#""structuredContent":{{"a":"\ud800{SECRET}"}}"#)),
        format!(r#""result":["{SECRET}"]"#),
    ];
    let redacted = [
        in_result(&format!(r#""structuredContent":{{"Notes":"{SECRET}","NOTES":"{SECRET}"}}"#)),
        in_result(&format!(r#""StructuredContent":{{"notes":"{SECRET}"}}"#)),
        in_result(&format!(
            r#""structuredContent":[[{{"contact_info":[{{"email":"{SECRET}"}}]}}]]"#
        )),
        in_result(&format!(r#""structuredContent":{{"not\u0065s":"{SECRET}"}}"#)),
        in_result(&format!(r#""content":[{{"type":"text","text":"{SECRET}"}}]"#)),
        in_result(&format!(
            r#""content":[{{"type":"text","text":"{{\"notes\":1,\"notes\":\"{SECRET}\"}}"}}]"#
        )),
    ];
    for (members, refused) in
        refused.into_iter().map(|m| (m, true)).chain(redacted.into_iter().map(|m| (m, false)))
    {
        for streamed in [false, true] {
            let answer = format!(r#"{{"jsonrpc":"2.0","id":1,{members}}}"#);
            let upstream = Scripted::new(move |_| match streamed {
                true => events(&[&format!("data: {answer}")]),
                false => ([("content-type", "application/json")], answer.clone()).into_response(),
            });
            let stack = gate(&upstream).await;
            let reply = told(&stack.caller("")).await;
            let json = if streamed { reply.messages().remove(0) } else { reply.json() };
            let reason = json.pointer("/error/data/reason").and_then(Value::as_str);
            let expected = refused.then_some("upstream-answer");
            assert_eq!(reason, expected, "{members}: {}", reply.body);
            stack.finish().await;
        }
    }
}
