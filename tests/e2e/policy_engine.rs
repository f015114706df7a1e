//! May they, about arguments: facts, tags, groups, scopes that imply others, pins, policies in the
//! shadow. Each through the gate, with the upstream watched.

/// Definitions that change under way.
mod pins;
/// Policies that are edited while calls are decided.
mod reloading;

use harness::{Offered, Stack, StackBuilder, scripted::Scripted};
use serde_json::{Value, json};
use sidecar::Decision;

const PROTOCOL: &str = r#"
    @id("protocol") permit (principal, action in [Mcp::Action::"protocol", Mcp::Action::"list"], resource);
"#;

fn tools() -> Vec<Value> {
    let object = |properties: Value, required: Value| json!({ "type": "object", "properties": properties, "required": required });
    let text = json!({ "type": "string" });
    let amounts = json!({ "type": "array", "items": { "type": "number" } });
    vec![
        json!({ "name": "pay", "description": "Pays.",
            "inputSchema": object(json!({ "amounts": amounts, "to": text }), json!(["amounts"])) }),
        json!({ "name": "read-file", "inputSchema": object(json!({ "path": text }), json!(["path"])) }),
        json!({ "name": "read-files",
            "inputSchema": object(json!({ "paths": { "type": "array", "items": text } }), json!(["paths"])) }),
        json!({ "name": "fetch", "annotations": { "readOnlyHint": true },
            "inputSchema": object(json!({ "url": text, "headers": { "type": "object", "additionalProperties": text } }), json!(["url"])) }),
    ]
}

/// A server of these tools that answers every call, and a gate with these policies before it.
fn gate(policies: &str) -> (Scripted, StackBuilder) {
    let upstream = Scripted::new(|sent| match sent.body["method"].as_str() {
        Some("tools/list") => sent.result(&json!({ "tools": tools() })),
        _ => sent.result(&json!({ "content": [{ "type": "text", "text": "done" }] })),
    });
    let stack = Stack::with()
        .upstream(upstream.router())
        .offered(&Offered::of(&tools()))
        .policies(&format!("{PROTOCOL}{policies}"));
    (upstream, stack)
}

/// Which of these calls are permitted; the upstream sees these and no others.
async fn permitted(policies: &str, tool: &str, calls: &[Value]) -> Vec<bool> {
    let (upstream, stack) = gate(policies);
    let stack = stack.start().await;
    let caller = stack.caller("customer:read");
    let mut outcomes = Vec::new();
    for arguments in calls {
        let reply = caller.call(tool, arguments.clone()).await;
        outcomes.push(reply.body.contains("done"));
    }
    let seen = upstream.sent().iter().filter(|sent| sent.body["method"] == "tools/call").count();
    assert_eq!(seen, outcomes.iter().filter(|permitted| **permitted).count());
    stack.finish().await;
    outcomes
}

#[tokio::test]
async fn a_sum_above_a_bound_needs_a_larger_scope() {
    let (upstream, stack) = gate(
        r#"@id("small") permit (principal, action == Mcp::Action::"pay", resource)
             when { principal.scopes.contains("customer:read") && context.facts.amounts.sum <= 500000 };
           @id("large") permit (principal, action == Mcp::Action::"pay", resource)
             when { principal.scopes.contains("account:calculate") };"#,
    );
    let stack = stack.start().await;
    let caller = stack.caller("customer:read");
    for (amounts, is_small) in [
        (json!([4999.99, 0.01]), true),
        (json!([4999.99, 0.011]), false),
        (json!([5000.01]), false),
        (json!([1e300, -1e300]), true),
        (json!([1e300]), false),
        (json!([-1, 5001]), true),
        (json!([]), true),
    ] {
        let reply = caller.call("pay", json!({ "amounts": amounts })).await;
        assert_eq!(reply.body.contains("done"), is_small, "{amounts}: {}", reply.body);
        if !is_small {
            assert_eq!(reply.reason(), "insufficient-scope", "{amounts}");
            let challenge = reply.challenge().unwrap();
            assert!(challenge.contains(r#"scope="account:calculate""#), "{challenge}");
        }
    }
    assert_eq!(upstream.sent().len(), 4);
    stack.finish().await;
}

#[tokio::test]
async fn only_paths_under_a_folder() {
    let one = r#"@id("public") permit (principal, action == Mcp::Action::"read-file", resource)
                 when { context.facts.path.path like "/srv/public/*" };"#;
    let calls = [
        "/srv/public/a.txt",
        "/srv/public/../secret",
        "/srv/public/..",
        "/srv/publicity/x",
        "srv/public/a.txt",
        "/srv/./public//b/c",
        "/srv/public/a\\..\\..\\x",
        "file:///srv/public/a.txt",
        "file:///srv/public/%2e%2e/secret",
        "",
    ];
    let calls = calls.map(|path| json!({ "path": path }));
    let found = permitted(one, "read-file", &calls).await;
    assert_eq!(found, [true, false, false, false, false, true, false, true, false, false]);

    let all = r#"@id("public") permit (principal, action == Mcp::Action::"read-files", resource)
                 when { context.facts.paths.path like "/srv/public/*" || context.facts.paths.path == "/srv/public" };"#;
    let calls = [
        json!({ "paths": ["/srv/public/a", "/srv/public/b"] }),
        json!({ "paths": ["/srv/public/a", "/srv/public/../b"] }),
        json!({ "paths": ["/srv/public/a", "b"] }),
        json!({ "paths": [] }),
    ];
    assert_eq!(permitted(all, "read-files", &calls).await, [true, false, false, false]);
}

#[tokio::test]
async fn only_hosts_that_are_listed() {
    let policies = r#"
        @id("hosts") permit (principal, action == Mcp::Action::"fetch", resource)
        when { ["example.com", "example.org"].contains(context.facts.url.host)
               && context.facts.url.scheme == "https" && context.facts.url.port == 443 };
        @id("no-cookies") forbid (principal, action == Mcp::Action::"fetch", resource)
        when { context.facts has headers && context.facts.headers.names.containsAny(["cookie", "Cookie"]) };"#;
    let calls = [
        json!({ "url": "https://example.com/x" }),
        json!({ "url": "https://EXAMPLE.org" }),
        json!({ "url": "http://example.com/" }),
        json!({ "url": "https://example.com:8443/" }),
        json!({ "url": "https://example.com@evil.example/" }),
        json!({ "url": "https://example.com\\@evil.example/" }),
        json!({ "url": "https://example.com.evil.example/" }),
        json!({ "url": "https://example.com/", "headers": { "accept": "x" } }),
        json!({ "url": "https://example.com/", "headers": { "cookie": "x" } }),
    ];
    let found = permitted(policies, "fetch", &calls).await;
    assert_eq!(found, [true, true, false, false, false, false, false, true, false]);
}

#[tokio::test]
async fn arguments_are_held_against_the_tools_own_schema_first() {
    let (upstream, stack) = gate(r#"@id("all") permit (principal, action, resource);"#);
    let stack = stack.start().await;
    let caller = stack.caller("");
    for (tool, arguments, path) in [
        ("pay", json!({ "amounts": ["1"] }), "amounts.0"),
        ("pay", json!({}), "amounts"),
        ("pay", json!({ "amounts": [1], "also": 1 }), "also"),
        ("fetch", json!({ "url": "x", "headers": { "a": 1 } }), "headers.a"),
        ("fetch", json!({ "url": null }), "url"),
    ] {
        let reply = caller.refused_call(tool, arguments.clone()).await;
        assert_eq!(reply.reason(), "invalid-arguments", "{arguments}");
        assert_eq!(reply.json()["error"]["data"]["path"], path, "{}", reply.body);
    }
    assert!(upstream.sent().is_empty());
    stack.finish().await;
}

#[tokio::test]
async fn whoever_asks_is_seen_with_tags_groups_of_groups_and_implied_scopes() {
    let (_, stack) = gate(
        r#"@id("staff") permit (principal in Mcp::Group::"staff", action == Mcp::Action::"pay", resource);
           @id("tagged") permit (principal, action == Mcp::Action::"fetch", resource)
             when { principal.hasTag("department") && principal.getTag("department") == "sales" };
           @id("implied") permit (principal, action == Mcp::Action::"read-file", resource)
             when { principal.scopes.contains("file:read") };
           @id("claims") permit (principal, action == Mcp::Action::"read-files", resource)
             when { resource.claims has readOnly || context.peer.ip.isLoopback() };"#,
    );
    let stack = stack
        .issuer_settings("claims = { groups = \"groups\" }\n")
        .settings("")
        .policy_settings("scope_hierarchy = { \"file:*\" = [\"file:read\"] }\n")
        .policy_file(
            "entities.json",
            r#"[{ "uid": { "type": "Mcp::Group", "id": "clerks" }, "attrs": {},
                  "parents": [{ "type": "Mcp::Group", "id": "staff" }] }]"#,
        )
        .start()
        .await;
    let bearing = |change: &dyn Fn(&mut Value)| {
        let mut claims = stack.claims("customer:read");
        change(&mut claims);
        stack.bearing(&stack.signing_key().sign(&claims).unwrap())
    };
    let clerk = bearing(&|claims| claims["groups"] = json!(["clerks"]));
    assert!(clerk.call("pay", json!({ "amounts": [1] })).await.body.contains("done"));
    let other = bearing(&|claims| claims["groups"] = json!(["guests"]));
    assert!(!other.call("pay", json!({ "amounts": [1] })).await.body.contains("done"));
    let seller = bearing(&|claims| claims["department"] = json!("sales"));
    assert!(seller.call("fetch", json!({ "url": "x" })).await.body.contains("done"));
    assert!(!clerk.call("fetch", json!({ "url": "x" })).await.body.contains("done"));
    let broad = bearing(&|claims| claims["scope"] = json!("file:*"));
    assert!(broad.call("read-file", json!({ "path": "x" })).await.body.contains("done"));
    assert!(!clerk.call("read-file", json!({ "path": "x" })).await.body.contains("done"));
    assert!(clerk.call("read-files", json!({ "paths": [] })).await.body.contains("done"));
    stack.finish().await;
}

#[tokio::test]
async fn what_a_client_says_of_itself_and_did_before_can_be_held_against_it() {
    let (_, stack) = gate(
        r#"@id("all") permit (principal, action in Mcp::Action::"call_tool", resource);
           @id("not-them") forbid (principal, action, resource)
             when { context.peer has provider && context.peer.provider == "unvetted" };
           @id("enough") forbid (principal, action == Mcp::Action::"pay", resource)
             when { context.history.calls >= 3 };"#,
    );
    let stack = stack.start().await;
    let caller = stack.caller("");
    let call = |provider: &str| {
        let params = json!({ "name": "fetch", "arguments": { "url": "x" },
            "_meta": { "cedargate/provider": provider } });
        caller.request("tools/call", params)
    };
    assert!(call("vetted").await.body.contains("done"));
    assert_eq!(call("unvetted").await.reason(), "denied");
    let pay = || caller.call("pay", json!({ "amounts": [1] }));
    assert!(pay().await.body.contains("done"), "the second call");
    assert!(pay().await.body.contains("done"), "the third");
    assert_eq!(pay().await.reason(), "denied");
    let other = stack.bearing(&{
        let mut claims = stack.claims("");
        claims["sub"] = json!("somebody-else");
        stack.signing_key().sign(&claims).unwrap()
    });
    assert!(other.call("pay", json!({ "amounts": [1] })).await.body.contains("done"));
    stack.finish().await;
}

#[tokio::test]
async fn policies_in_the_shadow_are_counted_and_never_enforced() {
    let (_, stack) = gate(
        r#"@id("all") permit (principal, action == Mcp::Action::"pay", resource);
           @id("cap") @mode("shadow") forbid (principal, action == Mcp::Action::"pay", resource)
             when { context.facts.amounts.sum > 100000 };
           @id("fails") @mode("shadow") forbid (principal, action == Mcp::Action::"fetch", resource)
             when { 9223372036854775807 + 1 > 0 };
           @id("fetches") permit (principal, action == Mcp::Action::"fetch", resource);
           @id("would") @mode("shadow") permit (principal, action == Mcp::Action::"read-file", resource);
           @id("reads") permit (principal, action == Mcp::Action::"read-file", resource)
             when { context.input.path == "x" };"#,
    );
    let mut stack = stack.start().await;
    for (tool, arguments, decision, shadow, flips) in [
        ("pay", json!({ "amounts": [1] }), Decision::Allow, &[] as &[&str], false),
        ("pay", json!({ "amounts": [1000.01] }), Decision::Allow, &["cap"], true),
        ("fetch", json!({ "url": "x" }), Decision::Allow, &["fails"], true),
        ("read-file", json!({ "path": "x" }), Decision::Allow, &["would"], false),
        ("read-file", json!({ "path": "y" }), Decision::Deny, &["would"], true),
    ] {
        drop(stack.caller("").call(tool, arguments.clone()).await);
        let record = stack.latest_decision().await;
        assert_eq!(record.decision, decision, "{tool} {arguments}");
        assert_eq!(
            (&record.shadow_policies[..], record.shadow_flips),
            (&shadow.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()[..], flips),
            "{tool} {arguments}"
        );
        assert!(record.policy_version.as_ref().is_some_and(|version| version.len() == 16));
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_list_says_what_a_call_will_need() {
    let policies = r#"
        @id("pays") @rate_limit("30/minute") @audit("args")
        permit (principal, action == Mcp::Action::"pay", resource)
        when { principal.scopes.contains("customer:read") && context.facts.amounts.sum < 100 };
        @id("fetches") permit (principal, action == Mcp::Action::"fetch", resource)
        when { principal.scopes.contains("ticket:create") };"#;
    for (settings, scopes, expected) in [
        ("", "customer:read", json!({ "pay": ["customer:read"] })),
        ("", "", json!({})),
        (
            "[answers]\nlisting = \"attainable\"\n",
            "",
            json!({ "pay": ["customer:read"], "fetch": ["ticket:create"] }),
        ),
        (
            "[answers]\nlisting = \"attainable\"\n",
            "ticket:create",
            json!({ "pay": ["customer:read"], "fetch": ["ticket:create"] }),
        ),
    ] {
        let (_, stack) = gate(policies);
        let stack = stack.settings(settings).start().await;
        let listed = stack.caller(scopes).request("tools/list", json!({})).await.result();
        let mut found = json!({});
        for tool in listed["tools"].as_array().unwrap() {
            let security = &tool["_meta"]["cedargate/security"];
            found[tool["name"].as_str().unwrap()] = security["requiredScopes"].clone();
            let is_pay = tool["name"] == "pay";
            assert_eq!(security["conditional"], is_pay);
            let limits = (&security["rateLimit"], &security["auditLevel"]);
            let expected = if is_pay {
                (&json!("30/minute"), &json!("args"))
            } else {
                (&Value::Null, &Value::Null)
            };
            assert_eq!(limits, expected);
        }
        assert_eq!(found, expected, "{settings} {scopes}");
        stack.finish().await;
    }
}
