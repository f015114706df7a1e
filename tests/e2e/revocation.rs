//! Tokens that are refused before their time, and tokens about which their issuer must be asked.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Form, Json, Router, http::HeaderMap, routing::post};
use harness::{Program, Stack, eventually, free_port};
use serde_json::{Value, json};

const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
const GATE: &str = env!("CARGO_BIN_EXE_cedargate-under-test");
const SECRET: &str = "an operator's token of many letters";

/// A stack with a listener for operators.
struct Operated {
    stack: Stack,
    admin: String,
    home: tempfile::TempDir,
}

impl Operated {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("secret"), SECRET).unwrap();
        Self::over(home).await
    }

    async fn over(home: tempfile::TempDir) -> Self {
        let admin = format!("127.0.0.1:{}", free_port());
        let settings = format!(
            "[admin]\naddress = {admin:?}\ntoken_file = {:?}\nrevocations = {:?}\n",
            home.path().join("secret"),
            home.path().join("revocations.jsonl")
        );
        let stack = Stack::with().settings(&settings).start().await;
        let admin = format!("http://{admin}");
        let operated = Self { stack, admin, home };
        eventually("the operators' listener serves", async || {
            operated.get("/livez").await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        operated
    }

    async fn get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        reqwest::get(format!("{}{path}", self.admin)).await
    }

    async fn revocations(&self, method: reqwest::Method, body: Value) -> u16 {
        let request = reqwest::Client::new().request(method, format!("{}/revocations", self.admin));
        request.bearer_auth(SECRET).json(&body).send().await.unwrap().status().as_u16()
    }

    async fn revoke(&self, token: &str) -> u16 {
        let request = reqwest::Client::new().post(format!("{}/revoke", self.admin));
        let request = request.bearer_auth(SECRET).form(&[("token", token)]);
        request.send().await.unwrap().status().as_u16()
    }

    async fn reason(&self, token: &str) -> Option<String> {
        let reply = self.stack.bearing(token).post(LIST).await;
        (reply.status != 200).then(|| reply.reason())
    }

    /// A token with these changes.
    fn token(&self, changes: Value) -> String {
        let mut claims = self.stack.claims("customer:read");
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        self.stack.signing_key().sign(&claims).unwrap()
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_and_after_a_restart() {
    let operated = Operated::start().await;
    let issuer = operated.stack.issuer();
    let [one, other] = ["1", "2"].map(|jti| operated.token(json!({ "jti": jti })));
    let nameless = operated.token(json!({ "jti": null, "sub": "bob" }));
    for token in [&one, &other, &nameless] {
        assert_eq!(operated.reason(token).await, None);
    }
    assert_eq!(operated.revoke(&one).await, 200);
    assert_eq!(operated.revoke(&nameless).await, 200);
    assert_eq!(operated.reason(&one).await.as_deref(), Some("revoked"));
    assert_eq!(operated.reason(&nameless).await.as_deref(), Some("revoked"));
    assert_eq!(operated.reason(&other).await, None);
    let by_jti = json!({ "issuer": issuer, "jti": "2" });
    assert_eq!(operated.revocations(reqwest::Method::POST, by_jti.clone()).await, 200);
    assert_eq!(operated.reason(&other).await.as_deref(), Some("revoked"));
    assert_eq!(operated.revocations(reqwest::Method::DELETE, by_jti).await, 200);
    assert_eq!(operated.reason(&other).await, None);

    let Operated { stack, home, .. } = operated;
    stack.finish().await;
    let again = Operated::over(home).await;
    let ready: Value = again.get("/readyz").await.unwrap().json().await.unwrap();
    assert_eq!(ready["revocations"], 2, "{ready}");
    again.stack.finish().await;
}

#[tokio::test]
async fn a_subject_is_revoked_up_to_a_time_and_may_log_in_anew() {
    let operated = Operated::start().await;
    let now = jsonwebtoken::get_current_timestamp();
    let old = operated.token(json!({ "sub": "mallory", "iat": now - 60 }));
    let new = operated.token(json!({ "sub": "mallory", "iat": now }));
    let of_another = operated.token(json!({ "sub": "alice", "iat": now - 60 }));
    let revocation = json!({
        "issuer": operated.stack.issuer(), "sub": "mallory", "issued_before": now,
    });
    assert_eq!(operated.revocations(reqwest::Method::POST, revocation).await, 200);
    assert_eq!(operated.reason(&old).await.as_deref(), Some("revoked"));
    assert_eq!(operated.reason(&new).await, None);
    assert_eq!(operated.reason(&of_another).await, None);
    operated.stack.finish().await;
}

#[tokio::test]
async fn a_token_that_cannot_be_judged_now_is_not_said_to_be_revoked() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let stack = Stack::with()
        .jwks_url(&format!("http://127.0.0.1:{}/jwks.json", free_port()))
        .settings(&format!("[admin]\naddress = {address:?}\ntoken_file = {secret:?}\n"))
        .start()
        .await;
    let revoke = async |token: &str| {
        let request = reqwest::Client::new().post(format!("http://{address}/revoke"));
        let request = request.bearer_auth(SECRET).form(&[("token", token)]);
        request.send().await.map(|answer| answer.status().as_u16())
    };
    eventually("the operators' listener serves", async || revoke("x").await.is_ok()).await;
    let token = stack.caller("customer:read").token().to_owned();
    assert_eq!(revoke(&token).await.unwrap(), 503, "there are no keys to judge by");
    assert_eq!(revoke("nonsense").await.unwrap(), 200);
    stack.finish().await;
}

#[tokio::test]
async fn checking_a_configuration_leaves_the_journal_to_the_gate_that_runs() {
    let operated = Operated::start().await;
    let home = operated.stack.home().to_owned();
    let checked = tokio::task::spawn_blocking(move || {
        Program::run(GATE, &["check", "--config", "gate.toml"], &home)
    });
    assert!(checked.await.unwrap().status.success());
    let token = operated.token(json!({ "jti": "after the check" }));
    assert_eq!(operated.revoke(&token).await, 200);
    let Operated { stack, home, .. } = operated;
    stack.finish().await;
    let journal = std::fs::read_to_string(home.path().join("revocations.jsonl")).unwrap();
    assert!(journal.contains("after the check"), "{journal}");
}

#[tokio::test]
async fn nobody_but_the_operator_revokes() {
    let operated = Operated::start().await;
    let token = operated.token(json!({ "jti": "1" }));
    let client = reqwest::Client::new();
    for authorization in [
        None,
        Some(String::from("Bearer ")),
        Some(format!("Bearer {}", &SECRET[1..])),
        Some(format!("Bearer {SECRET}x")),
        Some(format!("Basic {SECRET}")),
        Some(format!("Bearer {token}")),
    ] {
        for (method, path) in [
            (reqwest::Method::POST, "/revoke"),
            (reqwest::Method::POST, "/revocations"),
            (reqwest::Method::DELETE, "/revocations"),
        ] {
            let mut request = client.request(method, format!("{}{path}", operated.admin));
            if let Some(authorization) = &authorization {
                request = request.header("authorization", authorization);
            }
            let answer = request.form(&[("token", &token)]).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{path} {authorization:?}");
        }
    }
    for body in
        [json!({}), json!({ "jti": "1" }), json!({ "issuer": "i", "jti": "1", "all": true })]
    {
        assert_eq!(operated.revocations(reqwest::Method::POST, body).await, 400);
    }
    assert_eq!(operated.revoke("not even a token").await, 200, "RFC 7009 section 2.2");
    assert_eq!(operated.reason(&token).await, None);
    operated.stack.finish().await;
}

#[tokio::test]
async fn readiness_tells_of_keys_and_policies() {
    let operated = Operated::start().await;
    let answer = operated.get("/readyz").await.unwrap();
    assert_eq!(answer.status(), 200);
    let ready: Value = answer.json().await.unwrap();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["issuers"][0]["issuer"], operated.stack.issuer());
    assert_eq!(ready["issuers"][0]["freshness"], "fresh");
    assert_eq!(ready["policies"]["stale"], false);

    let broken = operated.stack.home().join("policies/broken.cedar");
    std::fs::write(&broken, "permit (").unwrap();
    eventually("the policies are told to be stale", async || {
        let ready: Value = operated.get("/readyz").await.unwrap().json().await.unwrap();
        ready["policies"]["stale"] == true
            && ready["ready"] == true
            && ready["reasons"][0]["code"] == "policies-stale"
            && ready["reasons"][0]["effect"] == "degraded"
    })
    .await;
    std::fs::remove_file(&broken).unwrap();
    eventually("they are in force again", async || {
        let ready: Value = operated.get("/readyz").await.unwrap().json().await.unwrap();
        ready["policies"]["stale"] == false
    })
    .await;
    operated.stack.finish().await;

    // Without keys nobody can be served.
    let admin = format!("127.0.0.1:{}", free_port());
    let nowhere = format!("http://127.0.0.1:{}/jwks.json", free_port());
    let stack = Stack::with()
        .jwks_url(&nowhere)
        .settings(&format!("[admin]\naddress = {admin:?}\n"))
        .start()
        .await;
    eventually("it is told to be not ready", async || {
        let answer = reqwest::get(format!("http://{admin}/readyz")).await;
        answer.is_ok_and(|answer| answer.status() == 503)
    })
    .await;
    let told = reqwest::get(format!("http://{admin}/readyz")).await.unwrap();
    let told: Value = told.json().await.unwrap();
    let codes: Vec<_> =
        told["reasons"].as_array().unwrap().iter().map(|reason| &reason["code"]).collect();
    assert_eq!(codes, ["no-usable-keys", "keys-missing"]);
    let revoking = reqwest::Client::new().post(format!("http://{admin}/revoke"));
    assert_eq!(revoking.send().await.unwrap().status(), 404, "without a token nobody revokes");
    stack.finish().await;
}

/// An issuer that knows one opaque token and answers as it is told.
async fn introspecting(answer: Arc<Mutex<Value>>, asked: Arc<AtomicUsize>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route(
        "/introspect",
        post(move |headers: HeaderMap, Form(form): Form<Vec<(String, String)>>| {
            asked.fetch_add(1, Ordering::SeqCst);
            let known = headers["authorization"] == "Basic Z2F0ZTpzZWNyZXQrd29yZHM="
                && form.contains(&("token".to_owned(), "opaque/token+1~==".to_owned()));
            let answer =
                if known { answer.lock().unwrap().clone() } else { json!({ "active": false }) };
            async move { Json(answer) }
        }),
    );
    tokio::spawn(axum::serve(listener, app).into_future());
    format!("http://{address}/introspect")
}

#[tokio::test]
async fn an_opaque_token_is_what_its_issuer_says_it_is() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "secret words\n").unwrap();
    let answer = Arc::new(Mutex::new(Value::Null));
    let asked = Arc::new(AtomicUsize::new(0));
    let url = introspecting(Arc::clone(&answer), Arc::clone(&asked)).await;
    let settings = format!(
        "introspection = {{ url = {url:?}, client_id = \"gate\", client_secret_file = {secret:?}, cache_for = \"0s\" }}"
    );
    let stack = Stack::with().issuer_settings(&settings).start().await;
    let mut good = stack.claims("customer:read");
    good["active"] = json!(true);
    good["token_type"] = json!("Bearer");
    let caller = stack.bearing("opaque/token+1~==");
    *answer.lock().unwrap() = good.clone();
    assert_eq!(caller.post(LIST).await.status, 200);
    for absent in ["iss", "iat", "jti", "sub", "token_type"] {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(absent);
        *answer.lock().unwrap() = without;
        assert_eq!(caller.post(LIST).await.status, 200, "without {absent}");
    }
    for (name, value, reason) in [
        ("active", json!("true"), "malformed-claims"),
        ("active", Value::Null, "malformed-claims"),
        ("iss", json!("https://evil.example.com"), "unknown-issuer"),
        ("aud", json!("https://other.example.com/mcp"), "wrong-audience"),
        ("aud", Value::Null, "malformed-claims"),
        ("exp", json!(1), "expired"),
        ("exp", Value::Null, "malformed-claims"),
        ("sub", json!(""), "malformed-claims"),
        ("client_id", Value::Null, "malformed-claims"),
        ("token_type", json!("refresh_token"), "wrong-token-type"),
        ("token_use", json!("refresh_token"), "wrong-token-type"),
        ("token_use", json!("id"), "wrong-token-type"),
        ("typ", json!("Refresh"), "wrong-token-type"),
        ("cnf", json!({ "jkt": "A".repeat(43) }), "no-proof"),
    ] {
        let mut changed = good.clone();
        match &value {
            Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
            value => changed[name] = value.clone(),
        }
        *answer.lock().unwrap() = changed;
        assert_eq!(caller.refused(LIST).await.reason(), reason, "{name}: {value}");
    }
    *answer.lock().unwrap() = json!("no object");
    let reply = caller.refused(LIST).await;
    assert_eq!(
        (reply.status.as_u16(), reply.reason().as_str()),
        (503, "introspection-unavailable")
    );
    for token in ["unknown", "opaque/token+1~=="] {
        *answer.lock().unwrap() = json!({ "active": false });
        let before = asked.load(Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(stack.bearing(token).refused(LIST).await.reason(), "inactive-token");
        }
        assert_eq!(asked.load(Ordering::SeqCst), before + 1, "asked once for a while");
    }
    let before = asked.load(Ordering::SeqCst);
    assert_eq!(stack.caller("customer:read").post(LIST).await.status, 200, "a JWT is verified");
    assert_eq!(asked.load(Ordering::SeqCst), before, "and nobody is asked about it");
    stack.finish().await;
}

#[tokio::test]
async fn an_issuers_word_counts_for_as_long_as_configured() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "secret words").unwrap();
    let answer = Arc::new(Mutex::new(Value::Null));
    let asked = Arc::new(AtomicUsize::new(0));
    let url = introspecting(Arc::clone(&answer), Arc::clone(&asked)).await;
    let settings = format!(
        "introspection = {{ url = {url:?}, client_id = \"gate\", client_secret_file = {secret:?}, cache_for = \"3s\" }}"
    );
    let stack = Stack::with().issuer_settings(&settings).start().await;
    let mut good = stack.claims("customer:read");
    good["active"] = json!(true);
    *answer.lock().unwrap() = good;
    let caller = stack.bearing("opaque/token+1~==");
    for _ in 0..5 {
        assert_eq!(caller.post(LIST).await.status, 200);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    *answer.lock().unwrap() = json!({ "active": false });
    tokio::time::sleep(std::time::Duration::from_millis(3_200)).await;
    assert_eq!(caller.refused(LIST).await.reason(), "inactive-token");
    stack.finish().await;
}
