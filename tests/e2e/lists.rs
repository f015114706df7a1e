use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::post,
};
use harness::Stack;
use serde_json::json;

#[tokio::test]
async fn each_caller_sees_what_it_may_call() {
    let stack = Stack::start().await;
    for (scopes, tools) in [
        ("", vec![]),
        ("customer:read", vec!["get_customer_info", "get_recent_customers"]),
        ("ticket:create", vec!["create_support_ticket"]),
        (
            "customer:read ticket:create account:calculate security:read",
            vec![
                "calculate_account_value",
                "create_support_ticket",
                "get_customer_info",
                "get_recent_customers",
            ],
        ),
    ] {
        let caller = stack.caller(scopes);
        assert_eq!(caller.request("tools/list", json!({})).await.tool_names(), tools, "{scopes}");
        let modern = caller.modern_request("tools/list", json!({})).await;
        assert_eq!(modern.tool_names(), tools, "{scopes}");
        assert_eq!(modern.result()["cacheScope"], "private");
    }
    stack.finish().await;
}

#[tokio::test]
async fn resources_are_listed_to_whom_may_read_them() {
    let stack = Stack::start().await;
    let everyone = stack.caller("customer:read").request("resources/list", json!({})).await;
    assert!(everyone.resource_uris().is_empty());
    let secured = stack.caller("security:read").request("resources/list", json!({})).await;
    assert_eq!(secured.resource_uris(), ["health://status", "security://events"]);
    stack.finish().await;
}

#[tokio::test]
async fn a_tool_with_a_condition_on_its_arguments_is_listed() {
    let stack = Stack::with()
        .policies(
            r#"@id("lists") permit (principal, action in Mcp::Action::"list", resource);
               @id("calm") permit (principal, action == Mcp::Action::"create_support_ticket", resource)
               when { context.input.priority == "low" };"#,
        )
        .start()
        .await;
    let caller = stack.caller("");
    let listed = caller.request("tools/list", json!({})).await.tool_names();
    assert_eq!(listed, ["create_support_ticket"]);
    let ticket = |priority: &str| json!({ "customer_id": "ABC123", "subject": "s", "description": "d", "priority": priority });
    assert_eq!(caller.call("create_support_ticket", ticket("low")).await.status, 200);
    let refused = caller.refused_call("create_support_ticket", ticket("urgent")).await;
    assert_eq!(refused.reason(), "denied");
    stack.finish().await;
}

/// An upstream that answers every list as `answer` says.
fn listing(answer: fn() -> Response) -> Router {
    Router::new().route("/mcp", post(move || std::future::ready(answer())))
}

fn tools() -> serde_json::Value {
    json!([
        { "name": "get_customer_info", "inputSchema": { "type": "object" } },
        { "name": "create_support_ticket", "inputSchema": { "type": "object" } },
        { "name": "unknown_to_the_schema", "inputSchema": { "type": "object" } },
    ])
}

fn list() -> serde_json::Value {
    json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools(), "nextCursor": "p2" } })
}

#[tokio::test]
async fn lists_are_narrowed_in_whatever_form_they_come() {
    let forms: [fn() -> Response; 4] = [
        || ([("content-type", "application/json")], list().to_string()).into_response(),
        || {
            ([("content-type", "Application/JSON; charset=utf-8")], list().to_string())
                .into_response()
        },
        || {
            let text = format!("event: message\r\nid: 1\r\ndata: {}\r\n\r\n", list());
            ([("content-type", "text/event-stream")], text).into_response()
        },
        || {
            let pretty = serde_json::to_string_pretty(&list()).unwrap().replace('\n', "\ndata: ");
            let text = format!("id: 0\ndata:\n\n: alive\n\ndata: {pretty}\n\n");
            ([("content-type", "text/event-stream")], text).into_response()
        },
    ];
    for form in forms {
        let stack = Stack::with().unguarded().upstream(listing(form)).start().await;
        let reply = stack.caller("customer:read").request("tools/list", json!({})).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(reply.body.contains("get_customer_info"), "{}", reply.body);
        assert!(reply.body.contains("p2"), "the cursor stays: {}", reply.body);
        for hidden in ["create_support_ticket", "unknown_to_the_schema"] {
            assert!(!reply.body.contains(hidden), "{}", reply.body);
        }
        stack.finish().await;
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_relayed() {
    let forms: [fn() -> Response; 7] = [
        || ([("content-type", "application/json")], "{\"result\":").into_response(),
        || {
            let text = format!("\u{feff}{}", list());
            ([("content-type", "application/json")], text).into_response()
        },
        || {
            let text = list().to_string().replacen("\"tools\"", "\"tools\":[],\"tools\"", 1);
            ([("content-type", "application/json")], text).into_response()
        },
        || {
            let other = json!({ "jsonrpc": "2.0", "id": 1, "result": { "Tools": tools() } });
            ([("content-type", "application/json")], other.to_string()).into_response()
        },
        || {
            let batch = json!([list()]);
            ([("content-type", "application/json")], batch.to_string()).into_response()
        },
        || ([("content-type", "text/plain")], list().to_string()).into_response(),
        || {
            let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
            (headers, list().to_string()).into_response()
        },
    ];
    for form in forms {
        let stack = Stack::with().unguarded().upstream(listing(form)).start().await;
        let reply = stack.caller("customer:read").request("tools/list", json!({})).await;
        assert_eq!(reply.status, 502, "{}", reply.body);
        assert!(!reply.body.contains("get_customer_info"), "{}", reply.body);
        stack.finish().await;
    }
}
