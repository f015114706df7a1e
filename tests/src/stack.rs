//! Issuer, gate, spy and upstream, all of them the real thing.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use dev_authorization_server::{
    clients::{Client, Clients},
    signing::SigningKey,
};
use dev_certificates::{AssertionKey, Identity, LocalAuthority};
use http::HeaderMap;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use server::{CustomerServer, store::DemoRows};
use sidecar::{Config, DecisionRecord, Gate};
use tempfile::TempDir;
use tokio::sync::{broadcast, watch};

use crate::{reply::Reply, repository, spy::Spy};

/// Everything that [`Stack::start`] started; stopped when dropped.
pub struct Stack {
    home: TempDir,
    gate: SocketAddr,
    issuer: SocketAddr,
    upstream: SocketAddr,
    http: reqwest::Client,
    signing_key: SigningKey,
    spy: Spy,
    decisions: broadcast::Receiver<Arc<DecisionRecord>>,
    sent: AtomicUsize,
    finished: bool,
    /// Dropped, it tells every part to stop.
    _running: watch::Sender<()>,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// What is different from the usual stack.
#[derive(Debug, Default)]
pub struct StackBuilder {
    upstream: Option<Router>,
    policies: Option<String>,
    settings: String,
    upstream_url: Option<String>,
}

impl StackBuilder {
    /// Another upstream than the customer server.
    pub fn upstream(mut self, upstream: Router) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// These policies instead of the repository's; the schema stays.
    pub fn policies(mut self, text: &str) -> Self {
        self.policies = Some(text.to_owned());
        self
    }

    /// More sections for the gate's configuration.
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self
    }

    /// An upstream at a URL of its own, past the spy.
    pub fn upstream_url(mut self, url: &str) -> Self {
        self.upstream_url = Some(url.to_owned());
        self
    }

    /// Brings everything up.
    pub async fn start(self) -> Stack {
        Stack::bring_up(self).await
    }
}

impl Stack {
    /// The usual stack: the customer server with demo rows, the repository's policies.
    pub async fn start() -> Self {
        StackBuilder::default().start().await
    }

    /// A stack that differs.
    pub fn with() -> StackBuilder {
        StackBuilder::default()
    }

    async fn bring_up(builder: StackBuilder) -> Self {
        start_log();
        let home = tempfile::tempdir().unwrap();
        let authority = LocalAuthority::generate().unwrap();
        let (running, stopped) = watch::channel(());
        let place = Place { home: home.path(), authority: &authority, stopped };

        let gate_listener = bind();
        let gate = gate_listener.local_addr().unwrap();
        let resource = format!("https://{gate}/mcp");
        place.write_identities();
        place.write_policies(builder.policies.as_deref());

        let signing_key = signing_key();
        let issuer = place.start_issuer(&resource, signing_key.clone()).await;
        let upstream_listener = bind();
        let upstream = upstream_listener.local_addr().unwrap();
        let spy = Spy::start(&authority, upstream).await;
        let audience = format!("https://{}/mcp", spy.address());
        match builder.upstream {
            None => place.start_customer_server(upstream_listener, &resource, &audience).await,
            Some(router) => place.start_other(upstream_listener, router).await,
        }
        let url = builder.upstream_url.unwrap_or(audience);
        let config = place.write_config(gate, issuer, &url, &builder.settings);
        let gate_ready = Gate::prepare(&Config::load(&config).unwrap()).await.unwrap();
        let decisions = gate_ready.decisions();
        tokio::spawn(sidecar::run(gate_ready, gate_listener, place.stop()));

        let http = client::trust::http_client(Some(&home.path().join("ca.pem"))).unwrap();
        Self {
            home,
            gate,
            issuer,
            upstream,
            http,
            signing_key,
            spy,
            decisions,
            sent: AtomicUsize::new(0),
            finished: false,
            _running: running,
        }
    }

    /// The gate's MCP endpoint, which is also its resource identifier.
    pub fn resource(&self) -> String {
        format!("https://{}/mcp", self.gate)
    }

    /// The gate's address.
    pub fn gate(&self) -> SocketAddr {
        self.gate
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> String {
        format!("https://{}", self.issuer)
    }

    /// The upstream itself, past the gate and the spy.
    pub fn upstream(&self) -> String {
        format!("https://{}/mcp", self.upstream)
    }

    /// The stack's files: certificates, policies, configuration, store.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// An HTTP client that trusts the stack.
    pub fn http(&self) -> reqwest::Client {
        self.http.clone()
    }

    /// The spy between gate and upstream.
    pub fn spy(&self) -> &Spy {
        &self.spy
    }

    /// The issuer's signing key.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// The id and secret of the one client, which may ask for every scope.
    pub fn credentials(&self) -> client::token::Credentials {
        client::token::Credentials {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
        }
    }

    /// Claims of a good access token for these scopes.
    pub fn claims(&self, scopes: &str) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({
            "iss": self.issuer(),
            "sub": "alice",
            "aud": self.resource(),
            "client_id": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "jti": format!("test-{now}"),
            "scope": scopes,
        })
    }

    /// A caller with a good token for these scopes.
    pub fn caller(&self, scopes: &str) -> Caller<'_> {
        let token = self.signing_key.sign(&self.claims(scopes)).unwrap();
        Caller { stack: self, http: self.http(), token: Some(token), headers: HeaderMap::new() }
    }

    /// A caller with this token.
    pub fn bearing(&self, token: &str) -> Caller<'_> {
        Caller {
            stack: self,
            http: self.http(),
            token: Some(token.to_owned()),
            headers: HeaderMap::new(),
        }
    }

    /// A caller without a token.
    pub fn stranger(&self) -> Caller<'_> {
        Caller { stack: self, http: self.http(), token: None, headers: HeaderMap::new() }
    }

    /// Counts a request that is sent to the MCP endpoint by other means than a [`Caller`].
    pub fn count_request(&self) {
        self.sent.fetch_add(1, Ordering::SeqCst);
    }

    /// The decision on the latest request.
    pub async fn latest_decision(&mut self) -> Arc<DecisionRecord> {
        let mut latest = None;
        while let Ok(record) = self.decisions.try_recv() {
            self.sent.fetch_sub(1, Ordering::SeqCst);
            latest = Some(record);
        }
        latest.expect("a decision on record")
    }

    /// A good assertion of the gate's for its upstream, with `change` made to its claims.
    pub fn assertion(&self, typ: &str, change: impl FnOnce(&mut Value)) -> String {
        let pem = std::fs::read(self.home().join("assertion-key.pem")).unwrap();
        let key = EncodingKey::from_ed_pem(&pem).unwrap();
        self.assertion_signed_by(&key, typ, change)
    }

    /// The same under another key of the same name.
    pub fn assertion_signed_by(
        &self,
        key: &EncodingKey,
        typ: &str,
        change: impl FnOnce(&mut Value),
    ) -> String {
        let jwks = std::fs::read(self.home().join("assertion-jwks.json")).unwrap();
        let jwks: Value = serde_json::from_slice(&jwks).unwrap();
        let now = jsonwebtoken::get_current_timestamp();
        let mut claims = json!({
            "iss": self.resource(),
            "aud": format!("https://{}/mcp", self.spy.address()),
            "sub": "alice",
            "client_id": CLIENT_ID,
            "iat": now,
            "exp": now + 60,
        });
        change(&mut claims);
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = jwks.pointer("/keys/0/kid").and_then(Value::as_str).map(str::to_owned);
        jsonwebtoken::encode(&header, &claims, key).unwrap()
    }

    /// Forgets what a session of its own sent, which nobody counted.
    pub fn forget_decisions(&mut self) {
        while self.decisions.try_recv().is_ok() {}
    }

    /// Asserts one decision record for each request that was sent.
    pub async fn finish(mut self) {
        self.finished = true;
        let sent = self.sent.load(Ordering::SeqCst);
        let mut records = Vec::new();
        while records.len() < sent {
            match tokio::time::timeout(Duration::from_secs(5), self.decisions.recv()).await {
                Ok(Ok(record)) => records.push(record),
                other => panic!("{sent} requests, {} records: {other:?}", records.len()),
            }
        }
        let surplus = self.decisions.try_recv();
        assert!(surplus.is_err(), "{sent} requests, one record more: {surplus:?}");
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "a test must end with `stack.finish().await`, which counts the decision records"
        );
    }
}

/// Sends requests to the MCP endpoint.
#[derive(Debug, Clone)]
pub struct Caller<'a> {
    stack: &'a Stack,
    http: reqwest::Client,
    token: Option<String>,
    headers: HeaderMap,
}

impl Caller<'_> {
    /// The caller's token.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a caller with a token")
    }

    /// Adds a header to every request; several of a name are sent as several.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    /// Speaks HTTP/1.1.
    pub fn over_http1(mut self) -> Self {
        let pem = std::fs::read(self.stack.home.path().join("ca.pem")).unwrap();
        let authority = reqwest::Certificate::from_pem_bundle(&pem).unwrap();
        let client = reqwest::Client::builder().http1_only().tls_certs_only(authority);
        self.http = client.build().unwrap();
        self
    }

    /// Speaks 2026-07-28: adds what the modern era mirrors into headers.
    pub fn modern(self, method: &str, name: Option<&str>) -> Self {
        let caller = self.header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
        match name {
            Some(name) => caller.header("mcp-name", name),
            None => caller,
        }
    }

    /// Posts a body as it is.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Reply {
        self.send(reqwest::Method::POST, Some(body.into())).await
    }

    /// Sends a request with any HTTP method.
    pub async fn send(&self, method: reqwest::Method, body: Option<reqwest::Body>) -> Reply {
        self.stack.count_request();
        let mut request = self.http.request(method, self.stack.resource());
        if !self.headers.contains_key("content-type") {
            request = request.header("content-type", "application/json");
        }
        request = request.header("accept", "application/json, text/event-stream");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        Reply::read(request.send().await.unwrap()).await
    }

    /// A legacy request of any method.
    pub async fn request(&self, method: &str, params: Value) -> Reply {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.post(body.to_string()).await
    }

    /// A legacy tool call.
    pub async fn call(&self, tool: &str, arguments: Value) -> Reply {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// A modern request of any method.
    pub async fn modern_request(&self, method: &str, mut params: Value) -> Reply {
        let name = params.get("name").or(params.get("uri")).and_then(Value::as_str);
        let caller = self.clone().modern(method, name.map(str::to_owned).as_deref());
        params.as_object_mut().unwrap().insert("_meta".to_owned(), modern_meta());
        caller.request(method, params).await
    }

    /// Posts a body that must be refused, and asserts that the upstream saw nothing of it.
    pub async fn refused(&self, body: impl Into<reqwest::Body>) -> Reply {
        let before = self.stack.spy.mark();
        let reply = self.post(body).await;
        assert_eq!(self.stack.spy.mark(), before, "the upstream saw something");
        reply
    }

    /// A legacy tool call that must be refused without a trace upstream.
    pub async fn refused_call(&self, tool: &str, arguments: Value) -> Reply {
        let params = json!({ "name": tool, "arguments": arguments });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        self.refused(body.to_string()).await
    }
}

/// `params._meta` of a modern request.
fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "harness", "version": "1" },
    })
}

struct Place<'a> {
    home: &'a Path,
    authority: &'a LocalAuthority,
    stopped: watch::Receiver<()>,
}

impl Place<'_> {
    /// Resolves when the stack is dropped.
    fn stop(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopped = self.stopped.clone();
        async move { while stopped.changed().await.is_ok() {} }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn write_identities(&self) {
        self.write("ca.pem", self.authority.certificate_pem());
        for name in ["gate", "upstream"] {
            let Identity { certificate_pem, key_pem } = self.authority.issue(name).unwrap();
            self.write(&format!("{name}.pem"), &certificate_pem);
            self.write(&format!("{name}-key.pem"), &key_pem);
        }
        let assertion = AssertionKey::generate().unwrap();
        self.write("assertion-key.pem", &assertion.key_pem);
        self.write("assertion-jwks.json", &assertion.jwks_json);
    }

    fn write_policies(&self, instead: Option<&str>) {
        let shipped = repository().join("policies");
        for entry in std::fs::read_dir(shipped).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let wanted = match path.extension().and_then(|e| e.to_str()) {
                Some("cedarschema") => true,
                Some("cedar") => instead.is_none(),
                _ => false,
            };
            if wanted {
                let text = std::fs::read_to_string(&path).unwrap();
                self.write(&format!("policies/{name}"), &text);
            }
        }
        if let Some(text) = instead {
            self.write("policies/test.cedar", text);
        }
    }

    async fn tls(&self, name: &str) -> RustlsConfig {
        let identity = self.authority.issue(name).unwrap();
        let (certificate, key) = (identity.certificate_pem, identity.key_pem);
        RustlsConfig::from_pem(certificate.into_bytes(), key.into_bytes()).await.unwrap()
    }

    async fn start_issuer(&self, resource: &str, signing_key: SigningKey) -> SocketAddr {
        let listener = bind();
        let address = listener.local_addr().unwrap();
        let scopes: Vec<String> = SCOPES.iter().map(|&scope| scope.to_owned()).collect();
        let config = dev_authorization_server::Config {
            issuer: format!("https://{address}"),
            resources: vec![resource.to_owned(), "https://other.example.com/mcp".to_owned()],
            clients: Clients::new(vec![Client {
                id: CLIENT_ID.to_owned(),
                secret: CLIENT_SECRET.to_owned(),
                default_scopes: vec!["customer:read".to_owned()],
                allowed_scopes: scopes,
            }]),
            signing_key,
            token_lifetime: Duration::from_secs(300),
        };
        let tls = self.tls("issuer").await;
        tokio::spawn(dev_authorization_server::run(config, listener, tls, self.stop()));
        address
    }

    async fn start_customer_server(&self, listener: TcpListener, issuer: &str, audience: &str) {
        let server = CustomerServer::prepare(server::Config {
            database: self.home.join("customers.sqlite"),
            demo_rows: DemoRows::Insert,
            assertion_jwks: self.home.join("assertion-jwks.json"),
            assertion_issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            allowed_hosts: Vec::new(),
        })
        .await
        .unwrap();
        let tls = self.tls("customer-server").await;
        tokio::spawn(server::run(server, listener, tls, self.stop()));
    }

    async fn start_other(&self, listener: TcpListener, router: Router) {
        let tls = self.tls("other").await;
        listener.set_nonblocking(true).unwrap();
        let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
        let stop = self.stop();
        tokio::spawn(async move {
            tokio::select! {
                outcome = server.serve(router.into_make_service()) => outcome.unwrap(),
                () = stop => {}
            }
        });
    }

    fn write_config(
        &self,
        gate: SocketAddr,
        issuer: SocketAddr,
        upstream: &str,
        more: &str,
    ) -> PathBuf {
        let text = format!(
            r#"
            [listener]
            address = "{gate}"
            certificate = "gate.pem"
            key = "gate-key.pem"

            [resource]
            public_url = "https://{gate}/mcp"
            scopes_supported = {SCOPES:?}
            initial_scopes = ["customer:read"]

            [[issuers]]
            issuer = "https://{issuer}"
            ca = "ca.pem"

            [policies]
            directory = "policies"

            [upstream]
            name = "customers"
            url = "{upstream}"
            ca = "ca.pem"
            identity = "assertion"
            assertion_key = "assertion-key.pem"

            {more}
            "#
        );
        self.write("gate.toml", &text)
    }
}

fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// One RSA key for all stacks of a test run: making one takes a while, and none of them leaves.
fn signing_key() -> SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate().unwrap()).clone()
}

fn start_log() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let filter =
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
        tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().init();
    });
}

const CLIENT_ID: &str = "test-client";
const CLIENT_SECRET: &str = "a secret that only the tests know";
const SCOPES: [&str; 4] = ["customer:read", "ticket:create", "account:calculate", "security:read"];
