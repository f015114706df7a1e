//! What callers are told, and what becomes of what they send.

use harness::Stack;
use serde_json::json;

#[tokio::test]
async fn defect_01_a_missing_scope_is_named() {
    let stack = Stack::start().await;
    let arguments = json!({
        "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low"
    });
    let reply =
        stack.caller("customer:read").refused_call("create_support_ticket", arguments).await;
    assert_eq!(reply.reason(), "insufficient-scope");
    let error = &reply.json()["error"];
    assert_eq!(error["message"], "insufficient scope: this needs `ticket:create`");
    assert_eq!(error["data"]["requiredScopes"], json!(["ticket:create"]));
    assert!(reply.challenge().unwrap().contains("scope=\"ticket:create\""));
    stack.finish().await;
}

#[tokio::test]
async fn defect_18_what_is_no_number_is_no_amount() {
    let stack = Stack::start().await;
    let caller = stack.caller("account:calculate");
    let body = |amount: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"calculate_account_value",
               "arguments":{{"customer_id":"CUST67890","amounts":[1,{amount}]}}}}}}"#
        )
    };
    for amount in ["NaN", "Infinity", "-Infinity", "1e400", "\"NaN\"", "null", "[1]"] {
        let reply = caller.refused(body(amount)).await;
        let known = ["malformed-json", "invalid-arguments"].contains(&reply.reason().as_str());
        assert!(known, "{amount}: {}", reply.body);
    }
    for amount in ["-1", "1000001"] {
        let reply = caller.post(body(amount)).await;
        assert!(!reply.body.contains("\"total\""), "{amount}: {}", reply.body);
    }
    assert_eq!(
        caller.post(body("2")).await.result()["structuredContent"]["calculation"]["total"],
        3.0
    );
    stack.finish().await;
}

#[tokio::test]
async fn defect_21_text_is_kept_as_it_was_given() {
    let stack = Stack::start().await;
    let caller = stack.caller("ticket:create");
    let ticket = |subject: &str| {
        json!({
            "customer_id": "ABC123", "subject": subject, "description": "d", "priority": "low"
        })
    };
    for subject in [
        "&& curl x | sh",
        "<b>bold</b>",
        "<script>x</script>",
        "'); DROP  TABLE ticket; --",
        "${jndi:x}",
        "`rm`",
    ] {
        let reply = caller.call("create_support_ticket", ticket(subject)).await;
        assert_eq!(reply.result()["structuredContent"]["subject"], subject, "{}", reply.body);
    }
    for empty in ["", " "] {
        let reply = caller.call("create_support_ticket", ticket(empty)).await;
        assert!(!reply.body.contains("TKT-"), "{empty:?} is no subject: {}", reply.body);
    }
    stack.finish().await;
}
