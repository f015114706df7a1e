//! The endpoints, asked as programs and browsers ask them, without a socket.

mod authorize;
mod codes;
mod limits;
mod possession;
mod proofs;
mod registration;
mod revocation;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

use crate::{
    ClientDocumentHosts, Config, Lifetimes, TestEndpoints,
    clients::{Client, ClientAuthentication, Clients, Standing, loopback_redirect_uris},
    issuer::Issuer,
    keys::KeyRing,
    router,
    secret::{Digest, Secret},
    signing::SigningKey,
    users::{HashingCost, Users},
};

const ISSUER: &str = "https://127.0.0.1:8444";
const RESOURCE: &str = "https://127.0.0.1:8443/mcp";
const OTHER_RESOURCE: &str = "https://other.example.com/mcp";
const PASSWORD: &str = "correct horse";
const SECRET: &str = "battery staple";
const CALLBACK: &str = "http://127.0.0.1:4711/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A server and whoever talks to it.
struct Bench {
    router: Router,
    keys: KeyRing,
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn location(&self) -> Url {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{self:?}");
        Url::parse(ISSUER).unwrap().join(self.header("location")).unwrap()
    }

    /// A parameter of the address that the browser is sent to.
    fn returned(&self, name: &str) -> Option<String> {
        let location = self.location();
        let found = location.query_pairs().find(|(n, _)| n == name);
        found.map(|(_, value)| value.into_owned())
    }

    fn seal(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"seal\" value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    fn cookie(&self) -> Option<String> {
        let value = self.headers.get(header::SET_COOKIE)?.to_str().unwrap();
        Some(value.split(';').next().unwrap().to_owned())
    }
}

fn usual_clients() -> Vec<Client> {
    let owned = |scopes: &[&str]| scopes.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
    let client = |id: &str, authentication| Client {
        id: id.to_owned(),
        name: id.to_owned(),
        authentication,
        redirect_uris: loopback_redirect_uris().unwrap(),
        standing: Standing::Configured {
            allowed_scopes: owned(&["customer:read", "ticket:create"]),
            default_scopes: owned(&["customer:read"]),
        },
    };
    vec![
        client("confidential", ClientAuthentication::Secret(Secret::new(SECRET))),
        client("public", ClientAuthentication::None),
    ]
}

impl Bench {
    fn new() -> Self {
        Self::with(usual_clients(), Lifetimes::default(), TestEndpoints::Absent)
    }

    fn with(clients: Vec<Client>, lifetimes: Lifetimes, test_endpoints: TestEndpoints) -> Self {
        let people = Users::demo().map(|user| (user, Secret::new(PASSWORD)));
        let keys = KeyRing::new(signing_key());
        let config = Config {
            issuer: ISSUER.to_owned(),
            resources: vec![RESOURCE.to_owned(), OTHER_RESOURCE.to_owned()],
            clients: Clients::new(clients),
            users: Users::new(people.into(), HashingCost { memory_kib: 8, passes: 1 }).unwrap(),
            default_scopes: vec!["customer:read".to_owned()],
            keys: keys.clone(),
            rotate_every: None,
            lifetimes,
            client_metadata: ClientDocumentHosts::Public,
            test_endpoints,
        };
        let issuer = Arc::new(Issuer::prepare(config).unwrap());
        Self { router: router(issuer, test_endpoints), keys }
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Reply { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, path: &str, cookie: Option<&str>) -> Reply {
        let mut request = Request::get(path);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, cookie: Option<&str>, form: &[(&str, &str)]) -> Reply {
        let mut request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.send(request.body(encoded(form).into()).unwrap()).await
    }

    async fn post_json(&self, path: &str, body: &Value) -> Reply {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    /// Signs in for this request: the cookie, and the consent page.
    async fn signed_in(&self, query: &str, user: &str) -> (String, Reply) {
        let page = self.get(&format!("/authorize?{query}"), None).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        let cookie = page.cookie().unwrap();
        let form = [("seal", page.seal()), ("username", user.to_owned())];
        let form = [
            (form[0].0, form[0].1.as_str()),
            (form[1].0, form[1].1.as_str()),
            ("password", PASSWORD),
        ];
        let path = format!("/authorize/sign-in?{query}");
        let reply = self.post(&path, Some(&cookie), &form).await;
        let cookie = reply.cookie().expect("a new cookie");
        let next = reply.location();
        let next = format!("{}?{}", next.path(), next.query().unwrap());
        let page = self.get(&next, Some(&cookie)).await;
        (cookie, page)
    }

    /// The whole way of a person who allows it, to the client's address.
    async fn allowed(&self, query: &str, user: &str) -> Reply {
        let (cookie, page) = self.signed_in(query, user).await;
        let form = [("seal", page.seal()), ("decision", "allow".to_owned())];
        let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.post(&format!("/authorize/consent?{query}"), Some(&cookie), &form).await
    }

    async fn code(&self, changes: &[(&str, &str)]) -> String {
        let reply = self.allowed(&query(changes), "demo_user").await;
        reply.returned("code").unwrap_or_else(|| panic!("{reply:?}"))
    }

    /// Exchanges a code as the public client.
    async fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> Reply {
        let usual = [
            ("grant_type", "authorization_code"),
            ("client_id", "public"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.post("/token", None, &changed(&usual, changes)).await
    }

    /// Access and refresh token of the public client.
    async fn tokens(&self, changes: &[(&str, &str)]) -> (String, String) {
        let reply = self.exchange(&self.code(changes).await, &[]).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let json = reply.json();
        let token = |name: &str| json[name].as_str().unwrap().to_owned();
        (token("access_token"), token("refresh_token"))
    }

    async fn refresh(&self, token: &str, changes: &[(&str, &str)]) -> Reply {
        let usual =
            [("grant_type", "refresh_token"), ("client_id", "public"), ("refresh_token", token)];
        self.post("/token", None, &changed(&usual, changes)).await
    }

    async fn is_active(&self, token: &str) -> bool {
        let form = [("client_id", "confidential"), ("client_secret", SECRET), ("token", token)];
        self.post("/introspect", None, &form).await.json()["active"] == true
    }

    async fn userinfo(&self, token: &str) -> Reply {
        let request = Request::get("/userinfo").header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    fn claims(&self, token: &str) -> Value {
        self.keys.verify(ISSUER, token).expect("a token of ours")
    }
}

/// The public client's authorization request, with changes; an empty value leaves one out.
fn query(changes: &[(&str, &str)]) -> String {
    let challenge = Digest::of(VERIFIER).base64url();
    let usual = [
        ("response_type", "code"),
        ("client_id", "public"),
        ("redirect_uri", CALLBACK),
        ("state", "a state & more"),
        ("scope", "customer:read profile"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    encoded(&changed(&usual, changes))
}

fn changed<'a>(
    usual: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let kept = usual.iter().filter(|(name, _)| !changes.iter().any(|(n, _)| n == name));
    kept.chain(changes).filter(|(_, value)| !value.is_empty()).copied().collect()
}

fn encoded(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// One key for all tests: making one takes a while.
fn signing_key() -> SigningKey {
    static KEY: std::sync::OnceLock<SigningKey> = std::sync::OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate().unwrap()).clone()
}

fn short_lived(change: impl FnOnce(&mut Lifetimes)) -> Lifetimes {
    let mut lifetimes = Lifetimes::default();
    change(&mut lifetimes);
    lifetimes
}

const NOW: Duration = Duration::ZERO;
