//! Which messages are read, and how body and headers must agree.

use http::{HeaderMap, HeaderValue, header};

use super::*;

const MODERN: &str = "2026-07-28";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn read(pairs: &[(&'static str, &str)], body: &str) -> Result<Message, &'static str> {
    let headers = headers(pairs);
    Envelope::read(&headers, body.as_bytes())
        .and_then(|envelope| envelope.confirmed_by(&headers))
        .map_err(|rejection| rejection.reason())
}

fn modern_body(method: &str, more: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{more}"_meta":{{
            "io.modelcontextprotocol/protocolVersion":"{MODERN}",
            "io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

#[test]
fn a_legacy_call_is_read_and_written_again() {
    let body = r#" { "id" : "a-1", "method":"tools\/call", "jsonrpc":"2.0",
        "params" : {"name":"get_customer_info","arguments":{"n":1.50}} } "#;
    let message = read(&[("mcp-protocol-version", "2025-11-25")], body).unwrap();
    assert_eq!(message.target(), Target::Tool("get_customer_info"));
    assert!(!message.era().is_modern());
    assert_eq!(
        String::from_utf8(message.write()).unwrap(),
        r#"{"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"get_customer_info","arguments":{"n":1.50}}}"#
    );
}

#[test]
fn a_modern_call_needs_its_headers() {
    let body = modern_body("tools/call", r#""name":"search","#);
    let full =
        [("mcp-protocol-version", MODERN), ("mcp-method", "tools/call"), ("mcp-name", "search")];
    assert!(read(&full, &body).unwrap().era().is_modern());
    for missing in 0..full.len() {
        let mut some = full.to_vec();
        some.remove(missing);
        assert_eq!(
            read(&some, &body).unwrap_err(),
            "header-mismatch",
            "without {:?}",
            full[missing]
        );
    }
}

#[test]
fn headers_that_lie_are_refused_in_both_eras() {
    let modern = modern_body("tools/call", r#""name":"danger","#);
    let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"danger"}}"#;
    for (pairs, body, reason) in [
        (
            vec![
                ("mcp-protocol-version", MODERN),
                ("mcp-method", "tools/call"),
                ("mcp-name", "safe"),
            ],
            modern.as_str(),
            "header-mismatch",
        ),
        (
            vec![
                ("mcp-protocol-version", MODERN),
                ("mcp-method", "TOOLS/CALL"),
                ("mcp-name", "danger"),
            ],
            modern.as_str(),
            "header-mismatch",
        ),
        (vec![("mcp-method", "ping")], legacy, "header-mismatch"),
        (vec![("mcp-name", "safe")], legacy, "header-mismatch"),
        (
            vec![("mcp-method", "tools/call"), ("mcp-method", "tools/call")],
            legacy,
            "repeated-header",
        ),
        (vec![("mcp-protocol-version", MODERN)], legacy, "missing-meta"),
        (vec![("mcp-protocol-version", "2025-11-25")], modern.as_str(), "header-mismatch"),
        (vec![], modern.as_str(), "header-mismatch"),
        (vec![("mcp-protocol-version", "1999-01-01")], legacy, "unsupported-version"),
    ] {
        assert_eq!(read(&pairs, body).unwrap_err(), reason, "{pairs:?}");
    }
}

#[test]
fn initialize_is_legacy_only() {
    let body = modern_body("initialize", "");
    let pairs = [("mcp-protocol-version", MODERN), ("mcp-method", "initialize")];
    assert_eq!(read(&pairs, &body).unwrap_err(), "unknown-method");
    let legacy = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    assert!(read(&[], legacy).is_ok());
    assert_eq!(read(&[("mcp-protocol-version", MODERN)], legacy).unwrap_err(), "missing-meta");
}

#[test]
fn a_modern_request_names_its_capabilities() {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{
            "io.modelcontextprotocol/protocolVersion":"{MODERN}"}}}}}}"#
    );
    let pairs = [("mcp-protocol-version", MODERN), ("mcp-method", "tools/list")];
    assert_eq!(read(&pairs, &body).unwrap_err(), "missing-meta");
}

#[test]
fn what_is_not_one_message_is_refused() {
    for (body, reason) in [
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "batch"),
        ("[]", "batch"),
        ("1", "not-a-message"),
        (r#"{"id":1,"method":"ping"}"#, "not-a-message"),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1e2,"method":"ping"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","method":"ping"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1,"result":[]}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#, "not-a-message"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"admin/reset"}"#, "unknown-method"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"a"}}"#,
            "unknown-method",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#, "unknown-method"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, "invalid-params"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}}"#,
            "invalid-params",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["a"]}}"#,
            "invalid-params",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":[]}}"#,
            "invalid-params",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"a"}}"#,
            "ambiguous-names",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Arguments":{"limit":100}}}"#,
            "ambiguous-names",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_META":{}}}"#,
            "ambiguous-names",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"IO.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
            "ambiguous-names",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#,
            "repeated-name",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            "ambiguous-names",
        ),
    ] {
        assert_eq!(read(&[], body).unwrap_err(), reason, "{body}");
    }
}

#[test]
fn only_plain_json_is_looked_at() {
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let outcome = |pairs: &[(&'static str, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Envelope::read(&headers, body).map(drop).map_err(|rejection| rejection.reason())
    };
    for media_type in
        ["application/json", "Application/JSON", "application/json; charset=\"UTF-8\""]
    {
        assert_eq!(outcome(&[("content-type", media_type)]), Ok(()), "{media_type}");
    }
    for media_type in [
        "text/plain",
        "application/json-seq",
        "application/json; charset=utf-16",
        "application/json; boundary=x",
        "",
    ] {
        assert_eq!(outcome(&[("content-type", media_type)]), Err("not-json"), "{media_type}");
    }
    assert_eq!(outcome(&[]), Err("not-json"));
    let json = ("content-type", "application/json");
    assert_eq!(outcome(&[json, json]), Err("not-json"));
    assert_eq!(outcome(&[json, ("content-encoding", "gzip")]), Err("encoded-body"));
    assert_eq!(outcome(&[json, ("content-encoding", "Identity")]), Ok(()));
}

#[test]
fn a_task_is_for_clients_that_know_of_tasks() {
    let body = modern_body("tasks/get", r#""taskId":"t","#);
    let pairs = [("mcp-protocol-version", MODERN), ("mcp-method", "tasks/get"), ("mcp-name", "t")];
    assert_eq!(read(&pairs, &body).unwrap_err(), "missing-extension");
    let declared = r#""io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    let body = body.replace(r#""io.modelcontextprotocol/clientCapabilities":{}"#, declared);
    assert!(read(&pairs, &body).is_ok());
}

#[test]
fn get_and_delete_are_the_legacy_eras() {
    let outcome = |method: http::Method, pairs: &[(&'static str, &str)]| {
        Message::without_body(&method, &headers(pairs))
            .map(|message| message.method().name)
            .map_err(|rejection| rejection.reason())
    };
    assert_eq!(outcome(http::Method::GET, &[]), Ok("session/listen"));
    assert_eq!(outcome(http::Method::DELETE, &[]), Ok("session/end"));
    let modern = [("mcp-protocol-version", MODERN)];
    assert_eq!(outcome(http::Method::GET, &modern), Err("not-post"));
    assert_eq!(outcome(http::Method::PUT, &[]), Err("not-post"));
    let twice = [("mcp-session-id", "a"), ("mcp-session-id", "a")];
    assert_eq!(outcome(http::Method::GET, &twice), Err("repeated-header"));
    for name in ["session/listen", "session/end", "response", "sampling/createMessage"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{name}"}}"#);
        assert_eq!(read(&[], &body).unwrap_err(), "unknown-method", "no body names it");
    }
}

#[test]
fn a_parameter_in_a_header_repeats_an_argument() {
    let body = modern_body(
        "tools/call",
        r#""name":"search","arguments":{"region":"eu","n":42,"deep":{"flag":true},"all":["x"]},"#,
    );
    let outcome = |name: &'static str, value: &str| {
        let pairs = [
            ("mcp-protocol-version", MODERN),
            ("mcp-method", "tools/call"),
            ("mcp-name", "search"),
            (name, value),
        ];
        read(&pairs, &body).map(|message| message.params_in_headers().to_vec())
    };
    for value in ["eu", "42", "42.0", "true", " eu ", "=?base64?ZXU=?="] {
        assert_eq!(outcome("mcp-param-region", value).unwrap().len(), 1, "{value}");
    }
    for value in ["us", "EU", "43", "false", "x", "", "=?base64?ZXU?="] {
        assert_eq!(outcome("mcp-param-region", value).unwrap_err(), "header-mismatch", "{value}");
    }
    let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#;
    let legacy = read(&[("mcp-param-region", "us")], legacy).unwrap();
    assert!(legacy.params_in_headers().is_empty(), "it goes nowhere");
}

#[test]
fn completions_name_what_they_are_for() {
    let completion = |reference: &str| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{{"ref":{reference}}}}}"#
        );
        read(&[], &body)
    };
    let prompt = completion(r#"{"type":"ref/prompt","name":"greet"}"#).unwrap();
    assert_eq!(prompt.target(), Target::Prompt("greet"));
    let template = completion(r#"{"type":"ref/resource","uri":"file:///{path}"}"#).unwrap();
    assert_eq!(template.target(), Target::Resource("file:///{path}"));
    for reference in
        ["1", "{}", r#"{"type":"ref/tool","name":"a"}"#, r#"{"type":"ref/prompt","uri":"a"}"#]
    {
        assert_eq!(completion(reference).unwrap_err(), "invalid-params", "{reference}");
    }
}

#[test]
fn a_trace_in_the_message_is_replaced_and_none_is_added() {
    let ours = PassedOn { traceparent: "00-ours".to_owned(), tracestate: None };
    for (meta, written) in [
        (
            r#"{"traceparent":"theirs","own":1,"tracestate":"a=b"}"#,
            r#"{"traceparent":"00-ours","own":1}"#,
        ),
        (r#"{"tracestate":"a=b"}"#, r#"{"traceparent":"00-ours"}"#),
        (r#"{"traceparent":7}"#, r#"{"traceparent":"00-ours"}"#),
        (r#"{"own":1}"#, r#"{"own":1}"#),
    ] {
        let body = |meta: &str| {
            let params = format!(r#"{{"name":"t","_meta":{meta}}}"#);
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
        };
        let mut message = read(&[], &body(meta)).unwrap();
        message.pass_on(ours.clone());
        assert_eq!(String::from_utf8(message.write()).unwrap(), body(written));
    }
}
