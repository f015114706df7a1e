use serde_json::{Value, json};

use super::*;

fn of(paths: &[&str]) -> Redactions {
    Redactions::of(paths.iter().map(|path| (*path).to_owned()).collect())
}

fn object(value: &Value) -> Object {
    match Json::read_answer(value.to_string().as_bytes()).unwrap() {
        Json::Object(object) => object,
        other => panic!("{other:?}"),
    }
}

/// What becomes of a result.
fn result(paths: &[&str], result: &Value) -> Value {
    let mut result = object(result);
    of(paths).in_result(&mut result).unwrap();
    result.to_value()
}

fn structured(paths: &[&str], value: &Value) -> Value {
    result(paths, &json!({ "structuredContent": value }))["structuredContent"].clone()
}

fn text(paths: &[&str], text: &str) -> String {
    let content = json!([{ "type": "text", "text": text }]);
    let redacted = result(paths, &json!({ "content": content }));
    redacted["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_path_leads_to_what_it_names_and_to_nothing_else() {
    let cases = [
        (
            json!({ "a": { "b": 1, "c": 2 }, "b": 3 }),
            json!({ "a": { "b": "[redacted]", "c": 2 }, "b": 3 }),
        ),
        (json!({ "a": { "b": { "c": [1] } } }), json!({ "a": { "b": "[redacted]" } })),
        (json!({ "a": { "b": null } }), json!({ "a": { "b": "[redacted]" } })),
        (
            json!({ "a": [{ "b": 1 }, [[{ "b": 2, "d": 0 }]], 7] }),
            json!({ "a": [{ "b": "[redacted]" }, [[{ "b": "[redacted]", "d": 0 }]], 7] }),
        ),
        (
            json!({ "A": { "b": 1 }, "a": { "B": 2, "b": 3 } }),
            json!({ "A": { "b": "[redacted]" }, "a": { "B": "[redacted]", "b": "[redacted]" } }),
        ),
        (json!({ "b": 1, "ab": { "b": 1 } }), json!({ "b": 1, "ab": { "b": 1 } })),
        (json!({ "a": 1 }), json!({ "a": 1 })),
        (json!([{ "a": { "b": 1 } }]), json!([{ "a": { "b": "[redacted]" } }])),
    ];
    for (before, after) in cases {
        assert_eq!(structured(&["a.b"], &before), after, "{before}");
    }
    assert_eq!(
        structured(&["\u{17f}ecret"], &json!({ "SECRET": 1 })),
        json!({ "SECRET": "[redacted]" })
    );
}

#[test]
fn a_text_in_the_place_of_members_may_hold_them() {
    let cases = [
        (json!({ "a": "b: alice" }), json!({ "a": "[redacted]" })),
        (json!({ "a": r#"{"b":"alice","c":1}"# }), json!({ "a": r#"{"b":"[redacted]","c":1}"# })),
        (json!({ "a": ["alice"] }), json!({ "a": ["[redacted]"] })),
        (json!("alice"), json!("[redacted]")),
        (json!(7), json!("[redacted]")),
    ];
    for (before, after) in cases {
        assert_eq!(structured(&["a.b"], &before), after, "{before}");
    }
}

/// Each text holds lists around another text: as deep as an answer may be, time and again. On the
/// stack of a worker that would be its end.
#[test]
fn texts_within_texts_are_read_to_a_depth() {
    let mut within = "1".to_owned();
    for _ in 0..300 {
        let escaped = within.replace('\\', "\\u005c").replace('"', "\\u0022");
        within = format!("{}\"{escaped}\"{}", "[".repeat(62), "]".repeat(62));
    }
    let redacted = text(&["a"], &within);
    assert!(redacted.contains("[redacted]") && redacted.len() < 1_000, "{redacted}");
    let twice = json!({ "a": json!({ "b": 1, "c": 2 }).to_string() }).to_string();
    assert_eq!(
        structured(&["a.a.b"], &json!({ "a": twice })),
        json!({ "a": json!({ "a": json!({ "b": "[redacted]", "c": 2 }).to_string() }).to_string() })
    );
}

#[test]
fn a_wrapper_around_what_is_no_object_makes_no_difference() {
    let wrapped = json!({ "result": [{ "mail": "alice", "id": 1 }] });
    let inner = r#"[{"mail":"alice","id":1}]"#;
    for path in ["mail", "result.mail"] {
        let expected = json!({ "result": [{ "mail": "[redacted]", "id": 1 }] });
        assert_eq!(structured(&[path], &wrapped), expected, "{path}");
        assert_eq!(text(&[path], inner), r#"[{"mail":"[redacted]","id":1}]"#, "{path}");
    }
    assert_eq!(structured(&["mail"], &json!({ "result": "alice" })), json!({ "result": REDACTED }));
}

#[test]
fn a_text_is_redacted_inside_or_replaced() {
    let cases = [
        (r#" {"mail":"alice","id":1} "#, r#"{"mail":"[redacted]","id":1}"#),
        (r#"[{"mail":1},[{"mail":2}]]"#, r#"[{"mail":"[redacted]"},[{"mail":"[redacted]"}]]"#),
        (r#"{"mail":"a","mail":"b"}"#, REDACTED),
        (r#"{"mail":"alice"} "#, r#"{"mail":"[redacted]"}"#),
        (r#"{"mail":"alice"}{"mail":"alice"}"#, REDACTED),
        ("\u{feff}{\"mail\":\"alice\"}", REDACTED),
        (r#"{"mail":"alice""#, REDACTED),
        (r#""alice""#, REDACTED),
        ("alice", REDACTED),
        ("", REDACTED),
        (r#"{"m\u0061il":"alice"}"#, r#"{"mail":"[redacted]"}"#),
    ];
    for (before, after) in cases {
        assert_eq!(text(&["mail"], before), after, "{before}");
    }
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    assert_eq!(text(&["mail"], &deep), REDACTED);
}

#[test]
fn beside_structured_content_a_text_says_the_same_once() {
    let before = json!({
        "structuredContent": { "mail": "alice", "id": 1 },
        "content": [
            { "type": "text", "text": "alice has id 1" },
            { "type": "text", "text": "alice again" },
            { "type": "text", "text": r#"{"id":1,"mail":"alice"}"# },
        ],
        "isError": true,
    });
    let after = json!({
        "structuredContent": { "mail": "[redacted]", "id": 1 },
        "content": [
            { "type": "text", "text": r#"{"mail":"[redacted]","id":1}"# },
            { "type": "text", "text": "[redacted]" },
            { "type": "text", "text": r#"{"id":1,"mail":"[redacted]"}"# },
        ],
        "isError": true,
    });
    assert_eq!(result(&["mail"], &before), after);
}

#[test]
fn of_other_content_nothing_is_left_but_text() {
    let resource =
        json!({ "uri": "mailto:alice", "mimeType": "alice", "text": r#"{"mail":"alice"}"# });
    let blob = json!({ "uri": "x:", "blob": "YWxpY2U=" });
    let before = json!({ "content": [
        { "type": "resource", "resource": resource, "_meta": { "mail": "alice" } },
        { "type": "resource", "resource": blob },
        { "type": "resource", "resource": "alice" },
        { "type": "resource_link", "uri": "mailto:alice", "name": "alice", "description": "alice" },
        { "type": "image", "data": "YWxpY2U=", "mimeType": "image/png" },
        { "type": "audio", "data": "YWxpY2U=", "mimeType": "audio/wav" },
        { "type": "text", "text": r#"{"mail":"alice"}"#, "Text": "alice", "_meta": "alice" },
        { "type": "text", "text": { "mail": "alice" } },
        { "type": "unheard-of", "mail": "alice" },
        { "Type": "text", "text": "alice" },
        "alice",
    ] });
    let redacted = result(&["mail"], &before);
    assert!(!redacted.to_string().contains("alice"), "{redacted}");
    assert!(!redacted.to_string().contains("YWxpY2U"), "{redacted}");
    let content = redacted["content"].as_array().unwrap();
    assert_eq!(content.len(), 11);
    assert_eq!(content[0]["resource"]["text"], r#"{"mail":"[redacted]"}"#);
    assert_eq!(content[1], json!({ "type": "text", "text": "[redacted]" }));
}

#[test]
fn what_the_specification_does_not_name_is_left_out() {
    let before = json!({
        "toolResult": { "mail": "alice" },
        "StructuredContent": { "mail": "alice" },
        "_meta": {
            "com.example/mail": "alice",
            META_RELATED_TASK: { "taskId": "t", "mail": "alice" },
        },
        "status": { "mail": "alice" },
        "mail": "alice",
        "content": [],
    });
    let after = json!({ "_meta": { META_RELATED_TASK: { "taskId": "t" } }, "content": [] });
    assert_eq!(result(&["mail"], &before), after);
    let mut answer = object(&json!({ "jsonrpc": "2.0", "id": 1, "result": {}, "mail": "alice" }));
    of(&["mail"]).in_answer(&mut answer).unwrap();
    assert!(answer.get("mail").is_none());
}

#[test]
fn tasks_and_errors_tell_no_more_than_results() {
    let inner = json!({ "structuredContent": { "mail": "alice", "id": 1 } });
    let before = json!({
        "taskId": "t", "status": "completed", "statusMessage": "alice is done", "ttlMs": 5,
        "result": inner,
        "error": { "code": -1, "message": "alice", "data": { "mail": "alice" } },
    });
    let after = json!({
        "taskId": "t", "status": "completed", "statusMessage": "[redacted]", "ttlMs": 5,
        "result": { "structuredContent": { "mail": "[redacted]", "id": 1 } },
        "error": { "code": -1, "message": "[redacted]", "data": {} },
    });
    assert_eq!(result(&["mail"], &before), after);
    let mut answer = object(&json!({
        "jsonrpc": "2.0", "id": 1, "error": { "code": -1, "message": "m", "data": "alice", "x": "alice" },
    }));
    of(&["mail"]).in_answer(&mut answer).unwrap();
    let error = json!({ "code": -1, "message": "[redacted]" });
    assert_eq!(answer.to_value()["error"], error);
}

#[test]
fn what_cannot_be_redacted_is_refused() {
    for content in [json!("alice"), json!({ "type": "text", "text": "alice" })] {
        let mut result = object(&json!({ "content": content }));
        assert_eq!(of(&["mail"]).in_result(&mut result), Err(Rejection::UpstreamAnswer));
    }
    for member in ["result", "task"] {
        let mut task = object(&json!({ member: [{ "content": [] }] }));
        assert_eq!(of(&["mail"]).in_result(&mut task), Err(Rejection::UpstreamAnswer));
    }
    for member in ["result", "error"] {
        let mut answer = object(&json!({ member: ["alice"] }));
        assert_eq!(of(&["mail"]).in_answer(&mut answer), Err(Rejection::UpstreamAnswer));
    }
}

#[test]
fn without_redactions_everything_stays() {
    let before = json!({ "content": "anything", "mail": "alice" });
    assert_eq!(result(&[], &before), before);
}
