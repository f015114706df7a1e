use axum::body::Body;

use super::*;

/// The gate of a stack as a program of its own, listening elsewhere.
struct Moved {
    program: Program,
    url: String,
}

/// One gate alone writes to a ledger.
const LEDGER: &str = "[ledger]\ndirectory = \"ledger-moved\"\n";

impl Moved {
    fn start(stack: &Stack, more: &str) -> Self {
        Self::start_with(stack, more, &[])
    }

    fn start_with(stack: &Stack, more: &str, arguments: &[&str]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let own = std::fs::read_to_string(stack.home().join("gate.toml")).unwrap();
        let moved = own.replace(&stack.gate().to_string(), &address);
        std::fs::write(stack.home().join("moved.toml"), format!("{moved}\n{LEDGER}{more}"))
            .unwrap();
        let arguments = [&["run", "--config", "moved.toml"], arguments].concat();
        let program = Program::start(GATE, &arguments, stack.home());
        Self { program, url: format!("https://{address}/mcp") }
    }

    fn token(&self, stack: &Stack, scopes: &str) -> String {
        let mut claims = stack.claims(scopes);
        claims["aud"] = json!(self.url);
        stack.signing_key().sign(&claims).unwrap()
    }
}

#[tokio::test]
async fn who_listens_does_not_keep_the_gate_from_stopping() {
    let listened_to = Router::new().fallback(axum::routing::any(|| async {
        let nothing = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        ([("content-type", "text/event-stream")], Body::from_stream(nothing))
    }));
    let stack = Stack::with().upstream(listened_to).start().await;
    let gate = Moved::start(&stack, "[limits]\ndrain_timeout = \"60s\"\n");
    let (http, token) = (stack.http(), gate.token(&stack, ""));
    let listen = async || http.get(&gate.url).bearer_auth(&token).send().await;
    eventually("the gate serves", async || listen().await.is_ok()).await;
    let legacy = listen().await.unwrap();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "notifications": { "toolsListChanged": true }, "_meta": meta });
    let method = "subscriptions/listen";
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let modern = http
        .post(&gate.url)
        .bearer_auth(&token)
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method)
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!((legacy.status().as_u16(), modern.status().as_u16()), (200, 200));
    gate.program.signal("TERM");
    assert_eq!(legacy.text().await.unwrap(), "", "the stream ends in order");
    let last = modern.text().await.unwrap();
    assert!(
        last.contains(r#""id":7,"result":{"resultType":"complete","#),
        "with its answer: {last}"
    );
    assert!(last.contains(r#""io.modelcontextprotocol/subscriptionId":7"#), "{last}");
    drop(http);
    let (status, told) = gate.program.finish().await;
    assert_eq!(status.code(), Some(0), "{told}");
    stack.finish().await;
}

#[tokio::test]
async fn sigterm_lets_what_is_under_way_finish_and_exits_with_0() {
    let slow = Router::new().route(
        "/mcp",
        post(|| async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
            ([("content-type", "application/json")], answer.to_string())
        }),
    );
    let stack = Stack::with().upstream(slow).start().await;
    let gate = Moved::start(&stack, "");
    let (http, token) = (stack.http(), gate.token(&stack, "customer:read"));
    let ping = async || {
        let request =
            http.post(&gate.url).bearer_auth(&token).header("content-type", "application/json");
        request.body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).send().await
    };
    eventually("the gate serves", async || ping().await.is_ok()).await;
    let (answered, ()) = tokio::join!(ping(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.program.signal("TERM");
    });
    assert_eq!(answered.unwrap().status(), 200, "what was under way was finished");
    let (status, told) = gate.program.finish().await;
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(told.contains("draining"), "{told}");
    let decisions: Vec<&str> =
        told.lines().filter(|line| line.contains("cedargate::decision")).collect();
    assert!(!decisions.is_empty(), "{told}");
    for line in decisions {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["target"], "cedargate::decision");
        assert_eq!(record["decision.outcome"], "allow");
        assert_eq!(record["mcp.method"], "ping");
        assert_eq!(record["decision.policies"], "protocol-for-every-caller");
        let names = line.matches("\":").count();
        assert_eq!(names, record.as_object().unwrap().len(), "no name stands twice: {line}");
    }
    assert!(!told.contains(&token), "no token in the log");
    assert!(ping().await.is_err(), "nobody is served after it");
    stack.finish().await;
}

/// As small as a server over stdio can be.
const CHILD: &str = r#"
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    result = {"tools": [{"name": "get_customer_info"}, {"name": "create_support_ticket"}]}
    if asked["method"] == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "child", "version": "1"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"#;

#[tokio::test]
async fn a_server_over_stdio_is_started_and_ended_with_the_gate() {
    let stack = Stack::with().unguarded().start().await;
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        stack.finish().await;
        return harness::skip("python3");
    }
    let server = ["--stdio", "--", "python3", "-u", "-c", CHILD];
    let gate = Moved::start_with(&stack, "", &server);
    let (http, token) = (stack.http(), gate.token(&stack, "customer:read"));
    let list = async || {
        let request =
            http.post(&gate.url).bearer_auth(&token).header("content-type", "application/json");
        request.body(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).send().await
    };
    eventually("the gate serves", async || list().await.is_ok()).await;
    let listed: serde_json::Value = list().await.unwrap().json().await.unwrap();
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<&serde_json::Value> = tools.iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["get_customer_info"], "narrowed");
    drop(http);
    gate.program.signal("TERM");
    let (status, told) = gate.program.finish().await;
    assert_eq!(status.code(), Some(0), "{told}");
    stack.finish().await;
}
