use harness::{Stack, eventually};
use serde_json::json;

#[tokio::test]
async fn an_edit_takes_effect_while_the_gate_runs() {
    let stack = Stack::start().await;
    let ticket = json!({
        "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "urgent"
    });
    let caller = stack.caller("ticket:create");
    assert_eq!(caller.call("create_support_ticket", ticket.clone()).await.status, 200);

    let file = stack.home().join("policies/tickets.cedar");
    let before = std::fs::read_to_string(&file).unwrap();
    let forbid = r#"
        @id("no-urgent-tickets")
        forbid (principal, action == Mcp::Action::"create_support_ticket", resource)
        when { context.input.priority == "urgent" };
    "#;
    std::fs::write(&file, format!("{before}{forbid}")).unwrap();
    eventually("the new policy forbids", async || {
        caller.call("create_support_ticket", ticket.clone()).await.body.contains("denied")
    })
    .await;

    std::fs::write(&file, "this is not Cedar").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let reply = caller.refused_call("create_support_ticket", ticket.clone()).await;
    assert_eq!(reply.reason(), "denied", "a broken file changes nothing");

    std::fs::write(&file, before).unwrap();
    eventually("the old policy permits again", async || {
        caller.call("create_support_ticket", ticket.clone()).await.body.contains("TKT-")
    })
    .await;
    stack.finish().await;
}
