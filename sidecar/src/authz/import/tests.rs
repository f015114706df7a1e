//! Policies of neighbours, and what becomes of them.

mod agentcore;
mod hostile;
mod toolhive;

use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::authz::{offer::Offer, policies, schema::schema_of};

/// A gate in front of a server of a few tools.
pub(super) fn home() -> Home {
    let tool = |name: &str, properties: Value, required: Value| {
        json!({ "name": name, "inputSchema": {
            "type": "object", "properties": properties, "required": required } })
    };
    let offer = json!({
        "tools": [
            tool("get_weather", json!({ "city": { "type": "string" }, "days": { "type": "integer" } }), json!(["city"])),
            tool("refund", json!({
                "amount": { "type": "number" }, "count": { "type": "integer" }, "reason": { "type": "string" },
                "urgent": { "type": "boolean" }, "items": { "type": "array", "items": { "type": "string" } },
                "on": { "type": "string", "format": "date" },
            }), json!(["amount", "count"])),
            tool("read_file", json!({ "path": { "type": "string" } }), json!(["path"])),
        ],
        "prompts": [{ "name": "greeting", "arguments": [{ "name": "tone" }] }],
    });
    let schema = schema_of(&Offer::read(&offer).unwrap()).into();
    let known = policies::read_schema(&PathBuf::from("schema.cedarschema"), &schema).unwrap();
    Home::with("weather", known)
}

pub(super) fn read(
    from: Neighbour,
    name: &str,
    text: &str,
    home: &Home,
) -> Result<Imported, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    import(from, &path, home)
}

/// The one policy of a file as it is here, without annotations, in one line; or what is said
/// instead. And its notes.
pub(super) fn one(from: Neighbour, text: &str) -> (String, String) {
    let mut imported = read(from, "a.cedar", text, &home()).unwrap();
    assert_eq!(imported.statements.len(), 1, "{text}");
    let Statement { policy, reason, notes, .. } = imported.statements.remove(0);
    let said = match policy {
        Some(policy) => {
            let body = policy.lines().skip_while(|line| line.starts_with('@')).collect::<Vec<_>>();
            one_line(&body.join(" ")).replace("( ", "(").replace(" )", ")")
        }
        None => reason.unwrap(),
    };
    (said, notes.join("; "))
}

/// Holds each policy against what it should become, and against a part of what is said of it.
pub(super) fn hold(from: Neighbour, rows: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (theirs, ours, note) in rows {
        let (said, notes) = one(from, theirs);
        let carried = ours.starts_with("permit") || ours.starts_with("forbid");
        let right = if carried { said == *ours } else { said.contains(ours) };
        if !right || !notes.contains(note) || (note.is_empty() && !notes.is_empty()) {
            wrong.push(format!("{theirs}\n  wanted {ours} ({note})\n  found  {said} ({notes})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ids_and_descriptions_are_kept_where_they_can_be() {
    let text = r#"
        // What the weather is
        // is for everybody.
        @id("weather") @owner("ops")
        permit (principal, action == Action::"call_tool", resource == Tool::"get_weather");
        @id("weather") @description("it's \"mine\"")
        permit (principal, action == Action::"call_tool", resource == Tool::"refund");
        @id("Not Kebab") @mode("shadow")
        forbid (principal, action == Action::"call_tool", resource == Tool::"read_file");
        permit (principal, action == Action::"fly", resource);"#;
    let imported = read(Neighbour::ToolHive, "a.cedar", text, &home()).unwrap();
    let ids: Vec<_> = imported.statements.iter().map(|one| one.id.as_deref()).collect();
    assert_eq!(ids, [Some("weather"), Some("imported-2"), Some("imported-3"), None]);
    assert!(!imported.is_whole() && imported.validated);
    let notes: Vec<&String> = imported.statements.iter().flat_map(|one| &one.notes).collect();
    assert_eq!(
        notes,
        [
            "its annotation `@owner` is dropped",
            "its `@id(\"weather\")` is taken already or not in kebab-case: it is `imported-2` here",
            "its `@id(\"Not Kebab\")` is taken already or not in kebab-case: it is `imported-3` here",
            "its annotation `@mode` is dropped",
        ]
    );
    let wanted = r#"// What the weather is
// is for everybody.
@id("weather")
@description("imported from a.cedar")
permit (
  principal,
  action == Mcp::Action::"get_weather",
  resource is Mcp::Tool
);

@id("imported-2")
@description("it's \"mine\"")
permit (
  principal,
"#;
    assert!(imported.text().starts_with(wanted), "{}", imported.text());
    let last = imported.statements.last().unwrap();
    assert_eq!((last.place.as_str(), last.effect), ("line 10", Some("permit")));
    assert!(last.reason.as_ref().unwrap().contains("Action::\"fly\""));
}

#[test]
fn without_a_schema_nothing_is_validated_and_every_argument_is_asked_for() {
    let text = r#"permit (principal, action == Action::"call_tool", resource in MCP::"hive")
        when { context.arg_city == "Oslo" };"#;
    let imported = read(Neighbour::ToolHive, "a.cedar", text, &Home::default()).unwrap();
    assert!(!imported.validated && imported.is_whole());
    let text = imported.text();
    assert!(text.contains(r#"resource is Mcp::Tool in Mcp::Server::"hive""#), "{text}");
    assert!(
        text.contains(r#"{ context.input has city && context.input.city == "Oslo" }"#),
        "{text}"
    );
    assert!(imported.statements[0].notes[0].contains("upstream.name"));
}

#[test]
fn names_of_one_of_several_issuers_are_left() {
    let home = home().with_issuers(&["https://a", "https://b"]);
    let text = r#"permit (principal in THVGroup::"g", action == Action::"list_tools", resource);"#;
    let imported = read(Neighbour::ToolHive, "a.cedar", text, &home).unwrap();
    let reason = imported.statements[0].reason.as_ref().unwrap();
    assert!(reason.contains("without its issuer"), "{reason}");
}
