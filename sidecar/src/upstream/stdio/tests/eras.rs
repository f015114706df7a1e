//! Callers and children of either era, in all pairs.

use super::*;

const CALL: &str = r#"{"name":"echo","arguments":{},"_meta":{"own":1,
    "io.modelcontextprotocol/protocolVersion":"2026-07-28",
    "io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}"#;

fn result_of(answer: &str) -> Object {
    let answer = json_of(answer);
    answer.as_object().unwrap().get("result").unwrap().as_object().unwrap().clone()
}

fn text(object: &Object) -> String {
    let mut out = Vec::new();
    object.write(&mut out);
    text_of(out)
}

#[tokio::test]
async fn a_legacy_caller_is_introduced_in_the_version_it_asked_for() {
    for era in ["legacy", "modern"] {
        let Some(server) = child(era) else { return };
        for (asked, given) in [
            ("2025-03-26", "2025-03-26"),
            ("2025-11-25", "2025-11-25"),
            ("2024-11-05", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
        ] {
            let params = format!(r#"{{"protocolVersion":"{asked}","capabilities":{{}}}}"#);
            let answer = ask_json(&server, LEGACY, ("\"i\"", "initialize", &params)).await;
            let result = result_of(&answer);
            assert!(answer.starts_with(r#"{"jsonrpc":"2.0","id":"i","#), "{answer}");
            assert_eq!(result.get("protocolVersion"), Some(&Json::from(given)), "{asked}");
            assert_eq!(
                result.get("serverInfo"),
                Some(&json_of(r#"{"name":"fake","version":"9"}"#))
            );
            assert_eq!(result.get("instructions"), Some(&Json::from("be kind")));
            let capabilities = result.get("capabilities").unwrap().as_object().unwrap();
            let names: Vec<&str> = capabilities.iter().map(|(name, _)| name).collect();
            assert_eq!(names, ["tools", "resources"], "what the gate does not serve is left out");
        }
        let asked = ("", "notifications/initialized", "{}");
        assert!(matches!(ask(&server, &alice(), LEGACY, asked).await, Ok(Reply::Accepted)));
        let heard = call_tool(&server, LEGACY, "1", r#"{"name":"heard"}"#).await;
        let own = usize::from(era == "legacy");
        assert_eq!(heard.matches("initialized").count(), own, "the gate's own and no other");
    }
}

#[tokio::test]
async fn a_modern_caller_discovers_a_child_of_either_era() {
    for (era, watched) in [("legacy", r#""subscribe":true,"#), ("modern", "")] {
        let Some(server) = child(era) else { return };
        let answer = ask_json(&server, MODERN, ("1", "server/discover", "{}")).await;
        let answer = text(&result_of(&answer)).replace(watched, "");
        assert_eq!(
            answer,
            r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"listChanged":true}},"instructions":"be kind","resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"fake","version":"9"}}}"#
        );
    }
}

#[tokio::test]
async fn a_modern_call_to_a_legacy_child_loses_what_that_does_not_know() {
    let Some(server) = child("legacy") else { return };
    let answer = call_tool(&server, MODERN, "1", CALL).await;
    assert!(answer.contains(r#""_meta":{"own":1}"#), "{answer}");
    let result = result_of(&answer);
    assert_eq!(result.get("resultType"), Some(&Json::from("complete")));
    assert_eq!(result.get("ttlMs"), None, "a call's result is not cached");
    let list = result_of(&ask_json(&server, MODERN, ("2", "tools/list", "{}")).await);
    assert_eq!(list.get("ttlMs"), Some(&Json::whole(0)));
    assert_eq!(list.get("cacheScope"), Some(&Json::from("private")));
    assert_eq!(list.get("resultType"), Some(&Json::from("complete")));
    let missing = call_tool(&server, MODERN, "3", r#"{"name":"missing"}"#).await;
    assert!(missing.contains(r#""code":-32602"#), "{missing}");
}

#[tokio::test]
async fn a_legacy_call_to_a_legacy_child_stays_as_it_is() {
    let Some(server) = child("legacy") else { return };
    let result = result_of(&ask_json(&server, LEGACY, ("2", "tools/list", "{}")).await);
    assert_eq!((result.get("resultType"), result.get("cacheScope")), (None, None));
    let missing = call_tool(&server, LEGACY, "3", r#"{"name":"missing"}"#).await;
    assert!(missing.contains(r#""code":-32002"#), "{missing}");
}

#[tokio::test]
async fn a_legacy_call_to_a_modern_child_is_signed_by_the_gate() {
    let Some(server) = child("modern") else { return };
    for params in [r#"{"name":"echo"}"#, r#"{"name":"echo","_meta":7}"#, CALL] {
        let answer = call_tool(&server, LEGACY, "1", params).await;
        for (name, value) in [
            ("protocolVersion", r#""2026-07-28""#),
            ("clientCapabilities", "{}"),
            ("clientInfo", r#"{"name":"cedargate","#),
        ] {
            let signed = format!(r#""io.modelcontextprotocol/{name}":{value}"#);
            assert!(answer.contains(&signed), "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_modern_call_to_a_modern_child_speaks_for_its_own_client() {
    let Some(server) = child("modern") else { return };
    let answer = call_tool(&server, MODERN, "1", CALL).await;
    assert!(answer.contains(r#"clientCapabilities":{"elicitation":{}}"#), "{answer}");
    assert!(!answer.contains("clientInfo"), "{answer}");
}

#[tokio::test]
async fn what_is_about_the_connection_is_answered_by_the_gate() {
    // Nothing is started for it.
    let server = StdioServer::new(command("/no/such/program", &[]), &limits());
    for method in ["ping", "logging/setLevel"] {
        let answer = ask_json(&server, LEGACY, ("-0", method, r#"{"level":"debug"}"#)).await;
        assert_eq!(answer, r#"{"jsonrpc":"2.0","id":-0,"result":{}}"#);
    }
    for method in ["notifications/initialized", "notifications/cancelled", "notifications/progress"]
    {
        let asked = ("", method, r#"{"requestId":1}"#);
        assert!(matches!(ask(&server, &alice(), LEGACY, asked).await, Ok(Reply::Accepted)));
    }
}
