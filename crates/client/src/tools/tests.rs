use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn tool(name: &str, schema: &Value) -> Tool {
    serde_json::from_value(json!({ "name": name, "description": "d", "inputSchema": schema }))
        .unwrap()
}

fn call(tool: &str, arguments: &str) -> Call {
    Call { id: "1".to_owned(), tool: tool.to_owned(), arguments: arguments.to_owned() }
}

#[test]
fn what_the_gate_says_of_a_tool_is_carried_along() {
    let told = json!({
        "name": "t", "inputSchema": { "type": "object" },
        "_meta": { "cedargate/security": {
            "requiredScopes": ["customer:read"], "rateLimit": "30/minute",
            "auditLevel": "args", "conditional": true } },
    });
    let toolbox = Toolbox::of(&[serde_json::from_value(told).unwrap()]);
    let security = SecurityMetadata {
        required_scopes: vec!["customer:read".to_owned()],
        rate_limit: Some("30/minute".to_owned()),
        audit_level: Some("args".to_owned()),
        conditional: true,
    };
    assert_eq!(toolbox.offered()[0].security, security);
    let plain = Toolbox::of(&[tool("t", &json!({ "type": "object" }))]);
    assert_eq!(plain.offered()[0].security, SecurityMetadata::default());
}

#[test]
fn a_call_is_read_back_to_the_servers_own_names() {
    let schema = json!({
        "type": "object", "properties": { "größe": { "type": "integer" } }, "required": ["größe"],
    });
    let toolbox = Toolbox::of(&[tool("Ünïcode tool/1", &schema)]);
    let UniversalTool { offered_as, parameters, .. } = &toolbox.offered()[0];
    let argument = parameters["required"][0].as_str().unwrap();
    let ready = toolbox.read(&call(offered_as, &json!({ argument: 3 }).to_string())).unwrap();
    assert_eq!(ready.tool, "Ünïcode tool/1");
    assert_eq!(Value::Object(ready.arguments), json!({ "größe": 3 }));
}

#[test]
fn what_does_not_fit_is_refused_in_words_that_help() {
    let schema = json!({
        "type": "object", "properties": { "id": { "type": "string" } }, "required": ["id"],
        "additionalProperties": false,
    });
    let toolbox = Toolbox::of(&[tool("t", &schema)]);
    for (tool, arguments, reason, words) in [
        ("u", "{}", "unknown-tool", "there is no tool `u`"),
        ("t", r#"{"id":"a","id":"b"}"#, "malformed-arguments", "the member `id` comes twice"),
        ("t", r#"{"id":7}"#, "invalid-arguments", "at `/id`: 7 is not of type \"string\""),
        ("t", "{}", "invalid-arguments", "\"id\" is a required property"),
        ("t", r#"{"id":"a","x":1}"#, "invalid-arguments", "'x' was unexpected"),
    ] {
        let unusable = toolbox.read(&call(tool, arguments)).unwrap_err();
        assert_eq!(unusable.reason(), reason, "{arguments}");
        assert!(unusable.to_string().contains(words), "{unusable}");
    }
}

#[test]
fn a_tool_that_cannot_be_offered_is_named_and_hides_no_other() {
    let plain = json!({ "type": "object" });
    let toolbox = Toolbox::of(&[
        tool("a", &plain),
        tool("a", &json!({ "type": "object", "properties": { "evil": {} } })),
        tool("b", &json!({ "type": "string" })),
        tool("c", &plain),
    ]);
    let offered: Vec<_> = toolbox.offered().iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(offered, ["a", "c"]);
    let left_out: Vec<_> = toolbox.left_out().iter().map(|out| out.name.as_str()).collect();
    assert_eq!(left_out, ["a", "b"]);
    assert!(toolbox.left_out()[0].reason.contains("same name"));
    let many: Vec<_> = (0..200).map(|number| tool(&format!("t{number}"), &plain)).collect();
    assert_eq!(Toolbox::of(&many).offered().len(), MOST_TOOLS);
    assert_eq!(Toolbox::of(&many).left_out().len(), 200 - MOST_TOOLS);
}

#[test]
fn a_long_description_is_kept_whole_where_there_is_room() {
    let long = "word ".repeat(400);
    let mut tool = tool("t", &json!({ "type": "object" }));
    tool.description = Some(long.clone().into());
    let toolbox = Toolbox::of(&[tool]);
    assert!(toolbox.offered()[0].description.len() < LONGEST_DESCRIPTION);
    assert_eq!(toolbox.offered()[0].parameters["description"], long);
}

proptest! {
    /// Whatever is written under names of any kind arrives under them.
    #[test]
    fn names_and_arguments_come_back_as_they_went(
        names in proptest::collection::hash_set(".{1,70}", 1..6), value in any::<i64>(),
    ) {
        let properties: serde_json::Map<_, _> =
            names.iter().map(|name| (name.clone(), json!({ "type": "integer" }))).collect();
        let toolbox = Toolbox::of(&[tool("t", &json!({ "type": "object", "properties": properties }))]);
        let shown = toolbox.offered()[0].parameters["properties"].as_object().unwrap();
        let written: serde_json::Map<_, _> =
            shown.keys().map(|name| (name.clone(), json!(value))).collect();
        let ready = toolbox.read(&call("t", &Value::Object(written).to_string())).unwrap();
        let arrived: HashSet<_> = ready.arguments.keys().cloned().collect();
        prop_assert_eq!(arrived, names);
    }
}
