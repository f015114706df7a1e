//! Identity providers that know nothing of the gate: accepted with configuration alone.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use client::{
    session::{Era, Session, SessionError},
    token::{OAuthClient, Options},
};
use harness::{Neighbour, Stack, repository, skip};
use serde_json::{Value, json};

const CLIENT: (&str, &str) = ("robot", "a secret of some length");

/// A running provider; killed when dropped.
struct Provider {
    process: Child,
    issuer: String,
    _home: tempfile::TempDir,
}

impl Provider {
    fn start() -> Option<Self> {
        let (node, modules) = Neighbour::node_with("oidc-provider")?;
        let home = tempfile::tempdir().unwrap();
        // Node looks for modules beside the script.
        let script = home.path().join("provider.mjs");
        std::fs::copy(repository().join("tests/foreign/provider.mjs"), &script).unwrap();
        std::os::unix::fs::symlink(modules, home.path().join("node_modules")).unwrap();
        let mut process = Command::new(node.program)
            .arg(script)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let issuer = lines.next().unwrap().unwrap();
        Some(Self { process, issuer, _home: home })
    }

    async fn token(&self, resource: &str, scope: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("resource", resource), ("scope", scope)];
        let request = reqwest::Client::new().post(format!("{}/token", self.issuer));
        let request = request.basic_auth(CLIENT.0, Some(CLIENT.1.replace(' ', "+"))).form(&form);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let token = answer["access_token"].as_str();
        token.expect("a token").to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_certified_provider_are_accepted_with_configuration_alone() {
    let Some(provider) = Provider::start() else {
        return skip("Node with oidc-provider 9.13.3 in CEDARGATE_TEST_NODE_MODULES");
    };
    let stack = Stack::with().issuer(&provider.issuer).start().await;
    let who = json!({ "customer_id": "JOHNDOE123" });
    let token = provider.token(&stack.resource(), "customer:read").await;
    let reply = stack.bearing(&token).call("get_customer_info", who.clone()).await;
    assert!(reply.body.contains("John Doe"), "{}", reply.body);
    let ticket = json!({
        "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low",
    });
    let reply = stack.bearing(&token).refused_call("create_support_ticket", ticket.clone()).await;
    assert_eq!(reply.status, 403);
    assert!(reply.challenge().unwrap().contains(r#"scope="ticket:create""#));
    let token = provider.token(&stack.resource(), "customer:read ticket:create").await;
    let reply = stack.bearing(&token).call("create_support_ticket", ticket).await;
    assert!(reply.body.contains("TKT-"), "{}", reply.body);

    let foreign = provider.token("https://other.example.com/mcp", "customer:read").await;
    let reply = stack.bearing(&foreign).refused_call("get_customer_info", who).await;
    assert_eq!(reply.reason(), "wrong-audience");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_gets_its_tokens_there_and_checks_them() {
    let Some(provider) = Provider::start() else {
        return skip("Node with oidc-provider 9.13.3 in CEDARGATE_TEST_NODE_MODULES");
    };
    let mut stack = Stack::with().issuer(&provider.issuer).start().await;
    let options = Options::new(OAuthClient::with_secret(CLIENT.0, CLIENT.1));
    let tokens = Arc::new(stack.tokens(options).await.unwrap());
    let (http, url) = (stack.http(), stack.resource());
    let session = Session::open(http, &url, Arc::clone(&tokens), Era::Newest).await.unwrap();
    let ticket = json!({
        "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low",
    });
    let ticket = ticket.as_object().unwrap().clone();
    let refused = session.call("create_support_ticket", ticket.clone()).await.unwrap_err();
    let SessionError::StepUp { required } = refused else { panic!("{refused}") };
    session.step_up(&required).await.unwrap();
    let result = session.call("create_support_ticket", ticket).await.unwrap();
    assert_ne!(result.is_error, Some(true));
    let found = tokens.inspect();
    assert_eq!((found.issuer, found.requests), (provider.issuer.clone(), 2));
    assert!(found.token.unwrap().verified);
    session.close().await;
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opaque_tokens_of_a_certified_provider_are_asked_about() {
    let Some(provider) = Provider::start() else {
        return skip("Node with oidc-provider 9.13.3 in CEDARGATE_TEST_NODE_MODULES");
    };
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, CLIENT.1).unwrap();
    let settings = format!(
        "audiences = [\"https://gate.example.com/opaque\"]\nintrospection = {{ url = {:?}, client_id = {:?}, client_secret_file = {secret:?} }}",
        format!("{}/token/introspection", provider.issuer),
        CLIENT.0
    );
    let stack = Stack::with().issuer(&provider.issuer).issuer_settings(&settings).start().await;
    let token = provider.token("https://gate.example.com/opaque", "customer:read").await;
    assert!(!token.contains('.'), "{token}");
    let who = json!({ "customer_id": "JOHNDOE123" });
    let reply = stack.bearing(&token).call("get_customer_info", who).await;
    assert!(reply.body.contains("John Doe"), "{}", reply.body);
    stack.finish().await;
}
