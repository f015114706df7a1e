use harness::RawConnection;

use super::*;

/// What a raw request gets for an answer.
async fn answer(stack: &Stack, line: &str, headers: &str, body: &str) -> String {
    let mut connection = RawConnection::open(stack).await.unwrap();
    let length = body.len();
    let head = format!(
        "{line}\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n"
    );
    connection.write(&format!("{head}Connection: close\r\n\r\n{body}")).await.unwrap();
    connection.read().await
}

/// CVE-2025-49596, CVE-2026-42559 and their like: origins are compared whole.
#[tokio::test]
async fn only_exact_origins_may_call() {
    let app = "https://app.example.com";
    let settings = format!("allowed_origins = [{app:?}]");
    let stack = Stack::with().resource_settings(&settings).start().await;
    for origin in [
        "null",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "https://app.example.com:443",
        "https://app.example.com/",
        "HTTPS://APP.EXAMPLE.COM",
        "http://app.example.com",
        "https://app.example.com@evil.example",
        "https://xapp.example.com",
        "*",
        "",
        "https://app.example.com, https://evil.example",
        "https://app.example.com https://evil.example",
    ] {
        let reply = stack.caller(SCOPES).header("origin", origin).refused(LIST).await;
        let told = (reply.status.as_u16(), reply.reason());
        assert_eq!(told, (403, "foreign-origin".to_owned()), "{origin}");
    }
    assert_eq!(stack.caller(SCOPES).header("origin", app).post(LIST).await.status, 200);
    stack.finish().await;
}

/// CVE-2025-66416 and its like, CVE-2026-40574: hosts are compared whole, and no header replaces one.
#[tokio::test]
async fn only_exact_hosts_are_ours() {
    let mut stack = Stack::start().await;
    let authorization = format!("Authorization: Bearer {}\r\n", stack.caller(SCOPES).token());
    let gate = stack.gate();
    for host in [
        "evil.example.com".to_owned(),
        format!("{gate}@evil.example.com"),
        format!("evil@{gate}"),
        format!("{gate}@{gate}"),
        format!("{gate}.evil.example.com"),
        format!("{gate}\r\nHost: evil.example.com"),
        format!("{gate}, evil.example.com"),
        format!("{gate}/"),
        format!("{gate}#"),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        String::new(),
    ] {
        let before = stack.spy().mark();
        let headers = format!(
            "Host: {host}\r\nX-Forwarded-Host: {gate}\r\nForwarded: host={gate}\r\n{authorization}"
        );
        let answer = answer(&stack, "POST /mcp HTTP/1.1", &headers, LIST).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{host}: {answer}");
        assert_eq!(stack.spy().mark(), before, "{host}: the upstream saw something");
        stack.forget_decisions().await;
    }
    stack.finish().await;
}

/// ToolHive 965969972, agentgateway 23120382c, CVE-2026-110279, CVE-2025-64484, CVE-2026-29791: the
/// head of what goes upstream is the gate's own from the first to the last line.
#[tokio::test]
async fn nothing_of_the_callers_head_goes_upstream() {
    let upstream = Scripted::new(|sent| sent.result(&json!({ "content": [] })));
    let stack = Stack::with().upstream(upstream.router()).start().await;
    let caller = stack.caller("ticket:create");
    let token = caller.token().to_owned();
    let mut caller = caller;
    for (name, value) in THEIRS {
        caller = caller.header(name, value);
    }
    let odd = "../../admin?x=1\r\nX-Injected: theirs";
    let arguments =
        json!({ "customer_id": "ABC123", "subject": odd, "description": "d", "priority": "low" });
    let in_session = caller.clone().header("mcp-session-id", "theirs");
    let reply = in_session.refused_call("create_support_ticket", arguments.clone()).await;
    assert_eq!(reply.reason(), "unknown-session", "{}", reply.body);
    let reply = caller.call("create_support_ticket", arguments).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let sent = upstream.sent().pop().unwrap();
    let mut names: Vec<&str> = sent.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let own = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    ];
    assert_eq!(names, own);
    for value in sent.headers.values() {
        let value = value.to_str().unwrap();
        assert!(
            !value.contains("theirs") && !value.contains(&token) && !value.contains("admin"),
            "{value}"
        );
    }
    stack.finish().await;
}

/// GHSA-g53w-w6mj-hrpp, CVE-2026-34457, CVE-2026-40575 and CVE-2026-76835: a stranger stays one.
#[tokio::test]
async fn no_header_switches_anything_off() {
    let stack = Stack::start().await;
    for (name, value) in [
        ("user-agent", "GoogleHC/1.0"),
        ("user-agent", "kube-probe/1.29"),
        ("user-agent", "ELB-HealthChecker/2.0"),
        ("x-forwarded-uri", "/.well-known/oauth-protected-resource"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-original-uri", "/health"),
        ("x-auth-bypass", "secret"),
        ("x-internal-request", "true"),
        ("x-kuadrant-secret", "default"),
        ("x-mcp-auth", "admin"),
        ("x-forwarded-user", "admin"),
        ("x-forwarded-access-token", "x"),
        ("x-debug", "1"),
        ("forwarded", "for=127.0.0.1;by=_gate"),
        ("x-forwarded-client-cert", "By=x;Subject=\"CN=admin\""),
        ("x-dev-mode", "true"),
    ] {
        let reply = stack.stranger().header(name, value).refused(LIST).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (401, "no-token"), "{name}");
    }
    stack.finish().await;
}

/// CVE-2025-54576, CVE-2026-77825: there is one path, and a query is no part of it.
#[tokio::test]
async fn paths_that_start_alike_are_other_paths() {
    let mut stack = Stack::start().await;
    let host = format!("Host: {}\r\n", stack.gate());
    for path in [
        "/mcp?x=/.well-known/oauth-protected-resource",
        "/mcp#/.well-known/oauth-protected-resource",
        "/mcp/.well-known/oauth-protected-resource",
        "/.well-known/../mcp",
        "/.well-known/..%2fmcp",
        "/mcp%00",
        "/.well-known/oauth-protected-resource/../../mcp",
        "/mcpx",
        "/MCP",
        "/mcp%20",
        "/health/../mcp",
        "/.well-known/oauth-protected-resource;/mcp",
        "/livez",
        "/metrics",
        "/mcp\\..\\x",
    ] {
        let before = stack.spy().mark();
        let answer = answer(&stack, &format!("POST {path} HTTP/1.1"), &host, LIST).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert_eq!(stack.spy().mark(), before, "{path}: the upstream saw something");
        stack.forget_decisions().await;
    }
    stack.finish().await;
}

/// CVE-2025-48865: naming a header in `Connection` takes it away before it is looked at.
#[tokio::test]
async fn no_header_can_be_named_away() {
    let mut stack = Stack::start().await;
    let token = stack.caller("customer:read").token().to_owned();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_recent_customers","arguments":{}}}"#;
    for (named, status, lie) in [
        ("mcp-method", 400, "Mcp-Method: tools/list\r\n"),
        ("origin", 403, "Origin: https://evil.example.com\r\n"),
        ("content-encoding", 415, "Content-Encoding: gzip\r\n"),
        ("host", 200, ""),
        ("authorization", 200, ""),
    ] {
        let before = stack.spy().mark();
        let headers = format!(
            "Host: {}\r\nAuthorization: Bearer {token}\r\nConnection: {named}\r\n{lie}",
            stack.gate()
        );
        let answer = answer(&stack, "POST /mcp HTTP/1.1", &headers, call).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{named}: {answer}");
        assert_eq!(stack.spy().mark() == before, status != 200, "{named}");
        stack.forget_decisions().await;
    }
    let seen = stack.spy().seen().to_ascii_lowercase();
    assert!(!seen.contains("connection:"), "{seen}");
    assert_eq!(seen.matches("authorization: bearer").count(), 2, "and the gate's own is there");
    stack.finish().await;
}

/// CVE-2026-73552: a header that is no text matches nothing, and what matches nothing is refused.
#[tokio::test]
async fn bytes_beyond_ascii_are_no_name() {
    let stack = Stack::start().await;
    for name in ["mcp-method", "mcp-name", "mcp-protocol-version", "origin", "content-type"] {
        for value in ["tools/list\u{ff}", "\u{80}"] {
            let reply = stack.caller(SCOPES).header(name, value).refused(LIST).await;
            assert!(reply.status.is_client_error(), "{name}: {}", reply.body);
        }
    }
    stack.finish().await;
}

/// What a caller can try to be upstream.
const THEIRS: [(&str, &str); 22] = [
    ("x-upstream-authorization", "Bearer theirs"),
    ("x_upstream_authorization", "Bearer theirs"),
    ("proxy-authorization", "Basic theirs"),
    ("x-forwarded-user", "theirs"),
    ("x_forwarded_user", "theirs"),
    ("mcp_session_id", "theirs"),
    ("mcp_name", "theirs"),
    ("cookie", "theirs=1"),
    ("x-user-id", "theirs"),
    ("x-original-url", "/theirs"),
    ("x-rewrite-url", "/theirs"),
    ("x-envoy-original-path", "/theirs"),
    ("x-forwarded-for", "theirs"),
    ("forwarded", "for=theirs"),
    ("x-real-ip", "theirs"),
    ("via", "theirs"),
    ("x-http-method-override", "theirs"),
    ("user-agent", "theirs"),
    ("accept-language", "theirs"),
    ("traceparent", "theirs"),
    ("x-request-id", "theirs"),
    ("mcp-param-customer", "theirs"),
];
