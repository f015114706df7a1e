use harness::{Program, Stack, eventually, free_port};
use serde_json::json;
use sqlx::Row as _;

const SERVER: &str = env!("CARGO_BIN_EXE_customer-mcp-server-under-test");

fn start_server(stack: &Stack, port: u16) -> Program {
    let listen = format!("127.0.0.1:{port}");
    let audience = format!("https://{listen}/mcp");
    let resource = stack.resource();
    let arguments = [
        "--listen",
        &listen,
        "--database",
        "tickets.sqlite",
        "--demo-rows",
        "--certificate",
        "upstream.pem",
        "--key",
        "upstream-key.pem",
        "--assertion-jwks",
        "assertion-jwks.json",
        "--assertion-issuer",
        &resource,
        "--audience",
        &audience,
    ];
    Program::start(SERVER, &arguments, stack.home())
}

#[tokio::test]
async fn a_ticket_survives_a_kill() {
    let port = free_port();
    let stack = Stack::with().upstream_url(&format!("https://127.0.0.1:{port}/mcp")).start().await;
    let caller = stack.caller("ticket:create customer:read");
    let server = start_server(&stack, port);
    eventually("the server answers", async || {
        caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await.status == 200
    })
    .await;

    let ticket = json!({
        "customer_id": "ABC123", "subject": "it leaks", "description": "d", "priority": "high"
    });
    let reply = caller.call("create_support_ticket", ticket).await;
    let id = reply.result()["structuredContent"]["ticket_id"].as_str().unwrap().to_owned();
    server.kill();

    let server = start_server(&stack, port);
    eventually("the server answers again", async || {
        caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await.status == 200
    })
    .await;
    server.kill();

    let store = format!("sqlite://{}", stack.home().join("tickets.sqlite").display());
    let pool = sqlx::SqlitePool::connect(&store).await.unwrap();
    let row = sqlx::query("select subject, created_by from ticket where ticket_id = ?")
        .bind(&id)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>("subject"), "it leaks");
    assert_eq!(row.get::<String, _>("created_by"), "alice", "for whom it was created");
    stack.finish().await;
}
