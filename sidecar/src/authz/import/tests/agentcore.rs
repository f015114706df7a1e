//! What becomes of AgentCore's policies.

use super::*;

fn statement(effect: &str, tool: &str, conditions: &str) -> String {
    format!(
        r#"{effect} (principal is AgentCore::OAuthUser, action == AgentCore::Action::"{tool}", resource == AgentCore::Gateway::"arn:aws:x") {conditions};"#
    )
}

/// A condition on refunds, with what becomes of it and what is said.
fn hold_conditions(rows: &[(&str, &str, &str)]) {
    let rows: Vec<(String, String, String)> = rows
        .iter()
        .map(|(theirs, ours, note)| {
            let effect = if theirs.starts_with("forbid") { "forbid" } else { "permit" };
            let condition = theirs.trim_start_matches("forbid ");
            let ours = match ours.starts_with("when") || ours.starts_with("unless") {
                true => format!(
                    r#"{effect} (principal is Mcp::OAuthUser, action == Mcp::Action::"refund", resource is Mcp::Tool) {ours};"#
                ),
                false => (*ours).to_owned(),
            };
            let note = format!("the target `T` is the upstream here{note}");
            let note = if ours.starts_with(effect) { note } else { String::new() };
            (statement(effect, "T___refund", condition), ours, note)
        })
        .collect();
    let rows: Vec<_> = rows.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    hold(Neighbour::AgentCore, &rows);
}

#[test]
fn conditions_become_ours() {
    hold_conditions(&[
        (
            r#"when { principal.hasTag("role") && principal.getTag("role") == "admin" }"#,
            r#"when { principal.hasTag("role") && principal.getTag("role") == "admin" }"#,
            "",
        ),
        (
            r#"when { principal.hasTag("scope") && principal.getTag("scope") like "*refund:write*" }"#,
            r#"when { principal.scopes.contains("refund:write") }"#,
            "; the scope `refund:write` is asked for as a whole word now",
        ),
        (
            r#"when { principal.hasTag("scope") && (principal.getTag("scope") like "*a*" || principal.getTag("scope") like "*b*") && context.input.count < 3 }"#,
            r#"when { (principal.scopes.contains("a") || principal.scopes.contains("b")) && context.input.count < 3 }"#,
            "; the scope `a`",
        ),
        (
            r#"forbid unless { principal.hasTag("scope") && principal.getTag("scope") like "*pay*" }"#,
            r#"unless { principal.scopes.contains("pay") }"#,
            "; the scope `pay`",
        ),
        (r#"when { principal.hasTag("scope") }"#, r#"when { !principal.scopes.isEmpty() }"#, ""),
        (
            r#"when { principal.id == "alice" && principal.hasTag("sub") && principal.getTag("client_id") == "app" }"#,
            r#"when { principal.id == "alice" && true && principal.client.id == "app" }"#,
            "",
        ),
        (
            r#"when { context.input.amount.lessThan(decimal("500.00")) && context.input.count <= 5 }"#,
            r#"when { context.input.amount.lessThan(decimal("500.00")) && context.input.count <= 5 }"#,
            "",
        ),
        (
            r#"when { context.input has reason && context.input.reason != "" } unless { context.input has urgent && context.input.urgent }"#,
            r#"when { context.input has reason && context.input.reason != "" } unless { context.input has urgent && context.input.urgent }"#,
            "",
        ),
        (
            r#"when { context.system.now > datetime("2026-01-01T00:00:00Z") }"#,
            r#"when { context.system.now > datetime("2026-01-01T00:00:00Z") }"#,
            "",
        ),
        (
            r#"when { context.input has items && context.input.items.contains("a") }"#,
            r#"when { context.input has items && context.input.items.contains("a") }"#,
            "",
        ),
        (
            r#"when { action == AgentCore::Action::"T__refund" && resource == AgentCore::Gateway::"arn" }"#,
            r#"when { action == Mcp::Action::"refund" && resource is Mcp::Tool }"#,
            "",
        ),
    ]);
}

#[test]
fn conditions_that_mean_something_else_here_are_left() {
    hold_conditions(&[
        (
            r#"forbid when { principal.hasTag("scope") && principal.getTag("scope") like "*trial*" }"#,
            "`*trial*`; the whole word `trial` would refuse less",
            "",
        ),
        (
            r#"unless { principal.hasTag("scope") && principal.getTag("scope") like "*trial*" }"#,
            "would refuse less",
            "",
        ),
        (
            r#"when { principal.hasTag("scope") && principal.getTag("scope") like "*a b*" }"#,
            "one whole scope",
            "",
        ),
        (
            r#"when { principal.hasTag("scope") && principal.getTag("scope") like "a*" }"#,
            "one whole scope",
            "",
        ),
        (
            r#"when { principal.hasTag("scope") && principal.getTag("scope") == "a b" }"#,
            "as one text",
            "",
        ),
        (
            r#"when guardrails { BedrockGuardrails::PromptAttack([context.input.reason]) > 0.5 }"#,
            "`guardrails`, which is no Cedar",
            "",
        ),
        (
            r#"when temporal { formerly within 1h AgentCore::Action::"X___approve"::response{ output.id: context.input.id } }"#,
            "`temporal`",
            "",
        ),
        (r#"when { context.input.nothing == 1 }"#, "is not valid", ""),
        (r#"when { context.output.x == 1 }"#, "`context.output`", ""),
        (
            r#"when { context.input has on && context.input.on == "2026-01-01" }"#,
            "is not valid",
            "",
        ),
        (r#"when { principal == AgentCore::IamEntity::"arn" }"#, "AWS credentials", ""),
        (r#"when { resource.id == "x" }"#, "`resource.id`", ""),
        (r#"when { [resource].contains(resource) }"#, "`resource` in a way", ""),
    ]);
}

#[test]
fn scopes_become_ours() {
    hold(
        Neighbour::AgentCore,
        &[
            (
                r#"permit (principal == AgentCore::OAuthUser::"alice", action in [AgentCore::Action::"T___refund", AgentCore::Action::"T___get_weather"], resource == AgentCore::Gateway::"arn");"#,
                r#"permit (principal == Mcp::OAuthUser::"alice", action in [Mcp::Action::"refund", Mcp::Action::"get_weather"], resource is Mcp::Tool);"#,
                "the target `T` is the upstream",
            ),
            (
                r#"permit (principal, action, resource is AgentCore::Gateway);"#,
                r#"permit (principal, action in Mcp::Action::"call_tool", resource is Mcp::Tool);"#,
                "",
            ),
            (
                r#"forbid (principal, action in AgentCore::Action::"CallTool", resource == AgentCore::Gateway::"a");"#,
                r#"forbid (principal, action in Mcp::Action::"call_tool", resource is Mcp::Tool);"#,
                "",
            ),
            (
                r#"permit (principal is AgentCore::IamEntity, action, resource == AgentCore::Gateway::"a");"#,
                "AWS credentials",
                "",
            ),
            (
                r#"permit (principal, action == AgentCore::Action::"InvokeLLM", resource == AgentCore::Gateway::"a");"#,
                "is no target's tool",
                "",
            ),
            (
                r#"permit (principal, action == AgentCore::Action::"T___nothing", resource == AgentCore::Gateway::"a");"#,
                "unrecognized action",
                "",
            ),
            (
                r#"permit (principal, action == AgentCore::Action::"T___refund", resource == AgentCore::Runtime::"a");"#,
                "`AgentCore::Runtime`",
                "",
            ),
        ],
    );
}
