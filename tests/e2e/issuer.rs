use harness::Stack;
use serde_json::Value;

async fn ask(stack: &Stack, basic: Option<(&str, &str)>, form: &str) -> (u16, Value) {
    let mut request = stack
        .http()
        .post(format!("{}/token", stack.issuer()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    if let Some((id, secret)) = basic {
        request = request.basic_auth(id, Some(secret));
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn a_token_it_issues_opens_the_gate() {
    let stack = Stack::start().await;
    let credentials = stack.credentials();
    let (id, secret) = (credentials.client_id.as_str(), credentials.client_secret.as_str());
    let in_body = format!(
        "grant_type=client_credentials&client_id={id}&client_secret={}",
        secret.replace(' ', "+")
    );
    let encoded = secret.replace(' ', "%20");
    for (basic, form) in
        [(Some((id, encoded.as_str())), "grant_type=client_credentials"), (None, in_body.as_str())]
    {
        let (status, answer) = ask(&stack, basic, form).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["scope"], "customer:read", "the client's default");
        let token = answer["access_token"].as_str().unwrap();
        let reply = stack.bearing(token).request("tools/list", serde_json::json!({})).await;
        assert_eq!(reply.tool_names(), ["get_customer_info", "get_recent_customers"]);
    }
    stack.finish().await;
}

#[tokio::test]
async fn what_it_should_not_grant_it_refuses() {
    let stack = Stack::start().await;
    let credentials = stack.credentials();
    let (id, secret) =
        (credentials.client_id.as_str(), credentials.client_secret.replace(' ', "%20"));
    let right = Some((id, secret.as_str()));
    let grant = "grant_type=client_credentials";
    for (basic, form, status, error) in [
        (None, grant, 401, "invalid_client"),
        (None, "grant_type=client_credentials&client_id=test-client", 401, "invalid_client"),
        (
            None,
            "grant_type=client_credentials&client_id=test-client&client_secret=",
            401,
            "invalid_client",
        ),
        (Some((id, "")), grant, 401, "invalid_client"),
        (Some((id, "wrong")), grant, 401, "invalid_client"),
        (Some(("nobody", secret.as_str())), grant, 401, "invalid_client"),
        (right, "grant_type=client_credentials&client_secret=x", 400, "invalid_request"),
        (right, "", 400, "invalid_request"),
        (right, "grant_type=password&username=a&password=b", 400, "unsupported_grant_type"),
        (right, "grant_type=client_credentials&scope=admin:manage", 400, "invalid_scope"),
        (
            right,
            "grant_type=client_credentials&scope=customer:read+admin:manage",
            400,
            "invalid_scope",
        ),
        (right, "grant_type=client_credentials&scope=a&scope=b", 400, "invalid_request"),
        (
            right,
            "grant_type=client_credentials&resource=https://evil.example.com",
            400,
            "invalid_target",
        ),
        (right, "grant_type=client_credentials&resource=nonsense", 400, "invalid_target"),
    ] {
        let (got, answer) = ask(&stack, basic, form).await;
        assert_eq!((got, answer["error"].as_str().unwrap()), (status, error), "{form}");
        assert!(answer.get("access_token").is_none());
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_token_for_another_resource_does_not_open_the_gate() {
    let stack = Stack::start().await;
    let credentials = stack.credentials();
    let (id, secret) =
        (credentials.client_id.as_str(), credentials.client_secret.replace(' ', "%20"));
    let form = "grant_type=client_credentials&resource=https://other.example.com/mcp";
    let (status, answer) = ask(&stack, Some((id, &secret)), form).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["access_token"].as_str().unwrap();
    let reply = stack.bearing(token).refused_call("get_customer_info", serde_json::json!({})).await;
    assert_eq!(reply.reason(), "wrong-audience");
    stack.finish().await;
}

#[tokio::test]
async fn its_documents_agree_with_each_other() {
    let stack = Stack::start().await;
    let get = async |path: &str| -> Value {
        let response = stack.http().get(format!("{}{path}", stack.issuer())).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    };
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let document = get(path).await;
        assert_eq!(document["issuer"], stack.issuer());
        assert_eq!(document["jwks_uri"], format!("{}/jwks.json", stack.issuer()));
        assert_eq!(document["token_endpoint"], format!("{}/token", stack.issuer()));
    }
    let jwks = get("/jwks.json").await;
    assert_eq!(jwks["keys"][0]["kid"], stack.signing_key().kid());
    assert_eq!(jwks["keys"][0]["alg"], "RS256");
    assert!(jwks["keys"][0].get("d").is_none(), "no private key");
    assert_eq!(get("/health").await["status"], "healthy");
    stack.finish().await;
}
