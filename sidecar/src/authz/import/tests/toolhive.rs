//! What becomes of ToolHive's policies.

use super::*;

#[test]
fn scopes_become_ours() {
    hold(
        Neighbour::ToolHive,
        &[
            (
                r#"permit (principal, action == Action::"call_tool", resource == Tool::"get_weather");"#,
                r#"permit (principal, action == Mcp::Action::"get_weather", resource is Mcp::Tool);"#,
                "",
            ),
            (
                r#"permit (principal == Client::"alice", action == Action::"call_tool", resource in MCP::"hive");"#,
                r#"permit (principal == Mcp::OAuthUser::"alice", action in Mcp::Action::"call_tool", resource is Mcp::Tool in Mcp::Server::"weather");"#,
                "the server `hive` is the upstream `weather` here",
            ),
            (
                r#"permit (principal in THVGroup::"ops", action in [Action::"get_prompt", Action::"read_resource"], resource);"#,
                r#"permit (principal in Mcp::Group::"ops", action in [Mcp::Action::"get_prompt", Mcp::Action::"read_resource"], resource);"#,
                "",
            ),
            (
                r#"permit (principal, action == Action::"get_prompt", resource == Prompt::"greeting");"#,
                r#"permit (principal, action in Mcp::Action::"get_prompt", resource == Mcp::Prompt::"greeting");"#,
                "",
            ),
            (
                r#"permit (principal, action, resource == Resource::"file:///a");"#,
                r#"permit (principal, action in Mcp::Action::"read_resource", resource == Mcp::Resource::"file:///a");"#,
                "",
            ),
            (
                r#"permit (principal, action == Action::"list_tools", resource == FeatureType::"tool");"#,
                r#"permit (principal, action == Mcp::Action::"tools/list", resource is Mcp::Server);"#,
                "",
            ),
            (
                r#"permit (principal is Client in THVGroup::"ops", action == Action::"call_tool", resource) when { [Tool::"refund", Tool::"get_weather"].contains(resource) };"#,
                r#"permit (principal is Mcp::OAuthUser in Mcp::Group::"ops", action in [Mcp::Action::"refund", Mcp::Action::"get_weather"], resource is Mcp::Tool);"#,
                "",
            ),
            (
                r#"forbid (principal, action, resource) when { principal.claim_sub == "x" && resource == Tool::"refund" };"#,
                r#"forbid (principal, action == Mcp::Action::"refund", resource is Mcp::Tool) when { principal.id == "x" };"#,
                "",
            ),
            (
                r#"permit (principal, action, resource);"#,
                r#"permit (principal, action in [Mcp::Action::"call_tool", Mcp::Action::"get_prompt", Mcp::Action::"read_resource", Mcp::Action::"tools/list", Mcp::Action::"prompts/list", Mcp::Action::"resources/list"], resource);"#,
                "what ToolHive decides",
            ),
            (
                r#"forbid (principal, action, resource) unless { principal.claim_iss == "https://a" };"#,
                r#"forbid (principal, action, resource) unless { principal.iss == "https://a" };"#,
                "",
            ),
            (
                r#"permit (principal, action == Action::"call_tool", resource == Tool::"nothing");"#,
                "unrecognized action",
                "",
            ),
            (
                r#"permit (principal, action == Hive::Action::"call_tool", resource);"#,
                "none of ToolHive's",
                "",
            ),
            (r#"permit (principal is Robot, action, resource);"#, "`Robot`", ""),
            (
                r#"permit (principal, action == Action::"list_tools", resource == Tool::"refund");"#,
                "to list one thing",
                "",
            ),
        ],
    );
}

/// Conditions on calls of one tool, with what becomes of them.
fn hold_on(tool: &str, rows: &[(&str, &str, &str)]) {
    let rows: Vec<(String, String, &str)> = rows
        .iter()
        .map(|(theirs, ours, note)| {
            let effect = if theirs.starts_with("forbid") { "forbid" } else { "permit" };
            let condition = theirs.trim_start_matches("forbid ");
            let theirs = format!(
                r#"{effect} (principal, action == Action::"call_tool", resource == Tool::"{tool}") {condition};"#
            );
            let ours = match ours.starts_with("when") || ours.starts_with("unless") {
                true => format!(
                    r#"{effect} (principal, action == Mcp::Action::"{tool}", resource is Mcp::Tool) {ours};"#
                ),
                false => (*ours).to_owned(),
            };
            (theirs, ours, *note)
        })
        .collect();
    let rows: Vec<_> = rows.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), *c)).collect();
    hold(Neighbour::ToolHive, &rows);
}

#[test]
fn claims_become_ours() {
    hold_on(
        "get_weather",
        &[
            (
                r#"when { principal.claim_department == "eng" && context.claim_region == "eu" }"#,
                r#"when { principal.hasTag("department") && principal.getTag("department") == "eng" && principal.hasTag("region") && principal.getTag("region") == "eu" }"#,
                "",
            ),
            (
                r#"when { principal has claim_department && principal.claim_department == "eng" }"#,
                r#"when { principal.hasTag("department") && principal.getTag("department") == "eng" }"#,
                "",
            ),
            (
                r#"forbid when { principal.claim_department == "sales" }"#,
                r#"when { if principal.hasTag("department") then principal.getTag("department") == "sales" else true }"#,
                "may be absent, and then it refuses",
            ),
            (
                r#"unless { principal.claim_department == "sales" }"#,
                r#"unless { if principal.hasTag("department") then principal.getTag("department") == "sales" else true }"#,
                "may be absent, and then it refuses",
            ),
            (
                r#"forbid unless { principal.claim_a == "x" || !(principal.claim_b == "y") }"#,
                r#"unless { principal.hasTag("a") && principal.getTag("a") == "x" || !(if principal.hasTag("b") then principal.getTag("b") == "y" else true) }"#,
                "may be absent",
            ),
            (
                r#"when { principal.claimset_scope.contains("weather:read") && principal.claimset_roles.containsAny(["a", "b"]) }"#,
                r#"when { principal.scopes.contains("weather:read") && principal.roles.containsAny(["a", "b"]) }"#,
                "",
            ),
            (
                r#"when { principal has claimset_scopes && principal.claimset_scopes.contains("weather:read") }"#,
                r#"when { principal.scopes.contains("weather:read") }"#,
                "",
            ),
            (
                r#"when { principal.claim_roles.contains("admin") && principal.claim_groups.contains("ops") }"#,
                r#"when { principal.roles.contains("admin") && principal in Mcp::Group::"ops" }"#,
                "",
            ),
            (
                r#"when { principal in THVGroup::"ops" || principal.claim_azp == "app" }"#,
                r#"when { principal in Mcp::Group::"ops" || principal.client.id == "app" }"#,
                "",
            ),
            (
                r#"when { principal.claim_scope like "*weather*" }"#,
                r#"when { principal.scopes.contains("weather") }"#,
                "`weather` is asked for as a whole word",
            ),
            (r#"forbid when { principal.claim_scope like "*trial*" }"#, "would refuse less", ""),
            (r#"when { principal.claim_scope == "a" }"#, "as one text", ""),
            (r#"when { principal.claimset_teams.contains("a") }"#, "`teams` as a set", ""),
            (r#"when { principal.claim_level > 3 }"#, "is not valid", ""),
            (r#"when { principal.claim_aud == "a" }"#, "no policy sees", ""),
            (r#"when { context == context }"#, "`context` in a way", ""),
            (r#"when { context.operation == "call" }"#, "`context.operation`", ""),
        ],
    );
}

#[test]
fn arguments_become_ours() {
    hold_on(
        "refund",
        &[
            (
                r#"when { context.arg_count < 10 && resource.arg_reason == "late" }"#,
                r#"when { context.input.count < 10 && context.input has reason && context.input.reason == "late" }"#,
                "",
            ),
            (
                r#"forbid when { context.arg_amount > 100 }"#,
                r#"when { context.input.amount.greaterThan(decimal("100.0")) }"#,
                "",
            ),
            (
                r#"forbid when { context.arg_count.greaterThanOrEqual(decimal("5.00")) || context.arg_urgent }"#,
                r#"when { context.input.count >= 5 || (if context.input has urgent then context.input.urgent else true) }"#,
                "may be absent",
            ),
            (
                r#"when { context has arg_reason && context.arg_reason like "late*" }"#,
                r#"when { context.input has reason && context.input.reason like "late*" }"#,
                "",
            ),
            (
                r#"unless { context has arg_items_present && context.arg_items_present == true }"#,
                r#"unless { context.input has items && context.input has items }"#,
                "",
            ),
            (
                r#"when { resource.readOnlyHint == true && resource has destructiveHint && !resource.destructiveHint }"#,
                r#"when { resource.claims has readOnly && resource.claims.readOnly == true && resource.claims has destructive && !resource.claims.destructive }"#,
                "",
            ),
            (
                r#"forbid when { resource.destructiveHint }"#,
                r#"when { if resource.claims has destructive then resource.claims.destructive else true }"#,
                "may be absent",
            ),
            (r#"when { resource.name == "refund" }"#, r#"when { resource.name == "refund" }"#, ""),
            (r#"when { context.arg_items == 1 }"#, "`items` is of type `Set` here", ""),
            (r#"when { context.arg_on == "2026-01-01" }"#, "`on` is of type `datetime` here", ""),
            (r#"forbid when { context.arg_nothing == 1 }"#, "has an argument `nothing`", ""),
            (r#"when { context.arg_reason > 3 }"#, "is not valid", ""),
            (r#"when { resource.feature == "tool" }"#, "`resource.feature`", ""),
        ],
    );
}

#[test]
fn policies_on_many_tools_look_only_at_what_there_is() {
    hold(
        Neighbour::ToolHive,
        &[
            (
                r#"permit (principal, action == Action::"call_tool", resource) when { context.arg_city == "Oslo" };"#,
                r#"permit (principal, action in Mcp::Action::"call_tool", resource is Mcp::Tool) when { context.input has city && context.input.city == "Oslo" };"#,
                "",
            ),
            (
                r#"forbid (principal, action, resource) when { resource.destructiveHint == true };"#,
                r#"forbid (principal, action in Mcp::Action::"call_tool", resource is Mcp::Tool) when { if resource.claims has destructive then resource.claims.destructive == true else true };"#,
                "may be absent",
            ),
            (
                r#"permit (principal, action, resource) when { action == Action::"list_tools" || action in [Action::"call_tool"] };"#,
                r#"permit (principal, action in [Mcp::Action::"call_tool", Mcp::Action::"get_prompt", Mcp::Action::"read_resource", Mcp::Action::"tools/list", Mcp::Action::"prompts/list", Mcp::Action::"resources/list"], resource) when { action == Mcp::Action::"tools/list" || action in Mcp::Action::"call_tool" };"#,
                "what ToolHive decides",
            ),
            (
                r#"permit (principal, action == Action::"get_prompt", resource) when { context.arg_tone == "kind" };"#,
                r#"permit (principal, action in Mcp::Action::"get_prompt", resource is Mcp::Prompt) when { context.input has tone && context.input.tone == "kind" };"#,
                "",
            ),
        ],
    );
}

const CONFIGURATION: &str = r#"
version: "1.0"
type: cedarv1
cedar:
  policies:
    - 'permit(principal in Team::"ops", action == Action::"call_tool", resource == Tool::"refund");'
    - |
      // Two in one.
      permit(principal, action == Action::"list_tools", resource);
      permit(principal, action == Action::"call_tool", resource == Tool::"nothing");
  entities_json: |
    [{"uid": {"type": "Team", "id": "ops"}, "attrs": {}, "parents": [{"type": "Team", "id": "staff"}]},
     {"uid": {"type": "Tool", "id": "refund"}, "attrs": {"owner": "x"}, "parents": []}]
  group_entity_type: Team
  group_claim_name: https://example.com/groups
"#;

#[test]
fn configurations_are_read_in_both_forms() {
    let of_yaml = read(Neighbour::ToolHive, "a.yaml", CONFIGURATION, &home()).unwrap();
    let json: Value = serde_saphyr::from_str(CONFIGURATION).unwrap();
    let of_json = read(Neighbour::ToolHive, "a.yaml", &json.to_string(), &home()).unwrap();
    assert_eq!(json!(of_yaml), json!(of_json));
    let places: Vec<&str> = of_yaml.statements.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(places, ["policies[0]", "policies[1] line 2", "policies[1] line 3"]);
    assert!(of_yaml.text().contains(r#"principal in Mcp::Group::"ops""#));
    assert!(of_yaml.text().contains("// Two in one.\n@id(\"imported-2\")"));
    assert_eq!(
        json!(of_yaml.entities),
        json!([{ "uid": { "type": "Mcp::Group", "id": "ops" }, "attrs": {},
            "parents": [{ "type": "Mcp::Group", "id": "staff" }] }])
    );
    assert!(of_yaml.notes[0].contains("claims = { groups = \"https://example.com/groups\" }"));
    assert!(of_yaml.left[0].contains("Tool::\"refund\"") && of_yaml.left.len() == 1);
    assert!(!of_yaml.is_whole());
}
