//! Decisions about a tool that takes what a test says.

use serde_json::{Value, json};

use super::*;
use crate::authz::{Lock, offer::Offer, schema::schema_of};

/// The one tool, `t`, with its lock and schema, and these policies beside.
fn home(input_schema: &Value, policies: &str) -> Home {
    let tool = json!({ "name": "t", "inputSchema": input_schema });
    let offer = Offer::read(&json!({ "tools": [tool] })).unwrap();
    let schema = schema_of(&offer);
    Home::of(&schema, &Lock::of("s", offer).to_text().unwrap(), policies)
}

fn permits(home: &Home, arguments: &Value) -> bool {
    match decide(&home.load().unwrap(), &[], call("t", &arguments.to_string())) {
        Ok(_) => true,
        Err(Rejection::Denied { .. } | Rejection::HiddenTarget { .. }) => false,
        Err(other) => panic!("{other:?}"),
    }
}

fn permit_when(condition: &str) -> String {
    format!(
        r#"@id("p") permit (principal, action == Mcp::Action::"t", resource) when {{ {condition} }};"#
    )
}

#[test]
fn what_no_policy_looks_at_is_none_of_the_others() {
    let takes = json!({ "type": "object", "additionalProperties": true, "properties": {
        "a": { "type": "string" },
        "b": { "type": "object", "properties": { "c": { "type": "string" } }, "additionalProperties": true },
    } });
    for (condition, closed, open) in [
        (r#"context.input["*"].isEmpty()"#, json!({ "x": 1 }), json!({ "a": "1" })),
        (
            r#"context.input has b && context.input.b["*"].isEmpty()"#,
            json!({ "b": { "c": "1", "x": 1 } }),
            json!({ "b": { "c": "1" }, "x": 1 }),
        ),
        (r#"context.facts["*"].count == 0"#, json!({ "x": 1 }), json!({ "a": "1" })),
    ] {
        let home = home(&takes, &permit_when(condition));
        assert!(permits(&home, &open), "{condition}");
        assert!(!permits(&home, &closed), "{condition}");
    }
}

#[test]
fn whether_there_is_a_fact_can_be_asked_alone() {
    let takes = json!({ "type": "object", "properties": {
        "tags": { "type": "array", "items": { "type": "boolean" } },
        "names": { "type": "array", "items": { "type": "string" } },
        "sizes": { "type": "array", "items": { "type": "integer" } },
        "parts": { "type": "array", "items":
            { "type": "object", "properties": { "n": { "type": "string" } } } },
        "text": { "type": "string" },
        "any": { "type": "object", "additionalProperties": { "type": "string" } },
    } });
    for (name, value) in [
        ("tags", json!([true])),
        ("names", json!(["a"])),
        ("sizes", json!([1])),
        ("parts", json!([{ "n": "a" }])),
        ("text", json!("a")),
        ("any", json!({ "a": "b" })),
    ] {
        let home = home(&takes, &permit_when(&format!("context.facts has {name}")));
        assert!(permits(&home, &json!({ name: value })), "{name}");
        assert!(!permits(&home, &json!({})), "{name}");
    }
}

#[test]
fn a_list_of_keys_and_values_is_like_an_object_of_any_names() {
    let item = json!({ "type": "object", "required": ["key", "value"],
        "properties": { "key": { "type": "string" }, "value": { "type": "string" } } });
    let takes = json!({ "type": "object", "required": ["labels"],
        "properties": { "labels": { "type": "array", "items": item } } });
    let condition = r#"context.facts.labels.count < 3 && context.facts.labels.names.contains("a")
        && context.input.labels.contains({ key: "a", value: "b" })"#;
    let home = home(&takes, &permit_when(condition));
    let label = json!({ "key": "a", "value": "b" });
    assert!(permits(&home, &json!({ "labels": [label] })));
    assert!(!permits(&home, &json!({ "labels": [label, label, label] })));
    assert!(!permits(&home, &json!({ "labels": [{ "key": "b", "value": "b" }] })));
}

#[test]
fn a_limit_or_a_redaction_of_what_is_no_call_is_refused() {
    let takes = json!({ "type": "object" });
    let permit = |annotation: &str, action: &str| {
        let text = format!(r#"@id("p") {annotation} permit (principal, {action}, resource);"#);
        home(&takes, &text).load().map(drop)
    };
    let reading = r#"action == Mcp::Action::"resources/read""#;
    let calling = r#"action in Mcp::Action::"call_tool""#;
    for annotation in [r#"@rate_limit("5/minute")"#, r#"@redact("mail")"#] {
        let refused = permit(annotation, reading).unwrap_err();
        assert!(refused.contains("has no effect"), "{refused}");
        assert_eq!(permit(annotation, calling), Ok(()));
        assert_eq!(permit(annotation, "action"), Ok(()));
    }
    assert_eq!(permit(r#"@audit("args")"#, reading), Ok(()));
}

#[test]
fn a_lock_that_was_edited_is_refused() {
    let home = home(&json!({ "type": "object" }), &permit_when("true"));
    let lock = home.path().join("tools.lock");
    let text = std::fs::read_to_string(&lock).unwrap();
    std::fs::write(&lock, text.replace(r#""type": "object""#, r#""type": ["object"]"#)).unwrap();
    let refused = home.load().map(drop).unwrap_err();
    assert!(refused.contains("one of them was edited"), "{refused}");
}

#[test]
fn a_tool_of_which_only_types_are_known_is_told_of() {
    let home = home(&json!({ "type": "object" }), &permit_when("true"));
    assert!(home.load().unwrap().summary().warnings.is_empty());
    let lock = Lock::of("s", Offer::default()).to_text().unwrap();
    std::fs::write(home.path().join("tools.lock"), lock).unwrap();
    let warnings = home.load().unwrap().summary().warnings.join(" ");
    assert!(warnings.contains("does not record `t`"), "{warnings}");
}

#[test]
fn no_file_of_policies_is_passed_over() {
    let home = home(&json!({ "type": "object" }), &permit_when("true"));
    // What an editor keeps beside a file while it is open.
    std::os::unix::fs::symlink("nobody@nowhere", home.path().join(".#a.cedar")).unwrap();
    std::fs::create_dir(home.path().join("more")).unwrap();
    assert!(home.load().unwrap().summary().warnings.is_empty());
    std::fs::write(home.path().join("more/b.cedar"), "").unwrap();
    let warnings = home.load().unwrap().summary().warnings.join(" ");
    assert!(warnings.contains("more` holds policies that are not read"), "{warnings}");
    std::os::unix::fs::symlink("nowhere", home.path().join("guardrails.cedar")).unwrap();
    let refused = home.load().map(drop).unwrap_err();
    assert!(refused.contains("guardrails.cedar"), "{refused}");
}
