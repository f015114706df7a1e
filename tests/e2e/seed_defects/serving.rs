//! What is there, and what starts without what it needs.

use harness::{Program, Reply, Stack, eventually, free_port, repository};
use reqwest::Method;
use serde_json::json;

const SERVER: &str = env!("CARGO_BIN_EXE_customer-mcp-server-under-test");
const ISSUER: &str = env!("CARGO_BIN_EXE_dev-authorization-server-under-test");

#[tokio::test]
async fn defect_11_without_keys_nothing_is_served() {
    let nobody = format!("http://127.0.0.1:{}/keys", free_port());
    let stack = Stack::with().jwks_url(&nobody).start().await;
    let call = json!({ "customer_id": "ABC123" });
    let stranger = stack.stranger().refused_call("get_customer_info", call.clone()).await;
    assert_eq!(stranger.status, 401);
    let known = stack.caller("customer:read").refused_call("get_customer_info", call).await;
    assert_eq!(known.status, 503);

    let home = stack.home();
    for (program, missing) in [(SERVER, "--assertion-jwks"), (ISSUER, "--key")] {
        let mut arguments = vec!["--listen", "127.0.0.1:0", "--certificate", "upstream.pem"];
        arguments.extend([missing, "missing"]);
        match program {
            SERVER => arguments.extend(["--key", "upstream-key.pem"]),
            _ => arguments.extend(["--resource", "https://127.0.0.1:8443/mcp"]),
        }
        let output = Program::run(program, &arguments, home);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.contains("missing"), "{told}");
    }
    stack.finish().await;
}

#[tokio::test]
async fn defect_12_a_client_without_a_token_is_led_to_the_issuer() {
    let stack = Stack::start().await;
    let refused = stack.stranger().refused_call("get_customer_info", json!({})).await;
    assert_eq!(refused.status, 401);
    let challenge = refused.challenge().expect("a challenge").to_owned();
    let (_, rest) = challenge.split_once("resource_metadata=\"").expect("where to go on");
    let get = async |url: &str| Reply::read(stack.http().get(url).send().await.unwrap()).await;
    let resource = get(rest.split('"').next().unwrap()).await.json();
    assert_eq!(resource["resource"], stack.resource());
    let issuer = resource["authorization_servers"][0].as_str().unwrap();
    let metadata = get(&format!("{issuer}/.well-known/oauth-authorization-server")).await.json();
    assert_eq!(metadata["issuer"], issuer);
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    let keys = get(metadata["jwks_uri"].as_str().unwrap()).await.json();
    assert_eq!(keys["keys"][0]["kid"], stack.signing_key().kid());
    for endpoint in ["authorization_endpoint", "token_endpoint", "registration_endpoint"] {
        let url = metadata[endpoint].as_str().unwrap();
        assert_ne!(get(url).await.status, 404, "{endpoint}");
    }
    stack.finish().await;
}

/// A health check asked for a path that nobody served: what is documented is served.
#[tokio::test]
async fn defect_13_every_path_in_a_readme_is_served() {
    let (stack, admin) = operated().await;
    for (readme, address, least) in [
        ("crates/dev-authorization-server/README.md", stack.issuer(), 12),
        ("sidecar/README.md", admin, 3),
    ] {
        let readme = std::fs::read_to_string(repository().join(readme)).unwrap();
        let mut rows = 0;
        let starts = |line: &&str| line.starts_with("| `GET /") || line.starts_with("| `POST /");
        for line in readme.lines().filter(starts) {
            let endpoint = line.split('`').nth(1).unwrap();
            let (method, path) = endpoint.split_once(' ').unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = stack.http().request(method, format!("{address}{path}"));
            let status = request.send().await.unwrap().status();
            assert!(status != 404 && status != 405, "{endpoint}: {status}");
            rows += 1;
        }
        assert!(rows >= least, "{address}: the table has {rows} endpoints");
    }
    let health = stack.http().get(format!("{}/health", stack.issuer())).send().await.unwrap();
    assert_eq!(health.status(), 200);
    stack.finish().await;
}

/// A stack with a listener for operators, whose token is [`OPERATOR`].
pub(super) async fn operated() -> (Stack, String) {
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), OPERATOR).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let settings =
        format!("[admin]\naddress = {address:?}\ntoken_file = {:?}\n", token.path().display());
    let stack = Stack::with().settings(&settings).start().await;
    let admin = format!("http://{address}");
    let alive = format!("{admin}/livez");
    let answers = async || stack.http().get(&alive).send().await.is_ok();
    eventually("the operators' listener serves", answers).await;
    (stack, admin)
}

pub(super) const OPERATOR: &str = "an operator's token of many letters";

#[tokio::test]
async fn defect_15_security_events_need_their_scope_and_happen() {
    let stack = Stack::start().await;
    let events = async |scope: &str| {
        let uri = json!({ "uri": "security://events" });
        stack.caller(scope).request("resources/read", uri).await
    };
    let refused = events("customer:read").await;
    assert_eq!(refused.reason(), "insufficient-scope");
    assert_eq!(refused.json()["error"]["data"]["requiredScopes"], json!(["security:read"]));
    let warnings = async || {
        let reply = events("security:read").await;
        let text = reply.result()["contents"][0]["text"].as_str().unwrap().to_owned();
        let events: serde_json::Value = serde_json::from_str(&text).unwrap();
        events["summary"]["warnings"].as_u64().unwrap()
    };
    let before = warnings().await;
    let straight = stack.http().post(stack.upstream()).bearer_auth("nonsense").body("{}");
    assert_eq!(straight.send().await.unwrap().status(), 401);
    assert_eq!(warnings().await, before + 1, "what happened is told");
    stack.finish().await;
}
